//! A generated day, and the recorded one where the data folder is, over three brokers: judged by two processes that are
//! killed in turn while the brokers restart, every record is judged once, and what is found is what is found without it.
#![expect(clippy::disallowed_methods, reason = "a test starts programs and waits for them")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod data;
mod kafka;
mod node;
#[path = "kafka/nodes.rs"]
mod nodes;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use data::data;
use kafka::Cluster;
use node::{PROGRAM, Process, until_true};
use nodes::{Sender, check, input, is_judged, values};
use sekisho::demo::Generator;
use sekisho::event::{Input, MINUTE};
use sekisho::fold::rehearse::START;

const PORTS: u16 = 26_000;
/// Kills of the suite; `SEKISHO_KAFKA_KILLS=500` kills that often.
const KILLS: usize = 50;
/// Kills of the recorded day, which the data folder holds.
const RECORDED_KILLS: usize = 10;
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

fn placed(pipeline: &str, line: String) -> (Input, String) {
    (input(pipeline, partition(&line)), line)
}

/// Lines in the order of their times, and when the last one was.
struct Day {
    lines: Vec<(Input, String)>,
    end: jiff::Timestamp,
}

impl Day {
    /// A visitor of the day's end. Whoever was last to be judged before it, and it may be one that ended long before,
    /// would have stream time go on from there.
    fn last(&self) -> (Input, String) {
        let time = self.end.strftime("%d/%b/%Y:%H:%M:%S +0000");
        placed("nginx", format!("198.51.100.9 - - [{time}] \"GET / HTTP/1.1\" 200 9 \"-\" \"Mozilla/5.0\""))
    }
}

fn generated() -> Day {
    let lines = Generator::new(SEED, START, MINUTES).map(|line| placed(line.pipeline, line.line)).collect();
    let end = START.plus(i64::from(MINUTES) * MINUTE);
    Day { lines, end: jiff::Timestamp::from_millisecond(end.0).unwrap() }
}

/// What was recorded of some minutes of a day; `None`, with a word, where it is not there.
fn recorded() -> Option<Day> {
    let time = regex::Regex::new(r"(?:/\d{4}:|T| )(\d\d:\d\d:\d\d)[ .]").unwrap();
    let files = [
        ("nginx", "access.log.gz"),
        ("modsecurity", "modsec_audit.json.gz"),
        ("login", "app_auth.json.gz"),
        ("sshd", "auth.log"),
    ];
    let mut lines = Vec::new();
    for (pipeline, name) in files {
        let bytes = data(&format!("scenario_nginx_modsec/{name}"))?;
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            let at = time.captures(line).map_or_else(String::new, |found| found[1].to_owned());
            lines.push((at, placed(pipeline, line.to_owned())));
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let end = format!("2026-11-23T{}Z", lines.last().unwrap().0).parse().unwrap();
    Some(Day { lines: lines.into_iter().map(|(_, line)| line).collect(), end })
}

/// What was found, whatever came first: rule and entity of every alert, and the target of every block.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    alerts: BTreeSet<(String, String)>,
    blocks: BTreeSet<String>,
}

/// The day, in slices: with each a process is killed, and with some a broker restarts. Without faults each is judged before
/// the next one comes: partitions that are hours of the day apart are no day that anybody has.
fn judged(day: &Day, slices: usize, faults: bool) -> Found {
    let lines = &day.lines;
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
    let (mut nodes, mut sender) = ([start(0), start(1)], Sender::new(&cluster));
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
    let (input, line) = day.last();
    sender.send(input, line);
    sender.flush();
    until_true("the last one judged", || is_judged(&kafka, &sender.sent));
    // Windows count by stream time, which inputs that are quiet hold back until they are idle.
    let stream_time = |node: &Option<Process>| {
        let status = node.as_ref().unwrap().get("/api/v1/status");
        status["decide"]["stream_time"].as_str().unwrap_or_default().to_owned()
    };
    until_true("the end of the day", || nodes.iter().map(stream_time).any(|time| time > day.end.to_string()));
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

fn same_with_faults(day: &Day, kills: usize) -> Found {
    let expected = judged(day, kills, false);
    let found = judged(day, kills, true);
    let lost: Vec<_> = expected.alerts.difference(&found.alerts).collect();
    let more: Vec<_> = found.alerts.difference(&expected.alerts).collect();
    assert!(lost.is_empty() && more.is_empty(), "with faults alone: {more:?}; without alone: {lost:?}");
    assert_eq!(found.blocks, expected.blocks);
    expected
}

#[test]
fn a_day_with_kills_and_restarts_is_judged_as_one_without() {
    let kills = std::env::var("SEKISHO_KAFKA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let found = same_with_faults(&generated(), kills);
    assert!(found.blocks.len() >= 10 && found.alerts.len() >= 50, "{found:?}");
}

#[test]
fn the_recorded_day_with_kills_and_restarts_is_judged_as_one_without() {
    let Some(day) = recorded() else { return };
    let found = same_with_faults(&day, RECORDED_KILLS);
    println!("{} alerts, {} blocks", found.alerts.len(), found.blocks.len());
    assert!(!found.blocks.is_empty() && !found.alerts.is_empty(), "{found:?}");
}
