//! Records → events: one file per format, repair, unwrapping of shipper envelopes, ECS names. Pure.
//!
//! Decoding never fails and never drops: any bytes give exactly one event per item (law 5), and what was not understood
//! is a flaw. Deliberately without knowledge of rules, networks and time other than what the text claims.

mod combined;
mod context;
mod escape;
mod finish;
mod items;
mod json;
mod login;
mod request;
mod service;
mod settings;
mod syslog;
mod target;
pub mod time;

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

use crate::event::{Event, FlawKind, LINE_BYTES_MAX, Text, Time};

pub use context::Context;
pub use items::items;
pub use json::{
    Envelope, JournalEntry, JsonDecoder, ModsecurityDecoder, SuricataDecoder, journal_entry, unwrap_envelope,
};
pub use settings::{DecoderSettings, JsonSettings, Keep, LoginRoute, ServiceSettings, Settings, Stamp, Target, Unit};
pub use syslog::SyslogDecoder;

use combined::Combined;

/// Turns the items of one pipeline into events.
pub struct Decoder {
    settings: Settings,
    /// `event.module`: the dataset's name before the dot.
    module: String,
    formats: Vec<Format>,
    logins: login::Routes,
}

/// One format of a pipeline, ready to decode.
enum Format {
    Combined(Combined),
    Json(JsonDecoder),
    Syslog(SyslogDecoder),
    Modsecurity(ModsecurityDecoder),
    Suricata(SuricataDecoder),
}

impl Decoder {
    /// Prepares the decoders of a pipeline.
    pub fn new(settings: Settings) -> Decoder {
        let formats = settings.decoders.iter().map(|format| Format::new(format, &settings.keep)).collect();
        let module = settings.dataset.split('.').next().unwrap_or_default().to_owned();
        let logins = login::Routes::new(&settings.logins);
        Decoder { settings, module, formats, logins }
    }

    /// Decodes one item. `reference` is the journal's time of its record, for times without a year.
    ///
    /// Total: any bytes give one event. An item beyond [`LINE_BYTES_MAX`] is cut there and says so; one that no format
    /// fits has the flaw `undecodable`. Linear in the item's length. Texts borrow from the item and the arena.
    #[inline]
    pub fn decode<'a>(&'a self, item: &'a [u8], reference: Time, arena: &'a Bump) -> Event<'a> {
        let mut event = Event::new(item, arena);
        self.decode_into(&mut event, reference);
        event
    }

    /// [`Decoder::decode`] into a new event of the item's bytes: an event is large, and a caller who builds it where it
    /// stays does not pay for moving it.
    #[inline(never)]
    pub fn decode_into<'a>(&'a self, event: &mut Event<'a>, reference: Time) {
        let original = without_line_end(event.original);
        let (line, arena) = (cut(original), event.arena());
        event.original = line;
        let text = simdutf8::basic::from_utf8(line);
        let valid = text.is_ok();
        let text = text.unwrap_or_else(|_| ArenaString::from_utf8_lossy_in(line, arena).into_bump_str());
        let context = Context { reference, zone: &self.settings.zone };
        let fits = self.understand(text, &context, event);
        if !valid {
            event.add_flaw("event.original", FlawKind::InvalidUtf8);
        }
        if line.len() < original.len() {
            event.add_flaw("event.original", FlawKind::Truncated);
        }
        target::set_absent(event, Text::EventModule, &self.module);
        if fits {
            finish::understood(&self.settings, &self.logins, event);
        } else {
            finish::undecodable(&self.settings, event);
        }
    }

    /// Tries the formats on the line itself, then on what a shipper wrapped: an application's own object may well hold
    /// a `message`, so the line comes first.
    fn understand<'a>(&self, text: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        if self.first_fit(text, context, event) {
            return true;
        }
        let Some(envelope) = unwrap_envelope(text.as_bytes(), context, event.arena()) else { return false };
        let Ok(inner) = std::str::from_utf8(envelope.inner) else { return false };
        let fits = self.first_fit(inner, context, event);
        if fits {
            event.occurred_at = event.occurred_at.or(envelope.time);
            target::set_absent(event, Text::HostName, envelope.host.unwrap_or_default());
        }
        fits
    }

    /// Fills `event` by the first format that fits; without one it is as it was.
    fn first_fit<'a>(&self, text: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        self.formats.iter().any(|format| {
            let fits = format.decode(text, context, event);
            if !fits {
                empty(event);
            }
            fits
        })
    }
}

