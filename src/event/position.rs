//! Where things are in the journal. Pure.

use serde::{Deserialize, Serialize};

/// One partition of one topic: what a stage reads in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Input {
    pub topic: String,
    pub partition: u32,
}

/// The place of one item: topic, partition, offset and, where a record holds several items, which of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    /// The item within the record, from 0; absent where the record held one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
}

/// The place of an item inside an input that is known from context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub offset: u64,
    pub item: Option<u32>,
}

/// A run of offsets of one input: `from` inclusive, `to` exclusive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    pub topic: String,
    pub partition: u32,
    pub from: u64,
    pub to: u64,
}

impl Input {
    /// The position of `place` in this input.
    pub fn position(&self, place: Place) -> Position {
        Position { topic: self.topic.clone(), partition: self.partition, offset: place.offset, item: place.item }
    }

    /// The span from the first to the last of two offsets, both inclusive.
    pub fn span(&self, first: u64, last: u64) -> Span {
        Span { topic: self.topic.clone(), partition: self.partition, from: first, to: last + 1 }
    }
}

/// Topics of our own begin so; no pattern means them.
pub const OWN_TOPICS: &str = "sekisho.";

/// Whether a topic is the one of this name, or fits this pattern: `*` stands for any characters, also for none.
pub fn topic_fits(pattern: &str, topic: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == topic };
    let Some(mut left) = topic.strip_prefix(head).filter(|_| !topic.starts_with(OWN_TOPICS)) else { return false };
    let Some((middles, tail)) = rest.rsplit_once('*').or(Some(("", rest))) else { return false };
    for middle in middles.split('*').filter(|middle| !middle.is_empty()) {
        let Some((_, behind)) = left.split_once(middle) else { return false };
        left = behind;
    }
    left.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, topic, fits) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx-a", false),
            ("nginx-*", "nginx-", true),
            ("nginx-*", "nginx-a.b", true),
            ("nginx-*", "nginx", false),
            ("*-logs", "web-logs", true),
            ("*-logs", "web-logs-old", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "anything", true),
            ("*", "sekisho.signals", false),
            ("sekisho.signals", "sekisho.signals", true),
        ] {
            assert_eq!(topic_fits(pattern, topic), fits, "{pattern} {topic}");
        }
    }
}
