//! What leaves and what people write, held against the JSON Schemas in `tests/schemas`: real outputs of the program
//! fit them, each schema refuses what is not so, and the keys of written files are those that the code asks for.
#![expect(clippy::disallowed_methods, reason = "a test of the program reads and writes files")]
#![expect(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[path = "schemas/json.rs"]
mod json;
#[path = "schemas/validator.rs"]
mod validator;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use json::Json;
use sekisho::catalog::{Catalog, File, Files, KeepExtras, Maker, built_in};
use sekisho::config::{self, Config};
use sekisho::document::{self, Fault, Kind, Node};
use sekisho::event::outcome::{Block, DeadLetter, Level, Lift, LiftCause, Origin};
use sekisho::event::{Time, write_json};
use validator::Validator;

/// File of a replay, and the schema of its lines.
const OUTPUTS: [(&str, &str); 7] = [
    ("alerts.ndjson", "alert"),
    ("blocks.ndjson", "block"),
    ("lifts.ndjson", "lift"),
    ("incidents.ndjson", "incident"),
    ("dead-letters.ndjson", "dead_letter"),
    ("events.ndjson", "event"),
    ("summary.json", "summary"),
];

fn schema(name: &str, ordered: bool) -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas").join(format!("{name}.json"));
    Validator::new(&fs::read_to_string(path).unwrap(), ordered)
}

#[track_caller]
fn fits(schema: &Validator, value: &Json, what: &str) {
    assert_eq!(schema.faults(value), Vec::<String>::new(), "{what}");
}

