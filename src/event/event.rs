//! The event: one item decoded into ECS fields, with its flaws listed. Pure.
//!
//! Texts borrow from the record or from the arena of the batch, so an event of the common path allocates nothing.
//! Deliberately without a `Result`: what was not understood is a [`Flaw`], the raw line is always there.

use std::net::IpAddr;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use super::field::{ADDRESSES, Address, Field, NUMBERS, Number, TEXTS, Text};
use super::time::Time;

/// More extras than this in one event are dropped with a flaw: attackers send wide objects (security sheet §4.4).
pub const EXTRAS_MAX: usize = 512;
/// More flaws than this in one event are counted in the last one only; a line full of faults says nothing new.
pub const FLAWS_MAX: usize = 32;
/// More tags than this are not kept: enrichment knows fewer.
pub const TAGS_MAX: usize = 16;

/// One decoded item.
pub struct Event<'a> {
    arena: &'a Bump,
    present: u128,
    texts: [&'a str; TEXTS],
    numbers: [i64; NUMBERS],
    addresses: [IpAddr; ADDRESSES],
    extras: ArenaVec<'a, (&'a str, Scalar<'a>)>,
    flaws: ArenaVec<'a, Flaw<'a>>,
    tags: ArenaVec<'a, &'a str>,
    /// The bytes of the item as they arrived, without the line end.
    pub original: &'a [u8],
    /// When the log says it happened; for a source that gives start and duration, the end (design §7).
    pub occurred_at: Option<Time>,
    /// `event.category`, ECS's allowed values.
    pub categories: &'static [&'static str],
    /// `event.type`, ECS's allowed values.
    pub types: &'static [&'static str],
    /// What this event says of a login attempt, if anything.
    pub login: Option<Login>,
    /// Whether the line's way here could have been forged by anybody (UDP from elsewhere): then it never blocks.
    pub spoofable: bool,
}

/// The outcome of a login attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    Success,
    Failure,
}

/// The value of a field without a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(&'a [Scalar<'a>]),
}

/// Something in an item that was not understood or had to be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Flaw<'a> {
    /// The dotted field it concerns, or `event.original` for the item as a whole.
    pub field: &'a str,
    pub kind: FlawKind,
}

/// The kinds of flaws, as they are written in `sekisho.flaws[].kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlawKind {
    /// No decoder of the pipeline fits: only the raw line is kept.
    Undecodable,
    /// A text where a number belongs.
    NotANumber,
    /// A text where an address belongs.
    NotAnAddress,
    /// A text where a time belongs, or a time outside years 0 to 9999.
    NotATime,
    /// The item holds no time.
    NoTime,
    /// A claimed time more than an hour ahead that the next line does not confirm.
    TimeJump,
    /// The claimed time lies ahead of the journal's; the journal's is used.
    FutureTime,
    /// The event is too old for any window.
    Late,
    /// Bytes that are not UTF-8 were replaced.
    InvalidUtf8,
    /// The item was cut at its limit.
    Truncated,
    /// JSON that had to be mended.
    Repaired,
    /// A key that occurs twice; the last one is kept.
    DuplicateKey,
    /// Nested deeper than 32 levels; the rest is dropped.
    TooDeep,
    /// More fields than the limit; the rest is dropped.
    TooManyFields,
    /// A request line that is no HTTP request.
    MalformedRequest,
    /// An escape sequence that is none.
    BadEscape,
    /// A forwarding header that does not parse up to the client.
    BadForwarding,
    /// A value outside what its field allows.
    OutOfRange,
}

