//! Events as Tantivy documents, many in one buffer. Pure.
//!
//! A document is a reference into its batch, so a thousand events cost a handful of allocations. When the last document
//! of a batch was indexed, the batch goes, and with it the permit that bounds how many are on their way. Deliberately
//! without a decision on when to hand a batch over or commit: that is the writer's and its caller's.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::ops::Range;
use std::sync::Arc;

use tantivy::schema::Field;

use crate::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};
use crate::event::{Input, Scalar};

use super::document::Document;
use super::entry::{Entry, flaw_name};
use super::rest;
use super::schema::{Columns, INDEXED_FREE_TEXTS, TEXT_BYTES_MAX};
use super::words::cut;

/// Events in a batch: fewer, and handing over costs more than indexing (limits sheet §5: batches of 500 to 1,000).
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Bytes of raw lines in a batch: lines may be 256 KiB, and sixteen batches are on their way at once.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A field name without a slot that is longer gets no column (security sheet §4.4); the document keeps it.
pub const EXTRA_NAME_BYTES_MAX: usize = 256;

/// Events ready to be indexed, in the order they were pushed.
#[derive(Debug)]
pub struct Batch {
    columns: Arc<Columns>,
    pub(super) text: String,
    pub(super) bytes: Vec<u8>,
    pub(super) cells: Vec<(Field, StoredCell)>,
    pub(super) extras: Vec<Extra>,
    pub(super) documents: Vec<Placed>,
    pub(super) inputs: Vec<Input>,
    names: HashMap<String, u32, foldhash::fast::RandomState>,
    pub(super) name_list: Vec<String>,
    /// Per input: its number in the split. Set by the writer.
    pub(super) ordinals: Vec<u64>,
    /// Per name: whether it has a column. Set by the writer.
    pub(super) has_column: Vec<bool>,
    raw_bytes: usize,
    texts_cut: u64,
    pub(super) permit: Option<Permit>,
}

/// One of the batches that may be on their way at once; giving it up lets the next one in.
#[derive(Debug)]
pub(super) struct Permit(pub(super) crossbeam_channel::Receiver<()>);

impl Drop for Permit {
    fn drop(&mut self) {
        // Whoever got a permit put one message in; taking any of them out gives one permit back.
        let _given_back = self.0.try_recv();
    }
}

/// One document of a batch: its cells and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) cells: Range<u32>,
    pub(super) extras: Range<u32>,
    pub(super) input: u32,
    pub(super) offset: u64,
    pub(super) item: Option<u32>,
    pub(super) raw: Range<u32>,
    pub(super) rest: Range<u32>,
    pub(super) appended_at: i64,
}

/// A value as it is kept in a batch.
#[derive(Clone, Debug)]
pub(super) enum StoredCell {
    Text(Range<u32>),
    Integer(i64),
    Address(Ipv6Addr),
}

/// A value of a field without a slot.
#[derive(Clone, Debug)]
pub(super) struct Extra {
    pub(super) name: u32,
    pub(super) value: ExtraValue,
}

/// What an [`Extra`] can be in a column.
#[derive(Clone, Debug)]
pub(super) enum ExtraValue {
    Text(Range<u32>),
    Integer(i64),
    Float(f64),
    Flag(bool),
}

