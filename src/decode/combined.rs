//! Access lines of nginx and Apache: combined, common, prefixed by host or address chain, SSL request log. Pure.
//!
//! One pass, no copy unless an escape has to be undone. A line fits when a bracketed time stands before a quoted
//! request; what is wrong behind that is a flaw. Deliberately without a format string: the forms people use differ in
//! ways that can be seen.
//!
//! What a client controls (user name, request, headers) cannot move what is read before it: writers escape quotes, so
//! the request begins at the first bare quote, and the time is the last bracket before it.

use std::net::{IpAddr, Ipv4Addr};

use bumpalo::Bump;
use memchr::{memchr, memchr2, memmem, memrchr};

use crate::event::{Address, Event, FlawKind, Number, Scalar, Text, Time};

use super::settings::Keep;
use super::target::{self, set_absent};
use super::{Context, escape, request, time};

/// The usual length of a time: `23/Nov/2026:17:02:03 +0000`.
const CLF_BYTES: usize = 26;
/// The most digits that always fit an `i64`.
const COUNT_DIGITS_MAX: usize = 18;

/// The decoder of access lines.
pub(super) struct Combined {
    keeps_zone: bool,
    keeps_cipher: bool,
}

/// What stands before the request.
struct Head<'a> {
    /// A quoted address chain at the very start.
    forwarded: Option<Quoted<'a>>,
    /// Everything before the time.
    who: &'a str,
    time: &'a str,
    /// Between the time and the request: empty, but for Apache's SSL request log.
    connection: &'a str,
    /// What follows the request's opening quote.
    request: &'a str,
}

/// What stands before the request of the usual line: `203.0.113.9 - - [23/Nov/2026:17:02:03 +0000] "`.
struct UsualHead<'a> {
    address: &'a str,
    ip: Ipv4Addr,
    time: &'a str,
    occurred_at: Time,
    /// What follows the request's opening quote.
    request: &'a str,
}

/// A quoted field, its escapes still in it.
#[derive(Clone, Copy)]
struct Quoted<'a> {
    raw: &'a str,
    escaped: bool,
    closed: bool,
}

impl Combined {
    pub(super) fn new(keep: &Keep) -> Self {
        let keeps = |name: &str| match keep {
            Keep::All => true,
            Keep::Named(names) => names.contains(name),
        };
        Combined { keeps_zone: keeps("event.timezone"), keeps_cipher: keeps("tls.cipher") }
    }

    /// Fills `event` from an access line; `false` where the line is none.
    pub(super) fn decode<'a>(&self, line: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        if let Some(head) = usual_head(line) {
            event.occurred_at = Some(head.occurred_at);
            self.set_zone(head.time, event);
            event.set_text(Text::SourceAddress, head.address);
            event.set_address(Address::SourceIp, IpAddr::V4(head.ip));
            set_rest(set_bytes(set_status(set_request(head.request, event), event), event), event);
            return true;
        }
        self.decode_unusual(line, context, event)
    }

    fn decode_unusual<'a>(&self, line: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        let Some(head) = head(line).or_else(|| head(unwrapped(line)?)) else { return false };
        self.set_time(head.time, context, event);
        if let Some(chain) = head.forwarded {
            set_quoted(event, Text::XForwardedFor, chain);
        }
        if head.connection.is_empty() {
            set_who(head.who, event);
        } else {
            self.set_connection(head.connection, event);
        }
        let rest = set_request(head.request, event);
        let rest = if head.connection.is_empty() { set_status(rest, event) } else { rest };
        set_rest(set_bytes(rest, event), event);
        true
    }

    fn set_time<'a>(&self, text: &'a str, context: &Context<'_>, event: &mut Event<'a>) {
        event.occurred_at = time_of(text, context);
        if event.occurred_at.is_none() {
            event.add_flaw("@timestamp", FlawKind::NotATime);
        } else {
            self.set_zone(text, event);
        }
    }

    fn set_zone<'a>(&self, text: &'a str, event: &mut Event<'a>) {
        if self.keeps_zone
            && let Some((_, zone)) = text.rsplit_once(' ')
        {
            event.add_extra("event.timezone", Scalar::Text(with_colon(zone, event.arena())));
        }
    }

    /// `172.30.0.119 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256`.
    fn set_connection<'a>(&self, text: &'a str, event: &mut Event<'a>) {
        let (address, rest) = word(text);
        let (protocol, cipher) = word(rest);
        set_absent(event, Text::SourceAddress, address);
        set_absent(event, Text::TlsVersion, protocol.strip_prefix("TLSv").unwrap_or(protocol));
        if self.keeps_cipher && !cipher.is_empty() && cipher != "-" {
            event.add_extra("tls.cipher", Scalar::Text(cipher));
        }
    }
}

