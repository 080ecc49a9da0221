//! Opens and closes the files that are known, within limits, and forgets those long gone. I/O.
//!
//! Beyond the limit the handle of the quietest file is closed. A closed file is not a forgotten one: scans look at its size. Deliberately without judging what a file is.

use std::io;
use std::path::Path;

use super::counters::Count;
use super::cursor::{Cursor, Identity, State};
use super::follower::{CURSOR_KEEP, CURSOR_REFRESH, Followed, Follower};
use super::log_file::{LogFile, Stamp, Unopened};
use super::packed;
use super::sight::Sighting;
use super::tail::{Standing, Tail};
use crate::event::{MINUTE, Time};
use crate::journal::Journal;

/// After so long without a line a file's handle is closed; scans look at its size.
const PARK_QUIET: i64 = 10 * MINUTE;

impl<J: Journal> Follower<J> {
    /// Reads on in `log`, which is where the cursor's file is now.
    pub(super) fn attach(&mut self, id: u64, log: LogFile, standing: Standing, now: Time) {
        let Some(file) = self.files.get_mut(&id) else { return };
        match Tail::new(log, &file.cursor, standing, now) {
            Ok(tail) => {
                file.cursor.identity = Some(tail.log.identity);
                (file.tail, file.missing_since, file.dirty, file.broken) = (Some(tail), None, true, false);
            }
            Err(error) => {
                let path = file.cursor.path.clone();
                self.warner.warn(
                    &path,
                    format!("cannot be read: {error}"),
                    "look after the disk or mount that it lies on",
                );
            }
        }
    }

    /// Opens a file, or says why not. Where too many are open, the quietest is closed first.
    pub(super) fn open(&mut self, sighting: &Sighting) -> Option<LogFile> {
        self.make_room();
        match LogFile::open(Path::new(&sighting.path)) {
            // Something else was put there since the scan: the next one sees it.
            Ok(log) => (log.identity == sighting.identity).then(|| {
                self.warner.resolve(&sighting.path);
                log
            }),
            Err(error) => {
                self.patterns[sighting.pattern].counters.add(Count::Errors, 1);
                if matches!(error, Unopened::TooMany) {
                    self.park_one();
                }
                if let Some((what, advice)) = error.words() {
                    self.warner.warn(&sighting.path, what, advice);
                }
                None
            }
        }
    }

    pub(super) fn complain(&mut self, sighting: &Sighting, error: &io::Error) {
        self.patterns[sighting.pattern].counters.add(Count::Errors, 1);
        let (what, advice) = packed::broken(error);
        self.warner.warn(&sighting.path, what, advice);
    }

    /// Whether a compressed file looks as it did in the scan before: one that is still being written is left alone.
    pub(super) fn has_settled(&mut self, identity: Identity, stamp: Stamp) -> bool {
        self.settling[0].insert(identity, stamp);
        self.settling[1].get(&identity) == Some(&stamp)
    }

    fn make_room(&mut self) {
        if self.files.values().filter(|file| file.tail.is_some()).count() >= self.open_max {
            self.park_one();
        }
    }

    fn park_one(&mut self) {
        let idle = |file: &&mut Followed| file.tail.as_ref().is_some_and(|tail| can_park(tail, i64::MIN, Time::MAX));
        let quiet_since = |file: &&mut Followed| file.tail.as_ref().map(|tail| tail.grown_at);
        if let Some(file) = self.files.values_mut().filter(idle).min_by_key(quiet_since) {
            park(file);
        }
    }

    /// Reading failed: says so, and leaves the file alone until it changes.
    pub(super) fn break_off(&mut self, id: u64, error: &io::Error) {
        let Some(file) = self.files.get_mut(&id) else { return };
        (file.broken, file.dirty) = (true, true);
        let path = file.cursor.path.clone();
        if let Some(pattern) = self.patterns.get(file.pattern) {
            pattern.counters.add(Count::Errors, 1);
        }
        let (what, advice) = packed::broken(error);
        self.warner.warn(&path, what, advice);
    }

    /// Closes quiet files, writes old marks again, forgets what is long gone.
    pub(super) fn tidy(&mut self, now: Time) {
        for file in self.files.values_mut() {
            if file.tail.as_ref().is_some_and(|tail| can_park(tail, PARK_QUIET, now)) {
                park(file);
            }
            let is_there = file.present || file.tail.is_some();
            if is_there && file.cursor.state != State::Copy {
                let Cursor { topic, partition, path, .. } = &file.cursor;
                self.partitions.confirm((topic, *partition), path, now, CURSOR_REFRESH);
            }
            file.dirty |= is_there && now.since(file.written_at) >= CURSOR_REFRESH;
        }
        let is_gone =
            |file: &Followed| !file.present && file.tail.is_none() && now.since(file.written_at) >= CURSOR_KEEP;
        let gone: Vec<u64> = self.files.iter().filter(|(_, file)| is_gone(file)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.forget(id));
        self.partitions.forget_before(now.plus(-CURSOR_KEEP - CURSOR_REFRESH));
    }
}

fn can_park(tail: &Tail, quiet: i64, now: Time) -> bool {
    tail.standing == Standing::InPlace && tail.is_idle(quiet, now)
}

fn park(file: &mut Followed) {
    if let Some(tail) = file.tail.take() {
        file.stamp = tail.exhausted();
    }
}
