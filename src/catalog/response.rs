//! What the catalog says about responses: the settings of the guard and of each rule. Pure.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::detect::{Body, Comparison, Correlation, CorrelationKind, LogSource, Rule};
use crate::event::outcome::RuleName;
use crate::event::{CatalogHash, MINUTE};
use crate::respond::{Budget, RuleSettings, Settings};

/// A rule without a timespan of its own fires once in ten minutes per entity (design §7, ids).
const TIMESPAN: i64 = 10 * MINUTE;

pub(super) fn settings(config: &Config, catalog: CatalogHash, rules: &[Rule]) -> Settings {
    let budget = config.response.budget;
    Settings {
        catalog,
        rules: rules.iter().map(|rule| rule_settings(rule, rules)).collect(),
        protected: config.networks.own.iter().chain(&config.networks.protected).copied().collect(),
        ordinary: config.networks.ordinary.clone(),
        level: config.response.level,
        shadow: config.response.shadow,
        budget: Budget { per_minute: budget.per_minute, active: budget.active, share: budget.share },
        hold: config.response.hold,
        stale: config.time.stale,
    }
}

fn rule_settings(rule: &Rule, rules: &[Rule]) -> RuleSettings {
    let (threshold, timespan) = match &rule.body {
        Body::Detection(_) => (1, TIMESPAN),
        Body::Correlation(correlation) => (threshold(correlation), correlation.timespan),
    };
    RuleSettings {
        name: RuleName { id: rule.id.clone(), name: rule.title.clone(), version: rule.version.clone() },
        severity: rule.sekisho.severity,
        techniques: rule.techniques(),
        category: categories(rule, rules),
        level: rule.sekisho.response.level,
        ttl: rule.sekisho.response.ttl,
        threshold,
        timespan,
        about_failures: rule.sekisho.about_failures,
        counted: counted(rule, rules),
    }
}

/// The smallest count that meets the conditions which ask for much; 1 where none does. Averages are rounded down, as
/// the counts of their findings are.
fn threshold(correlation: &Correlation) -> u64 {
    let average = correlation.kind == CorrelationKind::ValueAverage;
    let at_least = |(comparison, number): &(Comparison, f64)| match comparison {
        Comparison::AtLeast | Comparison::Equal if average => Some(number.floor()),
        Comparison::AtLeast | Comparison::Equal => Some(number.ceil()),
        Comparison::Greater if average => Some(number.floor()),
        Comparison::Greater => Some(number.floor() + 1.0),
        Comparison::Less | Comparison::AtMost | Comparison::NotEqual => None,
    };
    let floor = if average { 0.0 } else { 1.0 };
    correlation.condition.iter().filter_map(at_least).fold(floor, f64::max) as u64
}

/// The rules that a correlation counts.
fn members<'r>(correlation: &'r Correlation, rules: &'r [Rule]) -> impl Iterator<Item = &'r Rule> {
    correlation.rules.iter().filter_map(|name| rules.iter().find(|rule| rule.name == *name || rule.id == *name))
}

/// `event.category` of a rule's alerts, by the logs that it reads.
fn categories(rule: &Rule, rules: &[Rule]) -> Vec<String> {
    let words: BTreeSet<&str> = match &rule.body {
        Body::Correlation(correlation) if !correlation.rules.is_empty() => {
            members(correlation, rules).map(|member| category(&member.logsource)).collect()
        }
        Body::Correlation(_) | Body::Detection(_) => BTreeSet::from([category(&rule.logsource)]),
    };
    words.into_iter().map(str::to_owned).collect()
}

fn category(source: &LogSource) -> &'static str {
    let word = |part: &Option<String>| part.as_deref().map(str::to_ascii_lowercase).unwrap_or_default();
    let (category, product, service) = (word(&source.category), word(&source.product), word(&source.service));
    match (category.as_str(), product.as_str(), service.as_str()) {
        ("authentication", _, _) | (_, _, "sshd" | "auth" | "sudo" | "su" | "pam") => "authentication",
        ("webserver" | "proxy", _, _) | (_, "nginx" | "apache", _) => "web",
        _ => "intrusion_detection",
    }
}

/// What the rule counts, in words: its own, or else those of the rules it counts.
fn counted(rule: &Rule, rules: &[Rule]) -> String {
    let own = rule.sekisho.counted.clone();
    let Body::Correlation(correlation) = &rule.body else { return own.unwrap_or_else(|| quoted(rule)) };
    if let Some(own) = own {
        return own;
    }
    let words = |member: &Rule| member.sekisho.counted.clone().unwrap_or_else(|| quoted(member));
    let members: Vec<String> = members(correlation, rules).map(words).collect();
    let what = if members.is_empty() { "events".to_owned() } else { members.join(" or ") };
    match (&correlation.field, correlation.kind) {
        (Some(field), CorrelationKind::ValueCount) => format!("distinct {} in {what}", plural(field.name())),
        (_, CorrelationKind::EventCount | CorrelationKind::ValueCount | CorrelationKind::ValueAverage) => what,
    }
}

fn quoted(rule: &Rule) -> String {
    format!("matches of \"{}\"", rule.title)
}

fn plural(field: &str) -> &str {
    match field {
        "user.name" => "accounts",
        "client.ip" | "source.ip" => "clients",
        "url.path" => "paths",
        "url.original" => "targets",
        other => other,
    }
}
