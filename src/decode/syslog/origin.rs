//! Where a message says a client came from: address or host name, and port. Pure.
//!
//! Log text is written by attackers: a user name may read `x from 1.2.3.4 port 22`. So each form here is anchored at
//! both ends, and where two readings are possible there is none. Deliberately without looking an address up *somewhere*
//! in a text, and without resolving names.

use std::net::IpAddr;

/// A name longer than this is none (RFC 1035 §2.3.4), and no address is as long.
const HOST_BYTES_MAX: usize = 253;

/// A client as a message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) host: Host<'a>,
    pub(super) port: Option<u16>,
}

/// What stands where an address belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// An address, or what was meant as one: digits that do not add up to it.
    Address(&'a str),
    /// A name. Never resolved: who owns it owns what it resolves to.
    Name(&'a str),
}

/// A user name and the client it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer<'a> {
    pub(super) user: Option<&'a str>,
    /// Whether the server says that the user does not exist or may not log in.
    pub(super) invalid: bool,
    /// Absent where the message can be read in more than one way.
    pub(super) origin: Option<Origin<'a>>,
}

impl<'a> Origin<'a> {
    /// `A` or `A port P`, and nothing else.
    pub(super) fn whole(text: &'a str) -> Option<Origin<'a>> {
        match text.split_once(' ') {
            None => Some(Origin { host: Host::read(text)?, port: None }),
            Some((host, rest)) => {
                let port = rest.strip_prefix("port ")?;
                Some(Origin { host: Host::read(host)?, port: Some(port_number(port)?) })
            }
        }
    }

    /// `A port P` at the start of `text`, and the rest behind it.
    pub(super) fn leading(text: &'a str) -> Option<(Origin<'a>, &'a str)> {
        let (host, rest) = text.split_once(' ')?;
        let rest = rest.strip_prefix("port ")?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let port = port_number(&rest[..digits])?;
        Some((Origin { host: Host::read(host)?, port: Some(port) }, &rest[digits..]))
    }

    /// `A port P` at the end of `text`, and the text before it without the blank between.
    pub(super) fn trailing(text: &'a str) -> Option<(&'a str, Origin<'a>)> {
        let (rest, port) = text.rsplit_once(' ')?;
        let rest = rest.strip_suffix(" port")?;
        let (before, host) = rest.rsplit_once(' ').unwrap_or(("", rest));
        Some((before, Origin { host: Host::read(host)?, port: Some(port_number(port)?) }))
    }

    /// `A:P`, as dropbear writes it; an IPv6 address stands there without brackets.
    pub(super) fn with_colon(text: &'a str) -> Option<Origin<'a>> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Origin { host: Host::read(host)?, port: Some(port_number(port)?) })
    }
}

