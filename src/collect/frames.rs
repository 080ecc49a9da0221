//! Bytes of a syslog connection → messages (RFC 6587), and what a message is as a record. Pure.
//!
//! Each message says for itself how it is framed: `LENGTH SP <` is octet-counted, everything else ends with a line feed
//! or a NUL. Senders mix both, and many plain senders do not write a priority; so only a number before `<` is a count.
//! Deliberately without reading the message: the pipeline's decoder does.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::lines::KEPT_BYTES_MAX;
use crate::event::LINE_BYTES_MAX;

/// Digits of a count: ten megabytes less one. What says more is no count; a longer one would let one damaged frame
/// swallow a connection for hours.
const COUNT_DIGITS_MAX: usize = 7;

/// What was taken of what a connection said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// Bytes that are no longer needed.
    pub bytes: usize,
    pub messages: u64,
    /// Messages of which the end was cut off.
    pub cut: u64,
    /// Bytes still to come of a message that was taken already, cut.
    pub rest: Rest,
}

/// What is passed over before the next message begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    #[default]
    Nothing,
    /// So many bytes.
    Counted(u64),
    /// Everything up to a line feed or NUL.
    ToEnd,
}

/// Takes the whole messages at the start of `bytes` and gives each to `message`; empty ones are none. A message longer
/// than [`LINE_BYTES_MAX`] is taken cut as soon as so much of it is there, and its rest passed over.
pub fn take(bytes: &[u8], rest: Rest, mut message: impl FnMut(&[u8])) -> Framed {
    let mut framed = Framed { rest, ..Framed::default() };
    while framed.step(&bytes[framed.bytes..], &mut message) {}
    framed
}

/// Whether [`take`] can do anything now that `waiting`, of which the first `seen` bytes were not enough, has grown. It
/// keeps a sender that drips one byte at a time from having its whole message looked through for each.
pub fn may_take(waiting: &[u8], seen: usize, rest: Rest) -> bool {
    let counted = || may_become_count(&waiting[..seen]) || count(waiting).is_some();
    let ended = || memchr2(b'\n', 0, &waiting[seen..]).is_some();
    rest != Rest::Nothing || waiting.len() > LINE_BYTES_MAX || counted() || ended()
}

/// The message that a connection ended in: without a count, the end of the connection is its end.
pub fn take_last(bytes: &[u8], rest: Rest, mut message: impl FnMut(&[u8])) -> Framed {
    let mut framed = Framed { bytes: bytes.len(), rest, ..Framed::default() };
    if rest == Rest::Nothing {
        let text = count(bytes).map_or(bytes, |(_, start)| &bytes[start..]);
        framed.give(text, &mut message);
    }
    framed
}

impl Framed {
    /// Takes one message, or passes over the rest of one; `false` where more bytes are needed.
    fn step(&mut self, bytes: &[u8], message: &mut impl FnMut(&[u8])) -> bool {
        match self.rest {
            Rest::Nothing => self.step_message(bytes, message),
            Rest::Counted(left) => {
                let skipped = left.min(bytes.len() as u64);
                self.bytes += skipped as usize;
                self.rest = if left == skipped { Rest::Nothing } else { Rest::Counted(left - skipped) };
                left == skipped
            }
            Rest::ToEnd => {
                let end = memchr2(b'\n', 0, bytes);
                self.bytes += end.map_or(bytes.len(), |end| end + 1);
                self.rest = if end.is_some() { Rest::Nothing } else { Rest::ToEnd };
                end.is_some()
            }
        }
    }

    fn step_message(&mut self, bytes: &[u8], message: &mut impl FnMut(&[u8])) -> bool {
        if may_become_count(bytes) {
            return false;
        }
        if let Some((length, start)) = count(bytes) {
            return self.step_counted(&bytes[start..], start, length, message);
        }
        if let Some(end) = memchr2(b'\n', 0, bytes) {
            self.give(&bytes[..end], message);
            self.bytes += end + 1;
        } else if bytes.len() > LINE_BYTES_MAX {
            self.give(bytes, message);
            self.bytes += bytes.len();
            self.rest = Rest::ToEnd;
        } else {
            return false;
        }
        true
    }

    fn step_counted(&mut self, text: &[u8], start: usize, length: usize, message: &mut impl FnMut(&[u8])) -> bool {
        if text.len() >= length {
            self.give(&text[..length], message);
            self.bytes += start + length;
        } else if text.len() > LINE_BYTES_MAX {
            self.give(text, message);
            self.bytes += start + text.len();
            self.rest = Rest::Counted((length - text.len()) as u64);
        } else {
            return false;
        }
        true
    }

    fn give(&mut self, text: &[u8], message: &mut impl FnMut(&[u8])) {
        let (value, cut) = value(text);
        if !value.is_empty() {
            self.messages += 1;
            self.cut += u64::from(cut);
            message(&value);
        }
    }
}

/// A message as the value of a record, and whether its end was cut off: without the ends that senders put behind it, and
/// with each line feed inside written `#012`, as rsyslog does. A record is split at its line feeds later, so a line feed
/// inside a message would let whoever can put text into a log write lines of his own, with any client address in them.
pub fn value(message: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let length = message.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    let text = &message[..length];
    let cut = text.len() > LINE_BYTES_MAX;
    let text = if cut { &text[..KEPT_BYTES_MAX] } else { text };
    if memchr(b'\n', text).is_none() {
        return (Cow::Borrowed(text), cut);
    }
    let mut escaped = text.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"#012"[..]);
    let cut = cut || escaped.len() > LINE_BYTES_MAX;
    escaped.truncate(KEPT_BYTES_MAX);
    (Cow::Owned(escaped), cut)
}

