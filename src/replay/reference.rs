//! The year of lines that have none (outputs sheet, "Replay"). Pure.
//!
//! A line has a full date where its claim does not depend on what year it is asked in, so whatever a decoder reads as a
//! time counts, and a date in a URL does not. Deliberately without files: heads and modification times are arguments.

use crate::event::{DAY, Time};

/// Two instants so far apart that a guessed year cannot be the same for both: mid 1984 and mid 2040, both leap years,
/// so that 29 February is a day in either.
const ASKED: [Time; 2] = [Time(5_295 * DAY), Time(25_749 * DAY)];

/// The newest full date that a line of `head` claims. `claim` gives the time of a line when asked at an instant.
pub fn newest_full_date(head: &[u8], mut claim: impl FnMut(&[u8], Time) -> Option<Time>) -> Option<Time> {
    let full = |line: &[u8]| {
        let [first, second] = ASKED.map(|at| claim(line, at));
        first.filter(|_| first == second)
    };
    whole_lines(head).filter_map(full).max()
}

/// The lines of a head that is not cut in the middle of its last one; of a short head also the last.
fn whole_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let cut = head.len() >= super::source::HEAD_BYTES_MAX;
    let end = if cut { memchr::memrchr(b'\n', head).unwrap_or(0) } else { head.len() };
    head[..end].split(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `=N` claims N, `~N` claims N counted from whenever it is asked.
    fn claim(line: &[u8], at: Time) -> Option<Time> {
        let number = std::str::from_utf8(line.get(1..)?).ok()?.parse().ok()?;
        if line[0] == b'=' { Some(Time(number)) } else { Some(at.plus(number)) }
    }

    #[test]
    fn only_full_dates_count_and_the_newest_wins() {
        assert_eq!(newest_full_date(b"~9\n=5\nnoise\n=7\n=6", claim), Some(Time(7)));
        assert_eq!(newest_full_date(b"~9\n~10", claim), None);
        assert_eq!(newest_full_date(b"", claim), None);
    }

    #[test]
    fn a_cut_last_line_does_not_count() {
        let mut head = vec![b'x'; super::super::source::HEAD_BYTES_MAX - 5];
        head.extend_from_slice(b"\n=123");
        assert_eq!(newest_full_date(&head, claim), None);
    }

    #[test]
    fn the_instants_lie_in_leap_years() {
        assert!(ASKED.iter().all(|at| at.to_civil().year % 4 == 0 && at.to_civil().month == 7));
    }
}
