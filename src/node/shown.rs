//! The names under which a node's gauges are shown at `/metrics` (observability sheet §5.1). Pure but for what it reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::api::{Clock, Metrics, process};
use crate::collect::{COUNTS, Counters};
use crate::event::outcome::Refusal;
use crate::event::{SECOND, Time};
use crate::journal::Journal;
use crate::journal::embedded::Embedded;
use crate::journal::kafka::Kafka;

use super::gauges::{Gauges, InputGauge, SEVERITIES, gate};
use super::lag::{self, Lag};
use super::services::Lent;
use super::stages::Shared;

/// Gates with the word that outputs use.
const GATES: [(Refusal, &str); 12] = [
    (Refusal::Expiry, "expiry"),
    (Refusal::Unattributed, "unattributed"),
    (Refusal::Private, "private"),
    (Refusal::TooWide, "too_wide"),
    (Refusal::Protected, "protected"),
    (Refusal::Stale, "stale"),
    (Refusal::Outage, "outage"),
    (Refusal::Level, "level"),
    (Refusal::Shadow, "shadow"),
    (Refusal::Budget, "budget"),
    (Refusal::Frozen, "frozen"),
    (Refusal::Operator, "operator"),
];

/// What is counted per pipeline.
type OfPipeline = (&'static str, &'static str, fn(&InputGauge) -> u64);

const OF_PIPELINE: [OfPipeline; 7] = [
    ("sekisho_records_total", "Records read from the journal.", |gauge| gauge.counters.records),
    ("sekisho_events_total", "Events judged.", |gauge| gauge.counters.events),
    ("sekisho_event_bytes_total", "Bytes of the events judged.", |gauge| gauge.counters.bytes),
    ("sekisho_events_undecodable_total", "Events that no format of their pipeline fits.", |g| g.counters.undecodable),
    ("sekisho_events_flawed_total", "Events with a flaw.", |gauge| gauge.counters.flawed),
    ("sekisho_events_late_total", "Events too late for any window.", |gauge| gauge.counters.late),
    ("sekisho_events_out_of_order_total", "Events behind their input by more than the lateness.", |gauge| {
        gauge.counters.out_of_order
    }),
];

/// Names everything.
pub fn name<J: Journal + 'static>(metrics: &Metrics, lent: &Lent<J>) {
    let version = env!("CARGO_PKG_VERSION");
    let revision = option_env!("SEKISHO_REVISION").unwrap_or("unknown");
    let labels = [("version", version), ("revision", revision)];
    metrics.gauge("sekisho_build_info", "The version that runs.", &labels).set(1.0);
    process::name(metrics);
    for pipeline in &lent.judging.pipelines {
        for (name, help, read) in OF_PIPELINE {
            let (shared, catalog) = (Arc::clone(&lent.shared), Arc::clone(&lent.judging));
            let index = catalog.pipeline_named(&pipeline.name);
            let is_of = move |gauge: &&InputGauge| catalog.pipeline_of(&gauge.input.topic) == index;
            let sum = move || shared.gauges.inputs().iter().filter(&is_of).map(read).sum();
            metrics.read_counter(name, help, &[("pipeline", &pipeline.name)], sum);
        }
    }
    for rule in &lent.judging.rules {
        let (shared, id) = (Arc::clone(&lent.shared), rule.id.clone());
        let read = move || shared.gauges.alerts_of(&id);
        metrics.read_counter("sekisho_rule_alerts_total", "Alerts of a rule.", &[("rule", &rule.id)], read);
    }
    name_decide(metrics, &lent.shared);
    name_lag(metrics, lent);
    name_stores(metrics, lent);
}

/// Names what is counted of each entry of `collect:`: among it what the kernel threw away, and what anybody may have sent.
pub fn name_sources(metrics: &Metrics, sources: &[Arc<Counters>]) {
    for counters in sources {
        let labels = [("source", counters.source.as_str()), ("pipeline", counters.pipeline.as_str())];
        for (count, word) in COUNTS {
            let (name, counters) = (format!("sekisho_collect_{word}_total"), Arc::clone(counters));
            let help = "What came from a source, or was lost on the way.";
            metrics.read_counter(&name, help, &labels, move || counters.get(count));
        }
    }
}

