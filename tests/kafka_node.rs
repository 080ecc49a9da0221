//! Whole nodes on real brokers: records by a plain producer, outcomes for a plain consumer, and processes that are killed.
#![expect(clippy::disallowed_methods, reason = "a test starts programs and waits for them")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod kafka;
mod node;
#[path = "kafka/nodes.rs"]
mod nodes;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use kafka::Cluster;
use node::{PROGRAM, Process, until_true};
use nodes::*;

const PORTS: u16 = 24_000;
/// Kills of the suite; `SEKISHO_KAFKA_KILLS=n` kills that often.
const KILLS: u64 = 50;

#[test]
fn records_of_a_plain_producer_become_blocks_and_can_be_found() {
    let (cluster, folder) = (Cluster::start(1, PORTS), tempfile::tempdir().unwrap());
    create_topics(&cluster, folder.path());
    let mut sender = Sender::new(&cluster);
    sender.scan("50.128.1.7", 60);
    let node = Process::start(folder.path(), &config(&cluster));
    until_true("a block", || blocked(&node).contains("50.128.1.7/32"));
    until_true("all in the index", || node.get("/api/v1/search?query=client.ip:50.128.1.7&limit=1")["total"] == 60);
    // By its own door, and by an operator.
    let line = "50.128.1.9 - - [30/Nov/2026:07:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"\n";
    assert_eq!(node.post("nginx", "Idempotency-Key: one\r\n", line.as_bytes()).status, 200);
    assert_eq!(node.post("nginx", "Idempotency-Key: one\r\n", line.as_bytes()).status, 200);
    until_true("its line", || node.get("/api/v1/search?query=client.ip:50.128.1.9&limit=1")["total"] == 1);
    let ordered = node.ask(
        "POST",
        "/api/v1/blocks",
        "Content-Type: application/json\r\n",
        br#"{"target":"50.128.2.2","ttl":"1h","reason":"by hand"}"#,
    );
    assert!(ordered.status == 200 || ordered.status == 201, "{} {}", ordered.status, ordered.text);
    assert_eq!(node.ask("DELETE", "/api/v1/blocks/50.128.1.7", "", b"").status, 200);
    assert!(!blocked(&node).contains("50.128.1.7/32"), "it was lifted");
    assert!(node.finish().success());
    let kafka = cluster.open("tombstones");
    let blocks = values(&kafka, "sekisho.blocks", 0);
    assert_eq!(blocks.len(), 3, "two blocks and a lift; what follows the lift has no value");
}

