//! `${NAME}` and `${NAME:-default}` inside values. Pure.
//!
//! Keys are never substituted, and what a variable holds is a value: it cannot add keys. `$${` stands for `${`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::document::{Document, Faults, Kind, Node, Source};

/// Fills in the variables of all values; `places` gets where the environment gave a value.
pub(super) fn fill(
    document: &mut Document,
    environment: &dyn Fn(&str) -> Option<String>,
    places: &mut BTreeSet<(usize, usize)>,
    faults: &mut Faults,
) {
    let mut filler = Filler { source: Arc::clone(&document.source), environment, places, faults };
    filler.node(&mut document.root);
}

struct Filler<'f> {
    source: Arc<Source>,
    environment: &'f dyn Fn(&str) -> Option<String>,
    places: &'f mut BTreeSet<(usize, usize)>,
    faults: &'f mut Faults,
}

impl Filler<'_> {
    /// The tree is at most [`crate::document::DEPTH_MAX`] levels deep, so recursion is bounded.
    fn node(&mut self, node: &mut Node) {
        match &mut node.kind {
            Kind::Null => {}
            Kind::List(items) => items.iter_mut().for_each(|item| self.node(item)),
            Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.node(value)),
            Kind::Scalar { text, .. } if text.contains("${") => match self.filled(text) {
                Ok((filled, from_environment)) => {
                    *text = filled;
                    if from_environment {
                        self.places.insert((node.line, node.column));
                    }
                }
                Err(message) => self.faults.at(&self.source, node, message),
            },
            Kind::Scalar { .. } => {}
        }
    }

    fn filled(&self, text: &str) -> Result<(String, bool), String> {
        let (mut filled, mut from_environment, mut rest) = (String::new(), false, text);
        while let Some(start) = rest.find("${") {
            let (before, after) = (&rest[..start], &rest[start + 2..]);
            if let Some(literal) = before.strip_suffix('$') {
                filled.push_str(literal);
                filled.push_str("${");
                rest = after;
                continue;
            }
            let Some(end) = after.find('}') else { return Err("a variable `${` is not closed with `}`".to_owned()) };
            let (name, default) = match after[..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&after[..end], None),
            };
            let given = (self.environment)(name);
            from_environment |= given.is_some();
            let value = given.or_else(|| default.map(str::to_owned)).ok_or_else(|| {
                format!("the environment variable `{name}` is not set; set it, or write `${{{name}:-default}}`")
            })?;
            filled.push_str(before);
            filled.push_str(&value);
            rest = &after[end + 1..];
        }
        filled.push_str(rest);
        Ok((filled, from_environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_text(text: &str) -> Result<String, String> {
        let environment = |name: &str| (name == "A").then(|| "1${B}".to_owned());
        let mut faults = Faults::default();
        let filler = Filler {
            source: Arc::new(Source { path: String::new(), text: String::new() }),
            environment: &environment,
            places: &mut BTreeSet::new(),
            faults: &mut faults,
        };
        filler.filled(text).map(|(filled, _)| filled)
    }

    #[test]
    fn variables_defaults_and_literals() {
        assert_eq!(fill_text("x${A}y").unwrap(), "x1${B}y", "what a variable holds is not filled in again");
        assert_eq!(fill_text("${N:-d}${N:-}").unwrap(), "d");
        assert_eq!(fill_text("$${A}").unwrap(), "${A}");
        assert_eq!(fill_text("cost $5").unwrap(), "cost $5");
        assert!(fill_text("${N}").unwrap_err().contains("`N` is not set"));
        assert!(fill_text("${A").is_err());
    }
}
