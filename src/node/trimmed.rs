//! A journal whose start retention took: a restore is not blind, and its recording tells what the topics hold. I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::event::{HOUR, Input, MINUTE, SIGNALS};
use crate::fold::signals;
use crate::journal::Journal;
use crate::journal::embedded::{Embedded, Keep};

use super::decide::Decider;
use super::ingest::Ingester;
use super::outputs::{ALERTS, ANSWERS, BLOCKS, INCIDENTS, Outputs};
use super::recorded::Recording;
use super::tests::{CATALOG, SOONER, World, append};

const SEEDS: u64 = 30;
const TURNS: u64 = 400;
const TOPICS: [&str; 4] = [ALERTS, BLOCKS, INCIDENTS, ANSWERS];

fn end(journal: &Embedded, topic: &str) -> u64 {
    journal.partitions(topic).expect("offsets").first().map_or(0, |(_, range)| range.end)
}

fn start(journal: &Embedded, topic: &str) -> u64 {
    journal.partitions(topic).expect("offsets").first().map_or(0, |(_, range)| range.start)
}

/// The values of a topic's one partition from an offset on.
fn values(journal: &Embedded, topic: &str, mut next: u64) -> Vec<Vec<u8>> {
    let input = Input { topic: topic.to_owned(), partition: 0 };
    let mut found = Vec::new();
    loop {
        let blocks = journal.read(&input, next, 1 << 20).expect("records");
        let Some(last) = blocks.last() else { return found };
        next = last.offsets().end;
        found.extend(blocks.iter().flat_map(|block| block.iter()).map(|record| record.value.to_vec()));
    }
}

/// Where each topic ended when decide had come to a place of the signals.
type Ends = BTreeMap<u64, [u64; TOPICS.len()]>;

/// Some days of a node whose journal keeps two hours, restarted now and then without snapshots.
fn lived(world: &mut World, journal: &Arc<Embedded>) -> Ends {
    let ((catalog, text), stop) = (&*CATALOG, AtomicBool::new(true));
    let begin = |journal: &Arc<Embedded>| Decider::start(journal, catalog, world.snapshots.path()).expect("decide");
    let (mut decider, _) = begin(journal);
    let mut ingester = Ingester::start(&**journal, Arc::clone(catalog), text).expect("ingest");
    let mut ends = Ends::new();
    for _ in 0..TURNS {
        let (input, records) = world.lines();
        append(journal, input, records).expect("there is room");
        let passed = world.random.below(30) as i64 * MINUTE;
        world.pass(passed);
        while ingester.step(SOONER, &stop).expect("ingest") > 0 {}
        ingester.tick(&stop).expect("a tick");
        while decider.folder().next() < end(journal, SIGNALS) {
            decider.step(SOONER, &stop).expect("decide");
        }
        ends.insert(decider.folder().next(), TOPICS.map(|topic| end(journal, topic)));
        let needed: Vec<_> =
            decider.floors().get().into_iter().map(|(at, next)| ("a restart".to_owned(), at, next)).collect();
        let keep = Keep { age_ms: 2 * HOUR, bytes: u64::MAX };
        journal.retain(keep, journal.appended_at(), &needed).expect("retention");
        if world.random.below(40) == 0 {
            let (next, restored) = Decider::start(journal, catalog, world.snapshots.path()).expect("decide");
            assert!(!restored.blind, "{restored:?}");
            decider = next;
        }
    }
    ends
}

/// A log of what a recording tells.
fn told(recording: &mut Recording) -> Arc<Embedded> {
    let log = World::new(0).open().expect("a log");
    while let Some(folded) = recording.step().expect("a recording") {
        for (input, records) in Outputs::of(&folded).appends() {
            append(&log, input, records).expect("there is room");
        }
    }
    log
}

#[test]
fn a_recording_without_its_start_tells_what_the_topics_hold() {
    let mut alerts = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let journal = world.open().expect("a log");
        let ends = lived(&mut world, &journal);
        assert!(start(&journal, SIGNALS) > 0, "SEKISHO_SEED={seed}: nothing was trimmed");
        let mut recording = Recording::of(Arc::clone(&journal)).expect("a recording");
        let span = recording.span();
        assert!(!span.blind && span.undecided == 0 && span.from > 0, "SEKISHO_SEED={seed}: {span:?}");
        assert!(span.from >= start(&journal, &signals().topic));
        let told = told(&mut recording);
        for (topic, begin) in TOPICS.iter().zip(ends[&span.from]) {
            let told = values(&told, topic, 0);
            let kept = start(&journal, topic).max(begin);
            alerts += told.len();
            let expected = values(&journal, topic, kept);
            assert!(told[(kept - begin) as usize..] == expected, "SEKISHO_SEED={seed}: {topic} from {kept}");
        }
    }
    assert!(alerts as u64 > SEEDS, "the worlds are too quiet to prove anything");
}
