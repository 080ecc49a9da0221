//! `sekisho.signals` → alerts, blocks, incidents, answers: the one thread that decides. I/O only through the journal.
//!
//! Start is the same whatever came before: the newest state that is not beyond the committed position, then every record
//! up to that position folded again with its outcomes dropped, then on. Deliberately without a clock: when a snapshot is
//! worth its time is the caller's word.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::event::{Entry, Input, SIGNALS, Time};
use crate::fold::{Folded, Folder, FolderState, signals};
use crate::journal::{
    Commit, Committed, Fetched, Journal, JournalError, NewRecord, Records, Stage, StoredRecord, Subscription,
};

use super::catalogs::{self, Catalogs};
use super::floors::Floors;
use super::journalled::{self, PART_BYTES, states};
use super::mutants::{self, Mutant};
use super::outputs::Outputs;
use super::snapshot;
use super::steps::{Step, Steps};
use super::{NodeError, retry, start};

/// The name that owns the position of decide.
pub const STAGE: &str = "decide";
/// Bytes of packs read at a time: each is up to 512 KiB.
const POLL_BYTES: usize = 2 << 20;

/// Outcomes of one commit: some five kilobytes each at most, so a commit stays far below what the journal takes. One pack
/// may add some thousands to it.
const OUTCOMES_MAX: usize = 2_000;

/// The thread that decides.
pub struct Decider<J: Journal> {
    stage: J::Stage,
    folder: Folder,
    catalogs: Catalogs<J>,
    journal: Arc<J>,
    floors: Floors,
    pub(super) steps: Steps,
}

/// How a decider came to its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The first record that was folded again.
    pub from: u64,
    /// The first record that is decided now.
    pub to: u64,
    /// Whether records before `from` are gone and no state stood for them: what they would have told is not known.
    pub blind: bool,
}

impl<J: Journal> Decider<J> {
    /// Takes deciding up where the journal says it was.
    ///
    /// # Errors
    /// Those of the journal, and of catalogs it names.
    pub fn start(journal: &Arc<J>, own: &Arc<Catalog>, snapshots: &Path) -> Result<(Decider<J>, Restored), NodeError> {
        let stage = journal.stage(STAGE, Subscription::topics([SIGNALS]))?;
        Decider::take_up((journal, stage), own, snapshots)
    }

    /// The same with a stage that owns the signals.
    ///
    /// # Errors
    /// As [`Decider::start`].
    pub fn take_up(
        (journal, mut stage): (&Arc<J>, J::Stage),
        own: &Arc<Catalog>,
        snapshots: &Path,
    ) -> Result<(Decider<J>, Restored), NodeError> {
        let committed = stage.position(&signals()).unwrap_or(0);
        let mut catalogs = Catalogs::new(Arc::clone(journal), own);
        let (folder, restored) = restored(&**journal, own, &mut catalogs, (snapshots, committed))?;
        stage.seek(&signals(), restored.to)?;
        let floors = Floors::default();
        floors.set(needed(&**journal, committed)?);
        let (journal, steps) = (Arc::clone(journal), Steps::default());
        Ok((Decider { stage, folder, catalogs, journal, floors, steps }, restored))
    }

    /// Folds what there is, waiting for it up to `timeout`, and commits what leaves. Gives what left.
    ///
    /// # Errors
    /// [`NodeError`]; then this decider is of no more use.
    pub fn step(&mut self, timeout: Duration, stop: &AtomicBool) -> Result<Folded, NodeError> {
        let blocks = self.stage.poll(POLL_BYTES, timeout)?;
        if self.stage.moved().contains(&signals()) {
            let why = "another process decides now".to_owned();
            return Err(JournalError::Undone { why }.into());
        }
        let (mut folded, mut whole) = (Folded::default(), Folded::default());
        for record in blocks.iter().flat_map(Fetched::iter) {
            fold(&mut self.folder, &record, &mut self.catalogs, &mut folded)?;
            if folded.outcomes.len() >= OUTCOMES_MAX {
                self.commit(&mut folded, &mut whole, stop)?;
            }
        }
        let lost = blocks.iter().filter(|block| block.is_lost()).map(|block| block.offsets().end).max();
        lost.into_iter().for_each(|next| self.folder.skip_to(next));
        if !blocks.is_empty() {
            self.commit(&mut folded, &mut whole, stop)?;
        }
        Ok(whole)
    }

    /// Commits what was folded since the last commit, with the place it ends at.
    fn commit(&mut self, folded: &mut Folded, whole: &mut Folded, stop: &AtomicBool) -> Result<(), NodeError> {
        let mut appends: Vec<(Input, Records)> = Outputs::of(folded).appends().collect();
        let outputs = appends.len();
        let first_part = if folded.state_due { Some(self.add_state(&mut appends, stop)?) } else { None };
        let positions = vec![(signals(), self.folder.next())];
        let commit = Commit { appends, positions, ..Commit::default() };
        self.steps.reach(Step::DecideFolded);
        let Committed { firsts, .. } = retry::commit(&mut self.stage, &commit, stop)?;
        self.steps.reach(Step::DecideCommitted);
        if let Some(first_part) = first_part {
            let here = commit.appends[outputs..].iter().zip(&firsts[outputs..]);
            let mut floors: Vec<(Input, u64)> = here.map(|((input, _), first)| (input.clone(), *first)).collect();
            floors.extend(first_part.map(|first| (states(), first)));
            floors.push((signals(), self.folder.next()));
            self.floors.set(floors);
        }
        whole.take(folded);
        Ok(())
    }

