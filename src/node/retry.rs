//! A commit that finds no space waits for it. I/O.
//!
//! What it holds back is upstream: a stage that waits here reads no further, so files wait, connections are not read and
//! pushes are answered with "later". Deliberately for no other error: those end the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::journal::{Commit, Committed, JournalError, Stage};

use super::NodeError;
use super::mutants::{self, Mutant};

/// How long a full disk is waited for before the next try.
const PAUSE: Duration = Duration::from_millis(500);

/// Commits; tries again while the disk is full.
///
/// # Errors
/// Those of the journal; [`JournalError::Full`] only where the node stops meanwhile: nothing was written then, and the
/// next start folds the same records again.
pub fn commit<S: Stage>(stage: &mut S, commit: &Commit, stop: &AtomicBool) -> Result<Committed, NodeError> {
    loop {
        match whole(stage, commit) {
            Ok(committed) => return Ok(committed),
            Err(JournalError::Full { .. }) if mutants::has(Mutant::FailureIgnored) => {
                return Ok(Committed { firsts: vec![0; commit.appends.len()], ..Committed::default() });
            }
            Err(JournalError::Full { .. }) if !stop.load(Ordering::Relaxed) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
}

/// All of it at once, which is what makes a commit one.
fn whole<S: Stage>(stage: &mut S, commit: &Commit) -> Result<Committed, JournalError> {
    let Commit { positions, notes, .. } = commit;
    let positions = || Commit { positions: positions.clone(), notes: notes.clone(), ..Commit::default() };
    let rest = || Commit { positions: Vec::new(), notes: Vec::new(), ..commit.clone() };
    if mutants::has(Mutant::PositionsFirst) {
        return stage.commit(positions()).and_then(|_| stage.commit(rest()));
    }
    if mutants::has(Mutant::PositionsLast) {
        return stage.commit(rest()).and_then(|committed| stage.commit(positions()).map(|_| committed));
    }
    stage.commit(commit.clone())
}
