//! Syslog lines → events: the frame, then what sshd, PAM, sudo, su and their kin say in it. Pure.
//!
//! A message that nobody here understands is still an event with its time, host, process and text. Deliberately without
//! memory of earlier lines: what a line does not say itself, its event does not say.

mod accounts;
mod dropbear;
mod extra;
mod frame;
mod origin;
mod pam;
mod reading;
mod sshd;

use bumpalo::collections::String as ArenaString;

use self::extra::{Extra, Kept, STRUCTURED};
use self::frame::Frame;
use self::reading::Reading;
use crate::decode::{Context, JournalEntry, Keep, journal_entry};
use crate::event::{EXTRAS_MAX, Event, FlawKind, Number, Scalar, Text, Time};

/// A message that says of itself that it occurred more often than this is not believed.
const REPEAT_MAX: i64 = 100_000;
/// Names in structured data are no longer (RFC 5424 §6.3.2); a longer one is dropped, and a flaw says so.
const SD_NAME_BYTES_MAX: usize = 32;

/// The decoder of syslog lines.
#[derive(Clone, Debug)]
pub struct SyslogDecoder {
    kept: Kept,
}

impl SyslogDecoder {
    /// A decoder that keeps these fields without a slot.
    pub fn new(keep: &Keep) -> SyslogDecoder {
        SyslogDecoder { kept: Kept::new(keep) }
    }

    /// Fills `event` from `item`; false where the item is no syslog line, and the event is then to be thrown away.
    pub fn decode<'a>(&self, item: &'a [u8], context: &Context<'_>, event: &mut Event<'a>) -> bool {
        let arena = event.arena();
        let journal = if item.starts_with(b"{") { journal_entry(item, arena) } else { None };
        let (frame, believed) = match journal {
            Some(entry) => (journal_frame(&entry, event), is_its_own_word(&entry)),
            None => {
                let Some(frame) = Frame::read(text_of(item, event), context) else { return false };
                (frame, true)
            }
        };
        self.fill_frame(&frame, context, event);
        if let Some(reading) = read(&frame).filter(|_| believed) {
            reading.fill(&self.kept, event);
        }
        true
    }

    fn fill_frame<'a>(&self, frame: &Frame<'a>, context: &Context<'_>, event: &mut Event<'a>) {
        event.occurred_at = frame.time;
        event.set_text(Text::Message, frame.message);
        if let Some(host) = frame.host {
            event.set_text(Text::HostName, host);
        }
        if let Some(program) = frame.program {
            let program = program.strip_suffix("(pam_unix)").unwrap_or(program);
            event.set_text(Text::ProcessName, program);
            event.set_text(Text::SyslogAppname, program);
        }
        if let Some(priority) = frame.priority {
            event.set_number(Number::SyslogPriority, priority);
            event.set_number(Number::SyslogFacility, priority / 8);
            event.set_number(Number::SyslogSeverity, priority % 8);
        }
        match frame.process.map(|process| (process, process.parse::<u32>())) {
            Some((_, Ok(number))) => event.set_number(Number::ProcessPid, i64::from(number)),
            Some((word, Err(_))) => self.add(Extra::ProcessId, word, event),
            None => {}
        }
        if let Some(id) = frame.message_id {
            self.add(Extra::MessageId, id, event);
        }
        self.fill_zone(frame, context, event);
        if let Some(structured) = frame.structured.filter(|_| self.kept.any_structured()) {
            self.fill_structured(structured, event);
        }
    }

    fn add<'a>(&self, extra: Extra, value: &'a str, event: &mut Event<'a>) {
        if self.kept.has(extra) {
            event.add_extra(extra.name(), Scalar::Text(value));
        }
    }

    /// `event.timezone`: the zone that was taken for granted, where the time named none.
    fn fill_zone(&self, frame: &Frame<'_>, context: &Context<'_>, event: &mut Event<'_>) {
        let Some(Time(milliseconds)) = frame.time.filter(|_| frame.zoneless && self.kept.has(Extra::Timezone)) else {
            return;
        };
        let Ok(instant) = jiff::Timestamp::from_millisecond(milliseconds) else { return };
        let minutes = context.zone.to_offset(instant).seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
        let zone = bumpalo::format!(in event.arena(), "{}{:02}:{:02}", sign, hours, minutes).into_bump_str();
        event.add_extra(Extra::Timezone.name(), Scalar::Text(zone));
    }

    /// `[id name="value" name="value"][id …]`
    fn fill_structured<'a>(&self, structured: &'a str, event: &mut Event<'a>) {
        let mut id = "";
        let mut rest = structured;
        while !rest.is_empty() {
            if let Some(element) = rest.strip_prefix('[') {
                let end = element.find([' ', ']']).unwrap_or(element.len());
                (id, rest) = element.split_at(end);
            } else if let Some((name, value, behind)) = parameter(rest.trim_start_matches(' ')) {
                if event.extras().len() >= EXTRAS_MAX {
                    event.add_flaw(STRUCTURED, FlawKind::TooManyFields);
                    return;
                }
                self.add_structured([id, name], value, event);
                rest = behind;
            } else {
                rest = rest.find('[').map_or("", |at| &rest[at..]);
            }
        }
    }

    fn add_structured<'a>(&self, [id, name]: [&'a str; 2], value: &'a str, event: &mut Event<'a>) {
        if id.len() > SD_NAME_BYTES_MAX || name.len() > SD_NAME_BYTES_MAX {
            return event.add_flaw(STRUCTURED, FlawKind::OutOfRange);
        }
        let name = bumpalo::format!(in event.arena(), "{}.{}.{}", STRUCTURED, id, name).into_bump_str();
        if self.kept.structured(name) {
            let value = unescaped(value, event);
            event.add_extra(name, Scalar::Text(value));
        }
    }
}

