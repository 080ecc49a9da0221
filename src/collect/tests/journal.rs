//! A journal that fails when it is told to, and what is in it. I/O only as far as the journal inside.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use crate::event::{Input, Time};
use crate::journal::{Commit, Committed, Fetched, Journal, JournalError, Subscription};

/// What the next append does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Nothing is written: no space, or a crash before the commit.
    Full,
}

/// A journal with a fault in front of it.
pub struct Faulty<J> {
    inner: J,
    pub fault: Mutex<Fault>,
}

impl<J: Journal> Faulty<J> {
    pub fn new(inner: J) -> Faulty<J> {
        Faulty { inner, fault: Mutex::default() }
    }

    /// All values of a topic by partition, in order, with whether they are spoofable.
    pub fn records(&self, topic: &str) -> BTreeMap<u32, Vec<(Vec<u8>, bool)>> {
        let mut found = BTreeMap::new();
        for (input, offsets) in self.inner.partitions(topic).unwrap() {
            let values: &mut Vec<(Vec<u8>, bool)> = found.entry(input.partition).or_default();
            let mut next = offsets.start;
            while next < offsets.end {
                for fetched in self.inner.read(&input, next, 1 << 20).unwrap() {
                    values.extend(fetched.iter().map(|record| (record.value.to_vec(), record.spoofable)));
                    next = fetched.offsets().end;
                }
            }
        }
        found
    }

    /// All values of a topic as texts, partition after partition.
    pub fn texts(&self, topic: &str) -> Vec<String> {
        let records = self.records(topic).into_values().flatten();
        records.map(|(value, _)| String::from_utf8_lossy(&value).into_owned()).collect()
    }
}

impl<J: Journal> Journal for Faulty<J> {
    type Stage = J::Stage;

    fn append(&self, commit: Commit) -> Result<Committed, JournalError> {
        match *self.fault.lock().unwrap() {
            Fault::None => self.inner.append(commit),
            Fault::Full => Err(JournalError::Full { bytes: 1 }),
        }
    }

    fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        self.inner.read(input, from, bytes)
    }

    fn partitions(&self, topic: &str) -> Result<Vec<(Input, Range<u64>)>, JournalError> {
        self.inner.partitions(topic)
    }

    fn topics(&self) -> Result<Vec<String>, JournalError> {
        self.inner.topics()
    }

    fn mark(&self, key: &str) -> Option<Vec<u8>> {
        self.inner.mark(key)
    }

    fn marks(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.inner.marks(prefix)
    }

    fn stage(&self, name: &str, subscription: Subscription) -> Result<Self::Stage, JournalError> {
        self.inner.stage(name, subscription)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.inner.wait(seen, timeout)
    }
}

/// An instant of the tests.
pub const START: Time = Time(1_795_000_000_000);
