//! A whole node on one machine: started in the order of need, stopped in the order of flow. I/O.
//!
//! Start is the same after a crash as after a quiet end. Stop lets what came in flow through: no more lines, then ingest,
//! decide and the index to their ends, for so long as a stop may take; what has not flowed through by then lies in the
//! journal, where the next start takes it up. Deliberately without a clock in anything that is decided: the journal's time
//! is the clock's, everything else follows from records.

#![expect(clippy::disallowed_methods, reason = "the clock of the journal is the machine's")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::api::{self, Clock, LATENCY_SECONDS, Metrics, Server};
use crate::catalog::{Catalog, CatalogText};
use crate::collect::{Collector, Warning};
use crate::config::{Config, Journal as Journalling, Keep};
use crate::event::Time;
use crate::index::{Index, Retention, SearchSettings, SplitLimits, WriterSettings};
use crate::journal::Journal;
use crate::journal::embedded::{self, Cut, Embedded, Lock, Timed};
use crate::respond::Standing;

use super::attempts::Attempts;
use super::decide::{Decider, Restored};
use super::indexer::{Durable, Indexer};
use super::ingest::Ingester;
use super::recorded::Recording;
use super::roles::Roles;
use super::services::JournalTold;
use super::stages::{self, Running, Shared};
use super::steps::Steps;
use super::{Floors, NodeError, Tell, cluster, services};

/// How long a stop may take in all (the goal). A stage that stands still by then is left behind.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);
/// What the stages get of it to finish what is there; the rest is for what they then commit, of which the index takes
/// longest.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(7);
/// What the API gets of it: requests that wait for a disk do not get ready any more.
const SERVER_WITHIN: Duration = Duration::from_secs(2);
/// How often retention looks.
const RETAIN_EVERY: Duration = Duration::from_secs(10);
/// How often a thread that waits looks whether it shall stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Threads that index: it is by far the most work of all, so on two cores it takes what detection leaves of both.
const INDEX_THREADS: usize = 2;
/// Memory of each of them: more is hardly faster (limits sheet §5), and the node stays below a gigabyte.
const INDEX_BYTES: usize = 100 << 20;

const WRITTEN_HELP: &str = "Time that a write to the journal took until it was durable";
const COMMIT_HELP: &str = "Time that a commit of the index took";

/// What a node is started with.
pub struct Given {
    pub config: Config,
    /// Judges; fields that no rule asks for are not kept.
    pub judging: Arc<Catalog>,
    /// The same with every field, for the index.
    pub reading: Arc<Catalog>,
    pub text: CatalogText,
    pub data: PathBuf,
    pub tell: Tell,
    /// Where it ends in a crash test.
    pub steps: Steps,
    /// What this process does of it.
    pub roles: Roles,
}

/// What a node is put together from.
pub(super) struct Parts<J> {
    pub journal: Arc<J>,
    pub given: Given,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// What holds as the node starts.
    pub standing: Standing,
    pub told: JournalTold,
}

/// A running node.
pub struct Node {
    shared: Arc<Shared>,
    /// The embedded one, where it is that.
    journal: Option<Arc<Embedded>>,
    collector: Option<Collector>,
    server: Option<Server>,
    follower: Option<api::Follower>,
    /// How far the index is durable.
    durable: Durable,
    /// In the order of flow.
    stages: Vec<Running>,
    /// Of the data directory, where the journal does not hold it itself.
    lock: Option<Lock>,
}

impl Node {
    /// Starts everything by the machine's clock, on the journal that the configuration names.
    ///
    /// # Errors
    /// What keeps it from starting; nothing runs then.
    pub fn start(given: Given) -> Result<Node, NodeError> {
        let clock = given.steps.clock(now);
        match given.config.journal.clone() {
            Journalling::Embedded => Node::start_by(given, clock),
            Journalling::Kafka(kafka) => cluster::start(given, &kafka, clock),
        }
    }

