//! The generated day, judged with the shipped rules: attackers are blocked while they are at it, nobody else ever is; and
//! the node that the command starts for it judges alike, answers, and is gone afterwards.
#![expect(clippy::disallowed_methods, reason = "a test of the program reads files and runs it")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sekisho::catalog::{Catalog, KeepExtras, PipelineIndex, built_in};
use sekisho::config::Config;
use sekisho::demo::{ActorKind, Generator, Line};
use sekisho::event::outcome::{Alert, Block};
use sekisho::event::{EntityKind, Outcome, Time};
use sekisho::fold::rehearse::{Rehearsal, START};

const SEEDS: [u64; 3] = [1, 7, 2_026];
const MINUTES: u32 = 10;
/// Nothing takes so long unless it hangs.
const HANG: Duration = Duration::from_secs(120);
const PIPELINES: [&str; 5] = ["nginx", "login", "sshd", "modsecurity", "suricata"];

/// One day and what left.
struct Judged {
    seed: u64,
    alerts: Vec<Alert>,
    blocks: Vec<Block>,
    /// When each address was last seen.
    last: BTreeMap<IpAddr, Time>,
}

static DAYS: LazyLock<Vec<Judged>> = LazyLock::new(|| SEEDS.into_iter().map(judge).collect());

fn judge(seed: u64) -> Judged {
    let catalog = Arc::new(Catalog::build(&Config::default(), &built_in(), KeepExtras::Named).unwrap());
    let indexes: Vec<PipelineIndex> = PIPELINES.iter().map(|name| catalog.pipeline_named(name).unwrap()).collect();
    let mut rehearsal = Rehearsal::new(&catalog, &indexes);
    let (mut outcomes, mut last) = (Vec::new(), BTreeMap::new());
    for line in Generator::new(seed, START, MINUTES) {
        last.extend(client(&line).map(|client| (client, line.time)));
        let input = PIPELINES.iter().position(|name| *name == line.pipeline).unwrap();
        rehearsal.take(input, line.time, &line.line, &mut outcomes);
    }
    rehearsal.finish(&mut outcomes);
    let mut judged = Judged { seed, alerts: Vec::new(), blocks: Vec::new(), last };
    for outcome in outcomes {
        match outcome {
            Outcome::Alert(alert) => judged.alerts.push(*alert),
            Outcome::Block(block) => judged.blocks.push(*block),
            Outcome::Lift(_) | Outcome::Incident(_) | Outcome::DeadLetter(_) => {}
        }
    }
    judged
}

/// The address that a line is about, where its server names it.
fn client(line: &Line) -> Option<IpAddr> {
    let after = |key: &str| line.line.split_once(key).map(|(_, rest)| rest);
    let start = match line.pipeline {
        "nginx" => Some(line.line.as_str()),
        "login" | "modsecurity" => after("\"client_ip\":\""),
        "suricata" => after("\"src_ip\":\""),
        _ => after(" from ").or_else(|| after("rhost=")),
    };
    start?.split([' ', '"']).next()?.parse().ok()
}

fn target(block: &Block) -> IpNet {
    block.target.parse().unwrap()
}

#[test]
fn attackers_are_blocked_while_they_are_at_it() {
    for day in DAYS.iter() {
        for actor in Generator::actors().into_iter().filter(|actor| actor.expect_block) {
            for own in &actor.addresses {
                let last = day.last[&own.addr()];
                let first = day.blocks.iter().find(|block| target(block).contains(own));
                let issued = first.unwrap_or_else(|| panic!("seed {}: {} ({own}) goes free", day.seed, actor.name));
                assert!(
                    issued.issued_at < last,
                    "seed {}: {} ({own}) is blocked when it has gone",
                    day.seed,
                    actor.name
                );
            }
        }
    }
}

#[test]
fn nobody_else_is_ever_blocked() {
    for day in DAYS.iter() {
        assert!(!day.blocks.is_empty());
        for block in &day.blocks {
            let hit = Generator::actors().into_iter().find(|actor| {
                actor.addresses.iter().any(|own| own.contains(&target(block)) || target(block).contains(own))
            });
            let actor = hit.unwrap_or_else(|| panic!("seed {}: {} is nobody's address", day.seed, block.target));
            assert_eq!(actor.kind, ActorKind::Attack, "seed {}: {} by `{}`", day.seed, actor.name, block.reason);
            assert!(actor.expect_block, "seed {}: {} is blocked by `{}`", day.seed, actor.name, block.reason);
        }
    }
}

