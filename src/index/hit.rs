//! A found event as it was: its document from the columns, its line from the store. I/O (files are mapped).
//!
//! The event is put together again slot by slot and written by the same code that writes live ones, so a document found
//! is the document that was indexed. Deliberately without decoding the line again: the pipeline may have changed since.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use tantivy::columnar::{Column, StrColumn};
use tantivy::index::SegmentReader;
use tantivy::schema::Value;
use tantivy::{DocId, TantivyDocument};

use super::address::unmapped;
use super::entry::flaw_kind;
use super::rest;
use super::schema::Columns;
use super::view::{SegmentView, SplitView};
use crate::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};
use crate::event::{
    Address, Envelope, Event, Field, Input, Layout, Number, Place, Position, Scalar, Text, Time, document,
};

/// A found event.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub position: Position,
    pub timestamp: Time,
    pub appended_at: Time,
    pub pipeline: String,
    /// The line as it arrived.
    pub raw: Vec<u8>,
    /// The ECS document: one line of JSON without its end.
    pub document: Vec<u8>,
}

/// The columns of a segment that have a value at all, opened once.
pub(super) struct HitColumns {
    texts: Vec<(Text, StrColumn)>,
    numbers: Vec<(Number, Column<i64>)>,
    addresses: Vec<(Address, Column<Ipv6Addr>)>,
    appended_at: Column<i64>,
    pipeline: Option<StrColumn>,
    categories: Option<StrColumn>,
    types: Option<StrColumn>,
    tags: Option<StrColumn>,
    flaw_kinds: Option<StrColumn>,
    flaw_fields: Option<StrColumn>,
}

impl HitColumns {
    fn open(reader: &SegmentReader) -> tantivy::Result<Self> {
        let fast = reader.fast_fields();
        let text = |name: &str| -> tantivy::Result<Option<StrColumn>> {
            Ok(fast.str(name)?.filter(|column| column.num_terms() > 0))
        };
        let mut columns = HitColumns {
            texts: Vec::new(),
            numbers: Vec::new(),
            addresses: Vec::new(),
            appended_at: fast.i64("sekisho.appended_at")?,
            pipeline: text("sekisho.pipeline")?,
            categories: text("event.category")?,
            types: text("event.type")?,
            tags: text("tags")?,
            flaw_kinds: text("sekisho.flaws.kind")?,
            flaw_fields: text("sekisho.flaws.field")?,
        };
        for (slot, name) in TEXT_NAMES {
            columns.texts.extend(text(name)?.map(|column| (*slot, column)));
        }
        for (slot, name) in NUMBER_NAMES {
            let column = fast.column_opt(name)?.filter(|column: &Column<i64>| column.values.num_vals() > 0);
            columns.numbers.extend(column.map(|column| (*slot, column)));
        }
        for (slot, name) in ADDRESS_NAMES {
            let column = fast.column_opt(name)?.filter(|column: &Column<Ipv6Addr>| column.values.num_vals() > 0);
            columns.addresses.extend(column.map(|column| (*slot, column)));
        }
        Ok(columns)
    }
}

impl SegmentView {
    fn hit_columns(&self) -> tantivy::Result<&HitColumns> {
        if let Some(columns) = self.hit_columns.get() {
            return Ok(columns);
        }
        let columns = HitColumns::open(&self.reader)?;
        Ok(self.hit_columns.get_or_init(|| columns))
    }

    /// Where a document stands in the journal; `None` where the columns are not ours.
    pub(super) fn place(&self, document: DocId) -> Option<(u64, Place)> {
        let item = self.item.first(document).map(|item| item as u32);
        Some((self.input.first(document)?, Place { offset: self.offset.first(document)?, item }))
    }
}

