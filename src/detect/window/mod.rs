//! Windows: sliding counts per rule and key, bounded, in event time. Pure.
//!
//! A window is a ring of sixteenths of its timespan on the epoch's grid. Deliberately without a clock and without expiry by it: a key
//! moves when something arrives, and empty keys are reclaimed by a sweep that cannot be seen in the results.

mod distinct;
mod entry;
mod group;
mod members;
mod ring;
mod table;
mod trace;

pub use distinct::EXACT_MAX;
pub use entry::{Arrival, Entry, Firing, bucket_of, shown};
pub use members::MEMBERS_KEPT;
pub use table::{BYTES_MAX, KEYS_MAX, Saved, Table, TableCounters};
pub use trace::{EVIDENCE_MAX, INPUTS_MAX, Stretch};

/// An input by its index in the fold's table of inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct InputIndex(pub u16);
