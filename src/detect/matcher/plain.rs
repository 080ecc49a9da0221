//! What a condition means, said plainly: a walk over its tree, each test judged by itself. Pure.
//!
//! The truth that the compiled engine is held to by property tests, the plain alternative in the benchmark, and what
//! judges the few tests that no index answers. Deliberately without any index or memory.

use crate::event::Event;

use super::super::condition::{Detection, Node, Predicate, Test};
use super::fold::fold;
use super::pattern::{fits, normal};
use super::values::{any_address, any_number, any_text};

impl Detection {
    /// Whether the condition holds for this event. For judging many events by many rules use [`super::Matcher`].
    pub fn holds(&self, event: &Event<'_>) -> bool {
        node_holds(&self.condition, event)
    }
}

fn node_holds(node: &Node, event: &Event<'_>) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| node_holds(node, event)),
        Node::Any(nodes) => nodes.iter().any(|node| node_holds(node, event)),
        Node::AtLeast(count, nodes) => nodes.iter().filter(|node| node_holds(node, event)).count() >= *count,
        Node::Not(node) => !node_holds(node, event),
        Node::Test(test) => test_holds(test, event),
    }
}

/// Whether one test holds.
pub(super) fn test_holds(test: &Test, event: &Event<'_>) -> bool {
    let there = || test.fields.iter().any(|field| event.has(field));
    let any = |judge: &mut dyn FnMut(&str) -> bool| test.fields.iter().any(|field| any_text(event, field, judge));
    match &test.predicate {
        Predicate::Text { pattern, cased: true } => {
            let parts = normal(pattern, true);
            any(&mut |text| fits(&parts, text))
        }
        Predicate::Text { pattern, cased: false } => {
            let parts = normal(pattern, false);
            any(&mut |text| fits(&parts, &fold(text)))
        }
        Predicate::Regex(regex) => any(&mut |text| regex.is_match(text)),
        Predicate::Number(comparison, threshold) => {
            let judge = |number| comparison.holds(number, *threshold);
            test.fields.iter().any(|field| any_number(event, field, &judge))
        }
        Predicate::Cidr(network) => {
            let judge = |address| network.contains(&address);
            test.fields.iter().any(|field| any_address(event, field, &judge))
        }
        Predicate::Exists(true) => there(),
        Predicate::Exists(false) | Predicate::Missing => !there(),
        Predicate::Empty => any(&mut str::is_empty),
    }
}
