//! The journal and a node on one real broker on the same cores: `cargo bench --bench kafka [-- LINES]`.
//!
//! First lines of 220 bytes, one a record, lz4, are drained by the bare batch reader and then by ingest, beside ingest of
//! the same lines out of memory: wall rate and CPU seconds of this process alone. Then transactions, small and large. Then
//! five thousand lines a second with an attacker ten times a second, one record in twenty a signal: how long from the
//! record that triggers to its block for a reader of committed records. I/O.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads time")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sekisho::catalog::{Catalog, CatalogText, KeepExtras, built_in};
use sekisho::config::Config;
use sekisho::event::{DAY, Input, Time};
use sekisho::journal::kafka::reader::{Met, Reader};
use sekisho::journal::kafka::starts::Starts;
use sekisho::journal::kafka::topics::{Topics, needed};
use sekisho::journal::kafka::troubles::Troubles;
use sekisho::journal::kafka::{Begin, Kafka, Settings};
use sekisho::journal::{Commit, Committed, Fetched, Journal, JournalError, NewRecord, Records, Stage, Subscription};
use sekisho::node::ingest::Ingester;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u32 = 8;
const LINE_BYTES: usize = 220;
/// The live part: lines a second, and how long.
const LIVE_RATE: u64 = 5_000;
const LIVE_SECONDS: u64 = 15;
/// Attacks that are not looked at: the first transactions of a broker are slow.
const WARM: usize = 30;

fn main() {
    let lines = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2_000_000u64);
    let broker = Broker::start();
    let settings = broker.settings("bench");
    let topics = Topics::new(&settings).expect("settings");
    topics.create(&needed(["nginx", "drain"].map(|name| (name, &[][..])), PARTITIONS)).expect("topics");
    produce(&broker.bootstrap, "nginx", lines);
    drain(&settings, lines);
    consume(&settings, lines);
    transactions(&broker.settings("transactions"));
    live(&broker);
}

/// A broker that ends with this.
struct Broker {
    folder: tempfile::TempDir,
    bootstrap: String,
}

impl Broker {
    fn start() -> Broker {
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

    fn settings(&self, instance: &str) -> Settings {
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

/// Visitors' lines of a steady length; few of them are signals.
fn line(number: u64) -> String {
    let stamp =
        jiff::Timestamp::from_second(1_795_435_500 + i64::try_from(number / 20_000).unwrap_or(0)).expect("a time");
    let (client, page) = (number % 40_000, number % 5_000);
    let mut line = format!(
        "81.{}.{}.7 - - [{}] \"GET /shop/item/{page}?ref={number:x} HTTP/1.1\" 200 {} \"https://shop.example/list\" \
         \"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\"",
        client % 200,
        client / 200,
        stamp.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        512 + page,
    );
    line.extend(std::iter::repeat_n(' ', LINE_BYTES.saturating_sub(line.len())));
    line
}

fn producer(bootstrap: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("compression.type", "lz4").set("linger.ms", "5");
    config.set("queue.buffering.max.messages", "500000").set("batch.size", "1000000");
    config.create().expect("a producer")
}

fn produce(bootstrap: &str, topic: &str, lines: u64) {
    let producer = producer(bootstrap);
    for number in 0..lines {
        let line = line(number);
        let partition = i32::try_from(number / 64 % u64::from(PARTITIONS)).unwrap_or(0);
        let mut record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&line);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(5));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all is sent");
}

/// Wall and CPU time of some work of this process.
fn measured<T>(work: impl FnOnce() -> T) -> (T, f64, f64) {
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    };
    let (before, started) = (cpu(), Instant::now());
    let done = work();
    (done, started.elapsed().as_secs_f64(), cpu() - before)
}

fn told(what: &str, lines: u64, wall: f64, cpu: f64) {
    let (rate, per_million) = (lines as f64 / wall, cpu * 1e6 / lines as f64);
    println!("{what}: {rate:.0} records/s wall, {per_million:.2} CPU s a million");
}

fn partitions() -> Vec<(Input, u64)> {
    (0..PARTITIONS).map(|partition| (Input { topic: "nginx".to_owned(), partition }, 0)).collect()
}

fn drain(settings: &Settings, lines: u64) {
    let troubles = Arc::new(Troubles::new(Arc::clone(&settings.clock), Arc::clone(&settings.tell)));
    let mut reader = Reader::new((settings, &settings.member("drain")), Starts::default(), troubles).expect("a reader");
    reader.assign(&partitions()).expect("partitions");
    let ((), wall, cpu) = measured(|| {
        let (mut count, mut sum) = (0, 0u64);
        while count < lines {
            reader
                .poll(Duration::from_millis(100), &mut |met| {
                    if let Met::Record(message) = met {
                        count += 1;
                        sum += u64::from(message.value[message.value.len() / 2]);
                    }
                })
                .expect("records");
        }
        assert!(sum > 0);
    });
    told("drained by the bare reader", lines, wall, cpu);
}

/// Blocks of memory in the place of a journal, and nothing is committed.
struct Memory(Vec<Fetched>);

impl Stage for Memory {
    fn poll(&mut self, bytes: usize, _: Duration) -> Result<Vec<Fetched>, JournalError> {
        let (mut given, mut taken) = (Vec::new(), 0);
        while taken < bytes
            && let Some(block) = self.0.pop()
        {
            taken += block.bytes();
            given.push(block);
        }
        Ok(given)
    }

