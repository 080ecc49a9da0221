//! The fold over files: readers, merge by time, workers, outputs. I/O.

mod error;
mod keys;
mod lines;
mod merge;
mod outputs;
mod progress;
mod reference;
mod source;
mod stop;
mod summary;
mod supply;

pub use error::{Problem, ReplayError};
pub use keys::{JUMP_MAX, Key, Keys, WAITING_RECORDS_MAX};
pub use lines::{CHUNK_BYTES_MAX, CHUNK_LINES_MAX, Chunk, Lines};
pub use merge::{Examined, Turn, merge};
pub use outputs::{Outputs, write_whole};
pub use progress::{Progress, Timings};
pub use reference::newest_full_date;
pub use source::{HEAD_BYTES_MAX, RATIO_AFTER_BYTES, RATIO_MAX, Source, open};
pub use stop::stop_on_signal;
pub use summary::{OutcomeCounts, PipelineSummary, Summary};
pub use supply::{Examine, INPUTS_MAX, Supply};
