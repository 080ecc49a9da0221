//! How the files of a log are called. Pure.
//!
//! Deliberately flat: a segment's number, twenty digits, so that names sort as numbers do.

/// A segment that is being made.
pub(super) const NEXT: &str = "next.new";
/// Space kept back for last words, ready to become a segment.
pub(super) const RESERVE: &str = "reserve";
/// The same, being made.
pub(super) const NEXT_RESERVE: &str = "reserve.new";
const ENDING: &str = ".segment";
const DIGITS: usize = 20;

/// The file of a segment.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:0DIGITS$}{ENDING}")
}

/// The segment a file holds, where it is one.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
