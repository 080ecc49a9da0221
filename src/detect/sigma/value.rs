//! Values of a rule → patterns. Pure.

use super::super::condition::{Part, Pattern};

/// Where a value stands in the field's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Whole,
    Anywhere,
    Start,
    End,
}

/// Reads wildcards and escapes. A backslash escapes `*`, `?` and itself; before anything else it is a backslash.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        let wildcard = match next {
            '\\' => {
                literal.push(chars.next_if(|c| matches!(c, '*' | '?' | '\\')).unwrap_or('\\'));
                continue;
            }
            '*' => Part::AnyRun,
            '?' => Part::AnyOne,
            other => {
                literal.push(other);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(wildcard);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

/// The pattern for a value at its place.
pub(super) fn placed(parts: Vec<Part>, place: Place) -> Pattern {
    let before = matches!(place, Place::Anywhere | Place::End).then_some(Part::AnyRun);
    let after = matches!(place, Place::Anywhere | Place::Start).then_some(Part::AnyRun);
    Pattern { parts: before.into_iter().chain(parts).chain(after).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Part {
        Part::Literal(text.to_owned())
    }

    #[test]
    fn wildcards_and_escapes() {
        assert_eq!(parts(r"a*b?"), [literal("a"), Part::AnyRun, literal("b"), Part::AnyOne]);
        assert_eq!(parts(r"\cmd.exe"), [literal(r"\cmd.exe")]);
        assert_eq!(parts(r"\*\?\\x"), [literal(r"*?\x")]);
        assert_eq!(parts(r"\\*"), [literal(r"\"), Part::AnyRun]);
        assert_eq!(parts(r"a\"), [literal(r"a\")]);
        assert_eq!(parts(""), []);
    }

    #[test]
    fn a_place_adds_runs() {
        assert_eq!(placed(parts("x"), Place::End).parts, [Part::AnyRun, literal("x")]);
        assert_eq!(placed(parts("x"), Place::Anywhere).parts, [Part::AnyRun, literal("x"), Part::AnyRun]);
    }
}
