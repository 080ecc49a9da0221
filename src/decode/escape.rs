//! The escapes of access logs, undone once: nginx's `\xHH` and Apache's `\"`, `\\`, `\n`, `\xhh`. Pure.
//!
//! Deliberately without percent-decoding: what a visitor encoded is the rules' to judge, not the log's.

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};

/// A text without its escapes.
pub(super) struct Undone<'a> {
    pub(super) text: &'a str,
    /// A backslash that begins no escape was left as it was.
    pub(super) bad_escape: bool,
    /// The escaped bytes are not UTF-8; they were replaced.
    pub(super) invalid_utf8: bool,
}

/// Undoes the escapes of `raw`. The result is never longer than three times `raw`, for bytes that are not UTF-8.
pub(super) fn undo<'a>(raw: &'a str, arena: &'a Bump) -> Undone<'a> {
    let bytes = raw.as_bytes();
    let mut plain = ArenaVec::with_capacity_in(bytes.len(), arena);
    let mut bad_escape = false;
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (byte, used) = escape(rest).unwrap_or_else(|| {
            bad_escape = true;
            (b'\\', 1)
        });
        plain.push(byte);
        rest = &rest[used..];
    }
    plain.extend_from_slice(rest);
    let plain = plain.into_bump_slice();
    match std::str::from_utf8(plain) {
        Ok(text) => Undone { text, bad_escape, invalid_utf8: false },
        Err(_) => {
            let text = ArenaString::from_utf8_lossy_in(plain, arena).into_bump_str();
            Undone { text, bad_escape, invalid_utf8: true }
        }
    }
}

/// The byte that the escape at the start of `text` stands for, and the length of the escape.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let plain = match text {
        [b'\\', b'x', high, low, ..] => return Some((hex(*high)? << 4 | hex(*low)?, 4)),
        [b'\\', plain @ (b'"' | b'\\'), ..] => *plain,
        [b'\\', b'n', ..] => b'\n',
        [b'\\', b't', ..] => b'\t',
        [b'\\', b'r', ..] => b'\r',
        [b'\\', b'b', ..] => 0x08,
        [b'\\', b'v', ..] => 0x0b,
        [b'\\', b'f', ..] => 0x0c,
        _ => return None,
    };
    Some((plain, 2))
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        let arena = Bump::new();
        for (raw, text, bad_escape, invalid_utf8) in [
            (r"/a", "/a", false, false),
            (r"\x41", "A", false, false),
            (r"\x5Cx41", r"\x41", false, false),
            (r#"a \"b\" \\ \t\x0a"#, "a \"b\" \\ \t\n", false, false),
            (r"\xC3\xa9", "é", false, false),
            (r"é\xff", "é\u{fffd}", false, true),
            (r"C:\Users\x4", r"C:\Users\x4", true, false),
            ("\\", "\\", true, false),
        ] {
            let undone = undo(raw, &arena);
            assert_eq!((undone.text, undone.bad_escape, undone.invalid_utf8), (text, bad_escape, invalid_utf8));
        }
    }
}
