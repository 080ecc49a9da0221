//! Detections → one engine: distinct tests, their signs in the index, each rule's tree and witness. Pure.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::event::{Field, Number, RuleIndex};

use super::super::condition::{Detection, Node, Predicate, Test};
use super::group::{Collected, Group};
use super::pattern::normal;
use super::plan::{Plan, Sign, Source, plans, source};
use super::scratch::Hit;
use super::witness::witness;
use super::{BuildError, Matcher};

/// A rule's condition over the matcher's tests.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    AtLeast(usize, Vec<Tree>),
    Not(Box<Tree>),
    Test(u32),
}

/// A distinct test, and whether the index knows all its signs.
pub(super) struct Check {
    pub(super) test: Test,
    pub(super) indexed: bool,
}

/// A rule in the engine.
pub(super) struct Compiled {
    pub(super) rule: RuleIndex,
    pub(super) tree: Tree,
}

/// Integers that rules ask a number field for.
pub(super) type Integers = HashMap<i64, Vec<u32>, foldhash::fast::FixedState>;

/// Compiles all rules of a pipeline.
pub(super) fn compile(rules: &[(RuleIndex, &Detection)]) -> Result<Matcher, BuildError> {
    let mut compiler = Compiler::default();
    let mut rules: Vec<Compiled> = rules
        .iter()
        .map(|(rule, detection)| Compiled { rule: *rule, tree: compiler.tree(&detection.condition) })
        .collect();
    rules.sort_by_key(|compiled| compiled.rule);
    let weights = compiler.index();
    let mut always = Vec::new();
    let mut witness_of = vec![Vec::new(); compiler.checks.len()];
    for (place, compiled) in (0u32..).zip(&rules) {
        match witness(&compiled.tree, &weights) {
            Some(witness) => witness.tests.iter().for_each(|test| witness_of[*test as usize].push(place)),
            None => always.push(place),
        }
    }
    witness_of.iter_mut().for_each(|rules: &mut Vec<u32>| rules.dedup());
    let groups: Vec<Group> =
        compiler.groups.into_iter().map(|(source, group)| group.build(source)).collect::<Result<_, _>>()?;
    let extras = (0..).zip(&groups).filter_map(|(at, group)| match &group.source {
        Source::Extra(name) => Some((name.as_str().into(), at)),
        Source::Url | Source::Line | Source::Slot(_) | Source::Category | Source::Type | Source::Tags => None,
    });
    Ok(Matcher {
        identity: identity(&compiler.known, &rules),
        extras: extras.collect(),
        groups,
        numbers: compiler.numbers.into_iter().map(|(field, values)| (field, values.into_iter().collect())).collect(),
        checks: compiler.checks,
        witness_of,
        rules,
        always,
    })
}

/// A number for the engine's content, so that a [`super::Scratch`] notices another engine.
fn identity(tests: &BTreeMap<String, u32>, rules: &[Compiled]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for (key, test) in tests {
        hasher.update(format!("{test} {key}\n").as_bytes());
    }
    for compiled in rules {
        hasher.update(format!("{} {:?}\n", compiled.rule.0, compiled.tree).as_bytes());
    }
    let hash = hasher.finalize();
    hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[derive(Default)]
struct Compiler {
    /// Tests by their whole text, so that equal ones are judged once.
    known: BTreeMap<String, u32>,
    checks: Vec<Check>,
    groups: BTreeMap<Source, Collected>,
    numbers: BTreeMap<Number, BTreeMap<i64, Vec<u32>>>,
}

impl Compiler {
    fn tree(&mut self, node: &Node) -> Tree {
        match node {
            Node::All(nodes) => Tree::All(nodes.iter().map(|node| self.tree(node)).collect()),
            Node::Any(nodes) => Tree::Any(nodes.iter().map(|node| self.tree(node)).collect()),
            Node::AtLeast(count, nodes) => Tree::AtLeast(*count, nodes.iter().map(|node| self.tree(node)).collect()),
            Node::Not(node) => Tree::Not(Box::new(self.tree(node))),
            Node::Test(test) => Tree::Test(self.test(test)),
        }
    }

    fn test(&mut self, test: &Test) -> u32 {
        let mut test = test.clone();
        if let Predicate::Text { pattern, cased } = &mut test.predicate {
            pattern.parts = normal(pattern, *cased);
        }
        let next = self.checks.len() as u32;
        let id = *self.known.entry(format!("{test:?}")).or_insert(next);
        if id == next {
            self.checks.push(Check { test, indexed: false });
        }
        id
    }

    /// Enters every test into the index; returns how often each one's signs show, roughly.
    fn index(&mut self) -> Vec<Option<f64>> {
        let mut weights = Vec::with_capacity(self.checks.len());
        for id in 0..self.checks.len() {
            let plans = plans(&self.checks[id].test);
            weights.push(plans.as_ref().map(|plans| plans.iter().map(Plan::weight).sum()));
            self.checks[id].indexed = plans.is_some();
            for plan in plans.into_iter().flatten() {
                self.enter(id as u32, plan);
            }
        }
        weights
    }

    fn enter(&mut self, test: u32, plan: Plan) {
        match (plan.sign, source(&plan.field), &plan.field) {
            (Sign::Literals { texts, anchor, certain }, Some((source, slot)), _) => {
                let group = self.groups.entry(source).or_default();
                texts.iter().for_each(|text| group.literal(slot, text, anchor, Hit { test, certain }));
            }
            (Sign::Equal { text, certain }, Some((source, slot)), _) => {
                self.groups.entry(source).or_default().equal(slot, &text, Hit { test, certain });
            }
            (Sign::Integer(number), _, Field::Number(field)) => {
                self.numbers.entry(*field).or_default().entry(number).or_default().push(test);
            }
            (Sign::Never | Sign::Literals { .. } | Sign::Equal { .. } | Sign::Integer(_), _, _) => {}
        }
    }
}
