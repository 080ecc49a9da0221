//! `sekisho journal`: what lies in the log of a data directory, whether it is whole, and its repair. I/O.
//!
//! All but `repair` only read, also while a node runs: what it is writing at that moment looks like a torn tail, which is
//! no damage. Deliberately without a way to change a record.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::event::{Entry, Input, SIGNALS};
use crate::journal::embedded::inspect::{self, Damage, FrameDumped, SegmentListed};
use crate::journal::embedded::repair::repair_directory;
use crate::journal::embedded::{FOLDER, Files, Settings};
use crate::journal::{Fetched, JournalError, StoredRecord};

use super::keys::Place;
use super::output::{Format, Output, remark};
use super::{CliError, Status};

/// What follows `sekisho journal`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho journal list --data ./data
  sekisho journal dump nginx/0/49 --data ./data
  sekisho journal dump sekisho.signals --data ./data | jq .entry
  sekisho journal verify --config /etc/sekisho/sekisho.yaml
  sekisho journal repair --data ./data               the node must be stopped")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the files of the log, and which offsets they hold
    List(Look),
    /// Print records, one JSON object a line
    Dump(Dump),
    /// Check every byte; exit status 1 where something is damaged
    Verify(Look),
    /// Copy what is whole into a new log, and keep the damaged one beside it
    Repair(Look),
}

#[derive(Debug, clap::Args)]
struct Look {
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Dump {
    /// Only this topic, partition or record; everything where it is left out
    #[arg(value_name = "TOPIC[/PARTITION[/OFFSET]]")]
    of: Option<Wanted>,
    #[command(flatten)]
    place: Place,
}

/// Which records are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    topic: String,
    partition: Option<u32>,
    offset: Option<u64>,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        let mut parts = text.split('/');
        let topic = parts.next().unwrap_or_default().to_owned();
        let number = |what: &str, part: &str| part.parse().map_err(|_| format!("the {what} must be a whole number"));
        let partition: Option<u64> = parts.next().map(|part| number("partition", part)).transpose()?;
        let offset = parts.next().map(|part| number("offset", part)).transpose()?;
        if topic.is_empty() || parts.next().is_some() {
            return Err("write it as TOPIC, TOPIC/PARTITION or TOPIC/PARTITION/OFFSET".to_owned());
        }
        let partition = partition.map(u32::try_from).transpose();
        let partition = partition.map_err(|_| "there is no such partition".to_owned())?;
        Ok(Wanted { topic, partition, offset })
    }
}

impl Wanted {
    fn covers(&self, input: &Input, offset: u64) -> bool {
        self.topic == input.topic
            && self.partition.is_none_or(|partition| u64::from(partition) == u64::from(input.partition))
            && self.offset.is_none_or(|wanted| wanted == offset)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::List(look) => list(look),
        Command::Dump(wanted) => dump(wanted),
        Command::Verify(look) => verify(look),
        Command::Repair(look) => repair(look),
    }
}

/// The log of a data directory, to look at.
fn open(data: &Path) -> Result<Files, CliError> {
    if data.join(FOLDER).is_dir() {
        return Ok(Files::for_reading(data));
    }
    Err(CliError::environment(format!(
        "there is no journal in {}\n  = name the node's data directory with --data or --config",
        data.display()
    )))
}

fn failed(error: &JournalError) -> CliError {
    CliError::environment(error.to_string())
}

fn list(look: &Look) -> Result<Status, CliError> {
    let segments = inspect::list(&open(&look.place.folder()?)?).map_err(|error| failed(&error))?;
    let mut out = Output::stdout();
    match look.output {
        Format::Json => out.json(&segments.iter().map(segment_json).collect::<Vec<_>>())?,
        Format::Table => {
            let rows: Vec<_> = segments.iter().map(segment_row).collect();
            out.table(["FILE", "BYTES", "FRAMES", "RECORDS", "FROM", "TO", "OFFSETS", "LOST"], &rows)?;
        }
    }
    out.finish()?;
    Ok(Status::Done)
}

