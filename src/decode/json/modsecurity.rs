//! ModSecurity's JSON audit log, version 3 (nginx) and version 2 (Apache). Pure.
//!
//! One record per request: who asked for what, what the rules said, what came of it. Deliberately without the bodies
//! of answers, and without the rules' own texts of what matched: both are long, and the raw line has them.

use bumpalo::Bump;

use super::convert;
use super::reader::{Broken, Reader, Value};
use super::waf::{self, MESSAGES_MAX, Message};
use super::walk;
use crate::decode::{Context, Unit, time};
use crate::event::{Event, FlawKind, Number, Scalar, Text};

/// Decodes audit records.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModsecurityDecoder;

impl ModsecurityDecoder {
    /// A decoder; the format has no settings.
    pub fn new() -> ModsecurityDecoder {
        ModsecurityDecoder
    }

    /// Fills the event; `false` where the item is no audit record.
    pub fn decode<'a>(&self, item: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        let Some(mut reader) = Reader::object(item, event.arena()) else { return false };
        let mut audit = Audit::default();
        let whole = read(&mut reader, Place::Top, &mut audit).is_ok() && reader.finished();
        if !whole || audit.client.is_none() {
            return false;
        }
        walk::note(reader.mends, event);
        audit.flaws(event);
        audit.request(event, context);
        audit.verdict(event);
        true
    }
}

/// Where in the record the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Top,
    Transaction,
    Request,
    RequestHeaders,
    Response,
    Producer,
    AuditData,
    Action,
}

/// What a record says, as text.
#[derive(Default)]
struct Audit<'a> {
    client: Option<&'a str>,
    client_port: Option<&'a str>,
    server: Option<&'a str>,
    server_port: Option<&'a str>,
    stamp: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    target: Option<&'a str>,
    version: Option<&'a str>,
    request_line: Option<&'a str>,
    body: Option<&'a str>,
    status: Option<&'a str>,
    engine: Option<&'a str>,
    intercepted: Option<bool>,
    host: Option<&'a str>,
    referrer: Option<&'a str>,
    agent: Option<&'a str>,
    cookie: Option<&'a str>,
    mime: Option<&'a str>,
    forwarded: Vec<&'a str>,
    messages: Vec<Message<'a>>,
    repeated: bool,
    too_many: bool,
}

/// Reads one object; it calls itself only from one [`Place`] to a deeper one.
fn read<'a>(reader: &mut Reader<'a>, place: Place, audit: &mut Audit<'a>) -> Result<(), Broken> {
    while let Some(key) = reader.key()? {
        let key = reader.text(key);
        let value = reader.value()?;
        match value {
            Value::Object => match inside(place, key) {
                Some(inner) => read(reader, inner, audit)?,
                None => reader.skip(value)?,
            },
            Value::Array if key == "messages" => messages(reader, audit)?,
            Value::Array if place == Place::RequestHeaders || key == "body" => {
                while reader.element()? {
                    let value = reader.element_value()?;
                    scalar(reader, value, place, key, audit)?;
                }
            }
            Value::Array => reader.skip(value)?,
            Value::True | Value::False if (place, key) == (Place::Action, "intercepted") => {
                audit.intercepted = Some(value == Value::True);
            }
            Value::Text(_) | Value::Number(_) | Value::True | Value::False | Value::Null | Value::Absent => {
                scalar(reader, value, place, key, audit)?;
            }
        }
    }
    Ok(())
}

fn inside(place: Place, key: &str) -> Option<Place> {
    match (place, key) {
        (Place::Top, "transaction") => Some(Place::Transaction),
        (Place::Top | Place::Transaction, "request") => Some(Place::Request),
        (Place::Top | Place::Transaction, "response") => Some(Place::Response),
        (Place::Top | Place::Transaction, "audit_data") => Some(Place::AuditData),
        (Place::Transaction | Place::AuditData, "producer") => Some(Place::Producer),
        (Place::Request, "headers") => Some(Place::RequestHeaders),
        (Place::AuditData, "action") => Some(Place::Action),
        _ => None,
    }
}

fn scalar<'a>(
    reader: &mut Reader<'a>,
    value: Value,
    place: Place,
    key: &str,
    audit: &mut Audit<'a>,
) -> Result<(), Broken> {
    let text = match value {
        Value::Text(raw) | Value::Number(raw) => reader.text(raw),
        Value::Object | Value::Array => return reader.skip(value),
        Value::True | Value::False | Value::Null | Value::Absent => return Ok(()),
    };
    if place == Place::RequestHeaders {
        audit.header(key, text);
    } else if let Some(slot) = audit.slot(place, key) {
        let repeated = slot.replace(text).is_some();
        audit.repeated |= repeated;
    }
    Ok(())
}

