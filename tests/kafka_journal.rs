//! The journal on real brokers: what is committed is there once, what is not is not there, whoever wrote it.
#![expect(clippy::disallowed_methods, reason = "a test starts brokers and waits for them")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod kafka;

use std::time::{Duration, Instant};

use kafka::{Cluster, now};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use sekisho::event::{HOUR, Input, MINUTE};
use sekisho::journal::kafka::topics::{Made, Topics, needed};
use sekisho::journal::kafka::{Kafka, KafkaStage};
use sekisho::journal::{Commit, Fetched, Journal, JournalError, Mark, NewRecord, Records, Stage, Subscription};

const PORTS: u16 = 23_000;

/// Nothing here takes so long unless it hangs; a test that is to fail waits less.
fn hang() -> Duration {
    let seconds = std::env::var("SEKISHO_TEST_HANG").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

fn input(topic: &str, partition: u32) -> Input {
    Input { topic: topic.to_owned(), partition }
}

fn records(values: &[&str]) -> Records {
    let mut records = Records::default();
    for value in values {
        records.push(NewRecord { key: None, value: value.as_bytes(), spoofable: value.starts_with("udp") });
    }
    records
}

fn append(kafka: &Kafka, input: &Input, values: &[&str]) {
    kafka.append(Commit { appends: vec![(input.clone(), records(values))], ..Commit::default() }).unwrap();
}

/// All values of a partition that are committed.
fn values(kafka: &Kafka, input: &Input) -> Vec<String> {
    let (mut next, mut found) = (0, Vec::new());
    loop {
        let blocks = kafka.read(input, next, 1 << 20).unwrap();
        for block in &blocks {
            assert_eq!(block.offsets().start, next, "what is read tiles, with the markers of transactions");
            next = block.offsets().end;
        }
        if blocks.is_empty() {
            return found;
        }
        found.extend(texts(&blocks));
    }
}

/// What is committed comes to be seen shortly after: the brokers write the marker behind their answer.
fn holds(kafka: &Kafka, input: &Input, expected: &[&str]) {
    let deadline = Instant::now() + hang();
    while values(kafka, input) != expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(values(kafka, input), expected);
}

fn texts(blocks: &[Fetched]) -> Vec<String> {
    let records = blocks.iter().flat_map(Fetched::iter);
    records.map(|record| String::from_utf8(record.value.to_vec()).unwrap()).collect()
}

/// Polls until so many records came.
fn poll(stage: &mut KafkaStage, count: usize) -> Vec<Fetched> {
    let (mut blocks, deadline) = (Vec::new(), Instant::now() + hang());
    while blocks.iter().flat_map(Fetched::iter).count() < count {
        assert!(Instant::now() < deadline, "{count} records did not come");
        blocks.extend(stage.poll(1 << 20, Duration::from_millis(100)).unwrap());
    }
    blocks
}

fn stage(kafka: &Kafka) -> KafkaStage {
    kafka.stage("ingest", Subscription::topics(["nginx"])).unwrap()
}

/// What a stage commits after these blocks: an output, the positions, and a note for each.
fn commit_of(blocks: &[Fetched], output: &str) -> Commit {
    let positions: Vec<_> = blocks.iter().map(|block| (block.input.clone(), block.offsets().end)).collect();
    let notes = positions.iter().map(|(input, next)| (input.clone(), format!("at {next}").into_bytes())).collect();
    Commit { appends: vec![(input("sekisho.signals", 0), records(&[output]))], positions, notes, ..Commit::default() }
}

#[test]
fn topics_are_made_as_they_are_checked() {
    let cluster = Cluster::start(1, PORTS);
    let topics = Topics::new(&cluster.settings("topics")).unwrap();
    let others = ["nginx-*".to_owned()];
    let wanted = needed([("nginx", &others[..])], 3);
    let missing = topics.check(&wanted).unwrap();
    assert_eq!(missing.len(), wanted.len());
    assert!(missing.iter().all(|finding| finding.fault == finding.topic.starts_with("sekisho.")), "{missing:?}");
    // One that serves as well is enough, and is checked in its place.
    cluster.order("topics", &["--create", "--topic", "nginx-web", "--config", "max.message.bytes=100000"]);
    let made = topics.create(&wanted).unwrap();
    assert!(made.contains(&("nginx-web".to_owned(), Made::Existed)) && made.len() == wanted.len(), "{made:?}");
    let found = topics.check(&wanted).unwrap();
    assert!(found.iter().all(|finding| finding.topic == "nginx-web"), "{found:?}");
    assert!(found.iter().any(|finding| finding.fault && finding.what.starts_with("max.message.bytes is 100000")));
    let made = topics.create(&wanted).unwrap();
    assert!(made.len() == wanted.len() && made.iter().all(|(_, made)| *made == Made::Existed), "{made:?}");
}

#[test]
fn what_is_appended_is_read_and_marks_are_everybodys() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 2);
    let (one, other) = (cluster.open("one"), cluster.open("other"));
    let (first, second) = (input("nginx", 0), input("nginx", 1));
    append(&one, &first, &["a", "b"]);
    let mark = |value: Option<&str>| Mark {
        key: "http/key".to_owned(),
        value: value.map(|value| value.as_bytes().to_vec()),
        expires_at: Some(now().plus(MINUTE)),
    };
    let appends = vec![(first.clone(), records(&["c"])), (second.clone(), records(&["udp d"]))];
    let committed = one.append(Commit { appends, marks: vec![mark(Some("x"))], ..Commit::default() }).unwrap();
    // A transaction ends with a marker, which takes an offset.
    assert_eq!(committed.firsts, [3, 0]);
    assert!(committed.appended_at.since(now()).abs() < MINUTE);
    holds(&other, &first, &["a", "b", "c"]);
    holds(&other, &second, &["udp d"]);
    let blocks = other.read(&second, 0, 1).unwrap();
    assert!(blocks[0].iter().next().unwrap().spoofable, "it stays what anybody may have sent");
    let deadline = Instant::now() + hang();
    while other.mark("http/key").is_none() && Instant::now() < deadline {}
    assert_eq!((one.mark("http/key"), other.mark("http/key")), (Some(b"x".to_vec()), Some(b"x".to_vec())));
    other.append(Commit { marks: vec![mark(None)], ..Commit::default() }).unwrap();
    while one.mark("http/key").is_some() && Instant::now() < deadline {}
    assert_eq!((one.mark("http/key"), one.marks("http/").len()), (None, 0));
    holds(&one, &second, &["udp d"]);
    let there = one.partitions("nginx").unwrap();
    assert_eq!(there, [(first.clone(), 0..5), (second, 0..2)]);
    assert!(one.topics().unwrap().contains(&"sekisho.signals".to_owned()));
    let refused = one.append(Commit { appends: vec![(input("none", 0), records(&["x"]))], ..Commit::default() });
    assert!(refused.unwrap_err().to_string().contains("sekisho topics create"));
    append(&other, &first, &["e"]);
    holds(&one, &first, &["a", "b", "c", "e"]);
    assert_eq!(texts(&one.read(&first, 4, 1 << 20).unwrap()), ["e"], "in the middle, at another's record");
}