/// `name="value"` and what follows; the value is still escaped.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_at(text.find(['=', ' ', ']', '"', '['])?);
    let rest = rest.strip_prefix("=\"")?;
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((name, &rest[..end], &rest[end + 1..]))
}

/// RFC 5424 §6.3.3: a backslash before `"`, `\` or `]` is not part of the value; before anything else it is.
fn unescaped<'a>(value: &'a str, event: &Event<'a>) -> &'a str {
    if !value.contains('\\') {
        return value;
    }
    let mut text = ArenaString::with_capacity_in(value.len(), event.arena());
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        let escape = character == '\\' && characters.peek().is_some_and(|next| matches!(next, '"' | '\\' | ']'));
        text.push(if escape { characters.next().unwrap_or(character) } else { character });
    }
    text.into_bump_str()
}

fn text_of<'a>(bytes: &'a [u8], event: &mut Event<'a>) -> &'a str {
    std::str::from_utf8(bytes).unwrap_or_else(|_| {
        event.add_flaw(Text::Message.name(), FlawKind::InvalidUtf8);
        ArenaString::from_utf8_lossy_in(bytes, event.arena()).into_bump_str()
    })
}

/// The frame that an entry of systemd's journal stands for.
fn journal_frame<'a>(entry: &JournalEntry<'a>, event: &mut Event<'a>) -> Frame<'a> {
    Frame {
        time: entry.time,
        host: entry.host,
        program: entry.identifier.or(entry.command),
        process: entry.pid.map(|pid| bumpalo::format!(in event.arena(), "{}", pid).into_bump_str()),
        message: text_of(entry.message, event).trim_end(),
        ..Frame::default()
    }
}

/// Anybody on a machine can write as `sshd` with `logger -t`; but the kernel tells the journal which program wrote. Where
/// the two disagree, the text stays a text. A hurdle and no wall: a program can be named anything. The kernel keeps 15
/// bytes of a name.
fn is_its_own_word(entry: &JournalEntry<'_>) -> bool {
    let (Some(claimed), Some(real)) = (entry.identifier, entry.command) else { return true };
    let length = claimed.len().min(real.len());
    length > 0 && claimed.as_bytes()[..length].eq_ignore_ascii_case(&real.as_bytes()[..length])
}

/// What the message says, whoever says it.
fn read<'a>(frame: &Frame<'a>) -> Option<Reading<'a>> {
    let program = frame.program?;
    let message = without_solaris_id(frame.message);
    let Some((repeat, message)) = repeated(message) else { return read_message(program, message) };
    Some(Reading { repeat: Some(repeat), ..read_message(program, message)? })
}

fn read_message<'a>(program: &'a str, message: &'a str) -> Option<Reading<'a>> {
    pam::read(program, message).or_else(|| match program.rsplit('/').next().unwrap_or(program) {
        "sshd" | "sshd-session" | "sshd-auth" => sshd::read(message),
        "dropbear" => dropbear::read(message),
        "sudo" => accounts::sudo(message),
        "su" => accounts::su(message),
        "useradd" => accounts::user_added(message),
        "groupadd" => accounts::group_added(message),
        "systemd-logind" => accounts::logind(message),
        _ => None,
    })
}

