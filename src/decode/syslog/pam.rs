//! What PAM's modules say in the name of any service. Pure.
//!
//! A service with a voice of its own (sshd, dropbear) says itself that a try failed; PAM's line is then its companion.
//! Of all others PAM is the only voice, and its failure with a remote host is the failure. Deliberately counts
//! `pam_unix` alone: it comes first in every common stack, and the modules behind it speak of the same try again.

use super::origin::{Host, Origin, name};
use super::reading::{Class, Outcome, Reading};

/// Services that write their own line about each try.
const OWN_VOICE: &[&str] = &["sshd", "sshd-session", "sshd-auth", "dropbear"];

/// A PAM message taken apart.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// `pam_unix`; absent where the program speaks for PAM.
    module: Option<&'a str>,
    service: &'a str,
    text: &'a str,
}

/// Reads a message of PAM written under `program`'s name, or says that it is none.
pub(super) fn read<'a>(program: &'a str, message: &'a str) -> Option<Reading<'a>> {
    let Line { module, service, text } = line(program, message)?;
    let unix = module == Some("pam_unix");
    if text == "check pass; user unknown" {
        return Some(Reading::failed("pam_user_unknown", "invalid_user"));
    }
    if let Some(rest) = text.strip_prefix("session opened for user ") {
        return Some(session(rest));
    }
    if let Some(user) = text.strip_prefix("session closed for user ") {
        let user = user.split_once(' ').map_or(user, |(user, _)| user);
        return Some(Reading { user: name(user), ..Reading::new("session_closed", Class::SessionEnd) });
    }
    if let Some(rest) = text.strip_prefix("authentication failure; ") {
        return failure(rest, service, unix, None);
    }
    let (number, rest) = text.split_once(" more authentication failure")?;
    let repeat = number.parse().ok().filter(|repeat| (1..=i64::from(u16::MAX)).contains(repeat))?;
    failure(rest.strip_prefix('s').unwrap_or(rest).strip_prefix("; ")?, service, unix, Some(repeat))
}

/// `pam_unix(sshd:auth): …`, `pam_unix: …`, `(pam_unix) …`, `PAM 2 more …`, or `…` under the tag `sshd(pam_unix)`.
fn line<'a>(program: &'a str, message: &'a str) -> Option<Line<'a>> {
    if let Some(service) = program.strip_suffix("(pam_unix)") {
        return Some(Line { module: Some("pam_unix"), service, text: message });
    }
    if let Some(text) = message.strip_prefix("(pam_unix) ") {
        return Some(Line { module: Some("pam_unix"), service: program, text });
    }
    if let Some(text) = message.strip_prefix("PAM ") {
        return Some(Line { module: None, service: program, text });
    }
    let (head, text) = message.strip_prefix("pam_").and(message.split_once(": "))?;
    let Some((module, inside)) = head.split_once('(') else {
        return Some(Line { module: Some(head), service: program, text });
    };
    let service = inside.strip_suffix(')')?.split(':').next()?;
    // The service is configured by name; a bare type says nothing of it.
    let service = if service == "auth" { program } else { service };
    Some(Line { module: Some(module), service, text })
}

/// `alice(uid=1001) by (uid=0)`, `root by alice(uid=1000)`, `news by (uid=0)`.
fn session(rest: &str) -> Reading<'_> {
    let (account, by) = rest.rsplit_once(" by ").unwrap_or((rest, ""));
    let bare = |text: &'_ str| text.find("(uid=").unwrap_or(text.len());
    let (account, by) = (&account[..bare(account)], &by[..bare(by)]);
    let reading = Reading { outcome: Outcome::Success, ..Reading::new("session_opened", Class::SessionStart) };
    match name(by) {
        Some(by) => Reading { user: Some(by), target: name(account), ..reading },
        None => Reading { user: name(account), ..reading },
    }
}

/// `logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`
fn failure<'a>(rest: &'a str, service: &str, unix: bool, repeat: Option<i64>) -> Option<Reading<'a>> {
    let own_voice = OWN_VOICE.contains(&service);
    let (_, rest) = rest.split_once(" ruser=")?;
    let Remote { ruser, host, user, doubtful } = if own_voice { remote_of_ssh(rest)? } else { remote(rest) };
    let only_voice = unix && !own_voice && (doubtful || !host.is_empty());
    let reading = match only_voice {
        true => Reading::login_failed("pam_failure", "bad_password"),
        false if repeat.is_some() => Reading::failed("pam_more_failures", "bad_password"),
        false => Reading::failed("pam_failure", "bad_password"),
    };
    let origin = Host::read(host).map(|host| Origin { host, port: None });
    // Without a remote host the remote user is the local one who asks, as for su.
    let local = host.is_empty() && !ruser.is_empty() && !user.is_empty();
    let (user, target) = if local { (name(ruser), name(user)) } else { (name(user).or(name(ruser)), None) };
    Some(Reading { user, target, origin, doubtful, repeat, ..reading })
}

/// The fields about the other side; empty where the message can be read in more than one way.
#[derive(Default)]
struct Remote<'a> {
    ruser: &'a str,
    host: &'a str,
    user: &'a str,
    doubtful: bool,
}

