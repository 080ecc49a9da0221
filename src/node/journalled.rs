//! The hourly state of decide in the journal: in parts, for a million windows are more than one commit holds. I/O only
//! through the journal.
//!
//! Parts are written before the commit that makes them count, and a set that is not whole is passed over: a state is a
//! cache of the fold that happens to lie in the journal, so nothing depends on when a part was written. Deliberately
//! without the choice of when: an hour of the journal's time decides.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::event::Input;
use crate::fold::FolderState;
use crate::journal::{Fetched, Journal, JournalError, NewRecord, Records, StoredRecord};

use super::snapshot::{self, STATES};

/// Bytes of one part: a commit of the embedded journal takes twice of it in one partition.
pub const PART_BYTES: usize = 16 << 20;

/// The partition of hourly states.
pub fn states() -> Input {
    Input { topic: STATES.to_owned(), partition: 0 }
}

/// A state as records, one for each commit. The key of a part says which state it is of, which part, and of how many.
pub fn parts(next: u64, bytes: &[u8], part_bytes: usize) -> Vec<Records> {
    let count = bytes.chunks(part_bytes).len();
    let part = |(index, part): (usize, &[u8])| {
        let key = format!("{next}/{index}/{count}");
        let mut records = Records::default();
        records.push(NewRecord { key: Some(key.as_bytes()), value: part, spoofable: false });
        records
    };
    bytes.chunks(part_bytes).enumerate().map(part).collect()
}

/// The newest whole state that is not beyond `committed`, and the offset of its first part.
///
/// # Errors
/// Those of reading the journal.
pub fn newest<J: Journal>(journal: &J, committed: u64) -> Result<Option<(u64, FolderState)>, JournalError> {
    let Some((input, range)) = journal.partitions(STATES)?.into_iter().next() else { return Ok(None) };
    let mut set = Set::default();
    for offset in range.rev() {
        let blocks = journal.read(&input, offset, 1)?;
        let record = blocks.iter().flat_map(Fetched::iter).find(|record| record.offset == offset);
        let state = record.and_then(|record| set.add(&record, &|next| next <= committed));
        if let Some(state) = state {
            return Ok(Some((offset, state)));
        }
    }
    Ok(None)
}

/// The oldest whole state within these places.
///
/// # Errors
/// Those of reading the journal.
pub fn first<J: Journal>(journal: &J, within: RangeInclusive<u64>) -> Result<Option<FolderState>, JournalError> {
    let Some((input, range)) = journal.partitions(STATES)?.into_iter().next() else { return Ok(None) };
    let (mut set, mut next) = (Set::default(), range.start);
    while next < range.end {
        let blocks = journal.read(&input, next, 1)?;
        let Some(last) = blocks.last() else { break };
        next = last.offsets().end;
        let mut records = blocks.iter().flat_map(Fetched::iter);
        if let Some(state) = records.find_map(|record| set.add(&record, &|place| within.contains(&place))) {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// Parts of one state, in whatever order they come.
#[derive(Default)]
struct Set {
    of: Option<u64>,
    parts: BTreeMap<usize, Vec<u8>>,
}

impl Set {
    /// Adds a part; gives the state once it is whole. A part of another state begins anew.
    fn add(&mut self, record: &StoredRecord<'_>, wanted: &dyn Fn(u64) -> bool) -> Option<FolderState> {
        let (next, index, count) = read_key(record.key?).filter(|(next, ..)| wanted(*next))?;
        if self.of != Some(next) {
            self.parts.clear();
            self.of = Some(next);
        }
        self.parts.insert(index, record.value.to_vec());
        if self.parts.len() < count {
            return None;
        }
        let bytes: Vec<u8> = std::mem::take(&mut self.parts).into_values().flatten().collect();
        snapshot::decode(&bytes)
    }
}

/// Which state, which part, of how many.
fn read_key(key: &[u8]) -> Option<(u64, usize, usize)> {
    let mut numbers = std::str::from_utf8(key).ok()?.split('/');
    let parsed = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    numbers.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::catalog::{Catalog, Files, KeepExtras, built_in};
    use crate::config::Config;
    use crate::event::Time;
    use crate::fold::Folder;
    use crate::journal::Commit;
    use crate::journal::embedded::{Embedded, Settings, SimulatedDisk};

    use super::*;

    fn write(journal: &Embedded, parts: impl IntoIterator<Item = Records>) {
        for part in parts {
            journal.append(Commit { appends: vec![(states(), part)], ..Commit::default() }).expect("there is room");
        }
    }

    #[test]
    fn the_newest_whole_state_is_found_whatever_lies_behind_it() {
        let files = Files { rules: Vec::new(), ..built_in() };
        let catalog =
            Catalog::build(&Config::default(), &files, KeepExtras::Named).unwrap_or_else(|faults| panic!("{faults}"));
        let catalog = Arc::new(catalog);
        let encoded = |next| snapshot::encode(&Folder::new(Arc::clone(&catalog), next, 1).save()).expect("a state");
        let clock = Arc::new(|| Time(1_795_435_507_000));
        let journal = Embedded::open_on(Arc::new(SimulatedDisk::new(1)), clock, Settings::small()).expect("a log");
        assert!(newest(&journal, 9).expect("a log").is_none());
        write(&journal, parts(5, &encoded(5), 40));
        write(&journal, parts(8, &encoded(8), 1 << 20));
        let mut torn = parts(9, &encoded(9), 40);
        torn.pop();
        write(&journal, torn);
        let found = |committed| newest(&journal, committed).expect("a log").map(|(_, state)| state.next);
        assert_eq!(found(100), Some(8), "the last one is not whole");
        assert_eq!(found(7), Some(5), "one beyond the committed place says too much");
        assert_eq!(found(4), None);
        let oldest = |within| first(&journal, within).expect("a log").map(|state| state.next);
        assert_eq!((oldest(0..=100), oldest(6..=100), oldest(9..=100)), (Some(5), Some(8), None));
    }

    #[test]
    fn keys_say_where_a_part_belongs() {
        assert_eq!(read_key(b"91/2/3"), Some((91, 2, 3)));
        assert!([&b"91/2"[..], b"91/2/3/4", b"x/1/2", b"\xff"].iter().all(|key| read_key(key).is_none()));
    }
}
