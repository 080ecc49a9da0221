//! Counters, gauges and histograms of the whole node, by name and labels. I/O only through the closures it is given.
//!
//! A room counts in its own atomics and the node names them here, or takes a [`Counter`] from here and hands it out:
//! either way counting costs one atomic addition and a scrape sees it. Text is made in `exposition`. Deliberately without
//! a global registry, and without labels that input chooses: an address or a path never is one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Values of the labels of one name: rules and pipelines come to hundreds. Beyond it a new one is counted and not shown.
pub const SERIES_MAX: usize = 2_000;
/// Bounds of answering times, in seconds: OpenTelemetry's for HTTP.
pub const HTTP_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of the way from a record to its consequence, in seconds.
pub const LATENCY_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Label names and values, in their order.
pub type Labels = Vec<(String, String)>;

/// Everything that is shown at `/metrics`.
#[derive(Default)]
pub struct Metrics {
    families: Mutex<BTreeMap<String, Family>>,
    dropped: AtomicU64,
}

/// All series of one name.
pub(super) struct Family {
    pub kind: Kind,
    pub help: String,
    pub series: BTreeMap<Labels, Source>,
}

/// What a name measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Where the value of a series is.
#[derive(Clone)]
pub(super) enum Source {
    Counter(Counter),
    Gauge(Gauge),
    ReadCounter(Arc<dyn Fn() -> f64 + Send + Sync>),
    ReadGauge(Arc<dyn Fn() -> f64 + Send + Sync>),
    Histogram(Histogram),
}

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A number that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// How often values were at most so large.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
pub(super) struct Buckets {
    pub bounds: &'static [f64],
    /// One per bound, and one for what is beyond the last; not summed up.
    pub counts: Vec<AtomicU64>,
    /// In microseconds.
    pub sum: AtomicU64,
}

impl Counter {
    /// Counts `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// The value from now on.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Histogram {
    /// Counts one time.
    pub fn observe(&self, time: Duration) {
        let Buckets { bounds, counts, sum } = &*self.0;
        let bucket = bounds.partition_point(|bound| *bound < time.as_secs_f64());
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Does it, and counts how long it took.
    #[expect(clippy::disallowed_methods, reason = "for metrics alone")]
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.observe(started.elapsed());
        done
    }

    pub(super) fn buckets(&self) -> &Buckets {
        &self.0
    }
}

impl Metrics {
    /// A counter of this name and labels: the same one whenever it is asked for. Its name ends in `_total`.
    ///
    /// # Panics
    /// Where a name is no name of Prometheus, or was used for another kind: a mistake of whoever wrote it.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        let source = Source::Counter(Counter::default());
        match self.put((name, Kind::Counter, help), labels, source) {
            Source::Counter(counter) => counter,
            Source::Gauge(_) | Source::ReadCounter(_) | Source::ReadGauge(_) | Source::Histogram(_) => {
                Counter::default()
            }
        }
    }

    /// A gauge of this name and labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        match self.put((name, Kind::Gauge, help), labels, Source::Gauge(Gauge::default())) {
            Source::Gauge(gauge) => gauge,
            Source::Counter(_) | Source::ReadCounter(_) | Source::ReadGauge(_) | Source::Histogram(_) => {
                Gauge::default()
            }
        }
    }

    /// A counter that lies elsewhere and is read at each scrape.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn read_counter(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.read_sum(name, help, labels, move || read() as f64);
    }

    /// The same of what is no whole number, as seconds.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn read_sum(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.put((name, Kind::Counter, help), labels, Source::ReadCounter(Arc::new(read)));
    }

    /// A gauge that lies elsewhere and is read at each scrape.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn read_gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.put((name, Kind::Gauge, help), labels, Source::ReadGauge(Arc::new(read)));
    }

    /// A histogram of times, with upper bounds in seconds, ascending.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    pub fn histogram(&self, name: &str, help: &str, labels: &[(&str, &str)], bounds: &'static [f64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        let made = Histogram(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0) }));
        match self.put((name, Kind::Histogram, help), labels, Source::Histogram(made.clone())) {
            Source::Histogram(histogram) => histogram,
            Source::Counter(_) | Source::Gauge(_) | Source::ReadCounter(_) | Source::ReadGauge(_) => made,
        }
    }

    /// Series that had no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn each(&self, mut show: impl FnMut(&str, &Family)) {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        families.iter().for_each(|(name, family)| show(name, family));
    }

    fn put(&self, (name, kind, help): (&str, Kind, &str), labels: &[(&str, &str)], source: Source) -> Source {
        let fits = (kind == Kind::Counter) == name.ends_with("_total");
        assert!(fits && is_name(name) && labels.iter().all(|(label, _)| is_name(label)), "{name} is no metric's name");
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Family { kind, help: help.to_owned(), series: BTreeMap::new() };
        let family = families.entry(name.to_owned()).or_insert_with(fresh);
        assert_eq!(family.kind, kind, "{name} is of another kind already");
        let labels: Labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        if !family.series.contains_key(&labels) && family.series.len() >= SERIES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return source;
        }
        family.series.entry(labels).or_insert(source).clone()
    }
}

fn is_name(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    begins && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
