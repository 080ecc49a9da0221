//! What comes into a running node by file and by syslog is judged as `sekisho replay` judges it; floods and strangers are
//! held off. I/O.
//!
//! Files are read side by side and connections race, so what must equal is what is said of the labelled actors: rules,
//! entities and targets. Deliberately without ids, which follow from the order of feeding.
#![expect(clippy::disallowed_methods, reason = "tests read files, run programs and wait for what they started")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use sekisho::demo::{ActorKind, Generator};
use sekisho::event::Time;
use sekisho::fold::rehearse::START;

mod node;
use node::{Process, free_address, is_inside, replayed, rules_by_actor, targets_by_actor, until, until_true};

/// A recording fed live is years late and comes within a minute of the journal's time.
const CONFIG: &str = "time: { past: 100y, stale: 100y, idle: 20s }\nresponse: { budget: { per_minute: 10000 } }\n";
/// What a node of this size may take (the issue's goal for five million lines).
const MEMORY_MAX: u64 = 1 << 30;

/// Logs by pipeline, and who acts in them.
struct Scenario {
    config: String,
    logs: BTreeMap<&'static str, Vec<u8>>,
    actors: Vec<(String, Vec<IpNet>)>,
}

impl Scenario {
    fn day() -> Scenario {
        let mut logs: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for line in Generator::new(7, START, 6) {
            logs.entry(line.pipeline).or_default().extend(format!("{}\n", line.line).bytes());
        }
        let attackers = Generator::actors().into_iter().filter(|actor| actor.kind == ActorKind::Attack);
        let actors = attackers.map(|actor| (actor.name.to_owned(), actor.addresses)).collect();
        Scenario { config: CONFIG.to_owned(), logs, actors }
    }

    /// The recorded scenario, where the data folder is.
    fn recorded() -> Option<Scenario> {
        let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        let folder = std::env::var_os("SEKISHO_DATA").map_or_else(beside, PathBuf::from).join("scenario_nginx_modsec");
        if !folder.is_dir() {
            eprintln!("not run: {} is not there", folder.display());
            return None;
        }
        let names = [
            ("nginx", "access.log.gz"),
            ("modsecurity", "modsec_audit.json.gz"),
            ("login", "app_auth.json.gz"),
            ("sshd", "auth.log"),
        ];
        let logs = names.map(|(pipeline, name)| (pipeline, bytes_of(&folder.join(name)))).into();
        let labels = fs::read_to_string(folder.join("labels.csv")).unwrap();
        let actors = labels.lines().skip(1).filter_map(attacker).collect();
        let config = format!("{CONFIG}networks: {{ ordinary: [127.30.0.0/16, 127.40.0.0/16, 127.66.0.0/16] }}\n");
        Some(Scenario { config, logs, actors })
    }

    fn files(&self, folder: &Path) -> Vec<(&'static str, PathBuf)> {
        let path = |pipeline: &str| folder.join(format!("{pipeline}.log"));
        self.logs.keys().map(|pipeline| (*pipeline, path(pipeline))).collect()
    }

    /// Waits until every line is judged and stream time has left the last one behind: then every tally counts.
    fn settle(&self, node: &Process) {
        for (pipeline, log) in &self.logs {
            let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
            until_true(pipeline, || node.judged(pipeline) >= lines);
            assert_eq!(node.judged(pipeline), lines, "{pipeline}: each line once");
        }
        until_true("the end of the stream", || {
            let status = node.get("/api/v1/status");
            let time = |value: &serde_json::Value| serde_json::from_value::<Option<Time>>(value.clone()).unwrap();
            let last = status["inputs"].as_array().unwrap().iter().filter_map(|input| time(&input["time"])).max();
            time(&status["decide"]["stream_time"]) > last.map(|last| last.plus(10_000))
        });
    }