fn messages<'a>(reader: &mut Reader<'a>, audit: &mut Audit<'a>) -> Result<(), Broken> {
    while reader.element()? {
        let value = reader.element_value()?;
        let message = match value {
            Value::Text(raw) => Some(Message::of_line(reader.text(raw))),
            Value::Object => {
                let mut message = Message::default();
                detail(reader, &mut message, true)?;
                Some(message)
            }
            Value::Array | Value::Number(_) | Value::True | Value::False | Value::Null | Value::Absent => {
                reader.skip(value)?;
                None
            }
        };
        // A line without a rule's fields is the engine talking about itself.
        match message.filter(|message| !message.id.is_empty() || !message.text.is_empty()) {
            Some(message) if audit.messages.len() < MESSAGES_MAX => audit.messages.push(message),
            Some(_) => audit.too_many = true,
            None => {}
        }
    }
    Ok(())
}

/// A message object of version 3 and, one level down, its details.
fn detail<'a>(reader: &mut Reader<'a>, message: &mut Message<'a>, outer: bool) -> Result<(), Broken> {
    while let Some(key) = reader.key()? {
        let key = reader.text(key);
        let value = reader.value()?;
        match (key, value) {
            ("details", Value::Object) if outer => detail(reader, message, false)?,
            ("tags", Value::Array) => tags(reader, message)?,
            ("message", Value::Text(raw)) => message.text = reader.text(raw),
            ("ruleId", Value::Text(raw) | Value::Number(raw)) => message.id = reader.text(raw),
            ("severity", Value::Text(raw) | Value::Number(raw)) => message.severity = reader.text(raw),
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(())
}

fn tags<'a>(reader: &mut Reader<'a>, message: &mut Message<'a>) -> Result<(), Broken> {
    while reader.element()? {
        let value = reader.element_value()?;
        if let Value::Text(raw) = value {
            message.tag(reader.text(raw));
        }
        reader.skip(value)?;
    }
    Ok(())
}

