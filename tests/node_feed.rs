//! A whole node fed by HTTP in the order of time judges as `sekisho replay` does: the same alert ids and targets.
#![expect(clippy::disallowed_methods, reason = "tests read files, run programs and wait for what they started")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho::catalog::{Catalog, CatalogText, KeepExtras, built_in};
use sekisho::config;
use sekisho::demo::Generator;
use sekisho::event::Time;
use sekisho::event::outcome::{Alert, Block};
use sekisho::fold::rehearse::START;
use sekisho::node::start::{Given, Node};

/// A recording fed live is years late; quiet inputs hold the others only for a moment.
const CONFIG: &str = "http: { listen: \"127.0.0.1:0\" }\ntime: { past: 100y, stale: 100y, idle: 3s }\n";
/// Nothing here takes so long unless it hangs.
const HANG: Duration = Duration::from_secs(120);

/// Lines of a generated day, in order: pipeline and text.
fn day(minutes: u32) -> Vec<(&'static str, String)> {
    Generator::new(7, START, minutes).map(|line| (line.pipeline, line.line)).collect()
}

fn started(data: &Path) -> Node {
    let config = config::parse("sekisho.yaml", CONFIG, &|_| None).unwrap_or_else(|faults| panic!("{faults}"));
    let files = built_in();
    let build = |keep| Arc::new(Catalog::build(&config, &files, keep).unwrap_or_else(|faults| panic!("{faults}")));
    let (judging, reading) = (build(KeepExtras::Named), build(KeepExtras::All));
    let text = CatalogText::of(&config, &files);
    let tell = Arc::new(|message: &str| eprintln!("{message}"));
    let steps = Default::default();
    let given = Given {
        config,
        judging,
        reading,
        text,
        data: data.to_owned(),
        tell,
        steps,
        roles: sekisho::node::roles::Roles::ALL,
    };
    Node::start(given).unwrap_or_else(|error| panic!("{error}"))
}

/// One connection that asks one thing after the other.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn new(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).expect("the API");
        socket.set_read_timeout(Some(HANG)).expect("a limit");
        socket.set_nodelay(true).expect("a socket");
        Client { reader: BufReader::new(socket) }
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> serde_json::Value {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        self.reader.get_mut().write_all(&[head.as_bytes(), body].concat()).expect("a request");
        let (mut length, mut status) = (0, String::new());
        self.reader.read_line(&mut status).expect("an answer");
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("an answer");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).expect("an answer");
        assert!(status.contains(" 200 "), "{status}{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }
}

/// Feeds runs of lines of one pipeline, each in one request.
fn feed(client: &mut Client, lines: &[(&'static str, String)]) {
    for run in lines.chunk_by(|a, b| a.0 == b.0) {
        let body: String = run.iter().map(|(_, line)| format!("{line}\n")).collect();
        let answer = client.ask("POST", &format!("/api/v1/ingest/{}", run[0].0), body.as_bytes());
        assert_eq!(answer["records"], run.len());
    }
}

/// Waits until stream time has left the last line behind: then every tally counts.
fn settle(client: &mut Client, last: Time) {
    let until = Instant::now() + HANG;
    loop {
        let status = client.ask("GET", "/api/v1/status", b"");
        let stream: Option<Time> = serde_json::from_value(status["decide"]["stream_time"].clone()).expect("a time");
        if stream.is_some_and(|stream| stream > last.plus(10_000)) {
            return;
        }
        assert!(Instant::now() < until, "stream time stands still: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What `sekisho replay` makes of the same lines.
fn replayed(folder: &Path, lines: &[(&'static str, String)]) -> (Vec<Alert>, Vec<Block>) {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    lines.iter().for_each(|(pipeline, line)| files.entry(pipeline).or_default().push_str(&format!("{line}\n")));
    fs::write(folder.join("sekisho.yaml"), CONFIG).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.arg("replay").arg("--config").arg(folder.join("sekisho.yaml")).arg("--out").arg(folder.join("out"));
    for (pipeline, text) in files {
        let path = folder.join(format!("{pipeline}.log"));
        fs::write(&path, text).expect("a file");
        command.arg("--pipeline").arg(format!("{pipeline}={}", path.display()));
    }
    let run = command.output().expect("the program runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    (ndjson(&folder.join("out/alerts.ndjson")), ndjson(&folder.join("out/blocks.ndjson")))
}

fn ndjson<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).expect("an output file");
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn listed(client: &mut Client, what: &str) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    let mut path = format!("/api/v1/{what}?limit=1000");
    loop {
        let page = client.ask("GET", &path, b"");
        found.extend(page[what].as_array().expect("a list").iter().cloned());
        let Some(next) = page["next"].as_str() else { return found };
        path = format!("/api/v1/{what}?limit=1000&after={next}");
    }
}

#[test]
fn a_day_fed_by_http_is_judged_as_replay_judges_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = day(6);
    let last = Generator::new(7, START, 6).map(|line| line.time).max().expect("lines");
    let node = started(&folder.path().join("data"));
    let mut client = Client::new(node.address().expect("the API"));
    feed(&mut client, &lines);
    settle(&mut client, last);
    let alerts = listed(&mut client, "alerts");
    let (expected, blocks) = replayed(folder.path(), &lines);
    let ids = |alerts: &[serde_json::Value]| -> BTreeSet<String> {
        alerts.iter().map(|alert| alert["event"]["id"].as_str().expect("an id").to_owned()).collect()
    };
    let expected: BTreeSet<String> = expected.iter().map(|alert| alert.event.id.clone()).collect();
    assert_eq!(ids(&alerts), expected);
    let result = |alert: &serde_json::Value| alert["sekisho"]["response"]["result"].as_str().map(str::to_owned);
    let holds = |alert: &&serde_json::Value| result(alert).is_some_and(|word| word == "blocked" || word == "extended");
    let target = |alert: &serde_json::Value| alert["client"]["ip"].as_str().map(str::to_owned);
    let found: BTreeSet<String> = alerts.iter().filter(holds).filter_map(target).collect();
    let address = |block: &Block| block.target.split('/').next().unwrap_or_default().to_owned();
    let wanted: BTreeSet<String> = blocks.iter().map(address).collect();
    assert!(wanted.len() >= 5 && found.is_subset(&wanted), "{found:?} is not of {wanted:?}");
    let clients: BTreeSet<String> = alerts.iter().filter_map(target).collect();
    assert!(wanted.intersection(&clients).all(|blocked| found.contains(blocked)), "{wanted:?} is not {found:?}");
    node.stop().expect("a quiet end");
}
