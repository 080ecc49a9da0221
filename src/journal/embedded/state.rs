//! What the frames of a log add up to: partitions, positions, marks, and where everything lies. Pure.
//!
//! The same fold serves the opening and the writing, so what a crash leaves is what was. Deliberately without files, and
//! nothing here is ever believed over a frame: it can be built again from them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use crate::event::{Input, Time};
use crate::journal::Mark;

use super::frame::{Body, Header, Kind};

/// Marks of one class (with and without expiry): 24 hours of idempotency keys at more than one a second, or the files
/// of a large host. Beyond it a commit is refused, so that a flood of keys cannot push out a file's cursor.
pub const MARKS_MAX: usize = 100_000;
/// Bytes of keys and values of one class: all marks open every segment, and must stay a part of it.
pub const MARKS_BYTES_MAX: usize = 8 << 20;
/// Partitions of a log: pipelines times what a pipeline needs, far beyond one machine's.
pub const PARTITIONS_MAX: usize = 4_096;
/// Positions of all stages.
pub const POSITIONS_MAX: usize = 16 * PARTITIONS_MAX;
/// A position that says that the stage is no more; no offset comes near it.
pub(super) const POSITION_GONE: u64 = u64::MAX;
/// Bytes between two places of a partition that are remembered: what a read at any offset walks at most.
const PLACES_EVERY: u64 = 1 << 20;

/// All small keyed values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    kept: BTreeMap<String, (Option<Time>, Vec<u8>)>,
    expiries: BTreeSet<(Time, String)>,
    lasting: Load,
    passing: Load,
}

/// How much of a class is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    count: usize,
    bytes: usize,
}

impl Marks {
    pub fn get(&self, key: &str, now: Time) -> Option<&[u8]> {
        let (expires_at, value) = self.kept.get(key)?;
        expires_at.is_none_or(|at| at > now).then_some(value)
    }

    pub fn starting(&self, prefix: &str, now: Time) -> Vec<(String, Vec<u8>)> {
        let begins = self.kept.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let alive = begins.filter(|(_, (expires_at, _))| expires_at.is_none_or(|at| at > now));
        alive.map(|(key, (_, value))| (key.clone(), value.clone())).collect()
    }

    fn all(&self) -> Vec<Mark> {
        let mark = |(key, (expires_at, value)): (&String, &(Option<Time>, Vec<u8>))| Mark {
            key: key.clone(),
            value: Some(value.clone()),
            expires_at: *expires_at,
        };
        self.kept.iter().map(mark).collect()
    }

    /// Whether these still have room: (count, bytes) of the class that would overflow otherwise.
    pub fn admit<'a>(&self, added: impl Iterator<Item = &'a Mark>) -> Result<(), (usize, usize)> {
        let (mut lasting, mut passing) = (self.lasting, self.passing);
        for mark in added {
            let class = if mark.expires_at.is_some() { &mut passing } else { &mut lasting };
            if let Some(value) = &mark.value {
                class.count += usize::from(!self.kept.contains_key(&mark.key));
                class.bytes += mark.key.len() + value.len();
                class.bytes -= self.held_bytes(mark).min(class.bytes);
            }
        }
        let full = |load: &Load| load.count > MARKS_MAX || load.bytes > MARKS_BYTES_MAX;
        [lasting, passing].iter().find(|load| full(load)).map_or(Ok(()), |load| Err((load.count, load.bytes)))
    }

    /// What the mark that would be replaced takes in the same class.
    fn held_bytes(&self, by: &Mark) -> usize {
        let held = self.kept.get(&by.key).filter(|(expires_at, _)| expires_at.is_some() == by.expires_at.is_some());
        held.map_or(0, |(_, value)| by.key.len() + value.len())
    }

    fn set(&mut self, mark: Mark) {
        self.remove(&mark.key);
        let Some(value) = mark.value else { return };
        self.class(mark.expires_at).add(mark.key.len() + value.len());
        if let Some(at) = mark.expires_at {
            self.expiries.insert((at, mark.key.clone()));
        }
        self.kept.insert(mark.key, (mark.expires_at, value));
    }

    fn remove(&mut self, key: &str) {
        let Some((expires_at, value)) = self.kept.remove(key) else { return };
        if let Some(at) = expires_at {
            self.expiries.remove(&(at, key.to_owned()));
        }
        self.class(expires_at).subtract(key.len() + value.len());
    }

    fn class(&mut self, expires_at: Option<Time>) -> &mut Load {
        if expires_at.is_some() { &mut self.passing } else { &mut self.lasting }
    }

    /// Forgets what has expired; how many that were.
    fn expire(&mut self, now: Time) -> u64 {
        let mut expired = 0;
        while let Some((_, key)) = self.expiries.first().filter(|(at, _)| *at <= now).cloned() {
            self.remove(&key);
            expired += 1;
        }
        expired
    }
}

impl Load {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }

    fn subtract(&mut self, bytes: usize) {
        self.count -= 1;
        self.bytes -= bytes;
    }
}

/// Where records of a partition begin: (offset, byte), sparse, ascending in both.
type Places = BTreeMap<Input, Vec<(u64, u64)>>;

/// One segment as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub number: u64,
    /// Of its checkpoint: all earlier segments are older.
    pub appended_at: Time,
    /// Next offset of every partition when it began.
    starts: BTreeMap<Input, u64>,
    /// Where its last frame ends.
    pub end: u64,
    /// Built when it is written or first read.
    pub places: Option<Places>,
}

impl Segment {
    /// The first offset of a partition that this segment or a later one holds.
    pub fn start(&self, input: &Input) -> u64 {
        self.starts.get(input).copied().unwrap_or(0)
    }

