//! The nouns that cross borders: record → event → signal → finding → outcome. Pure.
//!
//! One type per border, and every room speaks to the others through these alone. Deliberately without behaviour
//! beyond keeping their own invariants: verbs live in the rooms.

#[expect(clippy::module_inception, reason = "the noun and its room share the word of the glossary")]
mod event;
mod ecs;
mod entry;
pub mod field;
mod finding;
mod json;
pub mod outcome;
mod position;
mod record;
mod signal;
mod time;

pub use ecs::{EcsDocument, Envelope, Layout, document};
pub use entry::{Answer, AnswerResult, Command, Entry, NoEntry, Order, SIGNALS};
pub use event::{EXTRAS_MAX, Event, FLAWS_MAX, Flaw, FlawKind, Login, Scalar, TAGS_MAX};
pub use field::{Address, Field, Number, Text};
pub use finding::{Entity, EntityKind, Finding, Member, Severity, Window};
pub use json::write_json;
pub use outcome::Outcome;
pub use position::{Input, OWN_TOPICS, Place, Position, Span, topic_fits};
pub use record::{LINE_BYTES_MAX, Record};
pub use signal::{
    CatalogHash, Client, Counts, Pack, RuleIndex, ServiceIndex, Signal, Standing, Tally, Value, client_key,
};
pub use time::{Civil, DAY, HOUR, MINUTE, SECOND, Time};
