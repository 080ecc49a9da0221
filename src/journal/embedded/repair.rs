//! `sekisho journal repair`: copies what is whole into a new log, and writes down what is not. I/O.
//!
//! Offsets and times stay what they were. Where records are gone, a gap frame says which offsets of which partition, and
//! readers are told ([`crate::journal::Fetched::is_lost`]). The damaged log is kept beside the new one. Deliberately
//! without guesses: a section with a bad checksum is lost as a whole.

#![expect(clippy::disallowed_methods, reason = "the folder of the log is swapped here")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::Input;
use crate::journal::{JournalError, Mark};

use super::disk::Disk;
use super::files::{FOLDER, Files, Lock, REPAIRED, sync_folder};
use super::frame::{Body, Kind};
use super::heads::{Found, Heads};
use super::inspect::{DAMAGES_MAX, Damage, Seen, walk};
use super::open::begin;
use super::shared::{Settings, Shared, held};
use super::state::{POSITION_GONE, State};
use super::writer::Draft;

/// Folders of damaged logs that are looked for a free name.
const DAMAGED_MAX: u32 = 1_000;

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    pub frames: u64,
    pub records: u64,
    /// Offsets that are gone.
    pub lost: Vec<(Input, Range<u64>)>,
    /// The first of them, at most [`DAMAGES_MAX`].
    pub damages: Vec<Damage>,
    pub damages_total: u64,
    /// Where the damaged log lies now; none where there was nothing to repair.
    pub kept_at: Option<PathBuf>,
}

/// Repairs the log of a data directory that no process uses. Without damage nothing is changed.
///
/// # Errors
/// [`JournalError::Locked`] while a node runs; the disk's, and then the old log is as it was.
pub fn repair_directory(data: &Path, settings: Settings) -> Result<Repaired, JournalError> {
    let fail = |why: std::io::Error| JournalError::Unwritable { path: data.to_owned(), why: why.to_string() };
    let lock = Lock::take(data)?;
    super::files::finish_repair(data).map_err(fail)?;
    let from = Files::for_reading(data);
    let fresh = data.join(REPAIRED);
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(fail)?;
    }
    let into = Files::at(fresh.clone(), lock)?;
    let mut repaired = repair(&from, Arc::new(into), settings)?;
    let _lock = Lock::take(data)?;
    if repaired.damages_total == 0 {
        fs::remove_dir_all(&fresh).map_err(fail)?;
        return Ok(repaired);
    }
    let names = (1..=DAMAGED_MAX).map(|number| data.join(format!("{FOLDER}.damaged-{number}")));
    let kept_at = names.into_iter().find(|path| !path.exists()).unwrap_or_else(|| data.join("journal.damaged"));
    let swap = fs::rename(data.join(FOLDER), &kept_at).and_then(|()| fs::rename(&fresh, data.join(FOLDER)));
    swap.and_then(|()| sync_folder(data)).map_err(fail)?;
    repaired.kept_at = Some(kept_at);
    Ok(repaired)
}

/// Copies what is whole of one log to an empty disk.
///
/// # Errors
/// The disk's, either one's.
pub fn repair(from: &dyn Disk, into: Arc<dyn Disk>, settings: Settings) -> Result<Repaired, JournalError> {
    let mut rebuild = Rebuild { into, settings, log: None, repaired: Repaired::default(), distrust: false };
    walk(from, &mut |seen| rebuild.see(seen))?;
    Ok(rebuild.repaired)
}

struct Rebuild {
    into: Arc<dyn Disk>,
    settings: Settings,
    log: Option<Shared>,
    repaired: Repaired,
    /// Positions and marks may have been lost: the next checkpoint says what they were.
    distrust: bool,
}

impl Rebuild {
    fn see(&mut self, seen: Seen<'_>) -> Result<(), JournalError> {
        match seen {
            Seen::Segment(..) | Seen::TornTail(_) => Ok(()),
            Seen::Damage(damage) => {
                self.distrust = true;
                self.repaired.damages_total += 1;
                if self.repaired.damages.len() < DAMAGES_MAX {
                    self.repaired.damages.push(damage);
                }
                Ok(())
            }
            Seen::Frame(heads, found, _) => self.frame(heads, found),
        }
    }