    /// The fold and its state.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes a snapshot of the committed state.
    ///
    /// # Errors
    /// Those of the file system; nothing is lost by them.
    pub fn snapshot(&self, folder: &Path) -> std::io::Result<()> {
        let state = self.folder.save();
        snapshot::write(folder, state.next, &snapshot::encode(&state)?, &self.steps)
    }

    /// What a restore needs and retention must keep.
    pub fn floors(&self) -> &Floors {
        &self.floors
    }

    /// Adds the state and the catalog it stands for: a restore begins with them, so what lies before may go. All parts of
    /// the state but the last are committed at once; gives the offset of the first of those, where there are any.
    fn add_state(&mut self, appends: &mut Vec<(Input, Records)>, stop: &AtomicBool) -> Result<Option<u64>, NodeError> {
        let bytes = snapshot::encode(&self.folder.save()).map_err(|error| NodeError::Environment {
            what: "the hourly state".to_owned(),
            error: error.to_string(),
            advice: "give the process more memory".to_owned(),
        })?;
        let mut parts = journalled::parts(self.folder.next(), &bytes, PART_BYTES);
        let last = parts.pop().unwrap_or_default();
        let mut first = None;
        for part in parts {
            let commit = Commit { appends: vec![(states(), part)], ..Commit::default() };
            first = first.or(retry::commit(&mut self.stage, &commit, stop)?.firsts.first().copied());
        }
        let name = self.folder.decide().catalog().hash;
        let text = catalogs::find(&*self.journal, name)?.ok_or(NodeError::NoCatalog(name))?;
        let mut catalog = Records::default();
        catalog.push(NewRecord { key: Some(name.to_string().as_bytes()), value: &text, spoofable: false });
        if first.is_none() {
            appends.push((states(), last));
        } else {
            let commit = Commit { appends: vec![(states(), last)], ..Commit::default() };
            retry::commit(&mut self.stage, &commit, stop)?;
        }
        appends.push((catalogs::input(), catalog));
        Ok(first)
    }
}

/// The fold as it was when `committed` was, and how it came to be.
///
/// # Errors
/// Those of the journal, and of catalogs it names.
pub fn restored<J: Journal>(
    journal: &J,
    own: &Arc<Catalog>,
    catalogs: &mut Catalogs<J>,
    (snapshots, committed): (&Path, u64),
) -> Result<(Folder, Restored), NodeError> {
    let start = journal.partitions(SIGNALS)?.first().map_or(0, |(_, range)| range.start);
    let ahead = mutants::has(Mutant::SnapshotAhead);
    let usable = |state: &FolderState| state.next >= start && (ahead || state.next <= committed);
    let state = match snapshot::newest(snapshots, if ahead { u64::MAX } else { committed }).filter(usable) {
        Some(state) => Some(state),
        None => journalled::newest(journal, committed)?.map(|(_, state)| state).filter(usable),
    };
    let blind = state.is_none() && start > 0;
    let mut folder = match state {
        Some(state) => Folder::restore(catalogs.get(state.catalog)?, state, seed()),
        None => Folder::new(Arc::clone(own), start, seed()),
    };
    let from = folder.next();
    while folder.next() < committed {
        let blocks = journal.read(&signals(), folder.next(), POLL_BYTES)?;
        if blocks.is_empty() {
            break;
        }
        let lost = blocks.iter().filter(|block| block.is_lost()).map(|block| block.offsets().end.min(committed)).max();
        lost.into_iter().for_each(|next| folder.skip_to(next));
        let again = blocks.iter().flat_map(Fetched::iter).take_while(|record| record.offset < committed);
        for record in again {
            fold(&mut folder, &record, catalogs, &mut Folded::default())?;
        }
    }
    let to = folder.next();
    Ok((folder, Restored { from, to, blind }))
}

/// What a restore reads: the newest journalled state and what came since, or everything.
fn needed<J: Journal>(journal: &J, committed: u64) -> Result<Vec<(Input, u64)>, JournalError> {
    Ok(match journalled::newest(journal, committed)? {
        Some((offset, state)) => vec![(states(), offset), (signals(), state.next)],
        None => vec![(signals(), 0), (catalogs::input(), 0)],
    })
}

/// Folds one record.
///
/// # Errors
/// [`NodeError::Entry`], and those of catalogs.
pub(super) fn fold<J: Journal>(
    folder: &mut Folder,
    record: &StoredRecord<'_>,
    catalogs: &mut Catalogs<J>,
    out: &mut Folded,
) -> Result<(), NodeError> {
    let (offset, at): (u64, Time) =
        (record.offset, if mutants::has(Mutant::WallClock) { start::now() } else { record.appended_at });
    let entry = Entry::decode(record.value).map_err(|entry| NodeError::Entry { offset, entry })?;
    folder.fold((offset, at), entry, &mut |name| catalogs.get(name), out)
}

/// Keys of windows come from attackers; a seed nobody knows keeps them from colliding. It cannot be seen in any result.
pub(super) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
