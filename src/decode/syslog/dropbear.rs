//! What the small SSH server Dropbear says. Pure.
//!
//! Deliberately anchored at both ends, as for sshd: user names are the client's words.

use super::origin::{Origin, name};
use super::reading::{Class, Reading};

/// Reads a message of dropbear, or says that it is of no interest.
pub(super) fn read(message: &str) -> Option<Reading<'_>> {
    let message = without_own_frame(message);
    for start in ["Bad password attempt for '", "bad password attempt for '", "Bad PAM password attempt for '"] {
        if let Some(rest) = message.strip_prefix(start) {
            return quoted(rest, Reading::login_failed("ssh_login", "bad_password"));
        }
    }
    for start in
        ["Login attempt for nonexistent user", "login attempt for nonexistent user", "Login attempt with wrong user "]
    {
        if let Some(rest) = message.strip_prefix(start) {
            let (user, client) = rest.rsplit_once(" from ")?;
            // Dropbear says it once and asks for no password: the only line there is about the try.
            let reading = Reading::login_failed("ssh_login", "invalid_user");
            return Some(Reading { user: name(user), origin: Some(Origin::with_colon(client)?), ..reading });
        }
    }
    for start in ["Password auth succeeded for '", "PAM password auth succeeded for '"] {
        if let Some(rest) = message.strip_prefix(start) {
            return quoted(rest, Reading::login_succeeded("ssh_login"));
        }
    }
    if let Some(rest) = message.strip_prefix("Pubkey auth succeeded for '") {
        let (user, rest) = rest.split_once("' with ")?;
        let (_, client) = rest.rsplit_once(" from ")?;
        return Some(Reading {
            user: name(user),
            origin: Some(Origin::with_colon(client)?),
            ..Reading::login_succeeded("ssh_login")
        });
    }
    exit(message)
}

/// Some journals repeat process and time in the message: `[825] Jul 10 23:53:52 Bad password …`.
fn without_own_frame(message: &str) -> &str {
    let stripped = || {
        let (process, rest) = message.strip_prefix('[')?.split_once("] ")?;
        let clock = rest.get(..16)?;
        let shaped = clock.ends_with(' ') && clock.as_bytes()[9] == b':' && clock.as_bytes()[12] == b':';
        (shaped && process.bytes().all(|byte| byte.is_ascii_digit())).then_some(&rest[16..])
    };
    stripped().unwrap_or(message)
}

/// `U' from A:P`
fn quoted<'a>(rest: &'a str, reading: Reading<'a>) -> Option<Reading<'a>> {
    let (user, client) = rest.rsplit_once("' from ")?;
    Some(Reading { user: name(user), origin: Some(Origin::with_colon(client)?), ..reading })
}

/// The end of a connection, before or after somebody had logged in.
fn exit(message: &str) -> Option<Reading<'_>> {
    let Some(rest) = message.strip_prefix("Exit before auth") else {
        let (user, _) = message.strip_prefix("Exit (")?.split_once(')')?;
        return Some(Reading { user: name(user), ..Reading::new("ssh_disconnect", Class::Note) });
    };
    let tries = rest.contains("Max auth tries reached");
    let reading = Reading::failed("ssh_preauth_close", if tries { "max_attempts" } else { "not_authenticated" });
    let client = match rest.strip_prefix(" from <") {
        Some(rest) => rest.split_once(">: ")?.0,
        None => match rest.rsplit_once("' from ") {
            Some((_, client)) => client,
            None => return Some(reading),
        },
    };
    Some(Reading { origin: Some(Origin::with_colon(client)?), ..reading })
}

#[cfg(test)]
mod tests {
    use super::super::origin::Host;
    use super::*;
    use crate::event::Login;

    #[test]
    fn messages() {
        let failure = Some(Login::Failure);
        let rows = [
            ("Bad password attempt for 'root' from 9.9.9.9:5", "ssh_login", failure, "root", "9.9.9.9", 5),
            (
                "Bad PAM password attempt for 'a' from 1.2.3.4:1' from 9.9.9.9:5",
                "ssh_login",
                failure,
                "a' from 1.2.3.4:1",
                "9.9.9.9",
                5,
            ),
            (
                "[825] Jul 10 23:53:52 Bad password attempt for 'root' from 9.9.9.9:5",
                "ssh_login",
                failure,
                "root",
                "9.9.9.9",
                5,
            ),
            ("login attempt for nonexistent user from ::ffff:9.9.9.9:5", "ssh_login", failure, "", "::ffff:9.9.9.9", 5),
            (
                "Password auth succeeded for 'root' from 9.9.9.9:5",
                "ssh_login",
                Some(Login::Success),
                "root",
                "9.9.9.9",
                5,
            ),
            (
                "Pubkey auth succeeded for 'root' with key md5 1:2 from 9.9.9.9:5",
                "ssh_login",
                Some(Login::Success),
                "root",
                "9.9.9.9",
                5,
            ),
            (
                "Exit before auth (user 'r', 10 fails): Max auth tries reached - user 'r' from 9.9.9.9:5",
                "ssh_preauth_close",
                None,
                "",
                "9.9.9.9",
                5,
            ),
            (
                "Exit before auth from <9.9.9.9:5>: Max auth tries reached - user 'x' from 1.2.3.4:1",
                "ssh_preauth_close",
                None,
                "",
                "9.9.9.9",
                5,
            ),
        ];
        for (message, action, login, user, host, port) in rows {
            let reading = read(message).unwrap_or_else(|| panic!("not read: {message}"));
            let origin = Some(Origin { host: Host::Address(host), port: Some(port) });
            assert_eq!(
                (reading.action, reading.login, reading.user.unwrap_or_default()),
                (action, login, user),
                "{message}"
            );
            assert_eq!(reading.origin, origin, "{message}");
        }
        assert_eq!(read("Exit (root): Disconnect received").unwrap().user, Some("root"));
        assert_eq!(read("Failed listening on '7001': Error listening: Address already in use"), None);
    }
}
