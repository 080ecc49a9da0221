//! The generated day, judged with the shipped rules: attackers are blocked while they are at it, nobody else ever is.
#![expect(clippy::disallowed_methods, reason = "a test of the program reads files and runs it")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use sekisho::catalog::{Catalog, KeepExtras, PipelineIndex, built_in};
use sekisho::config::Config;
use sekisho::demo::{ActorKind, Generator, Line};
use sekisho::event::outcome::{Alert, Block};
use sekisho::event::{EntityKind, Outcome, Time};
use sekisho::fold::rehearse::{Rehearsal, START};

const SEEDS: [u64; 3] = [1, 7, 2_026];
const MINUTES: u32 = 10;
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
    assert!(first == keep("second", "5").1, "the same seed is the same day, byte for byte");
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
