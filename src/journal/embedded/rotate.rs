//! Begins segments, and keeps space back for last words. I/O.
//!
//! A new segment is made under another name, with all its space and its checkpoint durable; the one before is cut to what
//! it holds; then it gets its name. So a segment that has its name always begins whole, and a longer one before it is
//! damage. Deliberately without deleting: that is retention's.

use std::sync::Arc;

use crate::journal::JournalError;

use super::disk::{DiskFile, Step};
use super::frame::{Body, Header, Kind};
use super::mutants::Mutant;
use super::names::{NEXT, NEXT_RESERVE, RESERVE, segment_name};
use super::shared::Shared;
use super::writer::{Draft, Writer, is_full};

impl Writer {
    /// A new segment: its checkpoint durable, the old one cut, then its name.
    pub fn begin_segment(&mut self, shared: &Shared, needed: u64, last_words: bool) -> Result<(), JournalError> {
        let (header, body, bytes) = self.checkpoint(shared)?;
        let wanted = bytes.len() as u64 + needed;
        let (file, name) = match self.space(shared, wanted) {
            Err(JournalError::Full { .. }) if last_words && self.has_reserve => {
                (self.reserve(shared, wanted)?, RESERVE)
            }
            made => (made?, NEXT),
        };
        self.allocated = self.name_segment(shared, (&file, name), &bytes)?;
        self.has_reserve &= name != RESERVE;
        self.file = Some(file);
        self.number = header.segment;
        self.end = bytes.len() as u64;
        self.sequence = header.sequence + 1;
        self.chain = header.crc;
        shared.count(|counters| counters.segments_begun += 1);
        shared.state_mut().apply(&header, body, 0);
        if name == NEXT && !self.has_reserve {
            self.make_reserve(shared)?;
        }
        Ok(())
    }

    fn checkpoint(&self, shared: &Shared) -> Result<(Header, Body, Vec<u8>), JournalError> {
        let body = shared.state().checkpoint();
        let mut pass = self.pass_again(Vec::new());
        let draft = Draft::of(Kind::Checkpoint, body, self.appended_at);
        let next = Writer { number: self.number + 1, file: None, buffer: Vec::new(), dead: None, ..*self };
        let header = next.encode(shared, &mut pass, &draft, &[])?;
        Ok((header, draft.body, pass.buffer))
    }

    /// A new file with all its space.
    fn space(&mut self, shared: &Shared, wanted: u64) -> Result<Arc<dyn DiskFile>, JournalError> {
        let bytes = wanted.max(shared.settings.segment_bytes);
        let made = shared.disk.create(NEXT).and_then(|file| file.allocate(bytes).map(|()| file));
        made.inspect(|_| shared.steps.reach(Step::SegmentAllocated)).map_err(|why| {
            // Whatever space it got is given back; the next try and the next open do so too.
            let _ = shared.disk.remove(NEXT);
            self.fail(shared, "create", NEXT, (&why, bytes))
        })
    }

    fn reserve(&mut self, shared: &Shared, wanted: u64) -> Result<Arc<dyn DiskFile>, JournalError> {
        let opened = shared.disk.open(RESERVE).and_then(|file| Ok((file.length()?, file)));
        let (length, file) = opened.map_err(|why| self.fail(shared, "open", RESERVE, (&why, wanted)))?;
        if length < wanted { Err(JournalError::Full { bytes: wanted }) } else { Ok(file) }
    }

    fn name_segment(
        &mut self,
        shared: &Shared,
        (file, from): (&Arc<dyn DiskFile>, &str),
        checkpoint: &[u8],
    ) -> Result<u64, JournalError> {
        let length = checkpoint.len() as u64;
        file.write_at(checkpoint, 0).map_err(|why| self.fail(shared, "write", from, (&why, length)))?;
        if !shared.settings.mutants.has(Mutant::CheckpointUnsynced) {
            file.sync().map_err(|why| self.die(shared, "sync", from, &why))?;
        }
        shared.steps.reach(Step::CheckpointSynced);
        if let Some(old) = self.file.clone() {
            let name = segment_name(self.number);
            old.truncate(self.end).map_err(|why| self.die(shared, "cut", &name, &why))?;
            self.allocated = self.end;
            old.sync().map_err(|why| self.die(shared, "sync", &name, &why))?;
            shared.steps.reach(Step::SegmentTrimmed);
        }
        let to = segment_name(self.number + 1);
        shared.disk.rename(from, &to).map_err(|why| self.fail(shared, "name", &to, (&why, length)))?;
        shared.steps.reach(Step::SegmentNamed);
        if !shared.settings.mutants.has(Mutant::NamesUnsynced) {
            shared.disk.sync_names().map_err(|why| self.die(shared, "sync the names of", &to, &why))?;
        }
        shared.steps.reach(Step::NamesSynced);
        file.length().map_err(|why| self.die(shared, "read", &to, &why))
    }

    /// Keeps space back for last words; without space there is none until a later segment.
    pub fn make_reserve(&mut self, shared: &Shared) -> Result<(), JournalError> {
        let bytes = shared.settings.reserve_bytes;
        let file = shared.disk.create(NEXT_RESERVE);
        let made = file.and_then(|file| file.allocate(bytes).map(|()| file));
        let file = match made {
            Ok(file) => file,
            Err(why) if is_full(&why) => {
                let _ = shared.disk.remove(NEXT_RESERVE);
                return Ok(());
            }
            Err(why) => return Err(self.die(shared, "create", NEXT_RESERVE, &why)),
        };
        file.sync().map_err(|why| self.die(shared, "sync", RESERVE, &why))?;
        let named = shared.disk.rename(NEXT_RESERVE, RESERVE).and_then(|()| shared.disk.sync_names());
        named.map_err(|why| self.die(shared, "name", RESERVE, &why))?;
        shared.steps.reach(Step::ReserveNamed);
        self.has_reserve = true;
        Ok(())
    }
}
