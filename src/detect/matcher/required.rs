//! The literals without one of which a regular expression cannot match. Pure.
//!
//! With them a regex joins the one scan over all literals and runs only where one was seen. Deliberately modest: what
//! is not plainly required gives no literal, and then the regex runs whenever it is asked for.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::fold::fold;

/// More alternatives than this in one regex are not worth a place in the scan.
const LITERALS_MAX: usize = 64;
/// A shorter literal (`or`) stands in every other text: it shows nothing, and keeps the sieve from holding any back.
const LITERAL_BYTES_MIN: usize = 3;

/// Folded literals, one of which stands in the folded form of every text that `regex` matches.
pub(super) fn required(regex: &regex::Regex) -> Option<Vec<String>> {
    let hir = regex_syntax::Parser::new().parse(regex.as_str()).ok()?;
    let literals = literals(&hir)?;
    literals.iter().all(|literal| literal.len() >= LITERAL_BYTES_MIN).then_some(literals)
}

fn literals(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(_) | HirKind::Class(_) => exact(hir).map(|text| vec![text]),
        HirKind::Repetition(repetition) if repetition.min > 0 => literals(&repetition.sub),
        HirKind::Repetition(_) => None,
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Concat(parts) => best_of(parts),
        HirKind::Alternation(branches) => {
            let all: Vec<Vec<String>> = branches.iter().map(literals).collect::<Option<_>>()?;
            let all: Vec<String> = all.into_iter().flatten().collect();
            (all.len() <= LITERALS_MAX).then_some(all)
        }
    }
}

/// Of parts that must all occur, the set whose shortest literal is longest; neighbouring exact parts count as one.
fn best_of(parts: &[Hir]) -> Option<Vec<String>> {
    let mut sets: Vec<Vec<String>> = Vec::new();
    let mut run = String::new();
    for part in parts {
        if let Some(text) = exact(part) {
            run.push_str(&text);
            continue;
        }
        sets.push(vec![std::mem::take(&mut run)]);
        sets.extend(literals(part));
    }
    sets.push(vec![run]);
    let worth = |set: &Vec<String>| set.iter().map(String::len).min().unwrap_or(0);
    sets.into_iter().max_by_key(worth).filter(|set| worth(set) > 0)
}

/// The folded text of a part that matches one text only, but for case.
fn exact(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(fold),
        HirKind::Class(Class::Unicode(class)) => {
            let spans: u32 = class.iter().map(|range| u32::from(range.end()) - u32::from(range.start()) + 1).sum();
            if spans > 4 {
                return None;
            }
            let mut all = class.iter().flat_map(|range| range.start()..=range.end()).map(|c| fold(&c.to_string()));
            let first = all.next()?;
            all.all(|other| other == first).then_some(first)
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Empty
        | HirKind::Class(Class::Bytes(_))
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Option<Vec<String>> {
        required(&regex::Regex::new(pattern).unwrap())
    }

    #[test]
    fn what_must_occur() {
        assert_eq!(of(r"^/a.*\.PHP\d+$"), Some(vec![".php".to_owned()]));
        assert_eq!(of("(?i)union.{1,9}all"), Some(vec!["union".to_owned()]));
        assert_eq!(of("x(foo|bar1)+y?"), Some(vec!["foo".to_owned(), "bar1".to_owned()]));
        assert_eq!(of("(foo|.)z"), None);
        assert_eq!(of(r"\d+|abc"), None);
        assert_eq!(of("(abc)?"), None);
    }

    #[test]
    fn a_letter_that_folds_apart_ends_the_literal() {
        // `ſ` matches `(?i)s` and folds to itself.
        assert_eq!(of("(?i)select"), Some(vec!["elect".to_owned()]));
    }
}
