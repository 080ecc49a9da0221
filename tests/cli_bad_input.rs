//! What a user may do wrong that no other test of the commands shows: each case ends with one clear message, the exit
//! status of the outputs sheet, bounded memory, and nothing that looks like a whole result. I/O.
#![expect(clippy::disallowed_methods, reason = "a test of the program reads and writes files")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sekisho");
const LINE: &str = "203.0.113.9 - - [23/Nov/2026:17:02:03 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"\n";
/// What a command may hold in memory whatever the length of its input: the target of a replay.
const MEMORY_BYTES_MAX: u64 = 256 << 20;

const RULE: &str = "title: A rule
id: 6d8f3b8e-5c5b-4a5e-9a53-3f2f6f6c1a01
name: a_rule
logsource: { category: webserver }
detection:
  selection: { url.path: /x }
  condition: selection
level: low
";

/// A folder in which the program runs.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        place.write("a.log", LINE);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.folder.path()).env_remove("RUST_BACKTRACE").args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command on what `feed` writes to its stdin.
    fn fed(&self, words: &[&str], feed: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static) -> Run {
        let mut child = self.start(words);
        let mut stdin = child.stdin.take().unwrap();
        // A command that ends early closes the pipe; then its status tells.
        let feeder = std::thread::spawn(move || drop(feed(&mut stdin)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Run::of(&output)
    }

    fn run(&self, words: &[&str]) -> Run {
        self.fed(words, |_| Ok(()))
    }

    fn fifo(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }
}

/// How a run ended, and what it said.
struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn of(output: &Output) -> Run {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Run { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// It ended so, with one message that says all of this.
    #[track_caller]
    fn is(&self, status: i32, said: &[&str]) {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        assert!(said.iter().all(|part| self.err.contains(part)), "{said:?} in: {}", self.err);
        let errors = self.err.matches("error: ").count();
        assert!(errors == usize::from(status != 0) && !self.err.contains("panicked"), "one message: {}", self.err);
    }
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn compressions_that_are_not_undone_are_named() {
    let place = Place::new();
    place.write("a.bz2", b"BZh91AY&SY\0\0");
    place.write("a.xz", b"\xfd7zXZ\0\0\0");
    place.write("a.zip", b"PK\x03\x04\0\0\0");
    for (input, kind) in [("nginx=a.bz2", "is bzip2"), ("nginx=a.xz", "is xz"), ("nginx=a.zip", "is zip")] {
        place.run(&["replay", "-p", input, "--out", "out"]).is(1, &[kind, "decompress others on the way"]);
        assert!(!place.path("out").exists());
    }
}

#[test]
fn a_zstd_cut_short_is_refused() {
    let place = Place::new();
    let whole = zstd::encode_all(LINE.repeat(1000).as_bytes(), 1).unwrap();
    place.write("a.zst", &whole[..whole.len() - 5]);
    place.run(&["replay", "-p", "nginx=a.zst", "--out", "out"]).is(1, &["a.zst", "cut short", "copy it again"]);
    assert!(!place.path("out").exists());
}

#[test]
fn a_file_given_twice_is_said() {
    let place = Place::new();
    let run = place.run(&["replay", "-p", "nginx=a.log", "-p", "nginx=a.log", "--out", "out"]);
    run.is(0, &["a.log: is given twice to `nginx`"]);
    place.run(&["replay", "-p", "nginx=a.log", "-p", "apache=a.log", "--out", "out2"]).is(0, &[]);
}

#[test]
fn a_result_never_takes_the_place_of_a_log() {
    let place = Place::new();
    let said = ["a.log", "is an input, and would be overwritten", "--timings"];
    place.run(&["replay", "-p", "nginx=a.log", "--out", "out", "--timings", "./a.log"]).is(2, &said);
    fs::create_dir(place.path("logs")).unwrap();
    place.write("logs/events.ndjson", LINE);
    let run = place.run(&["replay", "-p", "nginx=logs/events.ndjson", "--out", "logs", "--force"]);
    run.is(2, &["logs/events.ndjson", "is an input, and would be overwritten"]);
    assert_eq!(fs::read_to_string(place.path("a.log")).unwrap(), LINE);
    assert_eq!(fs::read_to_string(place.path("logs/events.ndjson")).unwrap(), LINE);
    let run = place.run(&["replay", "-p", "nginx=a.log", "--out", "out", "--timings", "/dev/stdout"]);
    run.is(0, &[]);
    assert!(run.out.starts_with("{\"wall_s\":"), "a device is written to, not replaced: {}", run.out);
}

#[test]
fn numbers_that_are_none_and_numbers_that_are_large() {
    let place = Place::new();
    for option in ["--threads", "--batch"] {
        for number in ["0", "-1", "x", "", "99999999999999999999999"] {
            let run = place.run(&["replay", "-p", "nginx=a.log", "--out", "out", &format!("{option}={number}")]);
            run.is(2, &[option]);
            assert!(number.is_empty() || run.err.contains("not a whole number from 1"), "{}", run.err);
        }
    }
    let most = u64::MAX.to_string();
    place.run(&["replay", "-p", "nginx=a.log", "--out", "out", "--threads", &most, "--batch", &most]).is(0, &[]);
}

#[test]
fn folders_that_no_user_may_write_to() {
    let place = Place::new();
    place.run(&["replay", "-p", "nginx=a.log", "--out", "/proc/out"]).is(3, &["/proc/out", "name a folder"]);
    place.run(&["rules", "export", "/proc/out"]).is(3, &["/proc/out", "choose a folder"]);
    place.run(&["demo", "--keep", "/proc/out"]).is(3, &["/proc/out", "name a folder"]);
}

/// Runs a replay into `mount/out` on a file system of its own, in a name space that ends with it. `None` where this
/// user may not mount.
fn replay_on(place: &Place, mount: &str) -> Option<Run> {
    fs::create_dir(place.path("mount")).unwrap();
    let replay = "replay --pipeline nginx=big.log --out mount/out --events";
    let script = format!("{mount} || exit 99; '{PROGRAM}' {replay}; status=$?; ls -A mount; exit $status");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).current_dir(place.folder.path());
    let run = Run::of(&command.output().ok()?);
    let denied = run.status == Some(99) || run.err.starts_with("unshare:");
    if denied {
        println!("not run: this user may not mount a file system");
    }
    (!denied).then_some(run)
}

#[test]
fn a_disk_that_fills_up() {
    let place = Place::new();
    place.write("big.log", LINE.repeat(5_000));
    let Some(run) = replay_on(&place, "mount -t tmpfs -o size=1m none mount") else { return };
    run.is(3, &["the disk is full", "free space", "no result was left behind"]);
    assert_eq!(run.out, "", "the disk is as empty as before");
}

#[test]
fn a_disk_that_is_read_only() {
    let place = Place::new();
    place.write("big.log", LINE);
    let Some(run) = replay_on(&place, "mount -t tmpfs -o ro none mount") else { return };
    run.is(3, &["mount/out", "cannot be written: Read-only", "name a folder"]);
    assert_eq!(run.out, "");
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let place = Place::new();
    let zeros = |out: &mut dyn Write| (0..512).try_for_each(|_| out.write_all(&[0; 1 << 20]));
    let words = ["replay", "-p", "nginx=-", "--at", "2026-11-23", "--out", "out", "--timings", "timings.json"];
    place.fed(&words, zeros).is(0, &["stdin: 1 lines longer than", "536870912 bytes"]);
    let timings: Value = serde_json::from_slice(&fs::read(place.path("timings.json")).unwrap()).unwrap();
    assert!(timings["peak_rss_bytes"].as_u64().unwrap() < MEMORY_BYTES_MAX, "{timings}");
    let long = |out: &mut dyn Write| {
        (0..64).try_for_each(|_| out.write_all(&[b'x'; 1 << 20])).and_then(|()| out.write_all(b"\n"))
    };
    let run = place.fed(&["decode", "--pipeline", "nginx"], long);
    run.is(0, &[]);
    assert!(run.out.len() < 1 << 20 && run.out.contains("truncated"));
}

#[test]
fn a_device_in_place_of_blocks_ends_at_once() {
    let place = Place::new();
    for file in ["/dev/zero", "a.log", "."] {
        place
            .run(&["blocks", "verify", file, "-p", "nginx=a.log"])
            .is(1, &[file, "name the blocks.ndjson of a replay"]);
    }
}

#[test]
fn deep_json_is_one_event_in_every_pipeline() {
    let place = Place::new();
    let depth = 100_000;
    let nests =
        |open: &str, inner: &str, close: &str| format!("{}{inner}{}\n", open.repeat(depth), close.repeat(depth));
    let text = [
        nests("[", "", ""),
        nests("{\"a\":", "", ""),
        nests("[", "", "]"),
        nests("{\"MESSAGE\":", "1", "}"),
        format!("{{\"transaction\":{{\"messages\":{}}}}}\n", nests("[", "1", "]").trim_end()),
        format!("{{\"event_type\":\"alert\",\"alert\":{}}}\n", nests("{\"alert\":", "1", "}").trim_end()),
    ];
    let text: String = text.concat();
    for pipeline in ["nginx", "apache", "login", "modsecurity", "suricata", "sshd"] {
        let lines = text.clone();
        let run = place.fed(&["decode", "--pipeline", pipeline], move |out| out.write_all(lines.as_bytes()));
        run.is(0, &[]);
        assert_eq!(run.out.lines().count(), text.lines().count(), "{pipeline}: nothing is lost");
        assert!(run.out.lines().all(|event| event.contains("\"flaws\":[")), "{pipeline}");
    }
}

#[test]
fn an_interrupt_while_an_input_is_awaited() {
    let place = Place::new();
    place.fifo("pipe");
    place.write("blocks.ndjson", "");
    for words in [
        &["replay", "-p", "nginx=pipe", "--out", "out"][..],
        &["blocks", "verify", "blocks.ndjson", "-p", "nginx=pipe"],
    ] {
        let child = place.start(words);
        // This returns when the program has opened the other end, and so listens for signals.
        let writer = fs::OpenOptions::new().write(true).open(place.path("pipe")).unwrap();
        interrupt(&child);
        let run = Run::of(&child.wait_with_output().unwrap());
        run.is(130, &["interrupted"]);
        assert!(run.out.is_empty() && !place.path("out").exists());
        drop(writer);
    }
}

#[test]
fn an_interrupted_demo_keeps_nothing_that_looks_whole() {
    let place = Place::new();
    let mut child = place.start(&["demo", "--pace", "1", "--keep", "day"]);
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut first = Vec::new();
    while !place.path("day").exists() {
        std::thread::yield_now();
    }
    interrupt(&child);
    said.read_until(b'\n', &mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(place.path("day")).unwrap().count(), 0);
}

#[test]
fn a_reader_that_leaves_early_ends_every_command_well() {
    let place = Place::new();
    let words: [&[&str]; 4] =
        [&["decode", "--pipeline", "nginx"], &["rules", "list"], &["rules", "list", "-o", "json"], &["config", "show"]];
    for words in words {
        let mut child = place.start(words);
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        // It closes its stdin as it ends.
        let _ = stdin.write_all(LINE.repeat(2_000).as_bytes());
        drop(stdin);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn the_help_of_every_command_has_examples_and_fits() {
    let place = Place::new();
    let words = "replay|decode|blocks|blocks verify|check|test|rules|rules list|rules show|rules export|pipelines|\
                 pipelines list|pipelines show|pipelines export|config|config show|demo";
    for words in words.split('|') {
        let command: Vec<&str> = words.split(' ').chain(["--help"]).collect();
        let help = place.run(&command);
        help.is(0, &[]);
        assert!(help.out.contains(&format!("Usage: sekisho {words}")) && help.out.contains("Example"), "{}", help.out);
        assert!(help.out.lines().all(|line| line.chars().count() <= 100), "{}", help.out);
    }
}

#[test]
fn what_a_log_says_cannot_command_the_terminal() {
    let place = Place::new();
    let line = |n: usize| {
        let evil = format!("\u{1b}[2J\u{9b}31m\u{202e}{n}\u{7}\u{7f}");
        LINE.replace("203.0.113.9 -", &format!("9.9.9.9 {evil}"))
            .replace("/a", &format!("/.env{evil}"))
            .replace("Mozilla", "sqlmap")
    };
    place.write("evil.log", (0..60).map(line).collect::<String>());
    let safe =
        |text: &str| text.chars().all(|c| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)));
    let run = place.run(&["replay", "-p", "nginx=evil.log", "--out", "out", "--events"]);
    run.is(0, &[]);
    assert!(safe(&run.err));
    for entry in fs::read_dir(place.path("out")).unwrap() {
        let path = entry.unwrap().path();
        assert!(safe(&fs::read_to_string(&path).unwrap()), "{}", path.display());
    }
    let lines = line(1);
    let decoded = place.fed(&["decode", "--pipeline", "nginx"], move |out| out.write_all(lines.as_bytes()));
    assert!(safe(&decoded.out) && decoded.out.contains("\\u001b[2J"), "{}", decoded.out);
    place
        .run(&["replay", "-p", "nginx=\u{1b}[2J\u{202e}", "--out", "out2"])
        .is(1, &["\\u{1b}[2J\\u{202e}: is not there"]);
}

#[test]
fn editors_of_other_systems_are_welcome() {
    let place = Place::new();
    place.write("crlf.yml", RULE.replace('\n', "\r\n"));
    place.run(&["check", "crlf.yml"]).is(0, &[]);
    place.write("bom.yml", format!("\u{feff}{RULE}"));
    place.run(&["check", "bom.yml"]).is(0, &[]);
    let wrong = RULE.replace("level: low", "level:  lo").replace('\n', "\r\n");
    place.write("both.yml", format!("\u{feff}{wrong}"));
    place
        .run(&["check", "both.yml"])
        .is(1, &["both.yml:8:9", "\n  | level:  lo\n  |         ^\n", "did you mean `low`?"]);
    place.write("wide.yml", RULE.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    place.run(&["check", "wide.yml"]).is(1, &["wide.yml", "YAML in UTF-8"]);
}

#[test]
fn a_log_given_as_a_rule_is_one_fault() {
    let place = Place::new();
    place.run(&["check", "a.log"]).is(1, &["a.log:1:1: a rule must be a map of keys", "1 fault found"]);
}

#[test]
fn a_quoted_line_stays_short() {
    let place = Place::new();
    place.write(
        "long.yml",
        RULE.replace("selection: {", &format!("selection: {{ y: {}, x|nope: 1,", "y".repeat(2_000))),
    );
    let run = place.run(&["check", "long.yml"]);
    run.is(1, &["long.yml:6:", "nope"]);
    assert!(run.err.len() < 1_000, "{}", run.err.len());
}

#[test]
fn yaml_that_grows_is_refused_wherever_it_stands() {
    let place = Place::new();
    let bomb = "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b]\n";
    place.write("bomb.yml", bomb);
    for option in ["--config", "--rules", "--add-rules", "--pipelines", "--add-pipelines"] {
        let run = place.run(&["replay", "-p", "nginx=a.log", "--out", "out", option, "bomb.yml"]);
        assert_eq!(run.status, Some(1), "{option}: {}", run.err);
        assert!(run.err.contains("bomb.yml:1:") && run.err.contains("anchors are not allowed"), "{}", run.err);
        assert!(!place.path("out").exists());
    }
}

/// The corrupt databases that MaxMind's own libraries are tested with.
#[test]
fn corrupt_databases_are_refused_by_name() {
    let shared = std::env::var_os("SEKISHO_DATA").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let Ok(folders) = fs::read_dir(shared.join("maxmind/bad-data")) else {
        println!("not run: {} is not there", shared.join("maxmind/bad-data").display());
        return;
    };
    let place = Place::new();
    let mut seen = 0;
    for entry in folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()) {
        let path = entry.unwrap().path();
        place.write("sekisho.yaml", format!("geoip: {{ country: {} }}\n", path.display()));
        let run = place.run(&["replay", "-p", "nginx=a.log", "--out", "out", "-c", "sekisho.yaml"]);
        let name = path.file_name().unwrap().to_string_lossy();
        run.is(1, &["sekisho.yaml:1:", &name, "fetch the file again"]);
        assert!(!place.path("out").exists());
        seen += 1;
    }
    assert!(seen > 0);
}
