//! Whole nodes on real brokers: records by a plain producer, outcomes for a plain consumer, and processes that are killed.
#![expect(clippy::disallowed_methods, reason = "a test starts programs and waits for them")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod kafka;
mod node;
#[path = "kafka/nodes.rs"]
mod nodes;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use kafka::Cluster;
use node::{Process, until_true};
use nodes::*;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sekisho::event::SIGNALS;
use sekisho::journal::Journal;

const PORTS: u16 = 24_000;
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
    pair.cluster.order("topics", &["--delete", "--topic", "suricata"]);
    let node = pair.start(0);
    pair.sender.scan("50.133.1.7", 60);
    until_true("a block", || blocked(&node).contains("50.133.1.7/32"));
    // Neither that nor other names that a pipeline goes by are missed.
    assert!(!node.said().contains("error"), "{}", node.said());
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

/// Memory that a process has now, in bytes.
fn memory(node: &Process) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// How long all brokers are away, and what may come of it in memory: two batches of a source and the client's own queues.
const AWAY: Duration = Duration::from_secs(120);
const MORE_MEMORY_MAX: u64 = 96 << 20;

#[test]
fn brokers_that_are_away_for_two_minutes_are_waited_for_in_little_memory() {
    let (cluster, folder) = (Cluster::start(1, PORTS), tempfile::tempdir().unwrap());
    create_topics(&cluster, folder.path());
    let log = folder.path().join("access.log");
    let mut file = std::fs::File::create(&log).unwrap();
    let config = format!("{}collect:\n  - {{ file: {}, pipeline: nginx }}\n", config(&cluster), log.display());
    let node = Process::start(folder.path(), &config);
    let mut count = 0u64;
    let mut write = |lines: u64| {
        let time = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        let line = |number: u64| {
            format!(
                "50.151.{}.7 - - [{time}] \"GET /page/{number} HTTP/1.1\" 200 9 \"-\" \"Mozilla/5.0\"\n",
                number % 200
            )
        };
        let text: String = (count..count + lines).map(line).collect();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        count += lines;
        count
    };
    let before = write(20_000);
    until_true("all judged", || node.judged("nginx") == before);
    let had = memory(&node);
    cluster.order("kill", &["1"]);
    let (begun, mut most) = (std::time::Instant::now(), 0);
    while begun.elapsed() < AWAY {
        write(2_000);
        most = most.max(memory(&node));
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(most < had + MORE_MEMORY_MAX, "{had} bytes before, {most} while they were away");
    assert!(node.said().matches("Kafka: ").count() <= 2 + AWAY.as_secs() as usize / 60 * 2, "{}", node.said());
    let refused = node.post("nginx", "", b"a line that nobody can take now\n");
    assert_eq!(refused.status, 503, "{}", refused.text);
    let all = write(1_000);
    cluster.order("restart", &["1"]);
    until_true("all judged", || node.judged("nginx") >= all);
    until_true("all found", || node.indexed() >= all);
    println!("{had} bytes before, {most} while the brokers were away, {} lines", all - before);
    let kafka = cluster.open("looks");
    let partitions = kafka.partitions("nginx").unwrap();
    let there: usize = partitions.iter().map(|(input, _)| values(&kafka, "nginx", input.partition).len()).sum();
    assert_eq!(there as u64, all, "each once");
    assert!(node.finish().success());
}

#[test]
fn an_index_of_a_topic_that_was_made_anew_is_not_read_on() {
    let (cluster, folder) = (Cluster::start(1, PORTS), tempfile::tempdir().unwrap());
    create_topics_with(&cluster, folder.path(), PARTITIONS);
    let (mut sender, config) = (Sender::new(&cluster), config(&cluster));
    sender.scan("50.152.1.7", 60);
    let node = Process::start(folder.path(), &config);
    until_true("all found", || node.indexed() == 60);
    assert!(node.finish().success());
    cluster.order("topics", &["--delete", "--topic", "nginx"]);
    let partitions = PARTITIONS.to_string();
    until_true("the topic again", || {
        cluster.try_order("topics", &["--create", "--topic", "nginx", "--partitions", &partitions]).is_ok()
    });
    sender = Sender::new(&cluster);
    sender.scan("50.152.2.7", 600);
    // Only the index: its place is its own, and no group remembers it.
    let index = || {
        let mut command = node::command(folder.path(), &config);
        command.args(["--roles", "index,api"]);
        command
    };
    let (code, said) = node::refused(index());
    assert!(code == Some(3) && said.contains("nginx was deleted and made anew"), "{code:?} {said}");
    std::fs::rename(folder.path().join("data/index"), folder.path().join("old")).unwrap();
    let node = Process::run(index());
    until_true("the new one's", || node.get("/api/v1/search?query=client.ip:50.152.2.7&limit=1")["total"] == 600);
    assert!(node.finish().success());
}

#[test]
fn a_record_that_ends_the_process_is_a_dead_letter_after_three_ends() {
    let mut pair = Pair::new(1);
    let line = |path: &str| {
        let time = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000");
        format!("50.153.1.7 - - [{time}] \"GET {path} HTTP/1.1\" 200 9 \"-\" \"Mozilla/5.0\"")
    };
    pair.sender.scan("50.153.2.7", 60);
    // One that is longer than any line may be is cut and judged; one ends whoever examines it.
    pair.sender.send(input("nginx", 1), line(&format!("/{}", "long".repeat(200_000))));
    pair.sender.send(input("nginx", 1), line("/fatal"));
    pair.sender.send(input("nginx", 1), line("/after"));
    pair.sender.flush();
    let fatal = || {
        let mut command = node::command(pair.folders[0].path(), &config(&pair.cluster));
        command.args(["--roles", "ingest,decide,api"]).env("SEKISHO_CRASH_ON", "/fatal");
        command
    };
    let (node, ended) = node::until_it_lives(fatal, |_| pair.is_judged());
    assert_eq!(ended, 3);
    until_true("the block", || blocked(&node).contains("50.153.2.7/32"));
    assert!(node.finish().success());
    check(&pair.cluster, &pair.sender.sent);
    let letters: Vec<_> = values(&pair.kafka, "sekisho.dead-letters", 0).into_iter().map(String::from_utf8).collect();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter: serde_json::Value = serde_json::from_str(letters[0].as_ref().unwrap()).unwrap();
    assert_eq!((&letter["topic"], &letter["partition"], &letter["offset"]), (&"nginx".into(), &1.into(), &16.into()));
    assert!(letter["reason"].as_str().unwrap().contains("three times"), "{letter}");
}

/// Topics as somebody has made them who did not read what they must be; nobody made the other ones.
const WRONG: [(&str, u32, &[&str]); 7] = [
    ("sekisho.signals", 3, &["retention.ms=3600000"]),
    ("sekisho.blocks", 1, &["cleanup.policy=delete"]),
    ("sekisho.alerts", 1, &["cleanup.policy=compact"]),
    ("sekisho.dead-letters", 1, &["retention.ms=3600000"]),
    ("sekisho.state", 1, &["max.message.bytes=1048588"]),
    ("sekisho.marks", 1, &["cleanup.policy=compact", "unclean.leader.election.enable=true"]),
    ("nginx", 2, &["message.timestamp.after.max.ms=86400000", "max.message.bytes=100000", "retention.ms=3600000"]),
];
/// What is to be said of them.
const SAID: [(&str, &str); 9] = [
    ("sekisho.signals", "it has 3 partitions and must have 1"),
    ("sekisho.blocks", "cleanup.policy is `delete`"),
    ("sekisho.alerts", "cleanup.policy is `compact`"),
    ("sekisho.dead-letters", "records are kept for 1 h, 720 h are needed"),
    ("sekisho.state", "max.message.bytes is 1048588"),
    ("sekisho.marks", "a broker that lacks records may become the leader"),
    ("nginx", "records that claim to be of far ahead are taken"),
    ("nginx", "max.message.bytes is 100000"),
    ("sekisho.catalogs", "it is not there"),
];

#[test]
fn what_is_wrong_with_topics_is_said_and_the_advice_mends_it() {
    let (cluster, folder) = (Cluster::start(1, PORTS), tempfile::tempdir().unwrap());
    for (topic, partitions, settings) in WRONG {
        let partitions = partitions.to_string();
        let mut arguments = vec!["--create", "--topic", topic, "--partitions", &partitions];
        settings.iter().for_each(|setting| arguments.extend(["--config", setting]));
        cluster.order("topics", &arguments);
    }
    let found = |command: &[&str]| {
        let (status, said) = topics(folder.path(), &config(&cluster), command);
        let found: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
        (status, found)
    };
    let (status, before) = found(&["check", "-o", "json"]);
    assert_eq!(status, Some(1));
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let before = before.as_array().unwrap();
    for (topic, what) in SAID {
        let is_it = |finding: &&serde_json::Value| finding["topic"] == topic && text(finding, "what").starts_with(what);
        assert_eq!(before.iter().filter(is_it).count(), 1, "{topic}: {what} in {before:#?}");
    }
    // Just what each advice says.
    for finding in before {
        let advice = text(finding, "advice");
        if let Some(arguments) = advice.strip_prefix("kafka-configs.sh ") {
            cluster.order("configs", &arguments.split(' ').collect::<Vec<_>>());
        } else if advice.starts_with("delete it") {
            cluster.order("topics", &["--delete", "--topic", &text(finding, "topic")]);
        } else {
            assert!(advice.starts_with("`sekisho topics create` makes "), "{advice}");
        }
    }
    until_true("the topics that are missing are made", || found(&["create", "-o", "json"]).0 == Some(0));
    assert_eq!(found(&["check", "-o", "json"]), (Some(0), serde_json::json!([])), "nothing is left to say");
}

/// Keys and values of `sekisho.blocks`, as whoever reads committed records meets them; a tombstone has no value.
fn block_records(cluster: &Cluster) -> Vec<(String, Option<serde_json::Value>)> {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &cluster.bootstrap).set("group.id", "looks").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("isolation.level", "read_committed").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("sekisho.blocks", 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    loop {
        match consumer.poll(Duration::from_secs(10)).expect("an answer") {
            Ok(message) => {
                let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                found.push((key, message.payload().map(|value| serde_json::from_slice(value).unwrap())));
            }
            Err(KafkaError::PartitionEOF(_)) => return found,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_block_that_ends_leaves_a_lift_and_a_tombstone() {
    let mut pair = Pair::new(1);
    let node = pair.start(0);
    // Its clock is the journal's, which goes on with what comes.
    pair.sender.scan("50.135.1.7", 60);
    until_true("a block of a rule", || blocked(&node).contains("50.135.1.7/32"));
    let order = br#"{"target":"50.135.2.2","ttl":"3s","reason":"a moment"}"#;
    let ordered = node.ask("POST", "/api/v1/blocks", "Content-Type: application/json\r\n", order);
    assert!(ordered.status == 200 || ordered.status == 201, "{} {}", ordered.status, ordered.text);
    until_true("its end", || block_records(&pair.cluster).iter().any(|(_, value)| value.is_none()));
    let records = block_records(&pair.cluster);
    let of_it: Vec<_> = records.iter().filter(|(key, _)| key == "50.135.2.2/32").map(|(_, value)| value).collect();
    let [Some(block), Some(lift), None] = of_it[..] else { panic!("{records:#?}") };
    assert_eq!(
        (&block["action"], &lift["action"], &lift["cause"]),
        (&"block".into(), &"lift".into(), &"expired".into())
    );
    assert_eq!(lift["block"], block["id"]);
    assert_eq!(records.len(), 4, "the other one goes on: {records:#?}");
    assert!(node.finish().success());
}

/// A transaction is over by then for its coordinator, and what it wrote is given up.
const OUTLIVED: Duration = Duration::from_secs(14);

#[test]
fn a_transaction_that_outlives_its_timeout_is_begun_again() {
    let mut pair = Pair::new(3);
    // Packs need a broker that is away, whatever else goes on without it.
    let signals = |arguments: &[&str]| pair.cluster.try_order("topics", &[arguments, &["--topic", SIGNALS]].concat());
    signals(&["--delete"]).unwrap();
    let made = ["--create", "--replica-assignment", "1:3", "--config", "min.insync.replicas=2"];
    until_true("packs need a certain broker", || signals(&made).is_ok());
    let mut node = pair.start(0);
    pair.sender.scan("50.136.1.7", 60);
    until_true("a block", || blocked(&node).contains("50.136.1.7/32"));
    let ongoing = || pair.cluster.order("transactions", &["list"]).contains("Ongoing");
    for (round, stand_still) in [(2, false), (3, true)] {
        pair.cluster.order("kill", &["3"]);
        pair.sender.scan(&format!("50.136.{round}.7"), 60);
        until_true("a transaction is open", ongoing);
        if stand_still {
            // By the time it can send, its transaction is over.
            signal(&node, "STOP");
            pair.cluster.order("restart", &["3"]);
            until_true("nobody waits for it any more", || !ongoing());
            signal(&node, "CONT");
        } else {
            std::thread::sleep(OUTLIVED);
            assert!(node.is_running());
            pair.cluster.order("restart", &["3"]);
        }
        until_true("all judged", || pair.is_judged());
        until_true("the block", || blocked(&node).contains(&format!("50.136.{round}.7/32")));
        assert!(node.is_running(), "the same process: {}", node.said());
    }
    assert!(node.finish().success());
    assert_eq!(check(&pair.cluster, &pair.sender.sent).len(), 3, "every client once");
}