#[test]
fn outputs_and_positions_are_there_together_or_not_at_all() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 1);
    let kafka = cluster.open("one");
    let (raw, out) = (input("nginx", 0), input("sekisho.signals", 0));
    append(&kafka, &raw, &["1", "2"]);
    let mut first = stage(&kafka);
    let blocks = poll(&mut first, 2);
    assert_eq!((first.moved(), first.owns(&raw), first.position(&raw)), (vec![raw.clone()], true, None));
    first.commit(commit_of(&blocks, "pack 1")).unwrap();
    append(&kafka, &raw, &["3"]);
    assert_eq!(texts(&poll(&mut first, 1)), ["3"]);
    // It ends before it commits what it read.
    drop(first);
    let mut second = stage(&kafka);
    let blocks = poll(&mut second, 1);
    assert_eq!(texts(&blocks), ["3"], "what was not committed comes again");
    assert_eq!((second.position(&raw), second.note(&raw)), (Some(2), Some(b"at 2".to_vec())));
    second.seek(&raw, 0).unwrap();
    let again = poll(&mut second, 3);
    assert_eq!(texts(&again), ["1", "2", "3"]);
    second.commit(commit_of(&again, "pack 2")).unwrap();
    holds(&kafka, &out, &["pack 1", "pack 2"]);
}