#[test]
fn the_outage_and_the_attacks_that_are_not_blocked_alert() {
    for day in DAYS.iter() {
        let outage = day
            .alerts
            .iter()
            .any(|alert| alert.sekisho.entity.kind == EntityKind::Service && alert.event.category == ["web"]);
        assert!(outage, "seed {}: nobody says that the service answers with errors", day.seed);
        for actor in Generator::actors().iter().filter(|a| a.kind == ActorKind::Attack && !a.expect_block) {
            let of_actor = |alert: &Alert| {
                let client = alert.client.as_ref().and_then(|client| client.ip.parse::<IpAddr>().ok());
                client.is_some_and(|client| actor.addresses.iter().any(|own| own.contains(&client)))
            };
            assert!(day.alerts.iter().any(of_actor), "seed {}: {} goes unseen", day.seed, actor.name);
        }
    }
}

fn demo(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.arg("demo").args(words).env_remove("RUST_BACKTRACE").stdin(Stdio::null()).output().unwrap()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap())).collect()
}

#[test]
fn the_command_tells_the_day_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |name: &str, seed: &str| {
        let path = folder.path().join(name);
        let output = demo(&["--seed", seed, "--minutes", "4", "--keep", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).unwrap(), files(&path))
    };
    let (told, first) = keep("first", "5");
    for part in ["(seed 5)", " alerts, ", "Blocked, and why:", "Not blocked, and why:", "sekisho blocks verify"] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
    let names: BTreeSet<&str> = first.keys().map(String::as_str).collect();
    assert!(
        names.is_superset(&["alerts.ndjson", "blocks.ndjson", "incidents.ndjson", "nginx.log"].into()),
        "{names:?}"
    );
    let (again, second) = keep("second", "5");
    let differ: Vec<&String> = first.keys().filter(|name| first.get(*name) != second.get(*name)).collect();
    assert!(differ.is_empty() && first.len() == second.len(), "the same seed is the same day, not so {differ:?}");
    assert_eq!(summary(&told), summary(&again));
    assert!(first["nginx.log"] != keep("third", "6").1["nginx.log"], "another seed is another day");
    let full = demo(&["--keep", folder.path().join("first").to_str().unwrap()]);
    assert_eq!(full.status.code(), Some(1), "a folder that holds something is not written to");
}

/// `--pipeline` words for the kept logs of a day.
fn inputs(day: &Path) -> Vec<String> {
    let input = |name: &&str| ["--pipeline".to_owned(), format!("{name}={}/{name}.log", day.display())];
    PIPELINES.iter().flat_map(input).collect()
}

#[track_caller]
fn sekisho(words: &[&str], inputs: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    let run = command.args(words).args(inputs).env_remove("RUST_BACKTRACE").stdin(Stdio::null()).output().unwrap();
    let said = [&run.stdout[..], &run.stderr[..]].concat();
    assert_eq!(run.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&said));
    run
}

#[test]
fn the_kept_day_replays_to_the_same_bytes_and_its_blocks_verify() {
    let folder = tempfile::tempdir().unwrap();
    let day = folder.path().join("day");
    assert!(demo(&["--minutes", "4", "--keep", day.to_str().unwrap()]).status.success());
    let mut first = None;
    for threads in ["1", "2", "3"] {
        for batch in ["1", "7", "1000", "100000"] {
            let out = folder.path().join(format!("out-{threads}-{batch}"));
            let words = ["replay", "--threads", threads, "--batch", batch, "--out", out.to_str().unwrap()];
            sekisho(&words, &inputs(&day));
            let result = files(&out);
            assert!(result["blocks.ndjson"].len() > 1_000);
            let first = first.get_or_insert_with(|| result.clone());
            assert!(*first == result, "--threads {threads} --batch {batch} can be seen in the result");
        }
    }
    let blocks = folder.path().join("out-1-1/blocks.ndjson");
    let run = sekisho(&["blocks", "verify", blocks.to_str().unwrap()], &inputs(&day));
    let lines = fs::read_to_string(&blocks).unwrap().lines().count();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.contains(&format!("{lines} of {lines} blocks verified")), "{said}");
}

