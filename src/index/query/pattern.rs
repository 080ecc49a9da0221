//! Wildcards: `*` is any run of characters, also none; `?` is one character. Pure.
//!
//! Matching remembers only the last `*`, so it takes at most text × pattern steps and no memory, whatever an attacker
//! writes into either.

/// A longer pattern is refused: nobody looks for a text of that length by parts.
pub const PATTERN_BYTES_MAX: usize = 1_000;
/// More `*` than this in one pattern are refused: each may cost another pass over the text.
pub const PATTERN_WILDCARDS_MAX: usize = 16;

/// A text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

/// One element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    One(char),
    AnyOne,
    AnyRun,
}

impl Pattern {
    /// Runs of `*` become one.
    pub(super) fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut parts: Vec<Part> = parts.into_iter().collect();
        parts.dedup_by(|a, b| *a == Part::AnyRun && *b == Part::AnyRun);
        Pattern { parts }
    }

    /// How many `*` it holds.
    pub(super) fn runs(&self) -> usize {
        self.parts.iter().filter(|part| **part == Part::AnyRun).count()
    }

    /// The same pattern with ASCII letters lowered, for words.
    pub(super) fn lowered(mut self) -> Self {
        for part in &mut self.parts {
            if let Part::One(character) = part {
                character.make_ascii_lowercase();
            }
        }
        self
    }

    /// The text every match begins with.
    pub(super) fn prefix(&self) -> String {
        self.parts.iter().map_while(|part| if let Part::One(it) = part { Some(*it) } else { None }).collect()
    }

    /// The text between two `*` of the form `*text*`, the common case, for a plain search.
    fn contained(&self) -> Option<String> {
        let [Part::AnyRun, middle @ .., Part::AnyRun] = &self.parts[..] else { return None };
        middle.iter().map(|part| if let Part::One(it) = part { Some(*it) } else { None }).collect()
    }

    /// A matcher that may be asked often.
    pub(super) fn matcher(&self) -> impl Fn(&str) -> bool + '_ {
        let finder = self.contained().map(|text| memchr::memmem::Finder::new(&text).into_owned());
        move |text| match &finder {
            Some(finder) => finder.find(text.as_bytes()).is_some(),
            None => self.fits(text),
        }
    }

    /// Whether the whole text fits.
    pub fn fits(&self, text: &str) -> bool {
        let (mut part, mut rest) = (0, text.chars());
        let mut resume: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            let character = ahead.next();
            match (self.parts.get(part), character) {
                (Some(Part::AnyRun), _) => {
                    part += 1;
                    resume = Some((part, rest.clone()));
                }
                (None, None) => return true,
                (Some(Part::AnyOne), Some(_)) => (part, rest) = (part + 1, ahead),
                (Some(Part::One(wanted)), Some(found)) if *wanted == found => (part, rest) = (part + 1, ahead),
                (Some(Part::One(_) | Part::AnyOne) | None, _) => {
                    // The last run takes one character more.
                    let Some((after, from)) = &mut resume else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (part, rest) = (*after, from.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text.chars().map(|it| match it {
            '*' => Part::AnyRun,
            '?' => Part::AnyOne,
            it => Part::One(it),
        }))
    }

    #[test]
    fn wildcards_fit_whole_texts() {
        for (text, fits, misses) in [
            ("*admin*", &["admin", "/admin/", "xadmin"][..], &["Admin", "amin", ""][..]),
            ("a?c", &["abc", "aéc"], &["ac", "abbc"]),
            ("*", &["", "x"], &[]),
            ("a*b*c", &["abc", "axxbxbc"], &["ab", "acb"]),
            ("**a", &["a", "ba"], &["ab"]),
        ] {
            let pattern = pattern(text);
            fits.iter().for_each(|it| assert!(pattern.fits(it) && pattern.matcher()(it), "{text} {it}"));
            misses.iter().for_each(|it| assert!(!pattern.fits(it) && !pattern.matcher()(it), "{text} {it}"));
        }
        assert_eq!(pattern("ab*c").prefix(), "ab");
    }

    fn naive(pattern: &[Part], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some(Part::AnyRun), _) => naive(&pattern[1..], text) || (!text.is_empty() && naive(pattern, &text[1..])),
            (Some(Part::AnyOne), Some(_)) => naive(&pattern[1..], &text[1..]),
            (Some(Part::One(wanted)), Some(found)) if wanted == found => naive(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn fits_equals_the_naive_definition(form in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let pattern = pattern(&form);
            let characters: Vec<char> = text.chars().collect();
            let expected = naive(&pattern.parts, &characters);
            prop_assert_eq!(pattern.fits(&text), expected);
            prop_assert_eq!(pattern.matcher()(&text), expected);
        }
    }
}
