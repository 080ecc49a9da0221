//! Looking through one column of one segment. Pure.
//!
//! A text column is a dictionary and numbers into it: the dictionary is asked once per segment, then numbers are
//! compared. Deliberately without knowledge of queries: tests come as closures.

use std::ops::{Bound, RangeInclusive};

use tantivy::DocId;
use tantivy::columnar::{Column, ColumnIndex, DynamicColumn, DynamicColumnHandle, StrColumn};
use tantivy::index::SegmentReader;

use super::ast::{Dynamic, TextMatch};
use super::scan::{Fill, Stop};

/// Terms looked at between two looks at whether the search should end.
const TERMS_PER_LOOK: usize = 1_024;

/// Documents whose number lies in a range.
pub(super) fn in_range<T>(column: Column<T>, range: RangeInclusive<T>) -> Option<Fill>
where
    T: PartialOrd + Copy + Send + Sync + std::fmt::Debug + 'static,
{
    if range.start() > range.end() || *range.end() < column.min_value() || *range.start() > column.max_value() {
        return None;
    }
    Some(Box::new(move |documents, found| {
        column.get_docids_for_value_range(range.clone(), documents, found);
    }))
}

/// Documents with a value that passes.
fn passing<T>(column: Column<T>, mut test: impl FnMut(T) -> bool + Send + 'static) -> Fill
where
    T: PartialOrd + Copy + Default + Send + Sync + std::fmt::Debug + 'static,
{
    let mut values = Vec::new();
    Box::new(move |documents, found| {
        let rows = column.index.docid_range_to_rowids(documents.clone());
        values.clear();
        values.resize(rows.len(), T::default());
        column.values.get_range(u64::from(rows.start), &mut values);
        found.extend(rows.zip(&values).filter(|(_, value)| test(**value)).map(|(row, _)| row));
        column.index.select_batch_in_place(documents.start, found);
    })
}

/// Documents with any value.
pub(super) fn any(index: ColumnIndex) -> Fill {
    Box::new(move |documents, found| {
        found.extend(index.docid_range_to_rowids(documents.clone()));
        index.select_batch_in_place(documents.start, found);
    })
}

/// Documents that any of several finds.
pub(super) fn either(mut fills: Vec<Fill>) -> Option<Fill> {
    if fills.len() <= 1 {
        return fills.pop();
    }
    let mut one = Vec::new();
    Some(Box::new(move |documents, found| {
        for fill in &mut fills {
            one.clear();
            fill(documents.clone(), &mut one);
            found.extend_from_slice(&one);
        }
        found.sort_unstable();
        found.dedup();
    }))
}

/// Documents with a text that fits.
pub(super) fn text(column: StrColumn, wanted: &TextMatch, stop: &Stop) -> tantivy::Result<Option<Fill>> {
    let ordinals = match wanted {
        TextMatch::Exact(text) => column.dictionary().term_ord(text)?.into_iter().collect(),
        TextMatch::Pattern(pattern) => {
            let matcher = pattern.matcher();
            terms(&column, Some(&pattern.prefix()), stop, |text| matcher(text))?
        }
        TextMatch::Range(Bound::Unbounded, Bound::Unbounded) => {
            return Ok(Some(any(column.into_parts().1.index)));
        }
        TextMatch::Range(..) => terms(&column, None, stop, |text| wanted.fits(text))?,
    };
    Ok(of_ordinals(column, ordinals))
}

/// Documents whose text passes a test that is asked once per distinct text.
pub(super) fn text_passing(
    column: StrColumn,
    stop: &Stop,
    test: impl Fn(&str) -> bool,
) -> tantivy::Result<Option<Fill>> {
    let ordinals = terms(&column, None, stop, test)?;
    Ok(of_ordinals(column, ordinals))
}

fn terms(
    column: &StrColumn,
    prefix: Option<&str>,
    stop: &Stop,
    test: impl Fn(&str) -> bool,
) -> tantivy::Result<Vec<u64>> {
    let range = prefix.filter(|prefix| !prefix.is_empty());
    let builder = match range {
        Some(prefix) => column.dictionary().prefix_range(prefix),
        None => column.dictionary().range(),
    };
    let (mut stream, mut found, mut seen) = (builder.into_stream()?, Vec::new(), 0usize);
    while stream.advance() {
        if std::str::from_utf8(stream.key()).is_ok_and(&test) {
            found.push(stream.term_ord());
        }
        seen += 1;
        if seen.is_multiple_of(TERMS_PER_LOOK) && stop.is_stopped() {
            return Ok(Vec::new());
        }
    }
    Ok(found)
}

/// Ordinals come in rising order.
fn of_ordinals(column: StrColumn, ordinals: Vec<u64>) -> Option<Fill> {
    let (first, last) = (*ordinals.first()?, *ordinals.last()?);
    let column = column.into_parts().1;
    if last - first + 1 == ordinals.len() as u64 {
        return in_range(column, first..=last);
    }
    let mut bits = vec![0u64; (last - first) as usize / 64 + 1];
    for ordinal in ordinals {
        bits[(ordinal - first) as usize / 64] |= 1 << ((ordinal - first) % 64);
    }
    Some(passing(column, move |ordinal| {
        let Some(at) = ordinal.checked_sub(first) else { return false };
        bits.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }))
}

/// Documents whose value of unknown kind fits.
pub(super) fn dynamic(
    handles: Vec<DynamicColumnHandle>,
    wanted: &Dynamic,
    stop: &Stop,
) -> tantivy::Result<Option<Fill>> {
    let mut fills = Vec::new();
    for handle in handles {
        let asked = wanted.clone();
        let fill = match handle.open()? {
            DynamicColumn::Str(column) => text(column, &wanted.text, stop)?,
            DynamicColumn::I64(column) => wanted.integer.clone().and_then(|range| in_range(column, range)),
            DynamicColumn::U64(column) => {
                Some(passing(column, move |it| i64::try_from(it).is_ok_and(|it| asked.fits_integer(it))))
            }
            DynamicColumn::F64(column) if wanted.float.is_some() => {
                Some(passing(column, move |it| asked.fits_float(it)))
            }
            DynamicColumn::Bool(column) if wanted.flag.is_some() => {
                Some(passing(column, move |it| asked.fits_flag(it)))
            }
            DynamicColumn::F64(_)
            | DynamicColumn::Bool(_)
            | DynamicColumn::IpAddr(_)
            | DynamicColumn::DateTime(_)
            | DynamicColumn::Bytes(_) => None,
        };
        fills.extend(fill);
    }
    Ok(either(fills))
}

/// Raw lines that pass, read from the store one by one.
pub(super) fn raw_lines(
    reader: &SegmentReader,
    stop: std::sync::Arc<Stop>,
    mut test: impl FnMut(&[u8]) -> bool + Send + 'static,
    raw: tantivy::schema::Field,
) -> tantivy::Result<Fill> {
    let store = reader.get_store_reader(1)?;
    Ok(Box::new(move |documents: std::ops::Range<DocId>, found| {
        for document in documents {
            if !stop.raw_line() {
                return;
            }
            // A block that cannot be read holds no line that fits; `index verify` names the file.
            let Ok(stored) = store.get::<tantivy::TantivyDocument>(document) else { continue };
            let line = stored.get_first(raw).and_then(|value| tantivy::schema::Value::as_bytes(&value));
            if line.is_some_and(&mut test) {
                found.push(document);
            }
        }
    }))
}
