//! What can go wrong with the index, each with where and what to do. Pure.

use std::io;
use std::path::{Path, PathBuf};

use tantivy::TantivyError;
use tantivy::directory::error::LockError;

use super::query::QueryError;
use crate::event::Input;

/// A fault of the index. None of them concerns detection: the index can be deleted and built again from the journal.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Another process writes this index.
    #[error("the index in {} is written by another process; stop that one, or give this one another data directory", .0.display())]
    Locked(PathBuf),
    /// Of another version of Sekisho or Tantivy.
    #[error("the index in {} cannot be read by this version: {detail}; run `sekisho index rebuild`", path.display())]
    Incompatible { path: PathBuf, detail: String },
    /// Documents without the positions they come from.
    #[error("the index in {} has documents and does not say how far it has read; run `sekisho index rebuild`", .0.display())]
    NoPayload(PathBuf),
    /// Files that are not what was written.
    #[error("the index in {} is damaged: {detail}; run `sekisho index rebuild`", path.display())]
    Damaged { path: PathBuf, detail: String },
    /// Reading or writing failed.
    #[error("failed to {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Tantivy gave up.
    #[error("failed to {doing} in {}: {source}", path.display())]
    Tantivy { doing: &'static str, path: PathBuf, source: TantivyError },
    /// Tantivy broke off.
    #[error("failed to {doing} in {}: a thread of the index panicked", path.display())]
    Panicked { doing: &'static str, path: PathBuf },
    /// Records between what was read and what was added are missing.
    #[error("failed to index partition {}/{}: its next offset is {expected}, and the records begin at {found}", input.topic, input.partition)]
    Gap { input: Input, expected: u64, found: u64 },
    /// The writer was dropped after a fault; what came after its last commit must be added again.
    #[error("the index writer was closed after a fault; open it again and begin at its positions")]
    Closed,
    /// Indexing takes nothing more.
    #[error("the index has not taken a batch for {seconds} s")]
    Stalled { seconds: u64 },
    /// A fault in the query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The search took too long.
    #[error("the search took longer than {seconds} s; ask for a shorter time or a more selective condition")]
    Timeout { seconds: u64 },
    /// The search was given up by whoever asked.
    #[error("the search was cancelled")]
    Cancelled,
    /// Too many searches at once.
    #[error("{0} searches are running already; try again in a moment")]
    Busy(usize),
    /// A search beyond its limits.
    #[error("{0}")]
    TooCostly(String),
}

impl IndexError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        IndexError::Io { doing, path: path.to_owned(), source }
    }

    /// A fault of Tantivy, as what it means for whoever runs this.
    pub(super) fn tantivy(doing: &'static str, path: &Path, source: TantivyError) -> Self {
        let path = path.to_owned();
        if let TantivyError::LockFailure(LockError::LockBusy, _) = &source {
            return IndexError::Locked(path);
        }
        if let TantivyError::IncompatibleIndex(detail) = &source {
            return IndexError::Incompatible { path, detail: format!("{detail:?}") };
        }
        if let TantivyError::DataCorruption(detail) = &source {
            return IndexError::Damaged { path, detail: format!("{detail:?}") };
        }
        IndexError::Tantivy { doing, path, source }
    }
}