    fn frame(&mut self, heads: &mut Heads, found: &Found) -> Result<(), JournalError> {
        let payload = heads.payload(found).unwrap_or_default();
        let log = match self.log.take() {
            Some(log) => log,
            None => self.begin(found)?,
        };
        let copied = match found.header.kind {
            Kind::Checkpoint => self.checkpoint(&log, found),
            Kind::Commit | Kind::Gap => self.copy(&log, found, &payload),
        };
        self.log = Some(log);
        copied
    }

    /// The new log begins where the old one did.
    fn begin(&self, found: &Found) -> Result<Shared, JournalError> {
        let mut state = State::new(self.into.secret());
        if found.header.kind == Kind::Checkpoint {
            state.resume(&found.header, found.body.clone());
        }
        let time = found.header.appended_at;
        let has_reserve = false;
        begin(self.into.clone(), Arc::new(move || time), self.settings.clone(), state, has_reserve)
    }

    fn copy(&mut self, log: &Shared, found: &Found, payload: &[u8]) -> Result<(), JournalError> {
        let state = log.state();
        let behind = found.body.sections.iter().any(|section| section.base < state.next(&section.input));
        let begins = found.body.sections.iter().map(|section| (&section.input, section.base));
        // A position shows what once was there; offsets must not be given again below it.
        let own = |input: &Input| found.body.sections.iter().any(|section| section.input == *input);
        let positions = found.body.positions.iter().filter(|(_, input, next)| *next != POSITION_GONE && !own(input));
        let lost = missing(&state, begins.chain(positions.map(|(_, input, next)| (input, *next))));
        drop(state);
        if behind {
            return Ok(());
        }
        self.write_gap(log, found, lost)?;
        self.repaired.frames += 1;
        self.repaired.records += found.body.sections.iter().map(|section| u64::from(section.count)).sum::<u64>();
        write(log, found, found.header.kind, found.body.clone(), payload)
    }

    /// A checkpoint is the truth about what damage before it took away.
    fn checkpoint(&mut self, log: &Shared, found: &Found) -> Result<(), JournalError> {
        if !std::mem::take(&mut self.distrust) {
            return Ok(());
        }
        let state = log.state();
        let lost = missing(&state, found.body.nexts.iter().map(|(input, next)| (input, *next)));
        let said: BTreeMap<&str, &Mark> = found.body.marks.iter().map(|mark| (mark.key.as_str(), mark)).collect();
        let gone = state.checkpoint().marks.into_iter().filter(|mark| !said.contains_key(mark.key.as_str()));
        let removed = gone.map(|mark| Mark { value: None, ..mark });
        let marks = removed.chain(found.body.marks.iter().cloned()).collect();
        drop(state);
        self.write_gap(log, found, lost)?;
        let body = Body { positions: found.body.positions.clone(), marks, ..Body::default() };
        write(log, found, Kind::Commit, body, &[])
    }

    fn write_gap(&mut self, log: &Shared, found: &Found, lost: Vec<(Input, Range<u64>)>) -> Result<(), JournalError> {
        if lost.is_empty() {
            return Ok(());
        }
        self.repaired.lost.extend(lost.iter().cloned());
        write(log, found, Kind::Gap, Body { lost, ..Body::default() }, &[])
    }
}

/// Offsets between what the new log has and what comes next.
fn missing<'a>(state: &State, begins: impl Iterator<Item = (&'a Input, u64)>) -> Vec<(Input, Range<u64>)> {
    let mut gaps: BTreeMap<Input, u64> = BTreeMap::new();
    for (input, base) in begins.filter(|(input, base)| *base > state.next(input)) {
        let until = gaps.entry(input.clone()).or_insert(base);
        *until = base.max(*until);
    }
    gaps.into_iter().map(|(input, until)| (input.clone(), state.next(&input)..until)).collect()
}

fn write(log: &Shared, found: &Found, kind: Kind, body: Body, payload: &[u8]) -> Result<(), JournalError> {
    let appended_at = found.header.appended_at.max(log.state().appended_at);
    held(&log.writer).write_frame(log, Draft::of(kind, body, appended_at), payload).map(drop)
}
