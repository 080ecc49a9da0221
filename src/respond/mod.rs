//! Findings → alerts, incidents and blocks behind the guard. Pure.
//!
//! In the order a finding meets them: [`responder`](Responder) (the state machine), `ids` (names), `incident`,
//! `decide` (what becomes of it), `target` (whom it could block), `guard` with `outage` and `clients` (whether it
//! may), `budget` (whether there is room), `blocks` (what holds, and past offences), `alert` with `text` (what is
//! told), `commands` (what operators order). Below them `prefix` and `table`, the structures that all is kept in.
//!
//! The guard is the only way to a block. Deliberately without any I/O: what leaves is an [`crate::event::Outcome`].

mod settings;

mod responder;
mod decide;
mod ids;
mod incident;
mod target;
mod guard;
mod outage;
mod clients;
mod budget;
mod blocks;
mod alert;
mod text;
mod commands;
mod recheck;
mod standing;
mod counters;

mod prefix;
mod table;

#[cfg(test)]
mod tests;

pub use commands::{Full, Order, OrderedBy};
pub use counters::{Counters, Evicted, Lifts};
pub use ids::Id;
pub use prefix::Prefix;
pub use recheck::{contradictions, is_opening, receipt_contradictions};
pub use responder::{Responder, State};
pub use settings::{Budget, RuleSettings, Settings};
pub use standing::Standing;
