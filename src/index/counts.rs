//! Counts of a search: over time, and per value of a field. Pure.
//!
//! Exact, not estimated: every distinct value is counted, up to a limit at which the search is refused. Deliberately
//! without sub-buckets and metrics.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use tantivy::DocId;
use tantivy::columnar::column_values::CompactSpaceU64Accessor;
use tantivy::columnar::{Column, ColumnType, DynamicColumn, DynamicColumnHandle, StrColumn};

use super::address::unmapped;
use super::gather::{Gather, SegmentAddress};
use super::query::Name;
use super::schema::{extra_path, name};
use super::view::SegmentView;
use crate::event::{Field, Time};

/// More buckets than this are refused (index-durability sheet §3.7).
pub const HISTOGRAM_BUCKETS_MAX: usize = 65_000;
/// More distinct values than this are refused: at a hundred bytes each they are held in memory per thread.
pub const DISTINCT_VALUES_MAX: usize = 500_000;
/// Whole numbers that lie closer together than this are counted in a table, not in a map.
const TABLE_MAX: u64 = 1 << 16;
/// Addresses have codes in a segment, close together; a table of four megabytes counts them up to this one.
const CODES_MAX: u64 = 1 << 20;

/// Counts per bucket of time.
pub(super) struct Histogram {
    start: i64,
    interval: i64,
    pub(super) counts: Vec<u64>,
    times: Vec<i64>,
}

impl Histogram {
    /// Buckets from `start` on; events are within them, because the query asks for their time.
    pub(super) fn new(start: Time, interval: i64, buckets: usize) -> Self {
        Histogram { start: start.0, interval, counts: vec![0; buckets], times: Vec::new() }
    }
}

impl Gather for Histogram {
    fn begin(&mut self, _: SegmentAddress, _: &SegmentView) -> tantivy::Result<()> {
        Ok(())
    }

    fn take(&mut self, segment: &SegmentView, documents: &[DocId]) {
        self.times.resize(documents.len(), 0);
        segment.timestamp.values.get_vals(documents, &mut self.times);
        for time in &self.times {
            let bucket = time.saturating_sub(self.start) / self.interval;
            if let Some(count) = usize::try_from(bucket).ok().and_then(|bucket| self.counts.get_mut(bucket)) {
                *count += 1;
            }
        }
    }

    fn end(&mut self, _: &SegmentView) -> tantivy::Result<()> {
        Ok(())
    }
}

/// A value that is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Counted {
    Text(Box<str>),
    Integer(i64),
    /// By its bits: equal floats have equal ones, but for zero.
    Float(u64),
    Flag(bool),
    Address(Ipv6Addr),
}

impl Counted {
    /// The value as a query would write it.
    fn into_text(self, is_time: bool) -> String {
        match self {
            Counted::Text(text) => text.into_string(),
            Counted::Integer(time) if is_time => Time(time).to_string(),
            Counted::Integer(number) => number.to_string(),
            Counted::Float(bits) => f64::from_bits(bits).to_string(),
            Counted::Flag(flag) => flag.to_string(),
            Counted::Address(address) => unmapped(address).to_string(),
        }
    }
}

pub(super) type Counts = HashMap<Counted, u64, foldhash::fast::RandomState>;

/// Counts per value of a field. A list counts each of its values.
pub(super) struct Terms<'a> {
    name: &'a Name,
    pub(super) counts: Counts,
    pub(super) total: u64,
    columns: Vec<Counter>,
}

/// One column of the segment being counted.
enum Counter {
    Text { column: StrColumn, counts: Vec<u32> },
    Table { column: Column<i64>, lowest: i64, counts: Vec<u32> },
    Integer(Column<i64>),
    Unsigned(Column<u64>),
    Float(Column<f64>),
    Flag(Column<bool>),
    Address { codes: Column<u64>, addresses: Arc<CompactSpaceU64Accessor>, counts: ByCode },
}

/// Counts by a segment's own code of an address.
enum ByCode {
    Table(Vec<u32>),
    Map(HashMap<u32, u32, foldhash::fast::RandomState>),
}

impl<'a> Terms<'a> {
    pub(super) fn new(name: &'a Name) -> Self {
        Terms { name, counts: Counts::default(), total: 0, columns: Vec::new() }
    }

    /// The names of the columns that hold the field.
    fn paths(&self) -> Vec<String> {
        if let Name::Event(Field::Extra(field)) = self.name {
            vec![extra_path(name::EXTRA, field), extra_path(name::EXTRA_FLOAT, field)]
        } else {
            vec![self.name.as_str().to_owned()]
        }
    }
}

impl ByCode {
    fn new(highest: u64) -> Self {
        if highest < CODES_MAX { ByCode::Table(vec![0; highest as usize + 1]) } else { ByCode::Map(HashMap::default()) }
    }