/// `+0100` as ECS writes it: `+01:00`.
fn with_colon<'a>(zone: &'a str, arena: &'a Bump) -> &'a str {
    match zone.split_at_checked(3) {
        Some((hours, minutes)) if minutes.len() == 2 => {
            bumpalo::format!(in arena, "{}:{}", hours, minutes).into_bump_str()
        }
        _ => zone,
    }
}

fn time_of(text: &str, context: &Context<'_>) -> Option<Time> {
    time::clf(text.as_bytes()).or_else(|| time::rfc3339(text.as_bytes(), context.zone))
}

/// Reads the head that nearly every line has at the places where it stands then; `None` where anything differs.
///
/// An address and a time hold neither quote nor backslash nor bracket, so [`head`] would split at the same places.
fn usual_head(line: &str) -> Option<UsualHead<'_>> {
    let bytes = line.as_bytes();
    let (ip, length) = target::ipv4_at_start(bytes.first_chunk()?)?;
    let (before, rest) = bytes.get(length..)?.split_first_chunk::<6>()?;
    let (time, rest) = rest.split_first_chunk::<CLF_BYTES>()?;
    if before != b" - - [" || !rest.starts_with(b"] \"") {
        return None;
    }
    let occurred_at = time::clf(time)?;
    let start = length + before.len();
    let end = start + CLF_BYTES;
    Some(UsualHead { address: &line[..length], ip, time: &line[start..end], occurred_at, request: &line[end + 3..] })
}

/// Splits off what stands before the request, or `None` where that is not an access line's.
fn head(line: &str) -> Option<Head<'_>> {
    let (forwarded, rest) = match line.strip_prefix('"') {
        Some(chain) => {
            let (chain, rest) = quoted(chain, |_| true);
            (Some(chain), rest.strip_prefix(' ').unwrap_or(rest))
        }
        None => (None, line),
    };
    let quote = bare_quote(rest)?;
    let (before, request) = (&rest[..quote], &rest[quote + 1..]);
    if let Some(before) = before.strip_suffix("] ") {
        let bracket = match before.len().checked_sub(CLF_BYTES + 1) {
            Some(at) if before.as_bytes()[at..].iter().rposition(|byte| *byte == b'[') == Some(0) => at,
            _ => memrchr(b'[', before.as_bytes())?,
        };
        let (who, time) = (before[..bracket].trim_ascii_end(), &before[bracket + 1..]);
        return Some(Head { forwarded, who, time, connection: "", request });
    }
    let (time, connection) = before.strip_prefix('[')?.split_once("] ")?;
    let connection = connection.trim_ascii_end();
    time::clf(time.as_bytes())?;
    (!connection.is_empty()).then_some(Head { forwarded, who: "", time, connection, request })
}

/// A line that an export put in quotes as a whole, its own quotes as they were.
fn unwrapped(line: &str) -> Option<&str> {
    line.strip_prefix('"')?.strip_suffix('"')
}

/// The first quote that is not escaped.
fn bare_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Reads a quoted field whose opening quote is already gone, and what follows it. A quote inside the field that is
/// neither escaped nor followed by what `closes` accepts belongs to it.
fn quoted(text: &str, closes: impl Fn(&[u8]) -> bool) -> (Quoted<'_>, &str) {
    let bytes = text.as_bytes();
    let mut escaped = false;
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'\\' {
            escaped = true;
            at += 2;
            continue;
        }
        let after = &bytes[at + 1..];
        if after.is_empty() || (after[0] == b' ' && closes(&after[1..])) {
            return (Quoted { raw: &text[..at], escaped, closed: true }, &text[at + 1..]);
        }
        at += 1;
    }
    (Quoted { raw: text, escaped, closed: false }, "")
}