    /// Starts everything on the embedded journal by another clock: so a day of long ago is judged in its own time. The journal's time stands still
    /// where that clock goes back.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_by(given: Given, clock: Clock) -> Result<Node, NodeError> {
        let metrics = Arc::new(Metrics::default());
        let written = metrics.histogram("sekisho_journal_write_seconds", WRITTEN_HELP, &[], LATENCY_SECONDS);
        let timed = Timed::told(move |time| written.observe(time));
        let settings = embedded::Settings { timed, ..given.steps.of_journal() };
        let journal = Arc::new(Embedded::open(&given.data, Arc::clone(&clock), settings)?);
        journal.opened().cut.iter().for_each(|cut| (given.tell)(&told_of(cut)));
        let snapshots = given.data.join("snapshots");
        let (mut decider, restored) = Decider::start(&journal, &given.judging, &snapshots)?;
        decider.steps = given.steps.clone();
        if restored.blind {
            (given.tell)(&blind(&restored));
        }
        let (standing, floors) = (decider.folder().decide().responder().standing(), decider.floors().clone());
        let mut ingester = Ingester::start(&*journal, Arc::clone(&given.judging), &given.text)?;
        ingester.steps = given.steps.clone();
        ingester.attempts = attempts(&given.data, super::ingest::STAGE)?;
        super::shown::name_embedded(&metrics, &journal);
        let status = Arc::clone(&journal);
        let told = JournalTold {
            status: Arc::new(move || json!({ "bytes": status.bytes(), "time": status.appended_at() })),
            trouble: Arc::new(|| None),
            appended_at: journal.appended_at(),
        };
        let keep = given.config.retention.journal;
        let parts = Parts { journal: Arc::clone(&journal), given, metrics, clock, standing, told };
        let mut node = Node::assemble(
            parts,
            |shared, stop| stages::ingest(ingester, shared, stop),
            move |shared, stop| stages::decide(decider, &snapshots, shared, stop),
        )?;
        let (log, durable) = (Arc::clone(&journal), node.durable.clone());
        node.run("retention", move |shared, stop| retain(&log, keep, (&durable, &floors), shared, stop))?;
        node.journal = Some(journal);
        Ok(node)
    }

    /// Puts the threads of a node together, whatever its journal is.
    pub(super) fn assemble<J: Journal + 'static>(
        parts: Parts<J>,
        ingest: impl FnOnce(&Shared, &AtomicBool) -> Result<(), NodeError> + Send + 'static,
        decide: impl FnOnce(&Shared, &AtomicBool) -> Result<(), NodeError> + Send + 'static,
    ) -> Result<Node, NodeError> {
        let Parts { journal, given, metrics, clock, standing, told } = parts;
        let Given { config, judging, reading, data, tell, steps, roles, .. } = given;
        let shared = Arc::new(Shared::new(Arc::clone(&tell)));
        let index = Index::open(&data.join("index"), SearchSettings::default())?;
        let mut node = Node {
            shared: Arc::clone(&shared),
            journal: None,
            collector: None,
            server: None,
            follower: None,
            durable: Durable::default(),
            stages: Vec::new(),
            lock: None,
        };
        if roles.ingest {
            node.run("ingest", ingest)?;
        }
        if roles.decide {
            node.run("decide", decide)?;
        }
        if roles.index {
            let mut indexer =
                Indexer::open(Arc::clone(&journal), Arc::clone(&reading), &index, writer_settings(&config))?;
            indexer.steps = steps;
            indexer.attempts = attempts(&data, "index")?;
            let commits = metrics.histogram("sekisho_index_commit_seconds", COMMIT_HELP, &[], LATENCY_SECONDS);
            indexer.commits = Some(commits);
            node.durable = indexer.durable().clone();
            let log = Arc::clone(&journal);
            node.run("index", move |shared, stop| stages::index((indexer, log), shared, stop))?;
        }
        if roles.api {
            let (journal, metrics) = (Arc::clone(&journal), Arc::clone(&metrics));
            let lent =
                services::Lent { journal, told, judging, reading, index, shared, metrics, standing, data, clock };
            let (services, follower) = services::lend(lent, &config)?;
            node.follower = Some(follower);
            node.server = Some(Server::start(config.http.listen, services, api::Patience::default())?);
        }
        let listener = Arc::new(move |warning: Warning| tell(&warning.to_string()));
        let collector = Collector::start(&config.collect, &journal, &(listener as _))?;
        super::shown::name_sources(&metrics, collector.counters());
        node.collector = Some(collector);
        Ok(node)
    }

    /// Keeps the data directory to itself for as long as it runs.
    pub(super) fn hold(&mut self, lock: Lock) {
        self.lock = Some(lock);
    }

    /// Where the API listens.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref().map(Server::address)
    }

    /// Waits until `stop` is set, or something fails.
    pub fn wait(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) && !self.shared.has_failed() && !self.stages.iter().any(Running::has_ended)
        {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What was decided so far, folded again from the journal: every outcome that the node's topics hold.
    ///
    /// # Errors
    /// Those of the journal, and of catalogs it names.
    pub fn recording(&self) -> Result<Recording<Embedded>, NodeError> {
        let journal = self.journal.as_ref().ok_or_else(|| NodeError::Environment {
            what: "the journal".to_owned(),
            error: "lies on a cluster".to_owned(),
            advice: "only the embedded one is folded again here".to_owned(),
        })?;
        Recording::of(Arc::clone(journal))
    }

    /// Lets everything flow through and ends, within [`STOP_WITHIN`]. What did not flow through in time is as safe in the
    /// journal as what never began to.
    ///
    /// # Errors
    /// Why a stage could not go on.
    pub fn stop(mut self) -> Result<(), NodeError> {
        let (drained, ended) = (Instant::now() + DRAIN_WITHIN, Instant::now() + STOP_WITHIN);
        drop(self.collector.take());
        if let Some(server) = self.server.take() {
            server.stop(SERVER_WITHIN);
        }
        for stage in &mut self.stages {
            if !stage.finish(drained) {
                // Those behind it end with what they have as well: what they wait for is not coming.
                self.shared.hurry.store(true, Ordering::Release);
            }
        }
        for mut stage in self.stages.drain(..) {
            if !stage.finish(ended) {
                let name = stage.name();
                (self.shared.tell)(&format!("{name}: did not finish in time\n  = the next start goes on where it was"));
            }
        }
        drop(self.follower.take());
        drop(self.lock.take());
        self.shared.take_failure().map_or(Ok(()), Err)
    }

    fn run(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&Shared, &AtomicBool) -> Result<(), NodeError> + Send + 'static,
    ) -> Result<(), NodeError> {
        self.stages.push(Running::start(name, &self.shared, work)?);
        Ok(())
    }
}

