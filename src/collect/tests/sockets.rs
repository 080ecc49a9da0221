//! Real sockets on loopback, real threads, a whole collector. I/O.
//!
//! Waiting is for a condition, with a long limit that only a failure reaches.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::handle_limit::connections_max;
use super::super::{CollectError, Collector, Count, Listener};
use super::files::memory;
use super::journal::{Fault, Faulty};
use crate::config::{Collect, CollectSource, Mention, Start};
use crate::journal::Journal;
use crate::journal::embedded::Embedded;

const TOPIC: &str = "sshd";

/// A collector with one listener.
struct Site {
    journal: Arc<Faulty<Embedded>>,
    warnings: Arc<Mutex<Vec<String>>>,
    collector: Collector,
}

fn listener() -> (Listener, Arc<Mutex<Vec<String>>>) {
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&warnings);
    (Arc::new(move |warning| heard.lock().unwrap().push(warning.to_string())), warnings)
}

fn source(source: CollectSource, pipeline: &str) -> Collect {
    let config = crate::config::parse("c.yaml", "collect: [{ file: a, pipeline: b }]", &|_| None).unwrap();
    let spot = config.collect[0].pipeline.spot;
    Collect { source, pipeline: Mention { name: pipeline.to_owned(), spot } }
}

fn syslog() -> Collect {
    source(CollectSource::Syslog("127.0.0.1:0".parse().unwrap()), TOPIC)
}

impl Site {
    fn start() -> Site {
        let journal = Arc::new(memory());
        let (listener, warnings) = listener();
        let collector = Collector::start(&[syslog()], &journal, &listener).unwrap();
        Site { journal, warnings, collector }
    }

    fn address(&self) -> SocketAddr {
        self.collector.addresses()[0]
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).unwrap()
    }

    fn count(&self, count: Count) -> u64 {
        self.collector.counters()[0].get(count)
    }

    fn fail(&self, fault: Fault) {
        *self.journal.fault.lock().unwrap() = fault;
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < limit, "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn messages_of_each_framing_and_protocol_become_records() {
    let site = Site::start();
    let mut stream = site.connect();
    stream.write_all(b"<38>Nov 24 00:00:00 h sshd[1]: plain\n42 <38>1 2026-11-24T00:00:00Z h sshd 1 - - 5").unwrap();
    stream.write_all(b"424<38>nul\0<38>at the end").unwrap();
    drop(stream);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"<38>datagram\nwith a forged line\n", site.address()).unwrap();
    socket.send_to(b"", site.address()).unwrap();
    until("five records", || site.count(Count::Lines) == 5);
    let mut texts = site.journal.texts(TOPIC);
    texts.sort();
    let expected = [
        "<38>1 2026-11-24T00:00:00Z h sshd 1 - - 54",
        "24<38>nul",
        "<38>Nov 24 00:00:00 h sshd[1]: plain",
        "<38>at the end",
        "<38>datagram#012with a forged line",
    ];
    assert_eq!(texts, {
        let mut expected = expected.map(str::to_owned);
        expected.sort();
        expected
    });
    let records = site.journal.records(TOPIC);
    assert_eq!(records.keys().copied().collect::<Vec<_>>(), [1]);
    assert!(records[&1].iter().all(|(_, spoofable)| !spoofable), "loopback is believed");
}

#[test]
fn a_burst_over_tcp_is_whole_and_in_order_though_the_journal_was_full() {
    let site = Site::start();
    site.fail(Fault::Full);
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let mut stream = site.connect();
            std::thread::spawn(move || {
                let lines: String =
                    (0..50_000).map(|n| format!("<38>sender {sender} line {n:06} {}\n", "x".repeat(60))).collect();
                stream.write_all(lines.as_bytes()).unwrap();
            })
        })
        .collect();
    until("a warning", || !site.warnings.lock().unwrap().is_empty());
    assert_eq!(site.count(Count::Lines), 0);
    site.fail(Fault::None);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    until("200,000 records", || site.count(Count::Lines) == 200_000);
    let texts = site.journal.texts(TOPIC);
    for sender in 0..4 {
        let mut numbers = texts.iter().filter_map(|text| text.strip_prefix(&format!("<38>sender {sender} line ")));
        assert!((0..50_000).all(|n| numbers.next().is_some_and(|text| text.starts_with(&format!("{n:06} ")))));
    }
    assert!(site.warnings.lock().unwrap()[0].contains("no disk space"));
}

