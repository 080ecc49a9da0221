//! What shippers and the journal wrap around a log line: found and taken off. Pure.
//!
//! Filebeat, Fluent Bit, Vector, rsyslog, Logstash, Docker, CRI and Kubernetes all carry the line under one of a few
//! keys. Deliberately without a decision whether an item *is* an envelope: an application may well log an object with
//! a `message`, so the caller asks only where the line's own decoders did not fit.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use jiff::tz::TimeZone;

use super::convert;
use super::reader::{Broken, Reader, Value};
use super::string;
use crate::decode::{Context, Unit, time};
use crate::event::Time;

/// Envelopes in envelopes: a shipper in a container behind a relay; more is nobody's set-up.
const ROUNDS_MAX: usize = 3;
/// Where the inner line may stand, best first.
const INNER: [&str; 5] = ["event.original", "message", "log", "MESSAGE", "body"];
/// Where the envelope's own time may stand, best first.
const TIMES: [&str; 4] = ["@timestamp", "timestamp", "time", "timeUnixNano"];
/// Where the envelope's host may stand, best first.
const HOSTS: [&str; 5] = ["host.hostname", "host.name", "host", "hostname", "HOST"];

/// What an envelope held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The line as its writer wrote it, without its line end.
    pub inner: &'a [u8],
    /// When the outermost envelope that says so was written: a hint for lines without a time.
    pub time: Option<Time>,
    /// The host the line came from: a hint for lines that name none.
    pub host: Option<&'a str>,
}

/// Takes up to three envelopes off `item`; `None` where it is in none.
pub fn unwrap_envelope<'a>(item: &'a [u8], context: &Context<'_>, arena: &'a Bump) -> Option<Envelope<'a>> {
    let mut envelope = Envelope { inner: item, time: None, host: None };
    let mut found = false;
    for _ in 0..ROUNDS_MAX {
        let next = object(envelope.inner, context, arena).or_else(|| container_line(envelope.inner, context.zone));
        let Some(next) = next else { break };
        found = true;
        envelope.inner = next.inner;
        envelope.time = envelope.time.or(next.time);
        envelope.host = envelope.host.or(next.host);
    }
    found.then_some(envelope)
}

/// The best of several keys so far: its rank in the list of keys, and its text.
type Best<'a> = Option<(usize, &'a str)>;

#[derive(Default)]
struct Found<'a> {
    inner: Best<'a>,
    time: Best<'a>,
    host: Best<'a>,
}

fn object<'a>(item: &'a [u8], context: &Context<'_>, arena: &'a Bump) -> Option<Envelope<'a>> {
    let mut reader = Reader::object(string::utf8(item, arena, &mut false), arena)?;
    let mut found = Found::default();
    members(&mut reader, "", &mut found).ok()?;
    if !reader.finished() {
        return None;
    }
    let (_, inner) = found.inner?;
    let time = found.time.and_then(|(_, text)| convert::timestamp(text, Unit::AsIs, context));
    let inner = inner.trim_end_matches(['\r', '\n', '\0']);
    Some(Envelope { inner: inner.as_bytes(), time, host: found.host.map(|(_, host)| host) })
}

/// Reads the members of an object and, one level down, those of `event`, `host` and `body`.
fn members<'a>(reader: &mut Reader<'a>, outer: &str, found: &mut Found<'a>) -> Result<(), Broken> {
    while let Some(key) = reader.key()? {
        let key = reader.text(key);
        let value = reader.value()?;
        match value {
            Value::Object if outer.is_empty() && matches!(key, "event" | "host" | "body") => {
                members(reader, key, found)?;
            }
            Value::Text(raw) | Value::Number(raw) => {
                let text = reader.text(raw);
                offer(found, outer, key, text);
            }
            Value::Object | Value::Array | Value::True | Value::False | Value::Null | Value::Absent => {
                reader.skip(value)?
            }
        }
    }
    Ok(())
}