#[test]
fn a_stage_that_was_taken_over_writes_nothing_any_more() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 1);
    let (kafka, out) = (cluster.open("one"), input("sekisho.signals", 0));
    append(&kafka, &input("nginx", 0), &["1"]);
    let mut zombie = stage(&kafka);
    let held = poll(&mut zombie, 1);
    // The same process started again while the old one stood still.
    let again = cluster.open("one");
    let mut successor = stage(&again);
    let blocks = poll(&mut successor, 1);
    let refused = zombie.commit(commit_of(&held, "of the dead")).unwrap_err();
    assert!(matches!(refused, JournalError::Fenced { .. } | JournalError::Undone { .. }), "{refused}");
    successor.commit(commit_of(&blocks, "of the living")).unwrap();
    holds(&again, &out, &["of the living"]);
}

#[test]
fn a_coordinator_that_left_the_cluster_is_not_waited_for() {
    let cluster = Cluster::start(3, PORTS);
    cluster.create_topics(&["nginx"], 1);
    let (kafka, raw, out) = (cluster.open("one"), input("nginx", 0), input("sekisho.signals", 0));
    append(&kafka, &raw, &["1"]);
    let mut stage = stage(&kafka);
    let blocks = poll(&mut stage, 1);
    // Its producer knows the group's coordinator from now on.
    stage.commit(commit_of(&blocks, "pack 1")).unwrap();
    append(&kafka, &raw, &["2"]);
    let blocks = poll(&mut stage, 1);
    let coordinator = || {
        let told = cluster.try_order("groups", &["--describe", "--group", "sekisho-ingest", "--state"]).ok()?;
        Some(told.rsplit_once('(')?.1.split_once(')')?.0.to_owned())
    };
    let deadline = Instant::now() + hang();
    let left = coordinator().unwrap();
    cluster.order("kill", &[&left]);
    while coordinator().is_none_or(|now| now == left) {
        assert!(Instant::now() < deadline, "the group has no other coordinator");
    }
    // What is undone is read again and committed, as the node does.
    let mut blocks = Some(blocks);
    while let Some(held) = blocks.take() {
        assert!(Instant::now() < deadline, "nothing is committed");
        match stage.commit(commit_of(&held, "pack 2")) {
            Ok(_) => {}
            Err(error) => {
                assert!(error.is_passing(), "{error}");
                println!("{error}");
                blocks = Some(held);
            }
        }
    }
    holds(&kafka, &out, &["pack 1", "pack 2"]);
}

#[test]
fn partitions_move_to_those_who_are_there() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 2);
    let (one, two) = (cluster.open("one"), cluster.open("two"));
    for partition in 0..2 {
        append(&one, &input("nginx", partition), &["x"]);
    }
    let mut first = stage(&one);
    let blocks = poll(&mut first, 2);
    first.commit(commit_of(&blocks, "both")).unwrap();
    let mut second = stage(&two);
    let deadline = Instant::now() + hang();
    let owned = |stage: &KafkaStage| (0..2).filter(|partition| stage.owns(&input("nginx", *partition))).count();
    while (owned(&first), owned(&second)) != (1, 1) {
        assert!(Instant::now() < deadline, "{} and {}", owned(&first), owned(&second));
        for stage in [&mut first, &mut second] {
            assert_eq!(texts(&stage.poll(1, Duration::from_millis(50)).unwrap()), [""; 0], "nothing comes again");
        }
    }
    let moved = second.moved();
    assert!(moved.len() == 1 && second.note(&moved[0]) == Some(b"at 1".to_vec()), "{moved:?}");
    assert!(first.moved().contains(&moved[0]));
    let stray = Commit { positions: vec![(moved[0].clone(), 1)], ..Commit::default() };
    assert!(matches!(first.commit(stray), Err(JournalError::Undone { .. })), "its partition is another's");
}