impl SegmentView {
    /// The document of a place, if it is in this segment.
    pub(super) fn document_at(&self, input: u64, place: Place) -> Option<DocId> {
        let (lowest, highest) = (self.offset.min_value(), self.offset.max_value());
        // Outside of its values a column answers with its nearest ones.
        if !(lowest..=highest).contains(&place.offset) {
            return None;
        }
        let (mut documents, all) = (Vec::new(), 0..self.reader.max_doc());
        self.offset.get_docids_for_value_range(place.offset..=place.offset, all, &mut documents);
        documents.into_iter().find(|document| self.place(*document) == Some((input, place)))
    }
}

/// Reads hits of one segment, and remembers texts: many hits share them.
pub(super) struct HitReader<'a> {
    split: &'a SplitView,
    segment: &'a SegmentView,
    columns: &'a Columns,
    hit_columns: &'a HitColumns,
    layout: Layout,
    texts: HashMap<(usize, u64), String, foldhash::fast::RandomState>,
}

/// Texts remembered while one segment's hits are read; their size is bounded by that of a column's text.
const TEXTS_REMEMBERED_MAX: usize = 8_192;
/// Documents whose texts are read together: with every text slot filled, half of what is remembered.
pub(super) const LEARNED_TOGETHER: usize = 80;

impl<'a> HitReader<'a> {
    pub(super) fn new(
        split: &'a SplitView,
        segment: &'a SegmentView,
        columns: &'a Columns,
        layout: Layout,
    ) -> tantivy::Result<Self> {
        let hit_columns = segment.hit_columns()?;
        Ok(HitReader { split, segment, columns, hit_columns, layout, texts: HashMap::default() })
    }

    /// Reads the texts of several documents in one pass over each dictionary: one by one, each costs a block of it.
    pub(super) fn learn(&mut self, documents: impl Iterator<Item = DocId> + Clone) -> tantivy::Result<()> {
        if self.texts.len() > TEXTS_REMEMBERED_MAX / 2 {
            self.texts.clear();
        }
        for (number, (_, column)) in self.hit_columns.texts.iter().enumerate() {
            let first = |document| column.ords().first(document).filter(|it| !self.texts.contains_key(&(number, *it)));
            let mut ordinals: Vec<u64> = documents.clone().filter_map(first).collect();
            ordinals.sort_unstable();
            ordinals.dedup();
            let mut next = ordinals.iter();
            column.dictionary().sorted_ords_to_term_cb(&ordinals, |text| {
                if let Some(ordinal) = next.next() {
                    self.texts.insert((number, *ordinal), String::from_utf8_lossy(text).into_owned());
                }
            })?;
        }
        Ok(())
    }

    /// The event of a document.
    pub(super) fn read(&mut self, document: DocId) -> tantivy::Result<Hit> {
        let stored: TantivyDocument = self.segment.store()?.get(document)?;
        let bytes = |field| stored.get_first(field).and_then(|value| value.as_bytes()).unwrap_or_default();
        let raw = bytes(self.columns.raw);
        let arena = Bump::new();
        let timestamp = Time(self.segment.timestamp.first(document).unwrap_or_default());
        let appended_at = Time(self.hit_columns.appended_at.first(document).unwrap_or(timestamp.0));
        let mut event = Event::new(raw, &arena);
        event.occurred_at = Some(timestamp);
        self.slots(document, &arena, &mut event)?;
        self.lists(document, &arena, &mut event)?;
        rest::read(bytes(self.columns.rest), &arena, |name, value| match (Field::of(name), value) {
            (Field::Text(slot), Scalar::Text(text)) if text.len() > super::schema::TEXT_BYTES_MAX => {
                event.set_text(slot, text);
            }
            (_, value) => event.add_extra(name, value),
        });
        let pipeline = self.texts(&self.hit_columns.pipeline, document, &arena)?.first().copied().unwrap_or_default();
        let position = self.position(document);
        let envelope = Envelope { pipeline, position: &position };
        let mut written = Vec::new();
        crate::event::document(&event, &envelope, self.layout).write(Some(appended_at), &[], &mut written);
        let pipeline = pipeline.to_owned();
        Ok(Hit { position, timestamp, appended_at, pipeline, raw: raw.to_vec(), document: written })
    }

