//! Addresses in text, and the walk through forwarding headers to the client. Pure.
//!
//! Strict on purpose: a hop that is not plainly an address ends the walk. Deliberately without a list of CDN headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// More hops than this are not walked: real chains have under ten, and the header is the client's to fill.
pub const HOPS_MAX: usize = 64;

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// The last address that was understood; absent where there was none.
    pub(super) client: Option<IpAddr>,
    /// Whether it ended at a hop that is no address.
    pub(super) broken: bool,
}

/// The client behind `X-Forwarded-For` or `Forwarded` (RFC 7239): from the right, the first hop that is not trusted;
/// the leftmost where all are. Several headers must be joined in order.
pub(super) fn walk(header: &str, trusted: impl Fn(IpAddr) -> bool) -> Walk {
    let mut client = None;
    let hops = header.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty());
    for (number, hop) in hops.enumerate() {
        let Some(address) = hop_address(hop).filter(|_| number < HOPS_MAX) else {
            return Walk { client, broken: true };
        };
        client = Some(address);
        if !trusted(address) {
            break;
        }
    }
    Walk { client, broken: false }
}

/// The address of one hop: bare, or the `for` of a `Forwarded` element.
fn hop_address(hop: &str) -> Option<IpAddr> {
    if !hop.contains('=') {
        return address(hop);
    }
    let mut nodes = hop.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    });
    let node = nodes.next()?;
    // Two `for` in one element: whose word counts is anybody's guess.
    if nodes.next().is_some() { None } else { address(node) }
}

/// Reads an address as logs and headers write it: with or without quotes, brackets, port and zone. IPv4-mapped IPv6 is
/// unwrapped; octal, short and hexadecimal IPv4 are refused.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = match text.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => text,
    };
    bare_address(text).map(|address| address.to_canonical())
}

fn bare_address(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (inside, port) = bracketed.split_once(']')?;
        return if port.is_empty() || is_port(port.strip_prefix(':')?) { v6(inside) } else { None };
    }
    match text.bytes().filter(|byte| *byte == b':').take(2).count() {
        0 => v4(text),
        1 => text.split_once(':').filter(|(_, port)| is_port(port)).and_then(|(host, _)| v4(host)),
        _ => v6(text),
    }
}

fn v4(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn v6(text: &str) -> Option<IpAddr> {
    let address = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => address,
        Some(_) => return None,
        None => text,
    };
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_strictly() {
        let read = |text: &str| address(text).map(|a| a.to_string()).unwrap_or_default();
        let good = [
            ("8.8.8.8", "8.8.8.8"),
            (" 8.8.8.8:443 ", "8.8.8.8"),
            ("::ffff:8.8.8.8", "8.8.8.8"),
            ("[2a00::1]:443", "2a00::1"),
            ("[2a00::1]", "2a00::1"),
            ("2A00:0::1", "2a00::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("\"[2a00::1%3]:80\"", "2a00::1"),
            ("[::ffff:8.8.8.8]:1", "8.8.8.8"),
        ];
        assert_eq!(good.iter().find(|(text, expected)| read(text) != *expected), None);
        let bad = [
            "",
            "-",
            "unknown",
            "_hidden",
            "010.0.0.1",
            "8.8.8",
            "0x8.8.8.8",
            "134744072",
            "8.8.8.8.8",
            "8.8.8.8:",
            "8.8.8.8:99999",
            "8.8.8.8:+1",
            "[8.8.8.8]",
            "[2a00::1",
            "[2a00::1]x",
            "2a00::1%",
            "\"8.8.8.8",
            "8.8.8.8\"",
            "::ffff:010.1.1.1",
            "8.8.8.8 9.9.9.9",
            "1.1.1.256",
        ];
        assert_eq!(bad.iter().find(|text| address(text).is_some()), None);
    }

    fn trusted(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10)
    }

    #[test]
    fn walks_of_the_table() {
        let cases = [
            ("8.8.8.8", "8.8.8.8", false),
            ("1.1.1.1, 8.8.8.8, 10.0.0.2", "8.8.8.8", false),
            ("10.0.0.9, 10.0.0.2", "10.0.0.9", false),
            ("8.8.8.8, unknown, 10.0.0.2", "10.0.0.2", true),
            ("8.8.8.8, unknown", "", true),
            ("garbage', 8.8.8.8", "8.8.8.8", false),
            (",8.8.8.8, ,", "8.8.8.8", false),
            ("", "", false),
            ("for=8.8.8.8;proto=http;by=10.0.0.1", "8.8.8.8", false),
            ("for=1.1.1.1, For=\"[2a00::1]:4711\"", "2a00::1", false),
            ("for=8.8.8.8, by=10.0.0.1;proto=https", "", true),
            ("for=8.8.8.8;for=9.9.9.9", "", true),
            ("for=\"1.1.1.1, for=8.8.8.8\"", "", true),
            ("for=\"_gazonk\"", "", true),
        ];
        for (header, client, broken) in cases {
            let expected = Walk { client: client.parse().ok(), broken };
            assert_eq!(walk(header, trusted), expected, "{header}");
        }
    }

    #[test]
    fn a_chain_without_end_is_broken_off() {
        let walked = walk(&"10.0.0.1,".repeat(100_000), trusted);
        assert_eq!(walked, Walk { client: "10.0.0.1".parse().ok(), broken: true });
    }

    /// The same walk, written as the security sheet says it.
    fn model(header: &str) -> Walk {
        let mut hops: Vec<&str> = header.split(',').map(str::trim).filter(|hop| !hop.is_empty()).collect();
        let mut client = None;
        while let Some(hop) = hops.pop() {
            match address(hop) {
                None => return Walk { client, broken: true },
                Some(address) if trusted(address) => client = Some(address),
                Some(address) => return Walk { client: Some(address), broken: false },
            }
        }
        Walk { client, broken: false }
    }

    proptest! {
        #[test]
        fn the_walk_is_the_model(
            hops in proptest::collection::vec(
                prop_oneof!["10\\.0\\.0\\.[1-9]", "8\\.8\\.8\\.[1-9](:80)?", Just("x".to_owned()), Just(String::new())], 0..12)
        ) {
            let header = hops.join(", ");
            prop_assert_eq!(walk(&header, trusted), model(&header));
        }
    }
}