/// The error that a stage of ours meets within a while.
fn error_of(stage: &mut KafkaStage) -> String {
    let deadline = Instant::now() + hang();
    loop {
        assert!(Instant::now() < deadline, "nothing was wrong");
        match stage.poll(1 << 20, Duration::from_millis(100)) {
            Ok(blocks) => assert_eq!(texts(&blocks), [""; 0], "it must not be read on"),
            Err(error) => return error.to_string(),
        }
    }
}

/// Deletes a topic and makes it again.
fn make_anew(cluster: &Cluster, topic: &str) {
    cluster.order("topics", &["--delete", "--topic", topic]);
    let made = || {
        let made = cluster.try_order("topics", &["--create", "--topic", topic, "--partitions", "1"]);
        made.is_ok()
    };
    let deadline = Instant::now() + hang();
    while !made() {
        assert!(Instant::now() < deadline, "{topic} cannot be made again");
    }
}

#[test]
fn a_topic_made_anew_is_not_read_on_until_somebody_says_so() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx", "quiet"], 1);
    let (kafka, raw) = (cluster.open("one"), input("nginx", 0));
    append(&kafka, &raw, &["1", "2"]);
    let both = || kafka.stage("ingest", Subscription::topics(["nginx", "quiet"])).unwrap();
    let mut stage = both();
    let blocks = poll(&mut stage, 2);
    stage.commit(commit_of(&blocks, "pack 1")).unwrap();
    make_anew(&cluster, "nginx");
    // Longer than what was read: nothing in the offsets tells that it is another.
    append(&cluster.open("other"), &raw, &["new 1", "new 2", "new 3", "new 4", "new 5", "new 6"]);
    let told = error_of(&mut stage);
    assert!(told.contains("nginx was deleted and made anew"), "{told}");
    drop(stage);
    // The brokers have forgotten the group's place; where its first start began is remembered.
    let mut stage = both();
    let told = error_of(&mut stage);
    assert!(told.contains("nginx was deleted and made anew"), "{told}");
    drop(stage);
    let (_, command) = told.split_once("`kafka-consumer-groups.sh ").expect("what to do");
    let arguments: Vec<&str> = command.split('`').next().unwrap().split_whitespace().collect();
    let deadline = Instant::now() + hang();
    // Until the group is known to be left.
    while cluster.try_order("groups", &arguments).is_err() {
        assert!(Instant::now() < deadline, "the group is not left");
    }
    let mut stage = both();
    assert_eq!(texts(&poll(&mut stage, 6))[..2], ["new 1", "new 2"]);
    // One that was quiet since the first start.
    make_anew(&cluster, "quiet");
    drop(stage);
    let told = error_of(&mut both());
    assert!(told.contains("quiet was deleted and made anew"), "{told}");
}

#[test]
fn a_topic_that_is_deleted_is_told() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 1);
    let kafka = cluster.open("one");
    append(&kafka, &input("nginx", 0), &["1"]);
    let mut stage = stage(&kafka);
    let blocks = poll(&mut stage, 1);
    stage.commit(commit_of(&blocks, "pack 1")).unwrap();
    cluster.order("topics", &["--delete", "--topic", "nginx"]);
    let told = error_of(&mut stage);
    assert!(told.contains("nginx is not there any more") && told.contains("sekisho topics create"), "{told}");
}