impl<'a> Event<'a> {
    /// An event without any field but its raw bytes.
    pub fn new(original: &'a [u8], arena: &'a Bump) -> Self {
        Event {
            arena,
            present: 0,
            texts: [""; TEXTS],
            numbers: [0; NUMBERS],
            addresses: [IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED); ADDRESSES],
            extras: ArenaVec::new_in(arena),
            flaws: ArenaVec::new_in(arena),
            tags: ArenaVec::new_in(arena),
            original,
            occurred_at: None,
            categories: &[],
            types: &[],
            login: None,
            spoofable: false,
        }
    }

    /// The arena that this event's texts may live in.
    pub fn arena(&self) -> &'a Bump {
        self.arena
    }

    /// The text of a slot, if set.
    pub fn text(&self, field: Text) -> Option<&'a str> {
        (self.present & text_bit(field) != 0).then(|| self.texts[field as usize])
    }

    /// The number of a slot, if set.
    pub fn number(&self, field: Number) -> Option<i64> {
        (self.present & number_bit(field) != 0).then(|| self.numbers[field as usize])
    }

    /// The address of a slot, if set.
    pub fn address(&self, field: Address) -> Option<IpAddr> {
        (self.present & address_bit(field) != 0).then(|| self.addresses[field as usize])
    }

    /// Sets a text slot.
    pub fn set_text(&mut self, field: Text, value: &'a str) {
        self.present |= text_bit(field);
        self.texts[field as usize] = value;
    }

    /// Sets a number slot.
    pub fn set_number(&mut self, field: Number, value: i64) {
        self.present |= number_bit(field);
        self.numbers[field as usize] = value;
    }

    /// Sets an address slot; IPv4-mapped IPv6 is unwrapped.
    pub fn set_address(&mut self, field: Address, value: IpAddr) {
        self.present |= address_bit(field);
        self.addresses[field as usize] = value.to_canonical();
    }

    /// Empties a text slot.
    pub fn clear_text(&mut self, field: Text) {
        self.present &= !text_bit(field);
    }

    /// Adds a field without a slot. Beyond [`EXTRAS_MAX`] it is dropped and a flaw says so.
    pub fn add_extra(&mut self, name: &'a str, value: Scalar<'a>) {
        if self.extras.len() < EXTRAS_MAX {
            self.extras.push((name, value));
        } else {
            self.add_flaw(name, FlawKind::TooManyFields);
        }
    }

    /// The value of a field without a slot; where it was given twice, the last one.
    pub fn extra(&self, name: &str) -> Option<Scalar<'a>> {
        self.extras.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// All fields without a slot, in the order they were found.
    pub fn extras(&self) -> &[(&'a str, Scalar<'a>)] {
        &self.extras
    }

    /// Notes a flaw, once per field and kind, at most [`FLAWS_MAX`].
    pub fn add_flaw(&mut self, field: &'a str, kind: FlawKind) {
        let flaw = Flaw { field, kind };
        if self.flaws.len() < FLAWS_MAX && !self.flaws.contains(&flaw) {
            self.flaws.push(flaw);
        }
    }

    /// What was not understood, in the order it was met.
    pub fn flaws(&self) -> &[Flaw<'a>] {
        &self.flaws
    }

    /// Adds a tag once, at most [`TAGS_MAX`].
    pub fn add_tag(&mut self, tag: &'a str) {
        if self.tags.len() < TAGS_MAX && !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    /// Tags set by decoding and enrichment, in the order they were added.
    pub fn tags(&self) -> &[&'a str] {
        &self.tags
    }

    /// Whether this field has a value.
    pub fn has(&self, field: &Field) -> bool {
        match field {
            Field::Text(field) => self.present & text_bit(*field) != 0,
            Field::Number(field) => self.present & number_bit(*field) != 0,
            Field::Address(field) => self.present & address_bit(*field) != 0,
            Field::Extra(name) => self.extra(name).is_some(),
            Field::Timestamp => self.occurred_at.is_some(),
            Field::Original => true,
            Field::Category => !self.categories.is_empty(),
            Field::Type => !self.types.is_empty(),
            Field::Tags => !self.tags.is_empty(),
        }
    }

    /// Whether no decoder understood the item.
    pub fn undecodable(&self) -> bool {
        self.flaws.iter().any(|flaw| flaw.kind == FlawKind::Undecodable)
    }
}

fn text_bit(field: Text) -> u128 {
    1 << (field as usize)
}

fn number_bit(field: Number) -> u128 {
    1 << (TEXTS + field as usize)
}

fn address_bit(field: Address) -> u128 {
    1 << (TEXTS + NUMBERS + field as usize)
}

const _: () = assert!(TEXTS + NUMBERS + ADDRESSES <= 128, "every slot needs a bit of `present`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_hold_what_was_set() {
        let arena = Bump::new();
        let mut event = Event::new(b"x", &arena);
        assert!(event.text(Text::UrlPath).is_none());
        event.set_text(Text::UrlPath, "/a");
        event.set_number(Number::WafScore, 5);
        event.set_address(Address::ForwardedIp, "::ffff:203.0.113.9".parse().unwrap());
        assert_eq!(event.text(Text::UrlPath), Some("/a"));
        assert_eq!(event.number(Number::WafScore), Some(5));
        assert_eq!(event.address(Address::ForwardedIp), Some("203.0.113.9".parse().unwrap()));
        event.clear_text(Text::UrlPath);
        assert!(event.text(Text::UrlPath).is_none());
    }

    #[test]
    fn extras_are_bounded_and_the_last_wins() {
        let arena = Bump::new();
        let mut event = Event::new(b"x", &arena);
        event.add_extra("a.b", Scalar::Integer(1));
        event.add_extra("a.b", Scalar::Integer(2));
        assert_eq!(event.extra("a.b"), Some(Scalar::Integer(2)));
        for _ in 0..EXTRAS_MAX {
            event.add_extra("c", Scalar::Bool(true));
        }
        assert_eq!(event.extras().len(), EXTRAS_MAX);
        assert_eq!(event.flaws(), [Flaw { field: "c", kind: FlawKind::TooManyFields }]);
    }
}
