//! Searches, counts and documents equal those of a list of the same events. I/O: temporary folders.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::sample::{Random, Sample, query, samples};
use super::{WANTED, add, ask, holds_exactly, open, page, settings};
use crate::event::{Layout, Position, SECOND, Time};
use crate::index::query::{Known, matches};
use crate::index::{Ask, Index, IndexError, Page, Query, Retention, SearchSettings, Sort, SplitLimits, document_of};

fn fitting<'a>(all: &'a [Sample], query: &Query, from: Time, to: Time) -> Vec<&'a Sample> {
    let fits =
        |sample: &&Sample| sample.with_entry(|entry| (from..to).contains(&entry.timestamp()) && matches(query, entry));
    let mut found: Vec<&Sample> = all.iter().filter(fits).collect();
    found.sort_by_key(|sample| key(sample));
    found
}

fn key(sample: &Sample) -> (Time, Position) {
    (sample.with_entry(|entry| entry.timestamp()), sample.input.position(sample.place))
}

/// Fills an index by several commits, over several splits, with the writer opened again in between.
fn filled(directory: &std::path::Path, all: &[Sample], random: &mut Random) -> Index {
    let mut settings = settings();
    settings.split = SplitLimits { documents_max: 40, ..SplitLimits::default() };
    let (index, mut writer) = open(directory, settings);
    let mut rest = all;
    while !rest.is_empty() {
        let mut count = (1 + random.below(25)).min(rest.len());
        // All items of a record go together.
        while count < rest.len() && rest[count].place.item.is_some_and(|item| item > 0) {
            count += 1;
        }
        let (now, later) = rest.split_at(count);
        add(&mut writer, now).unwrap();
        if random.one_in(2) {
            writer.commit().unwrap();
        }
        rest = later;
    }
    writer.commit().unwrap();
    index
}

#[test]
fn results_equal_a_pass_over_the_events() {
    let mut runner = TestRunner::new(Config { cases: 16, ..Config::default() });
    let run = |seed: u64| {
        let mut random = Random(seed);
        let all = samples(&mut random, 90);
        let folder = tempfile::tempdir().unwrap();
        let index = filled(folder.path(), &all, &mut random);
        holds_exactly(&index, &all);
        for _ in 0..60 {
            let text = query(&mut random, 3);
            let known = Known(index.known().0.into_iter().chain(every_extra()).collect());
            let query = crate::index::query::parse(&text, &known).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            compare(&index, &all, &query, &mut random, &text);
        }
        Ok(())
    };
    runner.run(&any::<u64>(), run).unwrap();
}

/// Fields that a seed may have given to no event.
fn every_extra() -> Vec<String> {
    ["suricata.flow_id", "score", "flag", "list", "odd\\na.me", "user_agent.name", "empty"].map(str::to_owned).to_vec()
}

fn compare(index: &Index, all: &[Sample], query: &Query, random: &mut Random, text: &str) {
    let start = 1_795_392_000_000;
    let (from, to) = match random.below(3) {
        0 => (Time::MIN, Time::MAX),
        1 => (Time(start + 20 * SECOND), Time(start + 70 * SECOND)),
        _ => (Time(start - SECOND), Time(start + 33_500)),
    };
    let expected = fitting(all, query, from, to);
    let ask = Ask { query, from, to, cancelled: &WANTED };
    pages(index, &ask, &expected, random, text);
    counts(index, &ask, &expected, text);
}

fn pages(index: &Index, ask: &Ask<'_>, expected: &[&Sample], random: &mut Random, text: &str) {
    let sort = *random.pick(&[Sort::Newest, Sort::Oldest]);
    let layout = *random.pick(&[Layout::Nested, Layout::Flat]);
    let limit = *random.pick(&[1, 7, 1_000]);
    let mut expected: Vec<&Sample> = expected.to_vec();
    if sort == Sort::Newest {
        expected.reverse();
    }
    let (mut after, mut got) = (None, Vec::new());
    for _ in 0..4 {
        let page = Page { sort, limit, after: after.as_ref(), layout };
        let found = index.search(ask, &page).unwrap();
        assert_eq!(found.total, expected.len() as u64, "total of {text}");
        after = found.hits.last().map(|hit| (hit.timestamp, hit.position.clone())).or(after);
        got.extend(found.hits);
    }
    let wanted = expected.iter().take(4 * limit);
    assert_eq!(got.len(), wanted.clone().count(), "hits of {text}");
    for (hit, sample) in got.iter().zip(wanted) {
        assert_eq!((hit.timestamp, hit.position.clone()), key(sample), "order of {text}");
        let document = sample.with_entry(|entry| document_of(entry, layout));
        assert_eq!(String::from_utf8_lossy(&hit.document), String::from_utf8_lossy(&document));
        assert_eq!(hit.raw, sample.raw);
        assert_eq!(index.event(&hit.position, layout).unwrap().as_ref(), Some(hit));
    }
}