impl Batch {
    /// An empty batch for an index of these columns.
    pub fn new(columns: Arc<Columns>) -> Self {
        Batch {
            columns,
            text: String::new(),
            bytes: Vec::new(),
            cells: Vec::new(),
            extras: Vec::new(),
            documents: Vec::new(),
            inputs: Vec::new(),
            names: HashMap::default(),
            name_list: Vec::new(),
            ordinals: Vec::new(),
            has_column: Vec::new(),
            raw_bytes: 0,
            texts_cut: 0,
            permit: None,
        }
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Whether it should be handed over: [`BATCH_EVENTS_MAX`] or [`BATCH_BYTES_MAX`] is reached.
    pub fn is_full(&self) -> bool {
        self.len() >= BATCH_EVENTS_MAX || self.text.len() + self.bytes.len() >= BATCH_BYTES_MAX
    }

    /// Bytes of raw lines in it.
    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// How many texts were cut at [`TEXT_BYTES_MAX`] in their columns.
    pub fn texts_cut(&self) -> u64 {
        self.texts_cut
    }

    /// Adds an event. Events of one input are pushed in the order of their places.
    pub fn push(&mut self, entry: &Entry<'_>) {
        let columns = self.columns.clone();
        let (cells, extras) = (self.cells.len() as u32, self.extras.len() as u32);
        let rest_start = self.bytes.len();
        self.integer(columns.timestamp, entry.timestamp().0);
        self.integer(columns.appended_at, entry.appended_at.0);
        self.text(columns.pipeline, entry.pipeline);
        self.slots(&columns, entry);
        self.lists(&columns, entry);
        self.words(&columns, cells as usize);
        self.extras(entry);
        rest::write_extras(entry.event, &mut self.bytes);
        let rest = rest_start as u32..self.bytes.len() as u32;
        self.bytes.extend_from_slice(entry.event.original);
        self.raw_bytes += entry.event.original.len();
        let input = self.input(entry.input);
        self.documents.push(Placed {
            cells: cells..self.cells.len() as u32,
            extras: extras..self.extras.len() as u32,
            input,
            offset: entry.place.offset,
            item: entry.place.item,
            raw: rest.end..self.bytes.len() as u32,
            rest,
            appended_at: entry.appended_at.0,
        });
    }

    /// The documents, sharing this batch.
    pub(super) fn into_documents(self) -> impl ExactSizeIterator<Item = Document> {
        let count = self.documents.len() as u32;
        let (columns, batch) = (self.columns.clone(), Arc::new(self));
        (0..count).map(move |number| Document::new(batch.clone(), columns.clone(), number))
    }

    fn slots(&mut self, columns: &Columns, entry: &Entry<'_>) {
        let event = entry.event;
        for (slot, name) in TEXT_NAMES {
            let Some(text) = event.text(*slot).filter(|text| !text.is_empty()) else { continue };
            if text.len() > TEXT_BYTES_MAX {
                // Before the fields without a slot: a reader takes the whole text from here, not from the column.
                rest::write(name, &Scalar::Text(text), &mut self.bytes);
                self.texts_cut += 1;
            }
            self.text(columns.text(*slot), cut(text, TEXT_BYTES_MAX));
        }
        for (slot, _) in NUMBER_NAMES {
            event.number(*slot).into_iter().for_each(|number| self.integer(columns.number(*slot), number));
        }
        for (slot, _) in ADDRESS_NAMES {
            let address = event.address(*slot).map(super::address::mapped);
            address.into_iter().for_each(|it| self.cells.push((columns.address(*slot), StoredCell::Address(it))));
        }
    }

    fn lists(&mut self, columns: &Columns, entry: &Entry<'_>) {
        let event = entry.event;
        event.categories.iter().for_each(|text| self.text(columns.categories, text));
        event.types.iter().for_each(|text| self.text(columns.types, text));
        event.tags().iter().for_each(|text| self.text(columns.tags, text));
        for flaw in entry.flaws() {
            self.text(columns.flaw_kinds, flaw_name(flaw.kind));
            self.text(columns.flaw_fields, cut(flaw.field, TEXT_BYTES_MAX));
        }
    }

    /// The texts whose words are indexed, once more: their bytes stand in the batch already.
    fn words(&mut self, columns: &Columns, cells: usize) {
        let texts = INDEXED_FREE_TEXTS.map(|slot| columns.text(slot));
        for at in cells..self.cells.len() {
            if texts.contains(&self.cells[at].0) {
                let text = self.cells[at].1.clone();
                self.cells.push((columns.words, text));
            }
        }
    }

    fn extras(&mut self, entry: &Entry<'_>) {
        for (position, (name, value)) in entry.event.extras().iter().enumerate() {
            // A name given twice: the last one is the value (see `Event::extra`).
            let again = |(later, _): &(&str, Scalar<'_>)| later == name;
            if columnar_name(name) && !entry.event.extras()[position + 1..].iter().any(again) {
                let name = self.name(name);
                self.extra(name, value);
            }
        }
    }

    fn extra(&mut self, name: u32, value: &Scalar<'_>) {
        let value = match value {
            Scalar::Text("") => return,
            Scalar::Text(text) => {
                let start = self.text.len() as u32;
                self.text.push_str(cut(text, TEXT_BYTES_MAX));
                ExtraValue::Text(start..self.text.len() as u32)
            }
            Scalar::Integer(number) => ExtraValue::Integer(*number),
            Scalar::Float(number) if number.is_nan() => return,
            Scalar::Float(number) => ExtraValue::Float(*number),
            Scalar::Bool(flag) => ExtraValue::Flag(*flag),
            Scalar::List(values) => return values.iter().for_each(|value| self.extra(name, value)),
        };
        self.extras.push(Extra { name, value });
    }

    fn text(&mut self, field: Field, text: &str) {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        self.cells.push((field, StoredCell::Text(start..self.text.len() as u32)));
    }

    fn integer(&mut self, field: Field, number: i64) {
        self.cells.push((field, StoredCell::Integer(number)));
    }

    fn input(&mut self, input: &Input) -> u32 {
        // One or a few inputs a batch; most often the last one again.
        let known = self.inputs.iter().rposition(|known| known == input);
        let number = known.unwrap_or_else(|| {
            self.inputs.push(input.clone());
            self.inputs.len() - 1
        });
        number as u32
    }

    fn name(&mut self, name: &str) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.name_list.len() as u32;
        self.names.insert(name.to_owned(), number);
        self.name_list.push(name.to_owned());
        number
    }
}

/// Whether a name can be that of a column: Tantivy parts paths with control characters.
pub(super) fn columnar_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= EXTRA_NAME_BYTES_MAX && !name.chars().any(char::is_control)
}