/// Solaris puts its own mark first: `[ID 800047 auth.info] Failed …`.
fn without_solaris_id(message: &str) -> &str {
    message.strip_prefix("[ID ").and_then(|rest| rest.split_once("] ")).map_or(message, |(_, rest)| rest)
}

/// rsyslog's `message repeated 5 times: [ Failed password …]`: how often, and the message.
fn repeated(message: &str) -> Option<(i64, &str)> {
    let (number, rest) = message.strip_prefix("message repeated ")?.split_once(" times: [")?;
    let repeat = number.parse().ok().filter(|repeat| (1..=REPEAT_MAX).contains(repeat))?;
    Some((repeat, rest.strip_suffix(']')?.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Flaw, Login};

    /// 2026-11-24T00:00:00Z
    const REFERENCE: Time = Time(1_795_478_400_000);
    const LINE: &str = "Nov 23 17:02:05 web01 ";

    /// The event of a line, with all extras.
    fn decode<'a>(line: &'a [u8], arena: &'a Bump) -> Option<Event<'a>> {
        let zone = TimeZone::UTC;
        let mut event = Event::new(line, arena);
        let context = Context { reference: REFERENCE, zone: &zone };
        SyslogDecoder::new(&Keep::All).decode(line, &context, &mut event).then_some(event)
    }

    #[test]
    fn a_line_fills_frame_and_meaning() {
        let arena = Bump::new();
        let line =
            b"<38>1 2026-11-23T17:02:05.776646+00:00 web01 sshd 28002 ID7 [a@1 x=\"\\\"y\\]\" z=\"\"][b] Accepted \
            publickey for alice from 127.30.0.11 port 42491 ssh2: ED25519 SHA256:t0FV";
        let event = decode(line, &arena).unwrap();
        assert_eq!(event.occurred_at.map(|time| time.to_string()).as_deref(), Some("2026-11-23T17:02:05.776Z"));
        let texts = [Text::HostName, Text::ProcessName, Text::UserName, Text::SourceAddress, Text::EventOutcome];
        let expected = ["web01", "sshd", "alice", "127.30.0.11", "success"].map(Some);
        assert_eq!(texts.map(|field| event.text(field)), expected);
        let numbers = [Number::SyslogFacility, Number::SyslogSeverity, Number::ProcessPid, Number::SourcePort];
        assert_eq!(numbers.map(|field| event.number(field)), [4, 6, 28_002, 42_491].map(Some));
        assert_eq!(event.login, Some(Login::Success));
        for (name, value) in [
            ("log.syslog.msgid", "ID7"),
            ("log.syslog.structured_data.a@1.x", "\"y]"),
            ("log.syslog.structured_data.a@1.z", ""),
            ("system.auth.ssh.signature", "ED25519 SHA256:t0FV"),
        ] {
            assert_eq!(event.extra(name), Some(Scalar::Text(value)), "{name}");
        }
    }

    #[test]
    fn an_assumed_zone_is_named() {
        let arena = Bump::new();
        let zone = TimeZone::get("America/St_Johns").unwrap();
        let mut event = Event::new(b"", &arena);
        let context = Context { reference: REFERENCE, zone: &zone };
        assert!(SyslogDecoder::new(&Keep::All).decode(b"Nov 23 17:02:05 h a: b", &context, &mut event));
        assert_eq!(event.extra("event.timezone"), Some(Scalar::Text("-03:30")));
    }

    #[test]
    fn journal_entries_are_read_like_lines() {
        let arena = Bump::new();
        let entry = |command: &str| {
            format!(
                r#"{{"__REALTIME_TIMESTAMP":"1795453503414000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"sshd","_PID":"7",
                "_COMM":"{command}","MESSAGE":"Failed password for root from 9.9.9.9 port 5 ssh2"}}"#
            )
        };
        let own = entry("sshd-session");
        let event = decode(own.as_bytes(), &arena).unwrap();
        assert_eq!((event.login, event.number(Number::ProcessPid)), (Some(Login::Failure), Some(7)));
        assert_eq!(event.occurred_at, Some(Time(1_795_453_503_414)));
        let forged = entry("logger");
        let event = decode(forged.as_bytes(), &arena).unwrap();
        assert_eq!((event.login, event.text(Text::SourceAddress)), (None, None));
        assert_eq!(event.text(Text::ProcessName), Some("sshd"));
    }

    #[test]
    fn a_repeated_message_is_one_event_that_says_how_often() {
        let arena = Bump::new();
        let line =
            format!("{LINE}sshd[1]: message repeated 5 times: [ Failed password for a from 9.9.9.9 port 5 ssh2]");
        let event = decode(line.as_bytes(), &arena).unwrap();
        assert_eq!((event.login, event.extra("sekisho.repeat")), (Some(Login::Failure), Some(Scalar::Integer(5))));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_noted() {
        let arena = Bump::new();
        let event = decode(b"Nov 23 17:02:05 h sshd[1]: Invalid user \xff from 9.9.9.9 port 5", &arena).unwrap();
        assert_eq!(event.text(Text::UserName), Some("\u{fffd}"));
        assert_eq!(event.flaws(), [Flaw { field: "message", kind: FlawKind::InvalidUtf8 }]);
    }

    #[test]
    fn wide_structured_data_is_bounded() {
        let arena = Bump::new();
        let wide = format!("<1>1 - h a - - [x {}] m", "k=\"v\" ".repeat(60_000));
        let event = decode(wide.as_bytes(), &arena).unwrap();
        assert_eq!((event.extras().len(), event.flaws().len()), (EXTRAS_MAX, 1));
        let long = format!("<1>1 - h a - - [{} k=\"v\"] m", "x".repeat(100));
        assert!(decode(long.as_bytes(), &arena).unwrap().extras().is_empty());
    }

    /// Work that grew with the square of the length would take minutes here; each text is built to invite it.
    #[test]
    fn a_megabyte_of_one_thing_is_read_in_one_pass() {
        let starts = [
            "sshd[1]: Failed publickey for x",
            "sshd[1]: Connection closed by invalid user x",
            "sshd[1]: Received disconnect from 1.2.3.4: ",
            "vsftpd: pam_unix(vsftpd:auth): authentication failure; tty= ruser=",
            "sudo: a : TTY=x ; ",
            "su: ",
            "dropbear[1]: Bad password attempt for '",
            "",
        ];
        let fills = [
            " from ",
            " from 1.2.3.4 port 5",
            " rhost=a",
            " ; x",
            "' from ",
            " ",
            ":",
            "[",
            "] ",
            "\"",
            "[a z=\"",
            "(to ",
        ];
        for (start, fill) in starts.iter().flat_map(|start| fills.map(|fill| (start, fill))) {
            let arena = Bump::new();
            let body = fill.repeat((1 << 20) / fill.len());
            let decoded = decode(format!("{LINE}{start}{body}").as_bytes(), &arena).is_some();
            assert!(decoded || start.is_empty(), "{start}{fill}");
            let arena = Bump::new();
            decode(format!("<1>1 - h a - - {body}").as_bytes(), &arena);
        }
    }

    /// Messages in which `{}` is the client's word, and the client is 9.9.9.9.
    const FORMS: &[&str] = &[
        "sshd[1]: Failed password for {} from 9.9.9.9 port 5 ssh2",
        "sshd[1]: Failed password for invalid user {} from 9.9.9.9 port 5 ssh2",
        "sshd-session[1]: Failed keyboard-interactive/pam for invalid user {} from 9.9.9.9 port 5 ssh2",
        "sshd[1]: Failed publickey for invalid user {} from 9.9.9.9 port 5 ssh2: RSA SHA256:abc",
        "sshd[1]: Failed none for invalid user {} from 9.9.9.9 port 5",
        "sshd[1]: Invalid user {} from 9.9.9.9 port 5",
        "sshd[1]: Invalid user {} from 9.9.9.9",
        "sshd[1]: Illegal user {} from 9.9.9.9",
        "sshd[1]: error: maximum authentication attempts exceeded for invalid user {} from 9.9.9.9 port 5 ssh2 [preauth]",
        "sshd[1]: Connection closed by invalid user {} 9.9.9.9 port 5 [preauth]",
        "sshd[1]: Connection reset by authenticating user {} 9.9.9.9 port 5 [preauth]",
        "sshd[1]: Disconnected from invalid user {} 9.9.9.9 port 5 [preauth]",
        "sshd[1]: Disconnecting invalid user {} 9.9.9.9 port 5: Too many authentication failures [preauth]",
        "sshd[1]: Received disconnect from 9.9.9.9 port 5:11: {} [preauth]",
        "sshd[1]: Received disconnect from 9.9.9.9: 11: {} [preauth]",
        "sshd[1]: Bad protocol version identification '{}' from 9.9.9.9 port 5",
        "sshd[1]: Unable to negotiate with 9.9.9.9 port 5: no matching cipher found. Their offer: {} [preauth]",
        "sshd[1]: error: PAM: Authentication failure for {} from 9.9.9.9",
        "sshd[1]: User {} from 9.9.9.9 not allowed because not listed in AllowUsers",
        "sshd[1]: refused connect from {}@h (9.9.9.9)",
        "sshd[1]: Address 9.9.9.9 maps to {}, but this does not map back to the address",
        "sshd[1]: reverse mapping checking getaddrinfo for {} [9.9.9.9] failed - POSSIBLE BREAK-IN ATTEMPT!",
        "sshd[1]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=9.9.9.9  user={}",
        "sshd[1]: message repeated 2 times: [ Failed password for invalid user {} from 9.9.9.9 port 5 ssh2]",
        "dropbear[1]: Bad password attempt for '{}' from 9.9.9.9:5",
        "dropbear[1]: Exit before auth from <9.9.9.9:5>: Max auth tries reached - user '{}'",
    ];

    /// Messages in which the client can make two readings possible: then there is no address.
    const DOUBTFUL: &[&str] = &[
        "sshd[1]: Failed publickey for invalid user {} from 9.9.9.9 port 5 ssh2: RSA-CERT SHA256:a ID {} (serial 0) CA RSA SHA256:b",
        "sshd[1]: Failed hostbased for {} from 9.9.9.9 port 5 ssh2: RSA SHA256:a, client user \"{}\", client host \"{}\"",
        "sshd[1]: Disconnecting invalid user {} 9.9.9.9 port 5: Change of username or service not allowed: ({},a) -> ({},b) [preauth]",
        "vsftpd: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser={} rhost=9.9.9.9  user={}",
    ];

    /// Names made of the very words that forms are anchored with.
    fn name() -> impl Strategy<Value = String> {
        let words = prop::sample::select(vec![
            " from ",
            "from",
            "1.2.3.4",
            " port ",
            "port 22",
            " ssh2",
            " ssh2: ",
            ": ",
            " [preauth]",
            " rhost=",
            " user=",
            "'",
            "' from 1.2.3.4:22",
            "\"",
            "]",
            ")",
            " (1.2.3.4)",
            " maps to ",
            " via ",
            " by ",
            "[1.2.3.4]",
            "invalid user ",
            " not allowed because ",
            "x",
            " ",
            " from 1.2.3.4 port 22 ssh2: RSA SHA256:x",
            " 1.2.3.4 port 22: y",
            ": Change of username or service not allowed: (",
            ">: ",
            "Too many authentication failures",
            "\u{202e}",
            "é",
        ]);
        prop_oneof![proptest::collection::vec(words, 0..6).prop_map(|words| words.concat()), "[ -~]{0,40}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// No text between the anchors changes where the message says it came from.
        #[test]
        fn a_name_never_yields_an_address(name in name(), form in prop::sample::select(FORMS)) {
            let line = format!("{LINE}{}", form.replace("{}", &name));
            let arena = Bump::new();
            let event = decode(line.as_bytes(), &arena).unwrap();
            prop_assert_eq!(event.text(Text::SourceAddress), Some("9.9.9.9"));
            prop_assert_eq!(event.text(Text::SourceDomain), None);
        }

        #[test]
        fn a_doubtful_line_yields_the_true_address_or_none(first in name(), second in name(),
                                                           form in prop::sample::select(DOUBTFUL)) {
            let line = format!("{LINE}{}", form.replacen("{}", &first, 1).replace("{}", &second));
            let arena = Bump::new();
            let event = decode(line.as_bytes(), &arena).unwrap();
            let address = event.text(Text::SourceAddress);
            let noted = event.flaws().contains(&Flaw { field: "source.address", kind: FlawKind::NotAnAddress });
            prop_assert!(address == Some("9.9.9.9") || (address.is_none() && noted));
            prop_assert_eq!(event.text(Text::SourceDomain), None);
        }

        #[test]
        fn any_bytes_are_an_event_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in name(),
                                          program in "(sshd|su|sudo|dropbear|useradd|x\\(pam_unix\\))(\\[[0-9a-z]{0,3}\\])?:? ?") {
            let arena = Bump::new();
            decode(&bytes, &arena);
            let line = format!("{LINE}{program}{name}");
            if let Some(event) = decode(line.as_bytes(), &arena) {
                prop_assert!(event.text(Text::Message).is_some() && event.occurred_at.is_some());
            }
        }
    }
}
