//! What OpenSSH's server says. Pure.
//!
//! One try to log in is one login failure: `Failed password`, or any other way to prove oneself but by key. Its
//! companions, which sshd and PAM write about the same try, get actions of their own: else a person who mistypes once
//! counts three times. A refused key is such a companion too, because clients offer every key they have. Deliberately
//! without memory of earlier lines of a connection.

use super::extra::Extra;
use super::origin::{Host, Origin, Peer, name};
use super::reading::{Class, Outcome, Reading};

/// Reads a message of sshd, or says that it is of no interest.
pub(super) fn read(message: &str) -> Option<Reading<'_>> {
    let message = ["error: ", "fatal: "].iter().find_map(|level| message.strip_prefix(level)).unwrap_or(message);
    let (message, early) = match message.strip_suffix(" [preauth]") {
        Some(message) => (message, true),
        None => (message, false),
    };
    tried(message)
        .or_else(|| closed(message, early))
        .or_else(|| refused(message))
        .or_else(|| broken(message))
        .or_else(|| noted(message))
}

/// Tries to log in and their outcome.
fn tried(message: &str) -> Option<Reading<'_>> {
    if let Some(rest) = message.strip_prefix("Accepted ") {
        return accepted(rest);
    }
    if let Some(rest) = message.strip_prefix("Failed ") {
        return failed(rest);
    }
    let unknown = message.strip_prefix("Invalid user").or_else(|| message.strip_prefix("Illegal user"));
    if let Some(rest) = unknown.and_then(|rest| rest.strip_prefix(' ')) {
        let reading = Reading::failed("ssh_invalid_user", "invalid_user").by(Peer::from(rest)?);
        return Some(reading.with(Extra::SshEvent, Some("Invalid")));
    }
    let exceeded = message.strip_prefix("maximum authentication attempts exceeded for ");
    exceeded.and_then(|rest| Some(Reading::failed("ssh_max_attempts", "max_attempts").by(Peer::from(rest)?)))
}

/// `publickey for U from A port P ssh2: RSA SHA256:…`
fn accepted(rest: &str) -> Option<Reading<'_>> {
    let (method, rest) = rest.split_once(" for ")?;
    let (peer, signature) = Peer::from_informed(rest)?;
    let reading = Reading::login_succeeded("ssh_login").by(peer).with(Extra::SshEvent, Some("Accepted"));
    Some(reading.with(Extra::SshMethod, Some(method)).with(Extra::SshSignature, name(signature)))
}

/// `password for invalid user U from A port P ssh2`
fn failed(rest: &str) -> Option<Reading<'_>> {
    let (method, rest) = rest.split_once(' ')?;
    let (peer, signature) = Peer::from_informed(rest.strip_prefix("for ")?)?;
    let reason = |otherwise| if peer.invalid { "invalid_user" } else { otherwise };
    let reading = match method {
        "publickey" | "hostbased" => Reading::failed("ssh_key_refused", reason("key_refused")),
        // Clients first ask with no proof at all which ways there are; the try itself follows.
        "none" => Reading::failed("ssh_method_probe", reason("no_credentials")),
        _ => Reading::login_failed("ssh_login", reason("bad_password")),
    };
    let reading = reading.by(peer).with(Extra::SshEvent, Some("Failed")).with(Extra::SshMethod, Some(method));
    Some(reading.with(Extra::SshSignature, name(signature)))
}

/// Connections that end, `early` when nobody had logged in yet.
fn closed(message: &str, early: bool) -> Option<Reading<'_>> {
    let verbs = ["Connection closed by ", "Connection reset by ", "Disconnected from "];
    if let Some(rest) = verbs.iter().find_map(|verb| message.strip_prefix(verb)) {
        return ended(Peer::whole(rest)?, early, rest);
    }
    if let Some(rest) = message.strip_prefix("Received disconnect from ") {
        return disconnect_received(rest, early);
    }
    if let Some(rest) = message.strip_prefix("Disconnecting ") {
        return disconnecting(rest);
    }
    if let Some(rest) = message.strip_prefix("Disconnecting: ") {
        let user = rest.strip_prefix("Too many authentication failures")?;
        let user = user.strip_prefix(" for ").and_then(name);
        return Some(Reading { user, ..Reading::failed("ssh_disconnect", "max_attempts") });
    }
    let lost = message.starts_with("Read from socket failed: ") || message.starts_with("Write failed: ");
    lost.then(|| closed_by(early, Reading::new("ssh_connection_closed", Class::Note)))
}

