//! A node as a process of its own, and what a test asks of it. I/O.
//!
//! Deliberately without judging: what is right is each test's to say.
#![allow(dead_code, reason = "each test takes of this what it needs")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_sekisho");
/// Nothing here takes so long unless it hangs.
pub const HANG: Duration = Duration::from_secs(180);
/// Set in the environment of a test that runs again in a name space of its own.
const INSIDE: &str = "SEKISHO_TEST_INSIDE";
/// Set where name spaces are known to be had: then a test that needs one may not be left out.
const SPACES: &str = "SEKISHO_TEST_SPACES";

/// A running node; it ends with the test.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    said: Arc<Mutex<String>>,
}

/// How the API answered.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The word for programs of a refusal.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// The command that runs a node in `folder` with this configuration.
pub fn command(folder: &Path, config: &str) -> Command {
    let path = folder.join("sekisho.yaml");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("run").arg("--config").arg(path).arg("--data").arg(folder.join("data"));
    command.env_remove("RUST_BACKTRACE").stdout(Stdio::null());
    command
}

/// What a node says that must not start: its status and its one message.
pub fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.matches("error: ").count() == 1 && !said.contains("panicked"), "one message: {said}");
    (output.status.code(), said)
}

impl Process {
    /// Starts a node and waits until its API listens.
    pub fn start(folder: &Path, config: &str) -> Process {
        Process::run(command(folder, config))
    }

    pub fn run(command: Command) -> Process {
        Process::try_run(command).unwrap_or_else(|(status, said)| panic!("the node ended with {status}:\n{said}"))
    }

    /// The same for one that may end before its API listens: how it ended, and what it said.
    pub fn try_run(mut command: Command) -> Result<Process, (ExitStatus, String)> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| *heard.lock().unwrap() += &format!("{line}\n"));
        });
        let mut process = Process { child, address: SocketAddr::from(([0; 4], 0)), said };
        process.address = until("the API", || {
            let said = process.said();
            if let Some(status) = process.child.try_wait().unwrap() {
                return Some(Err((status, said)));
            }
            let address = said.split_once("http://").and_then(|(_, rest)| rest.split_once("/api"));
            address.map(|(at, _)| Ok(at.parse().unwrap()))
        })?;
        Ok(process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it said.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// One request on a connection of its own; HTTP/1.0, so no answer is chunked.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes and reads until the node closes.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut socket = self.connect();
        // A node that has heard enough closes before all is sent.
        let _ = socket.write_all(bytes);
        let (mut all, mut block) = (Vec::new(), [0; 16 * 1024]);
        while let Ok(count) = socket.read(&mut block) {
            if count == 0 {
                break;
            }
            all.extend_from_slice(&block[..count]);
        }
        let text = String::from_utf8_lossy(&all).into_owned();
        let (head, text) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), text: text.to_owned() }
    }

    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(HANG)).unwrap();
        socket.set_write_timeout(Some(HANG)).unwrap();
        socket
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "", b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// The same of a node that may end meanwhile.
    pub fn try_get(&self, path: &str) -> Option<Value> {
        let mut socket = TcpStream::connect(self.address).ok()?;
        socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
        let mut text = String::new();
        socket.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    pub fn post(&self, pipeline: &str, headers: &str, body: &[u8]) -> Answer {
        self.ask("POST", &format!("/api/v1/ingest/{pipeline}"), headers, body)
    }

    /// Records that ingest has judged, of one pipeline.
    pub fn judged(&self, pipeline: &str) -> u64 {
        let status = self.get("/api/v1/status");
        let inputs = status["inputs"].as_array().unwrap().iter().filter(|input| input["topic"] == pipeline);
        inputs.map(|input| input["records"].as_u64().unwrap()).sum()
    }

    /// Events that can be found.
    pub fn indexed(&self) -> u64 {
        self.get("/api/v1/status")["index"]["events"].as_u64().unwrap()
    }

    /// A metric, added up over its series of which the labels hold `part`.
    pub fn metric(&self, name: &str, part: &str) -> u64 {
        let text = self.ask("GET", "/metrics", "", b"").text;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64;
        text.lines().filter(of_name).filter(|line| line.contains(part)).map(value).sum()
    }

    /// Everything of a list that comes page by page.
    pub fn listed(&self, what: &str) -> Vec<Value> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/{what}?limit=1000{after}"));
            found.extend(page[what].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { return found };
            after = format!("&after={next}");
        }
    }

    /// The most memory it ever had, in bytes.
    pub fn memory_peak(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Ends it quietly: everything that came in flows through first.
    pub fn finish(mut self) -> ExitStatus {
        let sent = Command::new("kill").arg("-TERM").arg(self.id().to_string()).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the node said:\n{}", self.said());
        }
    }
}

