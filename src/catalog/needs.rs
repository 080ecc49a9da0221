//! Which fields without a slot the rules ask for, so that decoding keeps no others. Pure.

use std::collections::BTreeSet;

use crate::detect::{Body, Node, Rule};
use crate::event::Field;

/// The names of all extras that any rule tests, groups by or counts.
pub(super) fn extras(rules: &[Rule]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rule in rules {
        match &rule.body {
            Body::Detection(detection) => of_condition(&detection.condition, &mut names),
            Body::Correlation(correlation) => {
                correlation.group_by.iter().chain(&correlation.field).for_each(|field| add(field, &mut names));
            }
        }
    }
    names
}

/// Conditions are as deep as their YAML and their text, both limited, so recursion is bounded.
fn of_condition(node: &Node, names: &mut BTreeSet<String>) {
    match node {
        Node::All(parts) | Node::Any(parts) | Node::AtLeast(_, parts) => {
            parts.iter().for_each(|part| of_condition(part, names))
        }
        Node::Not(part) => of_condition(part, names),
        Node::Test(test) => test.fields.iter().for_each(|field| add(field, names)),
    }
}

fn add(field: &Field, names: &mut BTreeSet<String>) {
    if let Field::Extra(name) = field {
        names.insert(name.clone());
    }
}
