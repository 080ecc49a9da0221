//! One file that is being followed: reads what is new of it and moves its cursor. I/O.
//!
//! The cursor moves in memory when lines are taken and goes back when their commit failed, so nothing has to be kept for
//! a second try: the file still has it. Deliberately without a journal and without other files.

use std::io::{self, Read};

use super::cursor::{Cursor, State, Witness};
use super::judge::{Change, Seen, change};
use super::lines::{self, Taken};
use super::log_file::{LogFile, Stamp};
use super::packed::Unpacked;
use crate::event::{LINE_BYTES_MAX, MINUTE, SECOND, Time};

/// Bytes read at a time: a line of the longest kind and as much again, so that one read always gets ahead.
pub const BLOCK_BYTES: usize = 2 * LINE_BYTES_MAX;
/// A file that was renamed or deleted is finished once nothing was added for so long: a web server goes on writing into
/// the renamed file until it is told to open the new one, and finishes its requests first.
pub const ROTATED_QUIET: i64 = 30 * SECOND;
/// A half line is taken as it is once its end has not come for so long: its writer is gone.
pub const HALF_LINE_QUIET: i64 = 5 * MINUTE;
/// After lines came, a file is looked at again so soon: at a thousand lines a second some are there each time, and what
/// it adds to the way of a line stays far below its time in the journal.
pub const PAUSE_MIN: i64 = 5;
/// A quiet file is looked at so often; the pause doubles up to it.
pub const PAUSE_MAX: i64 = 80;

/// Where the file is that a tail reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Under the name by which it was found.
    InPlace,
    /// No longer; `replaced` where something lies there that is being written.
    Moved { replaced: bool },
    /// It is a finished copy of what was followed.
    Heir,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing new.
    Idle,
    /// Lines; `more` where there are more to take at once.
    Took { taken: Taken, more: bool },
    /// It is not the file any more that the cursor speaks of. Nothing was taken.
    Changed(Change),
}

/// Why a half line is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// Its end did not come, though its file may go on.
    HalfLine,
    /// Nobody writes the file any more.
    OfFile,
}

/// One open file.
pub struct Tail {
    pub log: LogFile,
    pub standing: Standing,
    /// When lines were last taken, or it was opened.
    pub grown_at: Time,
    /// When to look again.
    pub due_at: Time,
    pause: i64,
    witness: Witness,
    unpacking: Option<Unpacking>,
    /// How it looked when all was taken that could be.
    exhausted: Option<Stamp>,
    /// Where the cursor and its witness stood before what is not in the journal yet.
    before: Option<(Cursor, Witness)>,
}

/// A compressed file being read: it cannot be read at a place.
struct Unpacking {
    reader: Unpacked,
    /// Bytes to pass over, which are in the journal.
    skip: u64,
    waiting: Vec<u8>,
    ended: bool,
}

