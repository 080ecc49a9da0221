//! What a search sees: every split as of its last commit, ready to read. I/O (files are mapped).
//!
//! A view never changes; a commit makes a new one and leaves the old to the searches that hold it. Deliberately without
//! queries.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tantivy::columnar::Column;
use tantivy::index::{Index, SegmentReader};
use tantivy::store::StoreReader;
use tantivy::{IndexReader, ReloadPolicy, Searcher};

use super::error::IndexError;
use super::hit::HitColumns;
use super::payload::Payload;
use super::schema::{Columns, name};
use super::split::{self, SplitPath};
use crate::event::{Input, Time};

/// Decompressed blocks of stored lines kept per segment: a page of hits lies in one or two.
const STORE_BLOCKS: usize = 2;

/// All splits of the index.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) splits: Vec<Arc<SplitView>>,
    /// Every input of any split, in order: the order of equal times.
    pub(super) inputs: Vec<Input>,
    /// Every field without a slot that has a column.
    pub(super) extras: BTreeSet<String>,
    /// Splits that could not be opened, with the reason. They are missing from every result.
    pub(super) damaged: Vec<(PathBuf, String)>,
}

/// One split.
#[derive(Debug)]
pub(super) struct SplitView {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) payload: Payload,
    pub(super) segments: Vec<SegmentView>,
}

/// One segment, with the columns that every search reads.
pub(super) struct SegmentView {
    pub(super) reader: SegmentReader,
    pub(super) timestamp: Column<i64>,
    pub(super) input: Column<u64>,
    pub(super) offset: Column<u64>,
    pub(super) item: Column<u64>,
    pub(super) store: OnceLock<StoreReader>,
    pub(super) hit_columns: OnceLock<HitColumns>,
}

impl std::fmt::Debug for SegmentView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentView({:?})", self.reader.segment_id())
    }
}

/// A split that is open for reading over many commits.
pub(super) struct OpenSplit {
    pub(super) split: SplitPath,
    pub(super) index: Index,
    reader: IndexReader,
}

impl OpenSplit {
    /// Opens the reader of a split.
    pub(super) fn new(split: SplitPath, index: Index) -> Result<Self, IndexError> {
        let fault = |source| IndexError::tantivy("open the index for reading", &split.path, source);
        let builder =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(STORE_BLOCKS);
        let reader = builder.try_into().map_err(fault)?;
        Ok(OpenSplit { split, index, reader })
    }

    /// The split as of now.
    pub(super) fn view(&self, payload: Payload) -> Result<SplitView, IndexError> {
        let fault = |source| IndexError::tantivy("read the index", &self.split.path, source);
        self.reader.reload().map_err(fault)?;
        view_of(&self.split, &self.reader.searcher(), payload).map_err(fault)
    }
}

/// Opens one split for reading alone.
pub(super) fn read_split(split: &SplitPath, columns: &Columns) -> Result<SplitView, IndexError> {
    let (index, _, payload) = split::open(&split.path, columns, split::on_disk)?;
    OpenSplit::new(split.clone(), index)?.view(payload)
}

fn view_of(split: &SplitPath, searcher: &Searcher, payload: Payload) -> tantivy::Result<SplitView> {
    let segments = searcher.segment_readers().iter().map(SegmentView::new).collect::<tantivy::Result<Vec<_>>>()?;
    Ok(SplitView { number: split.number, path: split.path.clone(), payload, segments })
}

impl SegmentView {
    fn new(reader: &SegmentReader) -> tantivy::Result<Self> {
        let fast = reader.fast_fields();
        let empty = || Column::build_empty_column(reader.max_doc());
        Ok(SegmentView {
            timestamp: fast.i64("@timestamp")?,
            input: fast.u64(name::INPUT)?,
            offset: fast.u64(name::OFFSET)?,
            item: fast.column_opt(name::ITEM)?.unwrap_or_else(empty),
            reader: reader.clone(),
            store: OnceLock::new(),
            hit_columns: OnceLock::new(),
        })
    }

    /// The earliest and the latest time in it.
    pub(super) fn times(&self) -> (Time, Time) {
        (Time(self.timestamp.min_value()), Time(self.timestamp.max_value()))
    }

    /// Its stored lines.
    pub(super) fn store(&self) -> tantivy::Result<&StoreReader> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = self.reader.get_store_reader(STORE_BLOCKS)?;
        Ok(self.store.get_or_init(|| store))
    }
}

impl View {
    /// Everything below `directory`, for a process that does not write. A split that cannot be read is named in
    /// `damaged`; the others serve.
    pub(super) fn read(directory: &Path, columns: &Columns) -> Result<Self, IndexError> {
        let mut view = View::default();
        for split in split::list(directory)? {
            match read_split(&split, columns) {
                Ok(found) => view.splits.push(Arc::new(found)),
                Err(fault) => view.damaged.push((split.path, super::describe(&fault))),
            }
        }
        view.index();
        Ok(view)
    }

    /// Works out what is common to all splits.
    pub(super) fn index(&mut self) {
        let parts = self.splits.iter().flat_map(|split| split.payload.parts.iter());
        self.inputs = parts.map(|part| part.input()).collect::<BTreeSet<_>>().into_iter().collect();
        self.extras = self.splits.iter().flat_map(|split| split.payload.extras.iter().cloned()).collect();
    }
}
