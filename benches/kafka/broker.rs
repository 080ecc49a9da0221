//! A broker, a node on it, and who follows its blocks. I/O.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::BaseProducer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sekisho::event::Time;
use sekisho::journal::kafka::{Begin, Settings};

/// A broker that ends with this.
pub struct Broker {
    folder: tempfile::TempDir,
    pub bootstrap: String,
}

impl Broker {
    pub fn start() -> Broker {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Command::new(script("fetch")).status().expect("the script").success());
        let mut command = Command::new(script("broker"));
        command.arg("start").arg(folder.path()).args(["--nodes", "1", "--base", "22900"]);
        let done = command.env("SEKISHO_TEST_KAFKA_HEAP", "512m").output().expect("the script");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let told = String::from_utf8(done.stdout).expect("text");
        let bootstrap = told.lines().find_map(|line| line.strip_prefix("bootstrap=")).expect("where it listens");
        Broker { bootstrap: bootstrap.to_owned(), folder }
    }

    pub fn settings(&self, instance: &str) -> Settings {
        Settings {
            brokers: vec![self.bootstrap.clone()],
            begin: Begin::Beginning,
            properties: Vec::new(),
            token_file: None,
            instance: instance.to_owned(),
            clock: Arc::new(|| Time(jiff::Timestamp::now().as_millisecond())),
            tell: Arc::new(|text: &str| eprintln!("{text}")),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nothing better can be done with a broker that does not stop.
        let _ = Command::new(script("broker")).arg("stop").arg(self.folder.path()).output();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka").join(name)
}

/// A node; it ends when this is dropped.
pub struct Node(Child);

impl Node {
    /// A node on the broker with its state in a folder, which says who it is.
    pub fn start(bootstrap: &str, folder: &Path) -> Node {
        let config = folder.join("sekisho.yaml");
        let text = format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\nresponse: {{ budget: {{ per_minute: 100000, active: 100000, share: 100% }} }}\n\
             journal: {{ kafka: {{ brokers: [\"{bootstrap}\"], start: end }} }}\n"
        );
        std::fs::write(&config, text).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command
            .args(["run", "--roles", "ingest,decide", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(folder.join("data"));
        Node(command.stderr(Stdio::null()).spawn().expect("the program runs"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One that sends as shippers do, in lz4.
pub fn producer(bootstrap: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("compression.type", "lz4").set("linger.ms", "5");
    config.set("queue.buffering.max.messages", "500000").set("batch.size", "1000000");
    config.create().expect("a producer")
}

/// Targets of blocks as they are committed.
pub fn follow(bootstrap: &str) -> Receiver<(String, Instant)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "follow").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("sekisho.blocks", 0, Offset::Beginning).expect("a partition");
    consumer.assign(&list).expect("a partition");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        loop {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let now = Instant::now();
            let value: serde_json::Value =
                serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
            let target = value["target"].as_str().and_then(|target| target.split('/').next());
            if let (Some("block"), Some(target)) = (value["action"].as_str(), target)
                && sender.send((target.to_owned(), now)).is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// Lines of a client that is blocked for them.
pub fn attack(address: &str) -> Vec<String> {
    let stamp = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let line = |attempt: u32| {
        format!(
            "{address} - - [{stamp}] \"GET /index.php?id={attempt}%27%20UNION%20SELECT%20password%20FROM%20users-- HTTP/1.1\" \
             200 512 \"-\" \"sqlmap/1.7\""
        )
    };
    (0..14).map(line).collect()
}