impl<'a> Host<'a> {
    /// The address or name that `text` is as a whole. A zone behind an IPv6 address (`fe80::1%eth0`) is left out.
    pub(super) fn read(text: &'a str) -> Option<Host<'a>> {
        if text.is_empty() || text.len() > HOST_BYTES_MAX {
            return None;
        }
        let address = text.split_once('%').map_or(text, |(address, _)| address);
        if address.parse::<IpAddr>().is_ok() {
            return Some(Host::Address(address));
        }
        let named = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match named && text != "UNKNOWN" {
            true if numeric => Some(Host::Address(text)),
            true => Some(Host::Name(text)),
            false => None,
        }
    }
}

impl<'a> Peer<'a> {
    /// sshd's name for the other side: `A[ port P]`, `user U A port P`, `authenticating user U A port P` or
    /// `invalid user U A port P`, and nothing else.
    pub(super) fn whole(text: &'a str) -> Option<Peer<'a>> {
        let known = text.strip_prefix("authenticating user ").or_else(|| text.strip_prefix("user "));
        let invalid = text.strip_prefix("invalid user ");
        match known.or(invalid) {
            None => Some(Peer { user: None, invalid: false, origin: Some(Origin::whole(text)?) }),
            Some(rest) => {
                let (user, origin) = Origin::trailing(rest)?;
                Some(Peer { user: name(user), invalid: invalid.is_some(), origin: Some(origin) })
            }
        }
    }

    /// `U from A[ port P][ ssh2]`, to the end of `text`: nothing of the client's follows the user, so the last ` from ` is
    /// the true one, whatever the user's name.
    pub(super) fn from(text: &'a str) -> Option<Peer<'a>> {
        let (user, tail) = text.rsplit_once(FROM)?;
        let origin = Origin::whole(tail.strip_suffix(" ssh2").or_else(|| tail.strip_suffix(" ssh1")).unwrap_or(tail))?;
        let (user, invalid) = named_user(user);
        Some(Peer { user, invalid, origin: Some(origin) })
    }

    /// `[invalid user ]U from A[ port P][ ssh2][: information]`, to the end of `text`.
    ///
    /// The user is the client's word, and so may be the information behind a certificate or a host key. A tail without
    /// information, or with a key's name and fingerprint alone, is sshd's own: then the last ` from ` is the true one,
    /// whatever the user's name. With more information the line is believed only where it has a single reading.
    pub(super) fn from_informed(text: &'a str) -> Option<(Peer<'a>, &'a str)> {
        let peer = |at: usize, origin| {
            let (user, invalid) = named_user(&text[..at]);
            Peer { user, invalid, origin: Some(origin) }
        };
        let last = text.rfind(FROM)?;
        if let Some((origin, information)) = tail(&text[last + FROM.len()..]) {
            return Some((peer(last, origin), information));
        }
        let mut readings = places_of_from(text).filter_map(|at| {
            let (origin, rest) = Origin::leading(&text[at + FROM.len()..])?;
            Some((at, origin, rest))
        });
        match (readings.next(), readings.next()) {
            (Some((at, origin, rest)), None) if informed(rest) => Some((peer(at, origin), &rest[INFORMATION_AT..])),
            (Some(_), _) => Some((Peer { user: None, invalid: named_user(text).1, origin: None }, "")),
            (None, _) => {
                let host = Host::read(&text[last + FROM.len()..])?;
                Some((peer(last, Origin { host, port: None }), ""))
            }
        }
    }
}

const FROM: &str = " from ";
/// Where information begins behind the port: after ` ssh2: `.
const INFORMATION_AT: usize = " ssh2: ".len();

/// Every place of ` from `, also those that share a blank: ` from from 1.2.3.4` has two.
fn places_of_from(text: &str) -> impl Iterator<Item = usize> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next + text[next..].find(FROM)?;
        next = at + 1;
        Some(at)
    })
}

/// A name that is there.
pub(super) fn name(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The user in front of ` from `, and whether the server calls it invalid.
fn named_user(text: &str) -> (Option<&str>, bool) {
    let prefixes = ["invalid user", "illegal user"];
    let rest = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    match rest {
        Some("") => (None, true),
        Some(rest) => rest.strip_prefix(' ').map_or((name(text), false), |user| (name(user), true)),
        None => (name(text), text == "<invalid username>"),
    }
}

/// A whole tail that only the server can have written: `A port P`, `… ssh2`, `… ssh2: RSA SHA256:…`.
fn tail(text: &str) -> Option<(Origin<'_>, &str)> {
    let (origin, rest) = Origin::leading(text)?;
    let rest = match rest {
        "" | " ssh1" | " ssh2" => return Some((origin, "")),
        _ => rest.strip_prefix(" ssh2: ")?,
    };
    let (kind, fingerprint) = rest.split_once(' ')?;
    let of_key =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b':' | b'.' | b'-' | b'$');
    let key = !kind.is_empty() && !fingerprint.is_empty() && kind.bytes().chain(fingerprint.bytes()).all(of_key);
    key.then_some((origin, rest))
}

