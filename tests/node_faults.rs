//! A running node on a disk that fills up, without its index, with readers that do not read and with input that is wrong:
//! what it says, what it loses (nothing that was acknowledged), and that it goes on. I/O.
//!
//! `SEKISHO_SEED=n` takes another seed for the disk. Deliberately without kills: those are `node_crash`.
#![expect(clippy::disallowed_methods, reason = "tests read files, run programs and wait for what they started")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sekisho::event::{Input, Time};
use sekisho::journal::Journal;
use sekisho::journal::embedded::{Embedded, Settings};
use serde_json::Value;

mod node;
use node::{PROGRAM, Process, command, free_address, is_inside, refused, until_true};

const CONFIG: &str = "http: { listen: 127.0.0.1:0 }\n";
/// Times that the disk fills up.
const ROUNDS: u64 = 12;
/// Room for the journal's reserve, some of its segments and what a filler takes.
const DISK: &str = "size=192m";

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn request(client: &str, path: &str, agent: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let time = Time(now);
    format!(
        r#"{{"time":"{time}","remote_addr":"{client}","request_method":"GET","request_uri":"{path}","status":200,"http_user_agent":"{agent}"}}"#
    )
}

fn lines(count: usize) -> String {
    (0..count).map(|number| request("50.128.1.7", &format!("/page/{number}"), "Mozilla/5.0") + "\n").collect()
}

/// Lines that hardly compress.
fn noise(random: &mut Random, count: usize) -> Vec<String> {
    let mut path = || (0..24).map(|_| format!("{:08x}", random.below(1 << 31))).collect::<String>();
    (0..count).map(|_| request("50.128.1.7", &format!("/{}", path()), "Mozilla/5.0")).collect()
}

/// Takes all but about `left` bytes of the disk.
fn fill(path: &Path, left: u64) {
    let disk = rustix::fs::statvfs(path.parent().unwrap()).unwrap();
    let bytes = (disk.f_bavail * disk.f_frsize).saturating_sub(left);
    // The node writes meanwhile: where nothing is left at all, the file is as long as it could be.
    let _ = fs::write(path, vec![1; usize::try_from(bytes).unwrap()]);
}