fn offer<'a>(found: &mut Found<'a>, outer: &str, key: &str, text: &'a str) {
    // OpenTelemetry's JSON wraps the line once more.
    if (outer, key) == ("body", "stringValue") {
        return better(&mut found.inner, Some(INNER.len() - 1), text);
    }
    let rank = |names: &[&str]| names.iter().position(|name| is_path(name, outer, key));
    better(&mut found.inner, rank(&INNER), text);
    better(&mut found.time, rank(&TIMES), text);
    better(&mut found.host, rank(&HOSTS), text);
}

/// Whether `name` is `outer.key`, or `key` where there is no outer.
fn is_path(name: &str, outer: &str, key: &str) -> bool {
    if outer.is_empty() {
        return name == key;
    }
    name.strip_prefix(outer).and_then(|rest| rest.strip_prefix('.')) == Some(key)
}

fn better<'a>(best: &mut Best<'a>, rank: Option<usize>, text: &'a str) {
    if let Some(rank) = rank
        && !text.is_empty()
        && best.is_none_or(|(taken, _)| rank <= taken)
    {
        *best = Some((rank, text));
    }
}

/// `2026-11-23T17:02:03.1Z stdout F line`: what container runtimes write.
fn container_line<'a>(item: &'a [u8], zone: &TimeZone) -> Option<Envelope<'a>> {
    let mut parts = item.splitn(4, |byte| *byte == b' ');
    let claimed = time::rfc3339(parts.next()?, zone)?;
    let stream = parts.next()?;
    let partial = parts.next()?;
    let inner = parts.next()?;
    let fits = matches!(stream, b"stdout" | b"stderr") && matches!(partial, b"F" | b"P");
    fits.then_some(Envelope { inner, time: Some(claimed), host: None })
}

/// One entry of `journalctl -o json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalEntry<'a> {
    /// `__REALTIME_TIMESTAMP`: when the journal received it.
    pub time: Option<Time>,
    /// `_HOSTNAME`
    pub host: Option<&'a str>,
    /// `SYSLOG_IDENTIFIER`: the program's own word for itself.
    pub identifier: Option<&'a str>,
    /// `_PID`, or `SYSLOG_PID` where the kernel's is not there.
    pub pid: Option<i64>,
    /// `_COMM`: the kernel's word for the program.
    pub command: Option<&'a str>,
    /// `MESSAGE`; the journal writes an array of bytes where it is no UTF-8.
    pub message: &'a [u8],
}

/// Reads one entry of `journalctl -o json`; `None` where the item is none.
pub fn journal_entry<'a>(item: &'a [u8], arena: &'a Bump) -> Option<JournalEntry<'a>> {
    let mut reader = Reader::object(string::utf8(item, arena, &mut false), arena)?;
    let mut entry = JournalEntry::default();
    let mut found = false;
    while let Some(key) = reader.key().ok()? {
        let key = reader.text(key);
        let value = reader.value().ok()?;
        match (key, value) {
            ("MESSAGE", Value::Array) => {
                entry.message = byte_list(&mut reader).ok()?;
                found = true;
            }
            (_, Value::Text(raw)) => {
                let text = reader.text(raw);
                found |= key == "MESSAGE";
                journal_field(&mut entry, key, text);
            }
            (
                _,
                Value::Object
                | Value::Array
                | Value::Number(_)
                | Value::True
                | Value::False
                | Value::Null
                | Value::Absent,
            ) => {
                reader.skip(value).ok()?;
            }
        }
    }
    let journal = entry.time.is_some() || entry.host.is_some();
    (found && journal && reader.finished()).then_some(entry)
}

fn journal_field<'a>(entry: &mut JournalEntry<'a>, key: &str, text: &'a str) {
    match key {
        "MESSAGE" => entry.message = text.as_bytes(),
        "__REALTIME_TIMESTAMP" => {
            let microseconds = text.parse::<i64>().ok();
            entry.time = microseconds.map(|number| Time(number.div_euclid(1_000))).filter(|time| *time <= Time::MAX);
        }
        "_HOSTNAME" => entry.host = Some(text),
        "SYSLOG_IDENTIFIER" => entry.identifier = Some(text),
        "_PID" => entry.pid = text.parse().ok(),
        "SYSLOG_PID" => entry.pid = entry.pid.or_else(|| text.parse().ok()),
        "_COMM" => entry.command = Some(text),
        _ => {}
    }
}

