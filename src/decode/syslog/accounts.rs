//! What sudo, su, the account tools and systemd-logind say. Pure.
//!
//! None of them knows a client: they name users of this machine only. Deliberately without splitting a command into
//! words: it is kept as written.

use super::extra::Extra;
use super::origin::name;
use super::reading::{Class, Outcome, Reading};

/// `alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/ls`, with an error in front of the fields where sudo
/// refused.
pub(super) fn sudo(message: &str) -> Option<Reading<'_>> {
    let (user, mut rest) = message.split_once(" : ")?;
    let mut fields = [None; SUDO_FIELDS.len()];
    let mut error = None;
    // The command comes last and may hold anything, so it takes all of the rest.
    while fields[COMMAND].is_none() && !rest.is_empty() {
        if let Some(command) = rest.strip_prefix("COMMAND=") {
            fields[COMMAND] = name(command);
            break;
        }
        let (part, behind) = rest.split_once(" ; ").unwrap_or((rest, ""));
        let known =
            SUDO_FIELDS.iter().position(|(key, _)| part.strip_prefix(key).is_some_and(|part| part.starts_with('=')));
        match known {
            Some(at) => fields[at] = name(&part[SUDO_FIELDS[at].0.len() + 1..]),
            None if error.is_none() && !is_field(part) => error = Some(part),
            None => {}
        }
        rest = behind;
    }
    (fields.iter().any(Option::is_some)).then(|| sudo_reading(user.trim_start(), fields, error))
}

/// sudo's fields that are kept; the last one is the command.
const SUDO_FIELDS: [(&str, Extra); 4] = [
    ("TTY", Extra::SudoTerminal),
    ("PWD", Extra::SudoDirectory),
    ("USER", Extra::SudoUser),
    ("COMMAND", Extra::SudoCommand),
];
const USER: usize = 2;
const COMMAND: usize = 3;

/// `TSID=0000UM`, `HOST=h`: a field, known or not; an error is a sentence.
fn is_field(part: &str) -> bool {
    part.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// What sudo says when it lets somebody not do something, rather than that something went wrong.
const REFUSALS: [&str; 4] = ["NOT in sudoers", "NOT authorized on host", "command not allowed", "password is required"];

fn sudo_reading<'a>(user: &'a str, fields: [Option<&'a str>; 4], error: Option<&'a str>) -> Reading<'a> {
    let reading = match error {
        None => Reading { outcome: Outcome::Success, ..Reading::new("sudo", Class::Note) },
        Some(error) if error.contains(" incorrect password attempt") => {
            let repeat = error.split(' ').next().and_then(|number| number.parse().ok());
            Reading { repeat, ..Reading::login_failed("sudo", "bad_password") }
        }
        Some(error) if REFUSALS.iter().any(|refusal| error.contains(refusal)) => Reading::failed("sudo", "not_allowed"),
        Some(_) => Reading::failed("sudo", "error"),
    };
    let reading = Reading { user: name(user), target: fields[USER], ..reading }.with(Extra::SudoError, error);
    SUDO_FIELDS.iter().zip(fields).fold(reading, |reading, ((_, extra), value)| reading.with(*extra, value))
}

/// The forms of Linux-PAM's, shadow's, BSD's and AIX's su.
pub(super) fn su(message: &str) -> Option<Reading<'_>> {
    let succeeded = || Reading { outcome: Outcome::Success, ..Reading::new("su", Class::Note) };
    let (reading, users) = if let Some(rest) = message.strip_prefix("FAILED SU ") {
        (su_failed(), su_to(rest))
    } else if message.starts_with("(to ") {
        (succeeded(), su_to(message))
    } else if let Some(rest) = message.strip_prefix("FAILED su for ") {
        (su_failed(), rest.split_once(" by ").map(|(target, user)| (user, target)))
    } else if let Some(rest) = message.strip_prefix("Successful su for ") {
        (succeeded(), rest.split_once(" by ").map(|(target, user)| (user, target)))
    } else if let Some(rest) = message.strip_prefix("BAD SU ") {
        (su_failed(), su_on(rest))
    } else if let Some(rest) = message.strip_prefix("failed: ") {
        (su_failed(), rest.split_once(" changing from ").and_then(|(_, users)| users.split_once(" to ")))
    } else {
        (succeeded(), su_on(message))
    };
    let (user, target) = users?;
    Some(Reading { user: name(user), target: name(target), ..reading })
}

fn su_failed<'a>() -> Reading<'a> {
    Reading::login_failed("su", "bad_password")
}

/// `(to root) alice on pts/0`
fn su_to(text: &str) -> Option<(&str, &str)> {
    let (target, rest) = text.strip_prefix("(to ")?.split_once(") ")?;
    Some((rest.rsplit_once(" on ").map_or(rest, |(user, _)| user), target))
}

