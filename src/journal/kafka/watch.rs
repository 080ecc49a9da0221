//! Whether the topics that a stage works are still the same. I/O.
//!
//! librdkafka says nothing of a topic that was deleted, and reads on in one that was made anew (sheet §1.8). So the ids are
//! asked for once a second. Deliberately no part of a transaction: a second of a new topic's records may be judged before
//! its going is told, but never more, and never in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::mutants::{self, Mutant};
use super::rebalance::anew;
use super::{Shared, now};
use crate::journal::JournalError;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// Brokers that answer do so in some milliseconds; the stage waits for no others.
const ANSWER: Duration = Duration::from_millis(500);
/// How long nothing is asked of brokers that did not answer.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// So often in a row a topic is not there before it is taken for deleted: a broker that just started knows it later.
const MISSED_MAX: u32 = 10;

/// The topics of a stage.
pub(super) struct Watch {
    group: String,
    topics: BTreeMap<String, Watched>,
    due: Instant,
}

struct Watched {
    id: String,
    /// How often in a row it was not there.
    missed: u32,
}

impl Watch {
    /// None yet.
    pub fn new(stage: &str) -> Watch {
        Watch { group: format!("sekisho-{stage}"), topics: BTreeMap::new(), due: now() + EVERY }
    }

    /// A partition of this topic is worked.
    pub fn add(&mut self, topic: &str, id: String) {
        self.topics.insert(topic.to_owned(), Watched { id, missed: 0 });
    }

    /// The topic's id, where it is known.
    pub fn id(&self, topic: &str) -> Option<&str> {
        self.topics.get(topic).map(|watched| watched.id.as_str())
    }

    /// Looks, if it is time.
    ///
    /// # Errors
    /// [`JournalError::Undone`] where a topic is gone, or another has its name.
    pub fn look(&mut self, shared: &Shared) -> Result<(), JournalError> {
        if now() < self.due || self.topics.is_empty() || mutants::has(Mutant::IdIgnored) {
            return Ok(());
        }
        let names: BTreeSet<&str> = self.topics.keys().map(String::as_str).collect();
        // Brokers that do not answer give nothing to be read either.
        let Ok(there) = shared.ids(&names, ANSWER) else {
            self.due = now() + AGAIN_AFTER;
            return Ok(());
        };
        self.due = now() + EVERY;
        self.compare(&there).map_or(Ok(()), |why| Err(JournalError::Undone { why }))
    }

    fn compare(&mut self, there: &BTreeMap<String, String>) -> Option<String> {
        for (topic, watched) in &mut self.topics {
            match there.get(topic) {
                Some(id) if *id == watched.id => watched.missed = 0,
                Some(_) => return Some(anew(topic, &self.group)),
                None => watched.missed += 1,
            }
            if watched.missed >= MISSED_MAX {
                return Some(format!(
                    "{topic} is not there any more: what of it was not read is lost\n  = `sekisho topics create` makes it \
                     again, or take it out of the `topics` of its pipeline"
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_topic_of_the_name_is_told_at_once_and_one_that_is_gone_after_some_looks() {
        let there = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let mut watch = Watch::new("ingest");
        watch.add("nginx", "one".to_owned());
        let told = watch.compare(&there(&[("nginx", "two")])).expect("another");
        assert!(told.contains("made anew") && told.contains("--group sekisho-ingest --topic nginx"), "{told}");
        for _ in 1..MISSED_MAX {
            assert_eq!(watch.compare(&there(&[])), None);
        }
        assert_eq!(watch.compare(&there(&[("nginx", "one")])), None, "it was there again");
        assert!(
            (1..=MISSED_MAX).filter_map(|_| watch.compare(&there(&[]))).next().expect("gone").contains("not there")
        );
    }
}
