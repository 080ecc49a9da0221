//! Small keyed values on a compacted topic: what producers of one process tell those of the next. Pure.
//!
//! Value of a record: when it is forgotten (i64 milliseconds, little-endian), then its bytes. One that was removed is
//! written without a value. Deliberately whole in memory: marks are bounded where they are set.

use std::collections::BTreeMap;

use crate::event::{Input, Time};
use crate::journal::{Fetched, Mark, NewRecord, Records};

use super::MARKS;

/// Bytes read at a time.
pub const READ_BYTES: usize = 4 << 20;

/// All marks, as far as they were read.
#[derive(Default)]
pub struct Marks {
    values: BTreeMap<String, (Time, Vec<u8>)>,
    next: u64,
}

/// The partition of marks.
pub fn input() -> Input {
    Input { topic: MARKS.to_owned(), partition: 0 }
}

/// Marks as records.
pub fn records(marks: &[Mark]) -> Records {
    let mut records = Records::default();
    for mark in marks {
        let expires_at = mark.expires_at.unwrap_or(Time::MAX);
        let mut value = expires_at.0.to_le_bytes().to_vec();
        value.extend_from_slice(mark.value.as_deref().unwrap_or_default());
        let record = NewRecord { key: Some(mark.key.as_bytes()), value: &value, spoofable: false };
        match mark.value {
            Some(_) => records.push(record),
            None => records.push_last(NewRecord { value: &[], ..record }),
        }
    }
    records
}

impl Marks {
    /// The next offset to be read.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes records in.
    pub fn read(&mut self, blocks: &[Fetched]) {
        for block in blocks {
            for record in block.iter() {
                let Some(key) = record.key.and_then(|key| std::str::from_utf8(key).ok()) else { continue };
                match record.value.split_first_chunk::<8>() {
                    Some((expires_at, value)) => {
                        let expires_at = Time(i64::from_le_bytes(*expires_at));
                        self.values.insert(key.to_owned(), (expires_at, value.to_vec()));
                    }
                    None => drop(self.values.remove(key)),
                }
            }
            self.next = self.next.max(block.offsets().end);
        }
    }

    /// What this process itself has marked, before it is read.
    pub fn set(&mut self, mark: &Mark) {
        match &mark.value {
            Some(value) => {
                let expires_at = mark.expires_at.unwrap_or(Time::MAX);
                self.values.insert(mark.key.clone(), (expires_at, value.clone()));
            }
            None => drop(self.values.remove(&mark.key)),
        }
    }

    /// The value of a mark that has not expired.
    pub fn get(&self, key: &str, now: Time) -> Option<Vec<u8>> {
        self.values.get(key).filter(|(expires_at, _)| *expires_at > now).map(|(_, value)| value.clone())
    }

    /// All such marks whose key begins so.
    pub fn starting(&self, prefix: &str, now: Time) -> Vec<(String, Vec<u8>)> {
        let from = self.values.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let live = from.filter(|(_, (expires_at, _))| *expires_at > now);
        live.map(|(key, (_, value))| (key.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(key: &str, value: Option<&str>, expires_at: Option<i64>) -> Mark {
        let value = value.map(|value| value.as_bytes().to_vec());
        Mark { key: key.to_owned(), value, expires_at: expires_at.map(Time) }
    }

    #[test]
    fn marks_come_back_from_their_records() {
        let given = [mark("a/1", Some("x"), None), mark("a/2", Some(""), Some(10)), mark("b", Some("y"), Some(20))];
        let mut sent = records(&given);
        sent.push_last(NewRecord { key: Some(b"b"), value: &[], spoofable: false });
        let mut marks = Marks::default();
        marks.read(&[Fetched::block(input(), Time(0), 7, sent.encoded().to_vec(), 4).expect("records")]);
        assert_eq!(marks.next(), 11);
        assert_eq!(marks.get("a/1", Time(5)), Some(b"x".to_vec()));
        assert_eq!((marks.get("a/2", Time(5)), marks.get("a/2", Time(10))), (Some(Vec::new()), None));
        assert_eq!(marks.get("b", Time(5)), None, "it was removed");
        let names = |now| marks.starting("a/", Time(now)).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!((names(5), names(15)), (vec!["a/1".to_owned(), "a/2".to_owned()], vec!["a/1".to_owned()]));
    }
}
