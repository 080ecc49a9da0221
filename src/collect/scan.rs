//! What became of the files: which are new, which moved, which are copies of what is known. I/O.
//!
//! A scan first looks after the files it knows, then at strangers, then for those that are missing: so whether a file
//! goes on is known before another is taken for its heir. Deliberately without reading lines.

use std::collections::BTreeMap;
use std::io;

use super::counters::Count;
use super::cursor::{Cursor, Identity, State};
use super::follower::{Followed, Follower};
use super::heirs::are_siblings;
use super::judge::{Change, Kin, Seen, change, kin};
use super::log_file::{LogFile, identity};
use super::sight::{Sighting, sightings};
use super::tail::Standing;
use crate::event::Time;
use crate::journal::Journal;

/// So many files are known at a time, with those that are gone and not yet forgotten: about two megabytes of marks, of
/// the eight that the journal keeps for everybody.
const KNOWN_MAX: usize = 4_096;

/// The known files by what they are; several pipelines may follow one.
pub(super) type Index = BTreeMap<Identity, Vec<u64>>;

impl<J: Journal> Follower<J> {
    /// Finds out what became of the files.
    pub(super) fn scan(&mut self, now: Time) {
        self.files.values_mut().for_each(|file| file.present = false);
        let mut strangers = Vec::new();
        let index = self.index();
        for sighting in sightings(&self.patterns, &mut self.warner) {
            let known = self.known(&index, &sighting);
            if !known.is_some_and(|id| self.revisit(id, &sighting, now)) {
                strangers.push((sighting, known));
            }
        }
        for (sighting, known) in strangers {
            let copy = known.filter(|id| self.files.get(id).is_some_and(|file| file.cursor.state == State::Copy));
            self.admit(&sighting, copy, now);
        }
        self.search_missing(now);
        self.update_standings();
        self.tidy(now);
        self.settling.swap(0, 1);
        self.settling[0].clear();
    }

    pub(super) fn index(&self) -> Index {
        let mut index = Index::new();
        for (id, file) in &self.files {
            if let Some(identity) = file.cursor.identity {
                index.entry(identity).or_default().push(*id);
            }
        }
        index
    }

    fn known(&self, index: &Index, sighting: &Sighting) -> Option<u64> {
        let topic = &self.patterns[sighting.pattern].topic;
        let ids = index.get(&sighting.identity)?;
        ids.iter().copied().find(|id| self.files.get(id).is_some_and(|file| file.cursor.topic == *topic))
    }

    /// Looks at a file that is known; `false` where it has to be looked at as a stranger.
    fn revisit(&mut self, id: u64, sighting: &Sighting, now: Time) -> bool {
        let Some(file) = self.files.get_mut(&id) else { return false };
        (file.present, file.pattern) = (true, sighting.pattern);
        if file.tail.is_some() || file.stamp == Some(sighting.stamp) {
            return true;
        }
        if file.cursor.state == State::Copy {
            return false;
        }
        let Some(log) = self.open(sighting) else { return true };
        if log.is_packed() && !self.has_settled(sighting.identity, sighting.stamp) {
            return true;
        }
        match self.judge_again(id, &log, sighting) {
            Ok(true) => self.go_on(id, log, sighting, now),
            Ok(false) => {
                self.release(id);
                return false;
            }
            Err(error) => self.complain(sighting, &error),
        }
        true
    }

    pub(super) fn judge_again(&self, id: u64, log: &LogFile, sighting: &Sighting) -> io::Result<bool> {
        let Some(file) = self.files.get(&id) else { return Ok(false) };
        let alike = log.is_like(&file.cursor)?;
        let size = if log.is_packed() { u64::MAX } else { sighting.stamp.size };
        Ok(change(&file.cursor, Seen { size, alike }) == Change::Grown)
    }