/// On servers that take keys only, a connection closed while authenticating is all that is heard of a failed try.
fn ended<'a>(peer: Peer<'a>, early: bool, rest: &str) -> Option<Reading<'a>> {
    let reason = if peer.invalid { "invalid_user" } else { "not_authenticated" };
    let reading = match rest {
        _ if peer.invalid || rest.starts_with("authenticating user ") => Reading::failed("ssh_preauth_close", reason),
        _ if rest.starts_with("user ") => Reading::new("ssh_disconnect", Class::Note),
        _ => closed_by(early, Reading::new("ssh_connection_closed", Class::Note)),
    };
    Some(reading.by(peer))
}

fn closed_by(early: bool, reading: Reading<'_>) -> Reading<'_> {
    if !early {
        return reading;
    }
    Reading { outcome: Outcome::Failure, reason: Some("not_authenticated"), ..reading }
}

/// `A: 11: Bye Bye` and `A port P:11: Bye Bye`; the text is the client's.
fn disconnect_received(rest: &str, early: bool) -> Option<Reading<'_>> {
    let (origin, rest) = match Origin::leading(rest) {
        Some((origin, rest)) => (origin, rest.strip_prefix(':')?),
        None => {
            let (host, rest) = rest.split_once(": ")?;
            (Origin { host: Host::read(host)?, port: None }, rest)
        }
    };
    let (code, text) = rest.trim_start_matches(' ').split_once(':')?;
    // RFC 4253 §11.1: 14 is "no more authentication methods available".
    let unauthenticated = early || code == "14" || text.ends_with("Auth fail");
    let reading = closed_by(unauthenticated, Reading::new("ssh_disconnect", Class::Note));
    Some(Reading { origin: Some(origin), ..reading })
}

/// `invalid user U A port P: Too many authentication failures`: behind the colon are sshd's own words, but for one
/// message that quotes the client's names.
fn disconnecting(rest: &str) -> Option<Reading<'_>> {
    const CHANGED: &str = ": Change of username or service not allowed: (";
    if let Some(before) = rest.strip_suffix(": Too many authentication failures") {
        return Some(Reading::failed("ssh_disconnect", "max_attempts").by(Peer::whole(before)?));
    }
    if let Some((before, after)) = rest.split_once(CHANGED).filter(|_| rest.ends_with(')')) {
        let reading = Reading::failed("ssh_disconnect", "user_changed");
        let peer = Peer::whole(before).filter(|_| !after.contains(CHANGED));
        return Some(peer.map_or(Reading { doubtful: true, ..reading }, |peer| reading.by(peer)));
    }
    Some(Reading::failed("ssh_disconnect", "protocol_error").by(Peer::whole(rest.rsplit_once(": ")?.0)?))
}

/// Clients that may not log in whatever they know.
fn refused(message: &str) -> Option<Reading<'_>> {
    let not_allowed = || Reading::failed("ssh_not_allowed", "not_allowed");
    if let Some(rest) = message.strip_prefix("User ") {
        let (before, _) = rest.rsplit_once(" not allowed because ")?;
        let (user, host) = match before.rsplit_once(" from ") {
            Some((user, host)) => (user, Some(Host::read(host)?)),
            None => (before, None),
        };
        let origin = host.map(|host| Origin { host, port: None });
        return Some(Reading { user: name(user), origin, ..not_allowed() });
    }
    if let Some(rest) = message.strip_prefix("ROOT LOGIN REFUSED FROM ") {
        return Some(Reading { user: Some("root"), origin: Some(Origin::whole(rest)?), ..not_allowed() });
    }
    let rest = message.strip_prefix("refused connect from ")?;
    let host = match rest.strip_suffix(')') {
        Some(rest) => rest.rsplit_once(" (")?.1,
        None => rest,
    };
    let origin = Origin { host: Host::read(host)?, port: None };
    Some(Reading { origin: Some(origin), ..Reading::failed("ssh_refused", "refused") })
}

