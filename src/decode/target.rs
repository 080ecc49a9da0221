//! Request targets, split into the parts of a URL; addresses with a port or brackets around them. Pure.
//!
//! Deliberately without percent-decoding and without cutting at `#`: servers disagree on both, and rules look at the
//! text as it was sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::event::{Event, Number, Text};

/// As many bytes as nearly every extension has, with its dot.
const EXTENSION_BYTES: usize = 8;

/// Sets `url.path`, `url.query`, `url.extension` from `url.original`, and `url.scheme`, `url.domain`, `url.port` where
/// the target names them; what the decoder set stays.
pub(super) fn split(event: &mut Event<'_>) {
    let Some(original) = event.text(Text::UrlOriginal) else { return };
    let mut local = original;
    if !original.starts_with('/') {
        local = match absolute(original) {
            Some((scheme, authority, local)) => {
                set_absent(event, Text::UrlScheme, scheme);
                set_authority(event, authority);
                local
            }
            None if event.text(Text::HttpMethod) == Some("CONNECT") => {
                set_authority(event, original);
                ""
            }
            None => original,
        };
    }
    let (path, query) = match memchr::memchr(b'?', local.as_bytes()) {
        Some(at) => (&local[..at], Some(&local[at + 1..])),
        None => (local, None),
    };
    set_absent(event, Text::UrlPath, path);
    set_absent(event, Text::UrlQuery, query.unwrap_or_default());
    if let Some(path) = event.text(Text::UrlPath) {
        set_absent(event, Text::UrlExtension, extension(path));
    }
}

/// Splits a port off a domain that a decoder took from a Host header as it was.
pub(super) fn split_domain(event: &mut Event<'_>) {
    if let Some(domain) = event.text(Text::UrlDomain)
        && memchr::memchr(b':', domain.as_bytes()).is_some()
    {
        event.clear_text(Text::UrlDomain);
        set_authority(event, domain);
    }
}

/// Sets `url.domain` and `url.port` from `host`, `host:port` or `[address]:port`; what is set stays.
pub(super) fn set_authority<'a>(event: &mut Event<'a>, authority: &'a str) {
    // Whatever stands before the last `@` is user information.
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (domain, port) = match authority.rsplit_once(':') {
        Some((domain, port)) if !domain.contains(':') || domain.ends_with(']') => (domain, port.parse::<u16>().ok()),
        _ => (authority, None),
    };
    set_absent(event, Text::UrlDomain, domain.trim_start_matches('[').trim_end_matches(']'));
    if let Some(port) = port
        && event.number(Number::UrlPort).is_none()
    {
        event.set_number(Number::UrlPort, i64::from(port));
    }
}

/// Sets a text unless it is empty, `-`, or the slot is filled.
pub(super) fn set_absent<'a>(event: &mut Event<'a>, field: Text, value: &'a str) {
    if !value.is_empty() && value != "-" && event.text(field).is_none() {
        event.set_text(field, value);
    }
}

/// The address in `203.0.113.9`, `203.0.113.9:4711`, `2001:db8::1`, `[2001:db8::1]:4711` or `fe80::1%eth0`. Octal and
/// short IPv4 forms are none: programs disagree on what they mean.
pub(super) fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Some(address) = ipv4(text.as_bytes()) {
        return Some((IpAddr::V4(address), None));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip(), Some(socket.port())));
    }
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<Ipv6Addr>().ok().map(|address| (IpAddr::V6(address), None))
}

/// The address that `text` begins with and its length; what follows it is up to the caller. The same parts as
/// [`ipv4`]'s, but how many digits a part has decides no jump: nobody can predict those.
#[inline(always)]
pub(super) fn ipv4_at_start(text: &[u8; 16]) -> Option<(Ipv4Addr, usize)> {
    let mut rest = u128::from_le_bytes(*text);
    let (mut bits, mut used) = (0, 0);
    for part in 0..4 {
        let digits = rest as u32 ^ u32::from_le_bytes(*b"0000");
        // The high bit of each byte that is no digit, exact up to the first one.
        let others = (digits.wrapping_add(0x7676_7676) | digits) & 0x8080_8080;
        let length = others.trailing_zeros() / 8;
        if !(1..=3).contains(&length) {
            return None;
        }
        let aligned = digits << (32 - 8 * length);
        let value = (aligned >> 24) + (aligned >> 16 & 0xff) * 10 + (aligned >> 8 & 0xff) * 100;
        if value > 255 || (length > 1 && digits & 0xff == 0) {
            return None;
        }
        bits = bits << 8 | value;
        used += length as usize;
        if part < 3 {
            rest >>= 8 * length;
            if rest as u8 != b'.' {
                return None;
            }
            rest >>= 8;
            used += 1;
        }
    }
    Some((Ipv4Addr::from_bits(bits), used))
}