#[test]
fn records_that_were_deleted_before_they_were_read_are_not_passed_over() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 1);
    let (kafka, raw) = (cluster.open("one"), input("nginx", 0));
    append(&kafka, &raw, &["1"]);
    let mut first = stage(&kafka);
    let blocks = poll(&mut first, 1);
    first.commit(commit_of(&blocks, "pack 1")).unwrap();
    drop(first);
    append(&kafka, &raw, &["2", "3", "4"]);
    cluster.order("truncate", &["nginx", "0", "4"]);
    let told = error_of(&mut stage(&kafka));
    assert!(
        told.contains("nginx/0 goes on at 1, but holds 4..6") && told.contains("kafka-consumer-groups.sh"),
        "{told}"
    );
}

#[test]
fn what_comes_after_the_first_start_is_read_whatever_was_quiet_then() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 2);
    let mut settings = cluster.settings("one");
    settings.begin = sekisho::journal::kafka::Begin::End;
    let kafka = Kafka::open(settings).unwrap();
    let subscribed = || kafka.stage("ingest", Subscription::topics(["nginx", "nginx-*"])).unwrap();
    append(&kafka, &input("nginx", 0), &["old"]);
    append(&kafka, &input("nginx", 1), &["old"]);
    let first = subscribed();
    append(&kafka, &input("nginx", 0), &["new"]);
    // It ends before it was given anything; meanwhile records come, also into a topic that was not there.
    drop(first);
    append(&kafka, &input("nginx", 1), &["while away"]);
    cluster.create_topics_of(&["nginx-later"], 1);
    append(&cluster.open("other"), &input("nginx-later", 0), &["first", "second"]);
    let mut found = texts(&poll(&mut subscribed(), 4));
    found.sort();
    assert_eq!(found, ["first", "new", "second", "while away"]);
}

#[test]
fn what_cannot_be_sent_is_undone_as_a_whole_and_told() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 1);
    let (kafka, raw, out) = (cluster.open("one"), input("nginx", 0), input("sekisho.signals", 0));
    append(&kafka, &raw, &["1"]);
    let mut stage = stage(&kafka);
    let blocks = poll(&mut stage, 1);
    // One record is larger than its topic takes, also when it is compressed; its neighbour would be taken.
    let mut random = 1u64;
    let mut letter = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + (random >> 58) as u8)
    };
    let large: String = (0..2 << 20).map(|_| letter()).collect();
    let mut commit = commit_of(&blocks, "beside it");
    commit.appends.push((input("sekisho.alerts", 0), records(&[&large])));
    let refused = stage.commit(commit).unwrap_err();
    assert!(refused.is_passing() && refused.to_string().contains("sekisho topics check"), "{refused}");
    assert_eq!(kafka.committed("ingest", &raw).unwrap(), None, "the position neither");
    // A topic that is not there.
    let mut commit = commit_of(&blocks, "beside it");
    commit.appends.push((input("sekisho.none", 0), records(&["x"])));
    assert!(stage.commit(commit).unwrap_err().to_string().contains("sekisho topics create"));
    // More than the producer's queue holds: it waits for room.
    let many = vec!["y"; 250_000];
    let mut commit = commit_of(&blocks, "with many");
    commit.appends.push((input("sekisho.answers", 0), records(&many)));
    let mut done = stage.commit(commit.clone());
    // After a record was refused a transaction may fail once more (the sequence has a gap).
    for _ in 0..2 {
        if done.is_err() {
            stage.seek(&raw, 0).unwrap();
            poll(&mut stage, 1);
            done = stage.commit(commit.clone());
        }
    }
    done.unwrap();
    holds(&kafka, &out, &["with many"]);
    let deadline = Instant::now() + hang();
    while values(&kafka, &input("sekisho.answers", 0)).len() < many.len() {
        assert!(Instant::now() < deadline, "not all are there");
    }
    assert_eq!(values(&kafka, &input("sekisho.alerts", 0)).len(), 0);
}

