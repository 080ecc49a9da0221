//! The two folds, ingest and decide: the only place that knows the order of the rooms. Pure.
//!
//! Ingest is split where its cost is: [`Examiner`] decodes, enriches and matches one record without any state, so many
//! of them work side by side; [`Ingest`] then gives each sighting its place in time, in journal order, cheaply. What
//! leaves is a [`Batch`] (or, through the journal, packs), and [`Decide`] folds it into outcomes. How records are
//! grouped into batches changes nothing: tallies wait until stream time has passed their second, signals carry the time
//! that their input had reached, and everything due is done in the order it is due.

mod batch;
mod clock;
mod decide;
mod examine;
mod ingest;
mod poison;
mod read;
mod record;
pub mod rehearse;

pub use batch::{Batch, TALLIES_MAX};
pub use decide::{Decide, DecideCounters, DecideSnapshot};
pub use examine::{Examiner, Match, RawRecord, SLOW_NANOSECONDS, Sighting, Sightings, VALUE_BYTES_MAX};
pub use ingest::{Ingest, IngestCounters, InputState, Placed};
pub use poison::{Poison, caught};
pub use read::Reader;
pub use record::{Folded, Folder, FolderState, STATE_FORM, signals};
