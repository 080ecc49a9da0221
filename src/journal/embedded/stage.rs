//! One stage's handle on the embedded log. I/O.
//!
//! Partitions take turns: each poll begins with the one after the last one's first, and gives all that have records a
//! share. Deliberately without retries: what a failed commit means is the runner's to decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::event::Input;
use crate::journal::{Commit, Committed, Fetched, JournalError, Stage, Subscription};

use super::prepare::note_key;
use super::read::Cursor;
use super::shared::{Registered, Shared, held};

/// The handle.
pub struct EmbeddedStage {
    shared: Arc<Shared>,
    name: String,
    handle: u64,
    subscription: Subscription,
    cursors: BTreeMap<Input, Cursor>,
    /// The partition that begins the next poll is the first after this one.
    last: Option<Input>,
}

impl EmbeddedStage {
    pub(super) fn new(shared: Arc<Shared>, name: &str, subscription: Subscription) -> EmbeddedStage {
        let mut stages = held(&shared.stages);
        let handle = shared.handles.fetch_add(1, Ordering::Relaxed);
        stages.insert(name.to_owned(), Registered { handle, subscription: subscription.clone() });
        drop(stages);
        EmbeddedStage { shared, name: name.to_owned(), handle, subscription, cursors: BTreeMap::new(), last: None }
    }

    /// The partitions that have records for it, in turn, and its newest sequence when it looked.
    fn due(&mut self) -> (Vec<Input>, u64) {
        let state = self.shared.state();
        let mut due = Vec::new();
        for (input, next) in &state.nexts {
            if !self.subscription.covers(input) {
                continue;
            }
            if !self.cursors.contains_key(input) {
                let begin = begin_at(&state, &self.name, input);
                self.cursors.insert(input.clone(), Cursor::at(begin));
            }
            if self.cursors.get(input).is_some_and(|cursor| cursor.next < *next) {
                due.push(input.clone());
            }
        }
        let turn = self.last.as_ref().map_or(0, |last| due.partition_point(|input| input <= last));
        due.rotate_left(turn);
        (due, state.sequence - 1)
    }

    fn take(&mut self, due: Vec<Input>, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        let share = bytes / due.len().max(1);
        let mut blocks: Vec<Fetched> = Vec::new();
        let mut taken = 0;
        self.last = due.first().cloned();
        for input in due {
            if taken >= bytes && !blocks.is_empty() {
                break;
            }
            let Some(cursor) = self.cursors.get_mut(&input) else { continue };
            let fetched = cursor.fetch(&self.shared, &input, share)?;
            taken += fetched.iter().map(Fetched::bytes).sum::<usize>();
            blocks.extend(fetched);
        }
        Ok(blocks)
    }
}

/// Its committed position, else the beginning of the log.
fn begin_at(state: &super::state::State, stage: &str, input: &Input) -> u64 {
    let position = state.positions.get(stage).and_then(|inputs| inputs.get(input));
    position.copied().unwrap_or_else(|| state.start(input))
}

impl Stage for EmbeddedStage {
    fn poll(&mut self, bytes: usize, timeout: Duration) -> Result<Vec<Fetched>, JournalError> {
        let (due, newest) = self.due();
        if !due.is_empty() || timeout.is_zero() {
            return self.take(due, bytes);
        }
        self.shared.wait(newest, timeout);
        let (due, _) = self.due();
        self.take(due, bytes)
    }

    fn commit(&mut self, commit: Commit) -> Result<Committed, JournalError> {
        self.shared.commit(commit, Some((self.name.clone(), self.handle)))
    }

    fn seek(&mut self, input: &Input, next: u64) -> Result<(), JournalError> {
        let there = self.shared.state().offsets(input);
        if next < there.start {
            return Err(JournalError::Trimmed { input: input.clone(), from: next, start: there.start });
        }
        if next > there.end {
            let Input { topic, partition } = input;
            let why = format!("offset {next} of {topic}/{partition} is beyond its end {}", there.end);
            return Err(JournalError::Refused { why });
        }
        self.cursors.insert(input.clone(), Cursor::at(next));
        Ok(())
    }

    fn position(&self, input: &Input) -> Option<u64> {
        self.shared.state().positions.get(&self.name)?.get(input).copied()
    }

    fn note(&self, input: &Input) -> Option<Vec<u8>> {
        let state = self.shared.state();
        state.marks.get(&note_key(&self.name, input), state.appended_at).map(<[u8]>::to_vec)
    }

    fn moved(&mut self) -> Vec<Input> {
        Vec::new()
    }

    fn owns(&self, input: &Input) -> bool {
        self.subscription.covers(input)
    }
}