/// Every raw record of `nginx` on disk.
fn on_disk(data: &Path) -> Vec<String> {
    let journal = Embedded::open(data, Arc::new(|| Time(0)), Settings::default()).unwrap();
    let mut found = Vec::new();
    for (input, range) in journal.partitions("nginx").unwrap() {
        let mut next = range.start;
        while next < range.end {
            let input = Input { topic: input.topic.clone(), ..input };
            for record in journal.read(&input, next, 1 << 20).unwrap().iter().flat_map(|block| block.iter()) {
                next = record.offset + 1;
                found.push(String::from_utf8(record.value.to_vec()).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_disk_that_fills_up_loses_nothing_and_goes_on_once_there_is_room() {
    let test = "a_disk_that_fills_up_loses_nothing_and_goes_on_once_there_is_room";
    let may_mount = "mount -t tmpfs -o size=1m none /mnt && umount /mnt";
    if !is_inside(test, &["--mount", "--propagation", "private"], may_mount) {
        return;
    }
    let seed = std::env::var("SEKISHO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4_711);
    println!("SEKISHO_SEED={seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "none"]).arg(folder.path()).status().unwrap();
    assert!(mounted.success());
    let mut run = command(folder.path(), CONFIG);
    run.env("SEKISHO_SEGMENT_BYTES", (1 << 20).to_string());
    let mut node = Process::run(run);
    let filler = folder.path().join("filler");
    let mut acknowledged: Vec<String> = Vec::new();
    let mut number = 0;
    for round in 0..ROUNDS {
        fill(&filler, random.below(4 << 20));
        loop {
            number += 1;
            let batch = noise(&mut random, 200);
            let (key, body) = (format!("Idempotency-Key: {number}\r\n"), batch.join("\n"));
            let answer = node.post("nginx", &key, body.as_bytes());
            if answer.status == 200 {
                acknowledged.extend(batch);
                continue;
            }
            assert!(answer.status == 429 && answer.code() == "disk_full", "{} {}", answer.status, answer.text);
            assert!(answer.text.contains("nothing was written") && answer.head.to_lowercase().contains("retry-after"));
            assert!(node.is_running());
            assert_eq!(node.ask("GET", "/livez", "", b"").status, 200);
            fs::remove_file(&filler).unwrap();
            until_true("room", || node.post("nginx", &key, body.as_bytes()).status == 200);
            acknowledged.extend(batch);
            break;
        }
        let judged = acknowledged.len() as u64;
        until_true("judging that goes on", || node.judged("nginx") == judged);
        println!("round {round}: {judged} lines");
    }
    assert!(node.metric("sekisho_journal_full_total", "") >= ROUNDS);
    assert!(node.finish().success());
    let found = on_disk(&folder.path().join("data"));
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (acknowledged.len(), acknowledged.len()), "each line once");
    assert!(acknowledged.iter().all(|line| distinct.contains(line)), "an acknowledged line is lost");
    drop(Command::new("umount").arg(folder.path()).status());
}

#[test]
fn an_index_that_is_deleted_while_it_runs_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), CONFIG);
    assert_eq!(node.post("nginx", "", lines(1_000).as_bytes()).status, 200);
    until_true("the index", || node.indexed() == 1_000);
    until_true("deleting", || fs::remove_dir_all(folder.path().join("data/index")).is_ok());
    let scan: String = (0..6).map(|n| request("175.16.199.31", &format!("/{n}"), "sqlmap/1.7") + "\n").collect();
    assert_eq!(node.post("nginx", "", scan.as_bytes()).status, 200);
    until_true("a block", || node.listed("blocks").iter().any(|block| block["target"] == "175.16.199.31/32"));
    until_true("the index, built again", || node.indexed() == 1_006);
    assert!(node.said().contains("detection goes on; the index is opened again"), "{}", node.said());
    assert!(node.metric("sekisho_index_faults_total", "") >= 1);
    let found = node.get("/api/v1/search?query=client.ip:175.16.199.31&limit=10");
    assert_eq!(found["total"], 6, "{found}");
    assert!(node.finish().success());
    let verify = Command::new(PROGRAM).args(["index", "verify", "--data"]).arg(folder.path().join("data")).output();
    let said = String::from_utf8(verify.unwrap().stdout).unwrap();
    assert!(said.starts_with("whole: 1006 events"), "{said}");
}

/// A reader of the stream, with the little its own socket holds.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(node: &Process, since: &str) -> Stream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&node.address.into()).unwrap();
        socket.set_read_timeout(Some(node::HANG)).unwrap();
        let mut socket = TcpStream::from(socket);
        write!(socket, "GET /api/v1/stream?since={since} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        Stream(BufReader::new(socket))
    }

    /// The next event: id, name and data.
    fn next(&mut self) -> Option<(String, String, String)> {
        let (mut id, mut name, mut line) = (String::new(), String::new(), String::new());
        while self.0.read_line(&mut line).unwrap_or(0) > 0 {
            let text = line.trim_end();
            if let Some(value) = text.strip_prefix("id: ") {
                id = value.to_owned();
            } else if let Some(value) = text.strip_prefix("event: ") {
                name = value.to_owned();
            } else if let Some(value) = text.strip_prefix("data: ") {
                return Some((id, name, value.to_owned()));
            }
            line.clear();
        }
        None
    }

    /// Ids of alerts up to `count` of them, or to the end; and the last event.
    fn alerts(&mut self, count: usize) -> (Vec<String>, Option<(String, String)>) {
        let (mut found, mut last) = (Vec::new(), None);
        while found.len() < count
            && let Some((id, name, data)) = self.next()
        {
            if name == "alert" {
                let alert: Value = serde_json::from_str(&data).unwrap();
                found.push(alert["event"]["id"].as_str().unwrap().to_owned());
            }
            last = Some((id, name));
        }
        (found, last)
    }
}

#[test]
fn a_slow_reader_of_the_stream_holds_nobody_up_and_goes_on_where_it_was() {
    const ALERTS: usize = 12_000;
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), CONFIG);
    let mut slow = Stream::open(&node, "0-0");
    assert_eq!(slow.next().unwrap().1, "hello");
    let mut quick = Stream::open(&node, "0-0");
    let reader = std::thread::spawn(move || quick.alerts(ALERTS).0);
    for block in 0..ALERTS / 1_000 {
        let client = |number: usize| format!("81.{}.{}.{}", 2 + block, number / 250, 1 + number % 250);
        let scan: String = (0..1_000).map(|number| request(&client(number), "/", "sqlmap/1.7") + "\n").collect();
        assert_eq!(node.post("nginx", "", scan.as_bytes()).status, 200);
    }
    let seen = reader.join().unwrap();
    assert_eq!(seen.len(), ALERTS);
    until_true("the slow reader's end", || node.metric("sekisho_stream_overruns_total", "") == 1);
    let (mut found, last) = slow.alerts(ALERTS);
    let (id, name) = last.unwrap();
    assert!(name == "overrun" && found.len() < ALERTS, "{name} after {}", found.len());
    let missing = ALERTS - found.len();
    found.extend(Stream::open(&node, &id).alerts(missing).0);
    assert!(found == seen, "lost or repeated");
}

