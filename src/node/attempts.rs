//! What a stage is about to examine, written down where the end of the process leaves it. I/O.
//!
//! A record that makes our code panic is caught; one that ends the process (the stack, the memory) would end it at every
//! start. So the place of each batch is noted before it is examined, and crossed out after. A life that ended in between
//! makes the next one careful: there each record is noted by itself, and one at which lives ended twice more is passed
//! over. Deliberately without a sync: what ends a process does not end the machine. Deliberately local: another process
//! that is given the partition finds out by itself.

#![expect(clippy::disallowed_methods, reason = "notes are a file")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::event::Input;

/// Ends at the very record, after the one in its batch, that make it pass for what ends the process: three in all.
const ENDS_MAX: u8 = 2;
/// Records that are remembered for it: those of a batch that ended a life come one after the other.
const SUSPECTS_MAX: usize = 64;
/// Why such a record is a dead letter.
pub const ENDED: &str = "poison: the process ended three times while examining it";

/// The notes of one stage.
#[derive(Default)]
pub struct Attempts {
    file: Option<File>,
    notes: Notes,
    /// Whether the file says that something is being examined.
    begun: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct Notes {
    /// What is being examined.
    batch: Vec<(Input, Range<u64>)>,
    /// The record of it, where that is known.
    record: Option<(Input, u64)>,
    /// What was being examined when lives ended.
    careful: BTreeMap<Input, Range<u64>>,
    /// Records at which lives ended, and how many did.
    suspects: Vec<(Input, u64, u8)>,
}

impl Attempts {
    /// Reads what the last life left, and goes on with it.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn open(path: &Path) -> io::Result<Attempts> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // What cannot be read is of another version, or of a machine that went down: nobody's fault is known then.
        let notes = postcard::from_bytes(&fs::read(path)?).unwrap_or_default();
        let mut attempts = Attempts { file: Some(file), notes, begun: false };
        attempts.notes.take_up();
        attempts.write();
        Ok(attempts)
    }

    /// These are examined from now on.
    pub fn begin(&mut self, batch: impl Iterator<Item = (Input, Range<u64>)>) {
        if self.file.is_some() {
            self.notes.batch.clear();
            self.notes.batch.extend(batch);
            self.begun = true;
            self.write();
        }
    }

    /// Whether a record of the batch is to be examined at all; where lives ended, it is noted.
    pub fn may_examine(&mut self, input: &Input, offset: u64) -> bool {
        if !self.notes.careful.get(input).is_some_and(|range| range.contains(&offset)) {
            return true;
        }
        let ends = |(known, at, ends): &(Input, u64, u8)| (known == input && *at == offset).then_some(*ends);
        if self.notes.suspects.iter().find_map(ends).is_some_and(|ends| ends >= ENDS_MAX) {
            return false;
        }
        self.notes.record = Some((input.clone(), offset));
        self.write();
        true
    }

    /// The record was examined: an end from here on, in what is done with it, is not its fault.
    pub fn examined(&mut self) {
        if self.notes.record.take().is_some() {
            self.write();
        }
    }

    /// All of the batch was examined.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.begun) {
            self.notes.batch.clear();
            self.write();
        }
    }

    /// What was examined up to these places does not come again.
    pub fn done(&mut self, positions: &[(Input, u64)]) {
        if self.notes.careful.is_empty() && self.notes.suspects.is_empty() {
            return;
        }
        for (input, next) in positions {
            if self.notes.careful.get(input).is_some_and(|range| range.end <= *next) {
                self.notes.careful.remove(input);
            }
            self.notes.suspects.retain(|(known, offset, _)| known != input || offset >= next);
        }
        self.write();
    }

    fn write(&self) {
        let Some(file) = &self.file else { return };
        // A disk that fails is found by whoever writes what matters; without notes nothing is lost but the finding.
        let Ok(bytes) = postcard::to_stdvec(&self.notes) else { return };
        let _unwritten = file.write_all_at(&bytes, 0);
    }
}

impl Notes {
    /// What the end of a life says.
    fn take_up(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some((input, offset)) = self.record.take() {
            let known = self.suspects.iter_mut().find(|(known, at, _)| *known == input && *at == offset);
            match known {
                Some((.., ends)) => *ends = ends.saturating_add(1),
                None => self.suspects.push((input, offset, 1)),
            }
            let over = self.suspects.len().saturating_sub(SUSPECTS_MAX);
            self.suspects.drain(..over);
        }
        for (input, range) in batch {
            let known = self.careful.entry(input).or_insert_with(|| range.clone());
            *known = known.start.min(range.start)..known.end.max(range.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Input {
        Input { topic: "nginx".to_owned(), partition: 3 }
    }

    /// A life that examines records and ends at the one of offset `fatal`; gives those it passed over, if it lives.
    fn life(path: &Path, from: u64, fatal: u64) -> Option<Vec<u64>> {
        let mut attempts = Attempts::open(path).expect("a folder");
        attempts.begin([(input(), from..20)].into_iter());
        let mut passed = Vec::new();
        for offset in from..20 {
            if !attempts.may_examine(&input(), offset) {
                passed.push(offset);
            } else if offset == fatal {
                return None;
            }
            attempts.examined();
        }
        attempts.end();
        attempts.done(&[(input(), 20)]);
        Some(passed)
    }

    #[test]
    fn a_record_that_ends_the_process_is_passed_over_after_three_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("attempts/ingest");
        for _ in 0..3 {
            assert_eq!(life(&path, 10, 14), None);
        }
        assert_eq!(life(&path, 10, 14), Some(vec![14]));
        assert_eq!(life(&path, 10, 99), Some(vec![]), "what is done with is forgotten");
    }

    #[test]
    fn ends_at_different_records_blame_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ingest");
        for fatal in [11, 12, 13, 14, 15] {
            assert_eq!(life(&path, 10, fatal), None);
        }
        assert_eq!(life(&path, 10, 99), Some(vec![]));
    }

    #[test]
    fn an_end_outside_of_examining_blames_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ingest");
        for _ in 0..5 {
            let mut attempts = Attempts::open(&path).expect("a folder");
            attempts.begin([(input(), 0..9)].into_iter());
            for offset in 0..9 {
                assert!(attempts.may_examine(&input(), offset));
                attempts.examined();
            }
            // Killed here, by someone else and again and again, before the batch was done with.
        }
        fs::write(&path, b"\xff\xff\xff").expect("a file");
        assert!(Attempts::open(&path).expect("damaged notes are none").may_examine(&input(), 1));
    }
}
