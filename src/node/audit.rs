//! Whether everything that was recorded follows from everything that came: `sekisho audit`. I/O only through the journal.
//!
//! Packs say which stretch of an input each commit of ingest read: for every input they must tile, without gap and without
//! overlap, from the first to where its records end. And the fold of `sekisho.signals` must give the records of the topics
//! of outcomes, byte for byte. Together they prove the way from raw record to alert, whatever crashed on it, without
//! trusting what the program says of itself. Deliberately with hashes instead of the records: topics may be large.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::event::{Entry, Input, SIGNALS};
use crate::fold::signals;
use crate::journal::{Fetched, Journal};

use super::NodeError;
use super::outputs::{ALERTS, ANSWERS, BLOCKS, INCIDENTS, Outputs};
use super::recorded::Recording;

/// Bytes read at a time.
const READ_BYTES: usize = 4 << 20;
/// What decide alone writes. Dead letters are ingest's as well.
const TOPICS: [&str; 4] = [ALERTS, BLOCKS, INCIDENTS, ANSWERS];
/// Faults of one input that are told; more of them say nothing new.
const FAULTS_MAX: usize = 20;

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    pub inputs: Vec<Audited>,
    pub outputs: Vec<Compared>,
    /// Records of the signals that were folded again.
    pub folded: Range<u64>,
    /// Whether nothing stands for what was before them: outcomes may differ at the beginning.
    pub blind: bool,
}

/// One raw partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    pub input: Option<Input>,
    /// What the packs cover.
    pub covered: Range<u64>,
    pub packs: u64,
    /// Offsets behind the last pack: not judged yet, or markers of transactions.
    pub behind: u64,
    /// Gaps and overlaps: where a pack should have begun, and where it did.
    pub faults: Vec<(u64, u64)>,
}

/// One topic of outcomes beside the fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    pub topic: &'static str,
    /// Records that the fold gave, which lie in the topic in this order.
    pub same: u64,
    /// Records of the topic from before what was folded, and from after it.
    pub before: u64,
    pub after: u64,
    /// The first record that the fold gives otherwise, counted from the topic's first that is kept.
    pub differs_at: Option<u64>,
}

impl Audit {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.inputs.iter().all(|input| input.faults.is_empty())
            && self.outputs.iter().all(|output| output.differs_at.is_none())
    }
}

/// Audits a journal, up to the record of the signals where decide had come to.
///
/// # Errors
/// Those of the journal, and of catalogs it names.
pub fn audit<J: Journal>(journal: &Arc<J>, decided: u64) -> Result<Audit, NodeError> {
    let inputs = tiled(&**journal)?;
    let mut recording = Recording::up_to(Arc::clone(journal), decided)?;
    let span = recording.span();
    let mut told: BTreeMap<&str, Vec<blake3::Hash>> = BTreeMap::new();
    while let Some(folded) = recording.step()? {
        for (input, records) in Outputs::of(&folded).appends() {
            let Some(topic) = TOPICS.into_iter().find(|topic| *topic == input.topic) else { continue };
            told.entry(topic).or_default().extend(records.iter().map(|(record, _)| blake3::hash(record.value)));
        }
    }
    let one = |topic: &'static str| {
        let told = told.get(topic).map(Vec::as_slice).unwrap_or_default();
        Ok::<_, NodeError>(compared(topic, &kept(&**journal, topic)?, told, span.from > 0))
    };
    let outputs = TOPICS.into_iter().map(one).collect::<Result<_, _>>()?;
    Ok(Audit { inputs, outputs, folded: span.from..span.to, blind: span.blind })
}

/// Whether the packs of each input tile.
fn tiled<J: Journal>(journal: &J) -> Result<Vec<Audited>, NodeError> {
    let mut inputs: BTreeMap<Input, Audited> = BTreeMap::new();
    each(journal, SIGNALS, &mut |offset, value| {
        let entry = Entry::decode(value).map_err(|entry| NodeError::Entry { offset, entry })?;
        if let Entry::Pack(pack) = entry {
            let fresh =
                || Audited { input: Some(pack.input.clone()), covered: pack.from..pack.from, ..Audited::default() };
            inputs.entry(pack.input.clone()).or_insert_with(fresh).add(pack.from, pack.to);
        }
        Ok(())
    })?;
    for (input, audited) in &mut inputs {
        let there = journal.partitions(&input.topic)?.into_iter().find(|(known, _)| known == input);
        let end = there.map_or(0, |(_, range)| range.end);
        audited.behind = end.saturating_sub(audited.covered.end);
    }
    Ok(inputs.into_values().collect())
}

