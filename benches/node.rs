//! A whole node, as a process: `cargo bench --bench node [-- LINES]`.
//!
//! First the lines of `benches/replay.rs` from one file, through collecting, journal, detection and index, until all of
//! them can be found: lines a second, peak memory, what journal and index take. Then a live log of a thousand lines a
//! second with an attacker a tenth of a second: how long from the line that triggers to its block in `/api/v1/stream`.
//! Then searches over everything, warm.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads files, time and processes")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const LIVE_SECONDS: u64 = 20;
/// Lines a second of the live log, written every ten milliseconds.
const LIVE_RATE: u64 = 1_000;

fn main() {
    let lines = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(5_000_000u64);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let log = root.join(format!("target/bench-replay/access-{lines}.log"));
    assert!(log.is_file(), "{} is not there: `cargo bench --bench replay -- {lines}` writes it", log.display());
    let folder = root.join("target/bench-node");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder under target");
    let node = bulk(&folder, &log, lines);
    searches(&node, lines);
    drop(node);
    live(&folder);
}

/// A running node; it ends when this is dropped.
struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    fn start(folder: &Path, log: &Path, data: &str) -> Node {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let config = folder.join(format!("{data}.yaml"));
        let text = format!(
            "http: {{ listen: \"{address}\" }}\ntime: {{ past: 100y, stale: 100y }}\nresponse: {{ budget: {{ per_minute: \
             100000, active: 100000, share: 100% }} }}\ncollect: [ {{ file: {}, pipeline: apache, from: beginning }} ]\n",
            log.display()
        );
        fs::write(&config, text).expect("a configuration");
        let child = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .args(["run", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(folder.join(data))
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let node = Node { child, address };
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }

    fn ask(&self, path: &str) -> serde_json::Value {
        let mut socket = TcpStream::connect(self.address).expect("the API");
        socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).expect("a request");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer");
        let at = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        serde_json::from_slice(&answer[at..]).expect("JSON")
    }

    /// From `/proc`: peak memory in MiB, and CPU seconds.
    fn cost(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
        let peak: f64 = peak.trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
        (peak / 1024.0, (ticks(11) + ticks(12)) / 100.0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn bulk(folder: &Path, log: &Path, lines: u64) -> Node {
    let started = Instant::now();
    let node = Node::start(folder, log, "bulk");
    let mut detected = None;
    loop {
        let status = node.ask("/api/v1/status");
        let records: u64 =
            status["inputs"].as_array().into_iter().flatten().filter_map(|i| i["records"].as_u64()).sum();
        if records >= lines {
            detected.get_or_insert(started.elapsed());
        }
        if status["index"]["events"].as_u64().is_some_and(|events| events >= lines) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let (whole, detected) = (started.elapsed(), detected.unwrap_or_else(|| started.elapsed()));
    let (peak, cpu) = node.cost();
    let raw = fs::metadata(log).expect("the log").len() as f64;
    println!(
        "node, {lines} lines by file: {:.0} lines/s until all can be found ({:.1} s), judged at {:.0} lines/s; {:.2} µs CPU a \
         line, peak {peak:.0} MiB",
        lines as f64 / whole.as_secs_f64(),
        whole.as_secs_f64(),
        lines as f64 / detected.as_secs_f64(),
        cpu * 1e6 / lines as f64,
    );
    let size = |name: &str| size_of(&folder.join("bulk").join(name)) as f64 / raw;
    println!("of the raw lines: journal {:.2}, index {:.2}", size("journal"), size("index"));
    node
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(
            |entry| {
                if entry.path().is_dir() { size_of(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
            },
        )
        .sum()
}

fn searches(node: &Node, lines: u64) {
    let span = "from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z";
    let asked = [
        ("one client, newest 20", format!("/api/v1/search?query=client.ip:27.91.0.218&{span}&limit=20")),
        (
            "status 500 and a path, newest 20",
            format!("/api/v1/search?query=http.response.status_code:500%20AND%20url.path:*search*&{span}&limit=20"),
        ),
        ("histogram of all", format!("/api/v1/histogram?query=*&{span}&interval=30m")),
        ("terms of status", format!("/api/v1/terms?query=*&{span}&field=http.response.status_code&limit=10")),
        ("terms of path", format!("/api/v1/terms?query=*&{span}&field=url.path&limit=10")),
        ("terms of client", format!("/api/v1/terms?query=*&{span}&field=client.ip&limit=10")),
    ];
    for (name, path) in asked {
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let started = Instant::now();
                let answer = node.ask(&path);
                assert!(answer.get("error").is_none(), "{path}: {answer}");
                started.elapsed()
            })
            .collect();
        times.sort();
        println!("search over {lines} events, {name}: median {:.1} ms", times[10].as_secs_f64() * 1e3);
    }
}

fn live(folder: &Path) {
    let log = folder.join("live.log");
    File::create(&log).expect("a file under target");
    let node = Node::start(folder, &log, "live");
    let blocks = follow(node.address);
    let triggered = write_live(&log);
    let mut times = Vec::new();
    while let Ok((target, at)) = blocks.recv_timeout(Duration::from_secs(3)) {
        times.extend(triggered.get(&target).map(|line| at.duration_since(*line)));
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "live, {LIVE_RATE} lines/s: line written → block in the stream: p50 {:.1} ms, p99 {:.1} ms ({} of {} attackers)",
        at(0.5),
        at(0.99),
        times.len(),
        triggered.len()
    );
}

/// Targets of blocks as the stream tells them.
fn follow(address: SocketAddr) -> Receiver<(String, Instant)> {
    let mut socket = TcpStream::connect(address).expect("the API");
    socket.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            let Some(data) = line.strip_prefix("data:") else { continue };
            let now = Instant::now();
            let value: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
            let target = value["target"].as_str().and_then(|target| target.split('/').next());
            if let (Some("block"), Some(target)) = (value["action"].as_str(), target)
                && sender.send((target.to_owned(), now)).is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// Writes the live log; gives when each attacker's lines were written.
fn write_live(log: &Path) -> BTreeMap<String, Instant> {
    let mut file = OpenOptions::new().append(true).open(log).expect("the log");
    let (started, mut triggered, mut number) = (Instant::now(), BTreeMap::new(), 0u64);
    while number < LIVE_SECONDS * LIVE_RATE {
        let stamp = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        let mut text = String::new();
        for _ in 0..LIVE_RATE / 100 {
            number += 1;
            text.push_str(&format!(
                "81.{}.{}.7 - - [{stamp}] \"GET /page/{} HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"\n",
                number % 200,
                number / 200 % 250,
                number % 50
            ));
        }
        if number.is_multiple_of(100) {
            let attacker = number / 100;
            let address = format!("82.10.{}.{}", attacker / 250, attacker % 250 + 1);
            for try_number in 0..14 {
                text.push_str(&format!(
                    "{address} - - [{stamp}] \"GET /index.php?id={try_number}%27%20UNION%20SELECT%20password%20FROM%20users-- \
                     HTTP/1.1\" 200 512 \"-\" \"sqlmap/1.7\"\n"
                ));
            }
            triggered.insert(address, Instant::now());
        }
        file.write_all(text.as_bytes()).expect("the log");
        std::thread::sleep(Duration::from_millis(number * 1_000 / LIVE_RATE).saturating_sub(started.elapsed()));
    }
    triggered
}
