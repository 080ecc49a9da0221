//! `correlation:` → what is counted, by what, how long, against which threshold. Pure.

use std::sync::Arc;

use crate::document::{Faults, Keys, Kind, Node as Yaml, Source, parse_duration};
use crate::event::DAY;

use super::super::rule::{Comparison, Correlation, CorrelationKind};
use super::field::field;

/// A group-by has as many values as a person can read in an alert.
const GROUP_BY_MAX: usize = 8;
/// A month of a timespan is 30 days: windows do not follow the calendar.
const MONTH: i64 = 30 * DAY;
/// The longest timespan: windows of more than a year hold nobody's attention and everybody's memory.
const TIMESPAN_MAX: i64 = 366 * DAY;

const KINDS: &[(&str, CorrelationKind)] = &[
    ("event_count", CorrelationKind::EventCount),
    ("value_count", CorrelationKind::ValueCount),
    ("value_avg", CorrelationKind::ValueAverage),
];

const COMPARISONS: &[(&str, Comparison)] = &[
    ("gt", Comparison::Greater),
    ("gte", Comparison::AtLeast),
    ("lt", Comparison::Less),
    ("lte", Comparison::AtMost),
    ("eq", Comparison::Equal),
    ("neq", Comparison::NotEqual),
];

/// Reads a correlation; `None` where a fault was noted that leaves nothing to check further.
pub(super) fn correlation(source: &Arc<Source>, yaml: &Yaml, faults: &mut Faults) -> Option<Correlation> {
    let mut keys = Keys::of(source, yaml, "`correlation`", faults);
    let kind = kind(&mut keys);
    let rules = keys.texts("rules").into_iter().map(str::to_owned).collect();
    let group_by = keys.texts("group-by");
    if group_by.len() > GROUP_BY_MAX {
        keys.fault(yaml, format!("more than {GROUP_BY_MAX} fields in `group-by`"));
    }
    let timespan = keys.required("timespan").is_some().then(|| timespan(&mut keys)).flatten();
    let conditions = keys.required("condition");
    if let Some(node) = keys.node_of("aliases") {
        let advice = "group by an ECS field: it has the same name in every rule";
        keys.faults.at_with(source, node, "`aliases` are not supported yet", advice);
    }
    let generate = keys.boolean("generate").unwrap_or(false);
    keys.finish();
    let (condition, counted) = condition(source, conditions?, faults);
    let (kind, timespan) = (kind?, timespan?);
    check_field(source, yaml, kind, counted, faults);
    Some(Correlation {
        kind,
        rules,
        group_by: group_by.into_iter().map(field).collect(),
        timespan,
        condition,
        field: counted.map(field),
        generate,
    })
}

fn kind(keys: &mut Keys<'_, '_>) -> Option<CorrelationKind> {
    let node = keys.required("type")?;
    let word = node.text().unwrap_or_default();
    let found = KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
    if found.is_none() {
        let message = format!("correlation type `{word}` is not supported yet");
        let advice = "use event_count, value_count, or value_avg with `sekisho: { measure: … }`";
        keys.faults.at_with(&keys.source(), node, message, advice);
    }
    found
}

fn timespan(keys: &mut Keys<'_, '_>) -> Option<i64> {
    keys.parsed("timespan", "a number with one unit: 30s, 5m, 1h, 7d, 2w, 1M (30 days) or 1y", |text| {
        let milliseconds = match text.strip_suffix('M') {
            Some(months) if months.bytes().all(|byte| byte.is_ascii_digit()) => {
                months.parse::<i64>().ok()?.checked_mul(MONTH)?
            }
            Some(_) => return None,
            None if text.ends_with("ms") => return None,
            None => parse_duration(text)?,
        };
        (1..=TIMESPAN_MAX).contains(&milliseconds).then_some(milliseconds)
    })
}

/// The thresholds, and the field whose values are counted.
fn condition<'n>(
    source: &Arc<Source>,
    yaml: &'n Yaml,
    faults: &mut Faults,
) -> (Vec<(Comparison, f64)>, Option<&'n str>) {
    if let Kind::Scalar { .. } = yaml.kind {
        let advice = "use event_count or value_count with a threshold: `condition: { gte: 10 }`";
        faults.at_with(source, yaml, "conditions over rule names are not supported yet", advice);
        return (Vec::new(), None);
    }
    let mut keys = Keys::of(source, yaml, "`condition`", faults);
    let mut thresholds = Vec::new();
    for (name, comparison) in COMPARISONS {
        let threshold = keys.parsed(name, "a number that is not negative", |text| {
            text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
        });
        thresholds.extend(threshold.map(|threshold| (*comparison, threshold)));
    }
    let counted = keys.text("field");
    if thresholds.is_empty() {
        let advice = "write for example `condition: { gte: 10 }`";
        keys.faults.at_with(source, yaml, "no threshold to compare with", advice);
    }
    keys.finish();
    (thresholds, counted)
}

fn check_field(source: &Arc<Source>, yaml: &Yaml, kind: CorrelationKind, counted: Option<&str>, faults: &mut Faults) {
    match (kind, counted) {
        (CorrelationKind::ValueCount, None) => {
            let advice = "write `condition: { field: user.name, gte: 10 }`";
            faults.at_with(source, yaml, "value_count needs the field whose values it counts", advice);
        }
        (CorrelationKind::EventCount, Some(_)) => {
            let advice = "use value_count to count distinct values, or drop `field`";
            faults.at_with(source, yaml, "event_count takes no field", advice);
        }
        (CorrelationKind::EventCount | CorrelationKind::ValueAverage, None)
        | (CorrelationKind::ValueCount | CorrelationKind::ValueAverage, Some(_)) => {}
    }
}
