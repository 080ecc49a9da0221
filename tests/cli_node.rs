//! Every command over a running node: what is printed, what is refused and how it ends. I/O.
//!
//! The real binary runs on a free port of this machine, gets lines by HTTP, and the commands ask it. Deliberately without
//! numbers of rules: what is judged is tested elsewhere.
#![expect(clippy::disallowed_methods, reason = "a test of the program reads and writes files and waits for a process")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sekisho");
/// A node under load starts and indexes within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node and the folder it lives in.
struct Node {
    folder: TempDir,
    child: Child,
    url: String,
}

/// How a command ended.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Node {
    fn start() -> Node {
        let folder = tempfile::tempdir().unwrap();
        // The port is free again at once; nobody else on this machine is told of it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = folder.path().join("sekisho.yaml");
        std::fs::write(&config, format!("http: {{ listen: {address} }}\n")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg("--config").arg(&config).arg("--data").arg(folder.path().join("data"));
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        // Ends the process also where the start fails below.
        let mut node = Node { folder, child, url: format!("http://{address}") };
        let mut told = BufReader::new(node.child.stderr.take().unwrap());
        let (mut text, mut line) = (String::new(), String::new());
        while told.read_line(&mut line).unwrap() > 0 {
            text.push_str(&std::mem::take(&mut line));
            if text.contains("the API is on") {
                // Read on, or the node would stand still once the pipe is full.
                std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
                return node;
            }
        }
        panic!("the node did not start:\n{text}");
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Sends lines, and waits until they can be found.
    fn feed(&self, lines: &str) {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut door = TcpStream::connect(host).unwrap();
        let head = format!("POST /api/v1/ingest/nginx HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        write!(door, "{head}content-length: {}\r\n\r\n{lines}", lines.len()).unwrap();
        let mut answer = String::new();
        door.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let wanted = lines.lines().count();
        self.until(&["search", "-o", "json"], |run| run.out.lines().count() >= wanted);
    }

    /// Runs a command until it says what is waited for.
    fn until(&self, words: &[&str], told: impl Fn(&Run) -> bool) -> Run {
        let begun = Instant::now();
        loop {
            let run = self.run(words);
            if told(&run) {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "{words:?} never said it: {} {}", run.out, run.err);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).env("SEKISHO_URL", &self.url).env_remove("SEKISHO_KEY").stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Run {
        run(&mut self.command(words))
    }

    /// What a command that must succeed prints.
    fn prints(&self, words: &[&str]) -> String {
        let run = self.run(words);
        assert_eq!(run.code, Some(0), "{words:?}: {} {}", run.out, run.err);
        assert!(!run.out.contains('\u{1b}') && !run.out.contains('\u{202e}'), "{words:?}: {:?}", run.out);
        run.out
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.prints(words)).unwrap()
    }

    /// All that a command over the data directory says, which must end with this status.
    fn disk(&self, code: i32, words: &[&str]) -> String {
        let run = self.run(&[words, &["--data", &self.path("data")]].concat());
        assert_eq!(run.code, Some(code), "{words:?}: {} {}", run.out, run.err);
        run.out + &run.err
    }

    /// What a command that must fail with this status says.
    fn refuses(&self, code: i32, words: &[&str]) -> String {
        let run = self.run(words);
        assert_eq!(run.code, Some(code), "{words:?}: {} {}", run.out, run.err);
        run.err
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) -> Run {
    let done = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}

/// Requests of one client to a site, the last of them hostile to whoever reads them.
fn lines() -> String {
    let time = "23/Nov/2026:17:02:03 +0000";
    let plain =
        (0..5).map(|n| format!("203.0.113.9 - - [{time}] \"GET /page/{n} HTTP/1.1\" 404 5 \"-\" \"Mozilla/5.0\"\n"));
    let hostile = format!(
        "203.0.113.66 - =1+2 [{time}] \"GET /a\\x1b[2J\u{202e}b,c HTTP/1.1\" 200 5 \"-\" \"=cmd|'/C calc'!A0\"\n"
    );
    plain.chain([hostile]).collect()
}

#[test]
fn searches() {
    let node = Node::start();
    node.feed(&lines());
    let found = node.prints(&["search", "client.ip:203.0.113.9 AND http.response.status_code:404"]);
    assert_eq!(found.lines().count(), 6, "{found}");
    assert!(found.starts_with("TIME ") && found.contains("GET /page/4"), "{found}");
    let hostile = node.prints(&["search", "client.ip:203.0.113.66"]);
    assert!(hostile.contains("\\u{202e}b,c") && hostile.contains("\\u{1b}[2J"), "{hostile}");
    let flat = node.json(&["search", "client.ip:203.0.113.66", "-o", "json", "--flat"]);
    assert_eq!(flat["client.ip"], "203.0.113.66");
    let document = node.json(&["search", "client.ip:203.0.113.66", "-o", "json"]);
    assert!(document["url"]["original"].as_str().unwrap().contains('\u{202e}'), "JSON keeps what it escapes");
    let csv = node.prints(&["search", "client.ip:203.0.113.66", "-o", "csv"]);
    assert!(csv.contains("\"'=cmd|'/C calc'!A0\"") && csv.contains(",\"'=1+2\","), "{csv}");
    let oldest = node.run(&["search", "--sort", "oldest", "--limit", "2"]);
    assert!(oldest.err.contains("2 of 6 events"), "{}", oldest.err);
    assert!(node.run(&["search", "client.ip:192.0.2.1"]).err.contains("no event fits"));
    assert_eq!(node.prints(&["search", "client.ip:192.0.2.1", "-o", "csv"]).lines().count(), 1);
    let wrong = node.refuses(1, &["search", "client.ip:203.0.113.9 AND status:x"]);
    let [query, carets] = [1, 2].map(|line| wrong.lines().nth(line).unwrap().to_owned());
    assert_eq!(query.find("status"), carets.find('^'), "{wrong}");
    assert!(node.refuses(1, &["search", "--since", "soon"]).contains("how long ago"));
    node.refuses(2, &["search", "--since", "1h", "--from", "2h"]);
}

#[test]
fn orders() {
    let node = Node::start();
    let added = node.prints(&["blocks", "add", "1.2.3.4", "--ttl", "2h", "--reason", "bad \u{202e}guest"]);
    assert!(added.contains("block 1.2.3.4 for 2h: done"), "{added}");
    let listed = node.prints(&["blocks", "list"]);
    assert!(listed.contains("1.2.3.4/32") && listed.contains("bad "), "{listed}");
    assert_eq!(node.json(&["blocks", "list", "--covers", "1.2.3.4", "-o", "json"]).as_array().unwrap().len(), 1);
    assert!(node.prints(&["blocks", "delete", "1.2.3.0/24"]).contains("1 block was lifted"));
    assert!(!node.prints(&["blocks", "list"]).contains("1.2.3.4"));
    assert!(node.prints(&["blocks", "list", "--all"]).contains("(lifted)"));
    assert!(node.refuses(1, &["blocks", "add", "nobody"]).contains("nobody"));
    assert!(node.refuses(1, &["blocks", "add", "1.2.3.4", "--ttl", "900d"]).contains("at most 365d"));

    node.prints(&["blocks", "add", "8.8.8.8"]);
    let allowed = node.prints(&["allow", "add", "8.8.8.0/24", "9.9.9.9", "--reason", "resolvers"]);
    assert!(allowed.contains("1 block was lifted"), "{allowed}");
    assert!(node.prints(&["allow", "list"]).contains("resolvers"));
    assert!(node.prints(&["allow", "check", "8.8.8.8"]).contains("8.8.8.0/24"));
    assert_eq!(node.run(&["allow", "check", "1.1.1.1"]).code, Some(1));
    node.prints(&["allow", "remove", "8.8.8.0/24"]);
    assert_eq!(node.run(&["allow", "check", "8.8.8.8"]).code, Some(1));
    assert!(node.refuses(1, &["allow", "add", "0.0.0.0/0"]).contains("every address"));
    assert!(node.prints(&["status"]).contains("ready"));
    assert_eq!(node.json(&["status", "-o", "json"])["ready"], true);
    assert!(node.refuses(1, &["alerts", "list", "--severity", "bad"]).contains("moderate"));
    assert!(node.refuses(1, &["alerts", "show", "x"]).contains("32 hex digits"));
}

#[test]
fn watches_until_it_is_told_to_stop() {
    let node = Node::start();
    let mut tail = node.command(&["tail", "client.ip:203.0.113.66"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert!(shown.next().unwrap().unwrap().starts_with("TIME"), "the heading says that it watches");
    node.feed(&lines());
    let line = shown.next().unwrap().unwrap();
    assert!(line.contains("203.0.113.66") && !line.contains('\u{1b}'), "{line:?}");
    let kill = Command::new("kill").args(["-INT", &tail.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(tail.wait().unwrap().code(), Some(130));
}

#[test]
fn keys() {
    let node = Node::start();
    let data = node.path("data");
    let key = node.prints(&["keys", "add", "reader", "--role", "read", "--data", &data]);
    assert!(key.starts_with("sekisho_") && key.lines().count() == 1, "{key}");
    let listed = node.prints(&["keys", "list", "--data", &data]);
    assert!(listed.contains("reader") && !listed.contains(key.trim()), "{listed}");
    // The node looks at the file again within a second or two.
    let denied = node.until(&["status"], |run| run.code == Some(1));
    assert!(denied.err.contains("SEKISHO_KEY"), "{}", denied.err);
    assert_eq!(run(node.command(&["status"]).env("SEKISHO_KEY", key.trim())).code, Some(0));
    let file = node.path("reader.key");
    std::fs::write(&file, &key).unwrap();
    node.prints(&["status", "--key-file", &file]);
    let wrong = node.refuses(1, &["blocks", "add", "1.2.3.4", "--key-file", &file]);
    assert!(wrong.contains("role respond"), "{wrong}");
    assert!(node.refuses(1, &["keys", "add", "reader", "--role", "read", "--data", &data]).contains("already"));
    let removed = node.run(&["keys", "remove", "reader", "--data", &data]);
    assert_eq!(removed.code, Some(0), "{}", removed.err);
    assert!(node.refuses(1, &["keys", "remove", "reader", "--data", &data]).contains("no key named"));
    assert!(node.refuses(3, &["keys", "list", "--data", &node.path("none")]).contains("no data directory"));
}

#[test]
fn the_log_and_the_index_on_disk() {
    let mut node = Node::start();
    node.feed(&lines());
    node.prints(&["blocks", "add", "1.2.3.4", "--reason", "by hand"]);
    // While the node runs.
    assert!(node.disk(0, &["journal", "list"]).contains("nginx/0 0..6"));
    let listed: Value = serde_json::from_str(&node.disk(0, &["journal", "list", "-o", "json"])).unwrap();
    assert!(listed[0]["records"].as_u64().unwrap() > 6);
    let line: Value = serde_json::from_str(&node.disk(0, &["journal", "dump", "nginx/0/5"])).unwrap();
    assert!(line["text"].as_str().unwrap().starts_with("203.0.113.66"), "{line}");
    let signals = node.disk(0, &["journal", "dump", "sekisho.signals"]);
    assert!(signals.contains("\"pack\"") && signals.contains("by hand") && !signals.contains("unread"), "{signals}");
    assert!(node.disk(1, &["journal", "dump", "nginx/0/99"]).contains("no such record"));
    node.disk(2, &["journal", "dump", "nginx/x"]);
    assert!(node.disk(0, &["journal", "verify"]).starts_with("whole"));
    assert!(node.disk(3, &["journal", "repair"]).contains("in use by process"));
    assert!(node.disk(3, &["index", "verify"]).contains("in use by process"));
    assert!(node.disk(3, &["index", "rebuild"]).contains("in use by process"));
    assert!(node.refuses(3, &["journal", "list", "--data", "/"]).contains("no journal in"));
    // And once it is gone.
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    assert!(node.disk(0, &["journal", "repair"]).contains("nothing to repair"));
    assert!(node.disk(0, &["index", "verify"]).starts_with("whole: 6 events"));
    std::fs::remove_dir_all(node.path("data/index")).unwrap();
    assert!(node.disk(3, &["index", "verify"]).contains("no index"));
    assert!(node.disk(0, &["index", "rebuild"]).contains("6 records are indexed"));
    assert!(node.disk(0, &["index", "verify"]).starts_with("whole: 6 events"));
    assert!(!std::path::Path::new(&node.path("data/index.rebuilt")).exists());
    assert!(node.disk(0, &["index", "rebuild"]).contains("nothing is damaged"));
    damage_newest_split(&node.path("data/index"));
    assert!(node.disk(1, &["index", "verify"]).contains("DAMAGED"));
    assert!(node.disk(0, &["index", "rebuild"]).contains("read again"));
    assert!(node.disk(0, &["index", "verify"]).starts_with("whole: 6 events"));
    assert!(node.disk(0, &["index", "rebuild", "--all"]).contains("6 records are indexed"));
    let audited = node.disk(0, &["audit"]);
    assert!(audited.contains("nginx/0") && audited.contains("every record was judged once"), "{audited}");
    let file = listed[0]["file"].as_str().unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    let at = listed[0]["bytes"].as_u64().unwrap() as usize / 2;
    bytes[at] ^= 1;
    std::fs::write(file, &bytes).unwrap();
    let damaged = node.disk(1, &["journal", "verify"]);
    assert!(damaged.contains("DAMAGED") && damaged.contains("sekisho journal repair"), "{damaged}");
    assert!(node.disk(0, &["journal", "repair"]).contains("journal.damaged-1"));
    let verified = node.disk(0, &["journal", "verify"]);
    assert!(verified.starts_with("whole") && verified.contains("lost in an earlier repair: "), "{verified}");
}

/// Changes a byte of one of its files.
fn damage_newest_split(index: &str) {
    let paths = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let split = paths(index.as_ref()).filter(|path| path.is_dir()).max().unwrap();
    let store = paths(&split).find(|path| path.extension().is_some_and(|end| end == "store")).unwrap();
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[3] ^= 1;
    std::fs::write(store, bytes).unwrap();
}

#[test]
fn no_node() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let asked = |url: &str| run(Command::new(PROGRAM).args(["status", "--url", url]).env_remove("SEKISHO_KEY"));
    let none = asked(&format!("http://{address}"));
    assert_eq!(none.code, Some(3));
    assert!(none.err.contains("no node answers") && none.err.contains("sekisho run"), "{}", none.err);
    assert_eq!(asked("127.0.0.1").code, Some(2));
    assert!(asked("https://127.0.0.1").err.contains("no TLS"));
    // Another program on that port, and what it may say.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let serve = std::thread::spawn(move || {
        let (mut client, _) = other.accept().unwrap();
        let mut asked = [0; 1024];
        let _ = client.read(&mut asked).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\x1b[2Jhello").unwrap();
    });
    let strange = asked(&url);
    serve.join().unwrap();
    assert_eq!(strange.code, Some(3));
    assert!(strange.err.contains("another program") && !strange.err.contains('\u{1b}'), "{:?}", strange.err);
}