    fn add(&mut self, code: u64) {
        match self {
            ByCode::Table(counts) => counts[code as usize] += 1,
            // Codes have 32 bits by Tantivy's format.
            ByCode::Map(counts) => *counts.entry(code as u32).or_default() += 1,
        }
    }

    fn into_counts(self) -> Vec<(u32, u32)> {
        match self {
            ByCode::Table(counts) => (0..).zip(counts).filter(|(_, count)| *count > 0).collect(),
            ByCode::Map(counts) => counts.into_iter().collect(),
        }
    }
}

impl Counter {
    fn open(handle: &DynamicColumnHandle) -> tantivy::Result<Option<Self>> {
        if handle.column_type() == ColumnType::IpAddr
            && let Some(codes) = handle.open_u64_lenient()?
            && let Ok(addresses) = codes.values.clone().downcast_arc::<CompactSpaceU64Accessor>()
        {
            let counts = ByCode::new(codes.max_value());
            return Ok(Some(Counter::Address { codes, addresses, counts }));
        }
        Ok(Counter::new(handle.open()?))
    }

    fn new(column: DynamicColumn) -> Option<Self> {
        Some(match column {
            DynamicColumn::Str(column) => {
                let counts = vec![0; column.num_terms()];
                Counter::Text { column, counts }
            }
            DynamicColumn::I64(column) => {
                let (lowest, highest) = (column.min_value(), column.max_value());
                match highest.checked_sub(lowest).and_then(|width| u64::try_from(width).ok()) {
                    Some(width) if width < TABLE_MAX => {
                        Counter::Table { column, lowest, counts: vec![0; width as usize + 1] }
                    }
                    Some(_) | None => Counter::Integer(column),
                }
            }
            DynamicColumn::U64(column) => Counter::Unsigned(column),
            DynamicColumn::F64(column) => Counter::Float(column),
            DynamicColumn::Bool(column) => Counter::Flag(column),
            // Addresses are counted by code, see `open`; the other two are in no schema of ours.
            DynamicColumn::IpAddr(_) | DynamicColumn::DateTime(_) | DynamicColumn::Bytes(_) => return None,
        })
    }

    fn take(&mut self, documents: &[DocId], counts: &mut Counts) {
        match self {
            Counter::Text { column, counts } => {
                each(column.ords(), documents, |ordinal| counts[ordinal as usize] += 1);
            }
            Counter::Table { column, lowest, counts } => {
                each(column, documents, |number| counts[(number - *lowest) as usize] += 1);
            }
            Counter::Integer(column) => each(column, documents, |it| add(counts, Counted::Integer(it), 1)),
            Counter::Unsigned(column) => {
                each(column, documents, |it| add(counts, Counted::Integer(i64::try_from(it).unwrap_or(i64::MAX)), 1));
            }
            Counter::Float(column) => each(column, documents, |it| add(counts, Counted::Float(it.to_bits()), 1)),
            Counter::Flag(column) => each(column, documents, |it| add(counts, Counted::Flag(it), 1)),
            Counter::Address { codes, counts, .. } => each(codes, documents, |code| counts.add(code)),
        }
    }

    /// Moves what was counted by number into the counts by value.
    fn end(self, counts: &mut Counts) -> tantivy::Result<()> {
        match self {
            Counter::Text { column, counts: by_ordinal } => {
                let mut stream = column.dictionary().stream()?;
                while stream.advance() {
                    let count = by_ordinal.get(stream.term_ord() as usize).copied().unwrap_or(0);
                    if count > 0 {
                        add(counts, Counted::Text(String::from_utf8_lossy(stream.key()).into()), u64::from(count));
                    }
                }
            }
            Counter::Table { lowest, counts: table, .. } => {
                for (above, count) in table.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                    add(counts, Counted::Integer(lowest + above as i64), u64::from(count));
                }
            }
            Counter::Address { addresses, counts: by_code, .. } => {
                for (code, count) in by_code.into_counts() {
                    let address = Ipv6Addr::from_bits(addresses.compact_to_u128(code));
                    add(counts, Counted::Address(address), u64::from(count));
                }
            }
            Counter::Integer(_) | Counter::Unsigned(_) | Counter::Float(_) | Counter::Flag(_) => {}
        }
        Ok(())
    }
}

fn add(counts: &mut Counts, value: Counted, count: u64) {
    // One value more than the limit is kept, as the sign that it was passed.
    if counts.len() <= DISTINCT_VALUES_MAX {
        *counts.entry(value).or_default() += count;
    }
}

