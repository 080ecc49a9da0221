//! One engine for all detections of a pipeline: an event in, the rules that hold out. Pure.
//!
//! Not a loop over rules. Each kind of text is scanned once by one automaton over all literals of all rules; hits mark
//! tests; a rule runs its tree only when one of its witnesses was marked; what no index answers (cidr, comparisons,
//! existence, the exact verdict of a regex) is judged only when such a tree asks for it. What a condition means is
//! said in `plain.rs`, and this engine always agrees with it.
//!
//! Deliberately without rule-specific code, and without any state that changes a result: [`Scratch`] saves time only.

mod compile;
mod fold;
mod forms;
mod group;
mod pattern;
mod plain;
mod plan;
mod required;
mod scan;
mod scratch;
mod sieve;
mod values;
mod witness;

use hashbrown::HashMap;

use crate::event::{Event, Number, RuleIndex};

use super::condition::Detection;
use compile::{Check, Compiled, Integers, Tree};
use group::Group;
pub use scratch::Scratch;
use scratch::{Marks, Sizes, State};

/// All detections of a pipeline, compiled.
pub struct Matcher {
    identity: u64,
    groups: Vec<Group>,
    /// Groups of fields without a slot, by name.
    extras: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
    numbers: Vec<(Number, Integers)>,
    checks: Vec<Check>,
    /// For each test the rules it is a witness of.
    witness_of: Vec<Vec<u32>>,
    rules: Vec<Compiled>,
    /// Rules without a witness.
    always: Vec<u32>,
}

/// Why rules do not compile into one engine: their literals outgrow the automaton.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to compile the rules' literals into one automaton: {0}")]
pub struct BuildError(String);

impl Matcher {
    /// Compiles rules into one engine. An index that occurs twice is judged twice and reported once.
    ///
    /// # Errors
    /// Where the literals of all rules together outgrow the automaton (2³¹ states).
    pub fn build(rules: &[(RuleIndex, &Detection)]) -> Result<Matcher, BuildError> {
        compile::compile(rules)
    }

    /// Appends the rules that hold for this event to `out`, ascending, each once.
    pub fn matches(&self, event: &Event<'_>, scratch: &mut Scratch, out: &mut Vec<RuleIndex>) {
        let (tests, rules, groups) = (self.checks.len(), self.rules.len(), self.groups.len());
        scratch.fit(self.identity, Sizes { tests, rules, groups });
        self.scan(event, scratch);
        let marks = &mut scratch.marks;
        let mut candidates = std::mem::take(&mut marks.candidates);
        candidates.extend_from_slice(&self.always);
        candidates.sort_unstable();
        scratch.candidates_total += candidates.len() as u64;
        let start = out.len();
        for place in &candidates {
            let compiled = &self.rules[*place as usize];
            if self.holds(&compiled.tree, event, marks) && out[start..].last() != Some(&compiled.rule) {
                out.push(compiled.rule);
            }
        }
        marks.candidates = candidates;
    }

    /// How many rules this engine judges.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// How many of them have no witness and run for every event.
    pub fn rules_without_witness(&self) -> usize {
        self.always.len()
    }

    fn holds(&self, tree: &Tree, event: &Event<'_>, marks: &mut Marks) -> bool {
        match tree {
            Tree::All(trees) => trees.iter().all(|tree| self.holds(tree, event, marks)),
            Tree::Any(trees) => trees.iter().any(|tree| self.holds(tree, event, marks)),
            Tree::AtLeast(count, trees) => trees.iter().filter(|tree| self.holds(tree, event, marks)).count() >= *count,
            Tree::Not(tree) => !self.holds(tree, event, marks),
            Tree::Test(test) => self.test_holds(*test, event, marks),
        }
    }