fn segment_row(segment: &SegmentListed) -> [String; 8] {
    let time = |at: Option<crate::event::Time>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let held: Vec<_> = segment.partitions.clone().into_iter().collect();
    [
        segment.file.clone(),
        segment.bytes.to_string(),
        segment.frames.to_string(),
        segment.records.to_string(),
        time(segment.appended_at.map(|(first, _)| first)),
        time(segment.appended_at.map(|(_, last)| last)),
        ranges_text(&held),
        if segment.lost.is_empty() { "-".to_owned() } else { ranges_text(&segment.lost) },
    ]
}

fn segment_json(segment: &SegmentListed) -> Value {
    let held: Vec<_> = segment.partitions.clone().into_iter().collect();
    json!({
        "file": segment.file, "number": segment.number, "bytes": segment.bytes, "frames": segment.frames,
        "records": segment.records, "first_sequence": segment.first_sequence,
        "first_at": segment.appended_at.map(|(first, _)| first), "last_at": segment.appended_at.map(|(_, last)| last),
        "partitions": ranges_json(&held), "lost": ranges_json(&segment.lost),
    })
}

fn ranges_text(ranges: &[(Input, Range<u64>)]) -> String {
    let one = |(input, range): &(Input, Range<u64>)| {
        let Input { topic, partition } = input;
        format!("{topic}/{partition} {}..{}", range.start, range.end)
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn ranges_json(ranges: &[(Input, Range<u64>)]) -> Vec<Value> {
    let one = |(input, range): &(Input, Range<u64>)| json!({ "topic": input.topic, "partition": input.partition, "from": range.start, "to": range.end });
    ranges.iter().map(one).collect()
}

fn dump(arguments: &Dump) -> Result<Status, CliError> {
    let files = open(&arguments.place.folder()?)?;
    let (mut out, mut printed, mut broken) = (Output::stdout(), 0u64, None);
    let mut visit = |frame: FrameDumped| {
        let done =
            frame.blocks.iter().try_for_each(|block| print(block, arguments.of.as_ref(), &mut out, &mut printed));
        // The walk ends with an error of the journal's; the true one is kept for afterwards.
        done.map_err(|error| {
            broken = Some(error);
            JournalError::Refused { why: "stdout cannot be written to".to_owned() }
        })
    };
    let walked = inspect::dump(&files, &mut visit);
    if let Some(error) = broken {
        return Err(error);
    }
    walked.map_err(|error| failed(&error))?;
    out.finish()?;
    match &arguments.of {
        Some(_) if printed == 0 => Err(CliError::fault(
            "the journal holds no such record\n  = `sekisho journal list` shows which offsets it holds",
        )),
        Some(_) | None => Ok(Status::Done),
    }
}

fn print(block: &Fetched, of: Option<&Wanted>, out: &mut Output, printed: &mut u64) -> Result<(), CliError> {
    for record in block.iter().filter(|record| of.is_none_or(|of| of.covers(&block.input, record.offset))) {
        *printed += 1;
        out.json_text(&record_json(&block.input, &record).to_string())?;
    }
    Ok(())
}

/// A record with its value as what it is: an entry of signals, JSON, text, or bytes in hex.
fn record_json(input: &Input, record: &StoredRecord<'_>) -> Value {
    let (name, value) = match std::str::from_utf8(record.value) {
        _ if input.topic == SIGNALS => ("entry", entry_json(record.value)),
        Ok(text) if input.topic.starts_with("sekisho.") => match serde_json::from_str(text) {
            Ok(value) => ("json", value),
            Err(_) => ("text", Value::from(text)),
        },
        Ok(text) => ("text", Value::from(text)),
        Err(_) => ("hex", Value::from(record.value.iter().map(|byte| format!("{byte:02x}")).collect::<String>())),
    };
    let key = record.key.map(|key| String::from_utf8_lossy(key).into_owned());
    json!({
        "topic": input.topic, "partition": input.partition, "offset": record.offset, "appended_at": record.appended_at,
        "key": key, "spoofable": record.spoofable, name: value,
    })
}

fn entry_json(bytes: &[u8]) -> Value {
    let unread = |why: String| json!({ "unread": why });
    let written = match Entry::decode(bytes) {
        Err(error) => return unread(error.why),
        Ok(Entry::Catalog(hash)) => Ok(json!({ "catalog": hash.to_string() })),
        Ok(Entry::Command(command)) => serde_json::to_value(&command).map(|command| json!({ "command": command })),
        Ok(Entry::Pack(pack)) => serde_json::to_value(&pack).map(|mut value| {
            // A hash is read as hex, not as 32 numbers.
            value["catalog"] = Value::from(pack.catalog.to_string());
            json!({ "pack": value })
        }),
    };
    written.unwrap_or_else(|error| unread(error.to_string()))
}

fn damage_lines(damages: &[Damage], total: u64, out: &mut Output) -> Result<(), CliError> {
    let shown = |damage: &Damage| format!("{} at byte {}: {}", damage.file, damage.offset, damage.what);
    damages.iter().try_for_each(|damage| out.line(&shown(damage)))?;
    let more = total.saturating_sub(damages.len() as u64);
    if more > 0 { out.line(&format!("and {more} more")) } else { Ok(()) }
}

fn damage_json(damages: &[Damage]) -> Vec<Value> {
    let one = |damage: &Damage| json!({ "file": damage.file, "offset": damage.offset, "what": damage.what });
    damages.iter().map(one).collect()
}

fn verify(look: &Look) -> Result<Status, CliError> {
    let found = inspect::verify(&open(&look.place.folder()?)?).map_err(|error| failed(&error))?;
    let mut out = Output::stdout();
    match look.output {
        Format::Json => out.json(&json!({
            "segments": found.segments, "frames": found.frames, "records": found.records, "bytes": found.bytes,
            "damages_total": found.damages_total, "damages": damage_json(&found.damages), "lost": ranges_json(&found.lost),
            "torn_tail": found.torn_tail.as_ref().map(|tail| damage_json(std::slice::from_ref(tail)).remove(0)),
        }))?,
        Format::Table => {
            damage_lines(&found.damages, found.damages_total, &mut out)?;
            let (records, frames, segments) = (found.records, found.frames, found.segments);
            let word = if found.damages_total == 0 { "whole" } else { "DAMAGED" };
            out.line(&format!(
                "{word}: {records} records in {frames} frames of {segments} files, {} bytes",
                found.bytes
            ))?;
            found.lost.iter().try_for_each(|lost| {
                out.line(&format!("lost in an earlier repair: {}", ranges_text(std::slice::from_ref(lost))))
            })?;
        }
    }
    out.finish()?;
    if found.torn_tail.is_some() && look.output == Format::Table {
        remark("an unfinished write is at the end: nothing acknowledged was in it, and the next start cuts it");
    }
    if found.damages_total == 0 {
        return Ok(Status::Done);
    }
    remark("keep a copy, stop the node, then run `sekisho journal repair`");
    Ok(Status::Fault)
}

fn repair(look: &Look) -> Result<Status, CliError> {
    let data: PathBuf = look.place.folder()?;
    open(&data)?;
    let repaired = repair_directory(&data, Settings::default()).map_err(|error| failed(&error))?;
    let kept_at = repaired.kept_at.as_ref().map(|path| path.display().to_string());
    let mut out = Output::stdout();
    match look.output {
        Format::Json => {
            out.json(&json!({
                "frames": repaired.frames, "records": repaired.records, "lost": ranges_json(&repaired.lost),
                "damages_total": repaired.damages_total, "damages": damage_json(&repaired.damages), "kept_at": kept_at,
            }))?;
        }
        Format::Table => {
            damage_lines(&repaired.damages, repaired.damages_total, &mut out)?;
            for lost in &repaired.lost {
                out.line(&format!("lost: {}", ranges_text(std::slice::from_ref(lost))))?;
            }
            out.line(&match kept_at {
                Some(path) => format!("repaired: {} records are whole; the damaged log is in {path}", repaired.records),
                None => format!("nothing to repair: {} records are whole", repaired.records),
            })?;
        }
    }
    out.finish()?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_named_by_topic_partition_and_offset() {
        let wanted = |text: &str| text.parse::<Wanted>();
        assert_eq!(wanted("a.b/2/9"), Ok(Wanted { topic: "a.b".into(), partition: Some(2), offset: Some(9) }));
        assert_eq!(wanted("a"), Ok(Wanted { topic: "a".into(), partition: None, offset: None }));
        for wrong in ["", "/", "a/x", "a/1/x", "a/1/2/3", "a/99999999999"] {
            assert!(wanted(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_entry_of_another_version_is_told_not_hidden() {
        assert!(entry_json(&[9, 9])["unread"].as_str().is_some_and(|why| why.contains("form 9")));
    }
}
