//! `sekisho demo`: a generated day of a small company, judged live by a whole node. I/O.
//!
//! The lines come in through the node's own door, and what it concludes is heard from its stream, as by any other program.
//! They come in the order of time across all pipelines, each batch once the one before is read, so that the node judges
//! in that order as well. Deliberately without a way of its own to judge.

mod host;
mod kept;
mod news;
mod story;

use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::demo::{Generator, Line};
use crate::event::{SECOND, Time};
use crate::fold::rehearse::START;
use crate::replay::{ReplayError, stop_on_signal};

use super::output::Output;
use super::{CliError, Status};

use host::Host;
use kept::Kept;
use news::News;
use story::Story;

/// Progress is told after this many lines.
const PROGRESS_LINES: u64 = 20_000;
/// A person who presses Ctrl-C waits no longer than this.
const STOP_HEARD_AFTER: Duration = Duration::from_millis(50);
/// How much further than to the last tally the day's clock is moved at its end: lines tell whole seconds, so the time of an
/// input may be one behind.
const BEYOND: i64 = 4 * SECOND;
/// Inputs say once a second that they are quiet: so the last outcomes come within some seconds, or never.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// What follows `sekisho demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho demo                          as fast as it goes
  sekisho demo --pace 60                a minute of the day a second
  sekisho demo --stay                   leaves the node up, to be searched and asked, until Ctrl-C
  sekisho demo --seed 7 --keep day/     keeps the logs and what left, to be replayed and verified

The node and its folder are gone afterwards. Ctrl-C ends it early, with exit status 130.")]
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
    /// Leaves the node up after the day, until Ctrl-C or SIGTERM
    #[arg(long)]
    stay: bool,
    /// Writes the logs and everything that left into this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the day.
pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    // First, so that no folder is left behind by a signal.
    let stop = stop_on_signal()?;
    let kept = arguments.keep.as_deref().map(Kept::new).transpose()?;
    let prepared = Host::prepare()?;
    let mut told = Output::stdout();
    told.line(&format!(
        "A day of a small company in {} min (seed {}): {} rules, catalog {}",
        arguments.minutes,
        arguments.seed,
        prepared.0.judging.rules.len(),
        &prepared.0.judging.hash.to_string()[..12]
    ))?;
    let lateness = prepared.0.config.time.lateness;
    let host = Host::start(prepared)?;
    tell_address(&host, &mut told)?;
    let news = News::of(host.door().stream()?);
    let mut day = Day {
        host,
        news,
        told,
        kept,
        story: Story::default(),
        pace: arguments.pace,
        started: Instant::now(),
        lines: 0,
    };
    let last = day.feed(Generator::new(arguments.seed, START, arguments.minutes), &stop)?;
    day.settle(last.plus(lateness + SECOND), &stop)?;
    day.end()?;
    if arguments.stay {
        day.stay(&stop)?;
    }
    day.told.finish()?;
    day.host.end()?;
    Ok(Status::Done)
}

fn tell_address(host: &Host, told: &mut Output) -> Result<(), CliError> {
    let url = format!("http://{}", host.address());
    told.line(&format!("Its node's API is on {url}/api/v1/status. While it is up, try:"))?;
    told.line(&format!("  sekisho search 'http.response.status_code:>=400' --url {url}"))?;
    told.line(&format!("  sekisho blocks list --url {url}"))?;
    told.line("")?;
    told.flush()
}

/// The day as far as it went.
struct Day {
    host: Host,
    news: News,
    told: Output,
    kept: Option<Kept>,
    story: Story,
    pace: Option<u32>,
    started: Instant,
    lines: u64,
}

/// Lines that follow one another in one log within a second of the day.
struct Run {
    pipeline: &'static str,
    lines: String,
    count: u64,
    /// When the last of them was written.
    last: Time,
}

impl Day {
    /// Hands the day over; gives the time of its last line.
    fn feed(&mut self, lines: Generator, stop: &AtomicBool) -> Result<Time, CliError> {
        let mut lines = lines.peekable();
        let (mut last, mut progress) = (START, PROGRESS_LINES);
        while let Some(run) = self.run(&mut lines)? {
            last = run.last;
            self.wait(last, stop);
            ended_by(stop)?;
            self.host.move_to(last);
            self.host.feed(run.pipeline, (run.lines, run.count))?;
            self.lines += run.count;
            self.hear(Duration::ZERO)?;
            if self.lines >= progress {
                progress = self.lines + PROGRESS_LINES;
                let rate = self.lines as f64 / self.seconds();
                self.told.line(&format!("          … {} lines, {rate:.0} lines/s", self.lines))?;
                self.told.flush()?;
            }
        }
        Ok(last)
    }

    /// The next lines that may be handed over at once.
    fn run(&mut self, lines: &mut Peekable<Generator>) -> Result<Option<Run>, CliError> {
        let Some((pipeline, last)) = lines.peek().map(|line| (line.pipeline, line.time)) else { return Ok(None) };
        let mut run = Run { pipeline, lines: String::new(), count: 0, last };
        let follows = |line: &Line| line.pipeline == pipeline && line.time.second() == last.second();
        while let Some(line) = lines.next_if(follows) {
            if let Some(kept) = &mut self.kept {
                kept.line(pipeline, &line.line)?;
            }
            run.lines.push_str(&line.line);
            run.lines.push('\n');
            run.count += 1;
            run.last = line.time;
        }
        Ok(Some(run))
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

    /// Lets time go on until every tally counts, and hears all that leaves by then.
    fn settle(&mut self, settled: Time, stop: &AtomicBool) -> Result<(), CliError> {
        self.host.move_to(settled.plus(BEYOND));
        let until = Instant::now() + SETTLED_WITHIN;
        loop {
            ended_by(stop)?;
            let decided = self.host.standing()?.decide;
            let counted = decided.stream_time.is_some_and(|stream| stream >= settled);
            if counted && self.story.heard() >= decided.outcomes() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(CliError::environment(
                    "the node does not come to the end of the day; what it says is above",
                ));
            }
            self.hear(STOP_HEARD_AFTER)?;
        }
    }

    /// Waits so long for an outcome, and tells it and all that are there by then.
    fn hear(&mut self, within: Duration) -> Result<(), CliError> {
        let mut within = within;
        while let Some(outcome) = self.news.next(within)? {
            if let Some(text) = self.story.note(outcome) {
                self.told.line(&text)?;
                self.told.flush()?;
            }
            within = Duration::ZERO;
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64().max(0.001)
    }

    /// Tells how it ended, and keeps it where that is asked for.
    fn end(&mut self) -> Result<(), CliError> {
        self.story.end((self.lines, self.seconds()), &mut self.told)?;
        if let Some(mut kept) = self.kept.take() {
            kept.outcomes(self.host.recording()?)?;
            kept.end(&mut self.told)?;
        }
        Ok(())
    }

    /// Leaves the node up until somebody ends it; what it concludes meanwhile is told.
    fn stay(&mut self, stop: &AtomicBool) -> Result<(), CliError> {
        self.host.let_go();
        self.told.line("")?;
        self.told.line(&format!("The node stays up on http://{} until Ctrl-C.", self.host.address()))?;
        self.told.flush()?;
        while !stop.load(Ordering::Relaxed) {
            self.hear(STOP_HEARD_AFTER)?;
        }
        Ok(())
    }
}

/// An error once a signal asked for the end: whoever returns it lets the node end and its folder go.
fn ended_by(stop: &AtomicBool) -> Result<(), CliError> {
    if stop.load(Ordering::Relaxed) { Err(ReplayError::Interrupted.into()) } else { Ok(()) }
}
