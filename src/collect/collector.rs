//! All that collects: started from `collect:`, stopped with everything committed that was read. I/O.
//!
//! Deliberately without HTTP: that door is the API's, which appends by itself (partition [`HTTP_PARTITION`]).
//!
//! [`HTTP_PARTITION`]: super::HTTP_PARTITION

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::counters::Counters;
use super::follower::Follower;
use super::partitions::{PREFIX, Partitions};
use super::sight::Pattern;
use super::syslog::{Bound, Syslog};
use super::thread::spawn;
use super::warning::{CollectError, Listener, Warner};
use crate::config::{Collect, CollectSource, Start};
use crate::event::{Input, Time};
use crate::journal::{Commit, Journal, Mark};

/// Turns with nothing to do are at least so far apart.
const TURN_PAUSE_MIN: Duration = Duration::from_millis(1);

/// The threads that collect. Dropping it stops them, as [`Collector::stop`] does.
pub struct Collector {
    counters: Vec<Arc<Counters>>,
    listeners: Vec<Syslog>,
    follower: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Collector {
    /// Binds every address, then starts. The marks of the journal say where files go on.
    ///
    /// # Errors
    /// A pattern that is none, an address that cannot be listened on, a journal that refuses.
    pub fn start<J: Journal + 'static>(
        sources: &[Collect],
        journal: &Arc<J>,
        listener: &Listener,
    ) -> Result<Collector, CollectError> {
        let clock = Clock::start();
        let marks = journal.marks(PREFIX);
        let saved = marks.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        let mut partitions = Partitions::restore(saved, clock.now());
        let mut collector = Collector { counters: Vec::new(), listeners: Vec::new(), follower: None };
        let (mut patterns, mut bound) = (Vec::new(), Vec::new());
        for Collect { source, pipeline } in sources {
            let counters = Arc::new(Counters::new(&named(source), &pipeline.name));
            collector.counters.push(Arc::clone(&counters));
            match source {
                CollectSource::File { pattern, from } => patterns.push(followed(pattern, *from, counters)?),
                CollectSource::Syslog(address) => {
                    let partition = partitions.of(&pipeline.name, &format!("syslog:{address}"), Time::MAX);
                    let input = Input { topic: pipeline.name.clone(), partition };
                    bound.push((Bound::new(*address, input)?, counters));
                }
            }
        }
        remember(&**journal, &mut partitions, clock.now())?;
        for (bound, counters) in bound {
            collector.listeners.push(bound.start(Arc::clone(journal), counters, listener)?);
        }
        if !patterns.is_empty() {
            let warner = Warner::new(Arc::clone(listener));
            let follower = Follower::new(Arc::clone(journal), patterns, partitions, warner, clock.now());
            collector.follow(follower, clock)?;
        }
        Ok(collector)
    }

    fn follow<J: Journal + 'static>(&mut self, follower: Follower<J>, clock: Clock) -> Result<(), CollectError> {
        let (stop, stopped) = channel();
        let thread = spawn("collect-files", move || run(follower, &clock, &stopped));
        let thread = thread.map_err(|error| CollectError::Thread { why: error.to_string() })?;
        self.follower = Some((stop, thread));
        Ok(())
    }

    /// The counters of each entry of `collect:`, in its order.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// Where the syslog listeners listen, in the order of `collect:`: of interest where a port was left to the system.
    pub fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.listeners.iter().map(|listener| listener.address).collect()
    }

    /// Takes no more, and returns once everything that was read is in the journal.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.follower.take() {
            drop(stop);
            // A panic there was reported by its thread; its cursors in the journal are right.
            let _ = thread.join();
        }
        self.listeners.clear();
    }
}

fn named(source: &CollectSource) -> String {
    match source {
        CollectSource::File { pattern, .. } => pattern.clone(),
        CollectSource::Syslog(address) => address.to_string(),
    }
}

fn followed(pattern: &str, from: Start, counters: Arc<Counters>) -> Result<Pattern, CollectError> {
    let unfit = |why: String| CollectError::Pattern { pattern: pattern.to_owned(), why };
    // Cursors hold paths: they must mean the same wherever the node is started next time.
    let absolute = std::path::absolute(pattern).map_err(|error| unfit(error.to_string()))?.display().to_string();
    glob::Pattern::new(&absolute).map_err(|error| unfit(error.to_string()))?;
    let topic = counters.pipeline.clone();
    Ok(Pattern { pattern: absolute, topic, from_end: from == Start::End, begun: false, counters })
}

/// Writes the partitions of listeners before anything comes from them.
fn remember<J: Journal>(journal: &J, partitions: &mut Partitions, now: Time) -> Result<(), CollectError> {
    // Without an end: a listener has no scan that would write its mark again.
    let marks: Vec<Mark> =
        partitions.unsaved().map(|(key, value)| Mark { key, value: Some(value), expires_at: None }).collect();
    if !marks.is_empty() {
        journal.append(Commit { marks, ..Commit::default() })?;
        partitions.saved(now);
    }
    Ok(())
}

fn run<J: Journal>(mut follower: Follower<J>, clock: &Clock, stopped: &Receiver<()>) {
    loop {
        let now = clock.now();
        // A journal that can promise nothing more ends the node; until then the files keep their lines.
        let Ok(due) = follower.turn(now) else { return };
        let pause = Duration::from_millis(u64::try_from(due.since(now)).unwrap_or(0));
        let pause = if pause.is_zero() { pause } else { pause.max(TURN_PAUSE_MIN) };
        match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Milliseconds since 1970 that never go back while it runs.
struct Clock {
    started_at: Time,
    started: Instant,
}

impl Clock {
    fn start() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = Time(0).plus(i64::try_from(since.as_millis()).unwrap_or(0));
        Clock { started_at, started: Instant::now() }
    }

    fn now(&self) -> Time {
        self.started_at.plus(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
