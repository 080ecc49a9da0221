//! A node around the API: journal, projection, server; and records as decide writes them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sekisho::api::projection::{ALERTS, ANSWERS, BLOCKS};
use sekisho::api::{
    Check, Events, Follower, Log, Metrics, Patience, Projection, SearchFault, SearchPage, SearchRequest, Seed, Server,
    Services, TailPage, ValueCounts, follow,
};
use sekisho::event::outcome::{
    Alert, AlertDetail, AlertEvent, Block, Ip, Level, Lift, LiftCause, Origin, Response, ResponseResult, RuleName,
};
use sekisho::event::{
    Answer, AnswerResult, Entity, EntityKind, Entry, Input, Order, Position, SIGNALS, Severity, Time, Window,
    write_json,
};
use sekisho::journal::Journal;

use crate::client::{self, Answer as HttpAnswer};
use crate::journal::TestJournal;

pub struct World {
    pub journal: Arc<TestJournal>,
    pub projection: Arc<Projection>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<AtomicI64>,
    pub data: tempfile::TempDir,
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<SearchRequest>>>,
    pub gate: Arc<Gate>,
    server: Option<Server>,
    _follower: Follower,
}

/// Holds searches up until it is opened.
#[derive(Default)]
pub struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn shut(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
    }

    /// Waits until it is open, or until nobody waits for the answer any more.
    fn pass(&self, cancelled: &AtomicBool) {
        let mut shut = self.shut.lock().unwrap();
        while *shut && !cancelled.load(Ordering::SeqCst) {
            shut = self.opened.wait_timeout(shut, Duration::from_millis(5)).unwrap().0;
        }
    }
}

/// Times that no test reaches by waiting, but where it wants to.
pub fn patient() -> Patience {
    let long = Duration::from_secs(300);
    Patience {
        headers: long,
        body_part: long,
        request: long,
        write: long,
        stream: long,
        stream_quiet: long,
        command: long,
        keys: Duration::from_millis(5),
    }
}

pub fn world() -> World {
    world_with(patient(), |_| {})
}

pub fn world_with(patience: Patience, prepare: impl FnOnce(&std::path::Path)) -> World {
    let data = tempfile::tempdir().unwrap();
    prepare(data.path());
    start(Arc::new(TestJournal::default()), data, patience)
}

pub fn start(journal: Arc<TestJournal>, data: tempfile::TempDir, patience: Patience) -> World {
    let (log, projection) = (Log::of(&journal), Arc::new(Projection::new(Seed::default())));
    let follower = follow(&projection, log.clone()).unwrap();
    let (metrics, clock) = (Arc::new(Metrics::default()), Arc::new(AtomicI64::new(1_000_000)));
    let (asked, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Gate::default()));
    let now = Arc::clone(&clock);
    let input = |name: &str| (name.to_owned(), Input { topic: name.to_owned(), partition: 0 });
    let services = Services {
        log,
        pipelines: BTreeMap::from([input("nginx"), input("sshd")]),
        events: events(Arc::clone(&asked), Arc::clone(&gate)),
        projection: Arc::clone(&projection),
        metrics: Arc::clone(&metrics),
        status: Arc::new(|| serde_json::Map::from_iter([("node".to_owned(), serde_json::json!({"role": "all"}))])),
        checks: Arc::new(|| vec![Check { name: "journal", ok: true, detail: String::new() }]),
        live: Arc::new(|| true),
        protected: vec![("192.0.2.0/24".parse().unwrap(), "networks.own")],
        clock: Arc::new(move || Time(now.load(Ordering::SeqCst))),
        data: data.path().to_owned(),
    };
    let server = Server::start("127.0.0.1:0".parse().unwrap(), services, patience).unwrap();
    let address = server.address();
    World { journal, projection, metrics, clock, data, address, asked, gate, server: Some(server), _follower: follower }
}

/// Events that answer in a way one can recognise.
fn events(asked: Arc<Mutex<Vec<SearchRequest>>>, gate: Arc<Gate>) -> Events {
    let search = move |request: &SearchRequest, cancelled: &AtomicBool| {
        gate.pass(cancelled);
        asked.lock().unwrap().push(request.clone());
        if request.selection.query == "client.ip:" {
            return Err(SearchFault::Query { character: 10, length: 1, message: "a value is missing".to_owned() });
        }
        let hit = |offset| {
            let position = Position { topic: "nginx".to_owned(), partition: 0, offset, item: None };
            let document = format!("{{\"offset\":{offset}}}").into_bytes();
            sekisho::api::Hit { timestamp: Time(offset as i64), position, document }
        };
        let first = request.after.as_ref().map_or(0, |(_, position)| position.offset + 1);
        Ok(SearchPage { total: 5, hits: (first..5).take(request.limit).map(hit).collect() })
    };
    Events {
        search: Arc::new(search),
        histogram: Arc::new(|request, _| {
            Ok(vec![(request.selection.from, 2), (Time(request.selection.from.0 + request.interval), 3)])
        }),
        terms: Arc::new(|request, _| {
            Ok(ValueCounts { total: 3, values: vec![(request.field.clone(), 3)], distinct: 1 })
        }),
        event: Arc::new(|(position, _), _| Ok((position.offset < 5).then(|| b"{\"found\":true}".to_vec()))),
        tail: Arc::new(|request, _| {
            Ok(TailPage {
                events: vec![b"{}".to_vec()],
                next: format!("{}x", request.after.clone().unwrap_or_default()),
            })
        }),
    }
}