/// `alice to root on /dev/ttyp0`
fn su_on(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(" on ").filter(|(_, terminal)| !terminal.contains(' '))?.0.split_once(" to ")
}

/// `new user: name=apache, UID=48, GID=48, home=/usr/share/httpd, shell=/sbin/nologin`
pub(super) fn user_added(message: &str) -> Option<Reading<'_>> {
    let rest = message.strip_prefix("new user: ")?;
    let reading = Reading { outcome: Outcome::Success, ..Reading::new("user_added", Class::UserCreated) };
    let reading = Reading { user: listed(rest, "name"), ..reading };
    let reading = reading.with(Extra::UserId, listed(rest, "UID")).with(Extra::GroupId, listed(rest, "GID"));
    Some(reading.with(Extra::UserAddHome, listed(rest, "home")).with(Extra::UserAddShell, listed(rest, "shell")))
}

/// `new group: name=apache, GID=48`
pub(super) fn group_added(message: &str) -> Option<Reading<'_>> {
    let rest = message.strip_prefix("new group: ")?;
    let reading = Reading { outcome: Outcome::Success, ..Reading::new("group_added", Class::GroupCreated) };
    Some(reading.with(Extra::GroupName, listed(rest, "name")).with(Extra::GroupId, listed(rest, "GID")))
}

/// The value of `key` in `key=value, key=value`.
fn listed<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = text.split(", ").find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    value.and_then(name)
}

/// `New session 12 of user root.`
pub(super) fn logind(message: &str) -> Option<Reading<'_>> {
    let (_, user) = message.strip_prefix("New session ")?.split_once(" of user ")?;
    // Newer versions go on: `… of user 'root' with class 'user' and type 'tty'.`
    let user = user.split_once(" with class ").map_or(user, |(user, _)| user).trim_end_matches('.').trim_matches('\'');
    let reading = Reading::new("session_opened", Class::SessionStart);
    Some(Reading { user: name(user), outcome: Outcome::Success, ..reading })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Login;

    #[test]
    fn sudo_says_who_what_and_as_whom() {
        let message = "alice : TTY=pts/0 ; PWD=/x ; USER=root ; TSID=1 ; COMMAND=/bin/sh -c a ; USER=b";
        let reading = sudo(message).unwrap();
        assert_eq!((reading.user, reading.target, reading.outcome), (Some("alice"), Some("root"), Outcome::Success));
        let expected =
            sudo_reading("alice", [Some("pts/0"), Some("/x"), Some("root"), Some("/bin/sh -c a ; USER=b")], None);
        assert_eq!(reading, expected);
        assert_eq!(sudo("pam_unix(sudo:session): session opened for user root"), None);
    }

    #[test]
    fn sudo_refuses() {
        let hosted = sudo("a : HOST=h ; TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls").unwrap();
        assert_eq!((hosted.outcome, hosted.target), (Outcome::Success, Some("root")));
        let wrong =
            sudo("mike : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls").unwrap();
        assert_eq!((wrong.login, wrong.repeat, wrong.reason), (Some(Login::Failure), Some(3), Some("bad_password")));
        let denied = sudo("tsg : user NOT in sudoers ; TTY=pts/1 ; PWD=/home ; USER=root ; COMMAND=/bin/ls").unwrap();
        assert_eq!((denied.login, denied.outcome, denied.reason), (None, Outcome::Failure, Some("not_allowed")));
    }

    #[test]
    fn su_in_all_its_dialects() {
        for (message, failed, user, target) in [
            ("FAILED SU (to root) mm on pts/0", true, "mm", "root"),
            ("(to root) mm on pts/0", false, "mm", "root"),
            ("FAILED su for root by mm", true, "mm", "root"),
            ("Successful su for root by mm", false, "mm", "root"),
            ("BAD SU ger to fwmaster on /dev/ttyp0", true, "ger", "fwmaster"),
            ("dcid to root on /dev/ttyp1", false, "dcid", "root"),
            ("failed: ttyq4 changing from ldap to root", true, "ldap", "root"),
        ] {
            let reading = su(message).unwrap();
            assert_eq!((reading.user, reading.target), (Some(user), Some(target)), "{message}");
            assert_eq!(reading.login, failed.then_some(Login::Failure), "{message}");
        }
        assert_eq!(su("something else"), None);
    }

    #[test]
    fn accounts_and_sessions() {
        let user =
            user_added("new user: name=apache, UID=48, GID=48, home=/usr/share/httpd, shell=/sbin/nologin").unwrap();
        assert_eq!((user.user, user.class), (Some("apache"), Class::UserCreated));
        assert!(group_added("new group: name=apache, GID=48").is_some());
        assert_eq!(logind("New session 12 of user root.").unwrap().user, Some("root"));
        assert_eq!(logind("New session 12 of user 'a' with class 'user' and type 'tty'.").unwrap().user, Some("a"));
    }
}
