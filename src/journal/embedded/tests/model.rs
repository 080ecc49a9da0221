//! The journal beside a model of vectors, under random commits, reads and reopenings. I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::event::Input;
use crate::journal::{Commit, Journal, Mark, Stage, Subscription};

use super::super::SimulatedDisk;
use super::*;

#[derive(Clone, Debug)]
enum Action {
    /// Topic, partition, lengths of values.
    Append(Vec<(u8, u8, Vec<u16>)>),
    /// Polls with this budget, and commits the new positions, an output and a mark.
    Work(usize),
    Mark(u8, Option<u8>),
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    let append = (0u8..3, 0u8..2, prop::collection::vec(0u16..700, 0..5));
    prop_oneof![
        4 => prop::collection::vec(append, 0..4).prop_map(Action::Append),
        3 => (1usize..3_000).prop_map(Action::Work),
        1 => (0u8..4, prop::option::of(any::<u8>())).prop_map(|(key, value)| Action::Mark(key, value)),
        1 => Just(Action::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    values: BTreeMap<Input, Vec<String>>,
    worked: BTreeMap<Input, u64>,
    marks: BTreeMap<String, Vec<u8>>,
    number: u64,
}

impl Model {
    fn value(&mut self, length: u16) -> String {
        self.number += 1;
        // Text that hardly compresses, so that segments fill.
        let mut text = format!("{}:", self.number);
        let mut state = self.number;
        while text.len() < usize::from(length) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(&format!("{:x}", state >> 20));
        }
        text
    }

    fn append(&mut self, commit: &mut Commit, input: Input, lengths: &[u16]) {
        let values: Vec<String> = lengths.iter().map(|length| self.value(*length)).collect();
        commit.appends.push((input.clone(), records(values.iter().map(String::as_str))));
        self.values.entry(input).or_default().extend(values);
    }

    fn check(&self, journal: &Embedded) {
        for (input, values) in self.values.iter().filter(|(_, values)| !values.is_empty()) {
            let expected: Vec<_> = values.iter().enumerate().map(|(at, v)| (at as u64, Some(v.clone()))).collect();
            assert_eq!(read_all(journal, input, 900).unwrap(), expected);
        }
        let positions: Vec<_> = self.worked.iter().map(|(input, next)| (input.clone(), *next)).collect();
        assert_eq!(journal.positions("worker"), positions);
        let marks: Vec<_> = self.marks.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(journal.marks("mark-"), marks);
    }
}

fn run(actions: Vec<Action>) {
    let disk = SimulatedDisk::new(1);
    let mut journal = open(&disk).unwrap();
    let subscription = Subscription::topics(["topic-0", "topic-1"]);
    let mut stage = journal.stage("worker", subscription.clone()).unwrap();
    let mut model = Model::default();
    for action in actions {
        match action {
            Action::Append(appends) => {
                let mut commit = Commit::default();
                for (topic, partition, lengths) in appends {
                    let input = input(&format!("topic-{topic}"), u32::from(partition));
                    model.append(&mut commit, input, &lengths);
                }
                journal.append(commit).unwrap();
            }
            Action::Work(bytes) => work(&mut stage, &mut model, bytes),
            Action::Mark(key, value) => {
                let key = format!("mark-{key}");
                let value = value.map(|value| vec![value; 9]);
                match &value {
                    Some(value) => model.marks.insert(key.clone(), value.clone()),
                    None => model.marks.remove(&key),
                };
                let marks = vec![Mark { key, value, expires_at: None }];
                journal.append(Commit { marks, ..Commit::default() }).unwrap();
            }
            Action::Reopen => {
                drop(stage);
                journal = open(&disk).unwrap();
                assert_eq!(journal.opened().cut, None);
                stage = journal.stage("worker", subscription.clone()).unwrap();
                model.check(&journal);
            }
        }
    }
    model.check(&journal);
}

fn work(stage: &mut impl Stage, model: &mut Model, bytes: usize) {
    let blocks = stage.poll(bytes, Duration::ZERO).unwrap();
    let mut commit = Commit::default();
    for block in &blocks {
        let begun = model.worked.get(&block.input).copied().unwrap_or(0);
        assert_eq!(block.offsets().start, begun, "polled from where it had worked to");
        for record in block {
            let expected = &model.values[&block.input][record.offset as usize];
            assert_eq!(record.value, expected.as_bytes());
        }
        model.worked.insert(block.input.clone(), block.offsets().end);
        commit.positions.push((block.input.clone(), block.offsets().end));
    }
    if blocks.is_empty() {
        let behind = |(input, values): (&Input, &Vec<String>)| {
            let worked = model.worked.get(input).copied().unwrap_or(0);
            ["topic-0", "topic-1"].contains(&input.topic.as_str()) && worked < values.len() as u64
        };
        assert!(!model.values.iter().any(behind), "an empty poll with records left");
        return;
    }
    model.append(&mut commit, input("outputs", 0), &[40]);
    commit.marks.push(mark("mark-worked", &model.number.to_string()));
    model.marks.insert("mark-worked".to_owned(), model.number.to_string().into_bytes());
    let committed = stage.commit(commit).unwrap();
    assert_eq!(committed.firsts, vec![model.values[&input("outputs", 0)].len() as u64 - 1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn it_is_what_the_model_is(actions in prop::collection::vec(action(), 0..60)) {
        run(actions);
    }
}

#[test]
fn every_partition_gets_its_turn() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let mut stage = journal.stage("fair", Subscription::topics(["logs"])).unwrap();
    let loud = "x".repeat(400);
    for _ in 0..50 {
        journal.append(append(input("logs", 0), &[&loud])).unwrap();
    }
    journal.append(append(input("logs", 1), &["quiet"])).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.extend(stage.poll(500, Duration::ZERO).unwrap().into_iter().map(|block| block.input.partition));
    }
    assert!(seen.contains(&1), "the quiet partition came in two polls: {seen:?}");
}

#[test]
fn a_newer_handle_fences_the_older_one() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let mut old = journal.stage("decide", Subscription::topics(["logs"])).unwrap();
    let mut new = journal.stage("decide", Subscription::topics(["logs"])).unwrap();
    assert!(matches!(old.commit(Commit::default()), Err(JournalError::Fenced { .. })));
    new.commit(Commit::default()).unwrap();
}

