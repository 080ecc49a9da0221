//! The embedded journal over a simulated disk, with what a test wants to go wrong.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho::event::{Input, Time};
use sekisho::journal::embedded::{Embedded, EmbeddedStage, Settings, SimulatedDisk};
use sekisho::journal::{Commit, Committed, Fetched, Journal, JournalError, NewRecord, Records, Subscription};

pub struct TestJournal {
    embedded: Embedded,
    now: Arc<AtomicI64>,
    /// What the next appends fail with.
    failing: Mutex<Option<JournalError>>,
    /// Where logs begin that retention has cut, offset by offset where the journal itself deletes whole segments.
    starts: Mutex<BTreeMap<Input, u64>>,
    /// Offsets that a repair could not save.
    lost: Mutex<Vec<(Input, Range<u64>)>>,
}

fn partition(topic: &str) -> Input {
    Input { topic: topic.to_owned(), partition: 0 }
}

impl Default for TestJournal {
    fn default() -> TestJournal {
        TestJournal::on(SimulatedDisk::new(1))
    }
}

impl TestJournal {
    /// The journal of a disk.
    pub fn on(disk: SimulatedDisk) -> TestJournal {
        let now = Arc::new(AtomicI64::new(1));
        let clock = Arc::clone(&now);
        let settings = Settings { segment_bytes: 4 << 20, ..Settings::small() };
        let clock = Arc::new(move || Time(clock.load(Ordering::SeqCst)));
        let embedded = Embedded::open_on(Arc::new(disk), clock, settings).unwrap();
        let (failing, starts, lost) = (Mutex::default(), Mutex::default(), Mutex::default());
        TestJournal { embedded, now, failing, starts, lost }
    }

    /// Loses a record, as a repair does that finds it damaged.
    pub fn lose(&self, topic: &str, offset: u64) {
        self.lost.lock().unwrap().push((partition(topic), offset..offset + 1));
    }

    /// Appends records of one topic's partition 0 and gives the first's offset.
    pub fn put(&self, topic: &str, records: &[(Option<&str>, &[u8])]) -> u64 {
        let mut buffer = Records::default();
        for (key, value) in records {
            buffer.push(NewRecord { key: key.map(str::as_bytes), value, spoofable: false });
        }
        self.append(Commit { appends: vec![(partition(topic), buffer)], ..Commit::default() }).unwrap().firsts[0]
    }

    /// All values of one topic's partition 0.
    pub fn values(&self, topic: &str) -> Vec<Vec<u8>> {
        let mut next = self.starts.lock().unwrap().get(&partition(topic)).copied().unwrap_or(0);
        let mut values = Vec::new();
        loop {
            let blocks = self.read(&partition(topic), next, 64 << 20).unwrap();
            let Some(last) = blocks.last() else { return values };
            next = last.offsets().end;
            values.extend(
                blocks.iter().flat_map(|block| block.iter().map(|record| record.value.to_vec()).collect::<Vec<_>>()),
            );
        }
    }

    /// What every append fails with from now on.
    pub fn fail(&self, error: Option<JournalError>) {
        *self.failing.lock().unwrap() = error;
    }

    /// Forgets what lies before an offset.
    pub fn trim(&self, topic: &str, start: u64) {
        self.starts.lock().unwrap().insert(partition(topic), start);
    }

    /// Moves the clock on; the journal's time follows with the next commit.
    pub fn pass(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Journal for TestJournal {
    type Stage = EmbeddedStage;

    fn append(&self, commit: Commit) -> Result<Committed, JournalError> {
        if let Some(error) = &*self.failing.lock().unwrap() {
            return Err(error.clone());
        }
        self.pass(1);
        self.embedded.append(commit)
    }

    fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        match self.starts.lock().unwrap().get(input) {
            Some(start) if from < *start => Err(JournalError::Trimmed { input: input.clone(), from, start: *start }),
            Some(_) | None => {
                let lost = self.lost.lock().unwrap();
                let gone =
                    |block: &Fetched| lost.iter().any(|(of, offsets)| of == input && *offsets == block.offsets());
                let read = self.embedded.read(input, from, bytes)?.into_iter();
                let seen = |block: Fetched| match gone(&block) {
                    true => Fetched::lost(input.clone(), block.appended_at, block.offsets()),
                    false => block,
                };
                Ok(read.map(seen).collect())
            }
        }
    }

    fn partitions(&self, topic: &str) -> Result<Vec<(Input, Range<u64>)>, JournalError> {
        let mut partitions = self.embedded.partitions(topic)?;
        let starts = self.starts.lock().unwrap();
        for (input, offsets) in &mut partitions {
            offsets.start = starts.get(input).copied().unwrap_or(offsets.start);
        }
        Ok(partitions)
    }

    fn topics(&self) -> Result<Vec<String>, JournalError> {
        self.embedded.topics()
    }

    fn mark(&self, key: &str) -> Option<Vec<u8>> {
        self.embedded.mark(key)
    }

    fn marks(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.embedded.marks(prefix)
    }

    fn stage(&self, name: &str, subscription: Subscription) -> Result<EmbeddedStage, JournalError> {
        self.embedded.stage(name, subscription)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.embedded.wait(seen, timeout)
    }
}
