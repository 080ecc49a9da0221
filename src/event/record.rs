//! One message as it arrived. Pure.

use super::time::Time;

/// A line longer than this is cut here, marked and judged by what is left: nginx writes at most 32 KiB of request,
/// Suricata's largest EVE records stay under 200 KiB, and memory stays bounded whatever arrives (security sheet §4.4).
pub const LINE_BYTES_MAX: usize = 256 * 1024;

/// One message as it arrived: where, when the journal took it, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub offset: u64,
    /// The journal's own time.
    pub appended_at: Time,
    pub bytes: &'a [u8],
}
