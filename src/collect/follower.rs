//! Follows all files of all patterns: looks, reads, commits lines and cursors together. I/O.
//!
//! One [`Follower::turn`] does what is due, on one thread, at a time that it is told: so every order of events can be
//! played in a test. Polling, not notification: it works on every file system and mount, has no queue that overflows and
//! no limit of watches; while lines come the files are read every few milliseconds, which is less than a commit takes.
//! Deliberately without opinion on lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::counters::Count;
use super::cursor::{Cursor, Identity, State};
use super::handle_limit::files_max;
use super::lines::Taken;
use super::log_file::Stamp;
use super::partitions::Partitions;
use super::sight::Pattern;
use super::tail::{BLOCK_BYTES, Look, Standing, Tail};
use super::warning::Warner;
use crate::event::{DAY, Input, SECOND, Time};
use crate::journal::{Commit, Journal, JournalError, Mark, NewRecord, Records};

/// A commit is made once it has so many bytes: some thousand lines, enough that syncing costs little of the time.
const COMMIT_BYTES: usize = 1024 * 1024;
/// The patterns are looked at this often: how long a new file may wait.
const SCAN_PAUSE: i64 = 250;
/// A journal that has no space is asked again after so long.
const FULL_PAUSE: i64 = 250;
/// A cursor is forgotten when its file has been gone for so long: compressed generations of a log that are kept longer
/// have cursors of their own.
pub(super) const CURSOR_KEEP: i64 = 30 * DAY;
/// Cursors of files that are there are written again after so long, so that the journal does not forget them.
pub(super) const CURSOR_REFRESH: i64 = DAY;
/// The marks of files begin so: `collect/file/<number>`.
pub const FILE_PREFIX: &str = "collect/file/";
/// The marks of patterns that have been followed before begin so: `collect/begun/<topic>/<hash of the pattern>`, since
/// a pattern may be longer than a key.
const BEGUN_PREFIX: &str = "collect/begun/";

/// A file that is known.
pub(super) struct Followed {
    pub cursor: Cursor,
    pub pattern: usize,
    /// Its open handle, while it is being read.
    pub tail: Option<Tail>,
    /// How it looked when nothing of it was left to do: while it looks so it need not be opened.
    pub stamp: Option<Stamp>,
    /// Whether the last scan found it.
    pub present: bool,
    /// Since when it is open and cannot be found.
    pub missing_since: Option<Time>,
    /// Files that look like it and were found to be others.
    pub rejected: BTreeSet<Identity>,
    /// When the journal was told last.
    pub written_at: Time,
    /// Whether the journal does not know yet.
    pub dirty: bool,
    /// Reading failed: its handle is closed with the next commit.
    pub broken: bool,
}

/// Follows files.
pub struct Follower<J> {
    journal: Arc<J>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) files: BTreeMap<u64, Followed>,
    pub(super) next_id: u64,
    pub(super) removed: Vec<u64>,
    /// So many files may be open.
    pub(super) open_max: usize,
    pub(super) partitions: Partitions,
    pub(super) warner: Warner,
    /// Compressed files as they looked in this scan and in the one before.
    pub(super) settling: [BTreeMap<Identity, Stamp>; 2],
    batch: BTreeMap<Input, Records>,
    /// What the batch adds to the counters of each pattern.
    counts: Vec<(Taken, u64)>,
    block: Vec<u8>,
    scan_at: Time,
    held_until: Time,
    /// The file that was read last: the next turn goes on behind it.
    last_read: u64,
}

impl Followed {
    /// A file that the journal does not know.
    pub fn new(cursor: Cursor, pattern: usize, now: Time) -> Followed {
        Followed {
            cursor,
            pattern,
            tail: None,
            stamp: None,
            present: true,
            missing_since: None,
            rejected: BTreeSet::new(),
            written_at: now,
            dirty: true,
            broken: false,
        }
    }

    fn is_unwritten(&self) -> bool {
        self.dirty || self.tail.as_ref().is_some_and(Tail::is_ahead)
    }
}

