//! Every block derived again from its receipt and the same inputs (outputs sheet, "Block"). I/O.
//!
//! The inputs are read once; each receipt folds the records of its spans with a fresh fold of its rule alone, and its
//! guard's static gates (expiry, attributed, width, protected, stale, level) are asked again. Deliberately without the
//! gates that need the whole log: budgets, outages and holds.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::catalog::Catalog;
use crate::event::outcome::{Alert, Block, Origin, Receipt, Refusal, ResponseResult, RuleName};
use crate::event::{EntityKind, Input, Outcome, Window};
use crate::fold::{Batch, Decide, Ingest};
use crate::respond::{self, Prefix};

use super::error::ReplayError;
use super::examine::Content;
use super::merge::Turn;
use super::session::{Request, Session};
use super::spans::SpanIndex;

/// So many records of one receipt are folded at a time.
const BATCH_RECORDS: u64 = 4096;

/// What became of one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub id: String,
    pub target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether the receipt's catalog is the one that judged now; a block without a receipt has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_catalog: Option<bool>,
    pub verified: bool,
    /// What differs, or why there is nothing to derive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// One receipt being folded.
struct Check {
    ingest: Ingest,
    decide: Decide,
    batch: Batch,
    outcomes: Vec<Outcome>,
    /// What the receipt says: count, window and target.
    wanted: (u64, Window, String),
    /// The firing most like it so far, and how much of it is the same.
    nearest: Option<(usize, Alert)>,
    placed: u64,
    /// Records of its spans that have not come yet.
    missing: u64,
}

