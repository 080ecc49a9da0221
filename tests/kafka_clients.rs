//! Whatever brokers ask of us and whatever producers send: TLS, users, rights, compression, envelopes; and what is said of
//! what is wrong.
#![expect(clippy::disallowed_methods, reason = "a test starts programs and waits for them")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod kafka;
mod node;
#[path = "kafka/nodes.rs"]
mod nodes;

use std::collections::BTreeSet;
use std::time::Duration;

use kafka::Cluster;
use node::{Process, command, until_true};
use nodes::{PARTITIONS, Sender, blocked, config_with, create_topics, input, topics, values};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const PORTS: u16 = 25_000;

/// A token as a broker takes it that checks no signature.
fn token(user: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    let part = |text: String| base64(text.as_bytes());
    let claims = format!(r#"{{"sub":"{user}","iat":{now},"exp":{}}}"#, now + 3_600);
    format!("{}.{}.", part(r#"{"alg":"none"}"#.to_owned()), part(claims))
}

/// RFC 4648 §5, without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |group: &[u8]| {
        let bits = group.iter().enumerate().fold(0u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        let letter = |at: usize| char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]);
        (0..=group.len()).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

fn user(cluster: &Cluster, mechanism: &str, password: &str) -> String {
    let ca = cluster.tls("ca.crt");
    format!(", tls: {{ ca: {ca} }}, sasl: {{ mechanism: {mechanism}, username: app, password: {password} }}")
}

#[test]
fn every_way_of_coming_in_works_and_each_refusal_says_why() {
    let (cluster, folder) = (Cluster::start_secure(PORTS), tempfile::tempdir().unwrap());
    let (ca, token_file) = (cluster.tls("ca.crt"), folder.path().join("token"));
    std::fs::write(&token_file, token("app")).unwrap();
    let scram = config_with(&cluster.bootstrap, &user(&cluster, "SCRAM-SHA-512", "app-pw"));
    let (status, said) = topics(folder.path(), &scram, &["create", "--partitions", "4"]);
    assert!(status == Some(0) && said.contains("sekisho.blocks: created"), "{said}");
    let bearer =
        format!(", tls: {{ ca: {ca} }}, sasl: {{ mechanism: OAUTHBEARER, token_file: {} }}", token_file.display());
    let (certificate, key) = (cluster.tls("client.crt"), cluster.tls("client.key"));
    let ways = [
        config_with(&cluster.bootstrap, &user(&cluster, "PLAIN", "app-pw")),
        config_with(&cluster.bootstrap, &user(&cluster, "SCRAM-SHA-256", "app-pw")),
        config_with(&cluster.bootstrap, &bearer),
        config_with(&cluster.mtls, &format!(", tls: {{ ca: {ca}, certificate: {certificate}, key: {key} }}")),
    ];
    for way in ways {
        let (status, said) = topics(folder.path(), &way, &["check"]);
        assert!(status == Some(0) && said.contains("every topic is as it must be"), "{way}: {said}");
    }
    let other_ca = format!(", tls: {{ ca: {certificate} }}, sasl: {{ username: app, password: app-pw }}");
    let refusals = [
        (user(&cluster, "SCRAM-SHA-512", "wrong"), "user, password or mechanism is wrong: see `sasl`"),
        (user(&cluster, "PLAIN", "wrong"), "user, password or mechanism is wrong: see `sasl`"),
        (other_ca, "see `tls.ca`"),
        (String::new(), "is it a TLS port, which needs `tls: {}`"),
    ];
    for (more, expected) in refusals {
        let (status, said) = topics(folder.path(), &config_with(&cluster.bootstrap, &more), &["check"]);
        assert!(status == Some(3) && said.contains(expected), "{more}: {status:?} {said}");
        assert_eq!(said.matches("Kafka: ").count(), 1, "one message: {said}");
    }
    // No certificate where one is asked for.
    let (status, said) =
        topics(folder.path(), &config_with(&cluster.mtls, &format!(", tls: {{ ca: {ca} }}")), &["check"]);
    assert!(status == Some(3) && said.contains("`tls.certificate`"), "{status:?} {said}");
    // A node with a wrong password serves, waits and says why; the whole way with a right one.
    let wrong = config_with(&cluster.bootstrap, &user(&cluster, "SCRAM-SHA-512", "wrong"));
    let node = Process::start(folder.path(), &wrong);
    until_true("the reason", || node.said().contains("see `sasl`"));
    until_true("not ready", || {
        let ready = node.ask("GET", "/readyz?verbose", "", b"");
        ready.status == 503 && ready.text.contains("see `sasl`")
    });
    drop(node);
    let node = Process::start(folder.path(), &scram);
    let mut sender = Sender::new(&cluster);
    sender.scan("50.140.1.7", 60);
    until_true("a block", || blocked(&node).contains("50.140.1.7/32"));
    assert_eq!(node.ask("GET", "/readyz", "", b"").status, 200);
    assert!(node.finish().success());
}

/// The rights that the README lists, for the user of the tests.
fn grant(cluster: &Cluster) {
    let rights: [&[&str]; 4] = [
        &["--operation", "Read", "--operation", "Describe", "--topic", "nginx"],
        &[
            "--operation",
            "Read",
            "--operation",
            "Write",
            "--operation",
            "Describe",
            "--topic",
            "sekisho.",
            "--resource-pattern-type",
            "prefixed",
        ],
        &["--operation", "Read", "--group", "sekisho-", "--resource-pattern-type", "prefixed"],
        &[
            "--operation",
            "Write",
            "--operation",
            "Describe",
            "--transactional-id",
            "sekisho-",
            "--resource-pattern-type",
            "prefixed",
        ],
    ];
    for right in rights {
        let mut arguments = vec!["--add", "--allow-principal", "User:app"];
        arguments.extend(right);
        cluster.order("acls", &arguments);
    }
}

#[test]
fn a_right_that_is_missing_is_told_and_nothing_is_lost_until_it_is_given() {
    let (cluster, folder) = (Cluster::start_secure(PORTS), tempfile::tempdir().unwrap());
    let config = config_with(&cluster.bootstrap, &user(&cluster, "SCRAM-SHA-512", "app-pw"));
    let (status, said) = topics(folder.path(), &config, &["create", "--partitions", "4"]);
    assert_eq!(status, Some(0), "{said}");
    grant(&cluster);
    let denied = ["--deny-principal", "User:app", "--operation", "Write", "--topic", "sekisho.alerts"];
    cluster.order("acls", &[&["--add"], &denied[..]].concat());
    let node = Process::start(folder.path(), &config);
    let mut sender = Sender::new(&cluster);
    sender.scan("50.141.1.7", 60);
    until_true("the reason", || {
        node.said().contains("sekisho.alerts/0") && node.said().contains("the README lists the rights")
    });
    let kafka = cluster.open("looks");
    assert_eq!(values(&kafka, "sekisho.blocks", 0).len(), 0, "an alert and its block go together");
    cluster.order("acls", &[&["--remove", "--force"], &denied[..]].concat());
    until_true("a block", || blocked(&node).contains("50.141.1.7/32"));
    let blocks: Vec<_> = values(&kafka, "sekisho.blocks", 0).into_iter().map(String::from_utf8).collect();
    assert_eq!(blocks.len(), 1, "{blocks:?}");
    let alerts = values(&kafka, "sekisho.alerts", 0);
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len(), "each once");
    assert!(alerts.len() >= 2);
    assert!(node.finish().success());
}

fn producer(cluster: &Cluster, compression: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.bootstrap).set("compression.type", compression).set("linger.ms", "50");
    config.create().unwrap()
}