/// Takes back what a format that does not fit has set. Apart from the loop, or each line would pay for its constants.
#[cold]
#[inline(never)]
fn empty(event: &mut Event<'_>) {
    *event = Event::new(event.original, event.arena());
}

impl Format {
    fn new(settings: &DecoderSettings, keep: &Keep) -> Format {
        match settings {
            DecoderSettings::Combined => Format::Combined(Combined::new(keep)),
            DecoderSettings::Json(settings) => Format::Json(JsonDecoder::new(settings, keep)),
            DecoderSettings::Syslog => Format::Syslog(SyslogDecoder::new(keep)),
            DecoderSettings::Modsecurity => Format::Modsecurity(ModsecurityDecoder::new()),
            DecoderSettings::Suricata => Format::Suricata(SuricataDecoder::new(keep)),
        }
    }

    /// Fills `event` from `text`; `false` where this format does not fit.
    fn decode<'a>(&self, text: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        match self {
            Format::Combined(format) => format.decode(text, context, event),
            Format::Json(format) => format.decode(text, context, event),
            Format::Syslog(format) => format.decode(text.as_bytes(), context, event),
            Format::Modsecurity(format) => format.decode(text, context, event),
            Format::Suricata(format) => format.decode(text, context, event),
        }
    }
}

/// Without the line ends and NULs that writers leave behind.
fn without_line_end(item: &[u8]) -> &[u8] {
    let end = item.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n' | 0)).map_or(0, |last| last + 1);
    &item[..end]
}