fn counts(index: &Index, ask: &Ask<'_>, expected: &[&Sample], text: &str) {
    let start = Time(1_795_392_000_000 - 7_000);
    let (from, to) = (ask.from.max(start), ask.to.min(start.plus(120 * SECOND)));
    let histogram = index.histogram(&Ask { from, to, ..*ask }, 7 * SECOND).unwrap();
    let mut buckets: BTreeMap<Time, u64> = histogram.iter().map(|(time, _)| (*time, 0)).collect();
    for sample in expected {
        let time = key(sample).0;
        *buckets.entry(Time(time.0.div_euclid(7 * SECOND) * 7 * SECOND)).or_default() += 1;
    }
    assert_eq!(histogram, buckets.into_iter().collect::<Vec<_>>(), "histogram of {text}");
    for field in ["user.name", "http.response.status_code", "client.ip", "score", "tags"] {
        let name = Known(every_extra().into_iter().collect()).name(field).unwrap();
        let found = index.terms(ask, &name, 1_000).unwrap();
        assert_eq!(found.total, expected.len() as u64);
        // Each value's count is what a search for events that have it gives.
        for (value, count) in &found.values {
            let with_value = format!("{field}:\"{value}\"");
            let only = index.parse(&with_value).unwrap();
            let both = Query::And(vec![ask.query.clone(), only]);
            let again = index.search(&Ask { query: &both, ..*ask }, &page(0)).unwrap();
            assert_eq!(again.total, *count, "{with_value} in {text}");
        }
        let exists = Query::And(vec![ask.query.clone(), Query::Exists(name)]);
        let having = index.search(&Ask { query: &exists, ..*ask }, &page(0)).unwrap().total;
        let sum: u64 = found.values.iter().map(|(_, count)| count).sum();
        assert!(if field == "tags" { sum == 2 * having } else { sum == having }, "{field} in {text}");
    }
}

#[test]
fn limits_of_a_search_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (index, mut writer) = open(folder.path(), settings());
    add(&mut writer, &samples(&mut Random(1), 20)).unwrap();
    writer.commit().unwrap();
    let all = Query::All;
    let refused = |result: Result<(), IndexError>| matches!(result, Err(IndexError::TooCostly(_)));
    assert!(refused(index.search(&ask(&all), &page(10_001)).map(|_| ())));
    assert!(refused(index.histogram(&ask(&all), 1).map(|_| ())));
    assert!(refused(index.histogram(&ask(&all), 0).map(|_| ())));
    let name = Known::default().name("related.ip").unwrap();
    assert!(refused(index.terms(&ask(&all), &name, 10).map(|_| ())));
    let cancelled = std::sync::atomic::AtomicBool::new(true);
    let quick = index.search(&Ask { cancelled: &cancelled, ..ask(&all) }, &page(1));
    assert!(matches!(quick, Ok(_) | Err(IndexError::Cancelled)));
    let none = SearchSettings { searches_max: 0, ..SearchSettings::default() };
    let busy = Index::open(folder.path(), none).unwrap();
    assert!(matches!(busy.search(&ask(&all), &page(1)), Err(IndexError::Busy(0))));
}

#[test]
fn retention_drops_whole_splits() {
    let folder = tempfile::tempdir().unwrap();
    let all = samples(&mut Random(3), 60);
    let mut settings = settings();
    settings.split = SplitLimits { documents_max: 20, ..SplitLimits::default() };
    settings.retention = Retention { age_max: 30 * SECOND, bytes_max: u64::MAX };
    let (index, mut writer) = open(folder.path(), settings);
    for part in all.chunk_by(|a, b| b.place.item.is_some_and(|item| item > 0) && a.place.offset == b.place.offset) {
        add(&mut writer, part).unwrap();
        writer.commit().unwrap();
    }
    let splits = index.status().splits;
    assert!(splits >= 3, "{splits}");
    assert_eq!(writer.retain(all[0].appended_at).unwrap(), 0);
    let dropped = writer.retain(all[all.len() - 1].appended_at).unwrap();
    assert!(dropped > 0 && index.status().splits == splits - dropped);
    let left = index.search(&ask(&Query::All), &page(0)).unwrap().total;
    assert_eq!(left, index.status().documents);
    assert!(left < all.len() as u64);
    drop(writer);
    let again = Index::open(folder.path(), SearchSettings::default()).unwrap();
    assert_eq!(again.status().documents, left);
}

#[test]
fn columns_for_attackers_names_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (index, mut writer) = open(folder.path(), settings());
    let arena = bumpalo::Bump::new();
    let input = crate::event::Input { topic: "logs".to_owned(), partition: 0 };
    let mut batch = writer.batch();
    for offset in 0..4u64 {
        let mut event = crate::event::Event::new(b"{}", &arena);
        for number in 0..500 {
            event.add_extra(arena.alloc_str(&format!("name.{offset}.{number}")), crate::event::Scalar::Bool(true));
        }
        let place = crate::event::Place { offset, item: None };
        let appended_at = Time(1_000);
        let entry =
            crate::index::Entry { event: &event, input: &input, place, pipeline: "p", appended_at, arrival: &[] };
        batch.push(&entry);
    }
    writer.add(batch, &[(input.clone(), 0..4)]).unwrap();
    writer.commit().unwrap();
    assert_eq!(index.known().0.len(), crate::index::EXTRA_COLUMNS_MAX);
    assert_eq!(writer.counts().names_without_column, 1_000);
    let found = index.search(&ask(&index.parse("name.0.7:true").unwrap()), &page(10)).unwrap();
    assert_eq!(found.total, 1);
    let last = index.event(&input.position(crate::event::Place { offset: 3, item: None }), Layout::Flat).unwrap();
    let document = String::from_utf8(last.unwrap().document).unwrap();
    assert!(document.contains("\"name.3.499\":true"), "the document keeps what has no column");
}
