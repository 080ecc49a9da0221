//! What the node lends the API: closures over its journal, index and gauges. I/O behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
const DEAD_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

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
        checks: Arc::new(move || checks(&for_checks, trouble())),
        live: Arc::new(move || !for_life.has_failed() && for_life.quiet_for() < DEAD_AFTER),
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

fn checks(shared: &Shared, trouble: Option<String>) -> Vec<Check> {
    let quiet = shared.quiet_for();
    let turning = quiet < DEAD_AFTER;
    let detail = if turning { String::new() } else { format!("no stage came round for {} s", quiet.as_secs()) };
    vec![
        Check { name: "stages", ok: turning, detail },
        Check { name: "journal", ok: !shared.has_failed() && trouble.is_none(), detail: trouble.unwrap_or_default() },
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