/// Four decimal parts without leading zeros, as the standard library has it; every line pays for this, so by hand.
pub(super) fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut bits = 0;
    let mut rest = text;
    for part in 0..4 {
        if part > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (value, used) = match rest {
            [b'0', ..] => (0, 1),
            [a, b, c, ..] if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() => {
                (u32::from(a - b'0') * 100 + u32::from(b - b'0') * 10 + u32::from(c - b'0'), 3)
            }
            [a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit() => {
                (u32::from(a - b'0') * 10 + u32::from(b - b'0'), 2)
            }
            [a, ..] if a.is_ascii_digit() => (u32::from(a - b'0'), 1),
            _ => return None,
        };
        if value > 255 {
            return None;
        }
        bits = bits << 8 | value;
        rest = &rest[used..];
    }
    rest.is_empty().then(|| Ipv4Addr::from_bits(bits))
}

/// Scheme, authority and the rest of `http://shop.example:8080/a?b`.
fn absolute(target: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let named = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    named.then(|| (scheme, &rest[..end], &rest[end..]))
}

/// What follows the last dot of the last segment; empty where there is none.
fn extension(path: &str) -> &str {
    let bytes = path.as_bytes();
    // Nearly every path ends in a slash or a short extension, where a search that is called costs more than it finds.
    let near = bytes.iter().rev().take(EXTENSION_BYTES).position(|byte| matches!(byte, b'.' | b'/'));
    let at = match near {
        Some(behind) => Some(bytes.len() - 1 - behind),
        None => memchr::memrchr2(b'.', b'/', bytes),
    };
    match at {
        Some(at) if bytes[at] == b'.' => &path[at + 1..],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use proptest::prelude::*;

    use super::*;

    fn parts(method: &str, target: &str) -> String {
        let arena = Bump::new();
        let mut event = Event::new(b"", &arena);
        event.set_text(Text::HttpMethod, method);
        event.set_text(Text::UrlOriginal, target);
        split(&mut event);
        let port = event.number(Number::UrlPort).map(|port| port.to_string());
        let fields = [Text::UrlScheme, Text::UrlDomain, Text::UrlPath, Text::UrlQuery, Text::UrlExtension];
        let texts = fields.map(|field| event.text(field).unwrap_or("·"));
        format!("{} {}", texts.join(" "), port.as_deref().unwrap_or("·"))
    }

    #[test]
    fn targets() {
        for (method, target, expected) in [
            ("GET", "/a/b.php?x=/c.d", "· · /a/b.php x=/c.d php ·"),
            ("GET", "/", "· · / · · ·"),
            ("GET", "/.env", "· · /.env · env ·"),
            ("GET", "/v1.2/list?", "· · /v1.2/list · · ·"),
            ("GET", "?a?b", "· · · a?b · ·"),
            ("OPTIONS", "*", "· · * · · ·"),
            ("GET", "http://u@shop.example:8080/a?u=http://x", "http shop.example /a u=http://x · 8080"),
            ("GET", "https://shop.example?a", "https shop.example · a · ·"),
            ("GET", "/r?u=http://x/y.z", "· · /r u=http://x/y.z · ·"),
            ("CONNECT", "[2001:db8::1]:443", "· 2001:db8::1 · · · 443"),
            ("CONNECT", "shop.example:443", "· shop.example · · · 443"),
            ("GET", "shop.example", "· · shop.example · example ·"),
            ("GET", "/?é=ü#x", "· · / é=ü#x · ·"),
        ] {
            assert_eq!(parts(method, target), expected, "{method} {target}");
        }
    }

    proptest! {
        #[test]
        fn ipv4_is_the_standard_librarys(text in "[0-9.]{0,16}", bits in any::<u32>()) {
            prop_assert_eq!(ipv4(text.as_bytes()), text.parse().ok());
            let address = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(ipv4(address.to_string().as_bytes()), Some(address));
        }

        #[test]
        fn an_address_at_the_start_is_the_standard_librarys(
            text in "[0-9]{1,4}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,2}", odd in "[0-9. é:/]{16}", bits in any::<u32>(),
        ) {
            for text in [text, Ipv4Addr::from_bits(bits).to_string(), odd] {
                let line = format!("{text} - - [                ");
                let found = ipv4_at_start(line.as_bytes().first_chunk().unwrap());
                let whole = found.filter(|(_, used)| line.as_bytes()[*used] == b' ');
                let first = line.split(' ').next().unwrap_or_default();
                let expected = first.parse().ok().map(|address: Ipv4Addr| (address, first.len()));
                prop_assert_eq!(whole, expected, "{}", line);
            }
        }
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("203.0.113.9", Some(("203.0.113.9", None))),
            ("203.0.113.9:4711", Some(("203.0.113.9", Some(4711)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("[2001:db8::1]:4711", Some(("2001:db8::1", Some(4711)))),
            ("[::1]", Some(("::1", None))),
            ("fe80::1%eth0", Some(("fe80::1", None))),
            ("010.0.0.1", None),
            ("127.1", None),
            ("unix:", None),
            ("", None),
        ] {
            let expected = expected.map(|(address, port)| (address.parse().unwrap(), port));
            assert_eq!(address(text), expected, "{text}");
        }
    }
}
