//! A pull reader for JSON as servers really write it: one pass, tolerant, borrowing. Pure.
//!
//! It never recurses: the caller walks objects and arrays and cannot get deeper than [`DEPTH_MAX`], because a value
//! that lies deeper is skipped with a counter. What a log writer commonly breaks is mended on the way and noted in
//! [`Mends`]; anything else is [`Broken`]. Deliberately without a document tree: a value nobody asks for is passed
//! over, not built.

use bumpalo::Bump;

use super::map::Brief;
use super::string::{self, Scan};

/// Objects and arrays nested deeper than this are dropped: no log writer nests deeper, an attacker does.
pub(super) const DEPTH_MAX: u32 = 32;
/// Digits of a number that are read; a longer one says nothing that a float could hold.
pub(super) const NUMBER_BYTES_MAX: usize = 64;

/// The text is no JSON, and not almost JSON either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What had to be mended or dropped so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mends {
    pub(super) repaired: bool,
    pub(super) invalid_utf8: bool,
    pub(super) bad_escape: bool,
    pub(super) too_deep: bool,
}

/// One value; after `Object` and `Array` the caller goes on inside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Object,
    Array,
    Text(Raw),
    /// The digits as written.
    Number(Raw),
    True,
    False,
    Null,
    /// An empty value, a bare `-`, or something dropped for its depth or length.
    Absent,
}

/// The inside of a string, or a number, as written: where it starts (32 bits) and ends (31), and whether it has escapes
/// (the lowest). One word, so that a [`Value`] travels in two registers instead of through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw(u64);

impl Raw {
    #[inline(always)]
    fn new(start: usize, end: usize, escaped: bool) -> Raw {
        Raw((start as u64) << 32 | (end as u64) << 1 | u64::from(escaped))
    }

    fn is_escaped(self) -> bool {
        self.0 & 1 == 1
    }

    #[inline(always)]
    fn range(self) -> std::ops::Range<usize> {
        (self.0 >> 32) as usize..(self.0 as u32 >> 1) as usize
    }
}

/// Where the reader stands in one item.
pub(super) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    /// Whether nothing was read yet in the innermost container, so that no comma is due.
    fresh: bool,
    arena: &'a Bump,
    pub(super) mends: Mends,
}

