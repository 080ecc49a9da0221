//! Names derived from what a rule says. Pure.

use std::fmt::Write;

use crate::document::{Kind, Node as Yaml};

/// Twelve hex digits: with a thousand versions of a rule, two of them share one with probability 10⁻⁹.
const VERSION_DIGITS: usize = 12;

/// The version of a rule: a hash of its document as a tree, so comments, spacing and quotes do not change it.
pub(super) fn version(root: &Yaml) -> String {
    let mut canonical = String::new();
    write_node(root, &mut canonical);
    hex(&canonical)[..VERSION_DIGITS].to_owned()
}

/// An id for a rule without one: the same name always gives the same.
pub(super) fn derived_id(name: &str) -> String {
    let hex = hex(&format!("sekisho rule {name}"));
    // Version 8 of RFC 9562: a UUID by the maker's own rule.
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

fn hex(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Each text with its length before it, so that no two trees are written alike.
fn write_node(node: &Yaml, out: &mut String) {
    match &node.kind {
        Kind::Null => out.push('~'),
        Kind::Scalar { text, .. } => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}:{text}", text.len());
        }
        Kind::List(items) => {
            out.push('[');
            items.iter().for_each(|item| write_node(item, out));
            out.push(']');
        }
        Kind::Map(entries) => {
            out.push('{');
            for (key, value) in entries {
                write_node(key, out);
                write_node(value, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;

    fn of(text: &str) -> String {
        version(&parse("t.yml", text).unwrap()[0].root)
    }

    #[test]
    fn only_content_changes_it() {
        assert_eq!(of("a: x\nb: [1, 2]\n"), of("# why\na:   'x'\n\nb:\n  - 1\n  - 2\n"));
        assert_ne!(of("a: x\n"), of("a: y\n"));
        assert_ne!(of("a: [b, c]\n"), of("a: [bc]\n"));
        assert_eq!(of("a: x\n").len(), VERSION_DIGITS);
    }

    #[test]
    fn a_derived_id_is_a_uuid() {
        let id = derived_id("failed_login");
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id, derived_id("failed_login"));
    }
}
