//! A block record held against the settings it claims to follow from: what of it cannot be. Pure.
//!
//! The guard's static gates are asked again, and the receipt's numbers are compared with the rule. Deliberately without
//! the gates that need the whole journal (outage, budget, holds) and without an opinion on how often a target offended:
//! there only what the receipt says of itself must fit together.

use crate::event::outcome::{Block, Gate, GateVerdict, Level, Receipt};
use crate::event::{SECOND, Time};

use super::blocks::escalated;
use super::guard::width;
use super::ids;
use super::prefix::Prefix;
use super::settings::{RuleSettings, Settings};

/// Every gate of the guard, in its order.
const GATES: [Gate; 8] = [
    Gate::Expiry,
    Gate::Attributed,
    Gate::Width,
    Gate::Protected,
    Gate::Stale,
    Gate::Outage,
    Gate::Level,
    Gate::Budget,
];

/// What no block may be, whoever asked for it: without an expiry, too wide, of something protected.
pub fn contradictions(settings: &Settings, block: &Block) -> Vec<String> {
    let mut found = Vec::new();
    if block.action != "block" {
        found.push(format!("its action is `{}`, not `block`", block.action));
    }
    if block.expires_at <= block.issued_at {
        found.push(format!("expiry: it ends at {} and began at {}", block.expires_at, block.issued_at));
    }
    if block.level < Level::Throttle {
        found.push(format!("level: `{}` blocks nobody", block.level.word()));
    }
    match block.target.parse::<Prefix>() {
        Err(_) => found.push(format!("the target {} is no network", block.target)),
        Ok(prefix) => {
            if prefix.to_string() != block.target {
                found.push(format!("the target {} is written {prefix}", block.target));
            }
            if width(prefix).is_err() {
                found.push(format!("width: {prefix} is wider than anything that is blocked"));
            }
            if settings.protected.iter().any(|network| Prefix::network(*network).overlaps(prefix)) {
                found.push(format!("protected: {prefix} has an address in common with what is never blocked"));
            }
        }
    }
    found
}

/// What of a rule's block differs from what its rule would say. `opening`: the record that began the block, rather than
/// one that extends it.
pub fn receipt_contradictions(
    settings: &Settings,
    rule: &RuleSettings,
    (block, receipt): (&Block, &Receipt),
    opening: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, is: String, says: String| {
        if is != says {
            found.push(format!("{what} is {is}, the receipt says {says}"));
        }
    };
    let ttl = escalated(rule.ttl, receipt.offence);
    let expires_at = block.issued_at.plus(ttl);
    compare("the reason", rule.name.name.clone(), block.reason.clone());
    compare("the threshold", rule.threshold.to_string(), receipt.threshold.to_string());
    compare("its duration in seconds", (ttl / SECOND).to_string(), receipt.ttl_s.to_string());
    compare("its end", expires_at.to_string(), block.expires_at.to_string());
    found.extend(level(settings, rule, block, opening));
    found.extend(stale(settings, block.issued_at, receipt));
    found.extend(gates(settings, &receipt.guard));
    if receipt.offence == 0 {
        found.push("it is offence 0, the first one is 1".to_owned());
    }
    found
}

/// Whether a record is the one that began its block: its id follows from its own target and alert.
pub fn is_opening(block: &Block) -> bool {
    let (Ok(target), Some(alert)) = (block.target.parse(), block.alert.as_ref().and_then(|alert| alert.parse().ok()))
    else {
        return false;
    };
    ids::block(target, alert).to_string() == block.id
}

/// An extension keeps a stronger level that the block had, so there the rule's own is the least.
fn level(settings: &Settings, rule: &RuleSettings, block: &Block, opening: bool) -> Option<String> {
    let own = rule.level.min(settings.level);
    let fits = if opening { block.level == own } else { (own..=settings.level).contains(&block.level) };
    if settings.shadow {
        return Some("level: the configuration says shadow, so nothing is blocked".to_owned());
    }
    (!fits).then(|| format!("level: the rule's is `{}`, the block's `{}`", own.word(), block.level.word()))
}

fn stale(settings: &Settings, issued_at: Time, receipt: &Receipt) -> Option<String> {
    let end = receipt.window.end;
    let behind = issued_at.since(end);
    (behind > settings.stale).then(|| format!("stale: it was issued at {issued_at}, its window ended at {end}"))
}

/// The guard of a block that was issued: every gate, in order, passed, and a budget that was not overdrawn.
fn gates(settings: &Settings, guard: &[GateVerdict]) -> Vec<String> {
    let mut found = Vec::new();
    if !guard.iter().map(|verdict| verdict.gate).eq(GATES) {
        found.push("the guard's gates are not those of the guard, in its order".to_owned());
    }
    for verdict in guard.iter().filter(|verdict| !verdict.passed) {
        found.push(format!("gate {} did not pass, so there is no block", word(verdict.gate)));
    }
    let limit = settings.budget.per_minute;
    for budget in guard.iter().filter(|verdict| verdict.gate == Gate::Budget) {
        if budget.limit != Some(limit) || budget.used.is_none_or(|used| used > limit) {
            let shown = |number: Option<u64>| number.map_or_else(|| "nothing".to_owned(), |number| number.to_string());
            let (used, of) = (shown(budget.used), shown(budget.limit));
            found.push(format!("budget: {used} of {of} are used, the limit is {limit}"));
        }
    }
    found
}

fn word(gate: Gate) -> &'static str {
    match gate {
        Gate::Expiry => "expiry",
        Gate::Attributed => "attributed",
        Gate::Width => "width",
        Gate::Protected => "protected",
        Gate::Stale => "stale",
        Gate::Outage => "outage",
        Gate::Level => "level",
        Gate::Budget => "budget",
    }
}