impl Audited {
    fn add(&mut self, from: u64, to: u64) {
        self.packs += 1;
        if from != self.covered.end && self.faults.len() < FAULTS_MAX {
            self.faults.push((self.covered.end, from));
        }
        self.covered.end = self.covered.end.max(to);
    }
}

/// Where the records that the fold told lie in a topic. Where its start is gone, they may begin anywhere in it.
fn compared(topic: &'static str, kept: &[blake3::Hash], told: &[blake3::Hash], trimmed: bool) -> Compared {
    let starts = |at: usize| kept[at..].iter().zip(told).take_while(|(kept, told)| kept == told).count();
    let first = told.first();
    let candidates = kept.iter().enumerate().filter(|(_, hash)| Some(*hash) == first).map(|(at, _)| at);
    let best = if trimmed { candidates.max_by_key(|at| starts(*at)).unwrap_or(0) } else { 0 };
    let same = starts(best);
    let whole = same == told.len();
    Compared {
        topic,
        same: same as u64,
        before: best as u64,
        after: if whole { (kept.len() - best - same) as u64 } else { 0 },
        differs_at: (!whole).then_some((best + same) as u64),
    }
}

fn kept<J: Journal>(journal: &J, topic: &str) -> Result<Vec<blake3::Hash>, NodeError> {
    let mut hashes = Vec::new();
    each(journal, topic, &mut |_, value| {
        hashes.push(blake3::hash(value));
        Ok(())
    })?;
    Ok(hashes)
}

/// Takes the offset and the value of a record.
type Visit<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), NodeError>;

/// Gives every record of a topic's one partition.
fn each<J: Journal>(journal: &J, topic: &str, visit: Visit<'_>) -> Result<(), NodeError> {
    let input = Input { topic: topic.to_owned(), ..signals() };
    let Some((_, range)) = journal.partitions(topic)?.into_iter().next() else { return Ok(()) };
    let mut next = range.start;
    while next < range.end {
        let blocks = journal.read(&input, next, READ_BYTES)?;
        let Some(last) = blocks.last() else { break };
        next = last.offsets().end;
        blocks.iter().flat_map(Fetched::iter).try_for_each(|record| visit(record.offset, record.value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_overlaps_are_found() {
        let mut audited = Audited { covered: 3..3, ..Audited::default() };
        for (from, to) in [(3, 7), (7, 7), (7, 9), (8, 12), (13, 14)] {
            audited.add(from, to);
        }
        assert_eq!((audited.covered, audited.packs), (3..14, 5));
        assert_eq!(audited.faults, [(9, 8), (12, 13)]);
    }

    #[test]
    fn what_was_told_is_found_where_it_lies() {
        let hashes = |text: &str| text.bytes().map(|byte| blake3::hash(&[byte])).collect::<Vec<_>>();
        let compare = |kept, told, trimmed| compared("t", &hashes(kept), &hashes(told), trimmed);
        let found = |kept, told, trimmed| {
            let Compared { same, before, after, differs_at, .. } = compare(kept, told, trimmed);
            (same, before, after, differs_at)
        };
        assert_eq!(found("abcd", "abc", false), (3, 0, 1, None), "the node went on meanwhile");
        assert_eq!(found("abcd", "abx", false), (2, 0, 0, Some(2)));
        assert_eq!(found("abcd", "bcd", false), (0, 0, 0, Some(0)));
        assert_eq!(found("abcd", "bcd", true), (3, 1, 0, None));
        assert_eq!(found("abab", "ab", true).3, None);
        assert_eq!(found("ab", "abc", false), (2, 0, 0, Some(2)), "one is missing");
        assert_eq!(found("", "", true), (0, 0, 0, None));
    }
}