/// Sets the request; what follows it is given back.
fn set_request<'a>(text: &'a str, event: &mut Event<'a>) -> &'a str {
    let (line, rest) = quoted(text, number_follows);
    if !line.closed {
        event.add_flaw("event.original", FlawKind::Truncated);
    }
    request::set(unescaped(event, Text::UrlOriginal.name(), line), event);
    rest
}

/// Behind a request stands a status or a size.
fn number_follows(text: &[u8]) -> bool {
    matches!(text, [b'0'..=b'9' | b'-', ..])
}

/// The text of a quoted field, with its escapes undone once.
fn unescaped<'a>(event: &mut Event<'a>, name: &'static str, field: Quoted<'a>) -> &'a str {
    if !field.escaped {
        return field.raw;
    }
    undone(event, name, field.raw)
}

fn undone<'a>(event: &mut Event<'a>, name: &'static str, raw: &'a str) -> &'a str {
    let undone = escape::undo(raw, event.arena());
    if undone.bad_escape {
        event.add_flaw(name, FlawKind::BadEscape);
    }
    if undone.invalid_utf8 {
        event.add_flaw(name, FlawKind::InvalidUtf8);
    }
    undone.text
}

fn set_quoted<'a>(event: &mut Event<'a>, slot: Text, field: Quoted<'a>) {
    let text = unescaped(event, slot.name(), field);
    set_absent(event, slot, text);
}

/// `203.0.113.9 - frank`, with a host name or an address chain in front of the address or not.
///
/// The first ` - ` ends the addresses: a user name may hold another one, an address cannot.
fn set_who<'a>(who: &'a str, event: &mut Event<'a>) {
    if let Some(address) = who.strip_suffix(" - -")
        && let Some(ip) = target::ipv4(address.as_bytes())
    {
        event.set_text(Text::SourceAddress, address);
        return event.set_address(Address::SourceIp, IpAddr::V4(ip));
    }
    let (addresses, user) = match memmem::find(who.as_bytes(), b" - ") {
        Some(at) => (&who[..at], &who[at + 3..]),
        None => who.strip_suffix(" -").map_or_else(|| identified(who), |addresses| (addresses, "")),
    };
    set_addresses(addresses, event);
    let user = if memchr(b'\\', user.as_bytes()).is_some() { undone(event, Text::UserName.name(), user) } else { user };
    set_absent(event, Text::UserName, user);
}

/// `203.0.113.9 ident frank`, or `shop.example 203.0.113.9 ident frank`.
fn identified(who: &str) -> (&str, &str) {
    let (first, rest) = word(who);
    let (second, after) = word(rest);
    if target::address(first).is_none() && target::address(second).is_some() && !after.is_empty() {
        (&who[..first.len() + 1 + second.len()], word(after).1)
    } else {
        (first, after)
    }
}

/// The last address is the direct peer; a name before it is the virtual host, addresses are what proxies said.
fn set_addresses<'a>(text: &'a str, event: &mut Event<'a>) {
    let Some(space) = memrchr(b' ', text.as_bytes()) else {
        set_absent(event, Text::SourceAddress, text);
        return;
    };
    // nginx and rsyslog write a syslog frame in front, which ends with the program's name.
    if let Some((_, behind_frame)) = text.rsplit_once(": ") {
        return set_addresses(behind_frame, event);
    }
    let (front, peer) = (text[..space].trim_ascii(), &text[space + 1..]);
    if front.ends_with(',') && target::address(peer).is_none() {
        // A list that does not end in an address attributes nothing to anybody.
        set_absent(event, Text::SourceAddress, text);
        return;
    }
    set_absent(event, Text::SourceAddress, peer);
    let chain = front.bytes().any(|byte| matches!(byte, b',' | b' ')) || target::address(front).is_some();
    if chain {
        set_absent(event, Text::XForwardedFor, front.trim_end_matches(','));
    } else {
        target::set_authority(event, front);
    }
}

