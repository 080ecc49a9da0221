//! Looks for what became of a file that was not read to its end and is not where it was. I/O.
//!
//! After a rename it has the same inode under another name; after a copy that was truncated, or a compression, another
//! file says what it said. Deliberately only in its own folder, and only under names that rotation makes of its own.

use std::path::Path;

use super::cursor::{Cursor, State};
use super::follower::{Followed, Follower};
use super::judge::may_be_siblings;
use super::log_file::{identity, stamp};
use super::scan::Index;
use super::sight::Sighting;
use super::tail::Standing;
use crate::event::{MINUTE, Time};
use crate::journal::Journal;

/// A file that was not read to its end and cannot be found is looked for so long.
const MISSING_WAIT: i64 = MINUTE;

impl<J: Journal> Follower<J> {
    /// Looks for files that were not read to their end and are not where a pattern finds them.
    pub(super) fn search_missing(&mut self, now: Time) {
        let is_missing = |file: &Followed| file.cursor.state == State::Open && file.tail.is_none() && !file.present;
        let topics: Vec<&str> = self.patterns.iter().map(|pattern| pattern.topic.as_str()).collect();
        let is_ours = |file: &Followed| topics.contains(&file.cursor.topic.as_str());
        let missing = self.files.iter().filter(|(_, file)| is_missing(file) && is_ours(file)).map(|(id, _)| *id);
        for id in missing.collect::<Vec<u64>>() {
            self.search(id, now);
            let Some(file) = self.files.get_mut(&id).filter(|file| file.tail.is_none()) else { continue };
            let since = *file.missing_since.get_or_insert(now);
            if now.since(since) >= MISSING_WAIT {
                (file.cursor.state, file.dirty) = (State::Done, true);
            }
        }
    }

    /// Looks for one file in its folder: under another name, or as a copy, compressed or not.
    pub(super) fn search(&mut self, id: u64, now: Time) {
        let Some(cursor) = self.files.get(&id).map(|file| file.cursor.clone()) else { return };
        let index = self.index();
        let pattern = self.files.get(&id).map_or(0, |file| file.pattern.min(self.patterns.len() - 1));
        for path in siblings(&cursor.path) {
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if !metadata.is_file() {
                continue;
            }
            let sighting = Sighting { path, identity: identity(&metadata), stamp: stamp(&metadata), pattern };
            let is_itself = cursor.identity == Some(sighting.identity);
            let owner = self.owner(&index, &sighting, id, &cursor);
            let is_copy = |id: &u64| self.files.get(id).is_some_and(|file| file.cursor.state == State::Copy);
            let is_free = is_itself || owner.as_ref().is_none_or(is_copy);
            if is_free && self.try_heir(id, &sighting, is_itself, now) {
                owner.into_iter().for_each(|copy| self.forget(copy));
                return;
            }
        }
    }

    /// The other cursor of the same topic that speaks of this file.
    fn owner(&self, index: &Index, sighting: &Sighting, id: u64, cursor: &Cursor) -> Option<u64> {
        let mut others = index.get(&sighting.identity)?.iter().copied().filter(|other| *other != id);
        others.find(|other| self.files.get(other).is_some_and(|file| file.cursor.topic == cursor.topic))
    }

    fn try_heir(&mut self, id: u64, sighting: &Sighting, is_itself: bool, now: Time) -> bool {
        let Some(file) = self.files.get(&id) else { return false };
        if file.rejected.contains(&sighting.identity) || !(is_itself || file.cursor.print.tells()) {
            return false;
        }
        let Some(log) = self.open(sighting) else { return false };
        if log.is_packed() && !self.has_settled(sighting.identity, sighting.stamp) {
            return false;
        }
        match self.judge_again(id, &log, sighting) {
            Ok(true) => {
                let standing = if is_itself { Standing::Moved { replaced: false } } else { Standing::Heir };
                self.attach(id, log, standing, now);
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.complain(sighting, &error);
                false
            }
        }
    }

    /// The file of this cursor says something else now: it is followed as a new one from its start, and the cursor
    /// looks for a copy with what it had not read.
    pub(super) fn succeed(&mut self, id: u64, now: Time) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let Some(tail) = file.tail.take() else { return };
        let (path, pattern, partition) = (file.cursor.path.clone(), file.pattern, file.cursor.partition);
        let identity = tail.log.identity;
        let is_own = tail.standing != Standing::Heir && !tail.log.is_packed();
        if !is_own {
            file.rejected.insert(identity);
        }
        self.release(id);
        if is_own && let Ok((stamp, _)) = tail.log.look() {
            let sighting = Sighting { path, identity, stamp, pattern: pattern.min(self.patterns.len() - 1) };
            if let Some(new) = self.add(&sighting, now) {
                let file = self.files.get_mut(&new);
                file.into_iter().for_each(|file| file.cursor.partition = partition);
                self.attach(new, tail.log, tail.standing, now);
            }
        }
        self.search(id, now);
    }
}

/// Whether two files may be of one log: in one folder, under names that rotation makes.
pub(super) fn are_siblings(one: &str, other: &str) -> bool {
    let (one, other) = (Path::new(one), Path::new(other));
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    one.parent() == other.parent() && may_be_siblings(&name(one), &name(other))
}

/// The files of one folder that may be rotations of this one, in order of their names.
fn siblings(path: &str) -> Vec<String> {
    let Some(folder) = Path::new(path).parent() else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path().display().to_string());
    let mut paths: Vec<String> = paths.filter(|other| other == path || are_siblings(path, other)).collect();
    paths.sort();
    paths
}
