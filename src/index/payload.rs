//! What every commit says of itself: how far it has read, of which schema it is. Pure.
//!
//! Tantivy publishes this text and the documents in one rename, so the two cannot part. Deliberately small: it is
//! written with every commit and every merge.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::{Input, Time};

/// Raised when an older program could misread a payload.
const VERSION: u32 = 1;
/// Fields without a slot that get a column in one split. Names are the attacker's choice where JSON is logged, and a
/// column is open in every segment of the split; beyond this a field is in the document and not searchable, counted.
pub const EXTRA_COLUMNS_MAX: usize = 1_000;

/// The payload of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    pub(super) v: u32,
    pub(super) schema: String,
    /// Inputs in the order this split met them: a document names its input by its number here.
    pub(super) parts: Vec<Part>,
    /// Documents in the split.
    pub(super) documents: u64,
    /// Bytes of their raw lines.
    pub(super) raw_bytes: u64,
    /// The journal's time of the first event the split took, and of the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) opened_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) newest_at: Option<Time>,
    /// Fields without a slot that have a column in this split.
    pub(super) extras: BTreeSet<String>,
    /// Whether the split takes no more documents.
    pub(super) sealed: bool,
}

/// How far a split has read one input: offsets `from` inclusive to `next` exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) from: u64,
    pub(super) next: u64,
}

impl Part {
    /// The partition.
    pub fn input(&self) -> Input {
        Input { topic: self.topic.clone(), partition: self.partition }
    }

    fn is_of(&self, input: &Input) -> bool {
        self.partition == input.partition && self.topic == input.topic
    }
}

impl Payload {
    /// That of a split which begins where `before` ends.
    pub(super) fn beginning(schema: &str, before: Option<&Payload>) -> Self {
        let parts = before.map(|before| before.parts.clone()).unwrap_or_default();
        Payload {
            v: VERSION,
            schema: schema.to_owned(),
            parts: parts.into_iter().map(|part| Part { from: part.next, ..part }).collect(),
            documents: 0,
            raw_bytes: 0,
            opened_at: None,
            newest_at: None,
            extras: BTreeSet::new(),
            sealed: false,
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// A sentence, where it is not one of ours or of another version.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let payload: Payload =
            serde_json::from_str(text).map_err(|fault| format!("its payload is not ours: {fault}"))?;
        if payload.v != VERSION {
            return Err(format!("its payload has version {}, this program reads {VERSION}", payload.v));
        }
        Ok(payload)
    }

    pub(super) fn write(&self) -> String {
        // Maps with text keys and numbers only: there is nothing that could be refused.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The number of an input in this split, if it was met.
    pub(super) fn ordinal(&self, input: &Input) -> Option<u64> {
        self.parts.iter().position(|part| part.is_of(input)).map(|at| at as u64)
    }

    /// How far `input` was read; `None` where it was never met.
    pub(super) fn next(&self, input: &Input) -> Option<u64> {
        self.parts.iter().find(|part| part.is_of(input)).map(|part| part.next)
    }

    /// Moves an input on; an input that is new begins at `from`.
    pub(super) fn advance(&mut self, input: &Input, from: u64, next: u64) {
        match self.parts.iter_mut().find(|part| part.is_of(input)) {
            Some(part) => part.next = part.next.max(next),
            None => self.parts.push(Part { topic: input.topic.clone(), partition: input.partition, from, next }),
        }
    }

    /// Whether a field without a slot gets a column, which it keeps.
    pub(super) fn column_for(&mut self, name: &str) -> bool {
        if self.extras.contains(name) {
            return true;
        }
        let room = self.extras.len() < EXTRA_COLUMNS_MAX && super::batch::columnar_name(name);
        if room {
            self.extras.insert(name.to_owned());
        }
        room
    }

    /// Takes note of documents whose records the journal took at `appended_at`.
    pub(super) fn took(&mut self, appended_at: Time) {
        self.opened_at.get_or_insert(appended_at);
        self.newest_at = self.newest_at.max(Some(appended_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_move_on_and_never_back() {
        let input = Input { topic: "logs.nginx".to_owned(), partition: 2 };
        let mut payload = Payload::beginning("s", None);
        assert_eq!(payload.next(&input), None);
        payload.advance(&input, 7, 10);
        payload.advance(&input, 10, 9);
        assert_eq!(payload.next(&input), Some(10));
        assert_eq!(Payload::read(&payload.write()), Ok(payload.clone()));
        let after = Payload::beginning("s", Some(&payload));
        assert_eq!((after.parts[0].from, after.parts[0].next), (10, 10));
    }

    #[test]
    fn another_version_is_refused() {
        let mut payload = Payload::beginning("s", None);
        payload.v = 2;
        assert!(Payload::read(&payload.write()).unwrap_err().contains("version 2"));
        assert!(Payload::read("{}").is_err());
    }

    #[test]
    fn columns_for_chosen_names_are_bounded() {
        let mut payload = Payload::beginning("s", None);
        assert!((0..EXTRA_COLUMNS_MAX).all(|number| payload.column_for(&format!("f{number}"))));
        assert!(!payload.column_for("one.more"));
        assert!(payload.column_for("f0"));
    }
}
