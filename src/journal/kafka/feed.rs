//! Reads by position: a few consumers, each of which follows some partitions. I/O.
//!
//! Somebody who reads on finds the consumer that has come to the same place, and gets what it has fetched meanwhile;
//! somebody who looks anywhere else moves one there. Deliberately without threads: what is fetched is taken out while
//! somebody reads, and beyond a limit it is left to be fetched again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Input, Time};
use crate::journal::{Fetched, JournalError, NewRecord, Records};

use super::reader::{Message, Met, Reader};
use super::settings::Settings;
use super::starts::Starts;
use super::troubles::Troubles;
use super::{OWN, now};

/// Consumers at most: each has threads and connections. The index, the projection of the API and single looks come to
/// three or four that read different places of the same partitions.
const FEEDS_MAX: usize = 6;
/// What one consumer holds for those who do not ask now.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How long records that are there may take to come.
const ANSWER: Duration = Duration::from_secs(20);
/// One wait for them.
const WAIT: Duration = Duration::from_millis(50);

/// All of them.
#[derive(Default)]
pub(super) struct Feeds {
    feeds: Vec<Feed>,
    turn: u64,
}

struct Feed {
    reader: Reader,
    cursors: BTreeMap<Input, Cursor>,
    /// When it was last asked.
    used: u64,
}

/// One partition of a consumer.
#[derive(Default)]
struct Cursor {
    /// What is read next by whoever follows it.
    next: u64,
    /// What the consumer gives next.
    fetched: u64,
    /// Whether the consumer was at the end, with nothing since.
    ended: bool,
    waiting: VecDeque<Fetched>,
}

impl Feeds {
    /// Records from `from` on; empty at the end of the log, which `end` asks the brokers for.
    pub fn read(
        &mut self,
        (settings, troubles): (&Settings, &Arc<Troubles>),
        (input, from, bytes): (&Input, u64, usize),
        end: &dyn Fn() -> Result<u64, JournalError>,
    ) -> Result<Vec<Fetched>, JournalError> {
        self.turn += 1;
        let which = self.chosen(input, from, (settings, troubles))?;
        let feed = &mut self.feeds[which];
        feed.used = self.turn;
        let done = feed.read(input, from, bytes, end);
        if done.is_err() {
            // A consumer that failed is not asked again.
            self.feeds.remove(which);
        }
        done
    }

    /// The consumer that is at this place, or one that does not follow the partition, or the one unused for longest.
    fn chosen(
        &mut self,
        input: &Input,
        from: u64,
        (settings, troubles): (&Settings, &Arc<Troubles>),
    ) -> Result<usize, JournalError> {
        let at = |feed: &Feed| feed.cursors.get(input).is_some_and(|cursor| cursor.next == from);
        if let Some(which) = self.feeds.iter().position(at) {
            return Ok(which);
        }
        if let Some(which) = self.feeds.iter().position(|feed| !feed.cursors.contains_key(input)) {
            return Ok(which);
        }
        if self.feeds.len() < FEEDS_MAX {
            let reader = Reader::new((settings, &settings.reader()), Starts::default(), Arc::clone(troubles))?;
            self.feeds.push(Feed { reader, cursors: BTreeMap::new(), used: 0 });
            return Ok(self.feeds.len() - 1);
        }
        let oldest = self.feeds.iter().enumerate().min_by_key(|(_, feed)| feed.used);
        Ok(oldest.map_or(0, |(which, _)| which))
    }
}

impl Feed {
    fn read(
        &mut self,
        input: &Input,
        from: u64,
        bytes: usize,
        end: &dyn Fn() -> Result<u64, JournalError>,
    ) -> Result<Vec<Fetched>, JournalError> {
        if self.cursors.get(input).is_none_or(|cursor| cursor.next != from) {
            // An end that nobody reads on from costs one question, and no consumer a move.
            if from >= end()? {
                return Ok(Vec::new());
            }
            self.cursors.insert(input.clone(), Cursor { next: from, fetched: from, ..Cursor::default() });
            self.assign()?;
        }
        let deadline = now() + ANSWER;
        let mut known_end = None;
        while self.cursors.get(input).is_some_and(|cursor| cursor.waiting.is_empty()) {
            let ended = self.cursors.get(input).is_some_and(|cursor| cursor.ended);
            self.take(if ended { Duration::ZERO } else { WAIT })?;
            let Some(cursor) = self.cursors.get(input) else { break };
            if !cursor.waiting.is_empty() {
                break;
            }
            if cursor.ended {
                let end = match known_end {
                    Some(end) => end,
                    None => *known_end.insert(end()?),
                };
                // Markers of transactions are offsets without records: behind the last of them nothing more comes.
                if cursor.fetched >= end {
                    return Ok(Vec::new());
                }
            }
            if now() >= deadline {
                let Input { topic, partition } = input;
                return Err(JournalError::Undone {
                    why: format!("{topic}/{partition} gave nothing from offset {from} on"),
                });
            }
        }
        Ok(self.cursors.get_mut(input).map(|cursor| cursor.give(bytes)).unwrap_or_default())
    }

