//! Opens a log: finds its end, cuts a torn tail, refuses damage. I/O.
//!
//! Only the head of each segment and the whole of the last one are read. A bad frame with a later frame that was written
//! after it had been synced is damage; without one it is the torn end of a write that nobody was told of. Start after a
//! crash and any other start are the same. Deliberately without repair.

use std::sync::Arc;

use crate::journal::JournalError;

use super::disk::{Disk, DiskFile, Step};
use super::frame::{Flaw, Kind};
use super::heads::{Found, Heads, Stop, WINDOW_HEADS, WINDOW_WHOLE};
use super::mutants::{Mutant, Mutants};
use super::names::{NEXT, NEXT_RESERVE, RESERVE, segment_name, segment_number};
use super::shared::{Clock, Settings, Shared, held};
use super::state::State;
use super::writer::Writer;

/// What an opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub segments: usize,
    /// A torn tail that was cut: never acknowledged, and worth a line in the log.
    pub cut: Option<Cut>,
    /// Whether there is space for last words.
    pub has_reserve: bool,
}

/// A torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub file: String,
    pub offset: u64,
    /// How far written bytes reached, at most.
    pub bytes: u64,
}

/// The log, and what was found.
pub(super) fn open(disk: Arc<dyn Disk>, clock: Clock, settings: Settings) -> Result<(Shared, Opened), JournalError> {
    let names = disk.list().map_err(|why| io_error(&*disk, "list", "", &why))?;
    for left in names.iter().filter(|name| [NEXT, NEXT_RESERVE].contains(&name.as_str())) {
        disk.remove(left).map_err(|why| io_error(&*disk, "remove", left, &why))?;
    }
    let has_reserve = names.iter().any(|name| name == RESERVE);
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let Some((last, older)) = numbers.split_last() else { return create(disk, clock, settings, has_reserve) };
    require_unbroken(&*disk, &numbers)?;
    let mut state = read_heads(&*disk, older)?;
    let (file, allocated, cut) = read_last(&*disk, *last, &mut state, settings.mutants)?;
    // A killed process may have left writes that only the kernel knows: nothing may be seen that could still be lost.
    let believed = settings.mutants.has(Mutant::StartUnsynced);
    let synced = if believed { Ok(()) } else { file.sync().and_then(|()| disk.sync_names()) };
    synced.map_err(|why| io_error(&*disk, "sync", &segment_name(*last), &why))?;
    if cut.is_some() {
        settings.steps.reach(Step::TailCut);
    }
    let writer = Writer::new(&state, Some(file), allocated, has_reserve);
    finish(Shared::new(disk, clock, settings, state, writer), cut)
}

fn create(
    disk: Arc<dyn Disk>,
    clock: Clock,
    settings: Settings,
    has_reserve: bool,
) -> Result<(Shared, Opened), JournalError> {
    let state = State::new(disk.secret());
    finish(begin(disk, clock, settings, state, has_reserve)?, None)
}

/// A log that has no segment yet and begins with this state.
pub(super) fn begin(
    disk: Arc<dyn Disk>,
    clock: Clock,
    settings: Settings,
    state: State,
    has_reserve: bool,
) -> Result<Shared, JournalError> {
    let writer = Writer::new(&state, None, 0, has_reserve);
    let shared = Shared::new(disk, clock, settings, state, writer);
    held(&shared.writer).begin_segment(&shared, 0, false)?;
    Ok(shared)
}

fn finish(shared: Shared, cut: Option<Cut>) -> Result<(Shared, Opened), JournalError> {
    let mut writer = held(&shared.writer);
    if !writer.has_reserve {
        writer.make_reserve(&shared)?;
    }
    let has_reserve = writer.has_reserve;
    drop(writer);
    let segments = shared.state().segments.len();
    Ok((shared, Opened { segments, cut, has_reserve }))
}

pub(super) fn io_error(disk: &dyn Disk, action: &'static str, name: &str, why: &std::io::Error) -> JournalError {
    JournalError::Io { action, file: disk.title(name), why: why.to_string() }
}

fn require_unbroken(disk: &dyn Disk, numbers: &[u64]) -> Result<(), JournalError> {
    let missing = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]).map(|pair| pair[0] + 1);
    missing.map_or(Ok(()), |number| Err(corrupt(disk, number, 0, "the segment is missing")))
}

pub(super) fn corrupt(disk: &dyn Disk, number: u64, offset: u64, what: &str) -> JournalError {
    JournalError::Corrupt { file: disk.title(&segment_name(number)), offset, what: what.to_owned() }
}

/// What a stop means where it may not happen.
pub(super) fn stopped(disk: &dyn Disk, number: u64, stop: Stop) -> JournalError {
    match stop {
        Stop::Disk(error) => error,
        Stop::Flaw { flaw: Flaw::Newer(version), .. } => {
            let file = disk.title(&segment_name(number));
            JournalError::Newer { file, version, known: super::frame::VERSION }
        }
        Stop::Flaw { at, flaw } => corrupt(disk, number, at, flaw.text()),
    }
}