/// sshd never sets a remote user, so the host follows at once, and whatever the user's name holds comes behind it.
fn remote_of_ssh(rest: &str) -> Option<Remote<'_>> {
    let (ruser, rest) = rest.split_once(" rhost=")?;
    let (host, user) = host_and_user(rest)?;
    Some(Remote { ruser, host, user, doubtful: false })
}

/// The remote user and the user are both the client's words. Where they allow the host to be read in two ways, it is
/// left out; but the failure stands.
fn remote(rest: &str) -> Remote<'_> {
    const HOST: &str = " rhost=";
    let mut readings = rest.match_indices(HOST).filter_map(|(at, _)| {
        let (host, user) = host_and_user(&rest[at + HOST.len()..])?;
        Some(Remote { ruser: &rest[..at], host, user, doubtful: false })
    });
    match (readings.next(), readings.next()) {
        (Some(remote), None) => remote,
        _ => Remote { doubtful: true, ..Remote::default() },
    }
}

/// `192.0.2.1`, `192.0.2.1  user=root`; the host is one word.
fn host_and_user(text: &str) -> Option<(&str, &str)> {
    let (host, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    let rest = rest.trim_start_matches(' ');
    if rest.is_empty() {
        return Some((host, ""));
    }
    Some((host, rest.strip_prefix("user=")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Login;

    fn address(reading: &Reading<'_>) -> String {
        match reading.origin.map(|origin| origin.host) {
            Some(Host::Address(host) | Host::Name(host)) => host.to_owned(),
            None => String::new(),
        }
    }

    #[test]
    fn failures() {
        let fields = "authentication failure; logname= uid=0 euid=0 tty=x";
        let failure = Some(Login::Failure);
        let rows: &[(&str, String, Option<Login>, &str, &str)] = &[
            ("sshd", format!("pam_unix(sshd:auth): {fields} ruser= rhost=9.9.9.9  user=root"), None, "root", "9.9.9.9"),
            ("sshd", format!("pam_unix(sshd:auth): {fields} ruser= rhost=9.9.9.9"), None, "", "9.9.9.9"),
            (
                "vsftpd",
                format!("pam_unix(vsftpd:auth): {fields} ruser=an rhost=h.example.com"),
                failure,
                "an",
                "h.example.com",
            ),
            ("vsftpd", format!("pam_unix: {fields} ruser=an rhost=9.9.9.9"), failure, "an", "9.9.9.9"),
            ("pure-ftpd", format!("(pam_unix) {fields} ruser=an rhost=9.9.9.9"), failure, "an", "9.9.9.9"),
            ("auth", format!("pam_sss(dovecot:auth): {fields} ruser=an rhost=9.9.9.9"), None, "an", "9.9.9.9"),
            (
                "d",
                format!("pam_unix(auth): {fields} ruser=t rhost=1.2.3.4 rhost=9.9.9.9"),
                failure,
                "t rhost=1.2.3.4",
                "9.9.9.9",
            ),
            (
                "sshd",
                format!("pam_unix(sshd:auth): {fields} ruser= rhost=9.9.9.9  user=t rhost=1.2.3.4"),
                None,
                "t rhost=1.2.3.4",
                "9.9.9.9",
            ),
            ("d", format!("pam_unix(d:auth): {fields} ruser= rhost=9.9.9.9 user=t rhost=1.2.3.4"), failure, "", ""),
            (
                "sshd",
                "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=9.9.9.9".to_owned(),
                None,
                "",
                "9.9.9.9",
            ),
        ];
        for (program, message, login, user, host) in rows {
            let reading = read(program, message).unwrap();
            let read = (reading.login, reading.user.unwrap_or_default(), address(&reading));
            assert_eq!(read, (*login, *user, (*host).to_owned()), "{message}");
            assert_eq!(reading.outcome, Outcome::Failure);
        }
    }

    #[test]
    fn more_failures_say_how_many() {
        let message = "2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.3.1  user=root";
        let reading = read("sshd(pam_unix)", message).unwrap();
        assert_eq!((reading.action, reading.login, reading.repeat), ("pam_more_failures", None, Some(2)));
        assert_eq!(read("sshd", "PAM service(sshd) ignoring max retries; 5 > 3"), None);
    }

    #[test]
    fn sessions() {
        let users =
            |message| read("su", message).map(|reading| (reading.action, reading.user, reading.target)).unwrap();
        let opened = "session_opened";
        assert_eq!(
            users("pam_unix(sshd:session): session opened for user al(uid=1) by (uid=0)"),
            (opened, Some("al"), None)
        );
        assert_eq!(
            users("pam_unix(su:session): session opened for user root by al(uid=1)"),
            (opened, Some("al"), Some("root"))
        );
        assert_eq!(users("pam_unix(sshd:session): session closed for user al"), ("session_closed", Some("al"), None));
        assert_eq!(read("su", "pam_limits(sshd:session): Could not set limit"), None);
    }

    #[test]
    fn su_names_who_asks_and_for_whom() {
        let message = "authentication failure; logname= uid=1342 euid=0 tty= ruser=dcid rhost=  user=osaudit";
        let reading = read("su(pam_unix)", message).unwrap();
        assert_eq!((reading.user, reading.target, reading.login), (Some("dcid"), Some("osaudit"), None));
    }
}
