//! What ends a stage, or keeps a node from starting. I/O.

use crate::document::Faults;
use crate::event::{CatalogHash, NoEntry};
use crate::journal::JournalError;

/// Why a stage ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record of `sekisho.signals` that this version does not read: nothing may be decided past it.
    #[error("{entry} (offset {offset})\n  = run the version that wrote it, or a newer one")]
    Entry { offset: u64, entry: NoEntry },
    #[error(
        "the journal names catalog {0} and does not hold it\n  = `sekisho journal verify` says what else is missing"
    )]
    NoCatalog(CatalogHash),
    /// A journalled catalog that this version builds otherwise.
    #[error("{0}")]
    Catalog(Faults),
    #[error(transparent)]
    Index(#[from] crate::index::IndexError),
    #[error(transparent)]
    Server(#[from] crate::api::ServerError),
    #[error(transparent)]
    Collect(#[from] crate::collect::CollectError),
    #[error("{what}: {error}\n  = {advice}")]
    Environment { what: String, error: String, advice: String },
}
