//! What the node lends the API: closures over its journal, index and gauges. I/O behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::api::projection::{Allowed, Projection, Seed};
use crate::api::{self, Check, Clock, Log, Metrics, Services};
use crate::catalog::Catalog;
use crate::collect::HTTP_PARTITION;
use crate::config::Config;
use crate::event::{Input, Time};
use crate::index::Index;
use crate::journal::Journal;
use crate::respond::Standing;

use super::stages::Shared;
use super::{NodeError, questions, shown};

/// Without a sign of life for so long the stages are called dead: a commit that waits for a disk takes seconds.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// What a journal says of itself.
#[derive(Clone)]
pub struct JournalTold {
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
    pub trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    pub appended_at: Time,
}

/// What is lent.
pub struct Lent<J> {
    pub journal: Arc<J>,
    /// What the journal says of itself, and whether something is wrong with it.
    pub told: JournalTold,
    pub judging: Arc<Catalog>,
    pub reading: Arc<Catalog>,
    pub index: Index,
    pub shared: Arc<Shared>,
    pub metrics: Arc<Metrics>,
    /// What holds as the node starts: records tell the rest.
    pub standing: Standing,
    pub data: PathBuf,
    /// The journal's.
    pub clock: Clock,
}

/// The API's services, and the thread that keeps what it knows of outcomes up to date.
///
/// # Errors
/// Where the journal cannot be read.
pub fn lend<J: Journal + 'static>(lent: Lent<J>, config: &Config) -> Result<(Services, api::Follower), NodeError> {
    let log = Log::of(&lent.journal);
    let projection = Arc::new(Projection::new(seed(lent.standing.clone(), lent.told.appended_at)));
    let follower = api::projection::follow(&projection, log.clone())?;
    let metrics = Arc::clone(&lent.metrics);
    shown::name(&metrics, &lent);
    let pipelines = lent
        .judging
        .pipelines
        .iter()
        .map(|pipeline| (pipeline.name.clone(), Input { topic: pipeline.name.clone(), partition: HTTP_PARTITION }));
    let protected =
        |networks: &[ipnet::IpNet], key: &'static str| networks.iter().map(move |net| (*net, key)).collect::<Vec<_>>();
    let mut guarded = protected(&config.networks.own, "networks.own");
    guarded.extend(protected(&config.networks.protected, "networks.protected"));
    let trouble = Arc::clone(&lent.told.trouble);
    let (for_status, for_checks, for_life) = (status(&lent), Arc::clone(&lent.shared), Arc::clone(&lent.shared));
    let services = Services {
        pipelines: pipelines.collect::<BTreeMap<_, _>>(),
        events: questions::events(&lent),
        log,
        projection,
        metrics,
        status: for_status,
        checks: Arc::new(move || checks(for_checks.quiet_for(), for_checks.has_failed(), trouble())),
        live: Arc::new(move || {
            // One that stands still may be waiting for a disk or for brokers: only where all do, a new start may help.
            let turns = for_life.quiet_for().first().is_none_or(|(_, quiet)| *quiet < DEAD_AFTER);
            !for_life.has_failed() && turns
        }),
        protected: guarded,
        clock: lent.clock,
        data: lent.data,
    };
    Ok((services, follower))
}

/// What is older than the journal; whatever its records say comes on top.
fn seed(standing: Standing, at: Time) -> Seed {
    let allowed = |network| Allowed { network, by: String::new(), at, reason: String::new() };
    Seed {
        blocks: standing.blocks,
        incidents: standing.incidents,
        allowed: standing.allowed.into_iter().map(allowed).collect(),
        positions: BTreeMap::new(),
    }
}

/// `quiet` is how long each stage did not come round, `failed` whether one could not go on.
fn checks(mut quiet: Vec<(String, Duration)>, failed: bool, trouble: Option<String>) -> Vec<Check> {
    quiet.retain(|(_, quiet)| *quiet >= DEAD_AFTER);
    let told = |(name, quiet): &(String, Duration)| format!("{name} did not come round for {} s", quiet.as_secs());
    let detail = quiet.iter().map(told).collect::<Vec<_>>().join(", ");
    vec![
        Check { name: "stages", ok: quiet.is_empty(), detail },
        Check { name: "journal", ok: !failed && trouble.is_none(), detail: trouble.unwrap_or_default() },
    ]
}

/// The node's part of the status.
fn status<J>(lent: &Lent<J>) -> Arc<dyn Fn() -> Map<String, Value> + Send + Sync> {
    let (shared, journal, index) = (Arc::clone(&lent.shared), Arc::clone(&lent.told.status), lent.index.clone());
    let (rules, catalog) = (lent.judging.rules.len(), lent.judging.hash.to_string());
    Arc::new(move || {
        let decide = shared.gauges.decide();
        let inputs = shared.gauges.inputs();
        let indexed = index.status();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let input = |gauge: &super::InputGauge| {
            let counters = gauge.counters;
            json!({
                "topic": gauge.input.topic, "partition": gauge.input.partition, "records": counters.records,
                "events": counters.events, "undecodable": counters.undecodable, "flawed": counters.flawed,
                "late": counters.late, "out_of_order": counters.out_of_order, "time": gauge.high,
            })
        };
        let mut status = Map::new();
        status.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        status.insert("catalog".to_owned(), json!(catalog));
        status.insert("rules".to_owned(), json!(rules));
        status.insert("journal".to_owned(), journal());
        status.insert("inputs".to_owned(), inputs.iter().map(input).collect());
        status.insert(
            "decide".to_owned(),
            json!({
                "next": decide.next, "stream_time": decide.stream, "signals": decide.counters.signals,
                "tallies": decide.counters.tallies, "findings": decide.counters.findings,
                "alerts": load(&shared.gauges.alerts), "blocks": load(&shared.gauges.blocks),
                "lifts": load(&shared.gauges.lifts), "windows": decide.windows.keys, "window_bytes": decide.windows.bytes, "evicted": decide.windows.evicted,
            }),
        );
        status.insert(
            "index".to_owned(),
            json!({
                "events": indexed.documents, "splits": indexed.splits, "segments": indexed.segments,
                "damaged": indexed.damaged.iter().map(|(path, why)| json!({ "path": path, "why": why })).collect::<Vec<_>>(),
            }),
        );
        status
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_stands_still_is_told_while_another_turns() {
        let quiet = |decide: u64| {
            vec![("ingest".to_owned(), Duration::from_secs(1)), ("decide".to_owned(), Duration::from_secs(decide))]
        };
        assert!(checks(quiet(2), false, None).iter().all(|check| check.ok));
        let told = checks(quiet(75), false, None);
        assert_eq!((told[0].ok, told[0].detail.as_str()), (false, "decide did not come round for 75 s"));
        assert!(checks(Vec::new(), false, None)[0].ok, "a process without stages has none that stands");
    }
}
