//! The last step of decoding, the same for all formats: what follows from the fields that a decoder set. Pure.
//!
//! It only fills what is absent. Deliberately without proxies and geography: that is enrichment.

use crate::event::{Address, Event, FlawKind, Login, Number, Text};

use super::settings::{Settings, Stamp};
use super::{login, service, target};

/// Nanoseconds in a millisecond.
const MILLISECOND: i64 = 1_000_000;
/// The longest host name (RFC 1035 §2.3.4).
const DOMAIN_BYTES_MAX: usize = 253;

const WEB: &[&str] = &["web"];
const WEB_LOGIN: &[&str] = &["web", "authentication"];
const LOGIN: &[&str] = &["authentication"];
const ACCESS: &[&str] = &["access"];
const ACCESS_ERROR: &[&str] = &["access", "error"];
const ACCESS_START: &[&str] = &["access", "start"];
const START: &[&str] = &["start"];

/// Completes an event that a decoder understood.
pub(super) fn understood<'a>(settings: &'a Settings, logins: &login::Routes, event: &mut Event<'a>) {
    set_source(event);
    target::split_domain(event);
    target::split(event);
    set_class(logins, event);
    set_names(settings, event);
    set_end(settings, event);
}

/// Completes an event that no decoder understood.
pub(super) fn undecodable<'a>(settings: &'a Settings, event: &mut Event<'a>) {
    event.add_flaw("event.original", FlawKind::Undecodable);
    event.set_text(Text::EventKind, "pipeline_error");
    set_names(settings, event);
}

/// `source.ip` and `source.port` from `source.address`, or `source.domain` where the log holds a name.
fn set_source(event: &mut Event<'_>) {
    let Some(text) = event.text(Text::SourceAddress) else { return };
    if event.address(Address::SourceIp).is_some() {
        return;
    }
    match target::address(text) {
        Some((ip, port)) => {
            event.set_address(Address::SourceIp, ip);
            if let Some(port) = port
                && event.number(Number::SourcePort).is_none()
            {
                event.set_number(Number::SourcePort, i64::from(port));
            }
        }
        None if text.starts_with("unix:") => {}
        None if is_domain(text) => target::set_absent(event, Text::SourceDomain, text),
        None => event.add_flaw(Text::SourceAddress.name(), FlawKind::NotAnAddress),
    }
}

/// A host name: letters, digits, dots, hyphens and underscores, and not only digits and dots.
fn is_domain(text: &str) -> bool {
    text.len() <= DOMAIN_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// `event.kind`, category, type and outcome (schema sheet §3.2), and logins in web logs.
fn set_class(logins: &login::Routes, event: &mut Event<'_>) {
    target::set_absent(event, Text::EventKind, "event");
    let status = event.number(Number::HttpStatus);
    let web = event.categories.is_empty() && (status.is_some() || event.text(Text::UrlOriginal).is_some());
    if web {
        event.categories = WEB;
        event.types = match status {
            Some(400 | 500..) => ACCESS_ERROR,
            _ => ACCESS,
        };
    }
    if event.login.is_none() && event.categories.contains(&"web") {
        event.login = login::recognise(logins, event);
        if event.login.is_some() {
            event.categories = WEB_LOGIN;
            event.types = ACCESS_START;
        }
    }
    if let Some(login) = event.login {
        set_login(login, event);
    } else if web && let Some(status) = status {
        target::set_absent(event, Text::EventOutcome, if status < 400 { "success" } else { "failure" });
    }
}

fn set_login(login: Login, event: &mut Event<'_>) {
    if event.categories.is_empty() {
        event.categories = LOGIN;
        event.types = START;
    }
    target::set_absent(event, Text::EventAction, "login");
    let outcome = match login {
        Login::Success => "success",
        Login::Failure => "failure",
    };
    target::set_absent(event, Text::EventOutcome, outcome);
    event.set_text(Text::Login, outcome);
}

/// `event.dataset` and `service.name`.
fn set_names<'a>(settings: &'a Settings, event: &mut Event<'a>) {
    target::set_absent(event, Text::EventDataset, &settings.dataset);
    // Always from the settings: a name that the line claims is only believed when it is known.
    event.set_text(Text::ServiceName, service::name(&settings.service, event));
}

/// The windowed time is the end (design §7); a line without any time says so.
fn set_end(settings: &Settings, event: &mut Event<'_>) {
    match (event.occurred_at, settings.stamp, event.number(Number::EventDuration)) {
        (Some(start), Stamp::Start, Some(duration)) => {
            event.occurred_at = Some(start.plus(duration.max(0) / MILLISECOND));
        }
        (Some(_), Stamp::Start | Stamp::End, _) => {}
        (None, Stamp::Start | Stamp::End, _) => {
            let told = event.flaws().iter().any(|flaw| flaw.kind == FlawKind::NotATime);
            if !told {
                event.add_flaw("@timestamp", FlawKind::NoTime);
            }
        }
    }
}