/// At most [`LINE_BYTES_MAX`] bytes, not ending within a UTF-8 character.
fn cut(line: &[u8]) -> &[u8] {
    let Some(head) = line.get(..LINE_BYTES_MAX).filter(|head| head.len() < line.len()) else { return line };
    let continued = head.iter().rev().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let starts_character = head.len().checked_sub(continued + 1).filter(|at| head[*at] >= 0xc0);
    starts_character.map_or(head, |at| &head[..at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Field, Login};

    fn decoder() -> Decoder {
        Decoder::new(Settings {
            pipeline: "nginx".to_owned(),
            dataset: "nginx.access".to_owned(),
            decoders: vec![DecoderSettings::Combined],
            zone: jiff::tz::TimeZone::UTC,
            stamp: Stamp::Start,
            service: ServiceSettings {
                from: Some(Field::Text(Text::UrlDomain)),
                known: ["shop.example".to_owned()].into(),
                default: "web".to_owned(),
            },
            logins: vec![LoginRoute {
                method: "POST".to_owned(),
                path: "/login".to_owned(),
                failure: vec![401],
                success: vec![302],
            }],
            keep: Keep::All,
        })
    }

    #[test]
    fn what_follows_from_the_fields_is_filled_in() {
        let decoder = decoder();
        let arena = Bump::new();
        let line = br#"shop.example:443 [2001:db8::1]:4711 - - [23/Nov/2026:17:02:03 +0000] "POST /login?a HTTP/2.0" 401 5 "-" "x" 2.5"#;
        let event = decoder.decode(line, Time(0), &arena);
        for (slot, expected) in [
            (Text::EventKind, "event"),
            (Text::EventModule, "nginx"),
            (Text::EventDataset, "nginx.access"),
            (Text::EventAction, "login"),
            (Text::EventOutcome, "failure"),
            (Text::ServiceName, "shop.example"),
            (Text::UrlPath, "/login"),
            (Text::UrlQuery, "a"),
        ] {
            assert_eq!(event.text(slot), Some(expected));
        }
        assert_eq!(event.address(crate::event::Address::SourceIp), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(event.login, Some(Login::Failure));
        assert_eq!(event.categories, ["web", "authentication"]);
        assert_eq!(event.occurred_at.unwrap().to_string(), "2026-11-23T17:02:05.500Z");
        assert!(event.flaws().is_empty());
    }

    #[test]
    fn shippers_envelopes_are_taken_off() {
        let decoder = decoder();
        let arena = Bump::new();
        let line = br#"{"@timestamp":"2026-11-23T17:02:04Z","host":{"name":"front"},"message":"h - - [soon] \"GET /a HTTP/1.1\" 200 5"}"#;
        let event = decoder.decode(line, Time(0), &arena);
        assert_eq!(event.original, line);
        assert_eq!(event.text(Text::UrlPath), Some("/a"));
        assert_eq!(event.text(Text::HostName), Some("front"));
        assert_eq!(event.occurred_at.unwrap().to_string(), "2026-11-23T17:02:04.000Z");
        assert!(decoder.decode(br#"{"message":"nothing known"}"#, Time(0), &arena).undecodable());
    }

    #[test]
    fn statuses_give_type_and_outcome() {
        let decoder = decoder();
        let arena = Bump::new();
        for (status, types, outcome) in [
            ("200", "access", Some("success")),
            ("301", "access", Some("success")),
            ("404", "access", Some("failure")),
            ("400", "access,error", Some("failure")),
            ("503", "access,error", Some("failure")),
            ("-", "access", None),
        ] {
            let line = format!(r#"h - - [23/Nov/2026:17:02:03 +0000] "GET / HTTP/1.1" {status} 5"#);
            let event = decoder.decode(arena.alloc_str(&line).as_bytes(), Time(0), &arena);
            assert_eq!(event.types.join(","), types, "{status}");
            assert_eq!(event.text(Text::EventOutcome), outcome, "{status}");
        }
    }

    #[test]
    fn the_raw_line_is_kept_without_its_end() {
        let decoder = decoder();
        let arena = Bump::new();
        let event = decoder.decode(b"no access line \xff\r\n\0", Time(0), &arena);
        assert_eq!(event.original, b"no access line \xff");
        let kinds: Vec<FlawKind> = event.flaws().iter().map(|flaw| flaw.kind).collect();
        assert_eq!(kinds, [FlawKind::InvalidUtf8, FlawKind::Undecodable]);
        assert_eq!(event.text(Text::EventKind), Some("pipeline_error"));
        assert_eq!(event.text(Text::ServiceName), Some("web"));
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let decoder = decoder();
        let arena = Bump::new();
        let mut line = br#"h - - [23/Nov/2026:17:02:03 +0000] "GET /"#.to_vec();
        for _ in 0..10 * 1024 * 1024 / 3 {
            line.extend_from_slice("\u{20ac}".as_bytes());
        }
        let event = decoder.decode(&line, Time(0), &arena);
        assert!(event.original.len() <= LINE_BYTES_MAX && event.original.len() > LINE_BYTES_MAX - 4);
        assert_eq!(event.text(Text::HttpMethod), Some("GET"));
        let kinds: Vec<FlawKind> = event.flaws().iter().map(|flaw| flaw.kind).collect();
        assert!(kinds.contains(&FlawKind::Truncated) && !kinds.contains(&FlawKind::InvalidUtf8), "{kinds:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_give_one_event_and_keep_their_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let decoder = decoder();
            let arena = Bump::new();
            let event = decoder.decode(&bytes, Time(0), &arena);
            prop_assert!(bytes.starts_with(event.original));
            prop_assert!(bytes[event.original.len()..].iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }

        #[test]
        fn any_line_of_the_right_letters_gives_one_event(
            before in r#"[a-z0-9., :"\\-]{0,40}"#,
            request in r#"[A-Z/ "\\x0-9?:é\x00-\x1f]{0,40}"#,
            rest in r#"[0-9 "\\=.ms-]{0,40}"#,
        ) {
            let decoder = decoder();
            let arena = Bump::new();
            let line = format!("{before} [23/Nov/2026:17:02:03 +0000] \"{request}\" {rest}");
            let event = decoder.decode(line.as_bytes(), Time(0), &arena);
            prop_assert_eq!(event.text(Text::EventModule), Some("nginx"));
        }
    }
}