impl<'a> Reader<'a> {
    /// A reader that stands inside the outermost object, or `None` where the item is no object.
    pub(super) fn object(item: &'a str, arena: &'a Bump) -> Option<Reader<'a>> {
        let bytes = item.as_bytes();
        let start = bytes.iter().position(|byte| !is_space(*byte) && !string::BYTE_ORDER_MARK.contains(byte))?;
        if bytes[start] != b'{' {
            return None;
        }
        let (text, mends) = (item.get(start..)?, Mends::default());
        // Places in it are kept in 31 bits; a line is a thousandth of that at most.
        i32::try_from(text.len()).ok()?;
        Some(Reader { text, bytes: text.as_bytes(), at: 1, depth: 1, fresh: true, arena, mends })
    }

    /// The arena that unescaped texts live in.
    pub(super) fn arena(&self) -> &'a Bump {
        self.arena
    }

    /// The next key of the object the reader stands in, the colon passed; `None` at the object's end.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<Option<Raw>, Broken> {
        match self.compact_key() {
            Some(key) => Ok(Some(key)),
            None => self.spaced_key(),
        }
    }

    /// `,"key":` without a space and without anything to mend, which is how nearly every member is written.
    #[inline(always)]
    fn compact_key(&mut self) -> Option<Raw> {
        let start = match self.bytes.get(self.at..)? {
            [b'"', ..] if self.fresh => self.at + 1,
            [b',', b'"', ..] if !self.fresh => self.at + 2,
            _ => return None,
        };
        let end = string::plain(self.bytes, start);
        let [b'"', b':', ..] = self.bytes.get(end..)? else { return None };
        self.at = end + 2;
        self.fresh = false;
        Some(Raw::new(start, end, false))
    }

    fn spaced_key(&mut self) -> Result<Option<Raw>, Broken> {
        if !self.member(b'}')? {
            return Ok(None);
        }
        if self.bytes[self.at] != b'"' {
            return Err(Broken);
        }
        let key = self.string();
        self.space();
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(Some(key))
            }
            None => Ok(self.cut()),
            Some(_) => Err(Broken),
        }
    }

    /// Whether another element follows in the array the reader stands in.
    pub(super) fn element(&mut self) -> Result<bool, Broken> {
        self.member(b']')
    }

    /// The value of the key just read.
    #[inline(always)]
    pub(super) fn value(&mut self) -> Result<Value, Broken> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.string())),
            Some(b'-' | b'0'..=b'9') => {
                let first = self.number()?;
                self.rest_of_list();
                Ok(first)
            }
            // nginx writes nothing for an unset variable: `"urt":,`.
            Some(b',' | b'}') | None => {
                self.mends.repaired = true;
                Ok(Value::Absent)
            }
            Some(byte) => self.other(byte),
        }
    }

    /// The value of the array element that [`Reader::element`] found.
    pub(super) fn element_value(&mut self) -> Result<Value, Broken> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(byte) => self.other(byte),
            None => Ok(Value::Absent),
        }
    }

    /// Passes over the rest of `value`: nothing for scalars, everything inside for objects and arrays.
    #[inline]
    pub(super) fn skip(&mut self, value: Value) -> Result<(), Broken> {
        match value {
            Value::Object => self.skip_container(0),
            Value::Array => self.skip_container(1),
            Value::Text(_) | Value::Number(_) | Value::True | Value::False | Value::Null | Value::Absent => Ok(()),
        }
    }

    /// The bytes of a key with its escapes undone once, as the field map knows it.
    #[inline(always)]
    pub(super) fn name(&mut self, raw: Raw) -> (&'a [u8], Brief) {
        if raw.is_escaped() {
            let name = self.unescaped(raw).as_bytes();
            return (name, Brief::of(name));
        }
        let range = raw.range();
        (&self.bytes[range.clone()], Brief::within(self.bytes, range.start, range.end))
    }

    /// The text of a string with its escapes undone once.
    #[inline(always)]
    pub(super) fn text(&mut self, raw: Raw) -> &'a str {
        if raw.is_escaped() { self.unescaped(raw) } else { self.written(raw) }
    }

    #[cold]
    fn unescaped(&mut self, raw: Raw) -> &'a str {
        string::unescape(self.written(raw), self.arena, &mut self.mends)
    }

    #[inline(always)]
    fn written(&self, raw: Raw) -> &'a str {
        self.text.get(raw.range()).unwrap_or_default()
    }

    /// Whether nothing but space follows the outermost object.
    pub(super) fn finished(&mut self) -> bool {
        while matches!(self.peek(), Some(byte) if is_space(byte)) {
            self.at += 1;
        }
        self.at == self.bytes.len()
    }

    /// Moves to the next member and says whether there is one; commas too many or too few are mended.
    #[inline(always)]
    fn member(&mut self, close: u8) -> Result<bool, Broken> {
        let mut due = !self.fresh;
        loop {
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.mends.repaired |= !due;
                    due = false;
                    self.at += 1;
                }
                Some(byte) if byte == close => {
                    self.mends.repaired |= !self.fresh && !due;
                    self.at += 1;
                    self.leave();
                    return Ok(false);
                }
                Some(b'}' | b']') => return Err(Broken),
                Some(_) => {
                    self.mends.repaired |= due;
                    self.fresh = false;
                    return Ok(true);
                }
                None => {
                    self.cut::<()>();
                    return Ok(false);
                }
            }
        }
    }

    /// The item ends inside a container: the line was cut, what was read stands.
    fn cut<T>(&mut self) -> Option<T> {
        self.mends.repaired = true;
        self.leave();
        None
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.fresh = false;
    }

    fn other(&mut self, byte: u8) -> Result<Value, Broken> {
        match byte {
            b'"' => Ok(Value::Text(self.string())),
            b'{' => self.enter(Value::Object),
            b'[' => self.enter(Value::Array),
            b't' => self.word("true", Value::True),
            b'f' => self.word("false", Value::False),
            b'n' => self.word("null", Value::Null),
            _ => Err(Broken),
        }
    }

    fn enter(&mut self, value: Value) -> Result<Value, Broken> {
        self.at += 1;
        if self.depth >= DEPTH_MAX {
            self.pass_deep();
            return Ok(Value::Absent);
        }
        self.depth += 1;
        self.fresh = true;
        Ok(value)
    }

    /// Passes over a container that lies too deep, counting brackets only.
    fn pass_deep(&mut self) {
        self.mends.too_deep = true;
        let mut open = 1usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
        self.mends.repaired = true;
    }

    /// Passes over an object (`kinds` 0) or array (1) by the same grammar as a reader who wants its values, so that
    /// what fits does not depend on what is kept. One bit per level says which kind it is.
    fn skip_container(&mut self, mut kinds: u64) -> Result<(), Broken> {
        let outside = self.depth - 1;
        while self.depth > outside {
            let array = kinds & 1 == 1;
            let value = match array {
                true if self.element()? => self.element_value()?,
                false if self.key()?.is_some() => self.value()?,
                true | false => {
                    kinds >>= 1;
                    continue;
                }
            };
            match value {
                Value::Object => kinds <<= 1,
                Value::Array => kinds = kinds << 1 | 1,
                Value::Text(_) | Value::Number(_) | Value::True | Value::False | Value::Null | Value::Absent => {}
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn string(&mut self) -> Raw {
        let start = self.at + 1;
        let end = string::plain(self.bytes, start);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Raw::new(start, end, false);
        }
        self.uneven_string(start, end)
    }

    /// A string with escapes or control characters, or without an end.
    #[cold]
    fn uneven_string(&mut self, start: usize, plain: usize) -> Raw {
        let Scan { end, odd, closed } = string::scan(self.bytes, plain);
        self.mends.repaired |= odd || !closed;
        self.at = end + usize::from(closed);
        let escaped = memchr::memchr(b'\\', &self.bytes[start..end]).is_some();
        Raw::new(start, end, escaped)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Broken> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        if !word.as_bytes().starts_with(rest) {
            return Err(Broken);
        }
        self.at = self.bytes.len();
        self.mends.repaired = true;
        Ok(Value::Absent)
    }

    #[inline]
    fn number(&mut self) -> Result<Value, Broken> {
        let start = self.at;
        self.at = string::digits(self.bytes, start);
        if !matches!(self.peek(), Some(b',' | b'}')) {
            self.rest_of_number()?;
        }
        let length = self.at - start;
        if length == 1 && self.bytes[start] == b'-' {
            self.mends.repaired = true;
            return Ok(Value::Absent);
        }
        let raw = Raw::new(start, self.at, false);
        Ok(if length <= NUMBER_BYTES_MAX { Value::Number(raw) } else { Value::Absent })
    }

    /// Passes over sign, fraction and exponent, up to where a number may end.
    fn rest_of_number(&mut self) -> Result<(), Broken> {
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        match self.peek() {
            None | Some(b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\r' | b'\n') => Ok(()),
            Some(_) => Err(Broken),
        }
    }

    /// Passes over the rest of `0.001, 0.002 : 0.003`, what nginx writes after several upstreams.
    fn rest_of_list(&mut self) {
        if let [b',', b'"', ..] | [b'}', ..] = self.bytes[self.at..] {
            return;
        }
        loop {
            let mark = self.at;
            self.space();
            if !matches!(self.peek(), Some(b',' | b':')) {
                return;
            }
            self.at += 1;
            self.space();
            let start = self.at;
            while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'.')) {
                self.at += 1;
            }
            if self.at == start {
                self.at = mark;
                return;
            }
            self.mends.repaired = true;
        }
    }

    #[inline(always)]
    fn space(&mut self) {
        if matches!(self.peek(), Some(..=b' ')) {
            self.pass_space();
        }
    }

    fn pass_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// Space around an item; a NUL is what C programs leave at the end.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0)
}