    /// The node says of every labelled actor what replay says.
    fn compare(&self, folder: &Path, node: &Process) {
        let inputs: Vec<(&str, PathBuf)> =
            self.logs.keys().map(|pipeline| (*pipeline, folder.join(format!("{pipeline}.replayed")))).collect();
        inputs.iter().for_each(|(pipeline, path)| fs::write(path, &self.logs[pipeline]).unwrap());
        let (alerts, blocks) = replayed(folder, &self.config, &inputs);
        let rules = rules_by_actor(&alerts, &self.actors);
        let targets = targets_by_actor(&blocks, &self.actors);
        assert!(rules.len() >= 8 && targets.len() >= 5, "{rules:?} {targets:?}");
        let found = rules_by_actor(&node.listed("alerts"), &self.actors);
        for actor in rules.keys().chain(found.keys()) {
            assert_eq!(found.get(actor), rules.get(actor), "{actor}");
        }
        assert_eq!(targets_by_actor(&node.listed("blocks"), &self.actors), targets);
    }
}

fn bytes_of(path: &Path) -> Vec<u8> {
    let (file, mut bytes) = (File::open(path).unwrap(), Vec::new());
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    } else {
        { file }.read_to_end(&mut bytes).unwrap();
    }
    bytes
}

/// Name and addresses of a row of `labels.csv` that is about an attack.
fn attacker(row: &str) -> Option<(String, Vec<IpNet>)> {
    // Only fields behind the addresses hold commas within quotes, but one: `what`.
    let mut quoted = false;
    let is_end = |character: char| {
        quoted ^= character == '"';
        character == ',' && !quoted
    };
    let fields: Vec<&str> = row.split(is_end).collect();
    let network = |text: &str| {
        let text = text.trim_matches('"');
        text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
    };
    let networks: Vec<IpNet> = fields.get(7)?.trim_matches('"').split(';').filter_map(network).collect();
    (fields[1] == "attack").then(|| (fields[0].to_owned(), networks))
}

fn by_file(scenario: &Scenario) {
    let folder = tempfile::tempdir().unwrap();
    let files = scenario.files(folder.path());
    files.iter().for_each(|(pipeline, path)| fs::write(path, &scenario.logs[pipeline]).unwrap());
    let source = |(pipeline, path): &(&str, PathBuf)| {
        format!("  - {{ file: \"{}\", pipeline: {pipeline}, from: beginning }}\n", path.display())
    };
    let sources: String = files.iter().map(source).collect();
    let config = format!("{}http: {{ listen: 127.0.0.1:0 }}\ncollect:\n{sources}", scenario.config);
    let node = Process::start(folder.path(), &config);
    scenario.settle(&node);
    scenario.compare(folder.path(), &node);
    assert!(node.finish().success());
}

