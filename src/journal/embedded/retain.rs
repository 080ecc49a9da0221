//! Retention: deletes whole segments from the front that are old or too many, and that nobody needs any more. I/O.
//!
//! Deliberately without compaction: what must outlive retention is written again by its stage, or is a mark.

use crate::event::{Input, Time};
use crate::journal::JournalError;

use super::disk::Step;
use super::mutants::Mutant;
use super::names::segment_name;
use super::open::io_error;
use super::shared::{Shared, held};
use super::state::State;

/// What was kept and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    pub segments_deleted: usize,
    pub bytes_deleted: u64,
    pub bytes_kept: u64,
    /// Who kept a segment that was old or too much, and the partition it still has to read.
    pub held_by: Option<(String, Input)>,
}

/// What may go: older than an age, or beyond a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub age_ms: i64,
    pub bytes: u64,
}

/// Deletes what may go. `floors` are offsets that must stay besides the stages' positions: where a restore of a snapshot
/// goes on, and what the index has not made durable; each with the name of who needs it.
pub(super) fn retain(
    shared: &Shared,
    keep: Keep,
    now: Time,
    floors: &[(String, Input, u64)],
) -> Result<Retained, JournalError> {
    let _alone = held(&shared.retention);
    let mut retained = Retained::default();
    loop {
        let state = shared.state();
        retained.bytes_kept = state.segments.iter().map(|segment| segment.end).sum();
        let (Some(first), Some(second)) = (state.segments.front(), state.segments.get(1)) else { break };
        let old = now.since(second.appended_at) > keep.age_ms;
        if !old && retained.bytes_kept <= keep.bytes {
            break;
        }
        retained.held_by = holder(shared, &state, floors);
        if retained.held_by.is_some() {
            break;
        }
        let (number, bytes) = (first.number, first.end);
        drop(state);
        delete_first(shared, number)?;
        retained.segments_deleted += 1;
        retained.bytes_deleted += bytes;
    }
    Ok(retained)
}

/// Who still needs a record of the first segment.
fn holder(shared: &Shared, state: &State, floors: &[(String, Input, u64)]) -> Option<(String, Input)> {
    let second = state.segments.get(1).filter(|_| !shared.settings.mutants.has(Mutant::ReadersPassed))?;
    let needs = |input: &Input, next: u64| next < second.start(input) && second.start(input) > state.start(input);
    let positions = state
        .positions
        .iter()
        .flat_map(|(stage, inputs)| inputs.iter().map(move |(input, next)| (stage, input, *next)));
    let given = floors.iter().map(|(name, input, next)| (name, input, *next));
    let behind = positions.chain(given).find(|(_, input, next)| needs(input, *next));
    if let Some((name, input, _)) = behind {
        return Some((name.clone(), input.clone()));
    }
    // A stage that has a handle and no position yet begins at the start of the log: it needs everything.
    let stages = held(&shared.stages);
    let unread = stages.iter().flat_map(|(name, registered)| {
        let covered = state.nexts.keys().filter(|input| registered.subscription.covers(input));
        covered.map(move |input| (name, input))
    });
    let without = |name: &String, input: &Input| state.positions.get(name).is_none_or(|held| !held.contains_key(input));
    let mut waiting = unread.filter(|(name, input)| without(name, input) && needs(input, state.start(input)));
    waiting.next().map(|(name, input)| (name.clone(), input.clone()))
}

/// Readers are told first, so that none looks for a file that is gone.
fn delete_first(shared: &Shared, number: u64) -> Result<(), JournalError> {
    shared.state_mut().segments.pop_front();
    let name = segment_name(number);
    shared.disk.remove(&name).map_err(|why| io_error(&*shared.disk, "remove", &name, &why))?;
    shared.steps.reach(Step::SegmentRemoved);
    shared.disk.sync_names().map_err(|why| io_error(&*shared.disk, "sync the names after", &name, &why))?;
    shared.steps.reach(Step::RemovalSynced);
    shared.count(|counters| counters.segments_deleted += 1);
    Ok(())
}
