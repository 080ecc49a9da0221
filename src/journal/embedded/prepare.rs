//! A commit made ready by the thread that brings it: checked, compressed, summed. Pure.
//!
//! Here is all the work that needs no order, so that it is done outside the one lock. Deliberately without offsets and
//! times: those are given when it is written.

use crate::event::Input;
use crate::journal::{Commit, JournalError, Mark, NOTE_BYTES_MAX, Records};

use super::frame::Section;

/// Records of one partition in one commit, before compression: a reader holds a whole block in memory, and a batch of
/// ingest is at most a few megabytes.
pub const RAW_BYTES_MAX: u32 = 32 << 20;
/// All that a commit holds, before compression.
pub const COMMIT_BYTES_MAX: u64 = 64 << 20;
/// Topic, stage and the key of a mark; Kafka's topics have at most 249.
pub const NAME_BYTES_MAX: usize = 512;
/// The value of one mark: a cursor, a receipt of an upload, a small state.
pub const MARK_BYTES_MAX: usize = 64 << 10;

/// A commit that lacks only its place.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// The input and number of records of each append, also of empty ones.
    pub appends: Vec<(Input, u32)>,
    /// Their sections without the empty ones; bases are not given yet.
    pub sections: Vec<Section>,
    pub payload: Vec<u8>,
    pub raw: u64,
    pub positions: Vec<(Input, u64)>,
    pub marks: Vec<Mark>,
    pub last_words: bool,
    /// Stage and number of its handle.
    pub stage: Option<(String, u64)>,
}

/// Makes it ready, in a buffer that is used again.
pub(super) fn prepare(
    commit: Commit,
    stage: Option<(String, u64)>,
    mut payload: Vec<u8>,
) -> Result<Prepared, JournalError> {
    check(&commit, stage.is_some())?;
    let notes = notes(&commit, stage.as_ref());
    payload.clear();
    let mut prepared = Prepared { stage, last_words: commit.last_words, ..Prepared::default() };
    for (input, records) in commit.appends {
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        prepared.raw += records.bytes() as u64;
        if !records.is_empty() {
            prepared.sections.push(compress(input.clone(), count, records.encoded(), &mut payload));
        }
        prepared.appends.push((input, count));
    }
    prepared.payload = payload;
    prepared.positions = commit.positions;
    prepared.marks = commit.marks;
    prepared.marks.extend(notes);
    Ok(prepared)
}

/// The mark under which a stage's note of an input is kept.
pub(super) fn note_key(stage: &str, input: &Input) -> String {
    format!("{stage}/{}/{}", input.topic, input.partition)
}

fn notes(commit: &Commit, stage: Option<&(String, u64)>) -> Vec<Mark> {
    let Some((stage, _)) = stage else { return Vec::new() };
    let notes = commit.notes.iter();
    notes
        .map(|(input, note)| Mark { key: note_key(stage, input), value: Some(note.clone()), expires_at: None })
        .collect()
}

fn compress(input: Input, count: u32, raw: &[u8], payload: &mut Vec<u8>) -> Section {
    let start = payload.len();
    payload.resize(start + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
    match lz4_flex::block::compress_into(raw, &mut payload[start..]) {
        Ok(length) if length < raw.len() => payload.truncate(start + length),
        Ok(_) | Err(_) => {
            payload.truncate(start);
            payload.extend_from_slice(raw);
        }
    }
    let stored = &payload[start..];
    Section { input, base: 0, count, raw: raw.len() as u32, stored: stored.len() as u32, crc: crc32c::crc32c(stored) }
}

fn check(commit: &Commit, staged: bool) -> Result<(), JournalError> {
    let refused = |why: String| Err(JournalError::Refused { why });
    if !staged && !commit.positions.is_empty() {
        return refused("positions belong to a stage, and this commit has none".to_owned());
    }
    let moved = |input: &Input| commit.positions.iter().any(|(known, _)| known == input);
    if let Some((input, _)) = commit.notes.iter().find(|(input, _)| !moved(input)) {
        return refused(format!("a note of {}/{} without its position", input.topic, input.partition));
    }
    if let Some((_, note)) = commit.notes.iter().find(|(_, note)| note.len() > NOTE_BYTES_MAX) {
        return Err(JournalError::TooLarge { bytes: note.len() as u64, max: NOTE_BYTES_MAX as u64 });
    }
    let inputs = commit.appends.iter().map(|(input, _)| input).chain(commit.positions.iter().map(|(input, _)| input));
    let names = inputs.map(|input| &input.topic).chain(commit.marks.iter().map(|mark| &mark.key));
    if let Some(name) = names.into_iter().find(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        let begin: String = name.chars().take(32).collect();
        return refused(format!("a name of {} bytes, 1 to {NAME_BYTES_MAX} are allowed: {begin:?}", name.len()));
    }
    commit.appends.iter().try_for_each(|(_, records)| check_records(records))?;
    let marks = commit.marks.iter().filter_map(|mark| mark.value.as_ref()).map(Vec::len);
    if let Some(bytes) = marks.clone().find(|bytes| *bytes > MARK_BYTES_MAX) {
        return Err(JournalError::TooLarge { bytes: bytes as u64, max: MARK_BYTES_MAX as u64 });
    }
    let records: usize = commit.appends.iter().map(|(_, records)| records.bytes()).sum();
    let bytes = (records + marks.sum::<usize>()) as u64;
    if bytes > COMMIT_BYTES_MAX { Err(JournalError::TooLarge { bytes, max: COMMIT_BYTES_MAX }) } else { Ok(()) }
}

fn check_records(records: &Records) -> Result<(), JournalError> {
    let bytes = records.bytes() as u64;
    if records.is_oversize() || bytes > u64::from(RAW_BYTES_MAX) {
        return Err(JournalError::TooLarge { bytes, max: u64::from(RAW_BYTES_MAX) });
    }
    Ok(())
}
