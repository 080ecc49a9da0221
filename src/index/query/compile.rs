//! A query as Tantivy runs it. Pure.
//!
//! Terms where there are some, scans of columns elsewhere. What a query means is said by `evaluate`; this must find the
//! same events, and a property test compares the two.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tantivy::Term;
use tantivy::index::SegmentReader;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, InvertedIndexRangeQuery, Occur, Query as Search, TermQuery};
use tantivy::schema::{Field as Column, IndexRecordOption};

use super::ast::{Matcher, Query, TextMatch, WordMatch};
use super::evaluate::{raw_match, word_match};
use super::fill;
use super::names::{Name, RELATED_USERS};
use super::scan::{Fill, Scan, Stop};
use crate::event::field::ADDRESS_NAMES;
use crate::event::{Address, Field, Text};
use crate::index::schema::{Columns, FREE_TEXTS, INDEXED_FREE_TEXTS, extra_path, name};

/// A network of at most this many addresses is looked up as terms: so many posting lists are read at most. A wider one
/// is found by scanning the column.
const NETWORK_TERMS_MAX: u128 = 65_536;

/// The query for Tantivy. Scans end when `stop` says so.
pub(crate) fn compile(query: &Query, columns: &Arc<Columns>, stop: &Arc<Stop>) -> Box<dyn Search> {
    Compiler { columns, stop }.query(query)
}

struct Compiler<'a> {
    columns: &'a Arc<Columns>,
    stop: &'a Arc<Stop>,
}

