//! How each server writes what happened. Pure.

use std::fmt::Write as _;

use crate::event::{DAY, Time};

/// One log line of the generated day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The pipeline that reads it: `nginx`, `sshd`, `login`, `modsecurity` or `suricata`.
    pub pipeline: &'static str,
    /// When it was written, to the millisecond; the text may be coarser.
    pub time: Time,
    /// Without a line end.
    pub line: String,
}

/// One web request with its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) client: &'a str,
    /// Method and target, or the bytes that came instead, as nginx escapes them.
    pub(super) line: &'a str,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) referrer: &'a str,
    pub(super) agent: &'a str,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The epoch was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// nginx's `combined` format.
pub(super) fn combined(time: Time, request: Request<'_>) -> String {
    let Request { client, line, status, bytes, referrer, agent } = request;
    format!("{client} - - [{}] \"{line}\" {status} {bytes} \"{referrer}\" \"{agent}\"", clf(time))
}

/// rsyslog's file format, with microseconds that are made up from `noise`.
pub(super) fn syslog(time: Time, noise: u64, program: &str, message: &str) -> String {
    let text = time.to_string();
    let seconds = text.strip_suffix('Z').unwrap_or(&text);
    format!("{seconds}{:03}+00:00 web01 {program}: {message}", noise % 1_000)
}

/// `23/Nov/2026:17:02:03 +0000`
fn clf(time: Time) -> String {
    let c = time.to_civil();
    let month = MONTHS[usize::from(c.month - 1)];
    format!("{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000", c.day, c.year, c.hour, c.minute, c.second)
}

/// `Mon Nov 23 17:02:03 2026`
pub(super) fn asctime(time: Time) -> String {
    let c = time.to_civil();
    let weekday = WEEKDAYS[time.0.div_euclid(DAY).rem_euclid(7) as usize];
    let month = MONTHS[usize::from(c.month - 1)];
    format!("{weekday} {month} {:2} {:02}:{:02}:{:02} {:04}", c.day, c.hour, c.minute, c.second, c.year)
}

/// A text as a JSON string, with its quotes.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_each_server_does() {
        let time = Time(1_795_453_503_414);
        assert_eq!(clf(time), "23/Nov/2026:17:05:03 +0000");
        assert_eq!(asctime(time), "Mon Nov 23 17:05:03 2026");
        assert_eq!(asctime(Time(0)), "Thu Jan  1 00:00:00 1970");
        assert_eq!(syslog(time, 5_007, "sshd[1]", "x"), "2026-11-23T17:05:03.414007+00:00 web01 sshd[1]: x");
    }

    #[test]
    fn json_strings_are_read_back() {
        let text = "a\"b\\c\u{1}d\n日";
        assert_eq!(serde_json::from_str::<String>(&json(text)).ok().as_deref(), Some(text));
    }
}
