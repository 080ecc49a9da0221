//! The journal: the ordered, durable, partitioned log that everything is derived from. I/O.
//!
//! Two traits stand for every journal, Kafka and the [`embedded`] one alike. [`Journal`] is the shared door: appends of
//! producers and reads by position. [`Stage`] is what one thread of the stage runner owns: it polls records and commits
//! outputs and positions together (design §3; law 10). What is not durable is not visible: no reader ever sees a record
//! that a crash could take back. Deliberately without folds: what records mean is not known here.

use std::ops::Range;
use std::time::Duration;

use crate::event::{Input, Time, topic_fits};

pub mod embedded;
mod error;
pub mod kafka;
mod records;

pub use error::JournalError;
pub use records::{Fetched, Iter, NewRecord, Records, StoredRecord};

/// What is written all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Records for partitions; a partition that does not exist yet begins at offset 0. One entry per input.
    pub appends: Vec<(Input, Records)>,
    /// How far the committing stage has worked each of its partitions: the next offset, exclusive. Only a stage has
    /// positions, [`Journal::append`] refuses them.
    pub positions: Vec<(Input, u64)>,
    /// What a stage keeps beside its position in an input, for whoever takes that input up next: a small state, at most
    /// [`NOTE_BYTES_MAX`]. Only of inputs that have a position in the same commit.
    pub notes: Vec<(Input, Vec<u8>)>,
    /// Small keyed values that outlive retention: cursors of files, idempotency keys.
    pub marks: Vec<Mark>,
    /// Whether it may use the space that is kept back for the end: the last small state of a stage that stops because
    /// the disk is full. Kafka has no such thing and ignores it.
    pub last_words: bool,
}

/// The largest note: in hex it fits into what Kafka keeps beside an offset (`offset.metadata.max.bytes`, 4096).
pub const NOTE_BYTES_MAX: usize = 2_000;

/// One small keyed value, set or removed by a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub key: String,
    /// `None` removes it.
    pub value: Option<Vec<u8>>,
    /// Forgotten once the journal's time has come to this; `None` is kept until removed.
    pub expires_at: Option<Time>,
}

/// What a commit became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The journal's time, the same for all its records; never goes back from one commit to the next.
    pub appended_at: Time,
    /// The offset of the first record of each append, in their order.
    pub firsts: Vec<u64>,
    /// The commit's own number; see [`Journal::wait`].
    pub sequence: u64,
}

/// Which partitions a stage reads: all of these topics, by name or by pattern with `*`, also those that appear later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub topics: Vec<String>,
}

impl Subscription {
    /// All partitions of these topics.
    pub fn topics<T: Into<String>>(topics: impl IntoIterator<Item = T>) -> Subscription {
        Subscription { topics: topics.into_iter().map(Into::into).collect() }
    }

    /// Whether this input is one of them.
    pub fn covers(&self, input: &Input) -> bool {
        self.covers_topic(&input.topic)
    }

    /// Whether the inputs of this topic are.
    pub fn covers_topic(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| topic_fits(pattern, topic))
    }
}

/// The shared door: any number of threads append and read.
pub trait Journal: Send + Sync {
    /// What one thread of the stage runner owns.
    type Stage: Stage;

    /// Writes records and marks all or nothing. Durable when it returns.
    ///
    /// # Errors
    /// [`JournalError::Full`] where there is no space now: nothing was written, try again later. [`JournalError::Io`]
    /// where the journal can no longer promise anything: the process must end. Others refuse the commit as it is.
    fn append(&self, commit: Commit) -> Result<Committed, JournalError>;

    /// Records of one partition from offset `from` on: at least one where there is one, about `bytes` at most; empty
    /// at the end of the log.
    ///
    /// # Errors
    /// [`JournalError::Trimmed`] below the log's start; [`JournalError::Corrupt`] where the log is damaged.
    fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError>;

    /// Every partition of a topic in order, with its offsets from the log's start to the next one to be given.
    ///
    /// # Errors
    /// Only where the journal is elsewhere and does not answer.
    fn partitions(&self, topic: &str) -> Result<Vec<(Input, Range<u64>)>, JournalError>;

    /// Every topic that was ever written to, in order.
    ///
    /// # Errors
    /// Only where the journal is elsewhere and does not answer.
    fn topics(&self) -> Result<Vec<String>, JournalError>;

    /// What tells a topic from an earlier one of its name, where somebody else may delete it and make it anew.
    ///
    /// # Errors
    /// Only where the journal is elsewhere and does not answer.
    fn topic_id(&self, topic: &str) -> Result<Option<String>, JournalError> {
        let _no_one_else_deletes = topic;
        Ok(None)
    }

    /// The value of a mark that was set, not removed and has not expired.
    fn mark(&self, key: &str) -> Option<Vec<u8>>;

    /// All such marks whose key begins so, in order of their keys.
    fn marks(&self, prefix: &str) -> Vec<(String, Vec<u8>)>;

    /// The stage of this name: the owner of its positions. It begins at them, and where it has none at the beginning
    /// of the log. An older handle of the same name is fenced: its commits are refused from now on.
    ///
    /// # Errors
    /// Where the name is none, or the journal is elsewhere and does not answer.
    fn stage(&self, name: &str, subscription: Subscription) -> Result<Self::Stage, JournalError>;

    /// Waits until a commit after `seen` is durable or the time is up; gives the number of the newest one.
    fn wait(&self, seen: u64, timeout: Duration) -> u64;
}

/// One stage's own handle, owned by one thread.
pub trait Stage: Send {
    /// The next records of its partitions in turn, about `bytes` in all and at least one block. Where there are none it
    /// waits for a commit, of whatever topic, or until `timeout`, and may then still give none. What was polled is not polled again until [`Stage::seek`].
    ///
    /// # Errors
    /// [`JournalError::Trimmed`] where its position was deleted: never silently; [`JournalError::Corrupt`] where the log
    /// is damaged.
    fn poll(&mut self, bytes: usize, timeout: Duration) -> Result<Vec<Fetched>, JournalError>;

    /// Outputs, positions and marks together, all or nothing. Durable when it returns.
    ///
    /// # Errors
    /// As [`Journal::append`]; [`JournalError::Fenced`] where a newer handle of this stage was made.
    fn commit(&mut self, commit: Commit) -> Result<Committed, JournalError>;

    /// Polls go on at this offset: after a failed commit, or at a restore.
    ///
    /// # Errors
    /// [`JournalError::Trimmed`] below the log's start; [`JournalError::Refused`] beyond its end.
    fn seek(&mut self, input: &Input, next: u64) -> Result<(), JournalError>;

    /// Its committed position in one input: the next offset, exclusive. `None` where it never committed one.
    fn position(&self, input: &Input) -> Option<u64>;

    /// The note of the last commit that moved its position in this input; `None` where there is none.
    fn note(&self, input: &Input) -> Option<Vec<u8>>;

    /// The inputs that another handle may have worked since the last call: what is known of them in memory is to be
    /// forgotten, and taken up again from position and note. Only a journal that is shared with other processes has any.
    fn moved(&mut self) -> Vec<Input>;

    /// Whether this handle works this input now. On a journal that is shared with other processes another may.
    fn owns(&self, input: &Input) -> bool;
}