#[test]
fn clients_that_never_read_cost_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), CONFIG);
    let asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    let silent: Vec<TcpStream> = (0..40).map(|_| node.connect()).collect();
    for socket in &silent {
        // As much as it takes without being waited for.
        socket.set_nonblocking(true).unwrap();
        let _ = (&*socket).write(asked.as_bytes());
    }
    assert_eq!(node.post("nginx", "", lines(10).as_bytes()).status, 200);
    until_true("judging", || node.judged("nginx") == 10);
    assert!(node.finish().success());
}

#[test]
fn requests_that_are_wrong_get_one_clear_message_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Process::start(folder.path(), CONFIG);
    let (gzip, zstd) = ("Content-Encoding: gzip\r\n", "Content-Encoding: zstd\r\n");
    let large = vec![b'x'; (16 << 20) + 1];
    let cases: [(&str, &[u8], u16, &str); 3] = [
        ("", &large, 413, "at most 16777216 bytes"),
        (gzip, b"\x1f\x8b\x08\0\0\0\0\0\0\x03broken", 400, "the compressed body"),
        (zstd, b"\x28\xb5\x2f\xfdbroken", 400, "the compressed body"),
    ];
    for (headers, body, status, said) in cases {
        let answer = node.post("nginx", headers, body);
        assert!(answer.status == status && answer.text.contains(said), "{said}: {} {}", answer.status, answer.text);
        assert!(!answer.code().is_empty());
    }
    let clauses = vec!["a"; 1_100].join("%20OR%20");
    for (path, said) in [
        (format!("/api/v1/search?query={clauses}"), "more than 1024 conditions"),
        ("/api/v1/search?query=url.path:*a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*p*q*r*".to_owned(), "`*`"),
        ("/api/v1/histogram?interval=1s&from=2020-01-01T00:00:00Z".to_owned(), "buckets"),
    ] {
        let answer = node.ask("GET", &path, "", b"");
        assert!(answer.status == 400 && answer.text.contains(said), "{said}: {} {}", answer.status, answer.text);
    }
    let (many, long) = ("X: y\r\n".repeat(100), format!("X: {}\r\n", "y".repeat(20_000)));
    for headers in [many, long] {
        let answer = node.ask("GET", "/livez", &headers, b"");
        assert_eq!((answer.status, answer.code().as_str()), (431, "headers_too_large"));
    }
    // Far beyond it nothing is read any more, and the status alone is told.
    assert_eq!(node.ask("GET", "/livez", &"X: y\r\n".repeat(100_000), b"").status, 431);
    let deep = format!("{}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(node.post("login", "", deep.as_bytes()).json()["records"], 1);
    assert_eq!(node.post("nginx", "", b"\xff\xfe\xc0\xaf nothing\n").json()["records"], 1);
    until_true("judging of both", || node.judged("login") + node.judged("nginx") == 2);
    assert!(node.is_running() && node.get("/api/v1/status")["ready"] == true);
    assert!(node.finish().success());
}

/// It does not start, and says once why and what to do.
fn is_refused(folder: &Path, config: &str, status: i32, said: &[&str]) {
    let (code, text) = refused(command(folder, config));
    assert_eq!(code, Some(status), "{text}");
    assert!(said.iter().all(|part| text.contains(part)), "{said:?} in: {text}");
}

