//! How far a replay is, how fast, and what it cost: on stderr alone. I/O.
//!
//! A bar where somebody watches, else one line every ten seconds. Deliberately without a word on stdout, and nothing
//! of it in the results.

#![expect(clippy::disallowed_methods, reason = "the clock and /proc are read for the user, never for a result")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// How often the bar moves.
const BAR_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written where nobody watches.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The kernel counts processor time in hundredths of a second on every Linux we run on (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// How far a replay is.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    shown: Instant,
    taken: Vec<Arc<AtomicU64>>,
    /// Bytes of all inputs as they lie there; absent where one is a pipe.
    total: Option<u64>,
}

/// What `--timings` writes (outputs sheet). What this machine does not tell is absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timings {
    pub wall_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    pub events: u64,
    pub events_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
}

impl Progress {
    /// Starts the clock. `terminal` says whether somebody watches stderr.
    pub fn start(terminal: bool, taken: Vec<Arc<AtomicU64>>, total: Option<u64>) -> Progress {
        let bar = terminal.then(|| bar(total));
        let now = Instant::now();
        Progress { bar, started: now, shown: now, taken, total }
    }

    /// Shows how far it is, where it is time to; cheap to call often.
    pub fn show(&mut self, records: u64) {
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let taken: u64 = self.taken.iter().map(|taken| taken.load(Ordering::Relaxed)).sum();
        let rate = records as f64 / self.started.elapsed().as_secs_f64();
        match &self.bar {
            Some(bar) => {
                bar.set_position(taken);
                bar.set_message(format!("{records} records, {rate:.0}/s"));
            }
            None => {
                let part = self.total.map(|total| format!(", {:.0} %", 100.0 * taken as f64 / total.max(1) as f64));
                eprintln!("replay: {records} records, {rate:.0}/s{}", part.unwrap_or_default());
            }
        }
    }

    /// Says something without garbling the bar.
    pub fn say(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{message}")),
            None => eprintln!("{message}"),
        }
    }

    /// Takes the bar away and reads the clocks.
    pub fn finish(self, events: u64) -> Timings {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let wall_s = self.started.elapsed().as_secs_f64();
        let events_per_s = if wall_s > 0.0 { events as f64 / wall_s } else { 0.0 };
        Timings { wall_s, cpu_s: cpu_seconds(), events, events_per_s, peak_rss_bytes: peak_rss_bytes() }
    }
}

/// A replay that ends early takes its bar with it.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3} %  {msg}, {eta} to go"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    bar.set_message("starting");
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // The templates are ours and parse; were one not to, indicatif's own style serves.
    ProgressStyle::with_template(template).into_iter().for_each(|style| bar.set_style(style));
    bar
}

/// Processor time of this process so far: fields 14 and 15 of /proc/self/stat, counted behind the name in brackets.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// The most memory this process ever held.
fn peak_rss_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_tell_what_this_machine_knows() {
        let timings = Progress::start(false, Vec::new(), Some(0)).finish(5);
        assert_eq!(timings.events, 5);
        if cfg!(target_os = "linux") {
            assert!(timings.cpu_s.is_some());
            assert!(timings.peak_rss_bytes.is_some_and(|bytes| bytes > 100_000));
        }
    }
}
