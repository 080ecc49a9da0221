//! A record split into items: one line each, or one JSON object each. Pure.
//!
//! Producers send single lines, lines in one message, pretty-printed JSON, arrays, and objects without anything
//! between them (shippers sheet §2.4). Linear in the record's length. Deliberately without parsing: an item may be
//! broken JSON, and its decoder says so.

use memchr::{memchr, memchr_iter};

/// Splits a record into items, at least one: an empty record is one empty item. Lines that hold nothing are none.
pub fn items(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = spans_lines(record);
    let (lines, values) = if whole { (&record[..0], record) } else { (record, &record[..0]) };
    Items { lines, values, started: false }
}

struct Items<'r> {
    /// What is still to be split into lines.
    lines: &'r [u8],
    /// What is still to be split into JSON objects; comes before `lines`.
    values: &'r [u8],
    started: bool,
}

impl<'r> Iterator for Items<'r> {
    type Item = &'r [u8];

    fn next(&mut self) -> Option<&'r [u8]> {
        let item = self.next_value().or_else(|| self.next_line());
        if item.is_none() && !self.started {
            self.started = true;
            return Some(&self.lines[..0]);
        }
        self.started = true;
        item
    }
}

impl<'r> Items<'r> {
    fn next_value(&mut self) -> Option<&'r [u8]> {
        let start = self.values.iter().position(|byte| !is_between_values(*byte));
        let rest = &self.values[start.unwrap_or(self.values.len())..];
        self.values = &rest[..0];
        if let Some(end) = object_end(rest) {
            self.values = &rest[end..];
            return Some(&rest[..end]);
        }
        // What is no object is split at its lines; where `values` was a line of `lines` already, that is all of it.
        match memchr(b'\n', rest) {
            Some(_) => {
                self.lines = rest;
                None
            }
            None => (!rest.is_empty()).then_some(rest),
        }
    }

    fn next_line(&mut self) -> Option<&'r [u8]> {
        while !self.lines.is_empty() {
            let end = memchr(b'\n', self.lines).unwrap_or(self.lines.len());
            let line = &self.lines[..end];
            self.lines = self.lines.get(end + 1..).unwrap_or_default();
            if line.iter().all(|byte| is_blank(*byte)) {
                continue;
            }
            if !holds_objects(line) {
                return Some(line);
            }
            self.values = line;
            let value = self.next_value();
            if value.is_some() {
                return value;
            }
        }
        None
    }
}

/// Whether JSON begins on the record's first line and does not end on it: then objects may span lines.
fn spans_lines(record: &[u8]) -> bool {
    let Some(start) = json_start(record) else { return false };
    let first = record[start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let last = first.iter().rev().find(|byte| !is_blank(**byte));
    start + first.len() < record.len() && !matches!(last, Some(b'}' | b']'))
}

/// Whether a line is an array of objects, or several objects.
fn holds_objects(line: &[u8]) -> bool {
    let Some(start) = json_start(line) else { return false };
    if line[start] == b'[' {
        return true;
    }
    let begins_object = |end: usize| line[end + 1..].iter().find(|byte| !is_blank(**byte)) == Some(&b'{');
    memchr_iter(b'}', line).any(begins_object)
}

/// Where a JSON object or an array of objects begins, if that is what `text` begins with.
fn json_start(text: &[u8]) -> Option<usize> {
    let start = text.iter().position(|byte| !is_blank(*byte))?;
    match &text[start..] {
        [b'{', ..] => Some(start),
        [b'[', rest @ ..] => (rest.iter().find(|byte| !is_space(**byte)) == Some(&b'{')).then_some(start),
        _ => None,
    }
}

/// The length of the JSON object that `text` begins with, or `None` where it does not end or holds a line end inside a
/// text, which JSON cannot.
fn object_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = text_end(text, at + 1)?,
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The place of the quote that ends a JSON text.
fn text_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at += memchr::memchr3(b'"', b'\\', b'\n', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => return None,
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What a line may hold and still be empty: rsyslog and C programs leave a NUL.
fn is_blank(byte: u8) -> bool {
    is_space(byte) || byte == 0
}

fn is_between_values(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b',' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(record: &str) -> Vec<&str> {
        items(record.as_bytes()).map(|item| std::str::from_utf8(item).unwrap()).collect()
    }

    #[test]
    fn records_of_all_kinds() {
        for (record, expected) in [
            ("", vec![""]),
            ("\n\r\n\0", vec![""]),
            ("one line", vec!["one line"]),
            ("one\r\n\ntwo\n", vec!["one\r", "two"]),
            ("[23/Nov/2026] x\n{", vec!["[23/Nov/2026] x", "{"]),
            (r#"{"a":{"b":"}{"}}"#, vec![r#"{"a":{"b":"}{"}}"#]),
            (r#"{"a":1} {"b":"\"}{"}{}"#, vec![r#"{"a":1}"#, r#"{"b":"\"}{"}"#, "{}"]),
            ("{\"a\":1}\n{\"b\":2}{\"c\":3}\n", vec![r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]),
            ("{\n \"a\": {\n }\n}\n", vec!["{\n \"a\": {\n }\n}"]),
            ("{\n}{\n}", vec!["{\n}", "{\n}"]),
            (r#"[{"a":[{}]},{"b":2}]"#, vec![r#"{"a":[{}]}"#, r#"{"b":2}"#]),
            ("[\n  {\"a\":1},\n  {\"b\":2}\n]\n", vec![r#"{"a":1}"#, r#"{"b":2}"#]),
            ("{\"a\":1,\n{\"b\":2}", vec!["{\"a\":1,", "{\"b\":2}"]),
            ("{\"a\n{\"b\":2}\nthree", vec!["{\"a", "{\"b\":2}", "three"]),
            (r#"{"a":1} {"b"#, vec![r#"{"a":1}"#, r#"{"b"#]),
            (r#"{"a":1}{} rest"#, vec![r#"{"a":1}"#, "{}", "rest"]),
            ("[]", vec!["[]"]),
            ("[{}]", vec!["{}"]),
        ] {
            assert_eq!(split(record), expected, "{record}");
        }
    }

    proptest! {
        #[test]
        fn any_record_gives_items_in_order_and_at_least_one(record in "[\\[\\]{}\",\\\\ a\n\0\r]{0,80}") {
            let record = record.as_bytes();
            let mut end = record.as_ptr() as usize;
            let mut count = 0;
            for item in items(record) {
                let start = item.as_ptr() as usize;
                prop_assert!(count == 0 || (start >= end && !item.is_empty()));
                end = start + item.len();
                count += 1;
            }
            prop_assert!(count >= 1 && end <= record.as_ptr() as usize + record.len());
            let kept = |byte: &u8| !is_between_values(*byte);
            let all: usize = items(record).map(|item| item.iter().filter(|byte| kept(byte)).count()).sum();
            prop_assert_eq!(all, record.iter().filter(|byte| kept(byte)).count());
        }
    }
}
