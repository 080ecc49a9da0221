//! The last alerts, blocks and lifts as a stream gives them, and the cursor that says how far somebody has read. Pure.
//!
//! A cursor is a pair of next offsets, so that a reader can go on exactly where it stopped, whatever was between: the order
//! within each topic is the journal's, and the pair says what of either was seen. Deliberately without the readers.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use crate::event::Time;
use crate::journal::StoredRecord;

use super::{ALERTS, BLOCKS};

/// Entries kept for readers that follow closely; others read the journal.
pub const RECENT_KEPT_MAX: usize = 4_096;
/// Their JSON together.
pub const RECENT_KEPT_BYTES_MAX: usize = 8 << 20;

/// How far a stream has been read: the next offset of each topic. Written `12-7`: that is an event's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub alerts: u64,
    pub blocks: u64,
}

/// What an entry of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Alert,
    Block,
    Lift,
    /// Nothing to be shown: a tombstone, or a record that cannot be read.
    Nothing,
}

/// One entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    pub kind: EntryKind,
    /// Its topic is that of alerts.
    pub alerts: bool,
    pub offset: u64,
    pub appended_at: Time,
    pub json: Arc<[u8]>,
}

/// The last entries in the order in which they were seen.
#[derive(Default)]
pub struct Recent {
    start: Cursor,
    entries: VecDeque<StreamEntry>,
    bytes: usize,
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

impl EntryKind {
    /// The name of the event.
    pub fn word(self) -> &'static str {
        match self {
            EntryKind::Alert => "alert",
            EntryKind::Block => "block",
            EntryKind::Lift => "lift",
            EntryKind::Nothing => "nothing",
        }
    }
}

impl Cursor {
    /// Whether an entry is yet to come for this reader.
    pub fn awaits(&self, entry: &StreamEntry) -> bool {
        entry.offset >= if entry.alerts { self.alerts } else { self.blocks }
    }

    /// Moves behind an entry.
    pub fn pass(&mut self, entry: &StreamEntry) {
        let next = if entry.alerts { &mut self.alerts } else { &mut self.blocks };
        *next = (*next).max(entry.offset + 1);
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.alerts, self.blocks)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Cursor, ()> {
        let (alerts, blocks) = text.split_once('-').ok_or(())?;
        let offset = |text: &str| text.parse().map_err(|_| ());
        Ok(Cursor { alerts: offset(alerts)?, blocks: offset(blocks)? })
    }
}

/// The entry of a record of the alerts' or the blocks' topic.
pub fn entry_of(topic: &str, record: &StoredRecord<'_>) -> Option<StreamEntry> {
    let alerts = match topic {
        ALERTS => true,
        BLOCKS => false,
        _ => return None,
    };
    // A line feed would end the event's text early; JSON of ours has none.
    let whole = !record.value.is_empty() && !record.value.contains(&b'\n');
    let kind = match serde_json::from_slice::<Action>(record.value) {
        _ if !whole => EntryKind::Nothing,
        _ if alerts => EntryKind::Alert,
        Ok(Action { action }) if action == "block" => EntryKind::Block,
        Ok(Action { action }) if action == "lift" => EntryKind::Lift,
        Ok(_) | Err(_) => EntryKind::Nothing,
    };
    let json = if kind == EntryKind::Nothing { Arc::default() } else { record.value.into() };
    Some(StreamEntry { kind, alerts, offset: record.offset, appended_at: record.appended_at, json })
}

impl Recent {
    /// Begins anew: nothing before this cursor is here.
    pub(super) fn start_at(&mut self, cursor: Cursor) {
        *self = Recent { start: cursor, ..Recent::default() };
    }

    pub(super) fn push(&mut self, topic: &str, record: &StoredRecord<'_>) {
        let Some(entry) = entry_of(topic, record) else { return };
        self.bytes += entry.json.len();
        self.entries.push_back(entry);
        while self.entries.len() > RECENT_KEPT_MAX || self.bytes > RECENT_KEPT_BYTES_MAX {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.json.len();
            self.start.pass(&oldest);
        }
    }

    /// Where what is kept begins.
    pub fn start(&self) -> Cursor {
        self.start
    }

    /// What comes behind a cursor, as far as it reaches `bytes`; `None` where some of it is no longer kept.
    pub fn since(&self, cursor: Cursor, bytes: usize) -> Option<Vec<StreamEntry>> {
        if cursor.alerts < self.start.alerts || cursor.blocks < self.start.blocks {
            return None;
        }
        let mut room = bytes;
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|entry| cursor.awaits(entry)) {
            if room == 0 {
                break;
            }
            room = room.saturating_sub(entry.json.len() + 1);
            found.push(entry.clone());
        }
        Some(found)
    }
}
