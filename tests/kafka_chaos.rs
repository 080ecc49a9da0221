//! A generated day over three brokers, judged by two processes that are killed in turn while the brokers restart: every
//! record is judged once, and what is found is what is found without any of it.
#![expect(clippy::disallowed_methods, reason = "a test starts programs and waits for them")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod kafka;
mod node;
#[path = "kafka/nodes.rs"]
mod nodes;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use kafka::Cluster;
use node::{PROGRAM, Process, until_true};
use nodes::{Sender, check, input, is_judged, values};
use sekisho::demo::Generator;
use sekisho::event::{Input, MINUTE};
use sekisho::fold::rehearse::START;

const PORTS: u16 = 26_000;
/// Kills of the suite; `SEKISHO_KAFKA_KILLS=500` kills that often.
const KILLS: usize = 50;
/// A broker restarts with every so many kills.
const RESTART_EVERY: usize = 5;
const BROKERS: usize = 3;
const PARTITIONS: u32 = 8;
/// The day is pressed into so many minutes: some hundred thousand lines.
const MINUTES: u32 = 12;
const SEED: u64 = 7;

/// A producer that keeps a client's lines in order gives them one partition.
fn partition(line: &str) -> u32 {
    let is_address = |word: &&str| word.matches('.').count() == 3;
    let word = line.split(|c: char| !c.is_ascii_digit() && c != '.').find(is_address).unwrap_or(&line[..8]);
    word.bytes().fold(0, |hash: u32, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % PARTITIONS
}

fn day() -> Vec<(Input, String)> {
    let lines = Generator::new(SEED, START, MINUTES);
    lines.map(|line| (input(line.pipeline, partition(&line.line)), line.line)).collect()
}

/// What was found, whatever came first: rule and entity of every alert, and the target of every block.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    alerts: BTreeSet<(String, String)>,
    blocks: BTreeSet<String>,
}

/// The day, in slices: with each a process is killed, and with some a broker restarts. Without faults each is judged before
/// the next one comes: partitions that are hours of the day apart are no day that anybody has.
fn judged(slices: usize, faults: bool) -> Found {
    let cluster = Cluster::start(BROKERS as u16, PORTS);
    cluster.create_topics(&["nginx", "sshd", "login", "modsecurity", "suricata"], PARTITIONS);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let brokers: Vec<String> = cluster.bootstrap.split(',').map(|broker| format!("\"{broker}\"")).collect();
    // The day is of long ago, and is to be judged as if it were now.
    let config = format!(
        "http: {{ listen: 127.0.0.1:0 }}\ntime: {{ past: 100y, stale: 100y }}\n\
         journal: {{ kafka: {{ brokers: [{}], start: beginning }} }}\n",
        brokers.join(", ")
    );
    let start = |which: usize| Some(Process::start(folders[which].path(), &config));
    let (mut nodes, mut sender, lines) = ([start(0), start(1)], Sender::new(&cluster), day());
    println!("{} lines, {slices} slices, faults: {faults}, seed {SEED}", lines.len());
    let kafka = cluster.open("looks");
    for (at, slice) in lines.chunks(lines.len().div_ceil(slices)).enumerate() {
        slice.iter().for_each(|(input, line)| sender.send(input.clone(), line.clone()));
        sender.flush();
        if !faults {
            until_true("the slice judged", || is_judged(&kafka, &sender.sent));
            continue;
        }
        nodes[at % 2] = None;
        if at % RESTART_EVERY == RESTART_EVERY - 1 {
            cluster.order("restart", &[&(at / RESTART_EVERY % BROKERS + 1).to_string()]);
        }
        nodes[at % 2] = start(at % 2);
    }
    until_true("all judged", || is_judged(&kafka, &sender.sent));
    // Windows count by stream time, which inputs that are quiet hold back until they are idle.
    let end = START.plus(i64::from(MINUTES) * MINUTE).to_string();
    let stream_time = |node: &Option<Process>| {
        let status = node.as_ref().unwrap().get("/api/v1/status");
        status["decide"]["stream_time"].as_str().unwrap_or_default().to_owned()
    };
    until_true("the end of the day", || nodes.iter().map(stream_time).any(|time| time > end));
    assert_eq!(audit(folders[0].path())["holds"], true, "while they run");
    for node in nodes.into_iter().flatten() {
        assert!(node.finish().success());
    }
    for folder in &folders {
        let verified = sekisho::index::verify(&folder.path().join("data/index"), || true).unwrap();
        assert!(verified.faults.is_empty(), "{:?}", verified.faults);
        assert_eq!(verified.documents, sender.count, "each replica holds every record once");
    }
    assert_eq!(audit(folders[0].path())["holds"], true, "once they have ended");
    let blocks = check(&cluster, &sender.sent);
    let json = |line: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&line).unwrap();
    let alerts = values(&kafka, "sekisho.alerts", 0).into_iter().map(json);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Found {
        alerts: alerts.map(|alert| (text(&alert["rule"]["id"]), alert["sekisho"]["entity"].to_string())).collect(),
        blocks: blocks.iter().filter(|block| block["action"] == "block").map(|block| text(&block["target"])).collect(),
    }
}

/// What `sekisho audit` finds.
fn audit(folder: &Path) -> serde_json::Value {
    let mut command = Command::new(PROGRAM);
    let done = command.args(["audit", "-o", "json", "--config"]).arg(folder.join("sekisho.yaml")).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{}{said}", String::from_utf8_lossy(&done.stdout));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn a_day_with_kills_and_restarts_is_judged_as_one_without() {
    let kills = std::env::var("SEKISHO_KAFKA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let expected = judged(kills, false);
    assert!(expected.blocks.len() >= 10 && expected.alerts.len() >= 50, "{expected:?}");
    let found = judged(kills, true);
    let lost: Vec<_> = expected.alerts.difference(&found.alerts).collect();
    let more: Vec<_> = found.alerts.difference(&expected.alerts).collect();
    assert!(lost.is_empty() && more.is_empty(), "with faults alone: {more:?}; without alone: {lost:?}");
    assert_eq!(found.blocks, expected.blocks);
}
