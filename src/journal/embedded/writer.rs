//! Gives commits their place and writes them: group by group, segment by segment. I/O.
//!
//! One thread at a time is in here. A group is one write and one sync; only then is it visible. A new segment gets its
//! name when its checkpoint is durable and the one before is cut to what it holds, so a named segment always begins
//! whole. Deliberately without any second try of a failed sync.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::event::{Input, Time};
use crate::journal::{Committed, JournalError};

use super::disk::{DiskFile, Step};
use super::frame::{Body, Header, Kind, write_head};
use super::mutants::Mutant;
use super::names::segment_name;
use super::prepare::Prepared;
use super::shared::{Shared, held};
use super::state::{PARTITIONS_MAX, POSITIONS_MAX, State};

/// Who writes, and where.
pub(super) struct Writer {
    /// None before the first segment of a new log.
    pub file: Option<Arc<dyn DiskFile>>,
    pub number: u64,
    /// Where the next frame goes.
    pub end: u64,
    /// Up to where the file has its space.
    pub allocated: u64,
    /// Of the next frame.
    pub sequence: u64,
    pub chain: u32,
    pub epoch: u64,
    pub appended_at: Time,
    pub has_reserve: bool,
    /// Why nothing more can be promised.
    pub dead: Option<JournalError>,
    pub buffer: Vec<u8>,
}

/// What one write will make durable.
#[derive(Default)]
pub(super) struct Pass {
    frames: Vec<Placed>,
    pub buffer: Vec<u8>,
    /// Next offsets that frames of this pass move.
    nexts: BTreeMap<Input, u64>,
    chain: u32,
    appended_at: Time,
}

/// A frame with its place.
struct Placed {
    header: Header,
    body: Body,
    at: u64,
    firsts: Vec<u64>,
    raw: u64,
    /// Which commit of the group it is.
    which: usize,
}

/// What came of each commit of a group, in order.
type Replies = Vec<Option<Result<Committed, JournalError>>>;

/// A frame that lacks its place.
pub(super) struct Draft {
    pub kind: Kind,
    pub body: Body,
    pub appended_at: Time,
    pub last_words: bool,
    pub firsts: Vec<u64>,
    pub raw: u64,
    /// Which commit of its group it is.
    pub which: usize,
}

impl Draft {
    /// A frame that answers no commit.
    pub fn of(kind: Kind, body: Body, appended_at: Time) -> Draft {
        Draft { kind, body, appended_at, last_words: false, firsts: Vec::new(), raw: 0, which: 0 }
    }
}

impl Writer {
    /// Goes on where the log ends.
    pub fn new(state: &State, file: Option<Arc<dyn DiskFile>>, allocated: u64, has_reserve: bool) -> Writer {
        let last = state.segments.back();
        Writer {
            file,
            number: last.map_or(0, |segment| segment.number),
            end: last.map_or(0, |segment| segment.end),
            allocated,
            sequence: state.sequence,
            chain: state.chain,
            epoch: state.epoch + 1,
            appended_at: state.appended_at,
            has_reserve,
            dead: None,
            buffer: Vec::new(),
        }
    }

    /// Writes a group: durable and visible when it returns, or refused, commit by commit.
    pub fn write_group(&mut self, shared: &Shared, group: &mut [Prepared]) -> Vec<Result<Committed, JournalError>> {
        let mut pass = self.pass();
        let mut replies: Replies = group.iter().map(|_| None).collect();
        for (which, prepared) in group.iter_mut().enumerate() {
            let added = self.draft(shared, &pass, prepared).and_then(|draft| {
                let draft = Draft { which, ..draft };
                let payload = std::mem::take(&mut prepared.payload);
                let added = self.add(shared, &mut pass, (draft, &payload), &mut replies);
                prepared.payload = payload;
                added
            });
            if let Err(error) = added {
                replies[which] = Some(Err(error));
            }
        }
        self.flush(shared, &mut pass, &mut replies);
        self.buffer = std::mem::take(&mut pass.buffer);
        let unanswered = || Err(JournalError::Refused { why: "the commit was not written".to_owned() });
        replies.into_iter().map(|reply| reply.unwrap_or_else(unanswered)).collect()
    }

