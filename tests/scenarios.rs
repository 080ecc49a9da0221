//! Scenario folders: records in, outcomes out (`tests/scenarios/<name>/scenario.yml`).
//!
//! ```yaml
//! about: what the folder shows
//! config: |            # a sekisho.yaml, optional
//! lines:               # interleaved by time; {time…} and {n} as in rule examples
//!   - { at: 0s, pipeline: login, repeat: 5, every: 20s, lag: 0s, line: '…' }
//! expect:              # each counts the outcomes that fit all its other keys
//!   - { kind: block, target: 89.160.20.1/32, count: 1 }
//! ```
#![expect(clippy::disallowed_methods, reason = "tests read files and run programs")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use sekisho::catalog::{Catalog, KeepExtras, built_in};
use sekisho::config::{self, Config};
use sekisho::detect::Step;
use sekisho::document::{Document, Faults, Keys, Node, parse};
use sekisho::event::Outcome;
use sekisho::fold::rehearse::{self, Line, START};

struct Scenario {
    name: String,
    catalog: Arc<Catalog>,
    lines: Vec<Line>,
    expect: Vec<Expectation>,
}

#[derive(Debug)]
struct Expectation {
    /// kind, rule, entity, target, cause, result, reason, severity
    wanted: BTreeMap<String, String>,
    count: Option<usize>,
    at_least: Option<usize>,
}

