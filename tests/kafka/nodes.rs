//! What tests of nodes on a cluster share: a plain producer, what must hold of the topics, two nodes. I/O.
#![allow(dead_code, reason = "each test takes of this what it needs")]

#[path = "../schemas/json.rs"]
mod json;
#[path = "../schemas/validator.rs"]
mod validator;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use sekisho::event::{Entry, Input, Outcome, SIGNALS, write_json};
use sekisho::journal::Journal;
use sekisho::journal::kafka::Kafka;
use sekisho::node::recorded::Recording;

use crate::PORTS;
use crate::kafka::Cluster;
use crate::node::{PROGRAM, Process};

pub const PARTITIONS: u32 = 4;

pub fn input(topic: &str, partition: u32) -> Input {
    Input { topic: topic.to_owned(), partition }
}

/// What a node of the cluster is told. Quiet partitions hold the others only for a moment.
pub fn config(cluster: &Cluster) -> String {
    config_with(&cluster.bootstrap, "")
}

/// The same for any brokers, with more of the section.
pub fn config_with(brokers: &str, more: &str) -> String {
    format!(
        "http: {{ listen: 127.0.0.1:0 }}\ntime: {{ idle: 3s }}\n\
         journal: {{ kafka: {{ brokers: [\"{brokers}\"], start: beginning{more} }} }}\n"
    )
}

/// What `sekisho topics` says, with its status.
pub fn topics(folder: &std::path::Path, config: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let path = folder.join("topics.yaml");
    std::fs::write(&path, config).unwrap();
    let (command, more) = arguments.split_first().unwrap();
    let done = Command::new(PROGRAM).args(["topics", command, "--config"]).arg(&path).args(more).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (done.status.code(), said)
}

/// Makes the topics by the command, as an operator does.
pub fn create_topics(cluster: &Cluster, folder: &std::path::Path) {
    create_topics_with(cluster, folder, PARTITIONS);
}

pub fn create_topics_with(cluster: &Cluster, folder: &std::path::Path, partitions: u32) {
    let config = config(cluster);
    let (status, said) = topics(folder, &config, &["check"]);
    assert!(status == Some(1) && said.contains("sekisho.signals: it is not there"), "{said}");
    let (status, said) = topics(folder, &config, &["create", "--partitions", &partitions.to_string()]);
    assert!(status == Some(0) && said.contains("sekisho.blocks: created"), "{said}");
    let (status, said) = topics(folder, &config, &["check", "-o", "json"]);
    assert!(status == Some(0) && said.trim() == "[]", "{said}");
}

/// A producer as anybody has one.
pub struct Sender {
    pub producer: BaseProducer,
    pub sent: BTreeMap<Input, Vec<String>>,
    pub count: u64,
    pub topic: &'static str,
}

impl Sender {
    pub fn new(cluster: &Cluster) -> Sender {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &cluster.bootstrap).set("compression.type", "lz4");
        for (name, value) in &cluster.properties {
            config.set(name, value);
        }
        Sender { producer: config.create().unwrap(), sent: BTreeMap::new(), count: 0, topic: "nginx" }
    }

    /// Requests of one client for paths that are not there, spread over all partitions.
    pub fn scan(&mut self, client: &str, count: u64) {
        let time = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        for _ in 0..count {
            let number = self.count + 1;
            let line = format!("{client} - - [{time}] \"GET /old/{number}.php HTTP/1.1\" 404 9 \"-\" \"Mozilla/5.0\"");
            self.send(input(self.topic, (number % u64::from(PARTITIONS)) as u32), line);
        }
        self.flush();
    }

    /// One record, in a partition that is the caller's choice.
    pub fn send(&mut self, input: Input, line: String) {
        self.count += 1;
        let partition = input.partition as i32;
        loop {
            let record = BaseRecord::<(), str>::to(&input.topic).partition(partition).payload(&line);
            match self.producer.send(record) {
                Ok(()) => break,
                Err((error, _)) => assert!(error.to_string().contains("QueueFull"), "{error}"),
            }
            self.producer.poll(Duration::from_millis(5));
        }
        self.sent.entry(input).or_default().push(line);
    }

    pub fn flush(&self) {
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }
}