    fn position(&self, document: DocId) -> Position {
        let (input, place) = self.segment.place(document).unwrap_or_default();
        let unknown = || Input { topic: String::new(), partition: 0 };
        let part = self.split.payload.parts.get(input as usize);
        part.map_or_else(unknown, |part| part.input()).position(place)
    }

    fn slots<'b>(&mut self, document: DocId, arena: &'b Bump, event: &mut Event<'b>) -> tantivy::Result<()> {
        let columns = self.hit_columns;
        for (number, (slot, column)) in columns.texts.iter().enumerate() {
            if let Some(ordinal) = column.ords().first(document) {
                event.set_text(*slot, self.text(number, column, ordinal, arena)?);
            }
        }
        for (slot, column) in &columns.numbers {
            column.first(document).into_iter().for_each(|number| event.set_number(*slot, number));
        }
        for (slot, column) in &columns.addresses {
            column.first(document).into_iter().for_each(|address| event.set_address(*slot, unmapped(address)));
        }
        Ok(())
    }

    fn lists<'b>(&mut self, document: DocId, arena: &'b Bump, event: &mut Event<'b>) -> tantivy::Result<()> {
        let columns = self.hit_columns;
        for (name, column) in [("event.category", &columns.categories), ("event.type", &columns.types)] {
            // The lists of an event are static; a document is the same whether they come as such or as extras.
            let texts = self.texts(column, document, arena)?;
            let values = ArenaVec::from_iter_in(texts.iter().map(|text| Scalar::Text(text)), arena);
            if !values.is_empty() {
                event.add_extra(name, Scalar::List(values.into_bump_slice()));
            }
        }
        self.texts(&columns.tags, document, arena)?.into_iter().for_each(|tag| event.add_tag(tag));
        let kinds = self.texts(&columns.flaw_kinds, document, arena)?;
        let fields = self.texts(&columns.flaw_fields, document, arena)?;
        for (kind, field) in kinds.into_iter().zip(fields) {
            flaw_kind(kind).into_iter().for_each(|kind| event.add_flaw(field, kind));
        }
        Ok(())
    }

    /// The texts of a list, in the order they were indexed.
    fn texts<'b>(&self, column: &Option<StrColumn>, document: DocId, arena: &'b Bump) -> tantivy::Result<Vec<&'b str>> {
        let Some(column) = column else { return Ok(Vec::new()) };
        let (mut texts, mut text) = (Vec::new(), String::new());
        for ordinal in column.term_ords(document) {
            column.ord_to_str(ordinal, &mut text)?;
            texts.push(&*arena.alloc_str(&text));
        }
        Ok(texts)
    }

    fn text<'b>(
        &mut self,
        number: usize,
        column: &StrColumn,
        ordinal: u64,
        arena: &'b Bump,
    ) -> tantivy::Result<&'b str> {
        if let Some(text) = self.texts.get(&(number, ordinal)) {
            return Ok(arena.alloc_str(text));
        }
        let mut text = String::new();
        column.ord_to_str(ordinal, &mut text)?;
        let found = arena.alloc_str(&text);
        if self.texts.len() >= TEXTS_REMEMBERED_MAX {
            self.texts.clear();
        }
        self.texts.insert((number, ordinal), text);
        Ok(found)
    }
}

/// The document of an event, as a hit of it would show it.
pub fn document_of(entry: &super::Entry<'_>, layout: Layout) -> Vec<u8> {
    let position = entry.input.position(entry.place);
    let envelope = Envelope { pipeline: entry.pipeline, position: &position };
    let mut written = Vec::new();
    document(entry.event, &envelope, layout).write(Some(entry.appended_at), entry.arrival, &mut written);
    written
}