/// Reads the status; what follows it is given back.
fn set_status<'a>(rest: &'a str, event: &mut Event<'a>) -> &'a str {
    if let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] = rest.as_bytes() {
        let digit = |byte: &u8| i64::from(byte - b'0');
        event.set_number(Number::HttpStatus, digit(a) * 100 + digit(b) * 10 + digit(c));
        return &rest[5..];
    }
    let (text, rest) = word(rest.trim_ascii_start());
    match count(text) {
        Ok(Some(status @ 100..=999)) => event.set_number(Number::HttpStatus, status),
        // nginx writes 000 where it closed the connection without an answer.
        Ok(Some(0) | None) => {}
        Ok(Some(_)) => event.add_flaw(Number::HttpStatus.name(), FlawKind::OutOfRange),
        Err(kind) => event.add_flaw(Number::HttpStatus.name(), kind),
    }
    rest
}

/// A whole number; `-` and nothing are none.
fn count(text: &str) -> Result<Option<i64>, FlawKind> {
    if text.is_empty() || text == "-" {
        return Ok(None);
    }
    let mut number = 0_i64;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(FlawKind::NotANumber);
        }
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    if text.len() > COUNT_DIGITS_MAX { Err(FlawKind::OutOfRange) } else { Ok(Some(number)) }
}

/// A number that a space follows, and how many digits it has.
fn leading_count(text: &[u8]) -> Option<(i64, usize)> {
    let mut number = 0;
    for (length, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if length < COUNT_DIGITS_MAX => number = number * 10 + i64::from(byte - b'0'),
            b' ' if length > 0 => return Some((number, length)),
            _ => return None,
        }
    }
    None
}

/// Reads the size of the answer's body; what follows it is given back.
fn set_bytes<'a>(rest: &'a str, event: &mut Event<'a>) -> &'a str {
    if let Some((bytes, length)) = leading_count(rest.as_bytes()) {
        event.set_number(Number::HttpResponseBodyBytes, bytes);
        return &rest[length + 1..];
    }
    let rest = rest.trim_ascii_start();
    if rest.starts_with('"') {
        return rest;
    }
    let (text, rest) = word(rest);
    match count(text) {
        Ok(Some(bytes)) => event.set_number(Number::HttpResponseBodyBytes, bytes),
        Ok(None) => {}
        Err(kind) => event.add_flaw(Number::HttpResponseBodyBytes.name(), kind),
    }
    rest
}

/// Referrer, user agent, the forwarding header directly behind it, and a request time wherever it stands.
fn set_rest<'a>(text: &'a str, event: &mut Event<'a>) {
    let mut slots: &[Text] = &[Text::HttpReferrer, Text::UserAgent, Text::XForwardedFor];
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        if let Some(field) = rest.strip_prefix('"') {
            let (field, after) = quoted(field, |_| true);
            if let [slot, further @ ..] = slots {
                set_quoted(event, *slot, field);
                slots = further;
            }
            if !field.closed {
                event.add_flaw("event.original", FlawKind::Truncated);
            }
            rest = after.trim_ascii_start();
        } else {
            let (text, after) = word(rest);
            set_duration(text, event);
            // A quoted field further on is no forwarding header.
            if slots == [Text::XForwardedFor] {
                slots = &[];
            }
            rest = after.trim_ascii_start();
        }
    }
}

/// `0.123` is the request time in seconds, as are `rt=0.123` and `request_time="0.123"`; `12ms` is Traefik's.
fn set_duration(text: &str, event: &mut Event<'_>) {
    let value = match text.split_once('=') {
        Some(("rt" | "request_time", value)) => value.trim_matches('"'),
        Some(_) => return,
        None => text,
    };
    if event.number(Number::EventDuration).is_some() {
        return;
    }
    if let Some(nanoseconds) = nanoseconds(value) {
        event.set_number(Number::EventDuration, nanoseconds);
    }
}

/// Seconds with a point and a fraction, or whole milliseconds with their unit, as nanoseconds. Nine digits are 31
/// years, longer than any request.
fn nanoseconds(text: &str) -> Option<i64> {
    let short = |digits: &str| digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(milliseconds) = text.strip_suffix("ms") {
        let whole = short(milliseconds).then(|| milliseconds.parse::<i64>().ok()).flatten()?;
        return Some(whole * 1_000_000);
    }
    let (whole, fraction) = text.split_once('.')?;
    if !short(whole) || !short(fraction) || fraction.is_empty() {
        return None;
    }
    let missing = 9 - fraction.len() as u32;
    Some(whole.parse::<i64>().ok()? * 1_000_000_000 + fraction.parse::<i64>().ok()? * 10_i64.pow(missing))
}