/// Clients that do not speak the protocol to its end: scanners, mostly.
fn broken(message: &str) -> Option<Reading<'_>> {
    if let Some(rest) = message.strip_prefix("Did not receive identification string from ") {
        let origin = Origin::whole(rest)?;
        let (Host::Address(dropped) | Host::Name(dropped)) = origin.host;
        let reading = Reading::failed("ssh_no_identification", "no_identification");
        return Some(Reading { origin: Some(origin), ..reading }.with(Extra::SshDroppedAddress, Some(dropped)));
    }
    let protocol = || Reading::failed("ssh_bad_protocol", "bad_protocol");
    let starts = ["banner exchange: Connection from ", "ssh_dispatch_run_fatal: Connection from ", SENDING];
    if let Some(rest) = starts.iter().find_map(|start| message.strip_prefix(start)) {
        let logged_in = rest.starts_with("user ");
        let reading = if logged_in { Reading::new("ssh_disconnect", Class::Note) } else { protocol() };
        return Some(reading.by(peer_before_reason(rest)?));
    }
    if message.starts_with("Bad protocol version identification '") || message.starts_with("Magic value check failed (")
    {
        let (_, origin) = message.rsplit_once(" from ")?;
        return Some(Reading { origin: Some(Origin::whole(origin)?), ..protocol() });
    }
    if message.starts_with("kex_exchange_identification: ") {
        return Some(protocol());
    }
    if let Some(rest) = message.strip_prefix("Unable to negotiate with ") {
        let peer = peer_before_reason(rest)?;
        return Some(Reading::failed("ssh_negotiation_failed", "negotiation_failed").by(peer));
    }
    let negotiation = message.starts_with("Unable to negotiate a ") || message.starts_with("no matching ");
    negotiation.then(|| Reading::failed("ssh_negotiation_failed", "negotiation_failed"))
}

const SENDING: &str = "ssh_dispatch_run_fatal: Connection to ";

/// `A port P: reason`, where the reason may hold the client's words; or with a user in front, then without such words.
fn peer_before_reason(text: &str) -> Option<Peer<'_>> {
    if let Some((origin, rest)) = Origin::leading(text) {
        return rest.starts_with(": ").then_some(Peer { user: None, invalid: false, origin: Some(origin) });
    }
    Peer::whole(text.rsplit_once(": ")?.0)
}

/// The rest that names a client.
fn noted(message: &str) -> Option<Reading<'_>> {
    let reading = |action, origin| Some(Reading { origin: Some(origin), ..Reading::new(action, Class::Note) });
    if let Some(rest) = message.strip_prefix("Connection from ") {
        let (origin, rest) = Origin::leading(rest).or_else(|| Some((Origin::whole(rest)?, "")))?;
        return (rest.is_empty() || rest.starts_with(" on ")).then(|| reading("ssh_connection", origin)).flatten();
    }
    if let Some(rest) = message.strip_prefix("Timeout before authentication for ") {
        let origin = match rest.strip_prefix("connection from ") {
            Some(rest) => Origin { host: Host::read(rest.split_once(" to ")?.0)?, port: None },
            None => Peer::whole(rest)?.origin?,
        };
        return Some(Reading { origin: Some(origin), ..Reading::failed("ssh_timeout", "timeout") });
    }
    if let Some(rest) = message.strip_prefix("drop connection #") {
        return dropped(rest);
    }
    if let Some(rest) = message.strip_prefix("Address ") {
        let (host, _) = rest.split_once(" maps to ")?;
        return reading("ssh_reverse_mapping", Origin { host: Host::read(host)?, port: None });
    }
    if let Some(rest) = message.strip_prefix("reverse mapping checking getaddrinfo for ") {
        let rest = rest.trim_end_matches('!').strip_suffix("] failed - POSSIBLE BREAK-IN ATTEMPT")?;
        return reading("ssh_reverse_mapping", Origin { host: Host::read(rest.rsplit_once(" [")?.1)?, port: None });
    }
    pam_error(message.strip_prefix("PAM: ")?)
}

/// `0 from [A]:P on [B]:22 penalty: failed authentication`: since OpenSSH 9.8 the server itself turns offenders away.
fn dropped(rest: &str) -> Option<Reading<'_>> {
    let (_, rest) = rest.split_once(" from [")?;
    let (host, rest) = rest.split_once("]:")?;
    let (port, reason) = rest.split_once(" on [")?;
    let origin = Origin { host: Host::read(host)?, port: Some(port.parse().ok()?) };
    let reason = if reason.contains(" penalty: ") { "penalty" } else { "throttled" };
    Some(Reading { origin: Some(origin), ..Reading::failed("ssh_dropped", reason) })
}

