//! `sekisho replay`, `decode` and `blocks verify` as a user meets them: files in, files out, statuses and messages.
//!
//! Pipelines and rules are the test's own, so that the shipped ones may change.
#![expect(clippy::disallowed_methods, reason = "a test of the program reads and writes files")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const PIPELINE: &str = "
name: NAME
dataset: nginx.access
logsources: [{ category: webserver }]
decoders: [combined]
";

const NOT_FOUND: &str = "
title: Not found
id: 6a2f7f5e-54d9-4b3c-9d0a-0c3fd5f1a001
name: not_found
status: stable
description: A path that is not there.
level: low
logsource: { category: webserver }
detection:
  selection: { http.response.status_code: 404 }
  condition: selection
";

const SCAN: &str = "
title: Scan for paths
id: 6a2f7f5e-54d9-4b3c-9d0a-0c3fd5f1a002
name: scan
status: stable
description: Many paths that are not there, asked for by one client.
level: high
correlation:
  type: event_count
  rules: [not_found]
  group-by: [client.ip]
  timespan: 1m
  condition: { gte: 10 }
sekisho:
  severity: major
  entity: client
  response: { level: block, ttl: 4h, because: \"Nobody mistypes ten addresses in a minute.\" }
";

const SCANNER: &str = "8.8.4.4";
const VISITOR: &str = "9.9.9.9";

/// A folder with pipelines `web` and `shop`, two rules and whatever a test adds.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let world = World { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("pipelines")).unwrap();
        fs::create_dir(world.path("rules")).unwrap();
        world.write("pipelines/web.yml", PIPELINE.replace("NAME", "web"));
        world.write("pipelines/shop.yml", PIPELINE.replace("NAME", "shop"));
        world.write("rules/not_found.yml", NOT_FOUND);
        world.write("rules/scan.yml", SCAN);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command.current_dir(self.folder.path()).env_remove("RUST_BACKTRACE").stdin(Stdio::null()).args(words);
        command.args(["--rules", "rules", "--pipelines", "pipelines"]);
        command
    }

    fn sekisho(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn with_stdin(&self, words: &[&str], stdin: &[u8]) -> Output {
        let mut child = self.piped(words);
        // A command that needs no more input may close the pipe: then its status tells.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    fn piped(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A replay of `web=access.log` and the like into `out`.
    fn replay(&self, inputs: &[&str], out: &str, more: &[&str]) -> Output {
        self.sekisho(&replay_words(inputs, out, more))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn objects(&self, name: &str) -> Vec<Value> {
        objects(&fs::read(self.path(name)).unwrap())
    }

    fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let file = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        let mut files: Vec<(String, Vec<u8>)> = entries.map(|entry| file(entry.unwrap())).collect();
        files.sort();
        files
    }
}

fn replay_words<'a>(inputs: &[&'a str], out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let inputs = inputs.iter().flat_map(|input| ["--pipeline", *input]);
    ["replay"].into_iter().chain(inputs).chain(["--out", out]).chain(more.iter().copied()).collect()
}

fn objects(text: &[u8]) -> Vec<Value> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn line(client: &str, minute: usize, second: usize, path: &str, status: u16) -> String {
    let at = format!("23/Nov/2026:17:{minute:02}:{second:02} +0000");
    format!("{client} - - [{at}] \"GET {path} HTTP/1.1\" {status} 5 \"-\" \"Mozilla/5.0\"\n")
}