impl World {
    pub fn get(&self, path: &str) -> HttpAnswer {
        client::send(self.address, "GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpAnswer {
        client::send(self.address, "POST", path, headers, body)
    }

    pub fn order(&self, path: &str, body: &serde_json::Value) -> HttpAnswer {
        self.post(path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    /// Waits until what was put into the journal so far is known to the API.
    pub fn settle(&self) {
        let mut changes = self.projection.changes();
        for topic in sekisho::api::projection::TOPICS {
            let end = self.journal.partitions(topic).unwrap().first().map_or(0, |(_, offsets)| offsets.end);
            while self.projection.view().next(topic).unwrap_or(0) < end {
                tokio_block(changes.changed()).unwrap();
            }
        }
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.metrics.counter(name, "", &[]).get()
    }

    /// Waits until a counter has come to a value.
    pub fn reach(&self, name: &str, least: u64) {
        let begun = std::time::Instant::now();
        while self.counter(name) < least {
            assert!(begun.elapsed() < Duration::from_secs(120), "{name} never came to {least}");
            std::thread::yield_now();
        }
    }

    pub fn stop(mut self) -> bool {
        self.server.take().unwrap().stop(Duration::from_secs(60))
    }

    /// Starts a thread that answers commands as decide would, one after the other, until it has answered `count`.
    pub fn decide(&self, count: usize) -> std::thread::JoinHandle<()> {
        let journal = Arc::clone(&self.journal);
        std::thread::spawn(move || {
            let (mut seen, mut answered) = (0, 0);
            while answered < count {
                seen = journal.wait(seen, Duration::from_secs(1));
                for value in journal.values(SIGNALS).into_iter().skip(answered) {
                    decide(&journal, answered as u64, &value);
                    answered += 1;
                }
            }
        })
    }
}

fn tokio_block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn decide(journal: &TestJournal, offset: u64, value: &[u8]) {
    let Ok(Entry::Command(command)) = Entry::decode(value) else { panic!("no command") };
    let at = Time(77);
    let result = match &command.order {
        Order::Block { target, ttl, .. } if target.to_string() != "192.0.2.1/32" => {
            put_block(journal, &target.to_string(), "op", 1_000_000 + ttl);
            AnswerResult::Done { lifted: 0 }
        }
        Order::Block { .. } => AnswerResult::Refused { reason: "protected".to_owned() },
        Order::Lift { target } => {
            put_lift(journal, &target.to_string(), "op");
            AnswerResult::Done { lifted: 1 }
        }
        Order::Allow { .. } | Order::Disallow { .. } | Order::Thaw => AnswerResult::Done { lifted: 0 },
    };
    let command_at = Position { topic: SIGNALS.to_owned(), partition: 0, offset, item: None };
    let answer = Answer { command: command_at, at, by: command.by, order: command.order, result };
    journal.put(ANSWERS, &[(None, &json(&answer))]);
}

pub fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    write_json(value, &mut out).unwrap();
    out
}

pub fn put_block(journal: &TestJournal, target: &str, id: &str, expires_at: i64) {
    let block = Block {
        id: id.to_owned(),
        action: "block".to_owned(),
        target: target.to_owned(),
        level: Level::Block,
        issued_at: Time(0),
        expires_at: Time(expires_at),
        reason: "why".to_owned(),
        rule: None,
        alert: None,
        incident: None,
        origin: Origin::Operator,
        by: None,
        receipt: None,
    };
    journal.put(BLOCKS, &[(Some(target), &json(&block))]);
}

pub fn put_lift(journal: &TestJournal, target: &str, block: &str) {
    let lift = Lift {
        id: "0".repeat(32),
        action: "lift".to_owned(),
        target: target.to_owned(),
        block: block.to_owned(),
        lifted_at: Time(0),
        cause: LiftCause::Operator,
        by: Some("shift".to_owned()),
    };
    journal.put(BLOCKS, &[(Some(target), &json(&lift)), (Some(target), b"")]);
}

/// The JSON of the alert of this number.
pub fn alert(number: u64, message: &str) -> Vec<u8> {
    let severity = if number.is_multiple_of(2) { Severity::Major } else { Severity::Minor };
    let client = format!("203.0.113.{}", number % 250);
    json(&Alert {
        timestamp: Time(number as i64),
        event: AlertEvent {
            kind: "alert".to_owned(),
            id: format!("{number:032x}"),
            severity: severity.number(),
            category: vec![],
        },
        rule: RuleName { id: format!("rule-{}", number % 3), name: "A rule".to_owned(), version: "0".repeat(12) },
        threat: None,
        client: Some(Ip { ip: client.clone() }),
        user: None,
        service: None,
        related: None,
        message: message.to_owned(),
        sekisho: AlertDetail {
            severity,
            entity: Entity { kind: EntityKind::Client, value: client },
            window: Window { start: Time(0), end: Time(1) },
            count: 1,
            evidence: vec![],
            evidence_total: 0,
            spans: vec![],
            members_total: None,
            incident: "0".repeat(32),
            response: Response { level: Level::Alert, result: ResponseResult::Observed, reason: None, block: None },
        },
    })
}

pub fn put_alert(journal: &TestJournal, number: u64, message: &str) {
    journal.put(ALERTS, &[(None, &alert(number, message))]);
}