impl<J: Journal> Follower<J> {
    /// Goes on where the journal's marks say. `patterns` are known to be patterns.
    pub fn new(journal: Arc<J>, mut patterns: Vec<Pattern>, partitions: Partitions, warner: Warner, now: Time) -> Self {
        for pattern in &mut patterns {
            pattern.begun = journal.mark(&begun_key(pattern)).is_some();
        }
        let marks = journal.marks(FILE_PREFIX);
        let number = |key: &str| key.strip_prefix(FILE_PREFIX)?.parse::<u64>().ok();
        let files: BTreeMap<u64, Followed> = marks
            .iter()
            .filter_map(|(key, value)| Some((number(key)?, restored(Cursor::decode(value)?, &patterns, now))))
            .collect();
        let next_id = files.last_key_value().map_or(1, |(id, _)| id + 1);
        Follower {
            journal,
            counts: vec![(Taken::default(), 0); patterns.len()],
            patterns,
            files,
            next_id,
            removed: Vec::new(),
            open_max: files_max(),
            partitions,
            warner,
            settling: Default::default(),
            batch: BTreeMap::new(),
            block: vec![0; BLOCK_BYTES],
            scan_at: now,
            held_until: now,
            last_read: 0,
        }
    }

    /// Does what is due at `now`; gives when to come again.
    ///
    /// # Errors
    /// A journal that can no longer promise anything.
    pub fn turn(&mut self, now: Time) -> Result<Time, JournalError> {
        if now < self.held_until {
            return Ok(self.held_until);
        }
        if now >= self.scan_at {
            self.scan(now);
            self.scan_at = now.plus(SCAN_PAUSE);
        }
        self.read(now);
        self.commit(now)?;
        Ok(self.next_at())
    }

    fn next_at(&self) -> Time {
        let due = self.files.values().filter_map(|file| file.tail.as_ref()).map(|tail| tail.due_at).min();
        due.map_or(self.scan_at, |due| due.min(self.scan_at)).max(self.held_until)
    }

    fn read(&mut self, now: Time) {
        let is_due = |file: &Followed| file.tail.as_ref().is_some_and(|tail| tail.due_at <= now && !file.broken);
        let is_in_place = |file: &Followed| file.tail.as_ref().is_some_and(|tail| tail.standing == Standing::InPlace);
        let due = self.files.iter().filter(|(_, file)| is_due(file));
        // What was rotated comes before what followed it, in the same partition; otherwise it goes round.
        let mut due: Vec<(bool, bool, u64)> =
            due.map(|(id, file)| (is_in_place(file), *id <= self.last_read, *id)).collect();
        due.sort_unstable();
        for (_, _, id) in due {
            if self.has_batch() {
                break;
            }
            self.last_read = id;
            while self.read_file(id, now) && !self.has_batch() {}
        }
    }

    fn has_batch(&self) -> bool {
        self.batch.values().map(Records::bytes).sum::<usize>() >= COMMIT_BYTES
    }

    /// Takes a block of one file; whether there is more to take at once.
    fn read_file(&mut self, id: u64, now: Time) -> bool {
        let Some(file) = self.files.get_mut(&id) else { return false };
        let Some(tail) = &mut file.tail else { return false };
        let input = Input { topic: file.cursor.topic.clone(), partition: file.cursor.partition };
        let records = self.batch.entry(input).or_default();
        let (counts, bytes) = &mut self.counts[file.pattern];
        let mut push = |value: &[u8]| {
            *bytes += value.len() as u64;
            records.push(NewRecord { key: None, value, spoofable: false });
        };
        let looked = tail.read(&mut file.cursor, &mut self.block, now, &mut push);
        match looked {
            Ok(Look::Idle) => {}
            Ok(Look::Took { taken, more }) => {
                counts.lines += taken.lines;
                counts.cut += taken.cut;
                counts.nuls += taken.nuls;
                return more;
            }
            // What was taken before is committed first; the next look finds the same.
            Ok(Look::Changed(_)) if tail.is_ahead() => {}
            Ok(Look::Changed(_)) => self.succeed(id, now),
            Err(error) => self.break_off(id, &error),
        }
        false
    }

