//! One event through the index: every text once, every hit marked. Pure.
//!
//! `url.path` and `url.query` are parts of `url.original`, and `message` is the end of most lines: where that is so,
//! one scan of the whole serves its parts, because a hit says where it stands.

use crate::event::{Event, Text};

use super::Matcher;
use super::fold::fold_into;
use super::forms::{Form, decoded, forms_of};
use super::group::{Group, Range};
use super::plan::{SLOTS, Source};
use super::scratch::{Hit, MEMO_TEXT_BYTES_MAX, Scratch};
use super::values::scalar_text;

/// Slots of [`Source::Url`] and [`Source::Line`], as in `plan.rs`.
const WHOLE: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;

/// A text made of the values of several fields; `whole` is the field that holds all of it.
struct Joined<'t> {
    whole: Option<usize>,
    /// Slot and text of each piece, a question mark between two of them.
    pieces: [Option<(usize, &'t str)>; 2],
}

impl Matcher {
    /// Marks every sign that the event shows.
    pub(super) fn scan(&self, event: &Event<'_>, scratch: &mut Scratch) {
        for (at, group) in self.groups.iter().enumerate() {
            match &group.source {
                Source::Url => self.url(group, event, scratch),
                Source::Line => self.line(group, event, scratch),
                Source::Slot(text) => event.text(*text).into_iter().for_each(|text| self.value(at, text, scratch)),
                Source::Category => event.categories.iter().for_each(|text| self.value(at, text, scratch)),
                Source::Type => event.types.iter().for_each(|text| self.value(at, text, scratch)),
                Source::Tags => event.tags().iter().for_each(|text| self.value(at, text, scratch)),
                Source::Extra(_) => {}
            }
        }
        if !self.extras.is_empty() {
            self.extras(event, scratch);
        }
        for (field, integers) in &self.numbers {
            let tests = event.number(*field).and_then(|number| integers.get(&number));
            for test in tests.into_iter().flatten() {
                self.mark(Hit { test: *test, certain: true }, scratch);
            }
        }
    }

    fn mark(&self, hit: Hit, scratch: &mut Scratch) {
        scratch.marks.hit(hit, &self.witness_of[hit.test as usize]);
    }

    /// Fields without a slot: where a name was given twice, the last one counts.
    fn extras(&self, event: &Event<'_>, scratch: &mut Scratch) {
        for (name, value) in event.extras().iter().rev() {
            let Some(group) = self.extras.get(*name) else { continue };
            if scratch.marks.first_of_group(*group) {
                scalar_text(*value, 0, &mut |text| {
                    self.value(*group, text, scratch);
                    false
                });
            }
        }
    }

    /// A value on its own, by memory where it was seen before.
    fn value(&self, at: usize, text: &str, scratch: &mut Scratch) {
        let group = &self.groups[at];
        if text.len() > MEMO_TEXT_BYTES_MAX {
            let joined = Joined { whole: None, pieces: [Some((WHOLE, text)), None] };
            return self.joined(group, &joined, None, scratch);
        }
        let slot = scratch.memo.slot(at, text);
        if let Some(hits) = scratch.memo.get(slot, at, text) {
            hits.iter().for_each(|hit| scratch.marks.hit(*hit, &self.witness_of[hit.test as usize]));
            return;
        }
        scratch.text.clear();
        fold_into(text, &mut scratch.text);
        scratch.hits.clear();
        let ranges = [Range { slot: WHOLE, start: 0, end: scratch.text.len() }];
        group.scan(&scratch.text, &ranges, |hit| scratch.hits.push(hit));
        for hit in &scratch.hits {
            scratch.marks.hit(*hit, &self.witness_of[hit.test as usize]);
        }
        scratch.memo.put(slot, at, text, &mut scratch.hits);
    }

    fn url(&self, group: &Group, event: &Event<'_>, scratch: &mut Scratch) {
        let original = event.text(Text::UrlOriginal);
        let path = event.text(Text::UrlPath).map(|text| (FIRST, text));
        let query = event.text(Text::UrlQuery).map(|text| (SECOND, text));
        match original {
            Some(original) if is_joined(original, path, query) => {
                self.forms(group, original, &Joined { whole: Some(WHOLE), pieces: [path, query] }, scratch);
            }
            Some(_) | None => {
                for (slot, text) in [original.map(|text| (WHOLE, text)), path, query].into_iter().flatten() {
                    if group.asked[slot] {
                        self.forms(group, text, &Joined { whole: None, pieces: [Some((slot, text)), None] }, scratch);
                    }
                }
            }
        }
    }

    fn forms(&self, group: &Group, text: &str, joined: &Joined<'_>, scratch: &mut Scratch) {
        if group.may_hold(text.as_bytes()) {
            self.joined(group, joined, None, scratch);
        }
        for form in forms_of(text) {
            self.joined(group, joined, Some(*form), scratch);
        }
    }

    fn line(&self, group: &Group, event: &Event<'_>, scratch: &mut Scratch) {
        let alone = |slot, text| Joined { whole: None, pieces: [Some((slot, text)), None] };
        let may_hold = |text: &[u8], slot: usize| group.asked[slot] && group.may_hold(text);
        let message = event.text(Text::Message).filter(|message| may_hold(message.as_bytes(), FIRST));
        let tail = message.filter(|message| event.original.is_ascii() && event.original.ends_with(message.as_bytes()));
        if may_hold(event.original, WHOLE) || tail.is_some() {
            let line = String::from_utf8_lossy(event.original);
            self.line_and_tail(group, &line, tail.map(str::len), scratch);
        }
        if let (Some(message), None) = (message, tail) {
            self.joined(group, &alone(FIRST, message), None, scratch);
        }
    }

    /// Scans a line, whose last `tail` bytes are the message too, where that is so.
    fn line_and_tail(&self, group: &Group, line: &str, tail: Option<usize>, scratch: &mut Scratch) {
        let text = &mut scratch.text;
        text.clear();
        fold_into(line, text);
        let end = text.len();
        let whole = Range { slot: WHOLE, start: 0, end };
        let ranges = [whole, tail.map_or(whole, |tail| Range { slot: FIRST, start: end - tail, end })];
        let marks = &mut scratch.marks;
        group.scan(text, &ranges, |hit| marks.hit(hit, &self.witness_of[hit.test as usize]));
    }

    /// Scans one form of a joined text.
    fn joined(&self, group: &Group, joined: &Joined<'_>, form: Option<Form>, scratch: &mut Scratch) {
        let text = &mut scratch.text;
        text.clear();
        let mut ranges = [Range { slot: WHOLE, start: 0, end: 0 }; SLOTS];
        let mut count = 0;
        for (slot, piece) in joined.pieces.into_iter().flatten() {
            if count > 0 {
                text.push('?');
            }
            let start = text.len();
            match form {
                None => fold_into(piece, text),
                Some(form) => fold_into(&decoded(form, piece), text),
            }
            ranges[count] = Range { slot, start, end: text.len() };
            count += 1;
        }
        if let Some(slot) = joined.whole {
            ranges[count] = Range { slot, start: 0, end: text.len() };
            count += 1;
        }
        let marks = &mut scratch.marks;
        group.scan(text, &ranges[..count], |hit| marks.hit(hit, &self.witness_of[hit.test as usize]));
    }
}

/// Whether `original` is exactly the path, and after a question mark the query. The mark is neither part of an escape
/// nor of a character, so each form of the whole is its pieces' forms, joined.
fn is_joined(original: &str, path: Option<(usize, &str)>, query: Option<(usize, &str)>) -> bool {
    match (path, query) {
        (Some((_, path)), None) => original == path,
        (Some((_, path)), Some((_, query))) => {
            original.len() == path.len() + 1 + query.len()
                && original.as_bytes()[path.len()] == b'?'
                && original.starts_with(path)
                && original.ends_with(query)
        }
        (None, _) => false,
    }
}
