//! Patterns with `*` and `?` against whole texts. Pure.
//!
//! Both sides are compared as they are: folding is the caller's. The time is the text's length times the pattern's;
//! no input makes it backtrack, because the leftmost place for each run of parts between two `*` is always enough.

use super::super::condition::{Part, Pattern};
use super::fold::fold;

/// Whether the whole of `text` has the shape of `parts`.
pub(super) fn fits(parts: &[Part], text: &str) -> bool {
    let mut runs = parts.split(|part| *part == Part::AnyRun);
    let first = runs.next().unwrap_or_default();
    let Some(start) = after(first, text) else { return false };
    let rest = &text[start..];
    let Some(last) = runs.next_back() else { return rest.is_empty() };
    let Some(end) = before(last, rest) else { return false };
    let mut rest = &rest[..end];
    for run in runs {
        match find(run, rest) {
            Some(end) => rest = &rest[end..],
            None => return false,
        }
    }
    true
}

/// The same pattern in its shortest writing, folded unless `cased`: neighbouring literals joined, empty ones and
/// repeated `*` dropped.
pub(super) fn normal(pattern: &Pattern, cased: bool) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::with_capacity(pattern.parts.len());
    for part in &pattern.parts {
        match (part, parts.last_mut()) {
            (Part::Literal(text), _) if text.is_empty() => {}
            (Part::Literal(text), Some(Part::Literal(last))) => {
                last.push_str(&if cased { text.clone() } else { fold(text) })
            }
            (Part::Literal(text), _) => parts.push(Part::Literal(if cased { text.clone() } else { fold(text) })),
            (Part::AnyRun, Some(Part::AnyRun)) => {}
            (Part::AnyRun | Part::AnyOne, _) => parts.push(part.clone()),
        }
    }
    parts
}

/// Where `run` ends if it stands at the start of `text`.
fn after(run: &[Part], text: &str) -> Option<usize> {
    let mut rest = text;
    for part in run {
        rest = match part {
            Part::Literal(literal) => rest.strip_prefix(literal.as_str())?,
            Part::AnyOne => &rest[rest.chars().next()?.len_utf8()..],
            Part::AnyRun => rest,
        };
    }
    Some(text.len() - rest.len())
}

/// Where `run` starts if it stands at the end of `text`.
fn before(run: &[Part], text: &str) -> Option<usize> {
    let mut rest = text;
    for part in run.iter().rev() {
        rest = match part {
            Part::Literal(literal) => rest.strip_suffix(literal.as_str())?,
            Part::AnyOne => &rest[..rest.len() - rest.chars().next_back()?.len_utf8()],
            Part::AnyRun => rest,
        };
    }
    Some(rest.len())
}

/// Where the leftmost `run` in `text` ends.
fn find(run: &[Part], text: &str) -> Option<usize> {
    if let [Part::Literal(literal)] = run {
        return memchr::memmem::find(text.as_bytes(), literal.as_bytes()).map(|start| start + literal.len());
    }
    let starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    starts.into_iter().find_map(|start| after(run, &text[start..]).map(|length| start + length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, by trying everything.
    fn plain(parts: &[Part], text: &[char]) -> bool {
        match parts {
            [] => text.is_empty(),
            [Part::Literal(literal), rest @ ..] => {
                let literal: Vec<char> = literal.chars().collect();
                text.starts_with(&literal) && plain(rest, &text[literal.len()..])
            }
            [Part::AnyOne, rest @ ..] => !text.is_empty() && plain(rest, &text[1..]),
            [Part::AnyRun, rest @ ..] => (0..=text.len()).any(|skip| plain(rest, &text[skip..])),
        }
    }

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof!["[abä]{0,3}".prop_map(Part::Literal), Just(Part::AnyOne), Just(Part::AnyRun),]
    }

    proptest! {
        #[test]
        fn equals_the_definition(parts in prop::collection::vec(part(), 0..6), text in "[abä]{0,8}") {
            let expected = plain(&parts, &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(fits(&parts, &text), expected);
            prop_assert_eq!(fits(&normal(&Pattern { parts }, true), &text), expected);
        }
    }
}