#[test]
fn killed_processes_lose_and_repeat_nothing() {
    let (cluster, folders) = (Cluster::start(1, PORTS), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    create_topics(&cluster, folders[0].path());
    let mut sender = Sender::new(&cluster);
    let config = config(&cluster);
    let mut nodes: Vec<_> = folders.iter().map(|folder| Some(Process::start(folder.path(), &config))).collect();
    let kills = std::env::var("SEKISHO_KAFKA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    for kill in 0..kills {
        sender.scan(&format!("50.128.{}.7", kill % 250), 60);
        let which = (kill % 2) as usize;
        // Both live while the other one is killed in the middle of its work.
        nodes[which] = None;
        nodes[which] = Some(Process::start(folders[which].path(), &config));
    }
    let kafka = cluster.open("looks");
    until_true("all records judged", || is_judged(&kafka, &sender.sent));
    until_true("the last block", || {
        blocked(nodes[0].as_ref().unwrap()).contains(&format!("50.128.{}.7/32", (kills - 1) % 250))
    });
    let audit = || {
        let done = Command::new(PROGRAM)
            .args(["audit", "-o", "json", "--config"])
            .arg(folders[0].path().join("sekisho.yaml"))
            .output();
        let done = done.unwrap();
        assert!(
            done.status.success(),
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        serde_json::from_slice::<serde_json::Value>(&done.stdout).unwrap()
    };
    assert_eq!(audit()["holds"], true, "while they run");
    for node in nodes.into_iter().flatten() {
        assert!(node.finish().success());
    }
    let audited = audit();
    assert!(
        audited["holds"] == true && audited["inputs"].as_array().unwrap().len() == PARTITIONS as usize,
        "{audited}"
    );
    assert_eq!(audited["outputs"][0]["same"].as_u64(), Some(values(&kafka, "sekisho.alerts", 0).len() as u64));
    let blocks = check(&cluster, &sender.sent);
    let targets: BTreeSet<_> = blocks.iter().filter_map(|block| block["target"].as_str()).collect();
    assert_eq!(targets.len() as u64, kills.min(250), "every client once: {targets:?}");
    for folder in &folders {
        let verified = sekisho::index::verify(&folder.path().join("data/index"), || true).unwrap();
        assert!(verified.faults.is_empty(), "{:?}", verified.faults);
        assert_eq!(verified.documents, sender.count, "each replica holds every record once");
    }
}

#[test]
fn a_process_that_stood_still_writes_nothing_of_before() {
    let mut pair = Pair::new(1);
    let zombie = pair.start(0);
    pair.sender.scan("50.129.1.7", 60);
    until_true("a first block", || blocked(&zombie).contains("50.129.1.7/32"));
    let other = pair.start(1);
    for round in 2..4 {
        pair.sender.scan(&format!("50.129.{round}.7"), 60);
        // In the middle of whatever it does; longer than its group waits for it.
        signal(&zombie, "STOP");
        until_true("its work is the other's", || pair.is_judged());
        until_true("the block", || blocked(&other).contains(&format!("50.129.{round}.7/32")));
        pair.sender.scan(&format!("50.130.{round}.7"), 60);
        signal(&zombie, "CONT");
        until_true("all judged", || pair.is_judged());
        until_true("the zombie's view", || blocked(&zombie).contains(&format!("50.130.{round}.7/32")));
    }
    assert!(zombie.finish().success() && other.finish().success());
    let blocks = check(&pair.cluster, &pair.sender.sent);
    assert_eq!(blocks.len(), 5, "every client once");
}

#[test]
fn a_broker_that_is_killed_is_waited_for() {
    let mut pair = Pair::new(1);
    let nodes = [pair.start(0), pair.start(1)];
    for round in 1..4 {
        pair.sender.scan(&format!("50.131.{round}.7"), 60);
        pair.cluster.order("kill", &["1"]);
        pair.cluster.order("restart", &["1"]);
        until_true("all judged", || pair.is_judged());
    }
    until_true("the last block", || nodes.iter().all(|node| blocked(node).contains("50.131.3.7/32")));
    assert!(nodes.into_iter().all(|node| node.finish().success()));
    assert_eq!(check(&pair.cluster, &pair.sender.sent).len(), 3, "every client once");
}

#[test]
fn one_partition_gives_the_alerts_that_the_embedded_journal_gives() {
    let (cluster, folders) = (Cluster::start(1, PORTS), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    create_topics_with(&cluster, folders[0].path(), 1);
    let nodes = [
        Process::start(folders[0].path(), &config(&cluster)),
        Process::start(folders[1].path(), "http: { listen: 127.0.0.1:0 }\ntime: { idle: 3s }\n"),
    ];
    // The same lines in the same order: both judge by what the lines say.
    let time = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let mut lines = String::new();
    for number in 0..400 {
        let client = ["50.134.1.7", "50.134.2.7", "50.134.3.7"][number % 3];
        let target = ["/old/{}.php", "/?id={}%27%20UNION%20SELECT%201--", "/page/{}"][number % 3];
        let (target, status) = (target.replace("{}", &number.to_string()), [404, 200, 200][number % 3]);
        lines += &format!("{client} - - [{time}] \"GET {target} HTTP/1.1\" {status} 9 \"-\" \"Mozilla/5.0\"\n");
    }
    for node in &nodes {
        assert_eq!(node.post("nginx", "", lines.as_bytes()).status, 200);
    }
    until_true("all judged", || nodes.iter().all(|node| node.judged("nginx") == 400));
    until_true("blocks", || nodes.iter().all(|node| blocked(node).len() == 2));
    until_true("the same alerts", || alert_ids(&nodes[0]) == alert_ids(&nodes[1]));
    assert!(alert_ids(&nodes[0]).len() >= 2);
    assert_eq!(blocked(&nodes[0]), blocked(&nodes[1]));
    assert!(nodes.into_iter().all(|node| node.finish().success()));
}

#[test]
fn topics_that_fit_a_pattern_are_read_also_those_that_appear_later() {
    let mut pair = Pair::new(1);
    let node = pair.start(0);
    pair.sender.scan("50.133.1.7", 60);
    until_true("a block", || blocked(&node).contains("50.133.1.7/32"));
    let partitions = PARTITIONS.to_string();
    pair.cluster.order("topics", &["--create", "--topic", "nginx-web.2", "--partitions", &partitions]);
    pair.sender.topic = "nginx-web.2";
    pair.sender.scan("50.133.2.7", 60);
    until_true("a block of the other topic", || blocked(&node).contains("50.133.2.7/32"));
    until_true("its lines", || node.get("/api/v1/search?query=client.ip:50.133.2.7&limit=1")["total"] == 60);
    let found = node.get("/api/v1/search?query=client.ip:50.133.2.7&limit=1");
    assert_eq!(found["hits"][0]["sekisho"]["pipeline"], "nginx");
    assert_eq!(found["hits"][0]["sekisho"]["position"]["topic"], "nginx-web.2");
    assert!(node.metric("sekisho_records_total", "nginx") == 120);
    assert!(node.finish().success());
}

/// The README's consumer, as it is written there.
fn example() -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, behind) = readme.split_once("```python\n").unwrap();
    behind.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_consumer_of_the_readme_keeps_a_deny_list() {
    let mut pair = Pair::new(1);
    let script = pair.folders[1].path().join("deny.py");
    std::fs::write(&script, example()).unwrap();
    let libraries = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python");
    let mut consumer = Command::new("python3")
        .arg(&script)
        .arg(&pair.cluster.bootstrap)
        .env("PYTHONPATH", libraries)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(consumer.stdout.take().unwrap());
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        std::io::BufRead::lines(out).map_while(Result::ok).for_each(|line| drop(said.send(line)));
    });
    let mut denies = |wanted: &[&str]| {
        until_true("the list", || {
            assert!(
                consumer.try_wait().unwrap().is_none(),
                "is kafka-python in target/python? tests/run puts it there"
            );
            let list = heard.try_iter().last();
            list.is_some_and(|list| {
                let list: BTreeMap<String, String> = serde_json::from_str(&list).unwrap();
                list.keys().map(String::as_str).collect::<Vec<_>>() == wanted
            })
        });
    };
    let node = pair.start(0);
    pair.sender.scan("50.132.1.7", 60);
    denies(&["50.132.1.7/32"]);
    pair.sender.scan("50.132.2.7", 60);
    denies(&["50.132.1.7/32", "50.132.2.7/32"]);
    assert_eq!(node.ask("DELETE", "/api/v1/blocks/50.132.1.7", "", b"").status, 200);
    denies(&["50.132.2.7/32"]);
    assert!(node.finish().success());
    consumer.kill().unwrap();
    consumer.wait().unwrap();
}
