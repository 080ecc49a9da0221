//! Looking through the whole index for damage. I/O.
//!
//! Checks what a commit promises: every file holds what was written, every document lies in the range its split has
//! read, none is there twice, and their number is the one the payload says. Deliberately without repair: a damaged split
//! is made again from the journal.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::IndexError;
use super::schema::Columns;
use super::split::{self, SplitPath};
use super::view::{self, SplitView};
use crate::event::Input;

/// Documents whose places are compared at once: 32 bytes each.
const PLACES_MAX: u64 = 50_000_000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub splits: usize,
    /// The number of the newest split, which is not sealed; 0 where there is none.
    pub newest: u64,
    pub documents: u64,
    /// How far each input is indexed by the newest split.
    pub positions: Vec<(Input, u64)>,
    /// One sentence each: where and what.
    pub faults: Vec<Fault>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub split: PathBuf,
    /// The split's own number; the newest has the highest.
    pub number: u64,
    pub message: String,
    /// What the split has read, as far as it can tell: the offsets to index again.
    pub read: Vec<(Input, Range<u64>)>,
}

/// Looks through every split below `directory`. `go_on` is asked before each; a scrub in the background may stop there.
///
/// # Errors
/// Where the directory itself cannot be read; damage is no error but a finding.
pub fn verify(directory: &Path, mut go_on: impl FnMut() -> bool) -> Result<Verified, IndexError> {
    let columns = Columns::new();
    let mut verified = Verified::default();
    let mut before: Option<SplitView> = None;
    for split in split::list(directory)? {
        if !go_on() {
            break;
        }
        verified.splits += 1;
        verified.newest = split.number;
        let (found, faults) = verify_split(&split, &columns);
        let read = found.as_ref().map(read_by).unwrap_or_default();
        let mut add = |message| {
            verified.faults.push(Fault { split: split.path.clone(), number: split.number, message, read: read.clone() })
        };
        faults.into_iter().for_each(&mut add);
        if let (Some(before), Some(found)) = (&before, &found) {
            continuity(before, found).into_iter().for_each(&mut add);
        }
        if let Some(found) = found {
            verified.documents += found.payload.documents;
            verified.positions = found.payload.parts.iter().map(|part| (part.input(), part.next)).collect();
            before = Some(found);
        }
    }
    Ok(verified)
}

fn read_by(split: &SplitView) -> Vec<(Input, Range<u64>)> {
    split.payload.parts.iter().map(|part| (part.input(), part.from..part.next)).collect()
}

fn verify_split(split: &SplitPath, columns: &Columns) -> (Option<SplitView>, Vec<String>) {
    let mut faults = damaged_files(split, columns);
    match view::read_split(split, columns) {
        Ok(found) => {
            // Columns that are known to be damaged say nothing about documents.
            if faults.is_empty() {
                faults.extend(documents(&found));
            }
            (Some(found), faults)
        }
        Err(fault) => {
            faults.push(super::describe(&fault));
            (None, faults)
        }
    }
}

/// Files whose checksum does not fit, or that are missing.
fn damaged_files(split: &SplitPath, columns: &Columns) -> Vec<String> {
    let index = match split::open(&split.path, columns, split::on_disk) {
        Ok((index, ..)) => index,
        // Reported by whoever reads the split.
        Err(_) => return Vec::new(),
    };
    match index.validate_checksum() {
        Ok(files) => {
            let mut files: Vec<String> = files.into_iter().map(|file| file.display().to_string()).collect();
            files.sort_unstable();
            files.into_iter().map(|file| format!("{file} does not hold what was written")).collect()
        }
        Err(fault) => vec![format!("its files cannot be checked: {fault}")],
    }
}

fn documents(split: &SplitView) -> Vec<String> {
    let mut faults = Vec::new();
    let count: u64 = split.segments.iter().map(|segment| u64::from(segment.reader.num_docs())).sum();
    if count != split.payload.documents {
        faults.push(format!("it has {count} events, and its payload says {}", split.payload.documents));
    }
    if count > PLACES_MAX {
        faults.push(format!("it has more than {PLACES_MAX} events; they were not compared with one another"));
        return faults;
    }
    let mut places = Vec::with_capacity(count as usize);
    let mut outside = 0u64;
    for segment in &split.segments {
        for document in 0..segment.reader.max_doc() {
            let Some((input, place)) = segment.place(document) else {
                outside += 1;
                continue;
            };
            let part = split.payload.parts.get(input as usize);
            let inside = part.is_some_and(|part| (part.from..part.next).contains(&place.offset));
            outside += u64::from(!inside);
            places.push((input, place));
        }
    }
    places.sort_unstable();
    let twice = places.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if twice > 0 {
        faults.push(format!("{twice} events are in it twice"));
    }
    if outside > 0 {
        faults.push(format!("{outside} events lie outside of what it says it has read"));
    }
    faults
}

/// A split begins where the one before it ends.
fn continuity(before: &SplitView, found: &SplitView) -> Vec<String> {
    let mut faults = Vec::new();
    for part in &before.payload.parts {
        let input = part.input();
        let from = found.payload.parts.iter().find(|other| other.input() == input).map(|other| other.from);
        if found.number == before.number + 1 && from != Some(part.next) {
            let begins = from.map_or("does not go on".to_owned(), |from| format!("begins at {from}"));
            faults.push(format!(
                "{}/{} {begins}, and the split before ends at {}",
                part.topic, part.partition, part.next
            ));
        }
    }
    faults
}