#[test]
fn a_burst_over_udp_is_taken_or_counted() {
    let site = Site::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sent = 50_000;
    (0..sent).for_each(|n| drop(socket.send_to(format!("<38>datagram {n}").as_bytes(), site.address())));
    until("all of them", || site.count(Count::Lines) + site.count(Count::Dropped) == sent);
    assert_eq!(site.journal.texts(TOPIC).len() as u64, site.count(Count::Lines));
}

#[test]
fn stopping_commits_what_was_read() {
    let site = Site::start();
    let mut stream = site.connect();
    stream.write_all(b"<38>whole\n<38>half").unwrap();
    until("the whole one", || site.count(Count::Lines) == 1);
    let journal = Arc::clone(&site.journal);
    site.collector.stop();
    assert_eq!(journal.texts(TOPIC), ["<38>whole", "<38>half"]);
}

#[test]
fn stopping_ends_though_the_journal_is_full() {
    let site = Site::start();
    site.fail(Fault::Full);
    let mut stream = site.connect();
    let sender =
        std::thread::spawn(move || stream.write_all(&b"<38>one of very many lines\n".repeat(1_000_000)).is_ok());
    until("a warning", || !site.warnings.lock().unwrap().is_empty());
    site.collector.stop();
    drop(sender.join());
}

#[test]
fn connections_beyond_the_limit_are_closed_and_places_come_free() {
    let site = Site::start();
    let most = connections_max();
    let mut open: Vec<TcpStream> = (0..most).map(|_| site.connect()).collect();
    open.iter_mut().for_each(|stream| stream.write_all(b"<38>here\n").unwrap());
    until("all of them", || site.count(Count::Lines) == most as u64);
    let mut refused = site.connect();
    assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0, "closed");
    assert_eq!(site.count(Count::Refused), 1);
    drop(open);
    until("a place", || {
        let before = site.count(Count::Lines);
        let sent = site.connect().write_all(b"<38>again\n").is_ok();
        std::thread::sleep(Duration::from_millis(20));
        sent && site.count(Count::Lines) > before
    });
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let journal = Arc::new(memory());
    let (listener, _) = listener();
    let fails = |collect: Collect| match Collector::start(&[collect], &journal, &listener) {
        Ok(_) => panic!("it started"),
        Err(error @ (CollectError::Pattern { .. } | CollectError::Listen { .. })) => error.to_string(),
        Err(error) => panic!("{error}"),
    };
    let message = fails(source(CollectSource::Syslog(address), TOPIC));
    assert!(message.starts_with(&format!("{address}: cannot listen for syslog over TCP: ")), "{message}");
    assert!(message.contains("choose another port"), "{message}");
    let elsewhere = fails(source(CollectSource::Syslog("203.0.113.1:5514".parse().unwrap()), TOPIC));
    assert!(elsewhere.contains("not this machine's"), "{elsewhere}");
    let pattern = CollectSource::File { pattern: "/var/log/[a".to_owned(), from: Start::End };
    assert!(fails(source(pattern, TOPIC)).contains("is no pattern"));
}

#[test]
fn files_are_followed_by_a_running_collector() {
    let folder = tempfile::tempdir().unwrap();
    let pattern = folder.path().join("*.log").display().to_string();
    let file = source(CollectSource::File { pattern, from: Start::End }, "nginx");
    let journal = Arc::new(memory());
    let (listener, warnings) = listener();
    let collector = Collector::start(&[syslog(), file], &journal, &listener).unwrap();
    until("a warning", || warnings.lock().unwrap().iter().any(|warning| warning.contains("no file matches")));
    until("the first start", || !journal.marks("collect/begun/").is_empty());
    let mut log = OpenOptions::new().create(true).append(true).open(folder.path().join("a.log")).unwrap();
    for number in 0..200 {
        writeln!(log, "line {number}").unwrap();
    }
    until("200 lines", || collector.counters()[1].get(Count::Lines) == 200);
    writeln!(log, "the last").unwrap();
    until("the last", || journal.texts("nginx").last().is_some_and(|line| line == "the last"));
    collector.stop();
    assert_eq!(journal.texts("nginx").len(), 201);
}