#[test]
fn a_node_that_must_not_start_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port: SocketAddr = taken.local_addr().unwrap();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    is_refused(folder, &format!("http: {{ listen: {port} }}\n"), 3, &[&port.to_string(), "in use"]);
    let syslog = format!("{CONFIG}collect:\n  - {{ syslog: {port}, pipeline: sshd }}\n");
    is_refused(folder, &syslog, 3, &[&port.to_string(), "another program", "choose another port"]);
    is_refused(folder, "htpp: { listen: 127.0.0.1:0 }\n", 1, &["sekisho.yaml", "htpp", "did you mean `http`?"]);
    let everyone = format!("http: {{ listen: 0.0.0.0:{} }}\n", free_address().port());
    is_refused(folder, &everyone, 3, &["keys"]);
    let node = Process::start(folder, CONFIG);
    is_refused(folder, CONFIG, 3, &["data", "in use by process", "another data directory"]);
    assert!(node.finish().success());
    let file = tempfile::tempdir().unwrap();
    fs::write(file.path().join("data"), "a file").unwrap();
    is_refused(file.path(), CONFIG, 3, &["failed to use", "a directory this user may write to"]);
    let mut nowhere = Command::new(PROGRAM);
    nowhere.arg("run").arg("--config").arg(file.path().join("sekisho.yaml")).args(["--data", "/proc/sekisho"]);
    let (code, text) = refused(nowhere);
    assert!(code == Some(3) && text.contains("/proc/sekisho"), "{code:?} {text}");
    let kafka =
        format!("{CONFIG}journal: {{ kafka: {{ brokers: [a], properties: {{ auto.offset.reset: latest }} }} }}\n");
    is_refused(folder, &kafka, 1, &["sekisho.yaml:", "auto.offset.reset", "nothing is skipped"]);
    let mut some = command(folder, CONFIG);
    some.args(["--roles", "ingest"]);
    let (code, text) = refused(some);
    assert!(code == Some(1) && text.contains("journal: { kafka"), "{code:?} {text}");
}

#[test]
fn a_cluster_that_is_away_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = free_address();
    let config = format!("{CONFIG}journal: {{ kafka: {{ brokers: [\"{nobody}\"] }} }}\n");
    let mut node = Process::start(folder.path(), &config);
    until_true("the reason", || {
        let ready = node.ask("GET", "/readyz?verbose", "", b"");
        ready.status == 503 && ready.text.contains("no broker answers") && ready.text.contains("TLS port")
    });
    assert!(node.is_running());
    assert!(node.said().matches("no broker answers").count() <= 2, "once a minute: {}", node.said());
    assert!(node.finish().success());
}

#[test]
fn a_journal_of_a_newer_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), CONFIG);
    assert_eq!(node.post("nginx", "", lines(3).as_bytes()).status, 200);
    assert!(node.finish().success());
    let segments = fs::read_dir(folder.path().join("data/journal")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.filter(|path| path.extension().is_some_and(|it| it == "segment")).max().unwrap();
    // The version of the first frame, under a checksum that fits.
    let mut bytes = fs::read(&segment).unwrap();
    let head = u32::from_le_bytes(bytes[28..32].try_into().unwrap()) as usize;
    bytes[20] = 9;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..16]), &bytes[20..head]);
    bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&segment, &bytes).unwrap();
    is_refused(folder.path(), CONFIG, 3, &["journal format 9", "use the newer program"]);
    assert_eq!(fs::read(&segment).unwrap(), bytes, "left as it is");
}

#[test]
fn a_record_that_ends_the_process_is_found_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let fatal = || {
        let mut command = command(folder.path(), CONFIG);
        command.env("SEKISHO_CRASH_ON", "/fatal");
        command
    };
    // Without the API nobody sends it: it is there before the life that it ends.
    let node = Process::run(fatal());
    let time = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let line = |path: &str| format!("50.150.1.7 - - [{time}] \"GET {path} HTTP/1.1\" 200 9 \"-\" \"Mozilla/5.0\"\n");
    let lines: String = ["/1", "/2", "/fatal", "/4", "/5"].into_iter().map(line).collect();
    let mut socket = node.connect();
    let head =
        format!("POST /api/v1/ingest/nginx HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", lines.len());
    Write::write_all(&mut socket, (head + &lines).as_bytes()).unwrap();
    let mut node = node;
    until_true("its end", || !node.is_running());
    let judged = |node: &Process| node.try_get("/api/v1/status").unwrap_or_default()["index"]["events"] == 4;
    let (node, ended) = node::until_it_lives(fatal, judged);
    // Three of ingest and three of the index; some life may have been ended by both.
    assert!((2..=5).contains(&ended), "{ended} more");
    assert!(node.finish().success());
    let dumped = Command::new(PROGRAM)
        .args(["journal", "dump", "sekisho.dead-letters", "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    let dumped = String::from_utf8_lossy(&dumped.stdout).into_owned();
    assert_eq!(dumped.matches("the process ended three times").count(), 1, "{dumped}");
    // Where it does not end the process, nothing of this is left.
    let node = Process::start(folder.path(), CONFIG);
    until_true("all of it again", || judged(&node));
    assert!(node.finish().success());
}