/// The notes of a stage on what it examines.
pub(super) fn attempts(data: &Path, stage: &str) -> Result<Attempts, NodeError> {
    let path = data.join("attempts").join(stage);
    Attempts::open(&path).map_err(|error| NodeError::Environment {
        what: path.display().to_string(),
        error: error.to_string(),
        advice: "what is examined is noted there; it must be writable".to_owned(),
    })
}

/// What is said where a start knows nothing of what was before.
pub(super) fn blind(restored: &Restored) -> String {
    format!(
        "offset {} is where the journal begins, and no state stands for what was before\n  = windows, blocks and \
         incidents from before are not known; alerts about them may come again",
        restored.from
    )
}

/// What is said of a torn end.
fn told_of(cut: &Cut) -> String {
    let Cut { file, offset, bytes } = cut;
    format!(
        "{file}: the last write was cut off in its middle; what is left of it, at most {bytes} bytes from byte {offset} on, \
         is gone\n  = nothing that was acknowledged was in it"
    )
}

fn writer_settings(config: &Config) -> WriterSettings {
    let Keep { age, bytes } = config.retention.index;
    let retention = Retention { age_max: age, bytes_max: bytes };
    WriterSettings { threads: INDEX_THREADS, memory_bytes: INDEX_BYTES, split: SplitLimits::default(), retention }
}

/// Deletes what is older or more than is kept, as far as nobody needs it.
fn retain(
    journal: &Embedded,
    keep: Keep,
    (durable, floors): (&Durable, &Floors),
    shared: &Shared,
    stop: &AtomicBool,
) -> Result<(), NodeError> {
    // The first look is at once: a node that starts on a full disk needs what may go.
    let mut due = Instant::now();
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(LOOK_EVERY);
        if Instant::now() < due {
            continue;
        }
        due = Instant::now() + RETAIN_EVERY;
        let named = |name: &str, floors: Vec<_>| {
            floors.into_iter().map(move |(input, next)| (name.to_owned(), input, next)).collect::<Vec<_>>()
        };
        let mut needed = named("index", durable.positions());
        needed.extend(named("a restart", floors.get()));
        let kept = embedded::Keep { age_ms: keep.age, bytes: keep.bytes };
        if let Err(error) = journal.retain(kept, journal.appended_at(), &needed) {
            (shared.tell)(&error.to_string());
        }
    }
    Ok(())
}

/// The machine's time; the journal never lets it go back.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).min(Time::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_end_is_told_in_words() {
        let told = told_of(&Cut { file: "data/journal/7.log".to_owned(), offset: 4_096, bytes: 12 });
        assert!(told.starts_with("data/journal/7.log: ") && told.contains("byte 4096"), "{told}");
        assert!(!told.contains(['{', '"']), "{told}");
    }
}