/// `Authentication failure for U from A`, sshd's companion of a try by keyboard-interactive; macOS adds ` via B`.
fn pam_error(rest: &str) -> Option<Reading<'_>> {
    let (text, rest) = rest.split_once(" for ")?;
    let (user, host) = rest.rsplit_once(" from ")?;
    let host = host.split_once(" via ").map_or(host, |(host, _)| host);
    let (user, illegal) = match user.strip_prefix("illegal user ").or_else(|| user.strip_prefix("invalid user ")) {
        Some(user) => (user, true),
        None => (user, text.starts_with("User not known")),
    };
    let reading = Reading::failed("pam_failure", if illegal { "invalid_user" } else { "bad_password" });
    let origin = Origin { host: Host::read(host.trim_end_matches(' '))?, port: None };
    Some(Reading { user: name(user), origin: Some(origin), ..reading })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each message is read as `action reason login user host port`, `-` for what it does not say.
    fn check(rows: &[(&str, &str)]) {
        for (message, expected) in rows {
            let reading = read(message).unwrap_or_else(|| panic!("not read: {message}"));
            let host = reading.origin.map(|origin| match origin.host {
                Host::Address(host) | Host::Name(host) => host,
            });
            let port = reading.origin.and_then(|origin| origin.port).map(|port| port.to_string());
            let login = reading.login.map(|login| format!("{login:?}"));
            let words = [reading.reason, login.as_deref(), reading.user, host, port.as_deref()];
            let words = words.map(|word| word.unwrap_or("-")).join(" ");
            assert_eq!(format!("{} {words}", reading.action), *expected, "{message}");
        }
    }

    #[test]
    fn tries() {
        check(&[
            ("Failed password for root from 9.9.9.9 port 5 ssh2", "ssh_login bad_password Failure root 9.9.9.9 5"),
            ("Failed password for invalid user x from 9::9 port 5 ssh2", "ssh_login invalid_user Failure x 9::9 5"),
            (
                "Failed password for invalid user  from 9.9.9.9 port 5 ssh2",
                "ssh_login invalid_user Failure - 9.9.9.9 5",
            ),
            (
                "Failed keyboard-interactive/pam for a from 9.9.9.9 port 5 ssh2",
                "ssh_login bad_password Failure a 9.9.9.9 5",
            ),
            (
                "Failed publickey for a from 9.9.9.9 port 5 ssh2: RSA SHA256:a/b+",
                "ssh_key_refused key_refused - a 9.9.9.9 5",
            ),
            ("Failed none for invalid user 0 from 9.9.9.9 port 5 ssh2", "ssh_method_probe invalid_user - 0 9.9.9.9 5"),
            ("Accepted publickey for a from 9.9.9.9 port 5 ssh2: ED25519 SHA256:a", "ssh_login - Success a 9.9.9.9 5"),
            ("Invalid user a from 9.9.9.9", "ssh_invalid_user invalid_user - a 9.9.9.9 -"),
            ("Invalid user  from 9.9.9.9 port 5", "ssh_invalid_user invalid_user - - 9.9.9.9 5"),
            (
                "error: maximum authentication attempts exceeded for invalid user x from 9.9.9.9 port 5 ssh2 [preauth]",
                "ssh_max_attempts max_attempts - x 9.9.9.9 5",
            ),
        ]);
    }

    #[test]
    fn names_that_look_like_tails() {
        check(&[
            (
                "Invalid user x from 1.2.3.4 from 9.9.9.9 port 5",
                "ssh_invalid_user invalid_user - x from 1.2.3.4 9.9.9.9 5",
            ),
            (
                "Failed password for invalid user x from 1.2.3.4 port 22 from 9.9.9.9 port 5 ssh2",
                "ssh_login invalid_user Failure x from 1.2.3.4 port 22 9.9.9.9 5",
            ),
            (
                "Connection closed by authenticating user x 1.2.3.4 9.9.9.9 port 5 [preauth]",
                "ssh_preauth_close not_authenticated - x 1.2.3.4 9.9.9.9 5",
            ),
            (
                "Disconnecting invalid user x 1.2.3.4 port 2: y 9.9.9.9 port 5: Too many authentication failures [preauth]",
                "ssh_disconnect max_attempts - x 1.2.3.4 port 2: y 9.9.9.9 5",
            ),
            (
                "Bad protocol version identification 'x' from 1.2.3.4 port 1' from 9.9.9.9 port 5",
                "ssh_bad_protocol bad_protocol - - 9.9.9.9 5",
            ),
            (
                "error: PAM: Authentication failure for x from 1.2.3.4 from 9.9.9.9 via 10.0.0.1",
                "pam_failure bad_password - x from 1.2.3.4 9.9.9.9 -",
            ),
            (
                "reverse mapping checking getaddrinfo for x [1.2.3.4] [9.9.9.9] failed - POSSIBLE BREAK-IN ATTEMPT!",
                "ssh_reverse_mapping - - - 9.9.9.9 -",
            ),
        ]);
    }

    #[test]
    fn ends() {
        check(&[
            (
                "Connection reset by invalid user  9.9.9.9 port 5 [preauth]",
                "ssh_preauth_close invalid_user - - 9.9.9.9 5",
            ),
            ("Connection closed by 9.9.9.9 [preauth]", "ssh_connection_closed not_authenticated - - 9.9.9.9 -"),
            ("Connection closed by 9.9.9.9 port 5", "ssh_connection_closed - - - 9.9.9.9 5"),
            ("Disconnected from user a 9.9.9.9 port 5", "ssh_disconnect - - a 9.9.9.9 5"),
            (
                "Received disconnect from 9.9.9.9: 11: x from 1.2.3.4 port 2 [preauth]",
                "ssh_disconnect not_authenticated - - 9.9.9.9 -",
            ),
            ("Received disconnect from 9.9.9.9 port 5:11: disconnected by user", "ssh_disconnect - - - 9.9.9.9 5"),
            (
                "Disconnecting invalid user a 9.9.9.9 port 5: Change of username or service not allowed: (a,b) -> (c,d)",
                "ssh_disconnect user_changed - a 9.9.9.9 5",
            ),
            (
                "Disconnecting: Too many authentication failures for root [preauth]",
                "ssh_disconnect max_attempts - root - -",
            ),
        ]);
    }

    #[test]
    fn refusals_and_noise() {
        check(&[
            (
                "User a from h.example.com not allowed because not listed in AllowUsers",
                "ssh_not_allowed not_allowed - a h.example.com -",
            ),
            ("User root not allowed because account is locked", "ssh_not_allowed not_allowed - root - -"),
            ("ROOT LOGIN REFUSED FROM 9.9.9.9 port 5 [preauth]", "ssh_not_allowed not_allowed - root 9.9.9.9 5"),
            ("refused connect from x_@::ffff:1.2.3.4 (::ffff:9.9.9.9)", "ssh_refused refused - - ::ffff:9.9.9.9 -"),
            (
                "Did not receive identification string from 9.9.9.9 port 5",
                "ssh_no_identification no_identification - - 9.9.9.9 5",
            ),
            (
                "banner exchange: Connection from 9.9.9.9 port 5: invalid format",
                "ssh_bad_protocol bad_protocol - - 9.9.9.9 5",
            ),
            (
                "fatal: Unable to negotiate with 9.9.9.9 port 5: no matching MAC found. Their offer: 1.2.3.4 port 1: y",
                "ssh_negotiation_failed negotiation_failed - - 9.9.9.9 5",
            ),
            ("fatal: Timeout before authentication for 9.9.9.9 port 5", "ssh_timeout timeout - - 9.9.9.9 5"),
            (
                "Timeout before authentication for connection from 9.9.9.9 to 127.0.0.1, pid = 2",
                "ssh_timeout timeout - - 9.9.9.9 -",
            ),
            ("Connection from 9.9.9.9 port 5 on 10.0.0.1 port 22", "ssh_connection - - - 9.9.9.9 5"),
            (
                "drop connection #0 from [9.9.9.9]:5 on [10.0.0.1]:22 penalty: failed authentication",
                "ssh_dropped penalty - - 9.9.9.9 5",
            ),
            (
                "ssh_dispatch_run_fatal: Connection from user a 9.9.9.9 port 5: Broken pipe",
                "ssh_disconnect - - a 9.9.9.9 5",
            ),
        ]);
    }

    #[test]
    fn a_doubtful_address_is_none() {
        let twice = "Disconnecting invalid user x 1.2.3.4 port 2: Change of username or service not allowed: (y 9.9.9.9 \
                     port 5: Change of username or service not allowed: (a,b) -> (c,d)";
        assert_eq!(read(twice).unwrap().origin, None);
        assert_eq!(read("Server listening on 0.0.0.0 port 22."), None);
        assert_eq!(read("input_userauth_request: invalid user x from 1.2.3.4 port 2"), None);
    }
}