/// The text up to the first space, and what follows that space.
fn word(text: &str) -> (&str, &str) {
    match memchr(b' ', text.as_bytes()) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Field;

    fn decoded<'a>(line: &'a str, arena: &'a Bump) -> Option<Event<'a>> {
        let mut event = Event::new(line.as_bytes(), arena);
        let context = Context { reference: Time(0), zone: &jiff::tz::TimeZone::UTC };
        Combined::new(&Keep::All).decode(line, &context, &mut event).then_some(event)
    }

    /// The fields asked for, and the kinds of flaws; `no` where the line does not fit.
    fn check(line: &str, expected: &str) {
        let arena = Bump::new();
        let Some(event) = decoded(line, &arena) else {
            assert_eq!("no", expected, "{line}");
            return;
        };
        for pair in expected.split(" | ").filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap();
            let given = match (name, Field::of(name)) {
                ("flaws", _) => {
                    event.flaws().iter().map(|flaw| format!("{:?}", flaw.kind)).collect::<Vec<_>>().join(",")
                }
                (_, Field::Text(slot)) => event.text(slot).unwrap_or("·").to_owned(),
                (_, Field::Number(slot)) => event.number(slot).map_or("·".to_owned(), |number| number.to_string()),
                (_, Field::Timestamp) => event.occurred_at.map_or("·".to_owned(), |time| time.to_string()),
                (_, Field::Extra(name)) => format!("{:?}", event.extra(&name)),
                (_, field) => panic!("{field} is not for this test"),
            };
            assert_eq!(given, value, "{name} of {line}");
        }
    }

    #[test]
    fn combined_and_common() {
        check(
            r#"203.0.113.9 - frank [23/Nov/2026:17:02:03 +0100] "GET /a?b=1 HTTP/1.1" 200 5 "http://r/" "curl/8""#,
            "@timestamp=2026-11-23T16:02:03.000Z | source.address=203.0.113.9 | user.name=frank | \
             http.request.method=GET | url.original=/a?b=1 | http.version=1.1 | http.response.status_code=200 | \
             http.response.body.bytes=5 | http.request.referrer=http://r/ | user_agent.original=curl/8 | \
             event.timezone=Some(Text(\"+01:00\")) | flaws=",
        );
        check(
            r#"::1 - - [26/Dec/2016:16:16:48 +0200] "-" 408 -"#,
            "source.address=::1 | user.name=· | http.request.method=· | url.original=· | \
             http.response.status_code=408 | http.response.body.bytes=· | user_agent.original=· | flaws=",
        );
        check(r#"unix: - - [26/Feb/2019:15:39:42 +0100] "" 400 0 "-" "-""#, "source.address=unix: | flaws=");
        check(
            r#"h ident user name [23/Nov/2026:17:02:03 +0000] "GET / HTTP/1.0" 000 0"#,
            "user.name=user name | flaws=",
        );
    }

    #[test]
    fn hosts_and_chains_in_front() {
        let rest = r#"[23/Nov/2026:17:02:03 +0000] "GET / HTTP/1.1" 200 5 "-" "x""#;
        for (front, expected) in [
            ("shop.example:443 203.0.113.9 - -", "203.0.113.9 · shop.example 443 ·"),
            ("shop.example 2001:db8::1 - a - b", "2001:db8::1 · shop.example · a - b"),
            ("shop.example 203.0.113.9 ident frank", "203.0.113.9 · shop.example · frank"),
            ("10.0.0.2, 10.0.0.1, 85.181.35.98 - -", "85.181.35.98 10.0.0.2, 10.0.0.1 · · ·"),
            (r#""10.5.102.222, 199.96.1.1" 10.2.1.185 - -"#, "10.2.1.185 10.5.102.222, 199.96.1.1 · · ·"),
            ("2a03::8000, 10.225.192.17 10.2.2.121 - -", "10.2.2.121 2a03::8000, 10.225.192.17 · · ·"),
            ("199.96.1.1 10.2.2.121 - -", "10.2.2.121 199.96.1.1 · · ·"),
            ("<190>Nov 23 17:02:05 front nginx: 203.0.113.9 - -", "203.0.113.9 · · · ·"),
            (r#""-" 10.2.1.185 - -"#, "10.2.1.185 · · · ·"),
            ("localhost, localhost - -", "localhost, localhost · · · ·"),
            (r"203.0.113.9 - o\x22 [a", "203.0.113.9 · · · o\" [a"),
            ("203.0.113.9 - [01/Jan/2000:00:00:00 +0000] x", "203.0.113.9 · · · [01/Jan/2000:00:00:00 +0000] x"),
            ("203.0.113.9 -", "203.0.113.9 · · · ·"),
            ("- - -", "· · · · ·"),
        ] {
            let arena = Bump::new();
            let line = format!("{front} {rest}");
            let event = decoded(&line, &arena).unwrap();
            let text = |slot| event.text(slot).unwrap_or("·");
            let port = event.number(Number::UrlPort).map_or("·".to_owned(), |port| port.to_string());
            let (address, chain) = (text(Text::SourceAddress), text(Text::XForwardedFor));
            let given = format!("{address} {chain} {} {port} {}", text(Text::UrlDomain), text(Text::UserName));
            assert_eq!(given, expected, "{line}");
            assert_eq!(event.occurred_at, Some(Time(1_795_453_323_000)), "{line}");
        }
    }

    #[test]
    fn escapes_and_quotes() {
        let front = "203.0.113.9 - - [23/Nov/2026:17:02:03 +0000]";
        for (rest, expected) in [
            (r#""GET /\x22a\x5C HTTP/1.1" 404 5 "-" "a \"b\" \\""#, r#"/"a\ 404 a "b" \ "#),
            (r#""GET /?q="a HTTP/1.1" 200 5 "-" "say "hi"x""#, r#"/?q="a 200 say "hi"x "#),
            (r#""GET /?q="a" HTTP/1.1" 200 5 "-" "x""#, r#"/?q="a" 200 x "#),
            (r#""GET /a b HTTP/1.1" 200 5 "-" "é""#, "/a b 200 é "),
            (r#""GET /\xC3\xA9\xff HTTP/1.1" 200 5 "-" "\q""#, "/é\u{fffd} 200 \\q InvalidUtf8,BadEscape"),
            (r#""\x16\x03\x01\x02\x00\x01" 400 157 "-" "-""#, "· 400 · MalformedRequest"),
            (r#""GET / HTTP/1.1" 20x 1e5 "-" "x""#, "/ · x NotANumber,NotANumber"),
            (r#""GET / HTTP/1.1" 99 99999999999999999999 "-" "x""#, "/ · x OutOfRange,OutOfRange"),
            (r#""GET / HTTP/1.1" 200 5 "-" "cut of"#, "/ 200 cut of Truncated"),
            (r#""GET /cut-of"#, "/cut-of · · Truncated"),
            (r#""GET / HTTP/1.1" 200 "-" "x""#, "/ 200 x "),
        ] {
            let arena = Bump::new();
            let line = format!("{front} {rest}");
            let event = decoded(&line, &arena).unwrap();
            let flaws = event.flaws().iter().map(|flaw| format!("{:?}", flaw.kind)).collect::<Vec<_>>().join(",");
            let status = event.number(Number::HttpStatus).map_or("·".to_owned(), |status| status.to_string());
            let texts = [Text::UrlOriginal, Text::UserAgent].map(|slot| event.text(slot).unwrap_or("·"));
            assert_eq!(format!("{} {status} {} {flaws}", texts[0], texts[1]), expected, "{line}");
        }
    }

    #[test]
    fn fields_behind_the_user_agent() {
        let front = r#"203.0.113.9 - - [23/Nov/2026:17:02:03 +0000] "GET / HTTP/1.1" 200 5"#;
        for (rest, chain, duration) in [
            (r#""-" "x" "203.0.113.7, 10.0.0.1""#, Some("203.0.113.7, 10.0.0.1"), None),
            (r#""-" "x" "-" rt=0.123 uct="0.001" urt="0.120""#, None, Some(123_000_000)),
            (r#""-" "x" 512 1.5 [web] [] 10.0.0.5:80 5 0.004 200 0af1"#, None, Some(1_500_000_000)),
            (r#"0.25 "-" "x" "203.0.113.7""#, Some("203.0.113.7"), Some(250_000_000)),
            (r#""-" "x" 7 "web@docker" "http://10.0.0.5:80" 12ms"#, None, Some(12_000_000)),
            (r#""-" "x" request_time="0.000000001""#, None, Some(1)),
            (r#""-" "x" 1234567890.5 . .5x -"#, None, None),
        ] {
            let arena = Bump::new();
            let line = format!("{front} {rest}");
            let event = decoded(&line, &arena).unwrap();
            assert_eq!(event.text(Text::UserAgent), Some("x"), "{line}");
            assert_eq!(event.text(Text::XForwardedFor), chain, "{line}");
            assert_eq!(event.number(Number::EventDuration), duration, "{line}");
        }
    }

    #[test]
    fn ssl_request_log() {
        check(
            r#"[10/Aug/2018:09:45:56 +0200] 172.30.0.119 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 "GET /a HTTP/1.1" 1375"#,
            "@timestamp=2018-08-10T07:45:56.000Z | source.address=172.30.0.119 | tls.version=1.2 | \
             tls.cipher=Some(Text(\"ECDHE-RSA-AES128-GCM-SHA256\")) | url.original=/a | \
             http.response.status_code=· | http.response.body.bytes=1375 | flaws=",
        );
    }

    #[test]
    fn other_lines_do_not_fit_and_odd_ones_do() {
        for line in [
            "",
            "\"",
            "{\"a\":1}",
            "Nov 23 17:02:05 host sshd[1]: Failed password for \"root\"",
            "203.0.113.9 - - [23/Nov/2026:17:02:03 +0000] GET / HTTP/1.1 200 5",
            "[Mon Nov 23 17:02:03 2026] [error] [client 203.0.113.9] File \"x\"",
        ] {
            check(line, "no");
        }
        check(r#""h - - [soon] "GET / HTTP/1.1" 200 5 "-" "x"""#, "user_agent.original=x");
        check(r#"h - - [soon] "GET / HTTP/1.1" 200 5"#, "@timestamp=· | flaws=NotATime");
        check(r#"h - - [2026-11-23T17:02:03+01:00] "GET / HTTP/1.1" 200 5"#, "@timestamp=2026-11-23T16:02:03.000Z");
    }

    /// Everything that a decoder sets here, in one text.
    fn told(event: &Event<'_>) -> String {
        let texts = [
            Text::SourceAddress,
            Text::UserName,
            Text::UrlDomain,
            Text::HttpMethod,
            Text::UrlOriginal,
            Text::HttpVersion,
            Text::HttpReferrer,
            Text::UserAgent,
            Text::XForwardedFor,
        ];
        let texts = texts.map(|slot| event.text(slot));
        let numbers = [Number::HttpStatus, Number::HttpResponseBodyBytes, Number::EventDuration];
        let numbers = numbers.map(|slot| event.number(slot));
        let address = event.address(Address::SourceIp);
        format!("{texts:?} {numbers:?} {address:?} {:?} {:?} {:?}", event.occurred_at, event.extras(), event.flaws())
    }

    proptest::proptest! {
        #[test]
        fn the_usual_head_is_a_short_cut_and_nothing_else(
            address in "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,2}\\.[0-9]{1,2}",
            who in "( - - | - a | -  - )",
            time in "(2[0-9]/Nov/2026:17:0[0-9]:03 [+-]0[0-9]00|2[0-9]/Nov/2026:[0-9:\\[\"]{14}|[0-9/\\[\"\\] ]{26})",
            rest in "(\\] \"|\\]\"|\\]  \")(GET|é)[ -~]{0,20}\"?[ 0-9-]{0,24}[ -~]{0,20}",
        ) {
            let line = format!("{address}{who}[{time}{rest}");
            let arena = Bump::new();
            let context = Context { reference: Time(0), zone: &jiff::tz::TimeZone::UTC };
            let decoder = Combined::new(&Keep::All);
            let (mut short, mut long) = (Event::new(b"", &arena), Event::new(b"", &arena));
            let fits = decoder.decode(&line, &context, &mut short);
            proptest::prop_assert_eq!(fits, decoder.decode_unusual(&line, &context, &mut long));
            proptest::prop_assert_eq!(told(&short), told(&long));
        }
    }
}
