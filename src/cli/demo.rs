//! `sekisho demo`: a generated day of a small company, judged live. I/O.
//!
//! The generator and the folds are pure; this file only walks the lines through them and tells what leaves.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, KeepExtras, PipelineIndex};
use crate::demo::{Actor, ActorKind, Generator};
use crate::event::outcome::{Alert, Block, ResponseResult};
use crate::event::{Outcome, Time, write_json};
use crate::fold::rehearse::{Rehearsal, START};
use crate::replay::{ReplayError, stop_on_signal};

use super::output::Output;
use super::{CliError, Sources, Status};

/// Progress is told after this many lines where nothing else happens.
const PROGRESS_LINES: u64 = 20_000;

/// A person who presses Ctrl-C waits no longer than this.
const STOP_HEARD_AFTER: Duration = Duration::from_millis(50);

/// What follows `sekisho demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho demo                          as fast as it goes
  sekisho demo --pace 60                a minute of the day a second
  sekisho demo --seed 7 --keep day/     keeps the logs and what left, to be replayed and verified")]
pub(super) struct Arguments {
    /// Another seed is another day; the same seed is the same day, byte for byte
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many minutes the day is pressed into
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// How many times faster than the day it runs; without it, as fast as it goes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pace: Option<u32>,
    /// Writes the logs and everything that left into this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the day.
pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let catalog = Arc::new(Sources::default().catalog(KeepExtras::Named)?.1);
    let mut day = Day::new(&catalog, arguments)?;
    let stop = stop_on_signal()?;
    let mut told = Output::stdout();
    told.line(&format!(
        "A day of a small company in {} min (seed {}): {} rules, catalog {}",
        arguments.minutes,
        arguments.seed,
        catalog.rules.len(),
        &catalog.hash.to_string()[..12]
    ))?;
    for line in Generator::new(arguments.seed, START, arguments.minutes) {
        day.wait(line.time, &stop);
        if stop.load(Ordering::Relaxed) {
            told.flush()?;
            return Err(ReplayError::Interrupted.into());
        }
        day.take(line.pipeline, line.time, &line.line)?;
        day.tell(&mut told)?;
    }
    day.end(&mut told)?;
    told.finish()?;
    Ok(Status::Done)
}

/// The day as far as it went.
struct Day {
    rehearsal: Rehearsal,
    inputs: BTreeMap<&'static str, usize>,
    pace: Option<u32>,
    started: Instant,
    lines: u64,
    outcomes: Vec<Outcome>,
    kept: Option<Kept>,
    blocks: Vec<Block>,
    refused: Vec<Alert>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    alerts: u64,
    blocks: u64,
    extended: u64,
    lifts: u64,
}