    fn assign(&mut self) -> Result<(), JournalError> {
        let places: Vec<_> = self.cursors.iter().map(|(input, cursor)| (input.clone(), cursor.fetched)).collect();
        self.reader.assign(&places)
    }

    /// Takes out what the consumer has.
    fn take(&mut self, timeout: Duration) -> Result<(), JournalError> {
        let mut gathered = Gathered::default();
        let cursors = &mut self.cursors;
        self.reader.poll(timeout, &mut |met| match met {
            Met::Record(message) => gathered.add(&message, message.timestamp.map(Time).unwrap_or_default()),
            Met::End(topic, partition, next) => {
                gathered.flush(&mut |block| keep(cursors, block));
                let input = Input { topic: topic.to_owned(), partition };
                if let Some(cursor) = cursors.get_mut(&input) {
                    (cursor.fetched, cursor.ended) = (cursor.fetched.max(next), true);
                }
            }
        })?;
        gathered.flush(&mut |block| keep(&mut self.cursors, block));
        let waiting = |cursor: &Cursor| cursor.waiting.iter().map(Fetched::bytes).sum::<usize>();
        if self.cursors.values().map(waiting).sum::<usize>() > WAITING_BYTES_MAX {
            for cursor in self.cursors.values_mut() {
                *cursor = Cursor { next: cursor.next, fetched: cursor.next, ..Cursor::default() };
            }
            self.assign()?;
        }
        Ok(())
    }
}

fn keep(cursors: &mut BTreeMap<Input, Cursor>, block: Fetched) {
    let Some(cursor) = cursors.get_mut(&block.input) else { return };
    let offsets = block.offsets();
    // What was fetched before a move to elsewhere may still come.
    if offsets.start >= cursor.fetched {
        (cursor.fetched, cursor.ended) = (offsets.end, false);
        // Markers of transactions, and records that were taken back, are offsets without records.
        let back = cursor.waiting.back().map_or(cursor.next, |before| before.offsets().end);
        cursor.waiting.push_back(block.reaching_back(back));
    }
}

impl Cursor {
    fn give(&mut self, bytes: usize) -> Vec<Fetched> {
        let (mut given, mut taken) = (Vec::new(), 0);
        while let Some(block) = self.waiting.pop_front() {
            taken += block.bytes();
            self.next = block.offsets().end;
            given.push(block);
            if taken >= bytes {
                break;
            }
        }
        given
    }
}

/// Messages → blocks, one for each stretch of a partition.
#[derive(Default)]
pub(super) struct Gathered {
    blocks: Vec<Gathering>,
    /// The one that the last message went to: those of a partition come together.
    last: usize,
    kept: Vec<Fetched>,
}

struct Gathering {
    input: Input,
    start: u64,
    end: u64,
    appended_at: Time,
    records: Records,
}

impl Gathered {
    pub fn add(&mut self, message: &Message<'_>, appended_at: Time) {
        let is_of =
            |block: &Gathering| block.input.partition == message.partition && block.input.topic == message.topic;
        if !self.blocks.get(self.last).is_some_and(is_of) {
            self.last = self.blocks.iter().position(is_of).unwrap_or_else(|| {
                let input = Input { topic: message.topic.to_owned(), partition: message.partition };
                let (start, records) = (message.offset, Records::default());
                self.blocks.push(Gathering { input, start, end: start, appended_at, records });
                self.blocks.len() - 1
            });
        }
        let block = &mut self.blocks[self.last];
        block.end = message.offset + 1;
        // What says that a key is to be forgotten is no record of ours.
        if message.tombstone && message.topic.starts_with(OWN) {
            return;
        }
        let record = NewRecord { key: message.key, value: message.value, spoofable: message.spoofable };
        block.records.push_placed(record, message.offset, appended_at);
        block.appended_at = block.appended_at.max(appended_at);
    }

    /// Takes a block that is finished.
    pub fn keep(&mut self, block: Fetched) {
        self.kept.push(block);
    }

    /// Drops what was taken of an input.
    pub fn forget(&mut self, input: &Input) {
        self.kept.retain(|block| block.input != *input);
    }

    /// Bytes of what was gathered.
    pub fn bytes(&self) -> usize {
        let kept = self.kept.iter().map(Fetched::bytes).sum::<usize>();
        kept + self.blocks.iter().map(|block| block.records.bytes()).sum::<usize>()
    }

    /// Gives all blocks, and is empty then.
    pub fn flush(&mut self, give: &mut dyn FnMut(Fetched)) {
        self.kept.drain(..).for_each(&mut *give);
        for Gathering { input, start, end, appended_at, records } in self.blocks.drain(..) {
            give(Fetched::placed(input, appended_at, (start, end), records));
        }
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_not_given() {
        let input = |partition| Input { topic: "nginx".to_owned(), partition };
        let mut gathered = Gathered::default();
        for (partition, start) in [(0, 3), (1, 7), (0, 5)] {
            gathered.keep(Fetched::placed(input(partition), Time(1), (start, start + 2), Records::default()));
        }
        gathered.forget(&input(0));
        let mut given = Vec::new();
        gathered.flush(&mut |block| given.push((block.input.partition, block.offsets())));
        assert_eq!(given, [(1, 7..9)]);
    }
}
