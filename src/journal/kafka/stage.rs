//! One stage's handle on the cluster: a member of its group, and the producer whose transactions move its positions. I/O.
//!
//! A batch is read whole before its transaction begins, so that no rebalance falls within one. Whatever happens to a
//! transaction, the brokers decide: what is not known to be committed is looked up, and a stage that may have lost a
//! partition begins again from what is committed. Deliberately without any wait of its own beyond the batches'.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::event::{Input, Time};
use crate::journal::{Commit, Committed, Fetched, JournalError, NOTE_BYTES_MAX, Stage, Subscription};

use super::feed::Gathered;
use super::mutants::{self, Mutant};
use super::reader::{Met, Reader};
use super::rebalance::{Assigned, Change, written};
use super::settings::KEPT;
use super::troubles::Delivered;
use super::watch::Watch;
use super::writer::{Failed, Writer};
use super::{Kafka, OWN, SKEW, now};

/// Transactions begin at least so far apart: a record that comes alone does not wait, and those of a flood go together.
const APART: Duration = Duration::from_millis(20);
/// Those of a stage that follows another: with the same distance it would keep whatever phase it began with, and wait
/// half of it each time. So it begins as soon as the other's records are there (p50 of both hops 44 → 33 ms).
const APART_FOLLOWING: Duration = Duration::from_millis(10);

/// Bytes of one batch where so many are there: a transaction costs 0.7 ms of this process's CPU time, so that one for each
/// mebibyte would be a sixth of all work (sheet §1.4: up to 8 MiB).
const BATCH_BYTES: usize = 4 << 20;

/// The handle.
pub struct KafkaStage {
    kafka: Kafka,
    name: String,
    reader: Reader,
    writer: Writer,
    owned: BTreeMap<Input, Owned>,
    moved: Vec<Input>,
    watch: Watch,
    last_began: Option<Instant>,
    apart: Duration,
}

/// A partition that is ours to work.
struct Owned {
    /// The next record that is ours to read.
    next: u64,
    committed: Option<u64>,
    note: Option<Vec<u8>>,
}

impl KafkaStage {
    pub(super) fn new(kafka: Kafka, name: &str, subscription: Subscription) -> Result<KafkaStage, JournalError> {
        let shared = &kafka.0;
        let starts = shared.starts(name, &subscription)?;
        let follows = subscription.topics.iter().all(|topic| topic.starts_with(OWN));
        let mut config = shared.settings.member(name);
        if follows {
            config.set("partition.assignment.strategy", KEPT);
        }
        let mut reader = Reader::new((&shared.settings, &config), starts, std::sync::Arc::clone(&shared.troubles))?;
        let mut writer = Writer::new(&shared.settings, name, &shared.troubles);
        // Before the first look at what is committed: what a forerunner of this name left open is ended by it.
        writer.take_over()?;
        let topics: Vec<String> = subscription.topics.iter().map(|pattern| expression(pattern)).collect();
        reader.subscribe(&topics)?;
        let (owned, moved, watch) = (BTreeMap::new(), Vec::new(), Watch::new(name));
        let apart = if follows { APART_FOLLOWING } else { APART };
        let name = name.to_owned();
        Ok(KafkaStage { kafka, name, reader, writer, owned, moved, watch, last_began: None, apart })
    }

    /// One look at the queue, which also follows rebalances.
    fn take(&mut self, timeout: Duration, gathered: &mut Gathered) -> Result<usize, JournalError> {
        let clock = (self.kafka.0.settings.clock)();
        // What comes in one look with a rebalance may be of before or behind it: what is ours is told after the look.
        let mut met = Gathered::default();
        let records = self.reader.poll(timeout, &mut |record| {
            if let Met::Record(message) = record {
                let stamped = message.timestamp.map(Time).filter(|time| message.stamped || near(*time, clock));
                met.add(&message, stamped.unwrap_or(clock));
            }
        })?;
        for change in self.reader.changes() {
            // What was gathered before it comes again from where the group is.
            change.inputs().for_each(|input| gathered.forget(input));
            self.follow(change);
        }
        let (owned, strays) = (&mut self.owned, &self.kafka.0.strays);
        met.flush(&mut |block| {
            let offsets = block.offsets();
            match owned.get_mut(&block.input) {
                Some(ours) if offsets.end > ours.next => {
                    strays.fetch_add(ours.next.saturating_sub(offsets.start), Ordering::Relaxed);
                    gathered.keep(block.skip_to(ours.next));
                    ours.next = offsets.end;
                }
                // Not ours, or below where we are: whoever has them reads them.
                Some(_) | None => drop(strays.fetch_add(offsets.end - offsets.start, Ordering::Relaxed)),
            }
        });
        Ok(records)
    }