    fn commit(&mut self, _: Commit) -> Result<Committed, JournalError> {
        Ok(Committed::default())
    }

    fn seek(&mut self, _: &Input, _: u64) -> Result<(), JournalError> {
        Ok(())
    }

    fn position(&self, _: &Input) -> Option<u64> {
        None
    }

    fn note(&self, _: &Input) -> Option<Vec<u8>> {
        None
    }

    fn moved(&mut self) -> Vec<Input> {
        Vec::new()
    }

    fn owns(&self, _: &Input) -> bool {
        true
    }
}

struct Nowhere(std::sync::Mutex<Option<Memory>>);

impl Journal for Nowhere {
    type Stage = Memory;

    fn append(&self, _: Commit) -> Result<Committed, JournalError> {
        Ok(Committed::default())
    }

    fn read(&self, _: &Input, _: u64, _: usize) -> Result<Vec<Fetched>, JournalError> {
        Ok(Vec::new())
    }

    fn partitions(&self, _: &str) -> Result<Vec<(Input, Range<u64>)>, JournalError> {
        Ok(Vec::new())
    }

    fn topics(&self) -> Result<Vec<String>, JournalError> {
        Ok(Vec::new())
    }

    fn mark(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn marks(&self, _: &str) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    fn stage(&self, _: &str, _: Subscription) -> Result<Memory, JournalError> {
        Ok(self.0.lock().expect("one thread").take().expect("one stage"))
    }

    fn wait(&self, seen: u64, _: Duration) -> u64 {
        seen
    }
}

/// Ingest out of memory and out of Kafka: detection with all rules, packs and commits.
fn consume(settings: &Settings, lines: u64) {
    // The lines are some days old, and are to enter windows all the same.
    let (mut config, files) = (Config::default(), built_in());
    config.time.past = 1_000 * DAY;
    let catalog = Catalog::build(&config, &files, KeepExtras::Named).unwrap_or_else(|faults| panic!("{faults}"));
    let (catalog, text) = (Arc::new(catalog), CatalogText::of(&config, &files));
    let stop = AtomicBool::new(false);
    let nowhere = Nowhere(std::sync::Mutex::new(Some(Memory(blocks(lines)))));
    let mut ingester = Ingester::start(&nowhere, Arc::clone(&catalog), &text).expect("ingest");
    let ((), wall, cpu) = measured(|| {
        let mut count = 0;
        while count < lines {
            count += ingester.step(Duration::ZERO, &stop).expect("records");
        }
    });
    told("ingest out of memory", lines, wall, cpu);
    let kafka = Kafka::open(settings.clone()).expect("settings");
    let mut ingester = Ingester::start(&kafka, catalog, &text).expect("ingest");
    let ((), wall, cpu) = measured(|| {
        let mut count = 0;
        while count < lines {
            count += ingester.step(Duration::from_millis(100), &stop).expect("records");
        }
    });
    told("ingest out of Kafka, packs committed", lines, wall, cpu);
}

fn blocks(lines: u64) -> Vec<Fetched> {
    let mut blocks = Vec::new();
    let mut nexts = [0u64; PARTITIONS as usize];
    for from in (0..lines).step_by(2_000) {
        let partition = from / 2_000 % u64::from(PARTITIONS);
        let mut records = Records::default();
        let start = nexts[partition as usize];
        let now = Time(jiff::Timestamp::now().as_millisecond());
        for (offset, number) in (start..).zip(from..lines.min(from + 2_000)) {
            let line = line(number);
            records.push_placed(NewRecord { key: None, value: line.as_bytes(), spoofable: false }, offset, now);
            nexts[partition as usize] = offset + 1;
        }
        let input = Input { topic: "nginx".to_owned(), partition: partition as u32 };
        blocks.push(Fetched::placed(input, now, (start, nexts[partition as usize]), records));
    }
    blocks.reverse();
    blocks
}

fn transactions(settings: &Settings) {
    let kafka = Kafka::open(settings.clone()).expect("settings");
    for (size, times) in [(1u64, 400u64), (10_000, 60)] {
        let append = |number: u64| {
            let mut records = Records::default();
            (0..size).for_each(|at| {
                let line = line(number * size + at);
                records.push(NewRecord { key: None, value: line.as_bytes(), spoofable: false });
            });
            let input = Input { topic: "drain".to_owned(), partition: (number % u64::from(PARTITIONS)) as u32 };
            kafka.append(Commit { appends: vec![(input, records)], ..Commit::default() }).expect("a commit");
        };
        (0..times / 10).for_each(append);
        let ((), wall, cpu) = measured(|| (0..times).for_each(append));
        println!("transactions of {size}: {:.0} commits/s", times as f64 / wall);
        told(&format!("transactions of {size}"), times * size, wall, cpu);
    }
}

/// A node; it ends when this is dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn live(broker: &Broker) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sekisho.yaml");
    let text = format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\nresponse: {{ budget: {{ per_minute: 100000, active: 100000, share: 100% }} }}\n\
         journal: {{ kafka: {{ brokers: [\"{}\"], start: end }} }}\n",
        broker.bootstrap
    );
    std::fs::write(&config, text).expect("a configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command
        .args(["run", "--roles", "ingest,decide", "--config"])
        .arg(&config)
        .arg("--data")
        .arg(folder.path().join("data"));
    let _node = Node(command.stderr(Stdio::null()).spawn().expect("the program runs"));
    let blocks = follow(&broker.bootstrap);
    let triggered = send_live(&broker.bootstrap);
    let mut times = Vec::new();
    while let Ok((target, at)) = blocks.recv_timeout(Duration::from_secs(3)) {
        times.extend(triggered.get(&target).map(|sent| at.duration_since(*sent)));
    }
    let attackers = triggered.len();
    let mut times = times.split_off(WARM.min(times.len()));
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "live, {LIVE_RATE} lines/s: record sent → block for a reader of committed records: p50 {:.1} ms, p99 {:.1} ms ({} of {} \
         attackers, the first {WARM} left out)",
        at(0.5),
        at(0.99),
        times.len(),
        attackers
    );
}

/// Targets of blocks as they are committed.
fn follow(bootstrap: &str) -> std::sync::mpsc::Receiver<(String, Instant)> {
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

/// Sends the live lines; gives when each attacker's last line was sent.
fn send_live(bootstrap: &str) -> BTreeMap<String, Instant> {
    let producer = producer(bootstrap);
    // Until the node has its partitions: what comes before is not read.
    std::thread::sleep(Duration::from_secs(5));
    let (started, mut triggered, mut number) = (Instant::now(), BTreeMap::new(), 0u64);
    let send = |line: &str, partition: u64| {
        let partition = i32::try_from(partition % u64::from(PARTITIONS)).unwrap_or(0);
        producer.send(BaseRecord::<(), str>::to("nginx").partition(partition).payload(line)).expect("room");
    };
    while number < LIVE_SECONDS * LIVE_RATE {
        let stamp = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        for _ in 0..LIVE_RATE / 100 {
            number += 1;
            let (a, b) = (number % 200, number / 200 % 250);
            send(
                &format!(
                    "83.{a}.{b}.7 - - [{stamp}] \"GET /page/{} HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                    number % 50
                ),
                number,
            );
        }
        if number.is_multiple_of(LIVE_RATE / 10) {
            let attacker = number / (LIVE_RATE / 10);
            let address = format!("84.10.{}.{}", attacker / 250, attacker % 250 + 1);
            for attempt in 0..14 {
                send(
                    &format!(
                        "{address} - - [{stamp}] \"GET /index.php?id={attempt}%27%20UNION%20SELECT%20password%20FROM%20users-- \
                         HTTP/1.1\" 200 512 \"-\" \"sqlmap/1.7\""
                    ),
                    attacker,
                );
            }
            triggered.insert(address, Instant::now());
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(number * 1_000 / LIVE_RATE).saturating_sub(started.elapsed()));
    }
    producer.flush(Duration::from_secs(10)).expect("all is sent");
    triggered
}
