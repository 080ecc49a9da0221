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
use crate::journal::{Commit, Committed, Fetched, Journal, JournalError, NewRecord, Records, Stage, Subscription};

use super::catalogs::{self, Catalogs};
use super::floors::Floors;
use super::outputs::Outputs;
use super::snapshot::{self, STATES};
use super::steps::{Step, Steps};
use super::{NodeError, retry};

/// The name that owns the position of decide.
pub const STAGE: &str = "decide";
/// Bytes of packs read at a time: each is up to 512 KiB.
const POLL_BYTES: usize = 2 << 20;

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
        let mut stage = journal.stage(STAGE, Subscription::topics([SIGNALS]))?;
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
        let mut folded = Folded::default();
        blocks.iter().try_for_each(|block| fold(&mut self.folder, block, u64::MAX, &mut self.catalogs, &mut folded))?;
        if blocks.is_empty() {
            return Ok(folded);
        }
        let mut appends: Vec<(Input, Records)> = Outputs::of(&folded).appends().collect();
        let state = folded.state_due.then_some(appends.len());
        if folded.state_due {
            appends.extend(self.state_records()?);
        }
        let positions = vec![(signals(), self.folder.next())];
        let commit = Commit { appends, positions, ..Commit::default() };
        self.steps.reach(Step::DecideFolded);
        let Committed { firsts, .. } = retry::commit(&mut self.stage, &commit, stop)?;
        self.steps.reach(Step::DecideCommitted);
        if let Some(state) = state {
            let journalled = commit.appends[state..].iter().zip(&firsts[state..]);
            let kept = journalled.map(|((input, _), first)| (input.clone(), *first));
            self.floors.set(kept.chain([(signals(), self.folder.next())]).collect());
        }
        Ok(folded)
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

    /// The state and the catalog it stands for: a restore begins with them, so what lies before may go.
    fn state_records(&mut self) -> Result<[(Input, Records); 2], NodeError> {
        let bytes = snapshot::encode(&self.folder.save()).map_err(|error| NodeError::Environment {
            what: "the hourly state".to_owned(),
            error: error.to_string(),
            advice: "give the process more memory".to_owned(),
        })?;
        let name = self.folder.decide().catalog().hash;
        let text = catalogs::find(&*self.journal, name)?.ok_or(NodeError::NoCatalog(name))?;
        let (mut state, mut catalog) = (Records::default(), Records::default());
        state.push(NewRecord { key: Some(STAGE.as_bytes()), value: &bytes, spoofable: false });
        catalog.push(NewRecord { key: Some(name.to_string().as_bytes()), value: &text, spoofable: false });
        Ok([(states(), state), (catalogs::input(), catalog)])
    }
}

/// The partition of hourly states.
pub fn states() -> Input {
    Input { topic: STATES.to_owned(), partition: 0 }
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
    let usable = |state: &FolderState| state.next >= start && state.next <= committed;
    let state = match snapshot::newest(snapshots, committed).filter(usable) {
        Some(state) => Some(state),
        None => journalled(journal, committed)?.map(|(_, state)| state).filter(usable),
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
        let mut dropped = Folded::default();
        blocks.iter().try_for_each(|block| fold(&mut folder, block, committed, catalogs, &mut dropped))?;
    }
    let to = folder.next();
    Ok((folder, Restored { from, to, blind }))
}

/// The newest state in the journal that is not beyond `committed`.
fn journalled<J: Journal>(journal: &J, committed: u64) -> Result<Option<(u64, FolderState)>, JournalError> {
    let Some((input, range)) = journal.partitions(STATES)?.into_iter().next() else { return Ok(None) };
    for offset in range.rev() {
        let blocks = journal.read(&input, offset, 1)?;
        let record = blocks.iter().flat_map(Fetched::iter).find(|record| record.offset == offset);
        let state = record.and_then(|record| snapshot::decode(record.value));
        if let Some(state) = state.filter(|state| state.next <= committed) {
            return Ok(Some((offset, state)));
        }
    }
    Ok(None)
}

/// What a restore reads: the newest journalled state and what came since, or everything.
fn needed<J: Journal>(journal: &J, committed: u64) -> Result<Vec<(Input, u64)>, JournalError> {
    Ok(match journalled(journal, committed)? {
        Some((offset, state)) => vec![(states(), offset), (signals(), state.next)],
        None => vec![(signals(), 0), (catalogs::input(), 0)],
    })
}

/// Folds the records of a block that lie below `end`.
///
/// # Errors
/// [`NodeError::Entry`], and those of catalogs.
pub(super) fn fold<J: Journal>(
    folder: &mut Folder,
    block: &Fetched,
    end: u64,
    catalogs: &mut Catalogs<J>,
    out: &mut Folded,
) -> Result<(), NodeError> {
    if block.is_lost() {
        folder.skip_to(block.offsets().end.min(end));
    }
    for record in block.iter().take_while(|record| record.offset < end) {
        let (offset, at): (u64, Time) = (record.offset, record.appended_at);
        let entry = Entry::decode(record.value).map_err(|entry| NodeError::Entry { offset, entry })?;
        folder.fold((offset, at), entry, &mut |name| catalogs.get(name), out)?;
    }
    Ok(())
}

/// Keys of windows come from attackers; a seed nobody knows keeps them from colliding. It cannot be seen in any result.
pub(super) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
