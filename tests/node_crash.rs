//! A node as a process that is killed: at every named step that a short life comes to, and at random moments.
//!
//! Each life is fed batches of unique lines with an `Idempotency-Key`; what was not acknowledged is sent again with the
//! same key in the next life. `SEKISHO_KILLS=n` kills that often; the seed is printed, `SEKISHO_SEED=n` takes another.
#![expect(clippy::disallowed_methods, reason = "a test of the program runs it, and reads and writes files")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sekisho::event::{Entry, Input, Layout, Position, SIGNALS, Time};
use sekisho::index::{self, Index, SearchSettings};
use sekisho::journal::embedded::{Embedded, Settings};
use sekisho::journal::{self, Journal};
use sekisho::node;

/// Kills of the suite.
const KILLS: u64 = 200;
/// Steps that a life comes to, and whether only its end does.
const STEPS: [(&str, bool); 11] = [
    ("journal.group-written", false),
    ("journal.group-synced", false),
    ("journal.group-visible", false),
    ("ingest.examined", false),
    ("ingest.committed", false),
    ("decide.folded", false),
    ("decide.committed", false),
    ("index.added", false),
    ("index.committed", true),
    ("snapshot.written", true),
    ("snapshot.renamed", true),
];
/// Steps of a log that begins.
const FIRST_STEPS: [&str; 5] = [
    "journal.segment-allocated",
    "journal.checkpoint-synced",
    "journal.segment-named",
    "journal.names-synced",
    "journal.reserve-named",
];
/// Steps of segments and torn ends, in a test of their own.
const OTHER_STEPS: [&str; 2] = ["journal.segment-trimmed", "journal.tail-cut"];
/// Steps of retention, in a test of lives that are hours apart: a restore needs all since the last hourly state.
const RETENTION_STEPS: [&str; 2] = ["journal.segment-removed", "journal.removal-synced"];
/// A segment that some dozens of batches fill, and more batches than fill two.
const SMALL_SEGMENT: &str = "65536";
const BATCHES_MAX: u32 = 500;
/// Nothing takes so long unless it hangs.
const HANG: Duration = Duration::from_secs(60);

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Batch {
    pipeline: &'static str,
    key: String,
    lines: Vec<String>,
}

/// A data directory, and what was sent to it.
struct World {
    folder: tempfile::TempDir,
    random: Random,
    batches: u64,
    /// Acknowledged lines by pipeline.
    durable: BTreeMap<&'static str, BTreeSet<String>>,
    unanswered: Option<Batch>,
    small_segments: bool,
    hours_ahead: u64,
}

