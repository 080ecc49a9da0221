//! One event as Tantivy walks over it. Pure.
//!
//! Cells come in the order of the schema's fields, which Tantivy sorts by. Deliberately without owning anything but a
//! share of the batch.

use std::net::Ipv6Addr;
use std::sync::Arc;

use tantivy::schema::Field;
use tantivy::schema::document::{Document as TantivyValue, ReferenceValue, ReferenceValueLeaf, Value};

use super::batch::{Batch, ExtraValue, StoredCell};
use super::schema::Columns;

/// One document of a batch.
#[derive(Clone, Debug)]
pub struct Document {
    batch: Arc<Batch>,
    columns: Arc<Columns>,
    number: u32,
}

impl Document {
    pub(super) fn new(batch: Arc<Batch>, columns: Arc<Columns>, number: u32) -> Self {
        Document { batch, columns, number }
    }
}

/// One value of a document.
#[derive(Clone, Debug)]
pub enum Cell<'a> {
    Text(&'a str),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Flag(bool),
    Address(Ipv6Addr),
    Bytes(&'a [u8]),
    Extras(Extras<'a>),
}

/// Fields without a slot, as an object of one level.
#[derive(Clone, Debug)]
pub struct Extras<'a> {
    batch: &'a Batch,
    left: &'a [super::batch::Extra],
    floats: bool,
}

impl<'a> Value<'a> for Cell<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = Extras<'a>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        ReferenceValue::Leaf(match self {
            Cell::Text(text) => ReferenceValueLeaf::Str(text),
            Cell::Integer(number) => ReferenceValueLeaf::I64(*number),
            Cell::Unsigned(number) => ReferenceValueLeaf::U64(*number),
            Cell::Float(number) => ReferenceValueLeaf::F64(*number),
            Cell::Flag(flag) => ReferenceValueLeaf::Bool(*flag),
            Cell::Address(address) => ReferenceValueLeaf::IpAddr(*address),
            Cell::Bytes(bytes) => ReferenceValueLeaf::Bytes(bytes),
            Cell::Extras(extras) => return ReferenceValue::Object(extras.clone()),
        })
    }
}

impl<'a> Iterator for Extras<'a> {
    type Item = (&'a str, Cell<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (extra, left) = self.left.split_first()?;
            self.left = left;
            let is_float = matches!(extra.value, ExtraValue::Float(_));
            if is_float == self.floats && self.batch.has_column[extra.name as usize] {
                return Some((&self.batch.name_list[extra.name as usize], self.batch.extra_cell(&extra.value)));
            }
        }
    }
}

impl Batch {
    fn extra_cell(&self, value: &ExtraValue) -> Cell<'_> {
        match value {
            ExtraValue::Text(range) => Cell::Text(&self.text[range.start as usize..range.end as usize]),
            ExtraValue::Integer(number) => Cell::Integer(*number),
            ExtraValue::Float(number) => Cell::Float(*number),
            ExtraValue::Flag(flag) => Cell::Flag(*flag),
        }
    }
}

/// Walks over the cells of one document.
#[derive(Debug)]
pub struct Cells<'a> {
    document: &'a Document,
    text: &'a str,
    cells: std::slice::Iter<'a, (Field, StoredCell)>,
    /// How many of the values outside `cells` were given.
    apart: u8,
}

impl TantivyValue for Document {
    type Value<'a> = Cell<'a>;
    type FieldsValuesIter<'a> = Cells<'a>;

    fn iter_fields_and_values(&self) -> Cells<'_> {
        let range = &self.batch.documents[self.number as usize].cells;
        let cells = self.batch.cells[range.start as usize..range.end as usize].iter();
        Cells { document: self, text: &self.batch.text, cells, apart: 0 }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = (Field, Cell<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some((field, cell)) = self.cells.next() {
            let cell = match cell {
                StoredCell::Text(range) => Cell::Text(&self.text[range.start as usize..range.end as usize]),
                StoredCell::Integer(number) => Cell::Integer(*number),
                StoredCell::Address(address) => Cell::Address(*address),
            };
            return Some((*field, cell));
        }
        while self.apart < APART {
            self.apart += 1;
            if let Some(found) = self.document.apart(self.apart) {
                return Some(found);
            }
        }
        None
    }
}

/// How many values a document has besides its cells.
const APART: u8 = 7;

impl Document {
    fn apart(&self, which: u8) -> Option<(Field, Cell<'_>)> {
        let (batch, columns) = (&*self.batch, &*self.columns);
        let placed = &batch.documents[self.number as usize];
        let bytes = |range: &std::ops::Range<u32>| &batch.bytes[range.start as usize..range.end as usize];
        let left = &batch.extras[placed.extras.start as usize..placed.extras.end as usize];
        let extras = |floats| (!left.is_empty()).then_some(Cell::Extras(Extras { batch, left, floats }));
        match which {
            1 => Some((columns.input, Cell::Unsigned(batch.ordinals[placed.input as usize]))),
            2 => Some((columns.offset, Cell::Unsigned(placed.offset))),
            3 => placed.item.map(|item| (columns.item, Cell::Unsigned(u64::from(item)))),
            4 => extras(false).map(|cell| (columns.extra, cell)),
            5 => extras(true).map(|cell| (columns.extra_float, cell)),
            6 => Some((columns.raw, Cell::Bytes(bytes(&placed.raw)))),
            7 => (!placed.rest.is_empty()).then(|| (columns.rest, Cell::Bytes(bytes(&placed.rest)))),
            _ => None,
        }
    }
}
