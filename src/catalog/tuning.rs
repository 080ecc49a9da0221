//! `rules: { disable, level }` of the configuration, applied. Pure.

use crate::config::{Config, Mention};
use crate::detect::{Body, Rule};
use crate::document::Faults;

use super::advise;
use super::place::Sources;

/// The rules that are left, with the levels the configuration gives them.
pub(super) fn apply(config: &Config, mut rules: Vec<Rule>, sources: &Sources, faults: &mut Faults) -> Vec<Rule> {
    for (mention, level) in &config.rules.level {
        if let Some(place) = named(config, mention, &rules, faults) {
            rules[place].sekisho.response.level = *level;
        }
    }
    let places: Vec<usize> =
        config.rules.disable.iter().filter_map(|mention| named(config, mention, &rules, faults)).collect();
    for mention in &config.rules.disable {
        still_needed(config, mention, &rules, &places, faults);
    }
    if rules.len() > super::RULES_MAX {
        let message = format!("{} rules are more than the limit of {}", rules.len(), super::RULES_MAX);
        faults.push(sources.fault(&rules[super::RULES_MAX], "", message));
    }
    let kept = rules.into_iter().enumerate().filter(|(place, _)| !places.contains(place));
    kept.map(|(_, rule)| rule).collect()
}

fn is(rule: &Rule, name: &str) -> bool {
    rule.name == name || rule.id == name
}

fn named(config: &Config, mention: &Mention, rules: &[Rule], faults: &mut Faults) -> Option<usize> {
    let found = rules.iter().position(|rule| is(rule, &mention.name));
    if found.is_none() {
        let fault = config.fault(Some(mention.spot), format!("there is no rule `{}`", mention.name));
        faults.push(advise(fault, &mention.name, rules.iter().map(|rule| rule.name.as_str()), "rules"));
    }
    found
}

/// A rule that another, enabled one builds on cannot be taken away alone: that one would be silent without a word.
fn still_needed(config: &Config, mention: &Mention, rules: &[Rule], disabled: &[usize], faults: &mut Faults) {
    let Some(rule) = rules.iter().find(|rule| is(rule, &mention.name)) else { return };
    let needs = |other: &Rule| {
        let counted = match &other.body {
            Body::Correlation(correlation) => correlation.rules.iter().any(|name| is(rule, name)),
            Body::Detection(_) => false,
        };
        counted || other.sekisho.after.as_ref().is_some_and(|name| is(rule, name))
    };
    let enabled = rules.iter().enumerate().filter(|(place, _)| !disabled.contains(place));
    for (_, other) in enabled.filter(|(_, other)| needs(other)) {
        let message = format!("rule `{}` cannot be disabled alone: `{}` builds on it", rule.name, other.name);
        let fault = config.fault(Some(mention.spot), message);
        faults.push(fault.suggest(format!("disable `{}` too, or set its level to observe", other.name)));
    }
}