    fn follow(&mut self, change: Change) {
        match change {
            Change::Assigned(given) => {
                for Assigned { input, next, committed, note, id } in given {
                    self.moved.push(input.clone());
                    id.into_iter().for_each(|id| self.watch.add(&input.topic, id));
                    let committed = committed.then_some(next);
                    let note = committed.and_then(|_| from_hex(&note));
                    self.owned.insert(input, Owned { next, committed, note });
                }
            }
            Change::Revoked(inputs) => {
                for input in inputs {
                    if !mutants::has(Mutant::RevokedKept) {
                        self.owned.remove(&input);
                    }
                    self.moved.push(input);
                }
            }
        }
    }

    /// The positions of a commit with their notes, as a group commits them.
    fn offsets(&self, commit: &Commit) -> Result<TopicPartitionList, JournalError> {
        let mut list = TopicPartitionList::with_capacity(commit.positions.len());
        for (input, next) in last(&commit.positions) {
            if !self.owned.contains_key(input) {
                let why = format!("{}/{} is another member's now", input.topic, input.partition);
                return Err(JournalError::Undone { why });
            }
            let partition = i32::try_from(input.partition).unwrap_or(i32::MAX);
            let next = match () {
                () if mutants::has(Mutant::OffsetTooFar) => next + 1,
                () if mutants::has(Mutant::OffsetShort) => next - 1,
                () => next,
            };
            let offset = Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX));
            drop(list.add_partition_offset(&input.topic, partition, offset));
            let note = commit.notes.iter().find(|(known, _)| known == input);
            if let Some(mut element) = list.find_partition(&input.topic, partition) {
                let note = note.map(|(_, note)| to_hex(note)).unwrap_or_default();
                element.set_metadata(written(self.watch.id(&input.topic), &note));
            }
        }
        Ok(list)
    }

    /// Whether the group holds what this commit said, after a new producer has ended the transaction.
    fn is_committed(&self, commit: &Commit) -> Result<bool, JournalError> {
        let wanted = last(&commit.positions);
        let inputs: Vec<Input> = wanted.keys().map(|input| (*input).clone()).collect();
        let there = self.reader.committed(&inputs)?;
        let mut pairs = wanted.values().zip(&there);
        Ok(!inputs.is_empty() && pairs.all(|(next, there)| there.as_ref().is_some_and(|(known, _)| known == next)))
    }

    fn write(&mut self, commit: &Commit) -> Result<Delivered, JournalError> {
        let offsets = self.offsets(commit)?;
        let mut appends = self.kafka.0.appends(&commit.appends)?;
        if mutants::has(Mutant::PositionsFirst) {
            self.writer.write(&[], Some((&self.reader, &offsets))).ok();
        }
        if mutants::has(Mutant::SendErrorIgnored) {
            // As where librdkafka takes no such record at all: nothing tells the transaction of it.
            appends.retain(|append| append.records.bytes() < 1 << 20);
        }
        match self.writer.write(&appends, Some((&self.reader, &offsets))) {
            Ok(delivered) => Ok(delivered),
            Err(Failed::Unknown(why, delivered)) => {
                if self.is_committed(commit)? {
                    Ok(delivered)
                } else {
                    Err(JournalError::Undone { why })
                }
            }
            Err(Failed::Undone(_)) if mutants::has(Mutant::UndoneIsDone) => Ok(Delivered::default()),
            Err(Failed::Undone(why)) => Err(JournalError::Undone { why }),
            Err(Failed::Fenced(why)) => Err(JournalError::Fenced { stage: format!("{}: {why}", self.name) }),
        }
    }
}

