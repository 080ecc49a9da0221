//! The journal and a node on one real broker on the same cores: `cargo bench --bench kafka [-- LINES]`.
//!
//! First lines of 220 bytes, one a record, lz4, are drained by the bare batch reader and then by ingest, beside ingest of
//! the same lines out of memory: wall rate and CPU seconds of this process alone. Then transactions, small and large, how
//! soon a live record becomes a block, and how soon another goes on for a node that was killed. I/O.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads time")]

mod broker;
mod live;
mod takeover;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, Producer};
use sekisho::catalog::{Catalog, CatalogText, KeepExtras, built_in};
use sekisho::config::Config;
use sekisho::event::{DAY, Input, Time};
use sekisho::journal::kafka::reader::{Met, Reader};
use sekisho::journal::kafka::starts::Starts;
use sekisho::journal::kafka::topics::{Topics, needed};
use sekisho::journal::kafka::troubles::Troubles;
use sekisho::journal::kafka::{Kafka, Settings};
use sekisho::journal::{Commit, Committed, Fetched, Journal, JournalError, NewRecord, Records, Stage, Subscription};
use sekisho::node::ingest::Ingester;

use broker::{Broker, producer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u32 = 8;
const LINE_BYTES: usize = 220;

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
    live::live(&broker);
    takeover::takeover(&broker);
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