    /// A file that is still what it was: opens it where there may be more to read.
    fn go_on(&mut self, id: u64, log: LogFile, sighting: &Sighting, now: Time) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let is_read = log.is_packed() || file.cursor.offset == sighting.stamp.size;
        if file.cursor.state == State::Done && is_read {
            file.stamp = Some(sighting.stamp);
            return;
        }
        file.cursor.state = State::Open;
        self.attach(id, log, Standing::InPlace, now);
    }

    /// The file with this cursor's identity is another one now: the cursor looks for where its own went.
    pub(super) fn release(&mut self, id: u64) {
        let Some(file) = self.files.get_mut(&id) else { return };
        file.cursor.identity = None;
        (file.tail, file.stamp, file.present, file.dirty) = (None, None, false, true);
        if let Some(pattern) = self.patterns.get(file.pattern) {
            pattern.counters.add(Count::Rotations, 1);
        }
    }

    /// Looks at a file that is not known, or was taken for a copy of one and has changed.
    fn admit(&mut self, sighting: &Sighting, copy: Option<u64>, now: Time) {
        let Some(log) = self.open(sighting) else { return self.remember_unopened(sighting, now) };
        if log.is_packed() && !self.has_settled(sighting.identity, sighting.stamp) {
            return;
        }
        match self.closest(&log, sighting) {
            Ok((Kin::Heir, id)) => {
                copy.into_iter().for_each(|copy| self.forget(copy));
                self.inherit(id, log, sighting, now);
            }
            Ok((Kin::Copy, _)) => self.set_aside(sighting, copy, now),
            Ok((Kin::Stranger, _)) => self.begin(log, sighting, copy, now),
            Err(error) => self.complain(sighting, &error),
        }
    }

    /// What a stranger is to the files that are known, and to which.
    fn closest(&self, log: &LogFile, sighting: &Sighting) -> io::Result<(Kin, u64)> {
        let mut closest = (Kin::Stranger, 0, 0);
        let topic = &self.patterns[sighting.pattern].topic;
        for (id, file) in &self.files {
            let cursor = &file.cursor;
            if cursor.topic != *topic
                || cursor.identity == Some(sighting.identity)
                || file.rejected.contains(&sighting.identity)
                || !are_siblings(&cursor.path, &sighting.path)
            {
                continue;
            }
            // In this order: should the open file be emptied between the two, its copy is whole by then.
            let part = file.tail.as_ref().map_or(Ok(false), |tail| log.is_part_of(&tail.log))?;
            let alike = cursor.print.tells() && log.is_like(cursor)?;
            let found = kin(cursor, file.tail.is_some(), alike, part);
            let better = match found {
                Kin::Stranger => false,
                Kin::Copy => closest.0 == Kin::Stranger,
                Kin::Heir => closest.0 != Kin::Heir || cursor.offset > closest.2,
            };
            if better {
                closest = (found, *id, cursor.offset);
            }
        }
        Ok((closest.0, closest.1))
    }

    fn inherit(&mut self, id: u64, log: LogFile, sighting: &Sighting, now: Time) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let standing = if file.cursor.path == sighting.path { Standing::InPlace } else { Standing::Heir };
        (file.present, file.pattern) = (true, sighting.pattern);
        self.attach(id, log, standing, now);
    }

    /// Nothing is taken of a copy, unless it turns out to be none.
    fn set_aside(&mut self, sighting: &Sighting, copy: Option<u64>, now: Time) {
        let id = copy.or_else(|| self.add(sighting, now));
        let Some(file) = id.and_then(|id| self.files.get_mut(&id)) else { return };
        file.cursor.state = State::Copy;
        file.stamp = Some(sighting.stamp);
    }

    /// A new file: read whole, or from its end where it was there before Sekisho was.
    fn begin(&mut self, log: LogFile, sighting: &Sighting, copy: Option<u64>, now: Time) {
        let Some(id) = copy.or_else(|| self.add(sighting, now)) else { return };
        let pattern = &self.patterns[sighting.pattern];
        let skips = pattern.from_end && !pattern.begun;
        let Some(file) = self.files.get_mut(&id) else { return };
        file.cursor.partition = self.partitions.of(&file.cursor.topic, &file.cursor.path, now);
        (file.cursor.state, file.dirty) = (State::Open, true);
        if skips && log.is_packed() {
            file.cursor.state = State::Done;
            file.stamp = Some(sighting.stamp);
            return;
        }
        if skips && let Ok((end, witness)) = log.end().and_then(|end| Ok((end, log.witness(end)?))) {
            file.cursor.offset = end;
            file.cursor.print = witness.print();
        }
        self.attach(id, log, Standing::InPlace, now);
    }

    /// A file that was there at the very first start and cannot be read yet: it will be, from where it ends now.
    fn remember_unopened(&mut self, sighting: &Sighting, now: Time) {
        let pattern = &self.patterns[sighting.pattern];
        if pattern.from_end
            && !pattern.begun
            && let Some(file) = self.add(sighting, now).and_then(|id| self.files.get_mut(&id))
        {
            file.cursor.partition = self.partitions.of(&file.cursor.topic, &file.cursor.path, now);
            file.cursor.offset = sighting.stamp.size;
        }
    }

    pub(super) fn add(&mut self, sighting: &Sighting, now: Time) -> Option<u64> {
        if self.files.len() >= KNOWN_MAX && !self.forget_one() {
            let what = format!("more than {KNOWN_MAX} files are known: this one is not followed");
            self.warner.warn(&sighting.path, what, "make the patterns narrower");
            return None;
        }
        let cursor = Cursor::new(&self.patterns[sighting.pattern].topic, &sighting.path, sighting.identity);
        let id = self.next_id;
        self.next_id += 1;
        self.files.insert(id, Followed::new(cursor, sighting.pattern, now));
        Some(id)
    }

    /// Whether files that are open still lie under the name by which they were found.
    fn update_standings(&mut self) {
        for file in self.files.values_mut() {
            let Some(tail) = file.tail.as_mut().filter(|tail| tail.standing != Standing::Heir) else { continue };
            let standing = match std::fs::metadata(&file.cursor.path) {
                Ok(metadata) if identity(&metadata) == tail.log.identity => Standing::InPlace,
                Ok(metadata) => Standing::Moved { replaced: metadata.len() > 0 },
                Err(_) => Standing::Moved { replaced: false },
            };
            let moves = tail.standing == Standing::InPlace && standing != Standing::InPlace;
            if moves && let Some(pattern) = self.patterns.get(file.pattern) {
                pattern.counters.add(Count::Rotations, 1);
            }
            tail.standing = standing;
        }
    }

    pub(super) fn forget(&mut self, id: u64) {
        if self.files.remove(&id).is_some() {
            self.removed.push(id);
        }
    }

    /// Forgets the file that has been done and gone longest.
    fn forget_one(&mut self) -> bool {
        let is_over = |file: &Followed| !file.present && file.tail.is_none() && file.cursor.state != State::Open;
        let over = self.files.iter().filter(|(_, file)| is_over(file));
        let oldest = over.min_by_key(|(_, file)| file.written_at).map(|(id, _)| *id);
        oldest.into_iter().for_each(|id| self.forget(id));
        oldest.is_some()
    }
}
