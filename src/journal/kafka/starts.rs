//! Where reading began: the places of all partitions at a stage's first start, kept as a mark. I/O.
//!
//! `start` is asked for once. A partition that is read for the first time later, because it was quiet or another process's,
//! begins where it was then, however long it has grown since; one that was not there then begins at its beginning: what
//! came after the first start is never skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::settings::Begin;
use super::{MARKS, OWN, Shared};
use crate::event::Input;
use crate::journal::{Commit, JournalError, Mark, Subscription};

/// Places and the ids of their topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    places: BTreeMap<Input, u64>,
    ids: BTreeMap<String, String>,
}

impl Starts {
    /// Where a partition was; `None` where it was not there yet, or is of our own and read from its beginning.
    pub(super) fn place(&self, input: &Input) -> Option<u64> {
        self.places.get(input).copied()
    }

    /// What the topic's id was.
    pub(super) fn id(&self, topic: &str) -> Option<&str> {
        self.ids.get(topic).map(String::as_str)
    }
}

fn prefix(stage: &str) -> String {
    format!("start/{stage}/")
}

impl Shared {
    /// Where a stage began, found out now where it never did.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub(super) fn starts(&self, stage: &str, subscription: &Subscription) -> Result<Starts, JournalError> {
        if subscription.topics.iter().all(|topic| topic.starts_with(OWN)) {
            return Ok(Starts::default());
        }
        if let Some(known) = self.known_starts(stage)? {
            return Ok(known);
        }
        let starts = self.begin(subscription)?;
        let value = postcard::to_stdvec(&starts).map_err(|error| JournalError::Refused { why: error.to_string() })?;
        let key = format!("{}{}", prefix(stage), self.settings.instance);
        self.append(Commit { marks: vec![Mark { key, value: Some(value), expires_at: None }], ..Commit::default() })?;
        // Another process may have begun at the same time, a little earlier in some partition.
        Ok(self.known_starts(stage)?.unwrap_or(starts))
    }

    /// What every process that began first has marked: of each partition the earliest place.
    fn known_starts(&self, stage: &str) -> Result<Option<Starts>, JournalError> {
        let mut known: Option<Starts> = None;
        for (key, value) in self.marked()?.starting(&prefix(stage), (self.settings.clock)()) {
            let Starts { places, ids } = postcard::from_bytes(&value).map_err(|error| JournalError::Refused {
                why: format!(
                    "the mark {key} of {MARKS} cannot be read: {error}; run the version that wrote it, or a newer one"
                ),
            })?;
            let known = known.get_or_insert_default();
            for (input, place) in places {
                let earliest = known.places.entry(input).or_insert(place);
                *earliest = place.min(*earliest);
            }
            known.ids.extend(ids);
        }
        Ok(known)
    }

    fn begin(&self, subscription: &Subscription) -> Result<Starts, JournalError> {
        let mut inputs = Vec::new();
        let read = |topic: &String| !topic.starts_with(OWN) && subscription.covers_topic(topic);
        for topic in self.names(std::time::Duration::ZERO)?.into_iter().filter(read) {
            inputs.extend((0..self.count(&topic)?).map(|partition| Input { topic: topic.clone(), partition }));
        }
        let topics: BTreeSet<&str> = inputs.iter().map(|input| input.topic.as_str()).collect();
        let ids = self.ids(&topics, super::ANSWER)?;
        let ranges = self.ranges(&inputs)?;
        let places = match self.settings.begin {
            Begin::Beginning => ranges.iter().map(|range| range.start).collect(),
            Begin::End => ranges.iter().map(|range| range.end).collect(),
            Begin::At(time) => {
                let found = self.places(&inputs, rdkafka::topic_partition_list::Offset::Offset(time.0))?;
                let or_end = |(found, range): (Option<u64>, &Range<u64>)| found.unwrap_or(range.end);
                found.into_iter().zip(&ranges).map(or_end).collect::<Vec<_>>()
            }
        };
        Ok(Starts { places: inputs.into_iter().zip(places).collect(), ids })
    }
}