/// All committed values of a partition.
pub fn values(kafka: &Kafka, topic: &str, partition: u32) -> Vec<Vec<u8>> {
    let (mut next, mut found) = (0, Vec::new());
    loop {
        let blocks = match kafka.read(&input(topic, partition), next, 1 << 20) {
            // A broker that was just killed.
            Err(error) if error.is_passing() => {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            other => other.unwrap(),
        };
        let Some(last) = blocks.last() else { return found };
        next = last.offsets().end;
        found.extend(blocks.iter().flat_map(|block| block.iter()).map(|record| record.value.to_vec()));
    }
}

/// How far the packs of each partition say it was judged; they tile without gap or overlap.
pub fn judged(kafka: &Kafka) -> BTreeMap<Input, u64> {
    let mut next: BTreeMap<Input, u64> = BTreeMap::new();
    for value in values(kafka, SIGNALS, 0) {
        if let Entry::Pack(pack) = Entry::decode(&value).unwrap() {
            let known = next.entry(pack.input.clone()).or_insert(pack.from);
            assert_eq!(pack.from, *known, "{:?}: a gap or an overlap", pack.input);
            *known = pack.to;
        }
    }
    next
}

/// Whether all that was sent is judged.
pub fn is_judged(kafka: &Kafka, sent: &BTreeMap<Input, Vec<String>>) -> bool {
    let judged = judged(kafka);
    sent.iter().all(|(input, lines)| judged.get(input) == Some(&(lines.len() as u64)))
}

/// Lines of a topic against a schema of what leaves, which is the one that the repository publishes.
fn fits(name: &str, lines: &[Vec<u8>]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas").join(format!("{name}.json"));
    let schema = validator::Validator::new(&std::fs::read_to_string(path).unwrap(), true);
    for line in lines {
        let line = std::str::from_utf8(line).unwrap();
        assert_eq!(schema.faults(&json::Json::read(line)), Vec::<String>::new(), "{name}: {line}");
    }
}

/// Every record is in the packs once; outcomes are unique, fit their schemas, and are the fold of the signals, byte for
/// byte.
pub fn check(cluster: &Cluster, sent: &BTreeMap<Input, Vec<String>>) -> Vec<serde_json::Value> {
    let kafka = Arc::new(cluster.open("checks"));
    assert!(is_judged(&kafka, sent));
    for (Input { topic, partition }, lines) in sent {
        let there = values(&kafka, topic, *partition).into_iter().map(|value| String::from_utf8(value).unwrap());
        assert_eq!(&there.collect::<Vec<_>>(), lines, "what was sent is there, in order");
    }
    let topics = ["sekisho.alerts", "sekisho.blocks", "sekisho.incidents"];
    let mut folded: BTreeMap<&str, Vec<Vec<u8>>> = topics.iter().map(|topic| (*topic, Vec::new())).collect();
    let end = kafka.partitions(SIGNALS).unwrap()[0].1.end;
    let mut recording = Recording::up_to(Arc::clone(&kafka), end).unwrap();
    while let Some(step) = recording.step().unwrap() {
        for outcome in &step.outcomes {
            let (topic, mut line) = (topic_of(outcome), Vec::new());
            match outcome {
                Outcome::Alert(alert) => write_json(alert, &mut line),
                Outcome::Block(block) => write_json(block, &mut line),
                Outcome::Lift(lift) => write_json(lift, &mut line),
                Outcome::Incident(incident) => write_json(incident, &mut line),
                Outcome::DeadLetter(letter) => write_json(letter, &mut line),
            }
            .unwrap();
            folded.entry(topic).or_default().push(line);
        }
    }
    for topic in topics {
        assert!(values(&kafka, topic, 0) == folded[topic], "{topic} is not the fold of the signals");
    }
    fits("alert", &folded["sekisho.alerts"]);
    fits("incident", &folded["sekisho.incidents"]);
    fits("dead_letter", &values(&kafka, "sekisho.dead-letters", 0));
    let is_block = |line: &&Vec<u8>| std::str::from_utf8(line).unwrap().contains(r#""action":"block""#);
    let (blocks, lifts): (Vec<_>, Vec<_>) = folded["sekisho.blocks"].iter().partition(is_block);
    fits("block", &blocks.into_iter().cloned().collect::<Vec<_>>());
    fits("lift", &lifts.into_iter().cloned().collect::<Vec<_>>());
    let json = |bytes: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let alerts: Vec<_> = folded["sekisho.alerts"].iter().map(json).collect();
    let ids: BTreeSet<_> = alerts.iter().map(|alert| alert["event"]["id"].to_string()).collect();
    assert_eq!(ids.len(), alerts.len(), "an alert is there twice");
    folded["sekisho.blocks"].iter().map(json).collect()
}

pub fn topic_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Alert(_) => "sekisho.alerts",
        Outcome::Block(_) | Outcome::Lift(_) => "sekisho.blocks",
        Outcome::Incident(_) => "sekisho.incidents",
        Outcome::DeadLetter(_) => "sekisho.dead-letters",
    }
}

pub fn blocked(node: &Process) -> BTreeSet<String> {
    let blocks = node.get("/api/v1/blocks");
    let targets = blocks["blocks"].as_array().unwrap().iter();
    targets.map(|block| block["target"].as_str().unwrap().to_owned()).collect()
}

/// Two nodes, and a thread's worth of traffic until everything is judged.
pub struct Pair {
    pub cluster: Cluster,
    pub folders: [tempfile::TempDir; 2],
    pub sender: Sender,
    pub kafka: Kafka,
}

impl Pair {
    pub fn new(brokers: u16) -> Pair {
        let (cluster, folders) =
            (Cluster::start(brokers, PORTS), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
        create_topics(&cluster, folders[0].path());
        let (sender, kafka) = (Sender::new(&cluster), cluster.open("looks"));
        Pair { cluster, folders, sender, kafka }
    }

    pub fn start(&self, which: usize) -> Process {
        Process::start(self.folders[which].path(), &config(&self.cluster))
    }

    pub fn is_judged(&self) -> bool {
        is_judged(&self.kafka, &self.sender.sent)
    }
}

pub fn signal(process: &Process, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.id().to_string()).status().unwrap();
    assert!(sent.success());
}

/// Ids of all alerts that a node knows.
pub fn alert_ids(node: &Process) -> BTreeSet<String> {
    let alerts = node.get("/api/v1/alerts?limit=1000");
    alerts["alerts"].as_array().unwrap().iter().map(|alert| alert["event"]["id"].as_str().unwrap().to_owned()).collect()
}