/// Listens for each pipeline on an address of its own.
fn listeners(pipelines: &[&'static str]) -> (String, BTreeMap<&'static str, SocketAddr>) {
    let addresses: BTreeMap<&str, SocketAddr> = pipelines.iter().map(|pipeline| (*pipeline, free_address())).collect();
    let source =
        |(pipeline, address): (&&str, &SocketAddr)| format!("  - {{ syslog: {address}, pipeline: {pipeline} }}\n");
    let sources: String = addresses.iter().map(source).collect();
    (format!("http: {{ listen: 127.0.0.1:0 }}\ncollect:\n{sources}"), addresses)
}

fn by_tcp(scenario: &Scenario) {
    let folder = tempfile::tempdir().unwrap();
    let pipelines: Vec<&str> = scenario.logs.keys().copied().collect();
    let (sources, addresses) = listeners(&pipelines);
    let node = Process::start(folder.path(), &format!("{}{sources}", scenario.config));
    std::thread::scope(|scope| {
        for (pipeline, log) in &scenario.logs {
            let address = addresses[pipeline];
            scope.spawn(move || TcpStream::connect(address).unwrap().write_all(log).unwrap());
        }
    });
    scenario.settle(&node);
    scenario.compare(folder.path(), &node);
    assert!(node.finish().success());
}

#[test]
fn a_day_by_file_is_judged_as_replay_judges_it() {
    by_file(&Scenario::day());
}

#[test]
fn a_day_by_syslog_over_tcp_is_judged_as_replay_judges_it() {
    by_tcp(&Scenario::day());
}

#[test]
fn the_recorded_scenario_by_file() {
    Scenario::recorded().iter().for_each(by_file);
}

#[test]
fn the_recorded_scenario_by_syslog_over_tcp() {
    Scenario::recorded().iter().for_each(by_tcp);
}

/// The writer keeps its file while it is renamed, and ends its line there; the next line is in the new file.
#[test]
fn a_day_by_files_that_are_rotated_in_mid_line() {
    let scenario = Scenario::day();
    let folder = tempfile::tempdir().unwrap();
    let files = scenario.files(folder.path());
    let source = |(pipeline, path): &(&str, PathBuf)| {
        format!("  - {{ file: \"{}\", pipeline: {pipeline}, from: beginning }}\n", path.display())
    };
    let sources: String = files.iter().map(source).collect();
    let mut writers = Vec::new();
    for (pipeline, path) in &files {
        let log = &scenario.logs[pipeline];
        let cut = log.len() / 2;
        let line_end = cut + log[cut..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        // In mid-line, also where the half is the end of one.
        let cut = (line_end - 2).max(1);
        let mut writer = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writer.write_all(&log[..cut]).unwrap();
        writers.push((*pipeline, path, writer, (cut, line_end)));
    }
    let config = format!("{}http: {{ listen: 127.0.0.1:0 }}\ncollect:\n{sources}", scenario.config);
    let node = Process::start(folder.path(), &config);
    for (pipeline, path, mut writer, (cut, line_end)) in writers {
        let log = &scenario.logs[pipeline];
        let whole = log[..cut].iter().filter(|byte| **byte == b'\n').count() as u64;
        until_true("the lines before the cut", || node.judged(pipeline) >= whole);
        fs::rename(path, path.with_extension("log.1")).unwrap();
        fs::write(path, &log[line_end..]).unwrap();
        writer.write_all(&log[cut..line_end]).unwrap();
    }
    scenario.settle(&node);
    scenario.compare(folder.path(), &node);
    assert!(node.metric("sekisho_collect_rotations_total", "") >= files.len() as u64);
    assert!(node.finish().success());
}

/// Six requests of a known scanner, which are a block.
fn scan(client: &str) -> Vec<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let line = |number: i64| {
        let time = Time(now + number);
        format!(
            r#"{{"time":"{time}","remote_addr":"{client}","request_method":"GET","request_uri":"/a{number}","status":404,"http_user_agent":"sqlmap/1.7"}}"#
        )
    };
    (0..6).map(line).collect()
}

#[test]
fn what_comes_by_udp_from_elsewhere_never_blocks() {
    let test = "what_comes_by_udp_from_elsewhere_never_blocks";
    let network = "ip link set lo up && ip address add 198.18.0.1/32 dev lo";
    if !is_inside(test, &["--net"], network) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = "http: { listen: 127.0.0.1:0 }\ncollect:\n  - { syslog: 0.0.0.0:5514, pipeline: nginx }\n";
    let node = Process::start(folder.path(), config);
    let (by_udp, by_loopback, by_tcp) = ("175.16.199.31", "175.16.199.32", "175.16.199.33");
    let send = |from: &str, to: &str, lines: Vec<String>| {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        lines.iter().for_each(|line| assert!(socket.send_to(line.as_bytes(), to).unwrap() > 0));
    };
    send("198.18.0.1", "198.18.0.1:5514", scan(by_udp));
    send("127.0.0.1", "127.0.0.1:5514", scan(by_loopback));
    let mut connection = TcpStream::connect("198.18.0.1:5514").unwrap();
    scan(by_tcp).iter().for_each(|line| writeln!(connection, "{line}").unwrap());
    let alert = |client: &str| {
        until("an alert", || {
            let alerts = node.listed("alerts");
            alerts.into_iter().find(|a| a["client"]["ip"] == client && a["rule"]["name"] == "Known scanner at work")
        })
    };
    assert_eq!(alert(by_tcp)["sekisho"]["response"]["result"], "blocked");
    assert_eq!(alert(by_loopback)["sekisho"]["response"]["result"], "blocked");
    let response = alert(by_udp)["sekisho"]["response"].clone();
    assert_eq!((&response["result"], &response["reason"]), (&"refused".into(), &"unattributed".into()), "{response}");
    let targets: Vec<_> = node.listed("blocks").iter().map(|block| block["target"].to_string()).collect();
    assert!(targets.len() == 2 && !targets.iter().any(|target| target.contains(by_udp)), "{targets:?}");
    assert_eq!(node.metric("sekisho_collect_spoofable_total", ""), 6);
    assert!(node.metric("sekisho_blocks_refused_total", "unattributed") >= 1);
}

/// As fast as one thread sends, which is more than a hundred thousand lines a second.
#[test]
fn a_burst_into_syslog_loses_nothing_over_tcp_and_counts_what_udp_loses() {
    const LINES: u64 = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let (sources, addresses) = listeners(&["nginx", "sshd"]);
    let node = Process::start(folder.path(), &sources);
    let (by_tcp, by_udp) = (addresses["nginx"], addresses["sshd"]);
    let line = |number: u64| {
        format!(
            "50.128.{}.7 - - [25/Nov/2026:07:00:00 +0000] \"GET /page/{number} HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"",
            number % 250
        )
    };
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = std::io::BufWriter::new(TcpStream::connect(by_tcp).unwrap());
            (0..LINES).for_each(|number| writeln!(connection, "{}", line(number)).unwrap());
            connection.flush().unwrap();
        });
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let message = |number| format!("<38>Nov 25 07:00:00 web01 sshd[{number}]: Connection closed by 50.128.1.7");
            (0..LINES).for_each(|number| assert!(socket.send_to(message(number).as_bytes(), by_udp).unwrap() > 0));
        });
    });
    println!("{LINES} lines each by TCP and by UDP in {:.1} s", begun.elapsed().as_secs_f64());
    until_true("every line over TCP", || node.judged("nginx") >= LINES);
    let counted = |name: &str| node.metric(name, "pipeline=\"sshd\"");
    let (lines, dropped) = ("sekisho_collect_lines_total", "sekisho_collect_dropped_total");
    until_true("every datagram, taken or counted", || counted(lines) + counted(dropped) >= LINES);
    assert_eq!(node.judged("nginx"), LINES);
    assert_eq!(counted(lines) + counted(dropped), LINES);
    until_true("the datagrams that were taken", || node.judged("sshd") >= counted(lines));
    println!("of {LINES} datagrams {} were dropped; {} MiB", counted(dropped), node.memory_peak() >> 20);
    assert!(counted(dropped) == 0 || node.said().contains("the kernel threw some away"), "{}", node.said());
    assert!(node.memory_peak() < MEMORY_MAX, "{} bytes", node.memory_peak());
    assert!(node.finish().success());
}