/// A segment's file and how long it is.
pub(super) fn open_segment(disk: &dyn Disk, number: u64) -> Result<(Arc<dyn DiskFile>, u64), JournalError> {
    let name = segment_name(number);
    let opened = disk.open(&name).and_then(|file| Ok((file.length()?, file)));
    let unreadable =
        |why: std::io::Error| JournalError::Unreadable { file: disk.title(&name), offset: 0, why: why.to_string() };
    opened.map(|(length, file)| (file, length)).map_err(unreadable)
}

/// The checkpoint a segment begins with.
pub(super) fn first_frame(disk: &dyn Disk, number: u64, heads: &mut Heads) -> Result<Found, JournalError> {
    let found = heads.next().map_err(|stop| stopped(disk, number, stop))?;
    let found = found.ok_or_else(|| corrupt(disk, number, 0, "the segment is empty"))?;
    if found.header.kind != Kind::Checkpoint || found.header.segment != number {
        return Err(corrupt(disk, number, 0, "this is another segment's content"));
    }
    Ok(found)
}

fn read_heads(disk: &dyn Disk, older: &[u64]) -> Result<State, JournalError> {
    let mut state: Option<State> = None;
    for number in older {
        let (file, length) = open_segment(disk, *number)?;
        let title = disk.title(&segment_name(*number));
        let log = state.as_ref().map(|state| state.log);
        let mut heads = Heads::new(file, title, log, (0, length), WINDOW_HEADS);
        let found = first_frame(disk, *number, &mut heads)?;
        let state = state.get_or_insert_with(|| State::new(found.header.log));
        if found.header.sequence < state.sequence {
            return Err(corrupt(disk, *number, 0, "the segment is older than the one before it"));
        }
        state.sequence = found.header.sequence + 1;
        state.add_segment(&found.header, &found.body, length);
    }
    Ok(state.unwrap_or_else(|| State::new(0)))
}

type Last = (Arc<dyn DiskFile>, u64, Option<Cut>);

fn read_last(disk: &dyn Disk, number: u64, state: &mut State, mutants: Mutants) -> Result<Last, JournalError> {
    let (file, length) = open_segment(disk, number)?;
    let log = (!state.segments.is_empty()).then_some(state.log);
    let title = disk.title(&segment_name(number));
    let mut heads = Heads::new(file.clone(), title.clone(), log, (0, length), WINDOW_WHOLE);
    let first = first_frame(disk, number, &mut heads)?;
    if first.header.sequence < state.sequence {
        return Err(corrupt(disk, number, 0, "the segment is older than the one before it"));
    }
    state.log = first.header.log;
    state.apply(&first.header, first.body, 0);
    let Some(flaw) = walk(&mut heads, number, state, mutants).map_err(|stop| stopped(disk, number, stop))? else {
        return Ok((file, length, None));
    };
    let end = state.segments.back().map_or(0, |segment| segment.end);
    if heads.is_blank(end).map_err(|stop| stopped(disk, number, stop))? {
        return Ok((file, length, None));
    }
    if flaw == Flaw::Nonsense || was_durable(&mut heads, end, state.sequence).map_err(|s| stopped(disk, number, s))? {
        return Err(corrupt(disk, number, end, flaw.text()));
    }
    file.truncate(end).map_err(|why| io_error(disk, "cut the torn end of", &segment_name(number), &why))?;
    Ok((file, end, Some(Cut { file: title, offset: end, bytes: length - end })))
}

/// Folds in every whole frame; why it stopped before the end of the file.
fn walk(heads: &mut Heads, number: u64, state: &mut State, mutants: Mutants) -> Result<Option<Flaw>, Stop> {
    loop {
        let accepted = mutants.has(Mutant::TornTailAccepted);
        let found = match if accepted { heads.next() } else { heads.next_whole() } {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(Stop::Flaw { flaw: Flaw::Newer(version), at }) => {
                return Err(Stop::Flaw { flaw: Flaw::Newer(version), at });
            }
            Err(Stop::Flaw { flaw, .. }) => return Ok(Some(flaw)),
            Err(Stop::Disk(error)) => return Err(Stop::Disk(error)),
        };
        // What does not follow is what a torn write left, whole or not: it was never acknowledged.
        let header = &found.header;
        let chained = header.sequence == state.sequence && header.previous == state.chain && header.segment == number;
        if !chained {
            return Ok(Some(Flaw::NoFrame));
        }
        let at = found.at;
        state.apply(&found.header, found.body, at);
    }
}

/// Whether some later frame was written after the one that is bad here had been synced.
pub(super) fn was_durable(heads: &mut Heads, bad: u64, sequence: u64) -> Result<bool, Stop> {
    let mut from = bad + 1;
    while let Some(found) = heads.search(from)? {
        if found.header.durable > sequence {
            return Ok(true);
        }
        heads.move_to(found.end());
        from = found.end();
        while let Ok(Some(next)) = heads.next() {
            if next.header.durable > sequence {
                return Ok(true);
            }
            from = next.end();
        }
    }
    Ok(false)
}
