//! The labelled scenario and real visitors' and scanners' logs, through the built program. Runs where the data folder is.
#![expect(clippy::disallowed_methods, reason = "tests read files and run programs")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipnet::IpNet;
use sekisho::event::Time;
use sekisho::event::outcome::{Alert, Block};

/// The folder of recorded logs, or `None` with a word on the terminal.
fn data(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SEKISHO_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("not run: {} is not there", path.display());
    None
}

struct Outputs {
    alerts: Vec<Alert>,
    blocks: Vec<Block>,
}

/// Replays inputs with the built program.
fn replay(config: &str, inputs: &[(&str, PathBuf)]) -> Outputs {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config_path = folder.path().join("sekisho.yaml");
    fs::write(&config_path, config).expect("a config file");
    let out = folder.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.arg("replay").arg("--config").arg(&config_path).arg("--out").arg(&out);
    for (pipeline, path) in inputs {
        command.arg("--pipeline").arg(format!("{pipeline}={}", path.display()));
    }
    let run = command.env_remove("RUST_BACKTRACE").output().expect("the program runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Outputs { alerts: ndjson(&out.join("alerts.ndjson")), blocks: ndjson(&out.join("blocks.ndjson")) }
}

fn ndjson<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).expect("an output file");
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn text_of(path: &Path) -> String {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).expect("a data file");
    if path.extension().is_some_and(|e| e == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    } else {
        std::io::BufReader::new(file).read_to_end(&mut bytes).expect("a file");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Actor {
    name: String,
    kind: String,
    difficulty: String,
    networks: Vec<IpNet>,
    start: Time,
    end: Time,
    expect_block: String,
}

/// `labels.csv`: quoted fields hold no line ends.
fn actors(folder: &Path) -> Vec<Actor> {
    let text = fs::read_to_string(folder.join("labels.csv")).expect("labels");
    let mut lines = text.lines();
    let names: Vec<String> = fields(lines.next().expect("a header"));
    lines
        .map(|line| {
            let row: BTreeMap<String, String> = names.iter().cloned().zip(fields(line)).collect();
            let network =
                |text: &str| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            let time = |key: &str| serde_json::from_value(serde_json::json!(row[key])).expect("a time");
            Actor {
                name: row["actor"].clone(),
                kind: row["kind"].clone(),
                difficulty: row["difficulty"].clone(),
                networks: row["client_ip"].split(';').filter_map(network).collect(),
                start: time("start"),
                end: time("end"),
                expect_block: row["expect_block"].clone(),
            }
        })
        .collect()
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().expect("one field at least").push(other),
        }
    }
    fields
}

const CONFIG: &str = "networks: { ordinary: [127.30.0.0/16, 127.40.0.0/16, 127.66.0.0/16] }\n";

/// Easy attackers are blocked while they are active, and nobody else is ever blocked.
fn judge(folder: &Path, inputs: &[(&str, PathBuf)], without: &[&str]) {
    let outputs = replay(CONFIG, inputs);
    let actors = actors(folder);
    let mut first: BTreeMap<&str, Time> = BTreeMap::new();
    for block in &outputs.blocks {
        let target: IpNet = block.target.parse().expect("a CIDR");
        let hit = actors.iter().filter(|actor| actor.kind != "anomaly" && overlaps(&actor.networks, target));
        let hit: Vec<&Actor> = hit.collect();
        let wrong = hit.is_empty() || hit.iter().any(|actor| actor.kind != "attack");
        assert!(!wrong, "{} is no attacker's: {}", block.target, block.reason);
        for actor in hit {
            let at = first.entry(&actor.name).or_insert(block.issued_at);
            *at = (*at).min(block.issued_at);
        }
    }
    let mut missed = Vec::new();
    for actor in actors.iter().filter(|actor| actor.kind == "attack") {
        let at = first.get(actor.name.as_str());
        let after = at.map(|at| at.since(actor.start) as f64 / 1000.0);
        println!("{:24} {:7} block expected {:8} after {after:?} s", actor.name, actor.difficulty, actor.expect_block);
        let needed = actor.expect_block == "1" && actor.difficulty == "easy" && !without.contains(&actor.name.as_str());
        if needed && at.is_none_or(|at| *at > actor.end) {
            missed.push(actor.name.clone());
        }
    }
    assert!(missed.is_empty(), "not blocked while active: {missed:?}");
    let alerted: BTreeSet<&str> = outputs.alerts.iter().map(|alert| alert.rule.name.as_str()).collect();
    assert!(alerted.contains("A service answers with errors"), "the outage alerts: {alerted:?}");
}

fn overlaps(networks: &[IpNet], target: IpNet) -> bool {
    networks.iter().any(|network| network.contains(&target) || target.contains(network))
}

/// Judges the scenario with one form of its access log and one of its authentication log.
fn judge_with(access: &str, authentication: &str, without: &[&str]) {
    let Some(folder) = data("scenario_nginx_modsec") else { return };
    let inputs = [
        ("nginx", folder.join(access)),
        ("modsecurity", folder.join("modsec_audit.json.gz")),
        ("login", folder.join("app_auth.json.gz")),
        ("sshd", folder.join(authentication)),
    ];
    judge(&folder, &inputs, without);
}

#[test]
fn scenario_with_text_logs() {
    judge_with("access.log.gz", "auth.log", &[]);
}

#[test]
fn scenario_with_rfc_5424() {
    judge_with("access.log.gz", "auth_rfc5424.log", &[]);
}

/// The JSON form of the access log holds a minute and a half only; the flood came later and is in no other log.
#[test]
fn scenario_with_json_access_log() {
    judge_with("access_json.log.gz", "auth.log", &["a_flood"]);
}

#[test]
fn visitors_of_a_real_site_are_left_alone() {
    let Some(folder) = data("access_logs") else { return };
    let outputs = replay("", &[("apache", folder.join("elastic_apache_semicomplete_10k.log.gz"))]);
    let blocked: Vec<String> = outputs.blocks.iter().map(|b| format!("{} {}", b.target, b.reason)).collect();
    assert!(blocked.is_empty(), "{blocked:?}");
}

#[test]
fn a_real_scanner_is_blocked_within_its_first_300_requests() {
    let Some(folder) = data("access_logs") else { return };
    let text = text_of(&folder.join("ocatak_acunetix.log.gz"));
    let head: Vec<&str> = text.lines().take(300).collect();
    let file = tempfile::Builder::new().suffix(".log").tempfile().expect("a temporary file");
    fs::write(file.path(), head.join("\n")).expect("a file");
    let config = "networks: { ordinary: [192.168.4.0/24] }\n";
    let outputs = replay(config, &[("apache", file.path().to_owned())]);
    assert!(outputs.blocks.iter().any(|block| block.target == "192.168.4.25/32"), "not blocked");
}
