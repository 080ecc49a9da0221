//! `detection:` → a tree: selections, their fields and values. Pure.

use std::sync::Arc;

use crate::document::{Faults, Kind, Node as Yaml, Source};

use super::super::condition::{Detection, Node, Test};
use super::condition;
use super::field::{fields, keyword_fields, scale};
use super::modifier::Modifiers;

/// A named selection, read; `None` where it holds a fault (already noted), so that the condition is still checked.
#[derive(Clone, Debug)]
pub(super) struct Selection<'n> {
    pub(super) name: &'n str,
    pub(super) node: Option<Node>,
}

/// Reads selections and condition.
pub(super) fn detection(source: &Arc<Source>, yaml: &Yaml, faults: &mut Faults) -> Option<Detection> {
    let Kind::Map(entries) = &yaml.kind else {
        faults.at(source, yaml, format!("`detection` must be a map of selections, not {}", yaml.describe()));
        return None;
    };
    let mut selections = Vec::new();
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "condition" => {}
            "timeframe" => {
                let advice = "count in a correlation with `timespan`, in a document of its own";
                faults.at_with(source, key, "`timeframe` in a detection is gone from Sigma", advice);
            }
            name => selections.push(Selection { name, node: Reader { source, faults }.selection(value) }),
        }
    }
    let Some(conditions) = yaml.get("condition").filter(|node| !node.items().is_empty()) else {
        faults.at_with(source, yaml, "`condition` is missing", "write for example `condition: selection`");
        return None;
    };
    let trees: Option<Vec<Node>> =
        conditions.items().iter().map(|text| condition::condition(source, text, &selections, faults)).collect();
    Some(Detection { condition: one_or(trees?, Node::Any) })
}

/// A tree of one needs no joint.
pub(super) fn one_or(mut nodes: Vec<Node>, join: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match (nodes.len(), nodes.pop()) {
        (1, Some(node)) => node,
        (_, last) => join(nodes.into_iter().chain(last).collect()),
    }
}

struct Reader<'s, 'f> {
    source: &'s Arc<Source>,
    faults: &'f mut Faults,
}

impl Reader<'_, '_> {
    /// A map joins its items by AND; a list joins maps and keywords by OR.
    fn selection(&mut self, yaml: &Yaml) -> Option<Node> {
        match &yaml.kind {
            Kind::Map(entries) => self.map(yaml, entries),
            Kind::Scalar { .. } => self.item(yaml, "", yaml),
            Kind::List(items) if !items.is_empty() => {
                let nodes: Vec<Option<Node>> = items
                    .iter()
                    .map(|item| match &item.kind {
                        Kind::Map(entries) => self.map(item, entries),
                        Kind::Null | Kind::Scalar { .. } | Kind::List(_) => self.item(item, "", item),
                    })
                    .collect();
                Some(one_or(nodes.into_iter().collect::<Option<_>>()?, Node::Any))
            }
            Kind::Null | Kind::List(_) => {
                self.faults.at_with(self.source, yaml, "an empty selection", "give it fields, or drop it");
                None
            }
        }
    }

    fn map(&mut self, yaml: &Yaml, entries: &[(Yaml, Yaml)]) -> Option<Node> {
        if entries.is_empty() {
            self.faults.at_with(self.source, yaml, "an empty selection", "give it fields, or drop it");
            return None;
        }
        let nodes: Vec<Option<Node>> =
            entries.iter().map(|(key, value)| self.item(key, key.text().unwrap_or_default(), value)).collect();
        Some(one_or(nodes.into_iter().collect::<Option<_>>()?, Node::All))
    }

    /// One field with its modifiers and values; without a name the values are keywords.
    fn item(&mut self, place: &Yaml, key: &str, value: &Yaml) -> Option<Node> {
        let mut words = key.split('|');
        let name = words.next().unwrap_or_default();
        let modifiers = match Modifiers::parse(words) {
            Ok(modifiers) => modifiers,
            Err((message, advice)) => {
                self.faults.at_with(self.source, place, message, advice);
                return None;
            }
        };
        let (fields, modifiers) = match name {
            "" => (keyword_fields(), modifiers.anywhere()),
            name => (fields(name), modifiers),
        };
        let values = match &value.kind {
            Kind::List(items) => items.as_slice(),
            Kind::Null | Kind::Scalar { .. } | Kind::Map(_) => std::slice::from_ref(value),
        };
        if values.is_empty() {
            let message = format!("no values for `{key}`");
            self.faults.at_with(self.source, value, message, "give values, or `null` for a missing field");
            return None;
        }
        let mut nodes = Vec::new();
        for value in values {
            let tests = modifiers.predicates(scale(name), value, self.source, self.faults);
            nodes.push(tests.map(|tests| {
                let test = |predicate| Node::Test(Test { fields: fields.clone(), predicate });
                one_or(tests.into_iter().map(test).collect(), Node::Any)
            }));
        }
        let nodes = nodes.into_iter().collect::<Option<Vec<Node>>>()?;
        let joined = one_or(nodes, if modifiers.all { Node::All } else { Node::Any });
        Some(if modifiers.negated { Node::Not(Box::new(joined)) } else { joined })
    }
}
