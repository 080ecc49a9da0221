//! The frame around a syslog message: time, host, program, process id, and what is left is the message. Pure.
//!
//! Reads RFC 3164 with and without its priority, rsyslog's file formats, and RFC 5424. A line with a time, a host (or
//! none, as some write) and a tag is a frame; anything else is none. Deliberately without meaning: what the message says
//! is read elsewhere.

use crate::decode::{Context, time};
use crate::event::Time;

/// The largest priority: facility 23, severity 7 (RFC 5424 §6.2.1).
const PRIORITY_MAX: i64 = 191;
/// A host name is no longer than this (RFC 5424 §6.1); a longer word is not one.
const HOST_BYTES_MAX: usize = 255;
/// Longer words are no tag. RFC 5424 §6.1 allows 48; file paths as tags are longer.
const TAG_BYTES_MAX: usize = 128;
/// The digits of an octet count (RFC 6587 §3.4.1) of any message that is kept.
const OCTET_COUNT_DIGITS_MAX: usize = 7;
/// Room for a time that is put in another order to be read.
const STAMP_BYTES_MAX: usize = 48;
/// `Mon Nov 23 17:02:03 2026`, as OpenWrt's logread writes it.
const ASCTIME_BYTES: usize = 24;

/// One framed message. Absent parts are `None`, whatever the frame writes for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) time: Option<Time>,
    /// Whether the time names no zone, so that the pipeline's was used.
    pub(super) zoneless: bool,
    pub(super) priority: Option<i64>,
    pub(super) host: Option<&'a str>,
    pub(super) program: Option<&'a str>,
    /// The process id; by RFC 5424 it may be any word.
    pub(super) process: Option<&'a str>,
    pub(super) message_id: Option<&'a str>,
    /// RFC 5424's structured data as written, brackets included.
    pub(super) structured: Option<&'a str>,
    pub(super) message: &'a str,
}

impl<'a> Frame<'a> {
    /// The frame that `text` is, or `None` where it is none.
    pub(super) fn read(text: &'a str, context: &Context<'_>) -> Option<Frame<'a>> {
        let text = text.trim_end_matches(|end: char| end.is_ascii_whitespace() || end == '\0');
        let (priority, rest) = priority(without_octet_count(text));
        let modern = priority.and_then(|_| rest.strip_prefix("1 ")).and_then(|rest| rfc5424(rest, context));
        let frame = modern.or_else(|| rfc3164(rest, context))?;
        Some(Frame { priority, ..frame })
    }
}

/// Streams of RFC 5424 may put the message's length before it; the item is already cut, so it only stands in the way.
fn without_octet_count(text: &str) -> &str {
    let digits = text.bytes().take(OCTET_COUNT_DIGITS_MAX).take_while(u8::is_ascii_digit).count();
    let rest = text.get(digits..).and_then(|rest| rest.strip_prefix(' ')).filter(|rest| rest.starts_with('<'));
    rest.filter(|_| digits > 0).unwrap_or(text)
}

fn priority(text: &str) -> (Option<i64>, &str) {
    let read = || {
        let (number, rest) =
            text.strip_prefix('<')?.split_at_checked(text.bytes().take(5).position(|b| b == b'>')? - 1)?;
        let value = number.parse().ok().filter(|value| (0..=PRIORITY_MAX).contains(value))?;
        number.bytes().all(|digit| digit.is_ascii_digit()).then_some((Some(value), &rest[1..]))
    };
    read().unwrap_or((None, text))
}