impl Compiler<'_> {
    fn query(&self, query: &Query) -> Box<dyn Search> {
        match query {
            Query::All => Box::new(AllQuery),
            Query::And(all) => self.all(all),
            Query::Or(either) => any_of(either.iter().map(|query| self.query(query)).collect()),
            Query::Not(query) => self.all(&[Query::Not(query.clone())]),
            Query::Exists(name) => self.exists(name),
            Query::Is(name, matcher) => self.is(name, matcher),
            Query::Words(words) => self.words(words),
        }
    }

    fn all(&self, all: &[Query]) -> Box<dyn Search> {
        let negative = |query: &Query| matches!(query, Query::Not(_));
        let mut parts: Vec<(Occur, Box<dyn Search>)> = Vec::with_capacity(all.len() + 1);
        if all.iter().all(negative) {
            parts.push((Occur::Must, Box::new(AllQuery)));
        }
        for query in all {
            let negated = if let Query::Not(inner) = query { Some(inner) } else { None };
            let occur = if negated.is_some() { Occur::MustNot } else { Occur::Must };
            parts.push((occur, self.query(negated.map_or(query, |inner| &**inner))));
        }
        Box::new(BooleanQuery::new(parts))
    }

    fn exists(&self, name: &Name) -> Box<dyn Search> {
        match name {
            Name::RelatedIp => any_of(addresses().map(|it| self.exists(&it)).collect()),
            Name::RelatedUser => any_of(users().map(|it| self.exists(&it)).collect()),
            Name::Event(Field::Original) => self.raw(|raw| !raw.is_empty()),
            Name::Event(Field::Timestamp) | Name::AppendedAt => Box::new(AllQuery),
            Name::Event(Field::Extra(field)) => {
                let paths = [extra_path(name::EXTRA, field), extra_path(name::EXTRA_FLOAT, field)];
                self.scan(move |reader, _| any_column(reader, &paths))
            }
            Name::Event(_) | Name::Pipeline | Name::FlawKind | Name::FlawField => {
                let path = [self.columns.name(self.column(name)).to_owned()];
                self.scan(move |reader, _| any_column(reader, &path))
            }
        }
    }

    fn is(&self, name: &Name, matcher: &Matcher) -> Box<dyn Search> {
        let matcher = matcher.clone();
        match (name, matcher) {
            (Name::RelatedIp, matcher) => any_of(addresses().map(|it| self.is(&it, &matcher)).collect()),
            (Name::RelatedUser, matcher) => any_of(users().map(|it| self.is(&it, &matcher)).collect()),
            (Name::Event(Field::Original), Matcher::Text(wanted)) => self.raw(move |raw| raw_match(&wanted, raw)),
            (Name::Event(Field::Extra(field)), Matcher::Dynamic(wanted)) => {
                let paths = [extra_path(name::EXTRA, field), extra_path(name::EXTRA_FLOAT, field)];
                self.scan(move |reader, stop| {
                    let mut handles = reader.fast_fields().dynamic_column_handles(&paths[0])?;
                    handles.extend(reader.fast_fields().dynamic_column_handles(&paths[1])?);
                    fill::dynamic(handles, &wanted, stop)
                })
            }
            (name, Matcher::Text(wanted)) => self.text(self.column(name), wanted),
            (name, Matcher::Integer(range)) => self.integer(self.column(name), range),
            (name, Matcher::Address(range)) => self.address(self.column(name), range),
            // The parser gives a dynamic matcher to fields without a slot alone.
            (_, Matcher::Dynamic(_)) => Box::new(EmptyQuery),
        }
    }

    /// The column of a name that has exactly one.
    fn column(&self, name: &Name) -> Column {
        let columns = self.columns;
        match name {
            Name::Event(Field::Text(slot)) => columns.text(*slot),
            Name::Event(Field::Number(slot)) => columns.number(*slot),
            Name::Event(Field::Address(slot)) => columns.address(*slot),
            Name::Event(Field::Timestamp) => columns.timestamp,
            Name::Event(Field::Category) => columns.categories,
            Name::Event(Field::Type) => columns.types,
            Name::Event(Field::Tags) => columns.tags,
            Name::Event(Field::Original) => columns.raw,
            Name::Event(Field::Extra(_)) => columns.extra,
            Name::Pipeline => columns.pipeline,
            Name::AppendedAt => columns.appended_at,
            Name::FlawKind => columns.flaw_kinds,
            Name::FlawField => columns.flaw_fields,
            Name::RelatedIp => columns.address(Address::ClientIp),
            Name::RelatedUser => columns.text(Text::UserName),
        }
    }

    fn text(&self, column: Column, wanted: TextMatch) -> Box<dyn Search> {
        if let (TextMatch::Exact(text), true) = (&wanted, self.columns.has_terms(column)) {
            return term(Term::from_field_text(column, text));
        }
        let path = self.columns.name(column).to_owned();
        self.scan(move |reader, stop| match reader.fast_fields().str(&path)? {
            Some(column) => fill::text(column, &wanted, stop),
            None => Ok(None),
        })
    }

    fn integer(&self, column: Column, range: RangeInclusive<i64>) -> Box<dyn Search> {
        if range.start() == range.end() && self.columns.has_terms(column) {
            return term(Term::from_field_i64(column, *range.start()));
        }
        let path = self.columns.name(column).to_owned();
        self.scan(move |reader, _| {
            let column = reader.fast_fields().column_opt::<i64>(&path)?;
            Ok(column.and_then(|column| fill::in_range(column, range.clone())))
        })
    }

    fn address(&self, column: Column, range: RangeInclusive<u128>) -> Box<dyn Search> {
        let (low, high) = (std::net::Ipv6Addr::from(*range.start()), std::net::Ipv6Addr::from(*range.end()));
        let width = range.end().checked_sub(*range.start());
        match width.filter(|width| *width < NETWORK_TERMS_MAX && self.columns.has_terms(column)) {
            Some(0) => return term(Term::from_field_ip_addr(column, low)),
            Some(_) => {
                let bound = |address| std::ops::Bound::Included(Term::from_field_ip_addr(column, address));
                return Box::new(InvertedIndexRangeQuery::new(bound(low), bound(high)));
            }
            None => {}
        }
        let path = self.columns.name(column).to_owned();
        self.scan(move |reader, _| {
            let column = reader.fast_fields().column_opt::<std::net::Ipv6Addr>(&path)?;
            Ok(column.and_then(|column| fill::in_range(column, low..=high)))
        })
    }

    fn words(&self, words: &WordMatch) -> Box<dyn Search> {
        let scanned = |slots: Vec<Text>| -> Vec<Box<dyn Search>> {
            slots.into_iter().map(|slot| self.word_scan(slot, words.clone())).collect()
        };
        let is_indexed = |slot: &Text| INDEXED_FREE_TEXTS.contains(slot);
        let (indexed, others): (Vec<Text>, Vec<Text>) = FREE_TEXTS.iter().partition(|slot| is_indexed(slot));
        let mut either = scanned(others);
        match words {
            WordMatch::Phrase(phrase) if phrase.len() == 1 => {
                either.push(term(Term::from_field_text(self.columns.words, &phrase[0])));
            }
            WordMatch::Phrase(phrase) => {
                // Each word of the phrase is in the event, before anyone looks at how they stand.
                let words = phrase.iter().map(|word| term(Term::from_field_text(self.columns.words, word)));
                let mut parts: Vec<_> = words.map(|word| (Occur::Must, word)).collect();
                parts.push((Occur::Must, any_of(scanned(indexed))));
                either.push(Box::new(BooleanQuery::new(parts)));
            }
            WordMatch::Pattern(_) => either.extend(scanned(indexed)),
        }
        any_of(either)
    }

    fn word_scan(&self, slot: Text, words: WordMatch) -> Box<dyn Search> {
        let path = slot.name();
        self.scan(move |reader, stop| match reader.fast_fields().str(path)? {
            Some(column) => fill::text_passing(column, stop, |text| word_match(&words, text)),
            None => Ok(None),
        })
    }

    fn raw(&self, test: impl Fn(&[u8]) -> bool + Clone + Send + Sync + 'static) -> Box<dyn Search> {
        let (stop, raw) = (self.stop.clone(), self.columns.raw);
        let make = move |reader: &SegmentReader| fill::raw_lines(reader, stop.clone(), test.clone(), raw).map(Some);
        Box::new(Scan::one_by_one(self.stop, make))
    }

    fn scan(
        &self,
        make: impl Fn(&SegmentReader, &Stop) -> tantivy::Result<Option<Fill>> + Send + Sync + 'static,
    ) -> Box<dyn Search> {
        let stop = self.stop.clone();
        Box::new(Scan::new(self.stop, move |reader| make(reader, &stop)))
    }
}

fn any_column(reader: &SegmentReader, paths: &[String]) -> tantivy::Result<Option<Fill>> {
    let mut fills = Vec::new();
    for path in paths {
        for handle in reader.fast_fields().dynamic_column_handles(path)? {
            fills.push(fill::any(handle.open()?.into_column_index()));
        }
    }
    Ok(fill::either(fills))
}

fn term(term: Term) -> Box<dyn Search> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn any_of(mut queries: Vec<Box<dyn Search>>) -> Box<dyn Search> {
    if queries.len() == 1 { queries.remove(0) } else { Box::new(BooleanQuery::union(queries)) }
}

fn addresses() -> impl Iterator<Item = Name> {
    ADDRESS_NAMES.iter().map(|(slot, _)| Name::Event(Field::Address(*slot)))
}

fn users() -> impl Iterator<Item = Name> {
    RELATED_USERS.iter().map(|slot| Name::Event(Field::Text(*slot)))
}
