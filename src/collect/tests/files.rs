//! A folder of logs that is followed turn by turn, at times that the test says. I/O.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::counters::{Count, Counters};
use super::super::follower::Follower;
use super::super::partitions::{PREFIX, Partitions};
use super::super::sight::Pattern;
use super::super::warning::Warner;
use super::journal::{Fault, Faulty, START};
use crate::event::Time;
use crate::journal::Journal;
use crate::journal::embedded::{Embedded, Settings, SimulatedDisk};

const SEGMENT_BYTES: u64 = 64 * 1024;

/// The embedded journal over a disk in memory.
pub fn memory() -> Faulty<Embedded> {
    let disk = Arc::new(SimulatedDisk::new(0));
    // A segment is made at its full size: small ones make thousands of journals cheap.
    let settings = Settings { segment_bytes: SEGMENT_BYTES, reserve_bytes: SEGMENT_BYTES, ..Settings::default() };
    Faulty::new(Embedded::open_on(disk, Arc::new(|| START), settings).unwrap())
}

/// One topic's files in a folder of their own.
pub struct Rig {
    pub folder: tempfile::TempDir,
    pub journal: Arc<Faulty<Embedded>>,
    pub counters: Arc<Counters>,
    pub warnings: Arc<Mutex<Vec<String>>>,
    pub now: Time,
    pattern: String,
    from_end: bool,
    follower: Option<Follower<Faulty<Embedded>>>,
}

pub const TOPIC: &str = "nginx";

impl Rig {
    /// Follows `pattern` in a new folder; not yet started.
    pub fn new(pattern: &str, from_end: bool) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        Rig {
            pattern: folder.path().join(pattern).display().to_string(),
            folder,
            journal: Arc::new(memory()),
            counters: Arc::new(Counters::new(pattern, TOPIC)),
            warnings: Arc::default(),
            now: START,
            from_end,
            follower: None,
        }
    }

    pub fn start(&mut self) {
        let (topic, counters) = (TOPIC.to_owned(), Arc::clone(&self.counters));
        let pattern = Pattern { pattern: self.pattern.clone(), topic, from_end: self.from_end, begun: false, counters };
        let heard = Arc::clone(&self.warnings);
        let warner = Warner::new(Arc::new(move |warning| heard.lock().unwrap().push(warning.to_string())));
        let marks = self.journal.marks(PREFIX);
        let saved = marks.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        let partitions = Partitions::restore(saved, self.now);
        self.follower = Some(Follower::new(Arc::clone(&self.journal), vec![pattern], partitions, warner, self.now));
    }

    /// As kill -9 does: whatever is not in the journal is forgotten.
    pub fn crash(&mut self) {
        self.follower = None;
    }

    pub fn is_up(&self) -> bool {
        self.follower.is_some()
    }

    /// One turn, so much later.
    pub fn turn(&mut self, milliseconds: i64) {
        self.now = self.now.plus(milliseconds);
        if let Some(follower) = &mut self.follower {
            follower.turn(self.now).unwrap();
        }
    }

    /// Turns until everything that is there has been taken, as far as `milliseconds` between them allow.
    pub fn turns(&mut self, number: usize, milliseconds: i64) {
        (0..number).for_each(|_| self.turn(milliseconds));
    }

    pub fn fail(&self, fault: Fault) {
        *self.journal.fault.lock().unwrap() = fault;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A writer as a server has one.
    pub fn open(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap()
    }

    pub fn append(&self, name: &str, text: &str) {
        self.open(name).write_all(text.as_bytes()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// `gzip name`: the compressed file lies there, then the other is deleted.
    pub fn compress(&self, name: &str) {
        let text = std::fs::read(self.path(name)).unwrap();
        std::fs::write(self.path(&format!("{name}.gz")), gzip(&text)).unwrap();
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub fn texts(&self) -> Vec<String> {
        self.journal.texts(TOPIC)
    }

    pub fn count(&self, count: Count) -> u64 {
        self.counters.get(count)
    }

    pub fn warnings(&self) -> String {
        self.warnings.lock().unwrap().join("\n")
    }
}

pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}