#[test]
fn every_scenario_gives_what_it_expects() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root()).expect("tests/scenarios").flatten().map(|e| e.path()).collect();
    folders.sort();
    assert!(folders.len() >= 15, "scenarios are missing");
    let mut failures = Vec::new();
    for folder in folders {
        let scenario = Scenario::read(&folder);
        let outcomes = rehearse::outcomes(&scenario.catalog, &scenario.lines);
        let said: Vec<BTreeMap<String, String>> = outcomes.iter().map(|o| describe(&scenario.catalog, o)).collect();
        for expectation in &scenario.expect {
            let found = said.iter().filter(|outcome| fits(&expectation.wanted, outcome)).count();
            let right = expectation.count.is_none_or(|count| found == count)
                && expectation.at_least.is_none_or(|least| found >= least);
            if !right {
                failures.push(format!("{}: {expectation:?}: found {found} in\n{}", scenario.name, listing(&said)));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn listing(said: &[BTreeMap<String, String>]) -> String {
    let shown = said.iter().filter(|outcome| outcome["kind"] != "incident").take(40);
    shown.map(|outcome| format!("    {outcome:?}")).collect::<Vec<_>>().join("\n")
}

fn fits(wanted: &BTreeMap<String, String>, outcome: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| outcome.get(key) == Some(value))
}

fn describe(catalog: &Catalog, outcome: &Outcome) -> BTreeMap<String, String> {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rule_name = |id: &str| {
        let rule = catalog.rules.iter().find(|rule| rule.id == id);
        rule.map(|rule| rule.name.clone()).unwrap_or_default()
    };
    let json = |value: &dyn erased::Json| value.json();
    let pairs: Vec<(&str, String)> = match outcome {
        Outcome::Alert(alert) => vec![
            ("kind", "alert".to_owned()),
            ("rule", rule_name(&alert.rule.id)),
            ("entity", alert.sekisho.entity.value.clone()),
            ("severity", word(json(&alert.sekisho.severity))),
            ("result", word(json(&alert.sekisho.response.result))),
            ("reason", alert.sekisho.response.reason.map(|r| word(json(&r))).unwrap_or_default()),
        ],
        Outcome::Block(block) => vec![
            ("kind", "block".to_owned()),
            ("target", block.target.clone()),
            ("level", word(json(&block.level))),
            ("rule", block.rule.as_ref().map(|rule| rule_name(&rule.id)).unwrap_or_default()),
            ("offence", block.receipt.as_ref().map(|r| r.offence.to_string()).unwrap_or_default()),
        ],
        Outcome::Lift(lift) => {
            vec![("kind", "lift".to_owned()), ("target", lift.target.clone()), ("cause", word(json(&lift.cause)))]
        }
        Outcome::Incident(incident) => {
            vec![("kind", "incident".to_owned()), ("entity", incident.entity.value.clone())]
        }
        Outcome::DeadLetter(_) => vec![("kind", "dead_letter".to_owned())],
    };
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

mod erased {
    /// Anything that serialises to one JSON value.
    pub trait Json {
        fn json(&self) -> serde_json::Value;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self).expect("a plain value")
        }
    }
}

impl Scenario {
    fn read(folder: &std::path::Path) -> Scenario {
        let path = folder.join("scenario.yml");
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let documents = parse(&name, &text).unwrap_or_else(|fault| panic!("{fault}"));
        let mut faults = Faults::default();
        let document = &documents[0];
        let mut keys = Keys::of(&document.source, &document.root, "a scenario", &mut faults);
        assert!(keys.text("about").is_some(), "{name}: say what it shows");
        let config = keys.text("config").map(|text| config_of(&name, text)).unwrap_or_default();
        let lines = keys.required("lines").map(Node::items).unwrap_or_default().to_vec();
        let expect = keys.required("expect").map(Node::items).unwrap_or_default().to_vec();
        keys.finish();
        let catalog = Catalog::build(&config, &built_in(), KeepExtras::Named);
        let catalog = Arc::new(catalog.unwrap_or_else(|faults| panic!("{name}: {:#?}", faults.list)));
        let lines = lines_of(document, &catalog, &lines, &mut faults);
        let expect = expect.iter().map(|node| Expectation::read(document, node, &mut faults)).collect();
        assert!(faults.is_empty(), "{}", faults.list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        Scenario { name, catalog, lines, expect }
    }
}

fn config_of(name: &str, text: &str) -> Config {
    config::parse(name, text, &|_| None).unwrap_or_else(|faults| panic!("{name}: {:#?}", faults.list))
}

fn lines_of(document: &Document, catalog: &Catalog, nodes: &[Node], faults: &mut Faults) -> Vec<Line> {
    let mut lines = Vec::new();
    for node in nodes {
        let mut keys = Keys::of(&document.source, node, "a line", faults);
        let at = keys.duration("at").unwrap_or(0);
        let lag = keys.duration("lag").unwrap_or(0);
        let step = Step {
            pipeline: keys.text("pipeline").unwrap_or_default().to_owned(),
            line: keys.text("line").unwrap_or_default().to_owned(),
            repeat: keys.integer("repeat").unwrap_or(1) as u32,
            every: keys.duration("every").unwrap_or(1_000),
            wait: at,
        };
        keys.finish();
        let made = rehearse::lines_of(catalog, &[Step { wait: at - lag, ..step }]).expect("a known pipeline");
        lines.extend(made.into_iter().map(|line| Line { time: line.time.plus(lag), ..line }));
    }
    lines.sort_by_key(|line| line.time);
    assert!(lines.iter().all(|line| line.time >= START));
    lines
}

impl Expectation {
    fn read(document: &Document, node: &Node, faults: &mut Faults) -> Expectation {
        let mut keys = Keys::of(&document.source, node, "an expectation", faults);
        let mut wanted = BTreeMap::new();
        for key in ["kind", "rule", "entity", "target", "cause", "result", "reason", "severity", "level", "offence"] {
            if let Some(text) = keys.text(key) {
                wanted.insert(key.to_owned(), text.to_owned());
            }
        }
        let number = |value: Option<i64>| value.map(|value| value as usize);
        let count = number(keys.integer("count"));
        let at_least = number(keys.integer("at_least"));
        keys.finish();
        assert!(count.is_some() || at_least.is_some(), "line {}: say how many", node.line);
        Expectation { wanted, count, at_least }
    }
}