fn send(producer: &BaseProducer, topic: &str, values: &[String]) {
    for (partition, value) in (0..PARTITIONS as i32).cycle().zip(values) {
        producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload(value)).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn access(client: &str, number: usize) -> String {
    let time = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000");
    format!("{client} - - [{time}] \"GET /page/{number} HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0\"")
}

#[test]
fn records_are_taken_as_producers_make_them() {
    let (cluster, folder) = (Cluster::start(1, PORTS), tempfile::tempdir().unwrap());
    create_topics(&cluster, folder.path());
    let node = Process::start(folder.path(), &config_with(&cluster.bootstrap, ""));
    let found = |client: &str| node.get(&format!("/api/v1/search?query=client.ip:{client}&limit=1"))["total"].clone();
    for (at, compression) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let client = format!("50.142.{at}.7");
        let lines: Vec<String> = (0..40).map(|number| access(&client, number)).collect();
        send(&producer(&cluster, compression), "nginx", &lines);
        until_true(compression, || found(&client) == 40);
    }
    let json = |text: &str| serde_json::to_string(text).unwrap();
    type Wrap<'a> = (&'a str, &'a dyn Fn(&str) -> String);
    let wraps: [Wrap<'_>; 7] = [
        ("filebeat", &|line| {
            format!(
                r#"{{"@timestamp":"2026-11-30T09:00:00.000Z","@metadata":{{"beat":"filebeat","type":"_doc","version":"8.15.0"}},"log":{{"offset":7,"file":{{"path":"/var/log/nginx/access.log"}}}},"message":{},"input":{{"type":"filestream"}},"host":{{"name":"web1"}},"ecs":{{"version":"8.0.0"}}}}"#,
                json(line)
            )
        }),
        ("fluent-bit", &|line| format!(r#"{{"@timestamp":1796029200.123456,"log":{}}}"#, json(line))),
        ("vector", &|line| {
            format!(
                r#"{{"file":"/var/log/nginx/access.log","host":"web2","message":{},"source_type":"file","timestamp":"2026-11-30T09:00:00.123456789Z"}}"#,
                json(line)
            )
        }),
        ("rsyslog", &|line| format!("{line}\n")),
        ("rsyslog-json", &|line| {
            format!("{{\"timestamp\":\"2026-11-30T09:00:00+00:00\",\"host\":\"web3\",\"message\":{}}}\n", json(line))
        }),
        ("logstash", &|line| {
            format!(
                r#"{{"@timestamp":"2026-11-30T09:00:00.000Z","@version":"1","host":{{"name":"web4"}},"event":{{"original":{0}}},"message":{0}}}"#,
                json(line)
            )
        }),
        ("many", &|line| [line; 5].join("\n")),
    ];
    for (at, (name, wrap)) in wraps.into_iter().enumerate() {
        let client = format!("50.143.{at}.7");
        let lines: Vec<String> = (0..20).map(|number| wrap(&access(&client, number))).collect();
        send(&producer(&cluster, "lz4"), "nginx", &lines);
        let expected = if name == "many" { 100 } else { 20 };
        until_true(name, || found(&client) == expected);
    }
    let hit = node.get("/api/v1/search?query=client.ip:50.143.0.7&limit=1")["hits"][0].clone();
    assert_eq!(
        (&hit["url"]["original"], &hit["http"]["response"]["status_code"]),
        (&"/page/19".into(), &200.into()),
        "{hit}"
    );
    // Many events in one record, as NDJSON and as objects behind each other.
    let alert = |client: &str, number: usize| {
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6f+0000");
        format!(
            r#"{{"timestamp":"{time}","flow_id":{number},"event_type":"alert","src_ip":"{client}","src_port":4000,"dest_ip":"192.0.2.1","dest_port":80,"proto":"TCP","alert":{{"action":"allowed","gid":1,"signature_id":2000001,"rev":1,"signature":"ET TEST","category":"Misc","severity":3}}}}"#
        )
    };
    for (client, between) in [("50.144.1.7", "\n"), ("50.144.2.7", "")] {
        let many: Vec<String> = (0..30).map(|number| alert(client, number)).collect();
        send(&producer(&cluster, "zstd"), "suricata", &[many.join(between)]);
        until_true("each of them", || {
            node.get(&format!("/api/v1/search?query=source.ip:{client}&limit=1"))["total"] == 30
        });
    }
    assert!(node.finish().success());
    let kafka = cluster.open("looks");
    assert_eq!(values(&kafka, "sekisho.dead-letters", 0).len(), 0, "nothing of it is poison");
    assert!(values(&kafka, "suricata", 0).len() == 2 && input("suricata", 0).partition == 0);
}

#[test]
fn what_a_program_lacks_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let with = |more: &str| node::refused(command(folder.path(), &config_with("127.0.0.1:9", more)));
    let (status, said) = with(", sasl: { mechanism: GSSAPI }");
    assert!(status == Some(1) && said.contains("GSSAPI"), "{status:?} {said}");
    let (status, said) = with(", properties: { sasl.mechanism: GSSAPI }");
    assert!(status == Some(3) && said.contains("no SASL mechanism `GSSAPI`; it has"), "{status:?} {said}");
    let (status, said) = with(", properties: { compression.type: brotli }");
    assert!(status == Some(3) && said.contains("brotli"), "{status:?} {said}");
    let (status, said) = with(", properties: { auto.offset.reset: latest }");
    assert!(status == Some(1) && said.contains("`start` says where a first start begins"), "{status:?} {said}");
}
