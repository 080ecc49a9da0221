//! How a cluster is spoken to: what every client of each kind is made with. Pure.
//!
//! Deliberately without any reading of files: properties come from the configuration, which refuses those that are set here.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use super::mutants::{self, Mutant};
use crate::event::Time;
use crate::journal::JournalError;

/// Gives the time of now, for what the brokers do not stamp.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;
/// Who is told what somebody should look after.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// The longest that one of our transactions is open: all readers of its partitions wait for it (sheet §1.9).
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that nobody uses are closed: the only thing that ends a call which librdkafka forgot, and with it the
/// producer that was left alone with it.
const IDLE: &str = "connections.max.idle.ms";
const IDLE_MS: &str = "30000";
/// A member that says nothing for so long is taken for dead: a killed host's partitions stand still until then.
const SESSION_TIMEOUT_MS: &str = "8000";
const HEARTBEAT_MS: &str = "1000";
/// How partitions are shared: all anew with each member that comes or goes for good. Cooperative sharing takes two rounds,
/// and a static member that restarts between them is given what it had without a round: partitions that were taken from it
/// for another then belong to nobody until somebody else comes or goes (seen at a start of two processes, and for ever).
const SHARED: &str = "roundrobin";
/// How a single partition is kept by whoever has it: it is never taken away for another, so one round is enough.
pub const KEPT: &str = "cooperative-sticky";
/// A reader is moved from place to place: what it waits for elsewhere holds up what it is asked for now.
const READER_WAIT_MS: &str = "50";
/// The largest record we write or read: a part of a state, with room for its key.
pub const RECORD_BYTES_MAX: usize = 17 << 20;

/// Where a partition that was never read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Beginning,
    End,
    /// At the first record of this time or later.
    At(Time),
}

/// What a journal on Kafka is opened with.
#[derive(Clone)]
pub struct Settings {
    pub brokers: Vec<String>,
    pub begin: Begin,
    /// librdkafka's names and values, as configured: TLS, SASL and whatever else.
    pub properties: Vec<(String, String)>,
    /// The file that holds the token of OAUTHBEARER, read again at each refresh.
    pub token_file: Option<std::path::PathBuf>,
    /// What tells this process from all others, and is the same after a restart.
    pub instance: String,
    pub clock: Clock,
    pub tell: Tell,
}

impl Settings {
    /// What every client is made with.
    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers.join(",")).set("client.id", format!("sekisho-{}", self.instance));
        config.set("log_level", "0").set("allow.auto.create.topics", "false").set("statistics.interval.ms", "0");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// A client that makes and describes topics.
    pub fn admin(&self) -> ClientConfig {
        self.common()
    }

    /// A client that only reads what it is told to.
    pub fn reader(&self) -> ClientConfig {
        let mut config = self.common();
        config.set("group.id", format!("sekisho-reads-{}", self.instance));
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        // A position is always given (rule 17): without one nothing is read at all.
        config.set("auto.offset.reset", "error").set("check.crcs", "true");
        let uncommitted = mutants::has(Mutant::UncommittedRead);
        config.set("isolation.level", if uncommitted { "read_uncommitted" } else { "read_committed" });
        config.set("enable.partition.eof", "true").set("fetch.queue.backoff.ms", "5");
        config.set("fetch.wait.max.ms", READER_WAIT_MS);
        config.set("fetch.max.bytes", "52428800").set("receive.message.max.bytes", (64 << 20).to_string());
        config.set("queued.max.messages.kbytes", "16384").set("queued.min.messages", "10000");
        config
    }

    /// A member of a stage's group.
    pub fn member(&self, stage: &str) -> ClientConfig {
        let mut config = self.reader();
        config.remove("fetch.wait.max.ms");
        config.set("group.id", format!("sekisho-{stage}")).set("enable.partition.eof", "false");
        config.set("group.instance.id", format!("{stage}-{}", self.instance));
        config.set("partition.assignment.strategy", SHARED);
        config.set("session.timeout.ms", SESSION_TIMEOUT_MS).set("heartbeat.interval.ms", HEARTBEAT_MS);
        config.set("max.poll.interval.ms", "300000");
        // Topics that appear later and fit a pattern are found so soon.
        config.set("topic.metadata.refresh.interval.ms", "10000");
        config
    }

    /// A producer whose transactions carry this name.
    pub fn producer(&self, name: &str) -> ClientConfig {
        let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
        let mut config = self.common();
        config.set("transactional.id", format!("sekisho-{name}-{}", self.instance));
        config.set("transaction.timeout.ms", &timeout).set("message.timeout.ms", &timeout);
        config.set("compression.type", "lz4").set("linger.ms", "0").set("retry.backoff.ms", "5");
        config.set("queue.buffering.max.kbytes", "131072").set("queue.buffering.max.messages", "200000");
        config.set("message.max.bytes", RECORD_BYTES_MAX.to_string());
        if config.get(IDLE).is_none() {
            config.set(IDLE, IDLE_MS);
        }
        config
    }

    /// Whether librdkafka was built with what is asked of it.
    ///
    /// # Errors
    /// [`JournalError::Refused`] names what is missing.
    pub fn check(&self) -> Result<(), JournalError> {
        let features = features()?;
        let mechanism = self.properties.iter().find(|(name, _)| name == "sasl.mechanism" || name == "sasl.mechanisms");
        let needed = match mechanism.map(|(_, value)| value.as_str()) {
            None => return Ok(()),
            Some("PLAIN") => "sasl_plain",
            Some("SCRAM-SHA-256" | "SCRAM-SHA-512") => "sasl_scram",
            Some("OAUTHBEARER") => "sasl_oauthbearer",
            Some(other) => other,
        };
        if features.split(',').any(|feature| feature == needed) {
            return Ok(());
        }
        Err(JournalError::Refused {
            why: format!("this program knows no SASL mechanism `{needed}`; it has {features}"),
        })
    }
}

/// What librdkafka was built with, as it says itself.
///
/// # Errors
/// Where it does not say so.
pub fn features() -> Result<String, JournalError> {
    let native = ClientConfig::new().create_native_config();
    let features = native.and_then(|native| native.get("builtin.features"));
    features.map_err(|error| JournalError::Refused { why: error.to_string() })
}