    fn test_holds(&self, test: u32, event: &Event<'_>, marks: &mut Marks) -> bool {
        let check = &self.checks[test as usize];
        match marks.state(test) {
            State::True => true,
            State::False => false,
            State::Unseen if check.indexed => false,
            State::Unseen | State::Possible => {
                let holds = plain::test_holds(&check.test, event);
                marks.settle(test, holds);
                holds
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use proptest::prelude::*;

    use super::super::condition::{Node, Part, Pattern, Predicate, Test};
    use super::super::rule::Comparison;
    use super::*;
    use crate::event::{Address, Field, Scalar, Text};

    /// A small alphabet, so that patterns often fit: escapes, plus, wildcards' neighbours, letters that fold.
    const TEXT: &str = "[abAB/?%25+Äk]{0,9}";

    fn field() -> impl Strategy<Value = Field> {
        let names = [
            "url.original",
            "url.path",
            "url.query",
            "user_agent.original",
            "http.request.method",
            "message",
            "event.original",
            "http.response.status_code",
            "client.ip",
            "event.category",
            "tags",
            "x",
            "y.z",
        ];
        prop::sample::select(names.to_vec()).prop_map(Field::of)
    }

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof![
            4 => "[abA/%25+Äk]{1,3}".prop_map(Part::Literal),
            1 => Just(Part::AnyOne),
            3 => Just(Part::AnyRun),
        ]
    }

    fn predicate() -> impl Strategy<Value = Predicate> {
        let text = (prop::collection::vec(part(), 0..5), any::<bool>());
        let regexes = ["a+b", "(?i)ab", "^/a", "(ab|ba)%", ".", "(?i)k", "b$", "(?:aa|bb){2}"];
        prop_oneof![
            8 => text.prop_map(|(parts, cased)| Predicate::Text { pattern: Pattern { parts }, cased }),
            2 => prop::sample::select(regexes.to_vec()).prop_map(|text| Predicate::Regex(regex::Regex::new(text).unwrap())),
            1 => (0..30_i32).prop_map(|number| Predicate::Text { cased: false, pattern: Pattern {
                parts: vec![Part::Literal(number.to_string())] } }),
            1 => (0..30_i32).prop_map(|number| Predicate::Number(Comparison::AtLeast, f64::from(number))),
            1 => Just(Predicate::Cidr("10.0.0.0/8".parse().unwrap())),
            1 => any::<bool>().prop_map(Predicate::Exists),
            1 => Just(Predicate::Missing),
            1 => Just(Predicate::Empty),
        ]
    }

    fn node() -> impl Strategy<Value = Node> {
        let test = (prop::collection::vec(field(), 1..3), predicate());
        let leaf = test.prop_map(|(fields, predicate)| Node::Test(Test { fields, predicate }));
        leaf.prop_recursive(3, 12, 4, |inner| {
            let many = || prop::collection::vec(inner.clone(), 0..4);
            prop_oneof![
                3 => many().prop_map(Node::All),
                3 => many().prop_map(Node::Any),
                1 => (0..4usize, many()).prop_map(|(count, nodes)| Node::AtLeast(count, nodes)),
                1 => inner.clone().prop_map(|node| Node::Not(Box::new(node))),
            ]
        })
    }

    #[derive(Clone, Debug)]
    struct Sketch {
        path: Option<String>,
        query: Option<String>,
        joined: bool,
        texts: Vec<(bool, String)>,
        status: Option<i64>,
        client: Option<[u8; 4]>,
        extras: Vec<(&'static str, u8, String)>,
        original: Vec<u8>,
    }

    fn sketch() -> impl Strategy<Value = Sketch> {
        let extra = (prop::sample::select(vec!["x", "y.z", "other"]), 0..5u8, TEXT);
        let original = prop_oneof![TEXT.prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..9)];
        let urls = (prop::option::of(TEXT), prop::option::of(TEXT), any::<bool>());
        let rest = (prop::option::of(0..30i64), prop::option::of(any::<[u8; 4]>()));
        let texts = prop::collection::vec((any::<bool>(), TEXT.prop_map(String::from)), 4);
        (urls, texts, rest, prop::collection::vec(extra, 0..4), original).prop_map(
            |((path, query, joined), texts, (status, client), extras, original)| Sketch {
                path,
                query,
                joined,
                texts,
                status,
                client,
                extras,
                original,
            },
        )
    }

    fn event<'a>(sketch: &'a Sketch, arena: &'a Bump) -> Event<'a> {
        let original = if sketch.texts[2].0 {
            [&sketch.original, sketch.texts[3].1.as_bytes()].concat()
        } else {
            sketch.original.clone()
        };
        let mut event = Event::new(arena.alloc_slice_copy(&original), arena);
        for (slot, (set, text)) in
            [Text::UserAgent, Text::HttpMethod, Text::UrlOriginal, Text::Message].into_iter().zip(&sketch.texts)
        {
            if *set {
                event.set_text(slot, text);
            }
        }
        if let Some(path) = &sketch.path {
            event.set_text(Text::UrlPath, path);
            if sketch.joined {
                let whole = sketch.query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
                event.set_text(Text::UrlOriginal, arena.alloc_str(&whole));
            }
        }
        sketch.query.iter().for_each(|query| event.set_text(Text::UrlQuery, query));
        sketch.status.iter().for_each(|status| event.set_number(Number::HttpStatus, *status));
        sketch.client.iter().for_each(|client| event.set_address(Address::ClientIp, (*client).into()));
        for (name, kind, text) in &sketch.extras {
            let number = text.len() as i64;
            event.add_extra(
                name,
                match kind {
                    0 => Scalar::Text(text),
                    1 => Scalar::Integer(number),
                    2 => Scalar::Float(number as f64 / 2.0),
                    3 => Scalar::Bool(number > 3),
                    _ => Scalar::List(arena.alloc_slice_copy(&[Scalar::Integer(number), Scalar::Text(text)])),
                },
            );
        }
        if sketch.joined {
            event.categories = &["a", "ab"];
            event.add_tag("ba");
        }
        event
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn agrees_with_the_plain_meaning(
            nodes in prop::collection::vec(node(), 1..6),
            sketches in prop::collection::vec(sketch(), 1..8),
        ) {
            let detections: Vec<Detection> = nodes.into_iter().map(|condition| Detection { condition }).collect();
            let rules: Vec<(RuleIndex, &Detection)> = (0..).map(RuleIndex).zip(&detections).collect();
            let matcher = Matcher::build(&rules).unwrap();
            let mut scratch = Scratch::default();
            // Twice, so that the second round finds its texts remembered.
            for sketch in sketches.iter().chain(&sketches) {
                let arena = Bump::new();
                let event = event(sketch, &arena);
                let expected: Vec<RuleIndex> =
                    rules.iter().filter(|(_, detection)| detection.holds(&event)).map(|(rule, _)| *rule).collect();
                let mut found = Vec::new();
                matcher.matches(&event, &mut scratch, &mut found);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
