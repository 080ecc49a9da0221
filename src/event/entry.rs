//! What a record of `sekisho.signals` holds: everything that changes what decide knows (design §3). Pure.
//!
//! Written as postcard behind a version byte: packs are for our own stages, and their size and speed are the journal's.
//! Deliberately not a format for others: what leaves is JSON.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::outcome::Level;
use super::position::Position;
use super::signal::{CatalogHash, Pack};
use super::time::Time;

/// The topic that decide folds: one partition, one order.
pub const SIGNALS: &str = "sekisho.signals";
/// The form of an entry. A reader refuses forms it does not know.
const FORM: u8 = 1;

/// One thing that decide folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    Pack(Pack),
    Command(Command),
    /// From now on this catalog judges; its text is in `sekisho.catalogs`.
    Catalog(CatalogHash),
}

/// What somebody orders. When, is the journal's time of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Who: the name of an API key, or of the local user.
    pub by: String,
    pub order: Order,
}

/// What can be ordered (design §8).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Blocks a network for `ttl` milliseconds.
    Block { target: IpNet, level: Level, ttl: i64, reason: String, import: bool },
    /// Ends all blocks that have an address in common with the target, and keeps rules off it for a while.
    Lift { target: IpNet },
    /// Never blocks these networks from now on, and ends the blocks of theirs at once.
    Allow { networks: Vec<IpNet>, reason: String },
    /// Takes networks off the list of those allowed while running.
    Disallow { networks: Vec<IpNet> },
    /// Lets known clients be blocked again before the hour is over.
    Thaw,
}

/// What became of a command: a record of `sekisho.answers`, and with it the book of who ordered what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Where the command is in the journal.
    pub command: Position,
    pub at: Time,
    pub by: String,
    pub order: Order,
    pub result: AnswerResult,
}

/// Whether a command was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum AnswerResult {
    /// How many blocks ended by it.
    Done { lifted: u64 },
    /// Why not, in words.
    Refused { reason: String },
}

/// A record that holds no entry that this version reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEntry {
    /// What is wrong with it.
    pub why: String,
}

impl Entry {
    /// The record's bytes.
    #[expect(clippy::missing_panics_doc, reason = "the sink is a vector, and every length is known beforehand")]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORM]).expect("writing to a vector")
    }

    /// The entry of a record.
    ///
    /// # Errors
    /// [`NoEntry`] for any bytes that [`Entry::encode`] of a version we know has not written.
    pub fn decode(bytes: &[u8]) -> Result<Entry, NoEntry> {
        match bytes.split_first() {
            Some((&FORM, rest)) => postcard::from_bytes(rest).map_err(|error| NoEntry { why: error.to_string() }),
            Some((form, _)) => {
                Err(NoEntry { why: format!("form {form} is not known to this version (it reads {FORM})") })
            }
            None => Err(NoEntry { why: "the record is empty".to_owned() }),
        }
    }
}

impl std::fmt::Display for NoEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a record of {SIGNALS} holds no entry: {}", self.why)
    }
}

impl std::error::Error for NoEntry {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let target = "203.0.113.0/24".parse().expect("a network");
        let order = Order::Block { target, level: Level::Block, ttl: 60_000, reason: "why".to_owned(), import: false };
        let entry = Entry::Command(Command { by: "shift".to_owned(), order });
        assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        assert!(Entry::decode(&[]).is_err_and(|error| error.why.contains("empty")));
        assert!(Entry::decode(&[9, 0]).is_err_and(|error| error.why.contains("form 9")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_entry_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Entry::decode(&bytes);
        }
    }
}
