//! The request line: method, target, version. Pure.
//!
//! Deliberately without judging the request: a line that is no HTTP request is a flaw, and rules look at flaws.

use memchr::{memchr, memrchr};

use crate::event::{Event, FlawKind, Text};

use super::target::set_absent;

/// Longer methods are none: the longest registered one has 17 letters.
const METHOD_BYTES_MAX: usize = 32;

/// As long as nearly every version is.
const COMMON_VERSION: &str = " HTTP/1.1";

/// Sets method, target and version from a request line without its quotes. An empty one or `-` is a connection
/// without a request, which browsers make in advance: no flaw.
pub(super) fn set<'a>(line: &'a str, event: &mut Event<'a>) {
    if line.is_empty() || line == "-" {
        return;
    }
    // Methods are short: a search of the whole line would cost more than the few bytes.
    let method_end = match line.as_bytes() {
        [b'G', b'E', b'T', b' ', ..] => Some(3),
        [b'P', b'O', b'S', b'T', b' ', ..] => Some(4),
        other => other.iter().take(METHOD_BYTES_MAX + 1).position(|byte| *byte == b' '),
    };
    let parts = method_end.map(|end| (&line[..end], &line[end + 1..]));
    let Some((method, rest)) = parts.filter(|(method, _)| is_method(method)) else {
        event.add_flaw(Text::UrlOriginal.name(), FlawKind::MalformedRequest);
        return;
    };
    let (target, version) = target_and_version(rest);
    // Without a version it is HTTP/0.9: `GET /path`, and nothing else.
    let well_formed = match version {
        Some(_) => !target.is_empty(),
        None => target.starts_with('/') && memchr(b' ', target.as_bytes()).is_none(),
    };
    if !well_formed {
        event.add_flaw(Text::UrlOriginal.name(), FlawKind::MalformedRequest);
    }
    set_absent(event, Text::HttpMethod, method);
    set_absent(event, Text::UrlOriginal, target);
    set_absent(event, Text::HttpVersion, version.unwrap_or_default());
}

/// Everything up to the last word is the target, spaces included, where the last word is a version.
fn target_and_version(rest: &str) -> (&str, Option<&str>) {
    if let Some((target, version)) =
        rest.len().checked_sub(COMMON_VERSION.len()).and_then(|at| rest.split_at_checked(at))
        && let Some(version) = version.strip_prefix(" HTTP/").filter(|version| is_version(version))
    {
        return (target, Some(version));
    }
    let space = memrchr(b' ', rest.as_bytes());
    let last = space.map_or(rest, |at| &rest[at + 1..]);
    match last.strip_prefix("HTTP/").filter(|version| is_version(version)) {
        Some(version) => (space.map_or("", |at| &rest[..at]), Some(version)),
        None => (rest, None),
    }
}

fn is_version(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// A token of RFC 9110 that begins with a letter.
fn is_method(text: &str) -> bool {
    matches!(text, "GET" | "POST")
        || text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use super::*;

    #[test]
    fn request_lines() {
        for (line, expected) in [
            ("GET /a?b HTTP/1.1", "GET /a?b 1.1 ok"),
            ("GET /a b  c HTTP/2.0", "GET /a b  c 2.0 ok"),
            ("PRI * HTTP/2", "PRI * 2 ok"),
            ("GET /", "GET / · ok"),
            ("", "· · · ok"),
            ("-", "· · · ok"),
            ("hello", "· · · malformed"),
            ("GET", "· · · malformed"),
            ("GET  HTTP/1.1", "GET · 1.1 malformed"),
            ("GET HTTP/1.1", "GET · 1.1 malformed"),
            ("t3 12.2.1", "t3 12.2.1 · malformed"),
            ("GET /a HTTP/1.1x", "GET /a HTTP/1.1x · malformed"),
            ("\u{16}\u{3}\u{1}", "· · · malformed"),
            ("\u{16} / HTTP/1.1", "· · · malformed"),
        ] {
            let arena = Bump::new();
            let mut event = Event::new(b"", &arena);
            set(line, &mut event);
            let texts = [Text::HttpMethod, Text::UrlOriginal, Text::HttpVersion];
            let texts = texts.map(|field| event.text(field).unwrap_or("·")).join(" ");
            let flaw = if event.flaws().is_empty() { "ok" } else { "malformed" };
            assert_eq!(format!("{texts} {flaw}"), expected, "{line}");
        }
    }
}
