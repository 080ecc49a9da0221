//! What is kept of a record that could not become an event. Pure but for catching what must not happen.
//!
//! Deliberately only a head of its bytes: enough to find out why, little enough for a flood of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::event::Time;
use crate::event::outcome::DeadLetter;

/// So many of a record's first bytes are kept (outputs sheet).
const HEAD_BYTES_MAX: usize = 4 * 1024;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A record on which the code that examines records gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// Which record of its chunk.
    pub index: usize,
    pub offset: u64,
    pub bytes: u64,
    pub reason: String,
    head_base64: String,
}

impl Poison {
    /// Keeps the head of a record.
    pub fn new(index: usize, offset: u64, record: &[u8], reason: String) -> Poison {
        let head_base64 = base64(&record[..record.len().min(HEAD_BYTES_MAX)]);
        Poison { index, offset, bytes: record.len() as u64, reason, head_base64 }
    }

    /// The outcome that tells of it.
    pub fn letter(&self, pipeline: &str, partition: u32, appended_at: Time) -> DeadLetter {
        DeadLetter {
            topic: pipeline.to_owned(),
            partition,
            offset: self.offset,
            pipeline: pipeline.to_owned(),
            appended_at,
            reason: self.reason.clone(),
            bytes: self.bytes,
            head_base64: self.head_base64.clone(),
        }
    }
}

/// Runs `work`.
///
/// # Errors
/// Where our own code gives up in it: with what words.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        format!("poison: examining it failed: {}", text.unwrap_or("without a message"))
    })
}

/// RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for sextet in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * sextet) & 63) as usize];
            out.push(if sextet <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        assert!(pairs.iter().all(|(text, coded)| base64(text.as_bytes()) == *coded));
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn only_the_head_is_kept() {
        let letter = Poison::new(0, 9, &[b'x'; 10_000], "poison".into()).letter("nginx", 1, Time(5));
        assert_eq!(
            (letter.bytes, letter.head_base64.len(), letter.offset),
            (10_000, HEAD_BYTES_MAX.div_ceil(3) * 4, 9)
        );
    }

    #[test]
    fn poison_says_what_gave_up() {
        assert_eq!(caught(|| 7), Ok(7));
        let index = std::hint::black_box(3);
        let reason = caught(|| [0u8; 2][index]).unwrap_err();
        assert!(reason.contains("out of bounds"), "{reason}");
    }
}
