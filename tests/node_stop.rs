//! How a node ends: once told it lets what came in flow through, twice told it leaves; neither loses or repeats anything.
//!
//! Clients send batches of unique lines until the door closes; a stall is had by construction, at a named step.
#![expect(clippy::disallowed_methods, reason = "a test of the program runs it, and reads and writes files")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use sekisho::event::{Input, Time};
use sekisho::journal::Journal;
use sekisho::journal::embedded::{Embedded, Settings};

/// Nothing takes so long unless it hangs; far beyond what a stop is promised to take.
const HANG: Duration = Duration::from_secs(120);
const CLIENTS: u64 = 4;
/// Batches that are acknowledged before the node is told to stop.
const BATCHES: usize = 60;
const STOPPING: &str = "a second signal ends it at once";

/// A process, what it says, and where its API listens.
struct Life {
    child: Child,
    told: BufReader<ChildStderr>,
    address: String,
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &tempfile::TempDir, stall: Option<&str>) -> Life {
    let config = folder.path().join("sekisho.yaml");
    fs::write(&config, "http: { listen: 127.0.0.1:0 }\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.arg("run").arg("--config").arg(config).arg("--data").arg(folder.path().join("data"));
    command.envs(stall.map(|at| ("SEKISHO_STALL_AT", at))).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap());
    let mut life = Life { child, told, address: String::new() };
    let line = life.hear("the API is on");
    life.address = line.split_once("http://").unwrap().1.split_once("/api").unwrap().0.to_owned();
    life
}

impl Life {
    /// Reads on until it says this; gives the line.
    fn hear(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        while self.told.read_line(&mut line).unwrap() > 0 {
            if line.contains(wanted) {
                return line;
            }
            line.clear();
        }
        panic!("it never says {wanted:?}");
    }

    /// Everything it says to its end.
    fn rest(&mut self) -> String {
        let mut text = String::new();
        self.told.read_to_string(&mut text).unwrap();
        text
    }

    fn terminate(&self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + HANG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts clients that send until nobody answers, each acknowledged batch to `sender`.
    fn clients(&self, sender: &Sender<Vec<String>>) {
        for client in 0..CLIENTS {
            let (address, sender) = (self.address.clone(), sender.clone());
            std::thread::spawn(move || {
                let batches = (0..).map(|number| lines(client, number));
                let acknowledged = batches.map_while(|batch| post(&address, &batch).is_some().then_some(batch));
                // Nobody listens any more once the test has failed.
                acknowledged.for_each(|batch| drop(sender.send(batch)));
            });
        }
    }
}

fn lines(client: u64, number: u64) -> Vec<String> {
    let line = |item: u64| {
        format!(
            r#"{{"event":"login","outcome":"failure","user":"ann","client_ip":"81.2.{client}.{}","id":"{client}-{number}-{item}"}}"#,
            1 + number % 200
        )
    };
    (0..50).map(line).collect()
}

/// Sends a batch; `None` where it was not acknowledged.
fn post(address: &str, lines: &[String]) -> Option<()> {
    let body = lines.join("\n");
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(HANG)).ok()?;
    let length = body.len();
    let head = format!("POST /api/v1/ingest/login HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.0 200").then_some(())
}

/// As many batches as are to be acknowledged before anything happens.
fn some(receiver: &Receiver<Vec<String>>) -> Vec<String> {
    let batches = (0..BATCHES).map(|_| receiver.recv_timeout(HANG).expect("the door is open"));
    batches.flatten().collect()
}

/// The next start goes on, ends quietly, and everything acknowledged is there once and was judged.
fn check(folder: &tempfile::TempDir, acknowledged: &[String]) {
    let mut life = start(folder, None);
    life.terminate();
    assert!(life.wait().success(), "{}", life.rest());
    let journal = Embedded::open(&folder.path().join("data"), Arc::new(|| Time(0)), Settings::default()).unwrap();
    let input = Input { topic: "login".to_owned(), partition: 0 };
    let (mut next, mut seen) = (0, BTreeSet::new());
    loop {
        let blocks = journal.read(&input, next, 1 << 20).unwrap();
        let Some(last) = blocks.last() else { break };
        next = last.offsets().end;
        for record in blocks.iter().flat_map(|block| block.iter()) {
            let line = String::from_utf8(record.value.to_vec()).unwrap();
            assert!(seen.insert(line), "a line is there twice");
        }
    }
    assert!(acknowledged.iter().all(|line| seen.contains(line)), "an acknowledged line is lost");
    assert_eq!(journal.positions("ingest"), [(input, next)], "not all of it was judged");
}

/// A node that was told to stop while clients send: its folder, itself, what they go on to hear and what they heard so far.
fn told_under_load(stall: Option<&str>) -> (tempfile::TempDir, Life, Receiver<Vec<String>>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let life = start(&folder, stall);
    let (sender, receiver) = channel();
    life.clients(&sender);
    drop(sender);
    let acknowledged = some(&receiver);
    life.terminate();
    (folder, life, receiver, acknowledged)
}

#[test]
fn one_signal_under_load_ends_quietly() {
    let (folder, mut life, receiver, mut acknowledged) = told_under_load(None);
    assert_eq!(life.wait().code(), Some(0));
    assert!(life.rest().contains(STOPPING));
    // Every client has seen the door close by now, so this ends.
    acknowledged.extend(receiver.iter().flatten());
    check(&folder, &acknowledged);
}

#[test]
fn a_second_signal_leaves_at_once() {
    let (folder, mut life, receiver, mut acknowledged) = told_under_load(Some("ingest.examined:3"));
    life.hear(STOPPING);
    life.terminate();
    assert_eq!(
        life.wait().code(),
        Some(130),
        "ingest stands still, so the first signal alone ends otherwise and later"
    );
    assert_eq!(life.rest(), "", "nobody waited for a stage");
    acknowledged.extend(receiver.iter().flatten());
    check(&folder, &acknowledged);
}

#[test]
fn a_stage_that_stands_still_is_left_behind() {
    let (folder, mut life, receiver, mut acknowledged) = told_under_load(Some("decide.folded:3"));
    assert_eq!(life.wait().code(), Some(0));
    let told = life.rest();
    assert!(told.contains("decide: did not finish in time") && !told.contains("index: did not"), "{told}");
    acknowledged.extend(receiver.iter().flatten());
    check(&folder, &acknowledged);
}