    /// Writes one frame as it is: for a repair.
    pub fn write_frame(&mut self, shared: &Shared, draft: Draft, payload: &[u8]) -> Result<Committed, JournalError> {
        let mut pass = self.pass();
        let mut replies: Replies = vec![None];
        self.add(shared, &mut pass, (draft, payload), &mut replies)?;
        self.flush(shared, &mut pass, &mut replies);
        let unanswered = || Err(JournalError::Refused { why: "the frame was not written".to_owned() });
        replies.pop().flatten().unwrap_or_else(unanswered)
    }

    fn pass(&mut self) -> Pass {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        Pass { buffer, chain: self.chain, appended_at: self.appended_at, ..Pass::default() }
    }

    /// Checks a commit against the log and gives its records their offsets and time.
    fn draft(&self, shared: &Shared, pass: &Pass, prepared: &mut Prepared) -> Result<Draft, JournalError> {
        shared.admit(&prepared.stage)?;
        let state = shared.state();
        let next = |input: &Input| pass.nexts.get(input).copied().unwrap_or_else(|| state.next(input));
        let mut moved: BTreeMap<&Input, u64> = BTreeMap::new();
        let mut firsts = Vec::with_capacity(prepared.appends.len());
        for (input, count) in &prepared.appends {
            let base = moved.get(input).copied().unwrap_or_else(|| next(input));
            firsts.push(base);
            let end = base.checked_add(u64::from(*count)).ok_or_else(|| refused("offsets are used up".to_owned()))?;
            moved.insert(input, end);
        }
        for (input, position) in &prepared.positions {
            let end = moved.get(input).copied().unwrap_or_else(|| next(input));
            if *position > end {
                let Input { topic, partition } = input;
                return Err(refused(format!("position {position} of {topic}/{partition} is beyond its end {end}")));
            }
        }
        admit_numbers(&state, pass, prepared)?;
        let now = (shared.clock)();
        drop(state);
        if now < pass.appended_at {
            shared.count(|counters| counters.clock_backwards += 1);
        }
        let body = body(prepared, &firsts);
        let appended_at = now.max(pass.appended_at);
        Ok(Draft {
            kind: Kind::Commit,
            body,
            appended_at,
            last_words: prepared.last_words,
            firsts,
            raw: prepared.raw,
            which: 0,
        })
    }

    /// Puts a frame at the end of the pass; where the segment has no room, after what is before it is written.
    fn add(
        &mut self,
        shared: &Shared,
        pass: &mut Pass,
        (draft, payload): (Draft, &[u8]),
        replies: &mut Replies,
    ) -> Result<(), JournalError> {
        let start = pass.buffer.len();
        let mut header = self.encode(shared, pass, &draft, payload)?;
        if self.end + pass.buffer.len() as u64 > self.allocated {
            let needed = (pass.buffer.len() - start) as u64;
            pass.buffer.truncate(start);
            self.flush(shared, pass, replies);
            self.make_room(shared, needed, draft.last_words)?;
            *pass = self.pass_again(std::mem::take(&mut pass.buffer));
            header = self.encode(shared, pass, &draft, payload)?;
        }
        if let Some(dead) = &self.dead {
            return Err(dead.clone());
        }
        let at = self.end + (pass.buffer.len() as u64 - u64::from(header.total));
        for section in &draft.body.sections {
            pass.nexts.insert(section.input.clone(), section.base + u64::from(section.count));
        }
        pass.chain = header.crc;
        pass.appended_at = header.appended_at;
        let Draft { body, firsts, raw, which, .. } = draft;
        pass.frames.push(Placed { header, body, at, firsts, raw, which });
        Ok(())
    }

