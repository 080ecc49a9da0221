//! `sekisho:` → what a rule's findings are about and what they may lead to. Pure.
//!
//! Rules without it observe first: they alert about the client and never block.

use std::sync::Arc;

use crate::document::{Faults, Keys, Node as Yaml, Source};
use crate::event::outcome::Level;
use crate::event::{EntityKind, HOUR, SECOND, Severity};

use super::super::rule::{Body, CorrelationKind, Example, Examples, Extension, Measure, ResponsePlan, Step};

/// How long a block lasts where a rule does not say: long enough to end a run, short enough to forgive an address.
const TTL_DEFAULT: i64 = 4 * HOUR;
/// An example is for reading; the largest of ours floods with a few thousand lines.
const REPEAT_MAX: i64 = 100_000;

const SEVERITIES: &[(&str, Severity)] = &[
    ("minor", Severity::Minor),
    ("moderate", Severity::Moderate),
    ("major", Severity::Major),
    ("critical", Severity::Critical),
];

const ENTITIES: &[(&str, EntityKind)] = &[
    ("client", EntityKind::Client),
    ("network", EntityKind::Network),
    ("user", EntityKind::User),
    ("service", EntityKind::Service),
    ("asn", EntityKind::Asn),
    ("country", EntityKind::Country),
    ("host", EntityKind::Host),
    ("global", EntityKind::Global),
];

const LEVELS: &[(&str, Level)] = &[
    ("observe", Level::Observe),
    ("alert", Level::Alert),
    ("throttle", Level::Throttle),
    ("challenge", Level::Challenge),
    ("block", Level::Block),
];

const MEASURES: &[(&str, Measure)] = &[
    ("requests", Measure::Requests),
    ("error_share", Measure::ErrorShare),
    ("duration_seconds", Measure::DurationSeconds),
];

/// Reads the key; without it every part has its default.
pub(super) fn extension(source: &Arc<Source>, yaml: Option<&Yaml>, level: &str, faults: &mut Faults) -> Extension {
    let mut extension = Extension {
        severity: severity(level),
        entity: EntityKind::Client,
        response: ResponsePlan { level: Level::Alert, ttl: TTL_DEFAULT, because: String::new() },
        measure: None,
        events_min: 0,
        after: None,
        about_failures: false,
        counted: None,
        examples: Examples::default(),
    };
    let Some(yaml) = yaml else { return extension };
    let mut keys = Keys::of(source, yaml, "`sekisho`", faults);
    extension.severity = keys.word("severity", SEVERITIES).unwrap_or(extension.severity);
    extension.entity = keys.word("entity", ENTITIES).unwrap_or(extension.entity);
    if let Some(node) = keys.node_of("response") {
        extension.response = response(source, node, keys.faults);
    }
    extension.measure = keys.word("measure", MEASURES);
    let count = keys.parsed("events_min", "a whole number that is not negative", |text| text.parse::<u64>().ok());
    extension.events_min = count.unwrap_or(0);
    extension.after = keys.text("after").map(str::to_owned);
    extension.about_failures = keys.boolean("about_failures").unwrap_or(false);
    extension.counted = keys.text("counted").map(str::to_owned);
    if let Some(node) = keys.node_of("examples") {
        extension.examples = examples(source, node, keys.faults);
    }
    keys.finish();
    extension
}

/// Whether the extension fits the kind of rule it stands in.
pub(super) fn check(keys: &mut Keys<'_, '_>, own: Option<&Yaml>, extension: &Extension, body: &Body) {
    let place = own.unwrap_or(keys.node());
    let source = keys.source();
    let mut fault = |message: &str, advice: &str| keys.faults.at_with(&source, place, message, advice);
    match (body, extension.measure) {
        (Body::Detection(_), measure) => {
            if measure.is_some() || extension.events_min > 0 || extension.after.is_some() {
                let advice = "move them to a correlation that names this rule";
                fault("`measure`, `events_min` and `after` belong to correlations", advice);
            }
        }
        (Body::Correlation(correlation), None) => {
            if correlation.kind == CorrelationKind::ValueAverage {
                let advice = "add `sekisho: { measure: error_share }` or `duration_seconds`";
                fault("value_avg is only supported over a measure", advice);
            }
            if correlation.rules.is_empty() {
                fault("`correlation` needs `rules`", "name the rules whose matches are counted");
            }
        }
        (Body::Correlation(correlation), Some(measure)) => {
            let fitting = match measure {
                Measure::Requests => CorrelationKind::EventCount,
                Measure::ErrorShare | Measure::DurationSeconds => CorrelationKind::ValueAverage,
            };
            if correlation.kind != fitting {
                let advice = "`requests` goes with event_count, `error_share` and `duration_seconds` with value_avg";
                fault("this `measure` does not go with this correlation type", advice);
            }
        }
    }
}

fn severity(level: &str) -> Severity {
    match level {
        "critical" => Severity::Critical,
        "high" => Severity::Major,
        "medium" => Severity::Moderate,
        _ => Severity::Minor,
    }
}

fn response(source: &Arc<Source>, yaml: &Yaml, faults: &mut Faults) -> ResponsePlan {
    let mut keys = Keys::of(source, yaml, "`response`", faults);
    let level = keys.word("level", LEVELS).unwrap_or(Level::Alert);
    let ttl = keys.parsed("ttl", "a duration such as 15m or 4h, longer than nothing", |text| {
        crate::document::parse_duration(text).filter(|ttl| *ttl > 0)
    });
    let because = keys.text("because").unwrap_or_default().to_owned();
    if level > Level::Alert && because.trim().is_empty() {
        let advice = "say in `because` why this level is right: it is shown on every receipt";
        keys.faults.at_with(source, yaml, "a response beyond an alert needs its reason", advice);
    }
    keys.finish();
    ResponsePlan { level, ttl: ttl.unwrap_or(TTL_DEFAULT), because }
}

fn examples(source: &Arc<Source>, yaml: &Yaml, faults: &mut Faults) -> Examples {
    let mut keys = Keys::of(source, yaml, "`examples`", faults);
    let mut list = |key| {
        let items = keys.node_of(key).map(Yaml::items).unwrap_or_default();
        items.iter().map(|item| example(source, item, keys.faults)).collect()
    };
    let examples = Examples { fires: list("fires"), quiet: list("quiet") };
    keys.finish();
    examples
}

fn example(source: &Arc<Source>, yaml: &Yaml, faults: &mut Faults) -> Example {
    if yaml.items().is_empty() {
        faults.at_with(source, yaml, "an empty example", "write `{ pipeline: …, line: … }`");
    }
    let steps = yaml.items().iter().map(|item| step(source, item, faults)).collect();
    Example { steps, line: yaml.line }
}

fn step(source: &Arc<Source>, yaml: &Yaml, faults: &mut Faults) -> Step {
    let mut keys = Keys::of(source, yaml, "a step of an example", faults);
    let mut required = |key| keys.required(key).and_then(Yaml::text).unwrap_or_default().to_owned();
    let (pipeline, line) = (required("pipeline"), required("line"));
    let repeat = keys.parsed("repeat", "a whole number from 1 to 100000", |text| {
        text.parse::<i64>().ok().filter(|repeat| (1..=REPEAT_MAX).contains(repeat))
    });
    let every = keys.duration("every").unwrap_or(SECOND);
    let wait = keys.duration("wait").unwrap_or(0);
    keys.finish();
    Step { pipeline, line, repeat: repeat.unwrap_or(1) as u32, every, wait }
}