/// Derives the blocks again, in their order.
///
/// # Errors
/// [`ReplayError`] where the inputs cannot be read. That a block does not verify is no error.
pub fn verify(
    blocks: &[Block],
    request: &Request,
    catalog: &Arc<Catalog>,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Verdict>, ReplayError> {
    let session = Session::open(request, catalog, stop)?;
    let mut indexes: Vec<SpanIndex> = session.inputs.iter().map(|_| SpanIndex::default()).collect();
    let prepared =
        blocks.iter().enumerate().map(|(owner, block)| prepare(owner, block, &session, catalog, &mut indexes));
    let mut checks: Vec<Result<Check, Vec<String>>> = prepared.collect();
    let mut heads = Ingest::new(Arc::clone(catalog), session.inputs.clone());
    session.each(|turn| {
        let Turn { input, content, index, key } = turn;
        let state = *heads.state(input);
        for owner in indexes[input].owners(content.first + index as u64) {
            if let Ok(check) = &mut checks[owner] {
                // What is late or out of order is so by all that came before it.
                check.ingest.resume(input, state);
                check.take(input, content, index, key.at);
            }
        }
        for sighting in content.starts[index]..content.starts[index + 1] {
            heads.pass(input, (&content.sightings, sighting), key.at);
        }
        Ok(())
    })?;
    let opened = |place: usize| blocks[..place].iter().any(|before| is_same(before, &blocks[place]));
    let concluded = checks.into_iter().enumerate().map(|(place, check)| {
        let block = &blocks[place];
        let opening = if respond::is_opening(block) { Opening::This } else { Opening::of_file(opened(place)) };
        conclude(catalog, block, opening, check)
    });
    Ok(concluded.collect())
}

/// Starts the fold of a receipt, or says why there is none.
fn prepare(
    owner: usize,
    block: &Block,
    session: &Session,
    catalog: &Arc<Catalog>,
    indexes: &mut [SpanIndex],
) -> Result<Check, Vec<String>> {
    let (receipt, rule) = derivable(block)?;
    let unknown = || vec![format!("the catalog has no rule `{}` ({})", rule.name, rule.id)];
    let rule = catalog.rule_named(&rule.id).ok_or_else(unknown)?;
    let mut problems = Vec::new();
    let mut missing = 0;
    for span in &receipt.spans {
        let input = Input { topic: span.topic.clone(), partition: span.partition };
        match session.inputs.iter().position(|(given, _)| *given == input) {
            Some(at) => {
                indexes[at].add(span.from, span.to, owner);
                missing += span.to.saturating_sub(span.from);
            }
            None => problems.push(format!(
                "its records lie in input {} of pipeline `{}`, which was not given: --pipeline {}=FILE",
                span.partition, span.topic, span.topic
            )),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let inputs = session.inputs.iter().map(|(input, _)| input.clone()).collect();
    Ok(Check {
        ingest: Ingest::new(Arc::clone(catalog), session.inputs.clone()),
        decide: Decide::new_for_rule(Arc::clone(catalog), inputs, rule),
        batch: Batch::default(),
        outcomes: Vec::new(),
        wanted: (receipt.count, receipt.window, block.target.clone()),
        nearest: None,
        placed: 0,
        missing,
    })
}

/// The receipt and rule of a block; one that a rule did not ask for has none.
fn derivable(block: &Block) -> Result<(&Receipt, &RuleName), Vec<String>> {
    let none = || vec!["no rule asked for it: there is nothing to derive".to_owned()];
    Ok((block.receipt.as_ref().ok_or_else(none)?, block.rule.as_ref().ok_or_else(none)?))
}

impl Check {
    fn take(&mut self, input: usize, content: &Content, index: usize, at: crate::event::Time) {
        for sighting in content.starts[index]..content.starts[index + 1] {
            self.ingest.place(input, (&content.sightings, sighting), at, &mut self.batch);
        }
        self.placed += 1;
        self.missing = self.missing.saturating_sub(1);
        if self.placed.is_multiple_of(BATCH_RECORDS) {
            self.decide.fold(&mut self.batch, &mut self.outcomes);
            self.keep_nearest();
        }
    }

    fn finish(&mut self) {
        self.decide.fold(&mut self.batch, &mut self.outcomes);
        self.decide.finish(&mut self.outcomes);
        self.keep_nearest();
    }

    fn keep_nearest(&mut self) {
        for outcome in self.outcomes.drain(..) {
            let Outcome::Alert(alert) = outcome else { continue };
            let detail = &alert.sekisho;
            let (count, window, target) = &self.wanted;
            // Several clients may reach one count in one second: first of all it is about the one that was blocked.
            let same = 4 * usize::from(concerns(&alert, target))
                + 2 * usize::from(detail.window == *window)
                + usize::from(detail.count == *count);
            if self.nearest.as_ref().is_none_or(|(known, _)| same > *known) {
                self.nearest = Some((same, *alert));
            }
        }
    }
}

/// Which record began a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    This,
    Earlier,
    /// None of the file: the id could not be derived.
    Missing,
}

impl Opening {
    fn of_file(opened: bool) -> Opening {
        if opened { Opening::Earlier } else { Opening::Missing }
    }
}

/// Whether `before` began the block that `block` extends.
fn is_same(before: &Block, block: &Block) -> bool {
    before.id == block.id && before.target == block.target && respond::is_opening(before)
}

fn conclude(catalog: &Catalog, block: &Block, opening: Opening, check: Result<Check, Vec<String>>) -> Verdict {
    let settings = &catalog.respond;
    let mut differences = respond::contradictions(settings, block);
    let mut remarks = Vec::new();
    match (check, derivable(block)) {
        (Ok(mut check), Ok((receipt, rule))) => {
            check.finish();
            differences.extend(derived_differences(block, receipt, rule, &check));
            if let Some(own) = settings.rules.iter().find(|own| own.name.id == rule.id) {
                let receipt = (block, receipt);
                differences.extend(respond::receipt_contradictions(settings, own, receipt, opening == Opening::This));
            }
            if opening == Opening::Missing {
                remarks.push("the record that began it is not in the file, so its id was not derived".to_owned());
            }
        }
        (Err(problems), Ok(_)) => differences.extend(problems),
        (_, Err(_)) if block.origin == Origin::Rule => {
            differences.push("a rule asked for it, and it has no receipt".to_owned());
        }
        (_, Err(nothing)) => remarks.extend(nothing),
    }
    let hash = catalog.hash.to_string();
    let same_catalog = block.receipt.as_ref().map(|receipt| receipt.catalog == hash);
    if let (Some(false), Some(receipt)) = (same_catalog, &block.receipt) {
        let then = &receipt.catalog;
        differences
            .push(format!("decided by catalog {then}, derived by {hash}: give the rules and configuration of then"));
    }
    let verified = differences.is_empty();
    differences.append(&mut remarks);
    let rule = block.rule.as_ref().map(|rule| rule.name.clone());
    Verdict { id: block.id.clone(), target: block.target.clone(), rule, same_catalog, verified, remarks: differences }
}

/// What differs between a receipt and the firing most like it; nothing where one is the same.
fn derived_differences(block: &Block, receipt: &Receipt, rule: &RuleName, check: &Check) -> Vec<String> {
    let nearest = check.nearest.as_ref().map(|(_, alert)| difference(block, receipt, rule, alert));
    let mut found = nearest.unwrap_or_else(|| vec!["the rule does not fire on the records of its spans".to_owned()]);
    if !found.is_empty() && check.missing > 0 {
        found.push(format!("{} records of its spans are not in the inputs", check.missing));
    }
    found
}

fn difference(block: &Block, receipt: &Receipt, rule: &RuleName, alert: &Alert) -> Vec<String> {
    let mut found = Vec::new();
    let detail = &alert.sekisho;
    if !concerns(alert, &block.target) {
        found.push(format!("the rule fires about {}, not {}", detail.entity.value, block.target));
    }
    if detail.count != receipt.count {
        found.push(format!("the count is {}, the receipt says {}", detail.count, receipt.count));
    }
    if detail.window != receipt.window {
        let (now, then) = (detail.window, receipt.window);
        found.push(format!(
            "the window is {} to {}, the receipt says {} to {}",
            now.start, now.end, then.start, then.end
        ));
    }
    if detail.evidence != receipt.evidence {
        found.push("the evidence is other records than the receipt lists".to_owned());
    }
    if detail.spans != receipt.spans {
        found.push("the spans are others than the receipt's".to_owned());
    }
    if alert.rule.name != rule.name {
        found.push(format!("the rule's name is `{}`, the receipt's was `{}`", alert.rule.name, rule.name));
    }
    if alert.rule.version != rule.version {
        found.push(format!("the rule is version {}, the receipt's was {}", alert.rule.version, rule.version));
    }
    found.extend(refused(alert).map(|gate| format!("the guard refuses it: {gate}")));
    found
}

/// The static gate that refused a firing. What the whole log decides is not asked of a part of it.
fn refused(alert: &Alert) -> Option<&'static str> {
    let response = &alert.sekisho.response;
    match response.reason.filter(|_| response.result == ResponseResult::Refused)? {
        Refusal::Expiry => Some("it would have no expiry"),
        Refusal::Unattributed => Some("the client is not told for certain"),
        Refusal::Private => Some("the client has no internet address"),
        Refusal::TooWide => Some("the target is too wide"),
        Refusal::Protected => Some("the target is protected"),
        Refusal::Level => Some("the rule's level is below blocking"),
        Refusal::Shadow => Some("the configuration says shadow"),
        Refusal::Stale | Refusal::Outage | Refusal::Budget | Refusal::Frozen | Refusal::Operator => None,
    }
}

/// Whether an alert's entity, or one of the clients that it lists where it is about more than one, is the target.
fn concerns(alert: &Alert, target: &str) -> bool {
    let Ok(target) = target.parse::<Prefix>() else { return false };
    let is_target = |text: &str| text.parse().is_ok_and(|address| Prefix::client(address) == target);
    match alert.sekisho.entity.kind {
        EntityKind::Client => alert.client.as_ref().is_some_and(|client| is_target(&client.ip)),
        EntityKind::Network => alert.sekisho.entity.value.parse() == Ok(target),
        EntityKind::User
        | EntityKind::Service
        | EntityKind::Asn
        | EntityKind::Country
        | EntityKind::Host
        | EntityKind::Global => alert.related.iter().flat_map(|related| &related.ip).any(|ip| is_target(ip)),
    }
}