impl<'a> Audit<'a> {
    fn slot(&mut self, place: Place, key: &str) -> Option<&mut Option<&'a str>> {
        match (place, key) {
            (Place::Transaction, "client_ip" | "remote_address") => Some(&mut self.client),
            (Place::Transaction, "client_port" | "remote_port") => Some(&mut self.client_port),
            (Place::Transaction, "host_ip" | "local_address") => Some(&mut self.server),
            (Place::Transaction, "host_port" | "local_port") => Some(&mut self.server_port),
            (Place::Transaction, "time_stamp" | "time") => Some(&mut self.stamp),
            (Place::Transaction, "unique_id" | "transaction_id") => Some(&mut self.id),
            (Place::Request, "method") => Some(&mut self.method),
            (Place::Request, "uri") => Some(&mut self.target),
            (Place::Request, "http_version") => Some(&mut self.version),
            (Place::Request, "request_line") => Some(&mut self.request_line),
            (Place::Request, "body") => Some(&mut self.body),
            (Place::Response, "http_code" | "status") => Some(&mut self.status),
            (Place::Producer, "secrules_engine") => Some(&mut self.engine),
            (Place::AuditData, "engine_mode") => Some(&mut self.engine),
            _ => None,
        }
    }

    /// Header names have no case, and a client may send any header twice: the last one counts, except that several
    /// X-Forwarded-For are one list (RFC 9110 §5.3).
    fn header(&mut self, name: &str, text: &'a str) {
        let slots = [
            ("host", &mut self.host),
            ("referer", &mut self.referrer),
            ("user-agent", &mut self.agent),
            ("cookie", &mut self.cookie),
            ("content-type", &mut self.mime),
        ];
        if let Some((_, slot)) = slots.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            self.repeated |= slot.replace(text).is_some();
        } else if name.eq_ignore_ascii_case("x-forwarded-for") {
            self.repeated |= !self.forwarded.is_empty();
            self.forwarded.push(text);
        }
    }

    fn flaws(&self, event: &mut Event<'a>) {
        if self.repeated {
            event.add_flaw("event.original", FlawKind::DuplicateKey);
        }
        if self.too_many {
            event.add_flaw("event.original", FlawKind::TooManyFields);
        }
    }

    fn request(&self, event: &mut Event<'a>, context: &Context<'_>) {
        let (method, target, version) = self.request_parts(event);
        let forwarded: Option<&'a str> = match self.forwarded.as_slice() {
            [] => None,
            [one] => Some(one),
            many => Some(event.arena().alloc_str(&many.join(", "))),
        };
        let texts = [
            (Text::SourceAddress, self.client),
            (Text::DestinationAddress, self.server),
            (Text::HttpRequestId, self.id),
            (Text::HttpMethod, method),
            (Text::UrlOriginal, target),
            (Text::HttpVersion, version),
            (Text::HttpRequestBody, self.body),
            (Text::UrlDomain, self.host.map(without_port)),
            (Text::HttpReferrer, self.referrer),
            (Text::UserAgent, self.agent),
            (Text::HttpCookie, self.cookie),
            (Text::HttpRequestMime, self.mime),
            (Text::XForwardedFor, forwarded),
        ];
        for (field, text) in texts {
            if let Some(text) = text.filter(|text| !matches!(*text, "" | "-")) {
                event.set_text(field, text);
            }
        }
        let numbers = [
            (Number::SourcePort, self.client_port.filter(|port| *port != "0")),
            (Number::DestinationPort, self.server_port),
            (Number::HttpStatus, self.status),
        ];
        for (field, text) in numbers {
            if let Some(Err(kind)) = text.map(|text| convert::set_number(event, field, text, Unit::AsIs)) {
                event.add_flaw(field.name(), kind);
            }
        }
        self.set_time(event, context);
    }

    fn set_time(&self, event: &mut Event<'a>, context: &Context<'_>) {
        let Some(stamp) = self.stamp else { return };
        let bytes = stamp.trim_matches(['[', ']']).as_bytes();
        let zone = context.zone;
        let time = time::asctime(bytes, zone).or_else(|| time::clf(bytes)).or_else(|| time::rfc3339(bytes, zone));
        match time {
            Some(time) => event.occurred_at = Some(time),
            None => event.add_flaw("@timestamp", FlawKind::NotATime),
        }
    }

    /// Method, target and version: version 3 has them apart, version 2 in one line.
    fn request_parts(&self, event: &mut Event<'a>) -> (Option<&'a str>, Option<&'a str>, Option<&'a str>) {
        let Some(line) = self.request_line else { return (self.method, self.target, self.version) };
        if let Some((method, target, version)) = convert::request_line(line) {
            return (Some(method), Some(target), Some(version));
        }
        event.add_flaw("url.original", FlawKind::MalformedRequest);
        (None, Some(line), None)
    }

    fn verdict(&self, event: &mut Event<'a>) {
        let status = event.number(Number::HttpStatus);
        if let Some(status) = status {
            event.set_text(Text::EventOutcome, if status < 400 { "success" } else { "failure" });
        }
        let Some(telling) = waf::telling(&self.messages) else {
            event.set_text(Text::EventKind, "event");
            (event.categories, event.types) = (&["web"], &["access"]);
            return;
        };
        let on = self.engine.is_none_or(|engine| engine.eq_ignore_ascii_case("enabled"));
        let denied = self.intercepted.unwrap_or(status == Some(403) && on);
        event.set_text(Text::EventKind, "alert");
        event.set_text(Text::EventAction, if denied { "waf-denied" } else { "waf-detected" });
        event.categories = &["intrusion_detection", "web"];
        event.types = if denied { &["denied"] } else { &["info"] };
        set_rule(event, telling);
        event.set_number(Number::WafScore, waf::score(&self.messages));
        self.set_lists(event);
    }

    /// All rules and all classes of the record, each once, in the order they matched.
    fn set_lists(&self, event: &mut Event<'a>) {
        let arena = event.arena();
        let rules = self.messages.iter().map(|message| message.id).filter(|id| !id.is_empty());
        event.add_extra("sekisho.waf.rules", once(rules, arena));
        let attacks = self.messages.iter().filter(|message| !message.is_evaluation());
        let classes = once(attacks.filter_map(|message| -> Option<&'a str> { message.class() }), arena);
        if classes != Scalar::List(&[]) {
            event.add_extra("sekisho.waf.classes", classes);
        }
    }
}

fn set_rule<'a>(event: &mut Event<'a>, telling: &Message<'a>) {
    for (field, text) in [(Text::RuleId, telling.id), (Text::RuleName, telling.text), (Text::Message, telling.text)] {
        if !text.is_empty() {
            event.set_text(field, text);
        }
    }
    if let Some(class) = telling.class() {
        event.set_text(Text::RuleCategory, class);
    }
    if let Some(level) = telling.level() {
        event.set_number(Number::EventSeverity, level);
    }
}

