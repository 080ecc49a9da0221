//! `sekisho replay`: logs from files, or a node's journal → alerts, blocks, lifts and incidents as files. I/O.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::catalog::{Catalog, KeepExtras};
use crate::decode;
use crate::event::Time;
use crate::node::recorded::{Recording, Span};
use crate::replay::{Destination, InputRequest, Outputs, ReplayError, Request, Summary, replay, stop_on_signal};

use super::load::Sources;
use super::output;
use super::run::refused;
use super::{CliError, Status};

/// Records folded at a time where the command line does not say: large enough to make hand-over cheap.
const BATCH_RECORDS: NonZeroUsize = NonZeroUsize::new(4096).expect("is not zero");
/// More records than this at a time gain nothing, and their number is memory.
const BATCH_RECORDS_MAX: usize = 1 << 16;
/// More threads than this gain nothing: one thread restores the order.
const THREADS_MAX: usize = 64;

/// Which logs, and how they are read: for `replay` and `blocks verify`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Inputs {
    /// A log and the pipeline that reads it; `-` is stdin, gzip and zstd are undone; several of one name follow one
    /// another
    #[arg(short, long, value_name = "NAME=FILE", value_parser = parse_input, required = true)]
    pipeline: Vec<InputRequest>,
    #[command(flatten)]
    sources: Sources,
    /// About when the logs were written, for times without a year: 2026-11-23 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Time>,
    /// Threads that decode and match; all cores where it is not given
    #[arg(long, value_name = "N", value_parser = parse_count)]
    threads: Option<NonZeroUsize>,
}

/// What follows `sekisho replay`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("pipeline", |pipeline| pipeline.required(false).required_unless_present("journal")), after_help = "Examples:
  sekisho replay --pipeline nginx=access.log.gz --pipeline sshd=auth.log --out result
  zcat access.log.*.gz | sekisho replay --pipeline nginx=- --out result
  sekisho replay --journal /var/lib/sekisho --out result      what a stopped node decided, again

Same input, same bytes out, whatever --threads and --batch.")]
pub(super) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// Judge again what a node recorded: its data directory, while it does not run; rules are those of then
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = [
            "pipeline", "at", "threads", "batch", "events", "timings", "config", "rules", "add_rules", "pipelines",
            "add_pipelines",
        ]
    )]
    journal: Option<PathBuf>,
    /// The folder for the results
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Use the folder even if it holds other files
    #[arg(long)]
    force: bool,
    /// Records folded at a time
    #[arg(long, value_name = "N", value_parser = parse_count, default_value_t = BATCH_RECORDS)]
    batch: NonZeroUsize,
    /// Write every event to events.ndjson as well
    #[arg(long)]
    events: bool,
    /// Write time, rate and memory to this file
    #[arg(long, value_name = "FILE")]
    timings: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    arguments.journal.as_ref().map_or_else(|| run_files(arguments), |data| run_journal(data, arguments))
}

/// The outcomes of a recording as files.
fn run_journal(data: &Path, arguments: &Arguments) -> Result<Status, CliError> {
    let stop = stop_on_signal()?;
    let mut recording = Recording::open(data).map_err(|error| refused(&error))?;
    let mut outputs = Outputs::create(&arguments.out, arguments.force, false)?;
    while let Some(folded) = recording.step().map_err(|error| refused(&error))? {
        if stop.load(Ordering::Relaxed) {
            return Err(ReplayError::Interrupted.into());
        }
        folded.outcomes.iter().try_for_each(|outcome| outputs.outcome(outcome))?;
    }
    let catalog = recording.catalog().map(|name| name.to_string()).unwrap_or_default();
    let summary = Summary { catalog, ..outputs.summary() };
    outputs.finish(&summary)?;
    let Span { from, to, undecided, blind } = recording.span();
    let out = arguments.out.display();
    output::remark(&format!("{summary}\nrecords {from} to {to} of sekisho.signals; results in {out}"));
    if undecided > 0 {
        output::remark(&format!("{undecided} records behind them are not decided yet: the node goes on there"));
    }
    if blind {
        output::remark("what came before is gone and no state stands for it; outcomes may differ at the beginning");
    }
    Ok(Status::Done)
}

fn run_files(arguments: &Arguments) -> Result<Status, CliError> {
    let catalog = arguments.inputs.catalog(arguments.events)?;
    let request = arguments.inputs.request(arguments.events);
    let destination = Destination {
        folder: arguments.out.clone(),
        force: arguments.force,
        timings: arguments.timings.clone(),
        batch: arguments.batch.get().min(BATCH_RECORDS_MAX),
        terminal: io::stderr().is_terminal(),
    };
    let stop = stop_on_signal()?;
    let (summary, timings) = replay(&request, &destination, &catalog, &stop)?;
    output::remark(&format!(
        "{summary}\n{} events in {:.1} s, {:.0}/s; results in {}",
        timings.events,
        timings.wall_s,
        timings.events_per_s,
        arguments.out.display()
    ));
    Ok(Status::Done)
}

impl Inputs {
    /// The catalog that judges; with every field where events are to be written out.
    pub(super) fn catalog(&self, documents: bool) -> Result<Arc<Catalog>, CliError> {
        let keep = if documents { KeepExtras::All } else { KeepExtras::Named };
        self.sources.catalog(keep).map(|(_, catalog)| Arc::new(catalog))
    }

    /// What is to be read.
    pub(super) fn request(&self, documents: bool) -> Request {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.map_or(cores, NonZeroUsize::get).min(THREADS_MAX);
        Request { inputs: self.pipeline.clone(), at: self.at, threads, documents }
    }
}

/// `NAME=FILE`
fn parse_input(text: &str) -> Result<InputRequest, String> {
    let parts = text.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty());
    let (pipeline, path) = parts.ok_or("not NAME=FILE, as in nginx=access.log.gz")?;
    Ok(InputRequest { pipeline: pipeline.to_owned(), path: path.to_owned() })
}

/// A number of things of which there must be one.
fn parse_count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "not a whole number from 1".to_owned())
}

/// An instant as RFC 3339, or the start of a day.
pub(super) fn parse_time(text: &str) -> Result<Time, String> {
    let utc = jiff::tz::TimeZone::UTC;
    let day = || decode::time::rfc3339(format!("{text}T00:00:00Z").as_bytes(), &utc);
    let time = decode::time::rfc3339(text.as_bytes(), &utc).or_else(day);
    time.ok_or_else(|| "not a time like 2026-11-23 or 2026-11-23T17:05:00Z".to_owned())
}

impl From<ReplayError> for CliError {
    fn from(error: ReplayError) -> CliError {
        let status = match error {
            ReplayError::Input(_) => Status::Fault,
            ReplayError::Usage(_) => Status::Usage,
            ReplayError::Environment(_) => Status::Environment,
            ReplayError::Interrupted => Status::Interrupted,
        };
        CliError { status, message: error.to_string() }
    }
}