/// `2026-11-23T17:02:05.776646+00:00 host app procid msgid SD message`; `-` stands for an absent part.
fn rfc5424<'a>(text: &'a str, context: &Context<'_>) -> Option<Frame<'a>> {
    let (stamp, rest) = text.split_once(' ')?;
    let (host, rest) = rest.split_once(' ')?;
    let (program, rest) = rest.split_once(' ')?;
    let (process, rest) = rest.split_once(' ')?;
    let (message_id, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (time, zoneless) = match stamp {
        "-" => (None, false),
        _ => (Some(time::rfc3339(stamp.as_bytes(), context.zone)?), names_no_zone(stamp)),
    };
    let (structured, message) = structured(rest);
    let named = |word: &'a str| (word != "-" && !word.is_empty()).then_some(word);
    Some(Frame {
        time,
        zoneless,
        priority: None,
        host: named(host),
        program: named(program),
        process: named(process),
        message_id: named(message_id),
        structured,
        message: message.trim_start_matches(' ').trim_start_matches('\u{feff}'),
    })
}

/// Splits structured data from the message. What begins like it and does not end is message: senders that know no
/// structured data write the message in its place.
fn structured(text: &str) -> (Option<&str>, &str) {
    if let Some(message) = text.strip_prefix('-') {
        return (None, message);
    }
    let mut end = 0;
    while text[end..].starts_with('[') {
        let Some(length) = element_length(&text[end..]) else { break };
        end += length;
    }
    ((end > 0).then_some(&text[..end]), &text[end..])
}

/// The length of one `[id name="value" …]`; a bracket inside a quoted value does not end it.
fn element_length(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// `Nov 23 17:02:05 host tag[pid]: message`, its time in any form that is met in files.
fn rfc3164<'a>(text: &'a str, context: &Context<'_>) -> Option<Frame<'a>> {
    let (time, used) = stamp(text, context)?;
    let zoneless = names_no_zone(&text[..used]);
    let rest = text[used..].strip_prefix(' ')?.trim_start_matches(' ');
    let (host, tag) = match Tag::read(rest) {
        Some(tag) => (None, tag),
        None => {
            let (host, rest) = rest.split_once(' ')?;
            let rest = without_selector(rest.trim_start_matches(' '));
            let host_fits = !host.is_empty() && host.len() <= HOST_BYTES_MAX && !host.contains(['"', '[', '{']);
            let tag = Tag::read(rest).or_else(|| Tag::none(rest)).filter(|_| host_fits)?;
            (Some(host).filter(|host| !is_selector(host)), tag)
        }
    };
    let Tag { program, process, message } = tag;
    Some(Frame { time: Some(time), zoneless, host, program, process, message, ..Frame::default() })
}

/// The time at the start of a line, and its length.
fn stamp(text: &str, context: &Context<'_>) -> Option<(Time, usize)> {
    let bytes = text.as_bytes();
    if !bytes.first()?.is_ascii_digit() {
        let syslog = time::syslog(bytes, context.reference, context.zone);
        let with_year = || reordered(text, context);
        let asctime = || Some((time::asctime(bytes.get(..ASCTIME_BYTES)?, context.zone)?, ASCTIME_BYTES));
        return syslog.map(|found| year_behind(text, found, context)).or_else(with_year).or_else(asctime);
    }
    let first = text.find(' ')?;
    if let Some(time) = time::rfc3339(&bytes[..first], context.zone) {
        return Some((time, first));
    }
    let second = first + 1 + text[first + 1..].find(' ')?;
    let time = time::rfc3339(&bytes[..second], context.zone).map(|time| (time, second));
    time.or_else(|| reordered(text, context))
}

/// `Nov 23 17:02:05 2026`: a year behind the clock is exact where the nearest one is a guess.
fn year_behind(text: &str, found: (Time, usize), context: &Context<'_>) -> (Time, usize) {
    let with_year = || {
        let year = text.get(found.1..found.1 + 6)?.strip_prefix(' ')?.strip_suffix(' ')?;
        let mut parts = text[..found.1].split(' ').filter(|part| !part.is_empty());
        let time = dated(year, parts.next()?, parts.next()?, parts.next()?, context)?;
        Some((time, found.1 + 5))
    };
    with_year().unwrap_or(found)
}

/// `Nov 23 2026 17:02:05`, `2026 Nov 23 17:02:05`, and `Nov 3 17:02:05` with a single blank.
fn reordered(text: &str, context: &Context<'_>) -> Option<(Time, usize)> {
    let head = text.as_bytes().get(..text.len().min(STAMP_BYTES_MAX))?;
    let mut words = head.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut word = || words.next().and_then(|word| std::str::from_utf8(word).ok());
    let (first, second, third) = (word()?, word()?, word()?);
    let end_of = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize + word.len();
    if third.contains(':') {
        let line = format!("{first} {second:>2} {third}");
        let (time, used) = time::syslog(line.as_bytes(), context.reference, context.zone)?;
        return (used == line.len()).then_some((time, end_of(third)));
    }
    let fourth = word()?;
    let (year, month, day) = if first.len() == 4 { (first, second, third) } else { (third, first, second) };
    Some((dated(year, month, day, fourth, context)?, end_of(fourth)))
}

/// The time of a date whose month is a name.
fn dated(year: &str, month: &str, day: &str, clock: &str, context: &Context<'_>) -> Option<Time> {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? + 1;
    let text = format!("{year}-{month:02}-{day:0>2}T{clock}");
    (year.len() == 4).then(|| time::rfc3339(text.as_bytes(), context.zone)).flatten()
}

/// Whether a time that was read ends in its clock: no `Z` and no offset.
fn names_no_zone(stamp: &str) -> bool {
    let clock = stamp.rfind(':').map_or("", |at| &stamp[at..]);
    let behind_date = stamp.find(':').map_or("", |at| &stamp[at..]);
    !clock.ends_with(['Z', 'z', 'C', 'T']) && !behind_date.contains(['+', '-'])
}

/// BusyBox and OpenWrt name facility and severity before the tag: `authpriv.warn dropbear[1335]:`.
fn without_selector(text: &str) -> &str {
    text.split_once(' ').filter(|(word, _)| is_selector(word)).map_or(text, |(_, rest)| rest)
}

fn is_selector(word: &str) -> bool {
    let facilities =
        ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "cron", "authpriv", "ftp", "security"];
    let severities = ["emerg", "alert", "crit", "err", "warn", "warning", "notice", "info", "debug"];
    word.split_once('.').is_some_and(|(facility, severity)| {
        (facilities.contains(&facility) || facility.starts_with("local")) && severities.contains(&severity)
    })
}

/// The program's tag and what follows it.
struct Tag<'a> {
    program: Option<&'a str>,
    process: Option<&'a str>,
    message: &'a str,
}

