//! The fold over files: readers, merge by time, workers, outputs. I/O.

mod error;
mod keys;
mod lines;
mod merge;
mod source;
mod supply;

pub use error::{Problem, ReplayError};
pub use keys::{JUMP_MAX, Key, Keys, WAITING_RECORDS_MAX};
pub use lines::{CHUNK_BYTES_MAX, CHUNK_LINES_MAX, Chunk, Lines};
pub use merge::{Examined, Turn, merge};
pub use source::{HEAD_BYTES_MAX, RATIO_AFTER_BYTES, RATIO_MAX, Source, open};
pub use supply::{Examine, INPUTS_MAX, Supply};