impl Tail {
    /// Goes on where `cursor` stands.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(log: LogFile, cursor: &Cursor, standing: Standing, now: Time) -> io::Result<Tail> {
        let witness = if log.is_packed() { Witness::default() } else { log.witness(cursor.offset)? };
        let (pause, unpacking, exhausted) = (PAUSE_MIN, None, None);
        Ok(Tail { log, standing, grown_at: now, due_at: now, pause, witness, unpacking, exhausted, before: None })
    }

    /// Takes what is new, at most a block, and moves `cursor`; each line goes to `line`.
    ///
    /// # Errors
    /// Those of the file system and of the decoder. Lines may have been taken before.
    pub fn read(
        &mut self,
        cursor: &mut Cursor,
        block: &mut [u8],
        now: Time,
        line: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Look> {
        let look = if self.log.is_packed() {
            self.read_packed(cursor, block, line)?
        } else {
            self.read_plain(cursor, block, now, line)?
        };
        match look {
            Look::Idle => self.pause = (self.pause * 2).min(PAUSE_MAX),
            Look::Took { .. } => (self.pause, self.grown_at) = (PAUSE_MIN, now),
            Look::Changed(_) => self.pause = PAUSE_MIN,
        }
        let more = matches!(look, Look::Took { more: true, .. } | Look::Changed(_));
        self.due_at = if more { now } else { now.plus(self.pause) };
        Ok(look)
    }

    fn read_plain(
        &mut self,
        cursor: &mut Cursor,
        block: &mut [u8],
        now: Time,
        line: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Look> {
        let (stamp, links) = self.log.look()?;
        if self.exhausted == Some(stamp) {
            return match self.last(now.since(self.grown_at), links) {
                Some(last) => self.read_last(cursor, block, last, line),
                None => Ok(Look::Idle),
            };
        }
        let known = self.witness.tail().len();
        let count = self.log.read_at(cursor.offset - known as u64, block)?;
        // Looked at after reading: what was read belongs to the file that has been verified here.
        let alike = block[..count].starts_with(self.witness.tail())
            && self.log.head(self.witness.head().len())? == self.witness.head();
        let seen = Seen { size: self.log.look()?.0.size, alike };
        match change(cursor, seen) {
            Change::Grown => {}
            changed @ (Change::Truncated | Change::Replaced) => return Ok(Look::Changed(changed)),
        }
        let fresh = &block[known..count];
        let taken = lines::take(fresh, cursor.inside_cut, line);
        let more = count == block.len() && taken.bytes > 0;
        self.advance(cursor, &fresh[..taken.bytes], taken);
        self.exhausted = (!more).then_some(stamp);
        Ok(if taken.bytes == 0 { Look::Idle } else { Look::Took { taken, more } })
    }

    /// What ends, after `quiet` milliseconds without a line and with so many names left.
    fn last(&self, quiet: i64, links: u64) -> Option<Last> {
        let finished = match self.standing {
            Standing::InPlace => false,
            Standing::Moved { replaced } => quiet >= ROTATED_QUIET && (replaced || links == 0),
            Standing::Heir => true,
        };
        let given_up = quiet >= HALF_LINE_QUIET;
        if finished { Some(Last::OfFile) } else { given_up.then_some(Last::HalfLine) }
    }

    /// Takes the half line at the end as it is.
    fn read_last(
        &mut self,
        cursor: &mut Cursor,
        block: &mut [u8],
        last: Last,
        line: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Look> {
        let count = self.log.read_at(cursor.offset, block)?;
        let rest = &block[..count];
        if rest.is_empty() && last == Last::HalfLine {
            return Ok(Look::Idle);
        }
        if rest.contains(&b'\n') || rest.len() > LINE_BYTES_MAX {
            self.exhausted = None;
            return Ok(Look::Idle);
        }
        let inside_cut = cursor.inside_cut;
        let taken = if inside_cut {
            Taken { bytes: count, inside_cut, ..Taken::default() }
        } else {
            lines::take_last(rest, line)
        };
        self.advance(cursor, rest, taken);
        if last == Last::OfFile {
            cursor.state = State::Done;
        }
        Ok(Look::Took { taken, more: false })
    }

    fn read_packed(&mut self, cursor: &mut Cursor, block: &mut [u8], line: &mut dyn FnMut(&[u8])) -> io::Result<Look> {
        let mut unpacking = match self.unpacking.take() {
            Some(unpacking) => unpacking,
            None => self.unpack(cursor.offset)?,
        };
        let look = self.read_unpacking(&mut unpacking, cursor, block, line);
        self.unpacking = Some(unpacking);
        look
    }

    fn unpack(&mut self, skip: u64) -> io::Result<Unpacking> {
        let Some(reader) = self.log.unpack()? else { return Err(io::ErrorKind::InvalidInput.into()) };
        self.witness = Witness::default();
        Ok(Unpacking { reader, skip, waiting: Vec::new(), ended: false })
    }

    fn read_unpacking(
        &mut self,
        unpacking: &mut Unpacking,
        cursor: &mut Cursor,
        block: &mut [u8],
        line: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Look> {
        if unpacking.skip > 0 {
            return self.pass_over(unpacking, cursor, block);
        }
        let room = block.len() - unpacking.waiting.len();
        let count = unpacking.reader.read(&mut block[..room])?;
        unpacking.ended = count == 0;
        unpacking.waiting.extend_from_slice(&block[..count]);
        let taken = if unpacking.ended && !cursor.inside_cut {
            lines::take_last(&unpacking.waiting, line)
        } else {
            lines::take(&unpacking.waiting, cursor.inside_cut, line)
        };
        self.advance(cursor, &unpacking.waiting[..taken.bytes], taken);
        unpacking.waiting.drain(..taken.bytes);
        if unpacking.ended {
            cursor.state = State::Done;
        }
        Ok(Look::Took { taken, more: !unpacking.ended })
    }

    /// Passes over what is in the journal already, and finds out whether it is that.
    fn pass_over(&mut self, unpacking: &mut Unpacking, cursor: &Cursor, block: &mut [u8]) -> io::Result<Look> {
        let room = block.len().min(usize::try_from(unpacking.skip).unwrap_or(usize::MAX));
        let count = unpacking.reader.read(&mut block[..room])?;
        self.witness.take(&block[..count]);
        unpacking.skip -= count as u64;
        let print = &cursor.print;
        let held = self.witness.tail();
        let unlike =
            || !print.begins(self.witness.head()) || !print.ends(&held[held.len().saturating_sub(print.tail_bytes)..]);
        if count == 0 {
            return Ok(Look::Changed(Change::Truncated));
        }
        if unpacking.skip == 0 && unlike() {
            return Ok(Look::Changed(Change::Replaced));
        }
        Ok(Look::Took { taken: Taken { inside_cut: cursor.inside_cut, ..Taken::default() }, more: true })
    }

    fn advance(&mut self, cursor: &mut Cursor, bytes: &[u8], taken: Taken) {
        if self.before.is_none() {
            self.before = Some((cursor.clone(), self.witness.clone()));
        }
        self.witness.take(bytes);
        cursor.offset += taken.bytes as u64;
        cursor.inside_cut = taken.inside_cut;
    }

    /// Writes into `cursor` what tells this file from others, for the commit.
    pub fn seal(&self, cursor: &mut Cursor) {
        if self.is_ahead() {
            cursor.print = self.witness.print();
        }
    }

    /// Whether something was taken that is not in the journal.
    pub fn is_ahead(&self) -> bool {
        self.before.is_some()
    }

    /// What was taken is in the journal.
    pub fn keep(&mut self) {
        self.before = None;
    }

    /// What was taken is not in the journal: takes it again next time.
    pub fn rewind(&mut self, cursor: &mut Cursor) {
        if let Some((before, witness)) = self.before.take() {
            *cursor = before;
            self.witness = witness;
            self.unpacking = None;
            self.exhausted = None;
        }
    }

    /// Whether all was taken that is there, and nothing has been added for `quiet` milliseconds: its handle can be
    /// closed, a look at its size tells when it goes on.
    pub fn is_idle(&self, quiet: i64, now: Time) -> bool {
        self.exhausted.is_some() && self.before.is_none() && now.since(self.grown_at) >= quiet
    }

    /// How it looked when all of it was taken.
    pub fn exhausted(&self) -> Option<Stamp> {
        self.exhausted
    }
}