impl<'a> Tag<'a> {
    /// `name:`, `name[pid]:`, `name[pid]`, `[name]` or `[name]:` at the start of `text`.
    fn read(text: &'a str) -> Option<Tag<'a>> {
        let head = &text.as_bytes()[..text.len().min(TAG_BYTES_MAX)];
        if let Some(inside) = text.strip_prefix('[') {
            let end = head.iter().position(|byte| *byte == b']')?;
            let program = inside.get(..end - 1).filter(|name| !name.is_empty() && !name.contains(' '))?;
            return Tag::before(program, None, text.get(end + 1..)?);
        }
        let end = head.iter().position(|byte| matches!(byte, b':' | b'[' | b' '))?;
        let program = text.get(..end).filter(|name| !name.is_empty())?;
        let Some(inside) = text[end..].strip_prefix('[') else {
            return text[end..].starts_with(':').then(|| Tag::before(program, None, &text[end..])).flatten();
        };
        let length = inside.bytes().take(TAG_BYTES_MAX).position(|byte| byte == b']')?;
        let process = inside.get(..length).filter(|process| !process.contains(' '))?;
        Tag::before(program, Some(process), &inside[length + 1..])
    }

    fn before(program: &'a str, process: Option<&'a str>, rest: &'a str) -> Option<Tag<'a>> {
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        let message = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
        let process = process.filter(|process| !process.is_empty());
        Some(Tag { program: Some(program), process, message: message.trim_start_matches(' ') })
    }

    /// The daemon's own words, which carry no tag.
    fn none(text: &'a str) -> Option<Tag<'a>> {
        let own = text.starts_with("last message repeated ") || text == "-- MARK --";
        own.then_some(Tag { program: None, process: None, message: text })
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn context(zone: &TimeZone) -> Context<'_> {
        Context { reference: time::rfc3339(b"2026-11-24T00:00:00Z", zone).unwrap(), zone }
    }

    fn read(text: &str) -> Option<(String, Frame<'_>)> {
        let frame = Frame::read(text, &context(&TimeZone::UTC))?;
        Some((frame.time.map_or_else(|| "-".to_owned(), |time| time.to_string()), frame))
    }

    /// Text, time, host, program, process, message.
    type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

    #[test]
    fn frames_of_every_kind() {
        let rows: &[Row] = &[
            ("Nov 23 17:02:05 web01 sshd[28002]: hi", "2026-11-23T17:02:05.000Z", "web01", "sshd", "28002", "hi"),
            ("<38>Nov 23 17:02:05 web01 sshd[28002]: hi", "2026-11-23T17:02:05.000Z", "web01", "sshd", "28002", "hi"),
            ("Nov  3 17:02:05 web01 sudo:   a : b", "2026-11-03T17:02:05.000Z", "web01", "sudo", "", "a : b"),
            ("Nov 3 17:02:05 web01 sudo: b", "2026-11-03T17:02:05.000Z", "web01", "sudo", "", "b"),
            ("Nov 3 2024 17:02:05 h su[1]: b", "2024-11-03T17:02:05.000Z", "h", "su", "1", "b"),
            ("2024 Nov 3 17:02:05 h su[1]: b", "2024-11-03T17:02:05.000Z", "h", "su", "1", "b"),
            ("Nov 23 17:02:05 2024 h su[1]: b", "2024-11-23T17:02:05.000Z", "h", "su", "1", "b"),
            ("2026-11-23T17:02:05.776646+01:00 h sshd[1]: b", "2026-11-23T16:02:05.776Z", "h", "sshd", "1", "b"),
            ("<38>2026-11-23T17:02:05Z h sshd[1]: b", "2026-11-23T17:02:05.000Z", "h", "sshd", "1", "b"),
            ("2026-11-23 17:02:05 h sshd[1]: b", "2026-11-23T17:02:05.000Z", "h", "sshd", "1", "b"),
            ("Nov 23 17:02:05 sshd[8148]: b", "2026-11-23T17:02:05.000Z", "", "sshd", "8148", "b"),
            ("Nov 23 17:02:05 [sshd]: b", "2026-11-23T17:02:05.000Z", "", "sshd", "", "b"),
            ("Nov 23 17:02:05 fe80::1 a(b)[3]: c", "2026-11-23T17:02:05.000Z", "fe80::1", "a(b)", "3", "c"),
            (
                "Mon Nov 23 17:02:05 2026 authpriv.warn dropbear[1]: c",
                "2026-11-23T17:02:05.000Z",
                "",
                "dropbear",
                "1",
                "c",
            ),
            ("Nov 23 17:02:05 h authpriv.warn dropbear[1]: c", "2026-11-23T17:02:05.000Z", "h", "dropbear", "1", "c"),
            (
                "Nov 23 17:02:05 h last message repeated 2 times",
                "2026-11-23T17:02:05.000Z",
                "h",
                "",
                "",
                "last message repeated 2 times",
            ),
            ("<38>1 2026-11-23T17:02:05Z h sshd 7 - -  hi", "2026-11-23T17:02:05.000Z", "h", "sshd", "7", "hi"),
            (
                "57 <38>1 2026-11-23T17:02:05Z h sshd 7 - - \u{feff}hi\r\n",
                "2026-11-23T17:02:05.000Z",
                "h",
                "sshd",
                "7",
                "hi",
            ),
            ("<38>1 - - app - ID47 [a b=\"]\\\"]\"][c] hi", "-", "", "app", "", "hi"),
        ];
        for (text, time, host, program, process, message) in rows {
            let (read_time, frame) = read(text).unwrap_or_else(|| panic!("no frame: {text}"));
            let words = [frame.host, frame.program, frame.process].map(Option::unwrap_or_default);
            assert_eq!(
                (read_time.as_str(), words, frame.message),
                (*time, [*host, *program, *process], *message),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_frame() {
        for text in [
            "",
            "hello",
            "Nov 23 17:02:05",
            "Nov 23 17:02:05 host",
            "Nov 23 17:02:05 host no tag here",
            "Nov 31 17:02:05 host sshd[1]: x",
            "127.0.0.1 - - [23/Nov/2026:17:02:03 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
            "{\"a\":1}",
            "Nov 23 17:02:05 {\"a x: y",
            "<999>Nov 23 17:02:05 host sshd[1]: x",
        ] {
            assert_eq!(read(text).map(|(_, frame)| frame), None, "{text}");
        }
    }

    #[test]
    fn zones_priorities_and_structured_data() {
        let frame = |text| read(text).map(|(_, frame)| frame).unwrap();
        assert!(frame("2019-06-14T10:40:20.912134 h a: b").zoneless);
        assert!(!frame("2019-06-14T10:40:20.912134-04:00 h a: b").zoneless);
        assert!(!frame("2019-06-14T10:40:20Z h a: b").zoneless);
        assert!(frame("Nov 23 17:02:05 h a: b").zoneless);
        assert_eq!(frame("<38>Nov 23 17:02:05 h a: b").priority, Some(38));
        let structured = frame("<1>1 - h a - m [x@1 k=\"[v]\"] b");
        assert_eq!((structured.structured, structured.message_id), (Some("[x@1 k=\"[v]\"]"), Some("m")));
        assert_eq!(frame("<1>1 - h a - m [unfinished b").message, "[unfinished b");
    }

    proptest! {
        #[test]
        fn any_text_is_a_frame_or_none(text in "\\PC{0,80}", near in "[<>0-9 A-Za-z:\\[\\]\\\\\"T.+-]{0,80}") {
            let zone = TimeZone::UTC;
            for text in [text.clone(), near.clone(), format!("Nov 23 17:02:05 {near}"), format!("<1>1 - {near}")] {
                if let Some(frame) = Frame::read(&text, &context(&zone)) {
                    prop_assert!(text.contains(frame.message));
                }
            }
        }
    }
}
