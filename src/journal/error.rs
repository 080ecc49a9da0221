//! What can go wrong in a journal, in words for whoever runs it. Pure.
//!
//! One variant per thing somebody must do. Deliberately without sources: a failed write is told to every commit of its
//! group, so an error is a value that can be copied.

use std::path::PathBuf;

use thiserror::Error;

use crate::event::Input;

/// Why a journal did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JournalError {
    /// Another process has the directory.
    #[error("{} is in use by {holder}: stop it, or give this one another data directory", path.display())]
    Locked { path: PathBuf, holder: String },

    /// The directory cannot be used at all.
    #[error("failed to use {} as the data directory: {why}; it must be a directory this user may write to", path.display())]
    Unwritable { path: PathBuf, why: String },

    /// Written by a later Sekisho.
    #[error("{file} has journal format {version}, this program knows formats up to {known}: use the newer program")]
    Newer { file: String, version: u16, known: u16 },

    /// Bytes that were durable are no longer what was written.
    #[error("journal damaged at byte {offset} of {file}: {what}; keep a copy, then run `sekisho journal repair`")]
    Corrupt { file: String, offset: u64, what: String },

    /// The disk did not give what lies there. Appends go on: this concerns the reader alone.
    #[error("failed to read {file} at byte {offset}: {why}; check the disk, then run `sekisho journal verify`")]
    Unreadable { file: String, offset: u64, why: String },

    /// The offset was deleted by retention.
    #[error("offset {from} of {}/{} is gone, its log now starts at {start}", input.topic, input.partition)]
    Trimmed { input: Input, from: u64, start: u64 },

    /// No space for this now. Nothing of it was written; readers go on, and later commits succeed once there is space.
    #[error("no disk space for {bytes} more bytes of journal: free some, or lower its retention")]
    Full { bytes: u64 },

    /// More than one commit may hold.
    #[error("a commit of {bytes} bytes is over the limit of {max}: split it")]
    TooLarge { bytes: u64, max: u64 },

    /// So many marks are remembered that another has no room.
    #[error("{count} marks are kept already, {bytes} bytes: wait until some expire")]
    MarksFull { count: usize, bytes: usize },

    /// A commit that no correct caller makes.
    #[error("refused by the journal: {why}")]
    Refused { why: String },

    /// A newer handle of the same stage exists; this one must stop.
    #[error("stage {stage} was taken over by a newer handle: this one must stop")]
    Fenced { stage: String },

    /// The disk failed. A failed sync is never tried again: the kernel may have dropped what it could not write.
    #[error("failed to {action} {file}: {why}; the journal stops here, check the disk and start again")]
    Io { action: &'static str, file: String, why: String },

    /// Of a journal over a network: what was asked is not done, and whoever asked takes up again what is committed.
    #[error("the journal did not do it: {why}")]
    Undone { why: String },
}

impl JournalError {
    /// Whether it is worth asking again later: the journal lies elsewhere, and was not there or undid what was asked.
    pub fn is_passing(&self) -> bool {
        matches!(self, JournalError::Undone { .. })
    }

    /// Whether whoever commits must end: nothing that is appended from now on could be promised.
    pub fn is_fatal(&self) -> bool {
        matches!(self, JournalError::Io { .. } | JournalError::Fenced { .. })
    }
}