/// Ten minutes: a visitor every second; a scanner in minute 3.
fn access_log() -> String {
    let mut text = String::new();
    for second in 0..600 {
        text += &line(VISITOR, second / 60, second % 60, &format!("/page/{second}"), 200);
        if second / 60 == 3 {
            text += &line(SCANNER, 3, second % 60, &format!("/admin/{second}"), 404);
        }
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

/// The command ends with this status, says this, and leaves nothing in `out`.
#[track_caller]
fn refused(world: &World, output: &Output, status: i32, said: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{message}");
    assert!(said.iter().all(|part| message.contains(part)), "{said:?} in: {message}");
    assert!(!message.contains("panicked") && message.lines().count() <= 12, "one clear message: {message}");
    assert!(output.stdout.is_empty());
    assert!(!world.path("out").exists(), "no result is left");
}

#[test]
fn a_scanner_is_blocked_and_a_visitor_is_not() {
    let world = World::new();
    world.write("access.log", access_log());
    let output = world.replay(&["web=access.log"], "out", &["--timings", "timings.json"]);
    done(&output);
    assert!(output.stdout.is_empty(), "results go to files, messages to stderr");
    let blocks = world.objects("out/blocks.ndjson");
    assert_eq!(blocks.len(), 1, "{blocks:?}");
    assert_eq!(blocks[0]["target"], format!("{SCANNER}/32"));
    assert_eq!(blocks[0]["receipt"]["count"], 10);
    let names: Vec<String> = world.files("out").into_iter().map(|(name, _)| name).collect();
    let expected =
        ["alerts.ndjson", "blocks.ndjson", "dead-letters.ndjson", "incidents.ndjson", "lifts.ndjson", "summary.json"];
    assert_eq!(names, expected);
    let summary = world.json("out/summary.json");
    assert_eq!(summary["pipelines"]["web"]["records"], 660);
    assert_eq!(summary["pipelines"]["web"]["events"], 660);
    assert_eq!(summary["pipelines"]["web"]["bytes"], access_log().len());
    assert_eq!((&summary["blocks"], &summary["dead_letters"]), (&1.into(), &0.into()));
    assert_eq!(summary["first_at"], "2026-11-23T17:00:00.000Z");
    assert_eq!(summary["last_at"], "2026-11-23T17:09:59.000Z");
    assert_eq!(summary["catalog"], blocks[0]["receipt"]["catalog"]);
    assert_eq!(world.json("timings.json")["events"], 660);
}

#[test]
fn same_input_same_bytes_whatever_the_threads_and_batches() {
    let world = World::new();
    let shop = access_log().replace(SCANNER, "8.8.8.8");
    world.write("access.log.gz", gzip(access_log().as_bytes()));
    world.write("shop.log.zst", zstd::encode_all(shop.as_bytes(), 1).unwrap());
    let inputs = ["web=access.log.gz", "shop=shop.log.zst", "web=shop.log.zst"];
    let runs = [("1", "1"), ("1", "1000"), ("2", "7"), ("3", "1000"), ("3", "1")];
    let mut results = Vec::new();
    for (run, (threads, batch)) in runs.into_iter().enumerate() {
        let out = format!("out{run}");
        done(&world.replay(&inputs, &out, &["--threads", threads, "--batch", batch, "--events"]));
        results.push(world.files(&out));
    }
    assert_eq!(results[0].len(), 7);
    assert!(results[0].iter().any(|(name, bytes)| name == "blocks.ndjson" && !bytes.is_empty()));
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn inputs_merge_by_time_then_order_then_offset() {
    let world = World::new();
    let at = |second, path| line(VISITOR, 0, second, path, 200);
    world.write("a.log", [at(1, "/a0"), at(5, "/a1")].concat());
    world.write("b.log", [at(1, "/b0"), at(3, "/b1"), "no time\n".into()].concat());
    world.write("c.log", at(4, "/c0"));
    done(&world.replay(&["web=a.log", "shop=b.log", "web=c.log"], "out", &["--events"]));
    let events = world.objects("out/events.ndjson");
    let place = |event: &Value| {
        let position = &event["sekisho"]["position"];
        format!("{} {} {}", position["topic"].as_str().unwrap(), position["partition"], position["offset"])
    };
    let places: Vec<String> = events.iter().map(place).collect();
    assert_eq!(places, ["web 0 0", "shop 0 0", "shop 0 1", "shop 0 2", "web 1 0", "web 0 1"]);
    assert_eq!(events[3]["sekisho"]["appended_at"], "2026-11-23T17:00:03.000Z", "a line without a time keeps the key");
    assert_eq!(events[3]["sekisho"]["flaws"][0]["kind"], "undecodable");
    assert_eq!(events[3]["event"]["original"], "no time");
}

#[test]
fn one_forged_time_is_a_flaw_and_moves_nothing() {
    let world = World::new();
    let forged = line(VISITOR, 0, 2, "/forged", 200).replace("2026", "2031");
    world.write("a.log", [line(VISITOR, 0, 1, "/a", 200), forged, line(VISITOR, 0, 3, "/b", 200)].concat());
    let output = world.replay(&["web=a.log"], "out", &["--events"]);
    done(&output);
    assert!(stderr(&output).contains("claim a time more than an hour ahead"), "{}", stderr(&output));
    let events = world.objects("out/events.ndjson");
    assert_eq!(events[1]["sekisho"]["appended_at"], "2026-11-23T17:00:01.000Z");
    let flaws = events[1]["sekisho"]["flaws"].as_array().unwrap();
    assert!(flaws.iter().any(|flaw| flaw["kind"] == "time_jump"), "{flaws:?}");
    let summary = world.json("out/summary.json");
    assert_eq!(summary["last_at"], "2026-11-23T17:00:03.000Z");
    assert_eq!(summary["pipelines"]["web"]["flawed"], 1);
}

#[test]
fn inputs_that_are_none_are_refused() {
    let world = World::new();
    world.write("whole.log", access_log());
    let packed = gzip(access_log().as_bytes());
    world.write("cut.gz", &packed[..packed.len() / 2]);
    world.write("junk.gz", b"\x1f\x8b\x08\x00junk junk junk");
    world.write("bomb.gz", gzip(&vec![0; 80 << 20]));
    for (input, said) in [
        ("web=none.log", ["none.log", "is not there"]),
        ("web=none/none.log", ["none.log", "no folder none"]),
        ("web=pipelines", ["pipelines", "is a directory"]),
        ("web=cut.gz", ["cut.gz", "is cut short"]),
        ("web=junk.gz", ["junk.gz", "is damaged"]),
        ("web=bomb.gz", ["bomb.gz", "as a bomb does"]),
        ("wep=whole.log", ["wep", "did you mean `web`?"]),
    ] {
        for threads in ["1", "2"] {
            refused(&world, &world.replay(&["shop=whole.log", input], "out", &["--threads", threads]), 1, &said);
        }
    }
}

#[test]
fn command_lines_that_make_no_sense_are_usage_errors() {
    let world = World::new();
    world.write("whole.log", access_log());
    refused(&world, &world.replay(&[], "out", &[]), 2, &["--pipeline"]);
    refused(&world, &world.replay(&["whole.log"], "out", &[]), 2, &["NAME=FILE"]);
    refused(&world, &world.replay(&["web=whole.log"], "out", &["--at", "yesterday"]), 2, &["2026-11-23"]);
    refused(&world, &world.replay(&["web=whole.log"], "out", &["--threads", "0"]), 2, &["--threads"]);
    refused(&world, &world.replay(&["web=-", "shop=-"], "out", &[]), 2, &["stdin twice"]);
    refused(&world, &world.with_stdin(&replay_words(&["web=-"], "out", &[]), b"no date\n"), 2, &["stdin", "--at"]);
}

#[test]
fn stdin_is_an_input() {
    let world = World::new();
    let words = |out| replay_words(&["web=-"], out, &["--threads", "1"]);
    done(&world.with_stdin(&words("plain"), access_log().as_bytes()));
    done(&world.with_stdin(&words("packed"), &gzip(access_log().as_bytes())));
    assert_eq!(world.files("plain"), world.files("packed"));
    assert_eq!(world.json("plain/summary.json")["blocks"], 1);
    let more = ["--at", "2026-11-23"];
    done(&world.with_stdin(&replay_words(&["web=-"], "dated", &more), b"no date\n"));
    assert_eq!(world.json("dated/summary.json")["last_at"], "2026-11-23T00:00:00.000Z");
}

#[test]
fn odd_files_are_read_all_the_same() {
    let world = World::new();
    world.write("empty.log", "");
    world.write("binary.log", [&b"\x7fELF\0\0\0\n"[..]; 2000].concat());
    let (first, rest) = (line(VISITOR, 0, 1, "/a", 200), "x".repeat(10_000_000));
    let long = [first.trim_end(), &rest, "\n", &line(VISITOR, 0, 2, "/b", 200)];
    world.write("long.log", long.concat());
    let output = world.replay(&["web=empty.log", "shop=binary.log", "web=long.log"], "out", &["--events"]);
    done(&output);
    let said =
        ["empty.log: is empty", "binary.log: holds zero bytes", "understands next to none", "long.log: 1 lines longer"];
    assert!(said.iter().all(|part| stderr(&output).contains(part)), "{}", stderr(&output));
    let summary = world.json("out/summary.json");
    assert_eq!(
        (&summary["pipelines"]["web"]["records"], &summary["pipelines"]["web"]["events"]),
        (&2.into(), &2.into())
    );
    assert_eq!(summary["pipelines"]["shop"]["undecodable"], 2000);
    let events = world.objects("out/events.ndjson");
    let cut = events.iter().find(|event| event["sekisho"]["position"]["partition"] == 1).unwrap();
    let flaws = cut["sekisho"]["flaws"].as_array().unwrap();
    assert!(flaws.iter().any(|flaw| flaw["kind"] == "truncated"), "{flaws:?}");
}

#[test]
fn an_empty_file_alone_gives_an_empty_result() {
    let world = World::new();
    world.write("empty.log", "");
    done(&world.replay(&["web=empty.log"], "out", &[]));
    assert_eq!(world.json("out/summary.json")["pipelines"]["web"]["records"], 0);
    done(&world.with_stdin(&replay_words(&["web=-"], "out2", &[]), b""));
}

#[test]
fn folders_that_do_not_do_are_refused() {
    let world = World::new();
    world.write("a.log", access_log());
    fs::create_dir(world.path("full")).unwrap();
    world.write("full/thesis.txt", "years of work");
    let output = world.replay(&["web=a.log"], "full", &[]);
    refused(&world, &output, 1, &["full", "holds other files: thesis.txt", "--force"]);
    assert_eq!(world.files("full").len(), 1);
    done(&world.replay(&["web=a.log"], "full", &["--force"]));
    assert_eq!(world.files("full").len(), 7, "what else is there stays");
    refused(&world, &world.replay(&["web=a.log"], "a.log", &[]), 1, &["a.log", "is a file"]);
    refused(&world, &world.replay(&["web=a.log"], "a.log/out", &[]), 3, &["a.log/out", "cannot be written"]);
    let output = world.replay(&["web=a.log"], "out", &["--timings", "none/timings"]);
    refused(&world, &output, 3, &["none/timings", "cannot be written"]);
}

#[test]
fn a_full_disk_leaves_nothing() {
    let world = World::new();
    world.write("a.log", access_log());
    let program = env!("CARGO_BIN_EXE_sekisho");
    let words = "replay --pipeline web=a.log --out out --events --rules rules --pipelines pipelines";
    // A limit on file sizes stands in for the end of the disk: writing fails in the middle in the same way.
    let script = format!("trap '' XFSZ; ulimit -f 64; exec '{program}' {words}");
    let output = Command::new("sh").args(["-c", &script]).current_dir(world.path("")).output().unwrap();
    refused(&world, &output, 3, &["the disk is full", "events.ndjson"]);
}

#[test]
fn an_interrupt_ends_cleanly() {
    let world = World::new();
    let mut child = world.piped(&replay_words(&["web=-"], "out", &["--threads", "2"]));
    let mut stdin = child.stdin.take().unwrap();
    let text = access_log();
    (0..4).for_each(|_| stdin.write_all(text.as_bytes()).unwrap());
    // The folder appears once the head of the input has been read; the input itself never ends.
    while !world.path("out").exists() {
        std::thread::yield_now();
    }
    done(&Command::new("kill").args(["-INT", &child.id().to_string()]).output().unwrap());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    refused(&world, &output, 130, &["interrupted"]);
}

#[test]
fn decode_shows_one_event_a_line() {
    let world = World::new();
    let text = [line(VISITOR, 0, 1, "/a?b=1", 200).as_str(), "garbage \u{1b}[31m\n", "\n"].concat();
    let output = world.with_stdin(&["decode", "--pipeline", "web"], text.as_bytes());
    done(&output);
    let events = objects(&output.stdout);
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["url"]["path"], "/a");
    assert_eq!(events[0]["client"]["ip"], VISITOR);
    assert_eq!(events[0]["sekisho"]["position"]["offset"], 0);
    assert_eq!(events[1]["sekisho"]["flaws"][0]["kind"], "undecodable");
    assert!(!output.stdout.contains(&0x1b), "what would move the terminal is escaped");
    let flat = objects(&world.with_stdin(&["decode", "--pipeline", "web", "--flat"], text.as_bytes()).stdout);
    assert_eq!(flat[0]["http.response.status_code"], 200);
    let output = world.with_stdin(&["decode", "--pipeline", "wep"], b"");
    refused(&world, &output, 1, &["did you mean `web`?"]);
}

#[test]
fn blocks_are_derived_again_or_not() {
    let world = World::new();
    world.write("a.log", access_log());
    world.write("b.log", access_log().replace(" 404 ", " 200 "));
    done(&world.replay(&["web=a.log"], "out", &[]));
    let verify = |file: &str, input: &str, more: &[&str]| {
        world.sekisho(&[&["blocks", "verify", file, "--pipeline", input][..], more].concat())
    };
    let output = verify("out/blocks.ndjson", "web=a.log", &[]);
    done(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 of 1 blocks verified"));
    let block = fs::read_to_string(world.path("out/blocks.ndjson")).unwrap();
    let id = world.objects("out/blocks.ndjson")[0]["id"].as_str().unwrap().to_owned();
    done(&verify("out/blocks.ndjson", "web=a.log", &["--id", &id]));
    world.write("forged.ndjson", block.replace("\"count\":10", "\"count\":11"));
    world.write("other.ndjson", block.replace(&format!("{SCANNER}/32"), &format!("{VISITOR}/32")));
    world.write("broken.ndjson", "{}");
    for (file, input, said) in [
        ("forged.ndjson", "web=a.log", "the count is 10, the receipt says 11"),
        ("other.ndjson", "web=a.log", "the rule fires about"),
        ("out/blocks.ndjson", "web=b.log", "the rule does not fire"),
        ("out/blocks.ndjson", "shop=a.log", "which was not given"),
    ] {
        let output = verify(file, input, &["-o", "json"]);
        assert_eq!(output.status.code(), Some(1), "{file} {input}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["failed"], 1);
        assert!(answer["blocks"][0]["remarks"].to_string().contains(said), "{answer}");
    }
    let output = verify("broken.ndjson", "web=a.log", &[]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("broken.ndjson:1"), "{}", stderr(&output));
}

/// What a receipt must say, what somebody made of it, and what is said of that.
const TAMPERED: [(&str, &str, &str); 17] = [
    ("\"target\":\"8.8.4.4/32\"", "\"target\":\"8.8.4.5/32\"", "the rule fires about 8.8.4.4, not 8.8.4.5/32"),
    ("\"target\":\"8.8.4.4/32\"", "\"target\":\"8.8.4.0/24\"", "the rule fires about 8.8.4.4, not 8.8.4.0/24"),
    ("\"target\":\"8.8.4.4/32\"", "\"target\":\"8.0.0.0/8\"", "width: 8.0.0.0/8 is wider"),
    ("\"count\":10", "\"count\":11", "the count is 10, the receipt says 11"),
    ("\"threshold\":10", "\"threshold\":5", "the threshold is 10, the receipt says 5"),
    ("\"window\":{\"start\":\"2026-11-23T17:02", "\"window\":{\"start\":\"2026-11-23T17:01", "the window is"),
    ("\"from\":181", "\"from\":100", "the spans are others"),
    ("\"from\":181", "\"from\":190", "the rule does not fire"),
    ("\"offset\":183}", "\"offset\":184}", "the evidence is other records"),
    ("\"expires_at\":\"2026-11-23T21", "\"expires_at\":\"2026-11-24T21", "its end is 2026-11-23T21"),
    ("\"expires_at\":\"2026-11-23T21", "\"expires_at\":\"2026-11-23T11", "expiry: it ends at"),
    ("\"ttl_s\":14400", "\"ttl_s\":14401", "its duration in seconds is 14400"),
    ("\"offence\":1", "\"offence\":2", "its duration in seconds is 57600"),
    ("\"level\":\"block\"", "\"level\":\"throttle\"", "level: the rule's is `block`"),
    ("a002\",\"name\"", "a003\",\"name\"", "the catalog has no rule"),
    ("\"catalog\":\"", "\"catalog\":\"0", "decided by catalog 0"),
    ("{\"gate\":\"protected\",\"passed\":true},", "", "the guard's gates are not those"),
];

#[test]
fn a_tampered_block_does_not_verify() {
    let world = World::new();
    world.write("a.log", access_log());
    done(&world.replay(&["web=a.log"], "out", &[]));
    let block = fs::read_to_string(world.path("out/blocks.ndjson")).unwrap();
    for (from, to, said) in TAMPERED {
        assert_eq!(block.matches(from).count(), 1, "{from} in {block}");
        world.write("tampered.ndjson", block.replace(from, to));
        let output = world.sekisho(&["blocks", "verify", "tampered.ndjson", "--pipeline", "web=a.log"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{to}: {text}");
        assert!(text.contains("DIFFERS") && text.contains(said), "{to}: {said} in {text}");
    }
}

#[test]
fn what_is_protected_now_does_not_verify() {
    let world = World::new();
    world.write("a.log", access_log());
    done(&world.replay(&["web=a.log"], "out", &[]));
    for (config, said) in [
        ("networks: { protected: [8.8.0.0/16] }", "protected: 8.8.4.4/32 has an address in common"),
        ("networks: { trusted_proxies: [8.8.4.4] }", "the guard refuses it"),
        ("response: { level: alert }", "level: the rule's is `alert`"),
        ("response: { shadow: true }", "the configuration says shadow"),
    ] {
        world.write("sekisho.yaml", config);
        let words = ["blocks", "verify", "out/blocks.ndjson", "--pipeline", "web=a.log", "--config", "sekisho.yaml"];
        let output = world.sekisho(&words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{config}: {text} {}", stderr(&output));
        assert!(text.contains(said), "{config}: {said} in {text}");
    }
}

#[test]
fn another_catalog_is_said() {
    let world = World::new();
    world.write("a.log", access_log());
    done(&world.replay(&["web=a.log"], "out", &[]));
    world.write("rules/scan.yml", SCAN.replace("gte: 10", "gte: 8"));
    let output = world.sekisho(&["blocks", "verify", "out/blocks.ndjson", "--pipeline", "web=a.log"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    // The records still hold the receipt's count of 10, which meets the new threshold too.
    let said = ["decided by catalog", "the rule is version"];
    assert!(said.iter().all(|part| text.contains(part)) && !text.contains("the count is"), "{text}");
}