fn sekisho(words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    let run = command.args(words).env_remove("RUST_BACKTRACE").stdin(Stdio::null()).output().unwrap();
    assert!(run.status.success(), "{words:?}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A replay with events and timings into `folder/out` and `folder/timings.json`.
fn replay(folder: &Path, config: &str, inputs: &[(&str, PathBuf)]) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(folder.join("sekisho.yaml"), config).unwrap();
    let mut words: Vec<String> = ["replay", "--events", "--config"].map(str::to_owned).to_vec();
    words.extend([path("sekisho.yaml"), "--out".into(), path("out"), "--timings".into(), path("timings.json")]);
    for (pipeline, input) in inputs {
        words.extend(["--pipeline".to_owned(), format!("{pipeline}={}", input.display())]);
    }
    sekisho(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Holds every line of every file against its schema; how many lines each file had.
fn check(folder: &Path, every: usize) -> Vec<(&'static str, usize)> {
    let mut counts = Vec::new();
    for (file, name) in OUTPUTS {
        let Ok(text) = fs::read_to_string(folder.join(file)) else { continue };
        let schema = schema(name, name != "event");
        let every = if name == "event" { every } else { 1 };
        for (number, line) in text.lines().enumerate().step_by(every) {
            let control = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            assert!(!line.contains(control), "{file}:{}: a control character is not escaped", number + 1);
            fits(&schema, &Json::read(line), &format!("{file}:{}", number + 1));
        }
        counts.push((name, text.lines().count()));
    }
    counts
}

const CONFIG: &str = "networks: { protected: [9.9.9.9] }\n";

/// Two days: a scanner by IPv4, one by IPv6 and one that is protected; names that attack terminals; odd lines.
fn logs(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let (mut web, mut ssh) = (String::new(), String::new());
    for second in 0..59 {
        for client in ["8.8.4.4", "2606:4700:0:0::1111", "9.9.9.9"] {
            let at = format!("23/Nov/2026:17:00:{second:02} +0000");
            web += &format!("{client} - - [{at}] \"GET /a{second}.php HTTP/1.1\" 404 9 \"-\" \"Mozilla/5.0\"\n");
        }
        let name = format!("ro\u{202e}ot{}", "x".repeat(400));
        ssh += &format!(
            "2026-11-23T17:00:{second:02}+00:00 web01 sshd[7]: Failed password for {name} from 1.0.0.9 port 4711 ssh2\n"
        );
    }
    web += "no access line \u{1b}[2J\u{9b}\n\n8.8.8.8 - - [23/Nov/2026:17:01:00 +0000] \"GET / HTTP/1.1\" 2x0 5 \"-\" \"-\"\n";
    web += "8.8.8.8 - - [25/Nov/2026:17:01:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";
    web += "8.8.8.8 - - [25/Nov/2026:17:01:01 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";
    web += "{\"remote_addr\":\"1.0.0.1\",\"status\":200,\"request_uri\":\"/\",\"tags\":[\"\"],\"deep\":{\"a\":null,\"b\":[]}}\n";
    let inputs = [("nginx", "web.log", web), ("sshd", "ssh.log", ssh)];
    let write = |(pipeline, name, text): (&'static str, &str, String)| {
        fs::write(folder.join(name), text).unwrap();
        (pipeline, folder.join(name))
    };
    inputs.map(write).into()
}

#[test]
fn a_replay_of_our_own_logs_fits() {
    let folder = tempfile::tempdir().unwrap();
    replay(folder.path(), CONFIG, &logs(folder.path()));
    let counts = check(&folder.path().join("out"), 1);
    let count = |name: &str| counts.iter().find(|(own, _)| *own == name).map_or(0, |(_, count)| *count);
    assert!(["alert", "block", "lift", "incident", "event"].iter().all(|name| count(name) > 0), "{counts:?}");
    let timings = fs::read_to_string(folder.path().join("timings.json")).unwrap();
    fits(&schema("timings", true), &Json::read(&timings), "timings");
    let blocks = fs::read_to_string(folder.path().join("out/blocks.ndjson")).unwrap();
    for target in ["8.8.4.4/32", "2606:4700::/64"] {
        assert!(blocks.contains(&format!("\"target\":\"{target}\"")), "{target} is not blocked:\n{blocks}");
    }
    let summary = Json::read(&fs::read_to_string(folder.path().join("out/summary.json")).unwrap());
    let refused = alerts(folder.path()).filter(|alert| alert.at("sekisho/response").get("reason").is_some()).count();
    assert!(refused > 0, "nothing was refused");
    let counted: f64 = summary.at("refused").entries().iter().filter_map(|(_, count)| count.number()).sum();
    assert_eq!(counted, refused as f64, "the summary counts refused alerts");
}

fn alerts(folder: &Path) -> impl Iterator<Item = Json> {
    let text = fs::read_to_string(folder.join("out/alerts.ndjson")).unwrap();
    text.lines().map(Json::read).collect::<Vec<_>>().into_iter()
}

#[test]
fn decoded_lines_fit() {
    let folder = tempfile::tempdir().unwrap();
    let schema = schema("event", false);
    for (pipeline, path) in logs(folder.path()) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        let log = fs::File::open(&path).unwrap();
        let run = command.args(["decode", "--pipeline", pipeline]).stdin(Stdio::from(log)).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let text = String::from_utf8(run.stdout).unwrap();
        assert_eq!(text.lines().count(), fs::read_to_string(&path).unwrap().lines().count());
        text.lines().for_each(|line| fits(&schema, &Json::read(line), line));
    }
}

#[test]
fn evidence_is_sorted_and_within_the_spans() {
    let folder = tempfile::tempdir().unwrap();
    replay(folder.path(), CONFIG, &logs(folder.path()));
    for alert in alerts(folder.path()) {
        let own = alert.at("sekisho");
        let place = |at: &Json, key: &str| (at.at("topic").text().unwrap().to_owned(), at.at(key).number().unwrap());
        let evidence: Vec<(String, f64)> = own.at("evidence").items().iter().map(|at| place(at, "offset")).collect();
        assert!(evidence.is_sorted_by(|a, b| a < b), "{evidence:?}");
        assert!(evidence.len() as f64 <= own.at("evidence_total").number().unwrap());
        let spans = own.at("spans").items();
        for (topic, offset) in &evidence {
            let holds = |span: &&Json| {
                place(span, "from") <= (topic.clone(), *offset) && (topic.clone(), *offset) < place(span, "to")
            };
            assert!(spans.iter().any(|span| holds(&span)), "{topic} {offset} is in no span");
        }
    }
}

#[test]
fn the_demo_day_fits() {
    let folder = tempfile::tempdir().unwrap();
    let day = folder.path().join("day");
    sekisho(&["demo", "--minutes", "5", "--keep", day.to_str().unwrap()]);
    assert!(check(&day, 1).iter().any(|(name, count)| *name == "block" && *count > 20));
}

#[test]
fn the_recorded_scenario_fits() {
    let root = std::env::var_os("SEKISHO_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let data = root.join("scenario_nginx_modsec");
    if !data.is_dir() {
        eprintln!("not run: {} is not there", data.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = "networks: { ordinary: [127.30.0.0/16, 127.40.0.0/16, 127.66.0.0/16] }\n";
    let files = [
        ("nginx", "access.log.gz"),
        ("sshd", "auth.log"),
        ("login", "app_auth.json.gz"),
        ("modsecurity", "modsec_audit.json.gz"),
    ];
    replay(folder.path(), config, &files.map(|(pipeline, name)| (pipeline, data.join(name))));
    let counts = check(&folder.path().join("out"), 20);
    assert!(counts.iter().any(|(name, count)| *name == "block" && *count > 0), "{counts:?}");
}

/// What no replay of well-formed logs gives: a dead letter, an operator's block and lift.
fn written_by_hand() -> Vec<(&'static str, Json)> {
    let letter = DeadLetter {
        topic: "nginx".into(),
        partition: 0,
        offset: 99,
        pipeline: "nginx".into(),
        appended_at: Time(0),
        reason: "poison".into(),
        bytes: 5,
        head_base64: "aGVsbG8=".into(),
    };
    let id = "0".repeat(32);
    let block = Block {
        id: id.clone(),
        action: "block".into(),
        target: "2001:db8::/64".into(),
        level: Level::Throttle,
        issued_at: Time(0),
        expires_at: Time(1),
        reason: "asked for".into(),
        rule: None,
        alert: None,
        incident: None,
        origin: Origin::Operator,
        by: Some("alice".into()),
        receipt: None,
    };
    let lift = Lift {
        id: id.clone(),
        action: "lift".into(),
        target: "203.0.113.9/32".into(),
        block: id,
        lifted_at: Time(1),
        cause: LiftCause::Operator,
        by: Some("alice".into()),
    };
    let mut letters = Vec::new();
    write_json(&letter, &mut letters).unwrap();
    let text = |bytes: Vec<u8>| Json::read(std::str::from_utf8(&bytes).unwrap());
    let json = |value: serde_json::Result<String>| Json::read(&value.unwrap());
    vec![
        ("dead_letter", text(letters)),
        ("block", json(serde_json::to_string(&block))),
        ("lift", json(serde_json::to_string(&lift))),
    ]
}

#[test]
fn what_operators_and_poison_give_fits() {
    written_by_hand().iter().for_each(|(name, value)| fits(&schema(name, true), value, name));
}

type Entries = Vec<(String, Json)>;

/// A value with something done to the entries of the map at `path`.
fn changed(value: &Json, path: &[&str], change: &dyn Fn(&mut Entries)) -> Json {
    let Json::Map(mut entries) = value.clone() else { panic!("no map at {path:?}") };
    match path {
        [] => change(&mut entries),
        [key, rest @ ..] => {
            let entry = entries.iter_mut().find(|(own, _)| own == key).unwrap_or_else(|| panic!("no `{key}`"));
            entry.1 = changed(&entry.1, rest, change);
        }
    }
    Json::Map(entries)
}

fn set(value: &Json, path: &[&str], new: Json) -> Json {
    let (last, parents) = path.split_last().unwrap();
    changed(value, parents, &|entries| {
        entries.retain(|(key, _)| key != last);
        entries.push(((*last).to_owned(), new.clone()));
    })
}

#[test]
fn each_schema_refuses_what_is_not_so() {
    let folder = tempfile::tempdir().unwrap();
    replay(folder.path(), CONFIG, &logs(folder.path()));
    let first = |(file, name): (&str, &'static str)| {
        let text = fs::read_to_string(folder.path().join("out").join(file)).unwrap();
        text.lines().next().map(|line| (name, Json::read(line)))
    };
    let mut samples: Vec<(&str, Json)> = OUTPUTS.into_iter().filter_map(first).collect();
    samples.push(("timings", Json::read(&fs::read_to_string(folder.path().join("timings.json")).unwrap())));
    samples.extend(written_by_hand());
    let wrong: [(&str, &[&str], Json); 17] = [
        ("alert", &["@timestamp"], Json::Text("2026-11-23T17:00:00Z".into())),
        ("alert", &["event", "severity"], Json::Number(50.0)),
        ("alert", &["event", "id"], Json::Text("7".into())),
        ("alert", &["sekisho", "evidence"], Json::List(Vec::new())),
        ("alert", &["sekisho", "response"], Json::Map(vec![("level".into(), Json::Text("block".into()))])),
        ("alert", &["message"], Json::Text("a\u{1b}[2J".into())),
        ("block", &["target"], Json::Text("203.0.113.9".into())),
        ("block", &["target"], Json::Text("203.0.0.0/16".into())),
        ("block", &["receipt"], Json::Null),
        ("block", &["level"], Json::Text("alert".into())),
        ("lift", &["cause"], Json::Text("boredom".into())),
        ("incident", &["alerts"], Json::Number(0.0)),
        ("dead_letter", &["head_base64"], Json::Text("a".into())),
        ("event", &["sekisho", "flaws"], Json::List(Vec::new())),
        ("event", &["user"], Json::Null),
        ("summary", &["refused"], Json::Map(Vec::new())),
        ("timings", &["wall_s"], Json::Number(-1.0)),
    ];
    let names: BTreeSet<&str> = samples.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    for (name, sample) in &samples {
        let schema = schema(name, *name != "event");
        fits(&schema, sample, name);
        for (own, path, value) in wrong.iter().filter(|(own, ..)| own == name) {
            let forged = set(sample, path, value.clone());
            assert!(!schema.faults(&forged).is_empty(), "{own}: {path:?} may be {value:?}");
        }
        for key in schema.root.at("required").items().iter().filter_map(Json::text) {
            let without = changed(sample, &[], &|entries| entries.retain(|(own, _)| own != key));
            assert!(!schema.faults(&without).is_empty(), "{name}: `{key}` may be missing");
        }
        let more = set(sample, &["unheard_of"], Json::Null);
        assert!(!schema.faults(&more).is_empty(), "{name}: any key may be there");
        let timeless = changed(sample, &[], &|entries| entries.retain(|(own, _)| own != "@timestamp"));
        assert!(*name != "event" || !schema.faults(&timeless).is_empty(), "an event of a journal has a time");
        let turned = changed(sample, &[], &|entries| entries.reverse());
        assert!(*name == "event" || !schema.faults(&turned).is_empty(), "{name}: keys may stand in any order");
    }
}

/// A YAML file as JSON Schema sees it: plain scalars that look like numbers and truths are such.
fn plain(node: &Node) -> Json {
    match &node.kind {
        Kind::Null => Json::Null,
        Kind::Scalar { text, quoted: true } => Json::Text(text.clone()),
        Kind::Scalar { text, quoted: false } => match (text.as_str(), text.parse::<f64>()) {
            ("true" | "false", _) => Json::Bool(text == "true"),
            (_, Ok(number)) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Json::Number(number),
            (_, _) => Json::Text(text.clone()),
        },
        Kind::List(items) => Json::List(items.iter().map(plain).collect()),
        Kind::Map(entries) => {
            let entry = |(key, value): &(Node, Node)| (key.text().unwrap_or_default().to_owned(), plain(value));
            Json::Map(entries.iter().map(entry).collect())
        }
    }
}

#[track_caller]
fn fits_written(schema: &Validator, path: &str, text: &str) {
    for document in document::parse(path, text).unwrap() {
        fits(schema, &plain(&document.root), path);
    }
}

#[test]
fn the_shipped_files_fit() {
    let files = built_in();
    assert!(files.pipelines.len() >= 5 && files.rules.len() > 20);
    let (pipeline, rule) = (schema("pipeline", false), schema("rule", false));
    files.pipelines.iter().for_each(|file| fits_written(&pipeline, &file.path, &file.text));
    files.rules.iter().for_each(|file| fits_written(&rule, &file.path, &file.text));
    let config = schema("config", false);
    fits_written(&config, "default", &Config::default().to_yaml());
    fits_written(&config, "whole", WHOLE);
    assert!(config::parse("whole", WHOLE, &|_| None).is_ok(), "the code takes what the schema takes");
}

/// The configuration of the documentation, with every section.
const WHOLE: &str = r#"
data: /var/lib/sekisho
http: { listen: 127.0.0.1:7070 }
journal: { kafka: { brokers: ["a:9092"], start: end, tls: {}, sasl: { username: u }, properties: {} } }
networks: { own: [192.0.2.0/24, "2001:db8::/32"], protected: [198.51.100.7], trusted_proxies: [10.0.0.0/8], ordinary: [] }
time: { past: 24h, future: 5m, lateness: 5s, grace: 10m, idle: 30s, stale: 1h }
response: { level: block, shadow: false, budget: { per_minute: 60, active: 100000, share: 1% }, hold: 24h }
rules: { disable: [], level: { guessing_per_client: observe } }
collect:
  - { file: "/var/log/nginx/*access.log", pipeline: nginx, from: end }
  - { syslog: 127.0.0.1:5514, pipeline: sshd }
geoip: { country: c.mmdb, asn: "${ASN:-a.mmdb}" }
retention: { journal: { age: 7d, bytes: 20GiB }, index: { age: 90d, bytes: 100GiB } }
"#;

/// A key that no word of ours is like.
const UNKNOWN: &str = "zzqqzz";

/// Where a map stands in a schema, and a file that holds an unknown key there.
const CONFIG_MAPS: &[(&str, &str)] = &[
    ("", "zzqqzz: 1"),
    ("properties/http", "http: { zzqqzz: 1 }"),
    ("properties/networks", "networks: { zzqqzz: 1 }"),
    ("properties/time", "time: { zzqqzz: 1 }"),
    ("properties/response", "response: { zzqqzz: 1 }"),
    ("properties/response/properties/budget", "response: { budget: { zzqqzz: 1 } }"),
    ("properties/rules", "rules: { zzqqzz: 1 }"),
    ("properties/collect/items", "collect: [{ zzqqzz: 1 }]"),
    ("properties/geoip", "geoip: { zzqqzz: 1 }"),
    ("properties/retention", "retention: { zzqqzz: 1 }"),
    ("$defs/keep", "retention: { index: { zzqqzz: 1 } }"),
];

const PIPELINE_MAPS: &[(&str, &str)] = &[
    ("", "zzqqzz: 1"),
    ("$defs/logsource", "logsources: [{ zzqqzz: 1 }]"),
    ("$defs/json", "decoders: [{ json: { zzqqzz: 1 } }]"),
    ("properties/service", "service: { zzqqzz: 1 }"),
    ("$defs/login", "logins: [{ zzqqzz: 1 }]"),
    ("$defs/sample", "samples: [{ zzqqzz: 1 }]"),
];

const RULE_MAPS: &[(&str, &str)] = &[
    ("", "zzqqzz: 1\nsekisho: {}"),
    ("$defs/logsource", "logsource: { zzqqzz: 1 }"),
    ("$defs/correlation", "correlation: { zzqqzz: 1 }"),
    ("$defs/condition", "correlation: { type: event_count, timespan: 1m, condition: { zzqqzz: 1 } }"),
    ("$defs/sekisho", "sekisho: { zzqqzz: 1 }"),
    ("$defs/sekisho/properties/response", "sekisho: { response: { zzqqzz: 1 } }"),
    ("$defs/sekisho/properties/examples", "sekisho: { examples: { zzqqzz: 1 } }"),
    ("$defs/step", "sekisho: { examples: { fires: [{ zzqqzz: 1 }] } }"),
];

/// Closed sets of words: where they stand in a schema, and a file that holds another word there.
const CONFIG_WORDS: &[(&str, &str)] =
    &[("$defs/level", "response: { level: zzqqzz }"), ("$defs/start", "collect: [{ from: zzqqzz }]")];
const PIPELINE_WORDS: &[(&str, &str)] = &[("properties/time", "time: zzqqzz")];
const RULE_WORDS: &[(&str, &str)] = &[
    ("properties/level", "level: zzqqzz"),
    ("properties/status", "status: zzqqzz"),
    ("$defs/level", "sekisho: { response: { level: zzqqzz } }"),
    ("$defs/sekisho/properties/severity", "sekisho: { severity: zzqqzz }"),
    ("$defs/sekisho/properties/entity", "sekisho: { entity: zzqqzz }"),
    ("$defs/sekisho/properties/measure", "sekisho: { measure: zzqqzz }"),
];

fn config_faults(text: &str) -> Vec<Fault> {
    config::parse("t.yml", text, &|_| None).expect_err(text).list
}

fn catalog_faults(pipelines: Vec<File>, rules: Vec<File>) -> Vec<Fault> {
    let files = Files { pipelines, rules, country: None, asn: None };
    Catalog::build(&Config::default(), &files, KeepExtras::Named).map(|_| ()).expect_err("an unknown key").list
}

fn file(text: &str) -> Vec<File> {
    vec![File { path: "t.yml".into(), text: text.to_owned(), maker: Maker::User }]
}

/// The words after `before`, up to `after`, in the first fault that has both.
fn listed(faults: &[Fault], before: &str, after: &str) -> BTreeSet<String> {
    let said: Vec<String> = faults
        .iter()
        .map(|fault| format!("{} {}", fault.message, fault.suggestion.clone().unwrap_or_default()))
        .collect();
    let cut = |text: &String| Some(text.split_once(before)?.1.split_once(after)?.0.to_owned());
    let list = said.iter().filter(|text| text.contains(UNKNOWN)).find_map(cut);
    let list = list.unwrap_or_else(|| panic!("no list after `{before}` in {said:?}"));
    list.split(", ").map(str::to_owned).collect()
}

fn keys_are_the_same(name: &str, maps: &[(&str, &str)], words: &[(&str, &str)], faults: &dyn Fn(&str) -> Vec<Fault>) {
    let schema = schema(name, false);
    for (path, text) in maps {
        let mut found = faults(text);
        found.iter_mut().for_each(|fault| fault.suggestion = fault.suggestion.take().map(|advice| advice + "\n"));
        let asked = listed(&found, "known keys here: ", "\n");
        let known = schema.root.at(path).at("properties").entries().iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(asked, known, "{name} {path}: what the code asks for, and what the schema knows");
    }
    for (path, text) in words {
        let place = schema.root.at(path);
        let alternatives = place.get("anyOf").map_or(std::slice::from_ref(place), Json::items);
        let words = alternatives.iter().find_map(|one| one.get("enum")).unwrap().items();
        let known = words.iter().filter_map(Json::text).map(str::to_owned).collect();
        assert_eq!(listed(&faults(text), "must be one of ", ", not"), known, "{name} {path}");
    }
}

#[test]
fn the_code_asks_for_the_keys_of_the_schemas() {
    keys_are_the_same("config", CONFIG_MAPS, CONFIG_WORDS, &config_faults);
    keys_are_the_same("pipeline", PIPELINE_MAPS, PIPELINE_WORDS, &|text| catalog_faults(file(text), Vec::new()));
    keys_are_the_same("rule", RULE_MAPS, RULE_WORDS, &|text| catalog_faults(built_in().pipelines, file(text)));
}

#[test]
fn written_files_that_are_wrong_do_not_fit() {
    let cases = [
        ("config", "netwoks: {}"),
        ("config", "time: { past: soon }"),
        ("config", "collect: [{ pipeline: nginx }]"),
        ("config", "response: { budget: { share: 1 } }"),
        ("pipeline", "name: a"),
        ("pipeline", "{ name: a, dataset: a.b, decoders: [combined], time: noon }"),
        ("pipeline", "{ name: a, dataset: a.b, decoders: [combned] }"),
        ("rule", "title: a"),
        ("rule", "{ title: a, detection: { condition: s }, correlation: {} }"),
        ("rule", "{ title: a, detection: { condition: s }, sekisho: { level: block } }"),
        ("rule", "{ title: a, correlation: { type: temporal, timespan: 1m, condition: { gte: 1 } } }"),
    ];
    for (name, text) in cases {
        let documents = document::parse("t.yml", text).unwrap();
        assert!(!schema(name, false).faults(&plain(&documents[0].root)).is_empty(), "{name}: {text}");
    }
}
