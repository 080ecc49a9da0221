//! `sekisho index`: whether the index is whole, and making it again from the journal. I/O.
//!
//! The index is derived: what it loses is found again as far as the journal reaches back. A new one is built beside the
//! old one and takes its place once it is whole, so a rebuilding that is stopped changes nothing. Both commands need the
//! data directory for themselves: a node merges files while it runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use crate::index::{self, Fault, Index, IndexError, Retention, SearchSettings, SplitLimits, WriterSettings};
use crate::journal::embedded::{Embedded, Lock, Settings};
use crate::node::indexer::{Indexer, IndexerError};
use crate::node::start::{Given, now};

use super::keys::Place;
use super::output::{Format, Output, remark};
use super::run::given;
use super::{CliError, Sources, Status};

/// The folder of the index within the data directory.
const FOLDER: &str = "index";
/// Where a new one is built until it takes the old one's place.
const REBUILT: &str = "index.rebuilt";
/// Nothing else runs meanwhile, and more memory makes it hardly faster (limits sheet §5).
const MEMORY_BYTES: usize = 150 << 20;
/// Records between two words of progress.
const TOLD_EVERY: u64 = 1_000_000;

/// What follows `sekisho index`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho index verify --data ./data
  sekisho index rebuild --config /etc/sekisho/sekisho.yaml
  sekisho index rebuild --all

The node must be stopped.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check every file of the index; exit status 1 where something is damaged
    Verify(Verify),
    /// Make damaged splits again from the journal; what is older than the journal is not found any more
    Rebuild(Rebuild),
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Rebuild {
    /// The whole index, also where nothing is damaged
    #[arg(long)]
    all: bool,
    /// The node's data directory; `data` of the configuration otherwise
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    sources: Sources,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::Verify(verify) => run_verify(verify),
        Command::Rebuild(rebuild) => run_rebuild(rebuild),
    }
}

fn failed(error: &IndexError) -> CliError {
    CliError::environment(index::describe(error))
}

fn run_verify(verify: &Verify) -> Result<Status, CliError> {
    let data = verify.place.folder()?;
    let folder = data.join(FOLDER);
    if !folder.is_dir() {
        let advice = "name the node's data directory with --data or --config";
        return Err(CliError::environment(format!("there is no index in {}\n  = {advice}", data.display())));
    }
    let _lock = Lock::take(&data).map_err(|error| CliError::environment(error.to_string()))?;
    let found = index::verify(&folder, || true).map_err(|error| failed(&error))?;
    let mut out = Output::stdout();
    match verify.output {
        Format::Json => {
            let faults: Vec<Value> = found.faults.iter().map(fault_json).collect();
            out.json(&json!({ "splits": found.splits, "events": found.documents, "faults": faults }))?;
        }
        Format::Table => {
            let shown = |fault: &Fault| format!("{}: {}", fault.split.display(), fault.message);
            found.faults.iter().try_for_each(|fault| out.line(&shown(fault)))?;
            let word = if found.faults.is_empty() { "whole" } else { "DAMAGED" };
            out.line(&format!("{word}: {} events in {} splits", found.documents, found.splits))?;
        }
    }
    out.finish()?;
    if found.faults.is_empty() {
        return Ok(Status::Done);
    }
    remark("`sekisho index rebuild` makes what is damaged again from the journal");
    Ok(Status::Fault)
}

fn fault_json(fault: &Fault) -> Value {
    json!({ "split": fault.split.display().to_string(), "message": fault.message })
}

fn run_rebuild(rebuild: &Rebuild) -> Result<Status, CliError> {
    let given = given(&rebuild.sources, rebuild.data.clone())?;
    if !given.data.join(crate::journal::embedded::FOLDER).is_dir() {
        let advice = "name the node's data directory with --data or --config";
        return Err(CliError::environment(format!("there is no journal in {}\n  = {advice}", given.data.display())));
    }
    let journal = Embedded::open(&given.data, Arc::new(now), Settings::default());
    let journal = Arc::new(journal.map_err(|error| CliError::environment(error.to_string()))?);
    if rebuild.all || !given.data.join(FOLDER).is_dir() {
        return rebuild_all(&given, &journal);
    }
    mend(&given, &journal)
}