/// Starts a node again and again, as a supervisor does, until it lives and this holds of it; how often it ended.
pub fn until_it_lives(command: impl Fn() -> Command, holds: impl Fn(&Process) -> bool) -> (Process, usize) {
    let mut ended = 0;
    loop {
        assert!(ended < 20, "it ends for ever");
        let Ok(mut node) = Process::try_run(command()) else {
            ended += 1;
            continue;
        };
        let lives = until("it to end or to go on", || {
            let lives = node.is_running();
            (!lives || holds(&node)).then_some(lives)
        });
        if lives {
            return (node, ended);
        }
        ended += 1;
    }
}

/// Waits until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < HANG, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until something holds.
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}

/// An address of this machine that nobody listens on; nobody else is told of it.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Runs the named test again in a name space of its own, which ends with it, after `prepare`. `true` in the
/// process inside; outside nothing is left to do, also where this user may not have one.
pub fn is_inside(test: &str, space: &[&str], prepare: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!("{{ {prepare}; }} || exit 99; exec \"$0\" --exact \"$1\" --nocapture");
    let mut command = Command::new("unshare");
    command.args(space).args(["sh", "-c", &script]).arg(std::env::current_exe().unwrap()).arg(test).env(INSIDE, "1");
    let output = command.output().expect("unshare: install the package util-linux");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(99) || said.starts_with("unshare:") {
        assert!(std::env::var_os(SPACES).is_none(), "there are name spaces here, but not this one: {said}");
        println!("not run: this user may not have a name space, or a tool is missing (iproute2, mount): {said}");
    } else {
        assert!(output.status.success(), "{said}");
        println!("{said}");
    }
    false
}

/// What `sekisho replay` makes of these files, each with its pipeline: alerts and blocks.
pub fn replayed(folder: &Path, config: &str, inputs: &[(&str, PathBuf)]) -> (Vec<Value>, Vec<Value>) {
    let path = folder.join("replay.yaml");
    fs::write(&path, config).unwrap();
    let out = folder.join("out");
    let mut command = Command::new(PROGRAM);
    command.arg("replay").arg("--config").arg(&path).arg("--out").arg(&out);
    for (pipeline, path) in inputs {
        command.arg("--pipeline").arg(format!("{pipeline}={}", path.display()));
    }
    let run = command.output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let objects = |name: &str| {
        let text = fs::read_to_string(out.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    (objects("alerts.ndjson"), objects("blocks.ndjson"))
}

/// Rule and entity of each alert about an actor, by actor.
pub fn rules_by_actor(
    alerts: &[Value],
    actors: &[(String, Vec<ipnet::IpNet>)],
) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for alert in alerts {
        let Ok(client) = text(&alert["client"]["ip"]).parse::<std::net::IpAddr>() else { continue };
        for (name, _) in actors.iter().filter(|(_, networks)| networks.iter().any(|net| net.contains(&client))) {
            let of = (text(&alert["rule"]["name"]), text(&alert["sekisho"]["entity"]["value"]));
            found.entry(name.clone()).or_default().insert(of);
        }
    }
    found
}

/// Targets of blocks that touch an actor, by actor.
pub fn targets_by_actor(
    blocks: &[Value],
    actors: &[(String, Vec<ipnet::IpNet>)],
) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for target in blocks.iter().filter_map(|block| block["target"].as_str()) {
        let network: ipnet::IpNet = target.parse().unwrap();
        let touches = |net: &ipnet::IpNet| net.contains(&network) || network.contains(net);
        for (name, _) in actors.iter().filter(|(_, networks)| networks.iter().any(touches)) {
            found.entry(name.clone()).or_default().insert(target.to_owned());
        }
    }
    found
}
