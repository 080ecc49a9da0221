//! One event with what the journal knows of it: what is indexed and what a query is asked about. Pure.
//!
//! Deliberately without an opinion on columns or queries: both are made from this.

use crate::event::{Event, Flaw, FlawKind, Input, Place, Time};

/// An event at its place in the journal.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub event: &'a Event<'a>,
    pub input: &'a Input,
    pub place: Place,
    pub pipeline: &'a str,
    /// The journal's own time of the record.
    pub appended_at: Time,
    /// What only the place in the merged journal told: flaws of `@timestamp`.
    pub arrival: &'a [FlawKind],
}

impl Entry<'_> {
    /// The time the event is found under: its own, or the journal's where it has none.
    pub fn timestamp(&self) -> Time {
        self.event.occurred_at.unwrap_or(self.appended_at)
    }

    /// Every flaw: those of the item, then those of its arrival.
    pub(super) fn flaws(&self) -> impl Iterator<Item = Flaw<'_>> {
        let arrival = self.arrival.iter().map(|kind| Flaw { field: "@timestamp", kind: *kind });
        self.event.flaws().iter().copied().chain(arrival)
    }
}

/// The kind as it is written, as in `sekisho.flaws[].kind`.
pub(super) fn flaw_name(kind: FlawKind) -> &'static str {
    match kind {
        FlawKind::Undecodable => "undecodable",
        FlawKind::NotANumber => "not_a_number",
        FlawKind::NotAnAddress => "not_an_address",
        FlawKind::NotATime => "not_a_time",
        FlawKind::NoTime => "no_time",
        FlawKind::TimeJump => "time_jump",
        FlawKind::FutureTime => "future_time",
        FlawKind::Late => "late",
        FlawKind::InvalidUtf8 => "invalid_utf8",
        FlawKind::Truncated => "truncated",
        FlawKind::Repaired => "repaired",
        FlawKind::DuplicateKey => "duplicate_key",
        FlawKind::TooDeep => "too_deep",
        FlawKind::TooManyFields => "too_many_fields",
        FlawKind::MalformedRequest => "malformed_request",
        FlawKind::BadEscape => "bad_escape",
        FlawKind::BadForwarding => "bad_forwarding",
        FlawKind::OutOfRange => "out_of_range",
    }
}

/// The kind of a written name.
pub(super) fn flaw_kind(name: &str) -> Option<FlawKind> {
    FLAW_KINDS.iter().copied().find(|kind| flaw_name(*kind) == name)
}

/// Every kind, in order.
const FLAW_KINDS: &[FlawKind] = &[
    FlawKind::Undecodable,
    FlawKind::NotANumber,
    FlawKind::NotAnAddress,
    FlawKind::NotATime,
    FlawKind::NoTime,
    FlawKind::TimeJump,
    FlawKind::FutureTime,
    FlawKind::Late,
    FlawKind::InvalidUtf8,
    FlawKind::Truncated,
    FlawKind::Repaired,
    FlawKind::DuplicateKey,
    FlawKind::TooDeep,
    FlawKind::TooManyFields,
    FlawKind::MalformedRequest,
    FlawKind::BadEscape,
    FlawKind::BadForwarding,
    FlawKind::OutOfRange,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_documents_name_them() {
        for kind in FLAW_KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), serde_json::json!(flaw_name(*kind)));
            assert_eq!(flaw_kind(flaw_name(*kind)), Some(*kind));
        }
    }
}