fn name_decide(metrics: &Metrics, shared: &Arc<Shared>) {
    let count = |name: &str, help: &str, labels: &[(&str, &str)], read: fn(&Gauges) -> u64| {
        let shared = Arc::clone(shared);
        metrics.read_counter(name, help, labels, move || read(&shared.gauges));
    };
    for severity in SEVERITIES {
        let (shared, labels) = (Arc::clone(shared), [("severity", severity.word())]);
        metrics.read_counter("sekisho_alerts_total", "Alerts.", &labels, move || shared.gauges.alerts_at(severity));
    }
    count("sekisho_dead_letters_total", "Records that no stage could read.", &[], |gauges| {
        gauges.dead_letters.load(Ordering::Relaxed)
    });
    count("sekisho_blocks_total", "Blocks.", &[], |gauges| gauges.blocks.load(Ordering::Relaxed));
    count("sekisho_lifts_total", "Blocks that ended.", &[], |gauges| gauges.lifts.load(Ordering::Relaxed));
    count(
        "sekisho_state_evictions_total",
        "Window keys that made room for others.",
        &[("kind", "windows")],
        |gauges| gauges.decide().windows.evicted,
    );
    count("sekisho_tallies_dropped_total", "Tallies beyond the limit.", &[], |gauges| {
        gauges.decide().counters.tallies_dropped
    });
    for (reason, word) in GATES {
        let shared = Arc::clone(shared);
        let read = move || shared.gauges.refusals[gate(reason)].load(Ordering::Relaxed);
        metrics.read_counter("sekisho_blocks_refused_total", "Blocks that a gate refused.", &[("gate", word)], read);
    }
    let gauge = |name: &str, help: &str, labels: &[(&str, &str)], read: fn(&Gauges) -> f64| {
        let shared = Arc::clone(shared);
        metrics.read_gauge(name, help, labels, move || read(&shared.gauges));
    };
    gauge("sekisho_state_entries", "Keys held.", &[("kind", "windows")], |gauges| gauges.decide().windows.keys as f64);
    gauge("sekisho_state_bytes", "Bytes that keys take.", &[("kind", "windows")], |gauges| {
        gauges.decide().windows.bytes as f64
    });
    gauge("sekisho_decisions_active", "Blocks that hold now.", &[], |gauges| {
        gauges.decide().respond.map_or(0.0, |counters| counters.active_blocks as f64)
    });
}

fn name_lag<J: Journal + 'static>(metrics: &Metrics, lent: &Lent<J>) {
    let seconds = |clock: &Clock, since: Time| clock().since(since).max(0) as f64 / SECOND as f64;
    let (shared, clock) = (Arc::clone(&lent.shared), Arc::clone(&lent.clock));
    let read = move || shared.gauges.decide().stream.map_or(0.0, |stream| seconds(&clock, stream));
    let help = "How far the time of what was judged last is behind the clock.";
    metrics.read_gauge("sekisho_stream_lag_seconds", help, &[], read);
    let Lent { journal, shared, index, .. } = lent;
    let lag = Arc::new(Lag { journal: Arc::clone(journal), shared: Arc::clone(shared), index: index.clone() });
    for stage in lag::STAGES {
        let (of, labels) = (Arc::clone(&lag), [("stage", stage)]);
        let read = move || of.records(stage) as f64;
        metrics.read_gauge("sekisho_stage_lag_records", "Records a stage has yet to fold.", &labels, read);
        let (of, clock) = (Arc::clone(&lag), Arc::clone(&lent.clock));
        let read = move || of.oldest(stage).map_or(0.0, |oldest| seconds(&clock, oldest));
        let help = "How long the oldest record that a stage has yet to fold has waited.";
        metrics.read_gauge("sekisho_stage_lag_seconds", help, &labels, read);
    }
}

/// Names what the embedded journal counts.
pub fn name_embedded(metrics: &Metrics, journal: &Arc<Embedded>) {
    let size = Arc::clone(journal);
    metrics.read_gauge("sekisho_journal_size_bytes", "Bytes of the journal.", &[], move || size.bytes() as f64);
    let appended = Arc::clone(journal);
    let read = move || appended.counters().records;
    metrics.read_counter("sekisho_journal_records_total", "Records appended.", &[], read);
    let (journal, full) = (Arc::clone(journal), "Commits that found no space.");
    metrics.read_counter("sekisho_journal_full_total", full, &[], move || journal.counters().full);
}

/// Names what is counted of a cluster.
pub fn name_cluster(metrics: &Metrics, journal: &Arc<Kafka>) {
    let (faults, help) = (Arc::clone(journal), "Faults between this process and the brokers.");
    metrics.read_counter("sekisho_kafka_faults_total", help, &[], move || faults.troubles());
    let (strays, help) = (Arc::clone(journal), "Records that came for partitions that were another's by then.");
    metrics.read_counter("sekisho_kafka_strays_total", help, &[], move || strays.strays());
}

fn name_stores<J>(metrics: &Metrics, lent: &Lent<J>) {
    let index = lent.index.clone();
    metrics.read_gauge("sekisho_index_documents", "Events that can be found.", &[], move || {
        index.status().documents as f64
    });
    let index = lent.index.clone();
    metrics.read_gauge("sekisho_index_size_bytes", "Bytes of the index.", &[], move || index.bytes() as f64);
    let shared = Arc::clone(&lent.shared);
    metrics.read_counter("sekisho_index_missed_total", "Records gone before they were indexed.", &[], move || {
        shared.gauges.index().1
    });
    let shared = Arc::clone(&lent.shared);
    metrics.read_counter("sekisho_index_faults_total", "Times the index was opened again.", &[], move || {
        shared.gauges.index_faults.load(Ordering::Relaxed)
    });
}
