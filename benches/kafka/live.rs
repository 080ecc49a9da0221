//! Five thousand lines a second with an attacker ten times a second, one record in twenty a signal: how long from the
//! record that triggers to its block for a reader of committed records. I/O.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, Producer};

use super::PARTITIONS;
use super::broker::{Broker, Node, attack, follow, producer};

/// Lines a second, and how long.
const LIVE_RATE: u64 = 5_000;
const LIVE_SECONDS: u64 = 15;
/// Attacks that are not looked at: the first transactions of a broker are slow.
const WARM: usize = 30;

pub fn live(broker: &Broker) {
    let folder = tempfile::tempdir().expect("a folder");
    let _node = Node::start(&broker.bootstrap, folder.path());
    let blocks = follow(&broker.bootstrap);
    let triggered = send_live(&broker.bootstrap);
    let mut times = Vec::new();
    while let Ok((target, at)) = blocks.recv_timeout(Duration::from_secs(3)) {
        times.extend(triggered.get(&target).map(|sent| at.duration_since(*sent)));
    }
    let attackers = triggered.len();
    let mut times = times.split_off(WARM.min(times.len()));
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "live, {LIVE_RATE} lines/s: record sent → block for a reader of committed records: p50 {:.1} ms, p99 {:.1} ms ({} of {} \
         attackers, the first {WARM} left out)",
        at(0.5),
        at(0.99),
        times.len(),
        attackers
    );
}

/// Sends the live lines; gives when each attacker's last line was sent.
fn send_live(bootstrap: &str) -> BTreeMap<String, Instant> {
    let producer = producer(bootstrap);
    // Until the node has its partitions: what comes before is not read.
    std::thread::sleep(Duration::from_secs(5));
    let (started, mut triggered, mut number) = (Instant::now(), BTreeMap::new(), 0u64);
    let send = |line: &str, partition: u64| {
        let partition = i32::try_from(partition % u64::from(PARTITIONS)).unwrap_or(0);
        producer.send(BaseRecord::<(), str>::to("nginx").partition(partition).payload(line)).expect("room");
    };
    while number < LIVE_SECONDS * LIVE_RATE {
        let stamp = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        for _ in 0..LIVE_RATE / 100 {
            number += 1;
            let (a, b) = (number % 200, number / 200 % 250);
            send(
                &format!(
                    "83.{a}.{b}.7 - - [{stamp}] \"GET /page/{} HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                    number % 50
                ),
                number,
            );
        }
        if number.is_multiple_of(LIVE_RATE / 10) {
            let attacker = number / (LIVE_RATE / 10);
            let address = format!("84.10.{}.{}", attacker / 250, attacker % 250 + 1);
            attack(&address).iter().for_each(|line| send(line, attacker));
            triggered.insert(address, Instant::now());
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(number * 1_000 / LIVE_RATE).saturating_sub(started.elapsed()));
    }
    producer.flush(Duration::from_secs(10)).expect("all is sent");
    triggered
}
