//! What a message says, before it is put into an event. Pure data.
//!
//! One shape for every program, so that each reader only says what it knows. Deliberately without time, host and
//! process: those belong to the frame.

use super::extra::{Extra, Kept, REPEAT};
use super::origin::{Host, Origin, Peer};
use crate::event::{Event, FlawKind, Login, Number, Scalar, Text};

/// The most extras one message has: `useradd`'s.
const EXTRAS_MAX: usize = 6;

/// The meaning of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    /// `event.action`
    pub(super) action: &'static str,
    pub(super) outcome: Outcome,
    /// `event.reason`
    pub(super) reason: Option<&'static str>,
    pub(super) login: Option<Login>,
    pub(super) class: Class,
    pub(super) user: Option<&'a str>,
    /// The account that `user` acts as or acts upon.
    pub(super) target: Option<&'a str>,
    pub(super) origin: Option<Origin<'a>>,
    /// Whether the message can be read in more than one way: then no origin is taken from it, and a flaw says so.
    pub(super) doubtful: bool,
    /// How many tries the message itself stands for, beside an event of their own.
    pub(super) repeat: Option<i64>,
    /// Filled through [`Reading::with`].
    pub(super) extras: [Option<(Extra, &'a str)>; EXTRAS_MAX],
}

/// `event.outcome`, where a message says one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
    Unsaid,
}

/// `event.category` and `event.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A try to log in.
    Try,
    /// Something about logging in that is no try of its own.
    Note,
    SessionStart,
    SessionEnd,
    UserCreated,
    GroupCreated,
}

impl<'a> Reading<'a> {
    /// A reading with nothing but its action.
    pub(super) fn new(action: &'static str, class: Class) -> Reading<'a> {
        Reading {
            action,
            outcome: Outcome::Unsaid,
            reason: None,
            login: None,
            class,
            user: None,
            target: None,
            origin: None,
            doubtful: false,
            repeat: None,
            extras: [None; EXTRAS_MAX],
        }
    }

    /// Something that failed for `reason` and is no try of its own.
    pub(super) fn failed(action: &'static str, reason: &'static str) -> Reading<'a> {
        Reading { outcome: Outcome::Failure, reason: Some(reason), ..Reading::new(action, Class::Note) }
    }

    /// A try to log in that failed: the one event of it that counts.
    pub(super) fn login_failed(action: &'static str, reason: &'static str) -> Reading<'a> {
        Reading { class: Class::Try, login: Some(Login::Failure), ..Reading::failed(action, reason) }
    }

    /// A login that succeeded.
    pub(super) fn login_succeeded(action: &'static str) -> Reading<'a> {
        let login = Some(Login::Success);
        Reading { outcome: Outcome::Success, login, ..Reading::new(action, Class::Try) }
    }

    /// The same with what is known of the other side.
    pub(super) fn by(self, peer: Peer<'a>) -> Reading<'a> {
        Reading { user: peer.user, origin: peer.origin, doubtful: peer.origin.is_none(), ..self }
    }

    /// The same with an extra; an absent one changes nothing.
    pub(super) fn with(mut self, extra: Extra, value: Option<&'a str>) -> Reading<'a> {
        if let (Some(free), Some(value)) = (self.extras.iter_mut().find(|slot| slot.is_none()), value) {
            *free = Some((extra, value));
        }
        self
    }

    /// Puts everything into the event.
    pub(super) fn fill(&self, kept: &Kept, event: &mut Event<'a>) {
        let texts = [
            (Text::EventAction, Some(self.action)),
            (Text::EventOutcome, self.outcome.text()),
            (Text::EventReason, self.reason),
            (Text::UserName, self.user),
            (Text::UserTarget, self.target),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                event.set_text(field, value);
            }
        }
        (event.categories, event.types) = self.class.names();
        event.login = self.login;
        match self.origin {
            Some(origin) => fill_origin(origin, event),
            None if self.doubtful => event.add_flaw(Text::SourceAddress.name(), FlawKind::NotAnAddress),
            None => {}
        }
        for (extra, value) in self.extras.iter().flatten().filter(|(extra, _)| kept.has(*extra)) {
            event.add_extra(extra.name(), Scalar::Text(value));
        }
        if let Some(repeat) = self.repeat {
            event.add_extra(REPEAT, Scalar::Integer(repeat));
        }
    }
}

fn fill_origin<'a>(origin: Origin<'a>, event: &mut Event<'a>) {
    match origin.host {
        Host::Address(address) => event.set_text(Text::SourceAddress, address),
        Host::Name(name) => event.set_text(Text::SourceDomain, name),
    }
    if let Some(port) = origin.port {
        event.set_number(Number::SourcePort, i64::from(port));
    }
}

impl Outcome {
    fn text(self) -> Option<&'static str> {
        match self {
            Outcome::Success => Some("success"),
            Outcome::Failure => Some("failure"),
            Outcome::Unsaid => None,
        }
    }
}

impl Class {
    fn names(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Class::Try => (&["authentication"], &["start"]),
            Class::Note => (&["authentication"], &["info"]),
            Class::SessionStart => (&["authentication", "session"], &["start"]),
            Class::SessionEnd => (&["authentication", "session"], &["end"]),
            Class::UserCreated => (&["iam"], &["user", "creation"]),
            Class::GroupCreated => (&["iam"], &["group", "creation"]),
        }
    }
}
