//! Strings inside JSON: where they end, and their escapes undone once. Pure.
//!
//! Besides JSON's own escapes it knows the `\xHH` of nginx and Apache, which log servers write into templates that
//! look like JSON. Deliberately without a look at percent escapes: those belong to the address, not to the log.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use super::reader::Mends;

/// Some writers on Windows begin a file with it.
pub(super) const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How a string that is not plain ends.
pub(super) struct Scan {
    /// Index of the closing quote, or the length where there is none.
    pub(super) end: usize,
    /// A raw control character or `\xHH`: no JSON, but what log servers write.
    pub(super) odd: bool,
    pub(super) closed: bool,
}

/// Finds the end of a string from `at`, where the first byte stands that is not plain.
pub(super) fn scan(bytes: &[u8], mut at: usize) -> Scan {
    let mut odd = false;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Scan { end: at, odd, closed: true },
            Some(b'\\') => {
                odd |= bytes.get(at + 1) == Some(&b'x');
                at = (at + 2).min(bytes.len());
            }
            Some(_) => {
                odd |= bytes[at] < 0x20;
                at += 1;
            }
            None => return Scan { end: at, odd, closed: false },
        }
        at = plain(bytes, at);
    }
}

/// The index from `at` on of the first byte that is quote, backslash or control character, or the length.
#[inline(always)]
pub(super) fn plain(bytes: &[u8], mut at: usize) -> usize {
    // Keys and most values end within two words, so the wider loop is only worth its start behind them.
    for _ in 0..2 {
        let Some(word) = word(bytes, at) else { return plain_end(bytes, at) };
        let found = special(word);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    plain_long(bytes, at)
}

/// The index from `at` on of the first byte that is no digit, or the length.
#[inline(always)]
pub(super) fn digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(bytes, at) {
        let digits = word ^ (LOW * b'0' as u64);
        // A carry comes from a byte that is no digit itself, so the first one is exact.
        let others = (digits.wrapping_add(LOW * 0x76) | digits) & HIGH;
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// [`plain`] for the rest of a long string, in blocks that the compiler turns into vector instructions.
fn plain_long(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<32>) {
        if block.iter().fold(false, |found, byte| found | is_special(*byte)) {
            break;
        }
        at += 32;
    }
    while let Some(word) = word(bytes, at) {
        let found = special(word);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    plain_end(bytes, at)
}

fn plain_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|chunk| u64::from_le_bytes(*chunk))
}

/// The high bit of each byte that is special. Borrows may set bits above the first one, which alone is exact.
#[inline(always)]
fn special(word: u64) -> u64 {
    // With its second bit turned over the quote stands directly above the control characters: one comparison for both.
    let quote_or_control = (word ^ (LOW * 2)).wrapping_sub(LOW * 0x21);
    let slash = (word ^ (LOW * b'\\' as u64)).wrapping_sub(LOW);
    (quote_or_control | slash) & !word & HIGH
}

#[inline(always)]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Valid UTF-8, borrowed where it is, else a copy with replacement characters.
pub(super) fn utf8<'a>(bytes: &'a [u8], arena: &'a Bump, invalid: &mut bool) -> &'a str {
    std::str::from_utf8(bytes).unwrap_or_else(|_| {
        *invalid = true;
        arena.alloc_str(&String::from_utf8_lossy(bytes))
    })
}

/// Undoes escapes; `\x41` becomes the byte, a lone surrogate the replacement character, any other escape stays.
pub(super) fn unescape<'a>(written: &str, arena: &'a Bump, mends: &mut Mends) -> &'a str {
    let mut bytes = ArenaVec::with_capacity_in(written.len(), arena);
    let mut rest = written.as_bytes();
    while let Some(slash) = memchr::memchr(b'\\', rest) {
        bytes.extend_from_slice(&rest[..slash]);
        rest = &rest[slash..];
        let used = escape(rest, &mut bytes, mends);
        rest = &rest[used..];
    }
    bytes.extend_from_slice(rest);
    utf8(bytes.into_bump_slice(), arena, &mut mends.invalid_utf8)
}

/// Writes what the escape at the start of `rest` stands for, and says how long it is.
fn escape(rest: &[u8], out: &mut ArenaVec<'_, u8>, mends: &mut Mends) -> usize {
    let plain = match rest.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'u') => return unicode(rest, out, mends),
        Some(b'x') => match hex(rest, 2, 2) {
            Some(byte) => {
                out.push(byte as u8);
                return 4;
            }
            None => return unknown(out, mends),
        },
        Some(_) | None => return unknown(out, mends),
    };
    out.push(plain);
    2
}

fn unknown(out: &mut ArenaVec<'_, u8>, mends: &mut Mends) -> usize {
    mends.bad_escape = true;
    out.push(b'\\');
    1
}

fn unicode(rest: &[u8], out: &mut ArenaVec<'_, u8>, mends: &mut Mends) -> usize {
    let Some(first) = hex(rest, 2, 4) else { return unknown(out, mends) };
    let second = (rest.get(6..8) == Some(br"\u")).then(|| hex(rest, 8, 4)).flatten();
    let (code, used) = match (first, second) {
        (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => (0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00), 12),
        _ => (first, 6),
    };
    let character = char::from_u32(code).unwrap_or_else(|| {
        mends.bad_escape = true;
        char::REPLACEMENT_CHARACTER
    });
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    used
}

fn hex(bytes: &[u8], start: usize, length: usize) -> Option<u32> {
    let digits = bytes.get(start..start + length)?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn searches_find_the_first(
            before in prop::collection::vec(any::<u8>(), 0..4),
            texts in prop::collection::vec(0x20u8..=0xff, 0..70),
            odd in any::<u8>(),
            after in prop::collection::vec(any::<u8>(), 0..70),
        ) {
            let bytes = [before.clone(), texts, vec![odd], after].concat();
            for at in [0, before.len(), bytes.len(), bytes.len() + 1] {
                let rest = bytes.get(at..).unwrap_or_default();
                let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
                prop_assert_eq!(plain(&bytes, at), at + special.unwrap_or(rest.len()));
            }
            let number = [vec![b'7'; before.len() * 5], bytes].concat();
            let end = number.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(number.len());
            prop_assert_eq!(digits(&number, 0), end);
        }
    }
}