/// Makes again what is damaged.
fn mend(given: &Given, journal: &Arc<Embedded>) -> Result<Status, CliError> {
    let folder = given.data.join(FOLDER);
    let found = index::verify(&folder, || true).map_err(|error| failed(&error))?;
    let damaged: BTreeSet<u64> = found.faults.iter().map(|fault| fault.number).collect();
    if damaged.is_empty() {
        remark("nothing is damaged; --all makes everything again");
        return Ok(Status::Done);
    }
    if damaged.contains(&found.newest) {
        index::drop_newest(&folder).map_err(|error| failed(&error))?;
    }
    let mut indexer = opened(given, journal, &folder)?;
    let mut rows = Vec::new();
    for number in damaged.iter().filter(|number| **number != found.newest) {
        let events = indexer.mend(*number).map_err(stopped)?;
        let (done, events) =
            events.map_or(("left: older than the journal", String::new()), |events| ("made again", events.to_string()));
        rows.push([number.to_string(), done.to_owned(), events]);
    }
    // Also what the newest one held, read on from where the one before it ends.
    let records = catch_up(&mut indexer)?;
    if damaged.contains(&found.newest) {
        rows.push([found.newest.to_string(), "read again".to_owned(), records.to_string()]);
    }
    let mut out = Output::stdout();
    out.table(["SPLIT", "DONE", "EVENTS"], &rows)?;
    out.finish()?;
    drop(indexer);
    let left = index::verify(&folder, || true).map_err(|error| failed(&error))?;
    if left.faults.is_empty() {
        return Ok(Status::Done);
    }
    remark(
        "not everything could be mended: see `sekisho index verify`; --all makes the index again from the journal alone",
    );
    Ok(Status::Fault)
}

fn rebuild_all(given: &Given, journal: &Arc<Embedded>) -> Result<Status, CliError> {
    let beside = given.data.join(REBUILT);
    clear(&beside)?;
    let records = catch_up(&mut opened(given, journal, &beside)?)?;
    let old = given.data.join(FOLDER);
    if old.exists() {
        // One step: whatever stops this, there is an index of that name.
        let exchanged = renameat_with(CWD, &beside, CWD, &old, RenameFlags::EXCHANGE);
        exchanged.map_err(|error| unwritable(&old, &error.into()))?;
        clear(&beside)?;
    } else {
        fs::rename(&beside, &old).map_err(|error| unwritable(&old, &error))?;
    }
    remark(&format!("{records} records are indexed; the next start goes on from there"));
    Ok(Status::Done)
}

/// The index in a folder, for writing.
fn opened(given: &Given, journal: &Arc<Embedded>, folder: &Path) -> Result<Indexer<Embedded>, CliError> {
    let index = Index::open(folder, SearchSettings::default()).map_err(|error| failed(&error))?;
    let keep = given.config.retention.index;
    let retention = Retention { age_max: keep.age, bytes_max: keep.bytes };
    let settings = WriterSettings { threads: 1, memory_bytes: MEMORY_BYTES, split: SplitLimits::default(), retention };
    let opened = Indexer::open(Arc::clone(journal), Arc::clone(&given.reading), &index, settings);
    opened.map_err(|error| failed(&error))
}

fn stopped(error: IndexerError) -> CliError {
    match error {
        IndexerError::Journal(error) => CliError::environment(error.to_string()),
        IndexerError::Index(error) => failed(&error),
    }
}

/// Indexes everything that the journal holds beyond what is indexed, and gives how many records that were.
fn catch_up(indexer: &mut Indexer<Embedded>) -> Result<u64, CliError> {
    let (mut records, mut told) = (0, 0);
    loop {
        let step = indexer.step().map_err(stopped)?;
        if step == 0 {
            break;
        }
        records += step;
        if records / TOLD_EVERY > told {
            told = records / TOLD_EVERY;
            remark(&format!("{records} records so far"));
        }
    }
    indexer.commit().map_err(|error| failed(&error))?;
    Ok(records)
}

fn clear(folder: &Path) -> Result<(), CliError> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).map_err(|error| unwritable(folder, &error))
}

fn unwritable(folder: &Path, error: &std::io::Error) -> CliError {
    CliError::environment(format!(
        "cannot change {}: {error}; let the user who runs this write to it",
        folder.display()
    ))
}