    pub(super) fn pass_again(&self, mut buffer: Vec<u8>) -> Pass {
        buffer.clear();
        Pass { buffer, chain: self.chain, appended_at: self.appended_at, ..Pass::default() }
    }

    pub(super) fn encode(
        &self,
        shared: &Shared,
        pass: &mut Pass,
        draft: &Draft,
        payload: &[u8],
    ) -> Result<Header, JournalError> {
        let start = pass.buffer.len();
        let mut header = Header {
            kind: draft.kind,
            log: shared.state().log,
            total: 0,
            head: 0,
            crc: 0,
            previous: pass.chain,
            sequence: self.sequence + pass.frames.len() as u64,
            durable: self.sequence,
            epoch: self.epoch,
            appended_at: draft.appended_at,
            segment: self.number,
        };
        let Some(crc) = write_head(&header, &draft.body, payload.len(), &mut pass.buffer) else {
            pass.buffer.truncate(start);
            let max = u64::from(super::frame::FRAME_BYTES_MAX);
            return Err(JournalError::TooLarge { bytes: payload.len() as u64, max });
        };
        header.crc = crc;
        header.head = (pass.buffer.len() - start) as u32;
        pass.buffer.extend_from_slice(payload);
        header.total = (pass.buffer.len() - start) as u32;
        Ok(header)
    }

    /// Writes and syncs what the pass holds, then lets everybody see it.
    fn flush(&mut self, shared: &Shared, pass: &mut Pass, replies: &mut Replies) {
        if pass.frames.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut pass.frames);
        pass.nexts.clear();
        if let Err(error) = shared.settings.timed.of(|| self.write_durably(shared, &pass.buffer)) {
            frames.iter().for_each(|frame| replies[frame.which] = Some(Err(error.clone())));
            pass.buffer.clear();
            return;
        }
        self.end += pass.buffer.len() as u64;
        self.sequence += frames.len() as u64;
        self.chain = pass.chain;
        self.appended_at = pass.appended_at;
        shared.count(|counters| {
            counters.groups += 1;
            counters.stored_bytes += pass.buffer.len() as u64;
            counters.commits += frames.len() as u64;
        });
        pass.buffer.clear();
        show(shared, frames, replies);
        shared.announce(self.sequence - 1);
        shared.steps.reach(Step::GroupVisible);
    }

    fn write_durably(&mut self, shared: &Shared, bytes: &[u8]) -> Result<(), JournalError> {
        if let Some(dead) = &self.dead {
            return Err(dead.clone());
        }
        let name = segment_name(self.number);
        let Some(file) = self.file.clone() else { return Err(refused("the log has no segment".to_owned())) };
        let length = bytes.len() as u64;
        if let Err(why) = file.write_at(bytes, self.end) {
            let error = self.fail(shared, "write", &name, (&why, length));
            return Err(self.take_back(shared, &*file).err().unwrap_or(error));
        }
        shared.steps.reach(Step::GroupWritten);
        if !shared.settings.mutants.has(Mutant::WriteUnsynced) {
            file.sync().map_err(|why| self.die(shared, "sync", &name, &why))?;
        }
        shared.steps.reach(Step::GroupSynced);
        Ok(())
    }

    /// Removes what a failed write may have left, durably: frames of it may be whole, and their commits are told that
    /// nothing of them was written.
    fn take_back(&mut self, shared: &Shared, file: &dyn DiskFile) -> Result<(), JournalError> {
        if self.dead.is_some() || shared.settings.mutants.has(Mutant::FailedWriteKept) {
            return Ok(());
        }
        self.allocated = self.end;
        let name = segment_name(self.number);
        let taken = file.truncate(self.end).and_then(|()| file.sync());
        taken.map_err(|why| self.die(shared, "cut", &name, &why))
    }

    /// Makes the segment longer, or begins the next one.
    fn make_room(&mut self, shared: &Shared, needed: u64, last_words: bool) -> Result<(), JournalError> {
        if let Some(dead) = &self.dead {
            return Err(dead.clone());
        }
        let target = shared.settings.segment_bytes;
        if let Some(file) = self.file.clone().filter(|_| self.end + needed <= target) {
            match file.allocate(target) {
                Ok(()) => {
                    self.allocated = target;
                    return Ok(());
                }
                Err(why) if is_full(&why) && last_words => {}
                Err(why) => {
                    let name = segment_name(self.number);
                    return Err(self.fail(shared, "extend", &name, (&why, target)));
                }
            }
        }
        self.begin_segment(shared, needed, last_words)
    }

    /// No space is a pause, everything else the end.
    pub(super) fn fail(
        &mut self,
        shared: &Shared,
        action: &'static str,
        name: &str,
        (why, bytes): (&io::Error, u64),
    ) -> JournalError {
        if is_full(why) {
            shared.count(|counters| counters.full += 1);
            return JournalError::Full { bytes };
        }
        self.die(shared, action, name, why)
    }

    pub(super) fn die(&mut self, shared: &Shared, action: &'static str, name: &str, why: &io::Error) -> JournalError {
        let error = JournalError::Io { action, file: shared.disk.title(name), why: why.to_string() };
        self.dead = Some(error.clone());
        error
    }
}