impl Stage for KafkaStage {
    fn poll(&mut self, bytes: usize, timeout: Duration) -> Result<Vec<Fetched>, JournalError> {
        self.watch.look(&self.kafka.0)?;
        let bytes = if bytes > 1 { bytes.max(BATCH_BYTES) } else { bytes };
        let mut gathered = Gathered::default();
        let mut left = timeout;
        loop {
            let records = self.take(left, &mut gathered)?;
            let held_for = self.last_began.map_or(self.apart, |began| began.elapsed());
            let apart = self.apart.saturating_sub(held_for);
            if gathered.bytes() >= bytes || records == 0 && (apart.is_zero() || gathered.bytes() == 0) {
                break;
            }
            left = if records == 0 { apart } else { Duration::ZERO };
        }
        if gathered.bytes() > 0 {
            self.last_began = Some(now());
        }
        let mut blocks = Vec::new();
        gathered.flush(&mut |block| blocks.push(block));
        Ok(blocks)
    }

    fn commit(&mut self, commit: Commit) -> Result<Committed, JournalError> {
        if !commit.marks.is_empty() {
            return Err(JournalError::Refused { why: "marks are set at the door, not by a stage".to_owned() });
        }
        if let Some((_, note)) = commit.notes.iter().find(|(_, note)| note.len() > NOTE_BYTES_MAX) {
            return Err(JournalError::TooLarge { bytes: note.len() as u64, max: NOTE_BYTES_MAX as u64 });
        }
        let nothing = commit.positions.is_empty() && commit.appends.iter().all(|(_, records)| records.is_empty());
        let delivered = if nothing { Delivered::default() } else { self.write(&commit)? };
        for (input, next) in &commit.positions {
            if let Some(owned) = self.owned.get_mut(input) {
                owned.committed = Some(*next);
                owned.note = commit.notes.iter().find(|(known, _)| known == input).map(|(_, note)| note.clone());
            }
        }
        Ok(self.kafka.0.note_committed(&commit.appends, &delivered))
    }

    fn seek(&mut self, input: &Input, next: u64) -> Result<(), JournalError> {
        let Some(owned) = self.owned.get_mut(input) else {
            let why = format!("{}/{} is another member's now", input.topic, input.partition);
            return Err(JournalError::Undone { why });
        };
        owned.next = next;
        self.reader.seek(&[(input.clone(), next)])
    }

    fn position(&self, input: &Input) -> Option<u64> {
        self.owned.get(input)?.committed
    }

    fn note(&self, input: &Input) -> Option<Vec<u8>> {
        self.owned.get(input)?.note.clone()
    }

    fn moved(&mut self) -> Vec<Input> {
        std::mem::take(&mut self.moved)
    }

    fn owns(&self, input: &Input) -> bool {
        self.owned.contains_key(input)
    }
}

/// The last position of each input: one that came in two blocks has two.
fn last(positions: &[(Input, u64)]) -> BTreeMap<&Input, u64> {
    positions.iter().map(|(input, next)| (input, *next)).collect()
}

/// A name as it is; a pattern as the regular expression that librdkafka takes for one.
fn expression(pattern: &str) -> String {
    if !pattern.contains('*') {
        return pattern.to_owned();
    }
    let quoted: Vec<String> = pattern.split('*').map(|part| part.replace('.', "\\.")).collect();
    format!("^{}$", quoted.join(".*"))
}

fn near(time: Time, clock: Time) -> bool {
    time.since(clock).abs() <= SKEW
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` where it is none, as where an operator has set the group's offsets by hand.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    };
    (!text.is_empty()).then(|| text.as_bytes().chunks(2).map(pair).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_expressions() {
        assert_eq!(expression("nginx.a"), "nginx.a");
        assert_eq!(expression("nginx.*-x*"), "^nginx\\..*-x.*$");
    }

    #[test]
    fn notes_travel_as_hex() {
        let note: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&note)), Some(note));
        assert!(["", "abc", "zz", "é"].into_iter().all(|text| from_hex(text).is_none()));
    }
}