#[test]
fn positions_are_refused_where_they_cannot_be() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let mut stage = journal.stage("decide", Subscription::topics(["logs"])).unwrap();
    let beyond = Commit { positions: vec![(input("logs", 0), 1)], ..Commit::default() };
    assert!(matches!(stage.commit(beyond.clone()), Err(JournalError::Refused { .. })));
    assert!(matches!(journal.append(beyond), Err(JournalError::Refused { .. })));
    assert_eq!(journal.positions("decide"), vec![]);
}

#[test]
fn marks_expire_by_the_journals_time_and_have_a_limit() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let passing =
        |key: String, bytes: usize, at: i64| Mark { key, value: Some(vec![7; bytes]), expires_at: Some(Time(at)) };
    journal.append(Commit { marks: vec![passing("short".to_owned(), 1, 1_003)], ..Commit::default() }).unwrap();
    assert_eq!(journal.mark("short"), Some(vec![7]));
    (0..4).for_each(|_| drop(journal.append(append(input("logs", 0), &["x"])).unwrap()));
    assert_eq!(journal.mark("short"), None);
    let marks: Vec<Mark> = (0..128).map(|n| passing(format!("{n}"), super::super::MARK_BYTES_MAX, 9_000)).collect();
    let full = journal.append(Commit { marks, ..Commit::default() });
    assert!(matches!(full, Err(JournalError::MarksFull { .. })), "{full:?}");
    journal.append(Commit { marks: vec![mark("cursor", "kept apart")], ..Commit::default() }).unwrap();
    let journal = open(&disk).unwrap();
    assert_eq!(journal.marks(""), vec![("cursor".to_owned(), b"kept apart".to_vec())]);
}

#[test]
fn the_journals_time_never_goes_back() {
    let disk = SimulatedDisk::new(1);
    let times = std::sync::Mutex::new(vec![Time(50), Time(40), Time(100)].into_iter());
    let clock: Clock = Arc::new(move || times.lock().unwrap().next().unwrap_or(Time(0)));
    let journal = Embedded::open_on(Arc::new(disk.clone()), clock, settings()).unwrap();
    let at = |_| journal.append(append(input("logs", 0), &["x"])).unwrap().appended_at;
    assert_eq!((0..4).map(at).collect::<Vec<_>>(), [Time(50), Time(50), Time(100), Time(100)]);
    assert_eq!(journal.counters().clock_backwards, 2);
    drop(journal);
    let journal = Embedded::open_on(Arc::new(disk), Arc::new(|| Time(1)), settings()).unwrap();
    assert_eq!(journal.append(Commit::default()).unwrap().appended_at, Time(100));
}
