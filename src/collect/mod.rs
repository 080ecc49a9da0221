//! From files and syslog senders into the journal, each line once. I/O.
//!
//! A file's cursor is in the commit of its lines, so whatever happens to node or file, every whole line is in the journal
//! exactly once: through renames, copies that are truncated, compression and restarts. TCP senders are held back while
//! the journal has no space. Pure parts: [`lines`], [`frames`], [`cursor`], [`judge`], [`partitions`]. Deliberately
//! without reading what lines say, and without a logger: warnings go to whoever started it.

#![expect(clippy::disallowed_methods, reason = "this is where log files and senders enter")]

mod collector;
mod counters;
pub mod cursor;
mod follower;
pub mod frames;
mod funnel;
mod handle_limit;
mod handles;
mod heirs;
pub mod judge;
pub mod lines;
mod log_file;
mod packed;
pub mod partitions;
mod scan;
mod sight;
mod syslog;
mod tail;
mod tcp;
mod thread;
mod udp;
mod warning;
#[cfg(test)]
mod tests;

pub use collector::Collector;
pub use counters::{COUNTS, Count, Counters};
pub use partitions::HTTP_PARTITION;
pub use warning::{CollectError, Listener, Warning};
