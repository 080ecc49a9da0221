//! A node is killed: how soon another goes on for it, from the kill to the block of an attacker who came after it. I/O.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord};

use super::PARTITIONS;
use super::broker::{Broker, Node, attack, follow, producer};

const ROUNDS: usize = 5;
/// Between attacks, each of one client on every partition.
const APART: Duration = Duration::from_millis(100);
/// Until a node that came back has its share.
const SETTLE: Duration = Duration::from_secs(10);

/// Attackers on every partition, and the blocks of them.
struct Attackers {
    producer: BaseProducer,
    blocks: Receiver<(String, Instant)>,
    number: u64,
    /// The partition that each is on, and since when.
    sent: BTreeMap<String, (u64, Instant)>,
}

impl Attackers {
    fn attack(&mut self) {
        for partition in 0..PARTITIONS {
            let address = format!("85.{partition}.{}.{}", self.number / 250, self.number % 250 + 1);
            for line in attack(&address) {
                let to = i32::try_from(partition).unwrap_or(0);
                self.producer.send(BaseRecord::<(), str>::to("nginx").partition(to).payload(&line)).expect("room");
            }
            self.sent.insert(address, (u64::from(partition), Instant::now()));
        }
        self.number += 1;
        self.producer.poll(Duration::ZERO);
    }

    /// Attacks until an attacker of every partition is blocked who came after `since`: how long the first and the last took.
    fn until_blocked(&mut self, since: Instant) -> (f64, f64) {
        let mut firsts = BTreeMap::new();
        loop {
            self.attack();
            let next = Instant::now() + APART;
            while let Ok((target, at)) = self.blocks.recv_timeout(next.saturating_duration_since(Instant::now())) {
                if let Some((partition, sent)) = self.sent.get(&target)
                    && *sent > since
                {
                    firsts.entry(*partition).or_insert(at.duration_since(since).as_secs_f64());
                }
            }
            if firsts.len() == PARTITIONS as usize {
                let of = |better: fn(f64, f64) -> f64| firsts.values().copied().reduce(better).expect("partitions");
                return (of(f64::min), of(f64::max));
            }
        }
    }
}

/// Of each round when the first partition and when the last one went on.
fn told(what: &str, rounds: &[(f64, f64)]) {
    let each: Vec<String> = rounds.iter().map(|(first, all)| format!("{first:.1}–{all:.1}")).collect();
    println!("{what}: kill -9 → blocks of the first and of the last partition, in seconds: {}", each.join(", "));
}

pub fn takeover(broker: &Broker) {
    let (producer, blocks) = (producer(&broker.bootstrap), follow(&broker.bootstrap));
    let mut attackers = Attackers { producer, blocks, number: 0, sent: BTreeMap::new() };
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let start = |which: usize| Node::start(&broker.bootstrap, folders[which].path());
    comes_back(&mut attackers, &|| start(0));
    stays_away(&mut attackers, &start);
}

fn comes_back(attackers: &mut Attackers, start: &dyn Fn() -> Node) {
    let mut node = start();
    attackers.until_blocked(Instant::now());
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let since = Instant::now();
        drop(node);
        node = start();
        rounds.push(attackers.until_blocked(since));
    }
    told("the process comes back", &rounds);
}

/// The one that decides is killed, and the other one goes on; it is the next to be killed.
fn stays_away(attackers: &mut Attackers, start: &dyn Fn(usize) -> Node) {
    let mut nodes = [Some(start(0)), None];
    attackers.until_blocked(Instant::now());
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        nodes[(round + 1) % 2] = Some(start((round + 1) % 2));
        std::thread::sleep(SETTLE);
        attackers.until_blocked(Instant::now());
        let since = Instant::now();
        nodes[round % 2] = None;
        rounds.push(attackers.until_blocked(since));
    }
    told("the host does not come back", &rounds);
}
