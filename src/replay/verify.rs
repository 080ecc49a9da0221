//! Every block derived again from its receipt and the same inputs (outputs sheet, "Block"). I/O.
//!
//! The inputs are read once; each receipt folds the records of its spans with a fresh fold of its rule alone.
//! Deliberately without the guard's opinion: budgets and outages need the whole log, the verdict of the rule does not.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::catalog::Catalog;
use crate::event::outcome::{Alert, Block, Receipt, RuleName};
use crate::event::{Input, Outcome, Window};
use crate::fold::{Batch, Decide, Ingest};

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
    let hash = catalog.hash.to_string();
    Ok(blocks.iter().zip(checks).map(|(block, check)| conclude(block, check, &hash)).collect())
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

fn conclude(block: &Block, check: Result<Check, Vec<String>>, catalog: &str) -> Verdict {
    let same_catalog = block.receipt.as_ref().map(|receipt| receipt.catalog == catalog);
    let (verified, mut remarks) = match (check, derivable(block)) {
        (Ok(mut check), Ok((receipt, rule))) => {
            check.finish();
            let differences = differences(block, receipt, rule, &check);
            (differences.is_empty(), differences)
        }
        (Err(remarks), derivable) => (derivable.is_err(), remarks),
        (Ok(_), Err(remarks)) => (true, remarks),
    };
    if let (Some(false), Some(receipt)) = (same_catalog, &block.receipt) {
        remarks.push(format!("decided by catalog {}, derived by the current one, {catalog}", receipt.catalog));
    }
    let rule = block.rule.as_ref().map(|rule| rule.name.clone());
    Verdict { id: block.id.clone(), target: block.target.clone(), rule, same_catalog, verified, remarks }
}

/// What differs between a receipt and the firing most like it; nothing where one is the same.
fn differences(block: &Block, receipt: &Receipt, rule: &RuleName, check: &Check) -> Vec<String> {
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
    if alert.rule.version != rule.version {
        found.push(format!("the rule is version {}, the receipt's was {}", alert.rule.version, rule.version));
    }
    found
}

/// Whether one of an alert's clients lies in the target.
fn concerns(alert: &Alert, target: &str) -> bool {
    let Ok(network) = target.parse::<ipnet::IpNet>() else { return false };
    let client = alert.client.iter().map(|client| client.ip.as_str());
    let related = alert.related.iter().flat_map(|related| related.ip.iter().map(String::as_str));
    let entity = std::iter::once(alert.sekisho.entity.value.as_str());
    let address = |text: &str| text.split('/').next().unwrap_or(text).parse::<std::net::IpAddr>().ok();
    client.chain(related).chain(entity).filter_map(address).any(|address| network.contains(&address))
}
