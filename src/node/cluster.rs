//! A node on a Kafka cluster: the same stages, taken up again whenever the brokers say so. I/O.
//!
//! Any number of processes share the raw partitions by their group; one of them decides, and the others stand by until
//! they are given the signals. What the brokers undid is folded again from what is committed, by the same code as any
//! start. Deliberately without giving up: a cluster that is away comes back.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::api::{Clock, Metrics};
use crate::catalog::{Catalog, CatalogText};
use crate::config::{self, KafkaStart};
use crate::event::SIGNALS;
use crate::fold::signals;
use crate::journal::embedded::Lock;
use crate::journal::kafka::{Begin, Kafka, Settings};
use crate::journal::{Journal, Stage, Subscription};
use crate::respond::Standing;

use super::decide::{self, Decider};
use super::ingest::Ingester;
use super::services::JournalTold;
use super::stages::{self, Shared};
use super::start::{Given, Node, Parts, attempts, blind};
use super::steps::Steps;
use super::{NodeError, Tell};

/// How long a stage that waits for its turn looks for a stop.
const WAIT: Duration = Duration::from_millis(100);
/// After a fault of the cluster the stage is taken up again so much later.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The file that says what this process is called among all.
const INSTANCE: &str = "instance";

/// Starts a node whose journal is a cluster.
///
/// # Errors
/// What keeps it from starting: above all that another process has the data directory.
pub(super) fn start(given: Given, kafka: &config::Kafka, clock: Clock) -> Result<Node, NodeError> {
    let lock = Lock::take(&given.data)?;
    let settings = settings(kafka, instance(&given.data)?, &clock, &given.tell);
    let journal = Arc::new(Kafka::open(settings)?);
    let metrics = Arc::new(Metrics::default());
    super::shown::name_cluster(&metrics, &journal);
    let (status, trouble) = (Arc::clone(&journal), Arc::clone(&journal));
    let told = JournalTold {
        status: Arc::new(move || json!({ "kafka": true, "trouble": status.trouble(), "time": status.appended_at() })),
        trouble: Arc::new(move || trouble.trouble()),
        appended_at: clock(),
    };
    let (data, snapshots) = (given.data.clone(), given.data.join("snapshots"));
    let (judging, text, steps) = (Arc::clone(&given.judging), given.text.clone(), given.steps.clone());
    let (for_ingest, for_decide) = (Arc::clone(&journal), Arc::clone(&journal));
    let (deciding, its_steps) = (Arc::clone(&judging), steps.clone());
    let standing = Standing::default();
    let parts = Parts { journal, given, metrics, clock, standing, told };
    let mut node = Node::assemble(
        parts,
        move |shared, stop| {
            let mut told = false;
            again(&for_ingest, shared, stop, &mut || {
                ingest(&for_ingest, (&judging, &text, &data), &steps, &mut told, (shared, stop))
            })
        },
        move |shared, stop| {
            again(&for_decide, shared, stop, &mut || {
                decide(&for_decide, (&deciding, &snapshots), &its_steps, (shared, stop))
            })
        },
    )?;
    node.hold(lock);
    Ok(node)
}

/// What the journal is opened with.
pub fn settings(kafka: &config::Kafka, instance: String, clock: &Clock, tell: &Tell) -> Settings {
    let begin = match kafka.start {
        KafkaStart::Beginning => Begin::Beginning,
        KafkaStart::End => Begin::End,
        KafkaStart::At(time) => Begin::At(time),
    };
    Settings {
        brokers: kafka.brokers.clone(),
        begin,
        properties: kafka.properties.clone(),
        token_file: kafka.token_file.as_ref().map(Into::into),
        instance,
        clock: Arc::clone(clock),
        tell: Arc::clone(tell),
    }
}

/// The name of this installation, made once: it must be the same after a restart, and no other's.
fn instance(data: &Path) -> Result<String, NodeError> {
    let path = data.join(INSTANCE);
    let failed = |error: String| NodeError::Environment {
        what: path.display().to_string(),
        error,
        advice: "it names this process among all; it must be readable and stay".to_owned(),
    };
    #[expect(clippy::disallowed_methods, reason = "the name is kept in a file")]
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error.to_string())),
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| failed(error.to_string()))?;
    let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    #[expect(clippy::disallowed_methods, reason = "as above")]
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(name.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| failed(error.to_string()))?;
    Ok(name)
}

/// Turns a stage until it is told to stop; what the cluster undid is taken up again.
fn again(
    journal: &Kafka,
    shared: &Shared,
    stop: &AtomicBool,
    turn: &mut dyn FnMut() -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    loop {
        // A turn that stands still before it comes round for the first time is noticed too.
        shared.beat();
        match turn() {
            // Told by the journal itself, once a minute.
            Err(NodeError::Journal(error)) if error.is_passing() => journal.note(&error),
            done => return done,
        }
        for _ in 0..AGAIN_AFTER.as_millis() / WAIT.as_millis() {
            if stop.load(Ordering::Acquire) {
                return Ok(());
            }
            shared.beat();
            std::thread::sleep(WAIT);
        }
    }
}

fn ingest(
    journal: &Arc<Kafka>,
    (judging, text, data): (&Arc<Catalog>, &CatalogText, &Path),
    steps: &Steps,
    told: &mut bool,
    (shared, stop): (&Shared, &AtomicBool),
) -> Result<(), NodeError> {
    let mut ingester = Ingester::start(&**journal, Arc::clone(judging), text)?;
    ingester.steps = steps.clone();
    ingester.attempts = attempts(data, super::ingest::STAGE)?;
    if !*told && !journal.topics()?.iter().any(|topic| judging.pipeline_of(topic).is_some()) {
        *told = true;
        (shared.tell)(
            "no topic of any pipeline is there yet\n  = `sekisho topics create` makes them; one is read as soon as it is there",
        );
    }
    stages::ingest(ingester, shared, stop)
}

/// Stands by until the signals are given to this process, then decides until they are taken away.
fn decide(
    journal: &Arc<Kafka>,
    (judging, snapshots): (&Arc<Catalog>, &Path),
    steps: &Steps,
    (shared, stop): (&Shared, &AtomicBool),
) -> Result<(), NodeError> {
    let mut stage = journal.stage(decide::STAGE, Subscription::topics([SIGNALS]))?;
    while !stage.owns(&signals()) {
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        stage.poll(1, WAIT)?;
        shared.beat();
    }
    stage.moved();
    let (mut decider, restored) = Decider::take_up((journal, stage), judging, snapshots)?;
    decider.steps = steps.clone();
    if restored.blind {
        (shared.tell)(&blind(&restored));
    }
    stages::decide(decider, snapshots, shared, stop)
}