/// Whether what follows the port is information, whoever wrote it.
fn informed(rest: &str) -> bool {
    rest.starts_with(" ssh2: ") || rest.starts_with(" ssh1: ")
}

fn port_number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(host: &str, port: u16) -> Option<Origin<'_>> {
        Some(Origin { host: Host::Address(host), port: Some(port) })
    }

    #[test]
    fn hosts() {
        assert_eq!(Host::read("::ffff:1.2.3.4"), Some(Host::Address("::ffff:1.2.3.4")));
        assert_eq!(Host::read("fe80::1%eth0"), Some(Host::Address("fe80::1")));
        assert_eq!(Host::read("192.030.0.6"), Some(Host::Address("192.030.0.6")));
        assert_eq!(Host::read("a-b.example.com"), Some(Host::Name("a-b.example.com")));
        for none in ["", "UNKNOWN", "a b", "1.2.3.4:22", "x\"y", &"a".repeat(300)] {
            assert_eq!(Host::read(none), None, "{none}");
        }
    }

    #[test]
    fn the_last_tail_is_the_true_one() {
        for (text, user, host, port) in [
            ("root from 9.9.9.9 port 5 ssh2", "root", "9.9.9.9", 5),
            ("x from 1.2.3.4 port 22 from 9.9.9.9 port 5", "x from 1.2.3.4 port 22", "9.9.9.9", 5),
            ("x from 1.2.3.4 port 22 ssh2 from 9.9.9.9 port 5 ssh2", "x from 1.2.3.4 port 22 ssh2", "9.9.9.9", 5),
            (
                "x from 1.2.3.4 port 22 ssh2: RSA a from 9.9.9.9 port 5 ssh2: RSA SHA256:b",
                "x from 1.2.3.4 port 22 ssh2: RSA a",
                "9.9.9.9",
                5,
            ),
            ("u from 9.9.9.9 port 5 ssh1: ruser from 1.2.3.4", "u", "9.9.9.9", 5),
            ("u from 9.9.9.9 port 5 ssh2: RSA a, client user \"d from 1.2.3.4\", client host \"h\"", "u", "9.9.9.9", 5),
        ] {
            let (peer, _) = Peer::from_informed(text).unwrap();
            assert_eq!((peer.user, peer.origin), (Some(user), origin(host, port)), "{text}");
        }
    }

    #[test]
    fn two_readings_are_none() {
        let shared = "x from 1.2.3.4 port 2 ssh2: a from from 9.9.9.9 port 5 ssh2: C F ID i (serial 0) CA RSA d";
        assert_eq!(Peer::from_informed(shared).unwrap().0.origin, None);
        let text =
            "invalid user x from 9.9.9.9 port 5 ssh2: RSA-CERT a ID b from 1.2.3.4 port 2 ssh2: c (serial 0) CA RSA d";
        assert_eq!(Peer::from_informed(text), Some((Peer { user: None, invalid: true, origin: None }, "")));
        let quoted =
            "x from 9.9.9.9 port 5 ssh2: R a, client user \"b\", client host \"h from 1.2.3.4 port 2 ssh2: R F\"";
        assert_eq!(Peer::from_informed(quoted).unwrap().0.origin, None);
    }

    #[test]
    fn peers() {
        let whole = Peer::whole("invalid user x 1.2.3.4 port 22 9.9.9.9 port 5").unwrap();
        assert_eq!((whole.user, whole.invalid, whole.origin), (Some("x 1.2.3.4 port 22"), true, origin("9.9.9.9", 5)));
        assert_eq!(Peer::whole("invalid user  9.9.9.9 port 5").unwrap().user, None);
        assert_eq!(Peer::whole("9.9.9.9 port 5").unwrap().origin, origin("9.9.9.9", 5));
        assert_eq!(Peer::whole("totobad user ftp 9.9.9.9 port 5"), None);
        assert_eq!(Peer::whole("9.9.9.9 port 5 x"), None);
    }
}
