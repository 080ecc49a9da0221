//! `sekisho.signals` as a stopped node recorded it → the outcomes again: what `sekisho replay --journal` folds. I/O.
//!
//! From the log's start, or from the first state in the journal once retention took the start; up to where decide had
//! committed, so what is told here is what the node's topics hold from that place on, byte for byte. Catalogs are those
//! of the journal. Deliberately without snapshots: they are a cache, and not the record.

use std::path::Path;
use std::sync::Arc;

use crate::event::{CatalogHash, Entry, SIGNALS};
use crate::fold::{Folded, Folder, signals};
use crate::journal::embedded::{Embedded, FOLDER, Settings};
use crate::journal::{Fetched, Journal};

use super::catalogs::Catalogs;
use super::{NodeError, decide, journalled, start};

/// Bytes of packs read at a time.
const READ_BYTES: usize = 2 << 20;

/// A recording that is being folded.
pub struct Recording<J = Embedded> {
    journal: Arc<J>,
    catalogs: Catalogs<J>,
    folder: Option<Folder>,
    span: Span,
}

/// Which records of `sekisho.signals` a recording folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub from: u64,
    /// The one after the last: the committed position of decide.
    pub to: u64,
    /// Records behind it, of which nothing left yet: the next start of the node decides them.
    pub undecided: u64,
    /// Whether earlier ones are gone and no state stands for them: then windows and blocks from before are not known.
    pub blind: bool,
}

impl Recording<Embedded> {
    /// Opens the journal of a data directory whose node is stopped.
    ///
    /// # Errors
    /// Those of opening it, above all that a node has it; [`NodeError::Environment`] where there is none.
    pub fn open(data: &Path) -> Result<Recording<Embedded>, NodeError> {
        if !data.join(FOLDER).is_dir() {
            return Err(NodeError::Environment {
                what: data.display().to_string(),
                error: "holds no journal".to_owned(),
                advice: "name the data directory of a node, as in `sekisho run --data`".to_owned(),
            });
        }
        Recording::of(Arc::new(Embedded::open(data, Arc::new(start::now), Settings::default())?))
    }

    /// The recording of an open journal.
    ///
    /// # Errors
    /// Those of the journal, and of catalogs it names.
    pub fn of(journal: Arc<Embedded>) -> Result<Recording<Embedded>, NodeError> {
        let decided = journal.positions(decide::STAGE).into_iter().find(|(input, _)| *input == signals());
        Recording::up_to(journal, decided.map_or(0, |(_, next)| next))
    }
}

impl<J: Journal> Recording<J> {
    /// The recording of any journal, up to what decide had committed.
    ///
    /// # Errors
    /// Those of the journal, and of catalogs it names.
    pub fn up_to(journal: Arc<J>, decided: u64) -> Result<Recording<J>, NodeError> {
        let there = journal.partitions(SIGNALS)?.into_iter().next().map_or(0..0, |(_, range)| range);
        let to = decided.max(there.start);
        let mut catalogs = Catalogs::recorded(Arc::clone(&journal));
        let state = if there.start == 0 { None } else { journalled::first(&*journal, there.start..=to)? };
        let blind = there.start > 0 && state.is_none();
        let folder = match state {
            Some(state) => Some(Folder::restore(catalogs.get(state.catalog)?, state, decide::seed())),
            None => match first_catalog(&*journal, there.start)? {
                Some(name) => Some(Folder::new(catalogs.get(name)?, there.start, decide::seed())),
                None => None,
            },
        };
        let from = folder.as_ref().map_or(to, Folder::next);
        let span = Span { from, to, undecided: there.end.saturating_sub(to), blind };
        Ok(Recording { journal, catalogs, folder, span })
    }

    /// Which records it folds.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The catalog of the last record that was folded; none where there is nothing to fold.
    pub fn catalog(&self) -> Option<CatalogHash> {
        self.folder.as_ref().map(|folder| folder.decide().catalog().hash)
    }

    /// Folds some more records and gives what left; `None` at the end.
    ///
    /// # Errors
    /// Those of the journal, and of catalogs it names.
    pub fn step(&mut self) -> Result<Option<Folded>, NodeError> {
        let Some(folder) = self.folder.as_mut().filter(|folder| folder.next() < self.span.to) else { return Ok(None) };
        let blocks = self.journal.read(&signals(), folder.next(), READ_BYTES)?;
        let mut folded = Folded::default();
        let to = self.span.to;
        for record in blocks.iter().flat_map(Fetched::iter).take_while(|record| record.offset < to) {
            decide::fold(folder, &record, &mut self.catalogs, &mut folded)?;
        }
        let lost = blocks.iter().filter(|block| block.is_lost()).map(|block| block.offsets().end.min(to)).max();
        lost.into_iter().for_each(|next| folder.skip_to(next));
        Ok((!blocks.is_empty()).then_some(folded))
    }
}

/// The catalog that the first records were folded with.
fn first_catalog<J: Journal>(journal: &J, start: u64) -> Result<Option<CatalogHash>, NodeError> {
    let mut next = start;
    loop {
        let blocks = journal.read(&signals(), next, READ_BYTES)?;
        let Some(last) = blocks.last() else { return Ok(None) };
        next = last.offsets().end;
        for record in blocks.iter().flat_map(Fetched::iter) {
            let offset = record.offset;
            match Entry::decode(record.value).map_err(|entry| NodeError::Entry { offset, entry })? {
                Entry::Catalog(name) => return Ok(Some(name)),
                Entry::Pack(pack) => return Ok(Some(pack.catalog)),
                Entry::Command(_) => {}
            }
        }
    }
}
