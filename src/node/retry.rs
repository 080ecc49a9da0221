//! A commit that finds no space waits for it. I/O.
//!
//! What it holds back is upstream: a stage that waits here reads no further, so files wait, connections are not read and
//! pushes are answered with "later". Deliberately for no other error: those end the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::journal::{Commit, Committed, JournalError, Stage};

use super::NodeError;

/// How long a full disk is waited for before the next try.
const PAUSE: Duration = Duration::from_millis(500);

/// Commits; tries again while the disk is full.
///
/// # Errors
/// Those of the journal; [`JournalError::Full`] only where the node stops meanwhile: nothing was written then, and the
/// next start folds the same records again.
pub fn commit<S: Stage>(stage: &mut S, commit: &Commit, stop: &AtomicBool) -> Result<Committed, NodeError> {
    loop {
        match stage.commit(commit.clone()) {
            Ok(committed) => return Ok(committed),
            Err(JournalError::Full { .. }) if !stop.load(Ordering::Relaxed) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
}
