//! What the API itself counts. Pure.
//!
//! Every refusal, cut and disconnection has a counter. Labels are routes of the table, pipelines and status codes: closed
//! sets, whatever is sent.

use std::sync::Arc;
use std::time::Duration;

use super::metrics::{Counter, HTTP_SECONDS, Histogram, Metrics};
use super::services::Services;

/// The counters of one API.
pub(super) struct Counters {
    metrics: Arc<Metrics>,
    /// Connections taken.
    pub connections: Counter,
    /// Connections refused because there were too many.
    pub refused: Counter,
    /// Connections that could not be taken: descriptors have run out.
    pub unaccepted: Counter,
    /// Connections closed because the client took nothing for too long.
    pub stalled: Counter,
    /// Streams ended because their reader was too slow.
    pub overruns: Counter,
    /// Keys that did not count.
    pub denied: Counter,
    /// Files of keys that could not be read again.
    pub keys_unread: Counter,
}

/// The counters of one pipeline's door.
pub(super) struct IngestCounters {
    pub records: Counter,
    pub bytes: Counter,
    pub cut: Counter,
    pub repeated: Counter,
}

impl Counters {
    pub fn new(services: &Services) -> Counters {
        let metrics = Arc::clone(&services.metrics);
        let counter = |name: &str, help: &str| metrics.counter(name, help, &[]);
        let counters = Counters {
            connections: counter("sekisho_http_connections_total", "Connections taken"),
            refused: counter(
                "sekisho_http_connections_refused_total",
                "Connections refused because there were too many",
            ),
            unaccepted: counter("sekisho_http_accept_failures_total", "Connections that the system did not hand over"),
            stalled: counter(
                "sekisho_http_connections_stalled_total",
                "Connections closed because the client read nothing",
            ),
            overruns: counter("sekisho_stream_overruns_total", "Streams ended because their reader was too slow"),
            denied: counter("sekisho_http_denied_total", "Requests refused for their key, role, host or origin"),
            keys_unread: counter(
                "sekisho_keys_reload_failures_total",
                "Times the file of keys could not be read again",
            ),
            metrics: Arc::clone(&metrics),
        };
        services.pipelines.keys().for_each(|pipeline| drop(counters.ingest(pipeline)));
        projection(services);
        counters
    }

    /// Counts one answered request.
    pub fn answered(&self, route: &str, code: u16, time: Duration) {
        let labels = [("route", route), ("code", &code.to_string())];
        self.metrics.counter("sekisho_http_requests_total", "Requests by route and status", &labels).add(1);
        self.seconds(route).observe(time);
    }

    fn seconds(&self, route: &str) -> Histogram {
        let help = "Time from a request's headers to its answer's";
        self.metrics.histogram("sekisho_http_request_seconds", help, &[("route", route)], HTTP_SECONDS)
    }

    /// The counters of a pipeline.
    pub fn ingest(&self, pipeline: &str) -> IngestCounters {
        let counter = |name: &str, help: &str| self.metrics.counter(name, help, &[("pipeline", pipeline)]);
        IngestCounters {
            records: counter("sekisho_ingest_http_records_total", "Lines taken over HTTP"),
            bytes: counter("sekisho_ingest_http_bytes_total", "Bytes of lines taken over HTTP, uncompressed"),
            cut: counter("sekisho_ingest_http_cut_total", "Lines taken over HTTP that were cut at the limit"),
            repeated: counter("sekisho_ingest_http_repeated_total", "Requests answered from their Idempotency-Key"),
        }
    }
}

/// What the projection holds and could not hold.
fn projection(services: &Services) {
    let metrics = &services.metrics;
    let gauge = |name: &str, help: &str, read: fn(&super::projection::View) -> u64| {
        let projection = Arc::clone(&services.projection);
        metrics.read_gauge(name, help, &[], move || read(&projection.view()) as f64);
    };
    gauge("sekisho_projection_blocks", "Blocks known to the API, whether they still hold or not", |view| {
        view.blocks.len() as u64
    });
    gauge("sekisho_projection_alerts", "Alerts that the API keeps whole", |view| view.alerts.len() as u64);
    gauge("sekisho_projection_incidents", "Incidents known to the API", |view| view.incidents.len() as u64);
    gauge("sekisho_projection_allowed", "Networks that operators allow", |view| view.allowlist.len() as u64);
    let counter = |name: &str, help: &str, read: fn(&super::projection::View) -> u64| {
        let projection = Arc::clone(&services.projection);
        metrics.read_counter(name, help, &[], move || read(&projection.view()));
    };
    counter("sekisho_projection_records_total", "Outcomes read by the API", |view| view.counts.records);
    counter("sekisho_projection_unread_total", "Outcomes that the API could not read", |view| view.counts.unread);
    counter("sekisho_projection_missed_total", "Outcomes that were gone before the API read them", |view| {
        view.counts.missed
    });
    counter("sekisho_projection_dropped_total", "Blocks and allowed networks that found no room", |view| {
        view.blocks.dropped + view.allowlist.dropped
    });
    counter("sekisho_projection_bare_total", "Blocks kept without their receipts for want of room", |view| {
        view.blocks.bare
    });
}