impl Day {
    fn new(catalog: &Arc<Catalog>, arguments: &Arguments) -> Result<Day, CliError> {
        let names: [&'static str; 5] = ["nginx", "login", "sshd", "modsecurity", "suricata"];
        let missing = |name: &str| CliError::environment(format!("pipeline `{name}` is not built in"));
        let index = |name: &&'static str| catalog.pipeline_named(name).ok_or_else(|| missing(name));
        let pipelines: Vec<PipelineIndex> = names.iter().map(index).collect::<Result<_, _>>()?;
        Ok(Day {
            rehearsal: Rehearsal::new(catalog, &pipelines),
            inputs: names.iter().enumerate().map(|(number, name)| (*name, number)).collect(),
            pace: arguments.pace,
            started: Instant::now(),
            lines: 0,
            outcomes: Vec::new(),
            kept: arguments.keep.as_deref().map(Kept::new).transpose()?,
            blocks: Vec::new(),
            refused: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Holds the day to its pace; a stop is heard meanwhile.
    fn wait(&self, time: Time, stop: &AtomicBool) {
        let Some(pace) = self.pace else { return };
        let due = Duration::from_millis(time.since(START).max(0) as u64 / u64::from(pace));
        while !stop.load(Ordering::Relaxed) {
            let left = due.saturating_sub(self.started.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(STOP_HEARD_AFTER));
        }
    }

    fn take(&mut self, pipeline: &'static str, time: Time, line: &str) -> Result<(), CliError> {
        self.lines += 1;
        if let Some(kept) = &mut self.kept {
            kept.line(pipeline, line)?;
        }
        if let Some(input) = self.inputs.get(pipeline) {
            self.rehearsal.take(*input, time, line, &mut self.outcomes);
        }
        Ok(())
    }

    /// Tells what left since the last line, and now and then how far the day is.
    fn tell(&mut self, told: &mut Output) -> Result<(), CliError> {
        for outcome in std::mem::take(&mut self.outcomes) {
            if let Some(kept) = &mut self.kept {
                kept.outcome(&outcome)?;
            }
            if let Some(text) = self.note(outcome) {
                told.line(&text)?;
                told.flush()?;
            }
        }
        if self.lines.is_multiple_of(PROGRESS_LINES) {
            let rate = self.lines as f64 / self.started.elapsed().as_secs_f64().max(0.001);
            told.line(&format!("          … {} lines, {rate:.0} lines/s", self.lines))?;
        }
        Ok(())
    }

    /// Keeps count of an outcome, and says it in a line where it is worth one.
    fn note(&mut self, outcome: Outcome) -> Option<String> {
        match outcome {
            Outcome::Alert(alert) => {
                self.counts.alerts += 1;
                let text = format!(
                    "{}  alert    {:8} {}",
                    clock(alert.timestamp),
                    alert.sekisho.severity.word(),
                    alert.message
                );
                let refused = alert.sekisho.response.result == ResponseResult::Refused;
                if refused {
                    self.refused.push(*alert);
                }
                Some(text)
            }
            Outcome::Block(block) => {
                let known = self.blocks.iter().any(|other| other.id == block.id);
                *if known { &mut self.counts.extended } else { &mut self.counts.blocks } += 1;
                let word = if known { "extended" } else { "BLOCK   " };
                let text =
                    format!("{}  {word} {} until {}", clock(block.issued_at), block.target, clock(block.expires_at));
                self.blocks.push(*block);
                Some(text)
            }
            Outcome::Lift(lift) => {
                self.counts.lifts += 1;
                let cause = serde_json::to_value(lift.cause).ok()?;
                Some(format!("{}  lift     {} ({})", clock(lift.lifted_at), lift.target, cause.as_str()?))
            }
            Outcome::Incident(_) | Outcome::DeadLetter(_) => None,
        }
    }

    fn end(&mut self, told: &mut Output) -> Result<(), CliError> {
        self.rehearsal.finish(&mut self.outcomes);
        self.tell(told)?;
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let Counts { alerts, blocks, extended, lifts } = self.counts;
        told.line("")?;
        told.line(&format!(
            "{} lines in {seconds:.1} s ({:.0} lines/s): {alerts} alerts, {blocks} blocks, {extended} extended, {lifts} lifted",
            self.lines,
            self.lines as f64 / seconds
        ))?;
        self.tell_blocked(told)?;
        self.tell_spared(told)?;
        if let Some(kept) = self.kept.take() {
            kept.end(told)?;
        }
        Ok(())
    }

    fn tell_blocked(&self, told: &mut Output) -> Result<(), CliError> {
        told.line("")?;
        told.line("Blocked, and why:")?;
        let actors = Generator::actors();
        let first =
            self.blocks.iter().enumerate().filter(|(n, b)| self.blocks[..*n].iter().all(|o| o.target != b.target));
        let rows: Vec<[String; 5]> = first.map(|(_, block)| receipt_row(block, &actors)).collect();
        told.table(["target", "who", "reason", "count", "evidence"], &rows)
    }

    fn tell_spared(&self, told: &mut Output) -> Result<(), CliError> {
        told.line("")?;
        told.line("Not blocked, and why:")?;
        let mut rows: Vec<[String; 3]> = Vec::new();
        for alert in &self.refused {
            let gate = alert.sekisho.response.reason.and_then(|reason| serde_json::to_value(reason).ok());
            let gate = gate.as_ref().and_then(|gate| gate.as_str()).unwrap_or_default().to_owned();
            rows.push([alert.sekisho.entity.to_string(), alert.rule.name.clone(), format!("refused: {gate}")]);
        }
        for actor in Generator::actors().iter().filter(|actor| !actor.expect_block) {
            if !self.blocks.iter().any(|block| is_of(actor, block)) {
                let why = match actor.kind {
                    ActorKind::Attack => "its rules alert only",
                    ActorKind::Benign | ActorKind::Anomaly => "no rule asked for it",
                };
                rows.push([actor.name.to_owned(), actor.what.to_owned(), why.to_owned()]);
            }
        }
        told.table(["who", "what", "why not"], &rows)
    }
}

fn receipt_row(block: &Block, actors: &[Actor]) -> [String; 5] {
    let who = actors.iter().find(|actor| is_of(actor, block)).map_or("", |actor| actor.name);
    let receipt = block.receipt.as_ref();
    let count = receipt.map(|receipt| format!("{} of {}", receipt.count, receipt.threshold)).unwrap_or_default();
    let span = |span: &crate::event::Span| format!("{}[{}..{}]", span.topic, span.from, span.to);
    let spans = receipt.map(|receipt| receipt.spans.iter().map(span).collect::<Vec<_>>().join(" ")).unwrap_or_default();
    [block.target.clone(), who.to_owned(), block.reason.clone(), count, spans]
}

fn is_of(actor: &Actor, block: &Block) -> bool {
    let target = block.target.parse::<ipnet::IpNet>();
    target.is_ok_and(|target| actor.addresses.iter().any(|own| own.contains(&target) || target.contains(own)))
}

fn clock(time: Time) -> String {
    time.to_string()[11..19].to_owned()
}

/// The folder that the day is kept in. Its files bear partial names until all are whole, and go with a day that is not.
struct Kept {
    folder: PathBuf,
    files: BTreeMap<String, BufWriter<File>>,
}

impl Kept {
    fn new(folder: &Path) -> Result<Kept, CliError> {
        let failed = |error: std::io::Error| {
            CliError::environment(format!(
                "cannot keep the day in {}: {error}; name a folder that this user may write to",
                folder.display()
            ))
        };
        fs::create_dir_all(folder).map_err(failed)?;
        if fs::read_dir(folder).map_err(failed)?.next().is_some() {
            return Err(CliError::fault(format!("{} is not empty; name a new folder", folder.display())));
        }
        Ok(Kept { folder: folder.to_owned(), files: BTreeMap::new() })
    }

    fn line(&mut self, pipeline: &str, line: &str) -> Result<(), CliError> {
        self.write(&format!("{pipeline}.log"), line.as_bytes())
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), CliError> {
        let mut json = Vec::new();
        let (name, written) = match outcome {
            Outcome::Alert(alert) => ("alerts.ndjson", write_json(alert, &mut json)),
            Outcome::Block(block) => ("blocks.ndjson", write_json(block, &mut json)),
            Outcome::Lift(lift) => ("lifts.ndjson", write_json(lift, &mut json)),
            Outcome::Incident(incident) => ("incidents.ndjson", write_json(incident, &mut json)),
            Outcome::DeadLetter(letter) => ("dead-letters.ndjson", write_json(letter, &mut json)),
        };
        written.map_err(|error| CliError::environment(format!("cannot write as JSON: {error}")))?;
        self.write(name, &json)
    }

    fn write(&mut self, name: &str, line: &[u8]) -> Result<(), CliError> {
        let path = partial(&self.folder, name);
        let failed = |error: std::io::Error| CliError::environment(format!("cannot write {}: {error}", path.display()));
        if !self.files.contains_key(name) {
            let file = File::create(&path).map_err(failed)?;
            self.files.insert(name.to_owned(), BufWriter::new(file));
        }
        match self.files.get_mut(name) {
            Some(file) => file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(failed),
            None => Ok(()),
        }
    }

    /// Closes the files, and says how to go on from here.
    fn end(mut self, told: &mut Output) -> Result<(), CliError> {
        let folder = self.folder.display().to_string();
        let logs: Vec<String> = self.files.keys().filter(|name| name.ends_with(".log")).cloned().collect();
        let failed = |name: &str, error| CliError::environment(format!("cannot write {folder}/{name}: {error}"));
        for (name, file) in &mut self.files {
            file.flush().map_err(|error| failed(name, error))?;
        }
        while let Some((name, _)) = self.files.pop_first() {
            let renamed = fs::rename(partial(&self.folder, &name), self.folder.join(&name));
            renamed.map_err(|error| failed(&name, error))?;
        }
        let input = |log: &String| format!("--pipeline {}={folder}/{log}", log.trim_end_matches(".log"));
        let inputs = logs.iter().map(input).collect::<Vec<_>>().join(" ");
        told.line("")?;
        told.line(&format!("The day is in {folder}. Judge it again, and verify each block:"))?;
        told.line(&format!("  sekisho replay {inputs} --out {folder}/judged"))?;
        told.line(&format!("  sekisho blocks verify {folder}/judged/blocks.ndjson {inputs}"))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What cannot be removed has a name that says that it is not whole.
        self.files.keys().for_each(|name| drop(fs::remove_file(partial(&self.folder, name))));
    }
}

fn partial(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.partial"))
}