/// What a demo ends with, but for how long it took and where it was kept.
fn summary(told: &str) -> String {
    let (_, end) = told.split_once(" lines/s): ").expect("a last count");
    end.split("\nThe day is in").next().unwrap_or_default().to_owned()
}

fn ndjson<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Vec<T> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect()
}

#[test]
fn the_node_judges_as_both_folds_do_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for day in DAYS.iter() {
        let path = folder.path().join(day.seed.to_string());
        let output = demo(&["--seed", &day.seed.to_string(), "--keep", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let kept = files(&path);
        let named =
            |alerts: &[Alert]| -> BTreeSet<String> { alerts.iter().map(|alert| alert.event.id.clone()).collect() };
        assert_eq!(named(&ndjson(&kept["alerts.ndjson"])), named(&day.alerts), "seed {}", day.seed);
        let told = |blocks: &[Block]| -> Vec<(String, String, String)> {
            blocks.iter().map(|block| (block.id.clone(), block.target.clone(), block.reason.clone())).collect()
        };
        assert_eq!(told(&ndjson(&kept["blocks.ndjson"])), told(&day.blocks), "seed {}", day.seed);
        // What the stream told is what was kept.
        let text = String::from_utf8(output.stdout).unwrap();
        let lines =
            |word: &str| text.lines().filter(|line| line.get(8..).is_some_and(|at| at.starts_with(word))).count();
        assert_eq!(lines("  alert "), day.alerts.len());
        assert_eq!(lines("  BLOCK ") + lines("  extended "), day.blocks.len());
    }
}

/// A demo that runs, and the folder in which its own folder is.
struct Running {
    child: Child,
    told: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Running {
    fn start(words: &[&str]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command.arg("demo").args(words).env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        Running { child, told, folder }
    }

    /// Reads on until it says this; gives all it said by then.
    fn hear(&mut self, wanted: &str) -> String {
        let mut text = String::new();
        while !text.contains(wanted) {
            let read = self.told.read_line(&mut text).unwrap();
            assert!(read > 0, "it never says {wanted:?}:\n{text}");
        }
        text
    }

    /// Its own folders that are there.
    fn folders(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }

    fn end(&mut self, signal: &str) -> (ExitStatus, String) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        let until = Instant::now() + HANG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, rest);
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_node_that_stays_answers_until_it_is_told_to_end() {
    let mut running = Running::start(&["--minutes", "2", "--stay"]);
    let told = running.hear("The node stays up");
    assert!(told.contains("Not blocked, and why:"), "{told}");
    let url = format!("http://{}", told.rsplit_once("http://").unwrap().1.split(' ').next().unwrap());
    assert!(told.contains(&format!("sekisho blocks list --url {url}")), "{told}");
    assert_eq!(running.folders(), 1);
    let url = ["--url".to_owned(), url];
    let said = |words: &[&str]| String::from_utf8(sekisho(words, &url).stdout).unwrap();
    assert!(said(&["status"]).contains("ready"));
    // By the day's clock its blocks hold, whatever the date is here.
    let targets = |word: &str| -> BTreeSet<&str> {
        let words = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.filter(|words| words.get(1) == Some(&word)).map(|words| words[2]).collect()
    };
    let (blocked, lifted) = (targets("BLOCK"), targets("lift"));
    let blocks = said(&["blocks", "list"]);
    let listed: BTreeSet<&str> = blocks.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(blocked.len() > 10);
    assert_eq!(listed, blocked.difference(&lifted).copied().collect());
    // What comes meanwhile is told as well.
    sekisho(&["blocks", "add", "1.2.3.4"], &url);
    running.hear("BLOCK    1.2.3.4/32");
    let (status, _) = running.end("-TERM");
    assert_eq!(status.code(), Some(0));
    assert_eq!(running.folders(), 0, "its folder goes with it");
}

#[test]
fn a_day_that_is_interrupted_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("day");
    let mut running = Running::start(&["--pace", "1", "--keep", keep.to_str().unwrap()]);
    running.hear("sekisho blocks list");
    assert_eq!(running.folders(), 1);
    let (status, rest) = running.end("-INT");
    assert_eq!(status.code(), Some(130));
    assert!(!rest.contains("Blocked, and why:"), "{rest}");
    assert_eq!(running.folders(), 0, "its folder goes with it");
    assert!(files(&keep).is_empty(), "a day that is not whole is not kept");
}