fn byte_list<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Broken> {
    let mut bytes = ArenaVec::new_in(reader.arena());
    while reader.element()? {
        match reader.element_value()? {
            Value::Number(raw) => bytes.push(reader.text(raw).parse().map_err(|_| Broken)?),
            Value::Object
            | Value::Array
            | Value::Text(_)
            | Value::True
            | Value::False
            | Value::Null
            | Value::Absent => {
                return Err(Broken);
            }
        }
    }
    Ok(bytes.into_bump_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(item: &str, inner: Option<&str>, at: Option<&str>, host: Option<&str>) {
        let arena = Bump::new();
        let context = Context { reference: Time(0), zone: &TimeZone::UTC };
        let found = unwrap_envelope(item.as_bytes(), &context, &arena);
        assert_eq!(found.map(|envelope| String::from_utf8_lossy(envelope.inner).into_owned()).as_deref(), inner);
        let time = found.and_then(|envelope| envelope.time).map(|time| time.to_string());
        assert_eq!(time.as_deref(), at);
        assert_eq!(found.and_then(|envelope| envelope.host), host);
    }

    #[test]
    fn each_shipper_gives_its_line() {
        let at = Some("2026-11-23T17:06:10.000Z");
        let filebeat = r#"{"@timestamp":"2026-11-23T17:06:10.000Z","@metadata":{"beat":"filebeat"},"host":{"name":"web1"},"message":"a \"b\"","log":{"offset":1}}"#;
        check(filebeat, Some(r#"a "b""#), at, Some("web1"));
        check(r#"{"@timestamp":1795453570.0,"log":"line\n"}"#, Some("line"), at, None);
        check(r#"{"timestamp":"2026-11-23T17:06:10Z","host":"web1","message":"line"}"#, Some("line"), at, Some("web1"));
        check(
            r#"{"message":"shown","event":{"original":"line"},"host":{"hostname":"w"}}"#,
            Some("line"),
            None,
            Some("w"),
        );
        check(r#"{"log":"line\n","stream":"stdout","time":"2026-11-23T17:06:10Z"}"#, Some("line"), at, None);
        check("2026-11-23T17:06:10Z stdout F a line", Some("a line"), at, None);
        check(r#"{"timeUnixNano":"1795453570000000000","body":{"stringValue":"line"}}"#, Some("line"), at, None);
        let nested = r#"{"message":"{\"log\":\"{\\\"message\\\":\\\"{\\\\\\\"log\\\\\\\":1}\\\"}\"}"}"#;
        check(nested, Some(r#"{"log":1}"#), None, None);
        check(r#"{"status":200}"#, None, None, None);
        check("203.0.113.9 - - [x]", None, None, None);
    }

    #[test]
    fn journal_entries_are_read() {
        let arena = Bump::new();
        let item = br#"{"__REALTIME_TIMESTAMP":"1795453570051000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"sshd","_PID":"7","_COMM":"sshd","MESSAGE":[70,255]}"#;
        let entry = journal_entry(item, &arena).unwrap();
        assert_eq!(entry.time, Some(Time(1_795_453_570_051)));
        assert_eq!((entry.host, entry.identifier, entry.pid), (Some("h"), Some("sshd"), Some(7)));
        assert_eq!((entry.command, entry.message), (Some("sshd"), &[70, 255][..]));
        assert_eq!(journal_entry(br#"{"_HOSTNAME":"h","MESSAGE":"Failed"}"#, &arena).unwrap().message, b"Failed");
        assert!(journal_entry(br#"{"MESSAGE":"x"}"#, &arena).is_none());
        assert!(journal_entry(br#"{"_HOSTNAME":"h","MESSAGE":[1,{"a":2}]}"#, &arena).is_none());
        let deep = format!(r#"{{"_HOSTNAME":"h","MESSAGE":{}"#, "[".repeat(100_000));
        assert!(journal_entry(deep.as_bytes(), &arena).is_none());
        let context = Context { reference: Time(0), zone: &TimeZone::UTC };
        assert!(unwrap_envelope(deep.as_bytes(), &context, &arena).is_none());
    }
}
