//! Catalogs by name: the node's own, and those that the journal holds. I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{CATALOGS, Catalog, CatalogText};
use crate::event::{CatalogHash, Input};
use crate::journal::{Journal, JournalError};

use super::NodeError;

/// Read at a time while a catalog is sought: a few of them.
const READ_BYTES: usize = 4 << 20;

/// Catalogs that were built, by name.
pub struct Catalogs<J> {
    journal: Arc<J>,
    built: BTreeMap<CatalogHash, Arc<Catalog>>,
}

/// The partition of `sekisho.catalogs`.
pub fn input() -> Input {
    Input { topic: CATALOGS.to_owned(), partition: 0 }
}

impl<J: Journal> Catalogs<J> {
    /// The node's own catalog, and whatever the journal holds.
    pub fn new(journal: Arc<J>, own: &Arc<Catalog>) -> Catalogs<J> {
        Catalogs { journal, built: BTreeMap::from([(own.hash, Arc::clone(own))]) }
    }

    /// Whatever the journal holds.
    pub fn recorded(journal: Arc<J>) -> Catalogs<J> {
        Catalogs { journal, built: BTreeMap::new() }
    }

    /// The catalog of a name.
    ///
    /// # Errors
    /// [`NodeError::NoCatalog`] where the journal does not hold it, [`NodeError::Catalog`] where it cannot be built.
    pub fn get(&mut self, name: CatalogHash) -> Result<Arc<Catalog>, NodeError> {
        if let Some(built) = self.built.get(&name) {
            return Ok(Arc::clone(built));
        }
        let text = find(&*self.journal, name)?.ok_or(NodeError::NoCatalog(name))?;
        let catalog = Arc::new(CatalogText::build(&text, name).map_err(NodeError::Catalog)?);
        self.built.insert(name, Arc::clone(&catalog));
        Ok(catalog)
    }
}

/// The text of a catalog, where the journal holds it.
///
/// # Errors
/// Those of reading the journal.
pub fn find<J: Journal>(journal: &J, name: CatalogHash) -> Result<Option<Vec<u8>>, JournalError> {
    let key = name.to_string();
    for (input, range) in journal.partitions(CATALOGS)? {
        let mut next = range.start;
        while next < range.end {
            let blocks = journal.read(&input, next, READ_BYTES)?;
            if blocks.is_empty() {
                break;
            }
            for record in blocks.iter().flat_map(|block| block.iter()) {
                next = record.offset + 1;
                if record.key == Some(key.as_bytes()) {
                    return Ok(Some(record.value.to_vec()));
                }
            }
        }
    }
    Ok(None)
}