/// The length that an octet-counted message states, and where the message begins.
fn count(bytes: &[u8]) -> Option<(usize, usize)> {
    let digits = digits(bytes);
    let shaped = (1..=COUNT_DIGITS_MAX).contains(&digits) && bytes[0] != b'0' && bytes[digits..].starts_with(b" <");
    let number = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    shaped.then_some((number, digits + 1))
}

/// Whether what is there is too short to tell a count from a plain message.
fn may_become_count(bytes: &[u8]) -> bool {
    let digits = digits(bytes);
    let behind = &bytes[digits..];
    digits <= COUNT_DIGITS_MAX && !bytes.starts_with(b"0") && (behind.is_empty() || (digits > 0 && behind == b" "))
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take(COUNT_DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a connection that says `bytes` in parts of these lengths gives.
    fn receive(bytes: &[u8], parts: &[usize]) -> Vec<Vec<u8>> {
        let (mut found, mut waiting, mut rest, mut at, mut seen) = (Vec::new(), Vec::new(), Rest::Nothing, 0, 0);
        for part in parts.iter().copied().chain([bytes.len()]) {
            let end = (at + part).min(bytes.len());
            waiting.extend_from_slice(&bytes[at..end]);
            at = end;
            if !may_take(&waiting, seen, rest) {
                seen = waiting.len();
                continue;
            }
            let framed = take(&waiting, rest, |message| found.push(message.to_vec()));
            waiting.drain(..framed.bytes);
            rest = framed.rest;
            seen = waiting.len();
        }
        take_last(&waiting, rest, |message| found.push(message.to_vec()));
        found
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        receive(bytes, &[]).iter().map(|message| String::from_utf8_lossy(message).into_owned()).collect()
    }

    #[test]
    fn framings() {
        let cases: &[(&str, &[&str])] = &[
            ("<34>a b\n<34>c\n", &["<34>a b", "<34>c"]),
            ("<34>a\0<34>b\0", &["<34>a", "<34>b"]),
            ("<34>a\r\n\r\n\0<34>without end", &["<34>a", "<34>without end"]),
            ("5 <34>a6 <34>bc", &["<34>a", "<34>bc"]),
            ("6 <34>a\n<34>plain\n7 <34>b\nc<34>d\n", &["<34>a", "<34>plain", "<34>b#012c", "<34>d"]),
            ("203.0.113.9 - - [x]\n2026-11-23T00:00:00Z h\n", &["203.0.113.9 - - [x]", "2026-11-23T00:00:00Z h"]),
            ("12 apples\n0 <34>a\n012 <a\n", &["12 apples", "0 <34>a", "012 <a"]),
            ("99999999 <34>too long a count\n", &["99999999 <34>too long a count"]),
            ("20 <34>cut sh", &["<34>cut sh"]),
            ("20 ", &["20 "]),
            ("", &[]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(texts(bytes.as_bytes()), *expected, "{bytes:?}");
        }
    }

    fn message() -> impl Strategy<Value = (String, u8)> {
        ("<[0-9]{1,2}>[ -~]{0,20}[!-~]", 0u8..3)
    }

    proptest! {
        #[test]
        fn parts_cannot_be_seen(
            messages in prop::collection::vec(message(), 0..8), parts in prop::collection::vec(0usize..9, 0..40),
        ) {
            let mut bytes = Vec::new();
            for (text, framing) in &messages {
                match framing {
                    0 => bytes.extend_from_slice(format!("{} {text}", text.len()).as_bytes()),
                    1 => bytes.extend_from_slice(format!("{text}\n").as_bytes()),
                    _ => bytes.extend_from_slice(format!("{text}\0").as_bytes()),
                }
            }
            let expected: Vec<Vec<u8>> = messages.iter().map(|(text, _)| text.clone().into_bytes()).collect();
            prop_assert_eq!(receive(&bytes, &parts), expected);
        }

        #[test]
        fn any_bytes_give_messages_without_line_feeds(
            bytes in prop::collection::vec(prop::sample::select(&b"<019 \n\0x"[..]), 0..60),
            parts in prop::collection::vec(0usize..9, 0..20),
        ) {
            let found = receive(&bytes, &parts);
            prop_assert!(found.iter().all(|message| !message.is_empty() && !message.contains(&b'\n')));
            prop_assert_eq!(found, receive(&bytes, &[]));
        }
    }

    #[test]
    fn the_limit_is_exact_in_each_framing() {
        for (length, kept) in
            [(LINE_BYTES_MAX, LINE_BYTES_MAX), (LINE_BYTES_MAX + 1, KEPT_BYTES_MAX), (2_000_000, KEPT_BYTES_MAX)]
        {
            let text = [b"<1>".to_vec(), vec![b'x'; length - 3]].concat();
            let counted = [format!("{length} ").as_bytes(), &text, b"<2>next\n"].concat();
            let plain = [&text[..], b"\n<2>next\n"].concat();
            for bytes in [counted, plain] {
                let found = receive(&bytes, &[100_000; 30]);
                assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [kept, 7], "{length}");
            }
        }
    }
}