#[test]
fn a_producer_whose_clock_is_off_moves_no_time() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["sshd"], 1);
    let claimed = ["message.timestamp.type=CreateTime", "message.timestamp.after.max.ms=9223372036854775807"];
    let given = ["--create", "--topic", "nginx", "--partitions", "1", "--config", claimed[0], "--config", claimed[1]];
    cluster.order("topics", &given);
    let kafka = cluster.open("one");
    let mut config = ClientConfig::new();
    // All of a topic in one batch.
    config.set("bootstrap.servers", &cluster.bootstrap).set("linger.ms", "100");
    let producer: BaseProducer = config.create().unwrap();
    let begun = now();
    let offsets = [0, 3 * HOUR, -3 * HOUR, 40 * 365 * 24 * HOUR, -MINUTE];
    for offset in offsets {
        let value = offset.to_string();
        for topic in ["nginx", "sshd"] {
            let record = BaseRecord::<(), str>::to(topic).partition(0).payload(&value).timestamp(begun.plus(offset).0);
            producer.send(record).unwrap();
        }
    }
    producer.flush(hang()).unwrap();
    // As `topics create` makes a topic, the claim of one record does not take its batch down.
    holds(&kafka, &input("sshd", 0), &offsets.map(|offset| offset.to_string()).each_ref().map(String::as_str));
    let blocks = poll(&mut stage(&kafka), offsets.len());
    let times: Vec<_> = blocks.iter().flat_map(Fetched::iter).map(|record| record.appended_at.since(begun)).collect();
    assert_eq!((times[0], times[4]), (0, -MINUTE), "what is near is believed");
    assert!(times[1..4].iter().all(|off| (0..MINUTE).contains(off)), "the others came when they came: {times:?}");
}

#[test]
fn brokers_whose_clock_is_off_are_told() {
    let cluster = Cluster::start(1, PORTS);
    cluster.create_topics(&["nginx"], 1);
    let said = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let heard = std::sync::Arc::clone(&said);
    let mut settings = cluster.settings("one");
    settings.clock = std::sync::Arc::new(|| now().plus(-3 * HOUR));
    settings.tell = std::sync::Arc::new(move |text: &str| *heard.lock().unwrap() += text);
    let kafka = Kafka::open(settings).unwrap();
    for _ in 0..3 {
        append(&kafka, &input("nginx", 0), &["x"]);
    }
    let said = said.lock().unwrap().clone();
    let told = "the brokers' clock is 179 min ahead of this machine's";
    assert_eq!(said.matches(told).count() + said.matches(&told.replace("179", "180")).count(), 1, "{said}");
    assert_eq!(kafka.trouble(), None, "it keeps nobody from going on");
}

/// Each mistake, and a test that must not pass with it: it runs again in a process of its own that makes the mistake.
const MISTAKES: [(&str, &str); 10] = [
    ("PositionsFirst", "what_cannot_be_sent_is_undone_as_a_whole_and_told"),
    ("OffsetTooFar", "outputs_and_positions_are_there_together_or_not_at_all"),
    ("OffsetShort", "outputs_and_positions_are_there_together_or_not_at_all"),
    ("SendErrorIgnored", "what_cannot_be_sent_is_undone_as_a_whole_and_told"),
    ("PlaceReset", "records_that_were_deleted_before_they_were_read_are_not_passed_over"),
    ("IdIgnored", "a_topic_made_anew_is_not_read_on_until_somebody_says_so"),
    ("RevokedKept", "partitions_move_to_those_who_are_there"),
    ("BeginsAtEnd", "what_comes_after_the_first_start_is_read_whatever_was_quiet_then"),
    ("UndoneIsDone", "a_stage_that_was_taken_over_writes_nothing_any_more"),
    ("UncommittedRead", "what_cannot_be_sent_is_undone_as_a_whole_and_told"),
];

#[test]
fn each_mistake_is_caught() {
    assert_eq!(MISTAKES.map(|(name, _)| name), sekisho::journal::kafka::mutants::NAMES);
    for (mistake, test) in MISTAKES {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env("SEKISHO_KAFKA_MUTANT", mistake).env("SEKISHO_TEST_HANG", "10");
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(said.contains("1 failed"), "{mistake} passes {test}: {said}");
    }
}