#[test]
fn a_tail_that_began_before_the_first_line_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), "http: { listen: 127.0.0.1:0 }\n");
    let next = node.get("/api/v1/tail")["next"].as_str().unwrap().to_owned();
    assert_eq!(node.post("nginx", "", scan("50.128.1.7").join("\n").as_bytes()).status, 200);
    let page = node.get(&format!("/api/v1/tail?after={next}&wait=20s"));
    assert!(!page["events"].as_array().unwrap().is_empty(), "{page}");
    assert!(node.finish().success());
}

#[test]
fn a_pattern_that_fits_no_file_is_said_once_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let pattern = folder.path().join("later-*.log");
    let config = format!(
        "http: {{ listen: 127.0.0.1:0 }}\ncollect:\n  - {{ file: \"{}\", pipeline: nginx }}\n",
        pattern.display()
    );
    let node = Process::start(folder.path(), &config);
    until_true("a warning", || node.said().contains("no file matches this pattern now"));
    let line = "50.128.1.7 - - [25/Nov/2026:07:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"\n";
    fs::write(folder.path().join("later-1.log"), line.repeat(3)).unwrap();
    until_true("the lines of the new file", || node.judged("nginx") == 3);
    assert_eq!(node.said().matches("no file matches").count(), 1, "{}", node.said());
    assert!(node.finish().success());
}