/// A process, and where its API listens; nowhere where it ended before.
struct Life {
    child: Child,
    address: Option<String>,
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    fn new(seed: u64) -> World {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sekisho.yaml"), "http: { listen: 127.0.0.1:0 }\n").unwrap();
        World {
            folder,
            random: Random(seed),
            batches: 0,
            durable: BTreeMap::new(),
            unanswered: None,
            small_segments: false,
            hours_ahead: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, crash: Option<String>) -> Life {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command.arg("run").arg("--config").arg(self.path("sekisho.yaml")).arg("--data").arg(self.path("data"));
        command.envs(self.small_segments.then_some(("SEKISHO_SEGMENT_BYTES", SMALL_SEGMENT)));
        command.env("SEKISHO_CLOCK_AHEAD", (self.hours_ahead * 3_600).to_string());
        command.envs(crash.map(|at| ("SEKISHO_CRASH_AT", at))).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut address = None;
        let mut line = String::new();
        while address.is_none() && told.read_line(&mut line).unwrap_or(0) > 0 {
            address = line.split_once("http://").and_then(|(_, rest)| rest.split_once("/api")).map(|(at, _)| at.into());
            line.clear();
        }
        // Whatever else it says must not hold it up.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        Life { child, address }
    }

    fn batch(&mut self) -> Batch {
        self.batches += 1;
        let number = self.batches;
        let pipeline = ["login", "nginx"][self.random.below(2) as usize];
        let line = |item: u64| match pipeline {
            "login" => format!(
                r#"{{"event":"login","outcome":"failure","user":"ann","client_ip":"81.2.69.{}","id":"{number}-{item}"}}"#,
                1 + number % 9
            ),
            _ => format!(
                r#"{{"remote_addr":"81.2.70.{}","request_method":"GET","request_uri":"/{number}-{item}","status":404}}"#,
                1 + number % 9
            ),
        };
        Batch { pipeline, key: format!("batch-{number}"), lines: (0..20).map(line).collect() }
    }

    /// Sends a batch; whether it was acknowledged. One that was not is the first of the next life.
    fn send(&mut self, life: &Life) -> bool {
        let batch = self.unanswered.take().unwrap_or_else(|| self.batch());
        let answered = life.address.as_ref().and_then(|address| post(address, &batch).ok()).unwrap_or_default();
        if answered.starts_with("HTTP/1.0 200") || answered.starts_with("HTTP/1.1 200") {
            self.durable.entry(batch.pipeline).or_default().extend(batch.lines);
            return true;
        }
        self.unanswered = Some(batch);
        false
    }

    /// Ends quietly, with everything committed.
    fn finish(&self, mut life: Life) {
        terminate(&life.child);
        assert!(life.child.wait().unwrap().success(), "a quiet end");
    }
}

fn post(address: &str, batch: &Batch) -> std::io::Result<String> {
    let body = batch.lines.join("\n");
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(HANG))?;
    let (pipeline, key, length) = (batch.pipeline, &batch.key, body.len());
    write!(
        socket,
        "POST /api/v1/ingest/{pipeline} HTTP/1.0\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// All values of a partition in order, from where it begins.
fn values(journal: &Embedded, topic: &str, partition: u32) -> Vec<Vec<u8>> {
    let input = Input { topic: topic.to_owned(), partition };
    let start = start(journal, &input);
    let mut found: Vec<Vec<u8>> = Vec::new();
    loop {
        let blocks = journal.read(&input, start + found.len() as u64, 1 << 20).unwrap();
        if blocks.is_empty() {
            return found;
        }
        found.extend(blocks.iter().flat_map(|block| block.iter()).map(|record| record.value.to_vec()));
    }
}

/// The first offset that retention left.
fn start(journal: &Embedded, input: &Input) -> u64 {
    let partitions = journal.partitions(&input.topic).unwrap();
    partitions.into_iter().find(|(known, _)| known == input).map_or(0, |(_, range)| range.start)
}

/// Each acknowledged line is there once; others are of the one batch that was never answered, at most once.
fn check_lines(world: &World, journal: &Embedded) -> u64 {
    let mut total = 0;
    for (pipeline, durable) in &world.durable {
        let mut seen = BTreeSet::new();
        for (input, _) in journal.partitions(pipeline).unwrap() {
            for value in values(journal, pipeline, input.partition) {
                total += 1;
                assert!(seen.insert(String::from_utf8(value).unwrap()), "{pipeline}: a line is there twice");
            }
        }
        assert!(durable.is_subset(&seen), "{pipeline}: an acknowledged line is lost");
        let open = world.unanswered.as_ref().map_or(&[][..], |batch| &batch.lines);
        assert!(seen.difference(durable).all(|line| open.contains(line)), "{pipeline}: a line that nobody sent");
    }
    total
}

fn check_packs(journal: &Embedded) {
    let mut next: BTreeMap<Input, u64> = BTreeMap::new();
    for value in values(journal, SIGNALS, 0) {
        if let Entry::Pack(pack) = Entry::decode(&value).unwrap() {
            let known = next.entry(pack.input.clone()).or_insert_with(|| {
                assert!(pack.from <= start(journal, &pack.input), "{:?}: records without a pack", pack.input);
                pack.from
            });
            assert_eq!(pack.from, *known, "{:?}: a gap or an overlap", pack.input);
            *known = pack.to;
        }
    }
    for topic in ["login", "nginx"] {
        for (input, range) in journal.partitions(topic).unwrap() {
            assert_eq!(next.get(&input), Some(&range.end), "{input:?}: not all of it was judged");
        }
    }
}

/// The files of `replay --journal` are the topics, byte for byte, from the first hourly state on where retention took the
/// start; ids of alerts differ.
fn check_replay(world: &World, topics: &BTreeMap<&str, Vec<Vec<u8>>>, trimmed: bool) {
    let out = world.path("out");
    let program = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(["replay", "--force", "--journal"])
        .arg(world.path("data"))
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
    let lines = |values: Vec<&Vec<u8>>| values.into_iter().flat_map(|value| [value, &b"\n"[..]].concat()).collect();
    let is_lift = |value: &&Vec<u8>| value.windows(15).any(|window| window == br#""action":"lift""#);
    let same = |name: &str, expected: Vec<u8>| {
        let told = fs::read(out.join(name)).unwrap();
        assert!(if trimmed { expected.ends_with(&told) } else { told == expected }, "{name}");
    };
    same("alerts.ndjson", lines(topics["sekisho.alerts"].iter().collect()));
    same("incidents.ndjson", lines(topics["sekisho.incidents"].iter().collect()));
    same("blocks.ndjson", lines(topics["sekisho.blocks"].iter().filter(|value| !is_lift(value)).collect()));
    same("lifts.ndjson", lines(topics["sekisho.blocks"].iter().filter(is_lift).collect()));
    assert!(!topics["sekisho.alerts"].is_empty() && !topics["sekisho.blocks"].is_empty());
    let id = |alert: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(alert).unwrap()["event"]["id"].to_string();
    let ids: BTreeSet<String> = topics["sekisho.alerts"].iter().map(id).collect();
    assert_eq!(ids.len(), topics["sekisho.alerts"].len(), "an alert is there twice");
}

/// Events of the index: as many as lines, each line's own, none twice, none outside of what was read, read to the end.
fn check_index(folder: &Path, journal: &Embedded, lines: u64) {
    let verified = index::verify(folder, || true).unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    assert_eq!(verified.documents, lines);
    let index = Index::open(folder, SearchSettings::default()).unwrap();
    for topic in ["login", "nginx"] {
        for (input, _) in journal.partitions(topic).unwrap() {
            for (offset, line) in (0..).zip(values(journal, topic, input.partition)) {
                let position = Position { topic: topic.to_owned(), partition: input.partition, offset, item: None };
                let found = index.event(&position, Layout::Flat).unwrap().expect("a document of every line");
                assert_eq!((&found.raw, found.pipeline.as_str()), (&line, topic), "{position:?}");
            }
        }
    }
    for (input, next) in index.status().positions {
        let there = journal.partitions(&input.topic).unwrap().into_iter().find(|(known, _)| *known == input);
        assert_eq!(there.map(|(_, range)| range.end), Some(next));
    }
}

fn check(world: &World) {
    let data = world.path("data");
    let journal = Embedded::open(&data, Arc::new(|| Time(0)), Settings::default()).unwrap();
    let lines = check_lines(world, &journal);
    check_packs(&journal);
    check_index(&data.join("index"), &journal, lines);
    let topics = ["sekisho.alerts", "sekisho.blocks", "sekisho.incidents"];
    let topics = topics.into_iter().map(|topic| (topic, values(&journal, topic, 0))).collect();
    drop(journal);
    check_replay(world, &topics, false);
}

/// One life that ends at a step, or after a random number of batches and milliseconds. Whether it was killed.
fn killed(world: &mut World, kill: u64) -> bool {
    let (step, at_end) = STEPS[(kill / 2 % STEPS.len() as u64) as usize];
    let named = kill.is_multiple_of(2);
    let count = if at_end { 1 } else { 1 + world.random.below(4) };
    let mut life = world.start(named.then(|| format!("{step}:{count}")));
    let batches = 1 + world.random.below(5);
    for _ in 0..batches {
        if !world.send(&life) {
            break;
        }
    }
    if named {
        let _ = Command::new("kill").arg("-TERM").arg(life.child.id().to_string()).stderr(Stdio::null()).status();
    } else {
        life.child.kill().unwrap();
    }
    !life.child.wait().unwrap().success()
}

/// Tears the end of the log as a disk may that lost power: the last bytes that were written are not there.
fn tear(data: &Path) {
    let segments = fs::read_dir(data.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let last = segments.filter(|path| path.extension().is_some_and(|end| end == "segment")).max().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 3..=end].fill(0);
    fs::write(&last, bytes).unwrap();
}

/// A life that ends at a step that it comes to before it answers the last of many batches.
fn ends_at(world: &mut World, step: &str) {
    let mut life = world.start(Some(step.to_owned()));
    assert!((0..BATCHES_MAX).any(|_| !world.send(&life)), "{step} is not come to");
    assert!(!life.child.wait().unwrap().success(), "{step}");
}

#[test]
fn full_segments_and_torn_ends_lose_nothing() {
    let mut world = World::new(setting("SEKISHO_SEED").unwrap_or(4_711));
    world.small_segments = true;
    for count in 1..=2 {
        ends_at(&mut world, &format!("journal.segment-trimmed:{count}"));
        // Written and not yet synced: nobody was told, so it may be torn.
        ends_at(&mut world, "journal.group-written:7");
        tear(&world.path("data"));
        let mut life = world.start(Some("journal.tail-cut:1".to_owned()));
        assert!(life.address.is_none() && !life.child.wait().unwrap().success(), "the torn end is not cut");
    }
    let life = world.start(None);
    while world.unanswered.is_some() {
        assert!(world.send(&life));
    }
    world.finish(life);
    check(&world);
}

#[test]
fn retention_that_is_killed_loses_nothing_that_is_kept() {
    let mut world = World::new(setting("SEKISHO_SEED").unwrap_or(4_711));
    world.small_segments = true;
    let config = world.path("sekisho.yaml");
    let written = fs::read_to_string(&config).unwrap();
    for hour in 1..=3 {
        // Segments of a day that nobody needs once the next hour's state is written.
        let life = world.start(None);
        assert!((0..120).all(|_| world.send(&life)), "hour {hour}");
        world.finish(life);
        world.hours_ahead = hour;
        let life = world.start(None);
        assert!((0..5).all(|_| world.send(&life)), "hour {hour}");
        world.finish(life);
        fs::write(&config, format!("{written}retention: {{ journal: {{ bytes: 64KiB }} }}\n")).unwrap();
        for step in RETENTION_STEPS {
            let mut life = world.start(Some(format!("{step}:1")));
            assert!(!life.child.wait().unwrap().success(), "{step} is not come to");
        }
        fs::write(&config, &written).unwrap();
    }
    let life = world.start(None);
    assert!((0..5).all(|_| world.send(&life)));
    world.finish(life);
    let data = world.path("data");
    let journal = Embedded::open(&data, Arc::new(|| Time(0)), Settings::default()).unwrap();
    let input = Input { topic: SIGNALS.to_owned(), partition: 0 };
    assert!(start(&journal, &input) > 0, "nothing was deleted");
    check_packs(&journal);
    for (pipeline, durable) in &world.durable {
        for (input, _) in journal.partitions(pipeline).unwrap() {
            let kept = values(&journal, pipeline, input.partition);
            assert!(kept.iter().all(|line| durable.contains(std::str::from_utf8(line).unwrap())), "{input:?}");
        }
    }
    let verified = index::verify(&data.join("index"), || true).unwrap();
    let lines: usize = world.durable.values().map(BTreeSet::len).sum();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    assert_eq!(
        verified.documents, lines as u64,
        "the index holds every line, also those that the journal no longer has"
    );
    let topics = ["sekisho.alerts", "sekisho.blocks", "sekisho.incidents"];
    let topics = topics.into_iter().map(|topic| (topic, values(&journal, topic, 0))).collect();
    drop(journal);
    check_replay(&world, &topics, true);
    let told = fs::read(world.path("out/alerts.ndjson")).unwrap();
    assert!(!told.is_empty(), "the recording tells of no alert");
}

#[test]
fn every_named_step_is_come_to_by_a_test() {
    let tested = STEPS.iter().map(|(name, _)| *name).chain(FIRST_STEPS).chain(OTHER_STEPS).chain(RETENTION_STEPS);
    let there = node::steps::Step::ALL.into_iter().map(node::steps::Step::name);
    let there = there.chain(journal::embedded::Step::ALL.into_iter().map(journal::embedded::Step::name));
    assert_eq!(tested.collect::<BTreeSet<_>>(), there.collect::<BTreeSet<_>>());
}

#[test]
fn no_kill_loses_or_repeats_anything() {
    let seed = setting("SEKISHO_SEED").unwrap_or(4_711);
    let wanted = setting("SEKISHO_KILLS").unwrap_or(KILLS);
    println!("SEKISHO_SEED={seed}");
    let mut world = World::new(seed);
    for step in FIRST_STEPS {
        fs::remove_dir_all(world.path("data")).unwrap_or_default();
        let mut life = world.start(Some(format!("{step}:1")));
        assert!(life.address.is_none() && !life.child.wait().unwrap().success(), "{step} is not come to");
    }
    let (mut kills, mut lives) = (FIRST_STEPS.len() as u64, 0);
    while kills < wanted {
        kills += u64::from(killed(&mut world, lives));
        lives += 1;
        assert!(lives < 2 * wanted + 20, "only {kills} of {lives} lives were killed");
        match lives % 40 {
            10 => drop(fs::remove_dir_all(world.path("data/snapshots"))),
            30 => drop(fs::remove_dir_all(world.path("data/index"))),
            _ => {}
        }
    }
    let life = world.start(None);
    while world.unanswered.is_some() {
        assert!(world.send(&life));
    }
    world.finish(life);
    check(&world);
    println!("{kills} kills in {lives} lives, {} batches", world.batches);
}
