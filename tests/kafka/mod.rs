//! Real brokers for tests: Apache Kafka on loopback, started by `tests/kafka/broker` and stopped with the value.
#![allow(dead_code, reason = "each test takes of this what it needs")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sekisho::event::Time;
use sekisho::journal::kafka::topics::{Topics, needed};
use sekisho::journal::kafka::{Begin, Kafka, Settings};

/// Each cluster of a test binary has ports of its own, below those that the system gives away.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
/// Ports of one cluster: brokers, controllers and TLS each a hundred apart.
const PORTS: u16 = 4;

/// The first ports from `base` on that nobody has: what an earlier run left behind may still listen.
fn free_from(base: u16) -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = base + NEXT_PORT.fetch_add(PORTS, Ordering::Relaxed);
        if (port..port + PORTS).all(|port| free(port) && free(port + 100) && free(port + 200)) {
            return port;
        }
    }
}

/// A cluster that lives as long as this.
pub struct Cluster {
    folder: tempfile::TempDir,
    pub bootstrap: String,
    /// Where client certificates are asked for, of one that has TLS.
    pub mtls: String,
    /// What a client of the tests needs to come in.
    pub properties: Vec<(String, String)>,
}

impl Cluster {
    /// Starts so many brokers.
    pub fn start(nodes: u16, base: u16) -> Cluster {
        Cluster::made(nodes, base, "plain")
    }

    /// Starts one broker that takes users by password, token or certificate, over TLS alone. Its administrator looks on.
    pub fn start_secure(base: u16) -> Cluster {
        let mut cluster = Cluster::made(1, base, "sasl_ssl");
        let ca = cluster.tls("ca.crt");
        let given = [
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.location", ca.as_str()),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "admin"),
            ("sasl.password", "admin-pw"),
        ];
        cluster.properties = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        cluster
    }

    fn made(nodes: u16, base: u16, security: &str) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let port = free_from(base);
        let fetched = Command::new(script("fetch")).status().unwrap();
        assert!(fetched.success(), "tests/kafka/fetch says what is missing");
        let (nodes, port) = (nodes.to_string(), port.to_string());
        let told = run(folder.path(), &["start"], &["--nodes", &nodes, "--base", &port, "--security", security]);
        let of = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let bootstrap = of("bootstrap=").expect("where it listens");
        Cluster { bootstrap, mtls: of("mtls=").unwrap_or_default(), properties: Vec::new(), folder }
    }

    /// The path of a certificate or key that it was made with.
    pub fn tls(&self, name: &str) -> String {
        self.folder.path().join("tls").join(name).display().to_string()
    }

    /// One of the script's commands, as `kill` of a node.
    pub fn order(&self, command: &str, rest: &[&str]) -> String {
        run(self.folder.path(), &[command], rest)
    }

    /// The same, where it may fail: what it said then.
    pub fn try_order(&self, command: &str, rest: &[&str]) -> Result<String, String> {
        let done = Command::new(script("broker")).arg(command).arg(self.folder.path()).args(rest).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&done.stdout) + &text(&done.stderr);
        // Kafka's tools end well whatever they were told.
        if done.status.success() && !said.contains("Error") { Ok(said) } else { Err(said) }
    }

    /// What a process of this name opens it with.
    pub fn settings(&self, instance: &str) -> Settings {
        Settings {
            brokers: vec![self.bootstrap.clone()],
            begin: Begin::Beginning,
            properties: self.properties.clone(),
            token_file: None,
            instance: instance.to_owned(),
            clock: Arc::new(now),
            tell: Arc::new(|text: &str| eprintln!("{text}")),
        }
    }

    /// A process of this name.
    pub fn open(&self, instance: &str) -> Kafka {
        Kafka::open(self.settings(instance)).unwrap()
    }

    /// Makes our topics, and these with so many partitions.
    pub fn create_topics(&self, pipelines: &[&str], partitions: u32) {
        self.create(&needed(pipelines.iter().map(|name| (*name, &[][..])), partitions));
    }

    /// Makes only these.
    pub fn create_topics_of(&self, pipelines: &[&str], partitions: u32) {
        let topics = needed(pipelines.iter().map(|name| (*name, &[][..])), partitions);
        self.create(&topics[topics.len() - pipelines.len()..]);
    }

    fn create(&self, topics: &[sekisho::journal::kafka::topics::Topic]) {
        let admin = Topics::new(&self.settings("topics")).unwrap();
        let made = admin.create(topics).unwrap();
        assert!(made.iter().all(|(_, made)| *made == sekisho::journal::kafka::topics::Made::Created), "{made:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = Command::new(script("broker")).arg("stop").arg(self.folder.path()).output();
        assert!(std::thread::panicking() || stopped.is_ok_and(|done| done.status.success()), "brokers did not stop");
    }
}

pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time(since.as_millis() as i64)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka").join(name)
}

fn run(folder: &Path, before: &[&str], after: &[&str]) -> String {
    let done = Command::new(script("broker")).args(before).arg(folder).args(after).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{before:?} {after:?}: {out}{err}");
    out.into_owned()
}