    /// The place to walk from, for an offset.
    pub fn place(&self, input: &Input, offset: u64) -> u64 {
        let places = self.places.as_ref().and_then(|places| places.get(input));
        let before = places.map(|places| &places[..places.partition_point(|(first, _)| *first <= offset)]);
        before.and_then(<[_]>::last).map_or(0, |(_, at)| *at)
    }
}

/// Adds a frame to sparse places.
pub(super) fn note_places(places: &mut Places, body: &Body, at: u64) {
    let sections = body.sections.iter().map(|section| (&section.input, section.base));
    let lost = body.lost.iter().map(|(input, offsets)| (input, offsets.start));
    for (input, offset) in sections.chain(lost) {
        if !places.contains_key(input) {
            places.insert(input.clone(), Vec::new());
        }
        let Some(known) = places.get_mut(input) else { continue };
        if known.last().is_none_or(|(_, last)| at >= last + PLACES_EVERY) {
            known.push((offset, at));
        }
    }
}

/// Everything the log's frames say, up to what is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub log: u64,
    pub epoch: u64,
    /// The sequence of the next frame.
    pub sequence: u64,
    /// The CRC of the last frame.
    pub chain: u32,
    pub appended_at: Time,
    pub nexts: BTreeMap<Input, u64>,
    pub positions: BTreeMap<String, BTreeMap<Input, u64>>,
    pub marks: Marks,
    pub segments: VecDeque<Segment>,
    pub marks_expired: u64,
}

impl State {
    /// A log without frames.
    pub fn new(log: u64) -> State {
        State {
            log,
            epoch: 0,
            sequence: 1,
            chain: 0,
            appended_at: Time::MIN,
            nexts: BTreeMap::new(),
            positions: BTreeMap::new(),
            marks: Marks::default(),
            segments: VecDeque::new(),
            marks_expired: 0,
        }
    }

    /// A log that goes on where a checkpoint of another one stands.
    pub fn resume(&mut self, header: &Header, body: Body) {
        self.sequence = header.sequence;
        self.appended_at = header.appended_at;
        self.apply_body(body);
    }

    /// A segment whose contents are not read: those of its checkpoint.
    pub fn add_segment(&mut self, header: &Header, body: &Body, end: u64) {
        self.segments.push_back(Segment {
            number: header.segment,
            appended_at: header.appended_at,
            starts: body.nexts.iter().cloned().collect(),
            end,
            places: None,
        });
    }

    /// Folds a durable frame in; `at` is where it lies in its segment.
    pub fn apply(&mut self, header: &Header, body: Body, at: u64) {
        if header.kind == Kind::Checkpoint {
            self.add_segment(header, &body, 0);
            self.nexts.clear();
            self.positions.clear();
            self.marks = Marks::default();
            if let Some(segment) = self.segments.back_mut() {
                segment.places = Some(BTreeMap::new());
            }
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.end = at + u64::from(header.total);
            if let Some(places) = &mut segment.places {
                note_places(places, &body, at);
            }
        }
        self.epoch = self.epoch.max(header.epoch);
        self.sequence = header.sequence + 1;
        self.chain = header.crc;
        self.appended_at = self.appended_at.max(header.appended_at);
        self.apply_body(body);
    }

    fn apply_body(&mut self, body: Body) {
        for section in body.sections {
            self.nexts.insert(section.input, section.base + u64::from(section.count));
        }
        self.nexts.extend(body.nexts);
        self.nexts.extend(body.lost.into_iter().map(|(input, offsets)| (input, offsets.end)));
        for (stage, input, next) in body.positions {
            self.move_position(stage, input, next);
        }
        for mark in body.marks {
            self.marks.set(mark);
        }
        self.marks_expired += self.marks.expire(self.appended_at);
    }

    fn move_position(&mut self, stage: String, input: Input, next: u64) {
        if next != POSITION_GONE {
            self.positions.entry(stage).or_default().insert(input, next);
            return;
        }
        let Some(inputs) = self.positions.get_mut(&stage) else { return };
        inputs.remove(&input);
        if inputs.is_empty() {
            self.positions.remove(&stage);
        }
    }

    /// Everything a new segment must begin with.
    pub fn checkpoint(&self) -> Body {
        let positions = self
            .positions
            .iter()
            .flat_map(|(stage, inputs)| inputs.iter().map(|(input, next)| (stage.clone(), input.clone(), *next)));
        Body {
            positions: positions.collect(),
            marks: self.marks.all(),
            nexts: self.nexts.iter().map(|(input, next)| (input.clone(), *next)).collect(),
            ..Body::default()
        }
    }

    /// The next offset of a partition.
    pub fn next(&self, input: &Input) -> u64 {
        self.nexts.get(input).copied().unwrap_or(0)
    }

    /// The first offset of a partition that is still there.
    pub fn start(&self, input: &Input) -> u64 {
        self.segments.front().map_or(0, |segment| segment.start(input))
    }

    /// The offsets of a partition that are there.
    pub fn offsets(&self, input: &Input) -> Range<u64> {
        self.start(input)..self.next(input)
    }

    /// Which segment holds an offset that is there.
    pub fn segment_of(&self, input: &Input, offset: u64) -> Option<usize> {
        self.segments.partition_point(|segment| segment.start(input) <= offset).checked_sub(1)
    }

    /// The place of a segment among those that are there.
    pub fn segment_index(&self, number: u64) -> Option<usize> {
        let first = self.segments.front()?.number;
        let index = number.checked_sub(first)? as usize;
        (index < self.segments.len()).then_some(index)
    }
}