fn once<'a>(texts: impl Iterator<Item = &'a str>, arena: &'a Bump) -> Scalar<'a> {
    let mut list: Vec<Scalar<'a>> = Vec::new();
    for text in texts.map(Scalar::Text) {
        // At most MESSAGES_MAX entries, so looking through them is cheaper than a set.
        if !list.contains(&text) {
            list.push(text);
        }
    }
    Scalar::List(arena.alloc_slice_copy(&list))
}

/// The host of a Host header; an IPv6 address keeps its brackets' inside.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Time;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    const V2: &str = r#"{"transaction":{"time":"23/Nov/2026:17:02:03.250 +0000","transaction_id":"T1","remote_address":"203.0.113.9","remote_port":4711,"local_address":"198.51.100.7","local_port":80},"request":{"request_line":"GET /?id=1 HTTP/1.1","headers":{"Host":"shop.example:80","User-Agent":"a","user-agent":"b","X-Forwarded-For":"192.0.2.1","X-Forwarded-For":"192.0.2.2"}},"response":{"protocol":"HTTP/1.1","status":403,"headers":{}},"audit_data":{"messages":["Access denied with code 403 (phase 2). [file \"x\"] [id \"942100\"] [msg \"SQL Injection\"] [severity \"CRITICAL\"] [tag \"attack-sqli\"]"],"action":{"intercepted":true,"phase":2},"engine_mode":"ENABLED"}}"#;

    fn check<R>(line: &[u8], expect: impl FnOnce(bool, &Event<'_>) -> R) -> R {
        let arena = Bump::new();
        let mut event = Event::new(line, &arena);
        let text = arena.alloc_str(&String::from_utf8_lossy(line));
        let fits =
            ModsecurityDecoder::new().decode(text, &Context { reference: Time(0), zone: &TimeZone::UTC }, &mut event);
        expect(fits, &event)
    }

    #[test]
    fn version_2_has_its_request_in_one_line_and_its_rules_as_text() {
        check(V2.as_bytes(), |fits, event| {
            assert!(fits);
            assert_eq!(event.occurred_at, Some(Time(1_795_453_323_250)));
            assert_eq!(
                (event.text(Text::SourceAddress), event.number(Number::SourcePort)),
                (Some("203.0.113.9"), Some(4711))
            );
            assert_eq!((event.text(Text::HttpMethod), event.text(Text::UrlOriginal)), (Some("GET"), Some("/?id=1")));
            assert_eq!((event.text(Text::UrlDomain), event.text(Text::UserAgent)), (Some("shop.example"), Some("b")));
            assert_eq!(event.text(Text::XForwardedFor), Some("192.0.2.1, 192.0.2.2"));
            assert_eq!((event.text(Text::RuleId), event.text(Text::RuleCategory)), (Some("942100"), Some("sqli")));
            assert_eq!((event.number(Number::WafScore), event.types), (Some(5), &["denied"][..]));
            assert_eq!(event.flaws().iter().map(|flaw| flaw.kind).collect::<Vec<_>>(), [FlawKind::DuplicateKey]);
        });
    }

    #[test]
    fn detection_only_denies_nothing_and_a_clean_record_is_no_alert() {
        let record = |engine: &str, messages: &str| {
            format!(
                r#"{{"transaction":{{"client_ip":"203.0.113.9","response":{{"http_code":403}},"producer":{{"secrules_engine":"{engine}"}},"messages":[{messages}]}}}}"#
            )
        };
        let message = r#"{"message":"XSS","details":{"ruleId":"941100","severity":"2","tags":["attack-xss"]}}"#;
        check(record("DetectionOnly", message).as_bytes(), |_, event| {
            assert_eq!((event.text(Text::EventAction), event.types), (Some("waf-detected"), &["info"][..]));
        });
        check(record("Enabled", message).as_bytes(), |_, event| assert_eq!(event.types, ["denied"]));
        check(record("Enabled", "").as_bytes(), |_, event| {
            assert_eq!((event.text(Text::EventKind), event.text(Text::RuleId)), (Some("event"), None));
        });
    }

    #[test]
    fn depth_has_an_end() {
        for open in ["[", r#"{"a":"#, r#"{"transaction":"#] {
            for key in ["transaction", "messages", "x"] {
                let line = format!(r#"{{"transaction":{{"client_ip":"203.0.113.9"}},"{key}":{}"#, open.repeat(100_000));
                check(line.as_bytes(), |fits, _| assert!(fits));
            }
        }
    }

    proptest! {
        #[test]
        fn any_mutation_is_answered(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = V2.as_bytes().to_vec();
            for (place, byte) in edits {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len()));
            check(&bytes, |_, _| ());
        }
    }
}