/// Whether the disk said that it has no space.
pub(super) fn is_full(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn refused(why: String) -> JournalError {
    JournalError::Refused { why }
}

/// Marks, partitions and positions stay within their numbers.
fn admit_numbers(state: &State, pass: &Pass, prepared: &Prepared) -> Result<(), JournalError> {
    let pending = pass.frames.iter().flat_map(|frame| &frame.body.marks);
    let marks = state.marks.admit(pending.chain(&prepared.marks));
    marks.map_err(|(count, bytes)| JournalError::MarksFull { count, bytes })?;
    let fresh = prepared.appends.iter().filter(|(input, _)| !state.nexts.contains_key(input)).count();
    let pending = pass.nexts.keys().filter(|input| !state.nexts.contains_key(*input)).count();
    if fresh > 0 && state.nexts.len() + pending + fresh > PARTITIONS_MAX {
        return Err(refused(format!("more than {PARTITIONS_MAX} partitions")));
    }
    let positions: usize = state.positions.values().map(BTreeMap::len).sum();
    if positions + prepared.positions.len() > POSITIONS_MAX {
        return Err(refused(format!("more than {POSITIONS_MAX} positions")));
    }
    Ok(())
}

fn body(prepared: &mut Prepared, firsts: &[u64]) -> Body {
    let mut sections = std::mem::take(&mut prepared.sections);
    let held = prepared.appends.iter().zip(firsts).filter(|((_, count), _)| *count > 0);
    for (section, (_, base)) in sections.iter_mut().zip(held) {
        section.base = *base;
    }
    let stage = prepared.stage.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
    let positions = std::mem::take(&mut prepared.positions);
    let positions = positions.into_iter().map(|(input, next)| (stage.clone(), input, next)).collect();
    Body { sections, positions, marks: std::mem::take(&mut prepared.marks), ..Body::default() }
}

/// Folds durable frames into what everybody sees, and answers their commits.
fn show(shared: &Shared, frames: Vec<Placed>, replies: &mut Replies) {
    let mut state = shared.state_mut();
    let (mut records, mut raw) = (0, 0);
    for Placed { header, body, at, firsts, raw: bytes, which } in frames {
        raw += bytes;
        records += body.sections.iter().map(|section| u64::from(section.count)).sum::<u64>();
        state.apply(&header, body, at);
        let committed = Committed { appended_at: header.appended_at, firsts, sequence: header.sequence };
        replies[which] = Some(Ok(committed));
    }
    drop(state);
    let mut counters = held(&shared.counters);
    counters.records += records;
    counters.raw_bytes += raw;
}