    fn commit(&mut self, now: Time) -> Result<(), JournalError> {
        let commit = self.staged(now);
        if commit.appends.is_empty() && commit.marks.is_empty() {
            return Ok(());
        }
        match self.journal.append(commit) {
            Ok(_) => self.settle(now),
            Err(error) => {
                self.rewind();
                self.held_until =
                    now.plus(if matches!(error, JournalError::Full { .. }) { FULL_PAUSE } else { SECOND });
                self.warner.warn("journal", error.to_string(), "files wait; nothing of them is lost");
                if error.is_fatal() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn staged(&mut self, now: Time) -> Commit {
        let expires_at = Some(now.plus(CURSOR_KEEP));
        let mut marks: Vec<Mark> = Vec::new();
        for (id, file) in self.files.iter_mut().filter(|(_, file)| file.is_unwritten()) {
            if let Some(tail) = &file.tail {
                tail.seal(&mut file.cursor);
            }
            marks.push(Mark { key: file_key(*id), value: Some(file.cursor.encode()), expires_at });
        }
        marks.extend(self.removed.iter().map(|id| Mark { key: file_key(*id), value: None, expires_at: None }));
        marks.extend(self.partitions.unsaved().map(|(key, value)| Mark { key, value: Some(value), expires_at }));
        let fresh = self.patterns.iter().filter(|pattern| !pattern.begun);
        marks.extend(fresh.map(|p| Mark { key: begun_key(p), value: Some(Vec::new()), expires_at: None }));
        let appends = std::mem::take(&mut self.batch).into_iter().filter(|(_, records)| !records.is_empty());
        Commit { appends: appends.collect(), marks, ..Commit::default() }
    }

    /// The commit is in the journal.
    fn settle(&mut self, now: Time) {
        for file in self.files.values_mut() {
            if file.is_unwritten() {
                file.dirty = false;
                file.written_at = now;
            }
            let closes = file.broken || file.cursor.state == State::Done;
            if let Some(tail) = &mut file.tail {
                tail.keep();
            }
            if closes && let Some(tail) = file.tail.take() {
                file.broken = false;
                file.stamp = tail.log.look().ok().map(|(stamp, _)| tail.exhausted().unwrap_or(stamp));
            }
        }
        self.removed.clear();
        self.partitions.saved(now);
        self.patterns.iter_mut().for_each(|pattern| pattern.begun = true);
        for (pattern, (taken, bytes)) in self.patterns.iter().zip(&mut self.counts) {
            let counted = [
                (Count::Lines, taken.lines),
                (Count::Bytes, *bytes),
                (Count::Cut, taken.cut),
                (Count::Nuls, taken.nuls),
            ];
            counted.iter().for_each(|(count, number)| pattern.counters.add(*count, *number));
            (*taken, *bytes) = Default::default();
        }
        self.warner.resolve("journal");
    }

    /// The commit is not in the journal.
    fn rewind(&mut self) {
        for file in self.files.values_mut() {
            if let Some(tail) = &mut file.tail {
                tail.rewind(&mut file.cursor);
            }
        }
        self.counts.fill(Default::default());
    }
}

fn restored(cursor: Cursor, patterns: &[Pattern], now: Time) -> Followed {
    let pattern = patterns.iter().position(|pattern| pattern.topic == cursor.topic).unwrap_or(patterns.len());
    // Written again at the first scan that finds it, however often the node is started.
    let written_at = now.plus(-CURSOR_REFRESH);
    Followed { present: false, dirty: false, written_at, ..Followed::new(cursor, pattern, now) }
}

fn file_key(id: u64) -> String {
    format!("{FILE_PREFIX}{id:010}")
}

fn begun_key(pattern: &Pattern) -> String {
    format!("{BEGUN_PREFIX}{}/{}", pattern.topic, blake3::hash(pattern.pattern.as_bytes()).to_hex())
}