fn each<T>(column: &Column<T>, documents: &[DocId], mut found: impl FnMut(T))
where
    T: PartialOrd + Copy + Send + Sync + std::fmt::Debug + 'static,
{
    if column.get_cardinality().is_full() {
        let mut values = [column.min_value(); tantivy::COLLECT_BLOCK_BUFFER_LEN];
        for block in documents.chunks(values.len()) {
            let values = &mut values[..block.len()];
            column.values.get_vals(block, values);
            values.iter().for_each(|value| found(*value));
        }
        return;
    }
    documents.iter().for_each(|document| column.values_for_doc(*document).for_each(&mut found));
}

impl Gather for Terms<'_> {
    fn begin(&mut self, _: SegmentAddress, segment: &SegmentView) -> tantivy::Result<()> {
        for path in self.paths() {
            for handle in segment.reader.fast_fields().dynamic_column_handles(&path)? {
                self.columns.extend(Counter::open(&handle)?);
            }
        }
        Ok(())
    }

    fn take(&mut self, _: &SegmentView, documents: &[DocId]) {
        self.total += documents.len() as u64;
        self.columns.iter_mut().for_each(|column| column.take(documents, &mut self.counts));
    }

    fn end(&mut self, _: &SegmentView) -> tantivy::Result<()> {
        self.columns.drain(..).try_for_each(|column| column.end(&mut self.counts))
    }

    fn too_costly(&self) -> Option<String> {
        let message = format!("the field has more than {DISTINCT_VALUES_MAX} different values here; ask for less time");
        (self.counts.len() > DISTINCT_VALUES_MAX).then_some(message)
    }
}

/// The `size` most frequent values as a query would write them, and how many different ones there are.
pub(super) fn most(counts: Counts, name: &Name, size: usize) -> (Vec<(String, u64)>, u64) {
    let is_time = matches!(name, Name::AppendedAt | Name::Event(Field::Timestamp));
    let (mut values, distinct) = if let Name::Event(Field::Extra(_)) = name {
        by_text(counts)
    } else {
        // Only what may be among them is written out: most values of a large field occur once.
        let (distinct, least) = (counts.len() as u64, least_of(&counts, size));
        let frequent = counts.into_iter().filter(|(_, count)| *count >= least);
        (frequent.map(|(value, count)| (value.into_text(is_time), count)).collect(), distinct)
    };
    values.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
    values.truncate(size);
    (values, distinct)
}

/// The count of the last of the `size` most frequent values.
fn least_of(counts: &Counts, size: usize) -> u64 {
    let mut all: Vec<u64> = counts.values().copied().collect();
    match size.checked_sub(1) {
        Some(last) if last < all.len() => *all.select_nth_unstable_by(last, |a, b| b.cmp(a)).1,
        Some(_) | None => 0,
    }
}

/// Counts of a field without a type: a number and a text that look the same are found by the same query.
fn by_text(counts: Counts) -> (Vec<(String, u64)>, u64) {
    let mut texts: HashMap<String, u64, foldhash::fast::RandomState> = HashMap::default();
    counts.into_iter().for_each(|(value, count)| *texts.entry(value.into_text(false)).or_default() += count);
    let distinct = texts.len() as u64;
    (texts.into_iter().collect(), distinct)
}

/// Whether a field's values can be counted: those of `related` may stand in an event twice, and raw lines have no column.
pub(super) fn is_countable(name: &Name) -> bool {
    !matches!(name, Name::RelatedIp | Name::RelatedUser | Name::Event(Field::Original))
}

/// Adds what another thread counted.
pub(super) fn merged(all: Vec<Terms<'_>>) -> (Counts, u64) {
    let (mut counts, mut total) = (Counts::default(), 0);
    for (number, terms) in all.into_iter().enumerate() {
        total += terms.total;
        if number == 0 {
            counts = terms.counts;
        } else {
            terms.counts.into_iter().for_each(|(value, count)| add(&mut counts, value, count));
        }
    }
    (counts, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_counted_alike_in_a_table_and_in_a_map() {
        let counted = |highest| {
            let mut counts = ByCode::new(highest);
            [7, 3, 7, 1_000, 7].into_iter().for_each(|code| counts.add(code));
            let mut counts = counts.into_counts();
            counts.sort_unstable();
            counts
        };
        assert_eq!(counted(1_000), [(3, 1), (7, 3), (1_000, 1)]);
        assert_eq!(counted(1_000), counted(CODES_MAX));
    }

    #[test]
    fn the_most_frequent_are_as_after_a_whole_sort() {
        let name = Name::Event(Field::Number(crate::event::Number::HttpStatus));
        let counts: Counts = (0..100).map(|number| (Counted::Integer(number), (number % 7) as u64)).collect();
        let mut all: Vec<(String, u64)> = (0..100).map(|number| (number.to_string(), (number % 7) as u64)).collect();
        all.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        for size in [0, 1, 14, 15, 99, 100, 200] {
            let (values, distinct) = most(counts.clone(), &name, size);
            assert_eq!(values, all[..size.min(100)], "{size}");
            assert_eq!(distinct, 100);
        }
    }
}
