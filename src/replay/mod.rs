//! The fold over files: readers, merge by time, workers, outputs. I/O.
//!
//! ```text
//! reader per input ─► chunks of lines ─► workers examine ─► keys, merge ─► fold ─► files
//! ```
//!
//! Each queue on the way is bounded, so memory does not grow with the input; one thread folds, in an order that follows
//! from the records alone, so the same input gives the same bytes whatever the threads. Deliberately without opinion on
//! what a line means: that is the fold's.

mod error;
mod examine;
mod keys;
mod lines;
mod merge;
mod outputs;
mod progress;
mod reference;
mod run;
mod session;
mod source;
mod spans;
mod stop;
mod summary;
mod supply;
mod verify;

pub use error::{Problem, ReplayError};
pub use keys::{JUMP_MAX, Key, Keys, WAITING_RECORDS_MAX};
pub use lines::{CHUNK_BYTES_MAX, CHUNK_LINES_MAX, Chunk, Lines};
pub use merge::{Examined, Turn, merge};
pub use outputs::{Outputs, write_whole};
pub use progress::{Progress, Timings};
pub use reference::newest_full_date;
pub use run::{Destination, replay};
pub use session::{InputRequest, Request, Session};
pub use source::{HEAD_BYTES_MAX, RATIO_AFTER_BYTES, RATIO_MAX, Source, open};
pub use stop::stop_on_signal;
pub use summary::{OutcomeCounts, PipelineSummary, Summary};
pub use supply::{Examine, INPUTS_MAX, Supply};
pub use verify::{Verdict, verify};
