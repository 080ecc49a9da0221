//! A journal in memory: what the contract says, and nothing else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use sekisho::event::{Input, Time};
use sekisho::journal::{Commit, Committed, Fetched, Journal, JournalError, NewRecord, Records, Stage, Subscription};

#[derive(Default)]
pub struct MemoryJournal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    partitions: BTreeMap<Input, Partition>,
    marks: BTreeMap<String, (Vec<u8>, Option<Time>)>,
    now: i64,
    sequence: u64,
    /// What the next appends fail with.
    failing: Option<JournalError>,
}

#[derive(Default)]
struct Partition {
    blocks: Vec<(u64, Time, Vec<u8>, u32)>,
    start: u64,
    next: u64,
}

impl MemoryJournal {
    /// Appends records of one topic's partition 0 and gives the first's offset.
    pub fn put(&self, topic: &str, records: &[(Option<&str>, &[u8])]) -> u64 {
        let mut buffer = Records::default();
        for (key, value) in records {
            buffer.push(NewRecord { key: key.map(str::as_bytes), value, spoofable: false });
        }
        let input = Input { topic: topic.to_owned(), partition: 0 };
        self.append(Commit { appends: vec![(input, buffer)], ..Commit::default() }).unwrap().firsts[0]
    }

    /// All values of one topic's partition 0.
    pub fn values(&self, topic: &str) -> Vec<Vec<u8>> {
        let input = Input { topic: topic.to_owned(), partition: 0 };
        let start = self.state.lock().unwrap().partitions.get(&input).map_or(0, |partition| partition.start);
        let blocks = self.read(&input, start, usize::MAX).unwrap();
        blocks.iter().flat_map(|block| block.iter().map(|record| record.value.to_vec()).collect::<Vec<_>>()).collect()
    }

    /// What every append fails with from now on.
    pub fn fail(&self, error: Option<JournalError>) {
        self.state.lock().unwrap().failing = error;
    }

    /// Forgets what lies before an offset.
    pub fn trim(&self, topic: &str, start: u64) {
        let input = Input { topic: topic.to_owned(), partition: 0 };
        let mut state = self.state.lock().unwrap();
        state.partitions.get_mut(&input).unwrap().start = start;
    }

    /// Moves the journal's time on.
    pub fn pass(&self, milliseconds: i64) {
        self.state.lock().unwrap().now += milliseconds;
    }
}

impl Journal for MemoryJournal {
    type Stage = NoStage;

    fn append(&self, commit: Commit) -> Result<Committed, JournalError> {
        let mut state = self.state.lock().unwrap();
        if let Some(error) = &state.failing {
            return Err(error.clone());
        }
        state.now += 1;
        state.sequence += 1;
        let at = Time(state.now);
        let mut firsts = Vec::new();
        for (input, records) in commit.appends {
            let partition = state.partitions.entry(input).or_default();
            firsts.push(partition.next);
            partition.blocks.push((partition.next, at, records.encoded().to_vec(), records.len() as u32));
            partition.next += records.len() as u64;
        }
        for mark in commit.marks {
            match mark.value {
                Some(value) => state.marks.insert(mark.key, (value, mark.expires_at)),
                None => state.marks.remove(&mark.key),
            };
        }
        self.changed.notify_all();
        Ok(Committed { appended_at: at, firsts, sequence: state.sequence })
    }

    fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        let state = self.state.lock().unwrap();
        let Some(partition) = state.partitions.get(input) else { return Ok(Vec::new()) };
        if from < partition.start {
            return Err(JournalError::Trimmed { input: input.clone(), from, start: partition.start });
        }
        let mut found: Vec<Fetched> = Vec::new();
        let mut taken = 0;
        for (base, at, block, count) in &partition.blocks {
            if base + u64::from(*count) > from && taken < bytes {
                taken += block.len();
                let fetched = Fetched::block(input.clone(), *at, *base, block.clone(), *count).unwrap();
                found.push(fetched.skip_to(from));
            }
        }
        Ok(found)
    }

    fn partitions(&self, topic: &str) -> Result<Vec<(Input, Range<u64>)>, JournalError> {
        let state = self.state.lock().unwrap();
        let of = state.partitions.iter().filter(|(input, _)| input.topic == topic);
        Ok(of.map(|(input, partition)| (input.clone(), partition.start..partition.next)).collect())
    }

    fn topics(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.state.lock().unwrap().partitions.keys().map(|input| input.topic.clone()).collect())
    }

    fn mark(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let (value, expires_at) = state.marks.get(key)?;
        expires_at.is_none_or(|at| at > Time(state.now)).then(|| value.clone())
    }

    fn marks(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let state = self.state.lock().unwrap();
        let of = state.marks.iter().filter(|(key, _)| key.starts_with(prefix));
        of.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    fn stage(&self, _name: &str, _subscription: Subscription) -> Result<NoStage, JournalError> {
        Err(JournalError::Refused { why: "the API has no stage".to_owned() })
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let state = self.state.lock().unwrap();
        self.changed.wait_timeout_while(state, timeout, |state| state.sequence <= seen).unwrap().0.sequence
    }
}

/// The API never takes a stage.
pub enum NoStage {}

impl Stage for NoStage {
    fn poll(&mut self, _bytes: usize, _timeout: Duration) -> Result<Vec<Fetched>, JournalError> {
        match *self {}
    }

    fn commit(&mut self, _commit: Commit) -> Result<Committed, JournalError> {
        match *self {}
    }

    fn seek(&mut self, _input: &Input, _next: u64) -> Result<(), JournalError> {
        match *self {}
    }

    fn position(&self, _input: &Input) -> Option<u64> {
        match *self {}
    }
}
