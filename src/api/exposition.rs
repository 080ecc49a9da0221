//! Metrics as text: Prometheus' `text/plain; version=0.0.4`, or OpenMetrics 1.0 where it is asked for. Pure.
//!
//! The two differ in three places: in OpenMetrics a counter's TYPE and HELP lack `_total`, quotes in help are escaped, and
//! `# EOF` ends the text. A hundred lines here stand against nine crates; what Prometheus reads is the same.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::metrics::{Family, Kind, Labels, Metrics, Source};

/// Which of the two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    OpenMetrics,
}

impl Form {
    /// What an `Accept` header asks for. Prometheus prefers OpenMetrics and says so by naming it at all.
    pub fn accepted(accept: &str) -> Form {
        if accept.contains("application/openmetrics-text") { Form::OpenMetrics } else { Form::Plain }
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics as text, in the order of their names.
pub fn text(metrics: &Metrics, form: Form) -> String {
    let mut out = String::new();
    metrics.each(|name, family| write_family(name, family, form, &mut out));
    if form == Form::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_family(name: &str, family: &Family, form: Form, out: &mut String) {
    let named = match form {
        Form::Plain => name,
        Form::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
    };
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    let help = if form == Form::OpenMetrics { help.replace('"', "\\\"") } else { help };
    // Writing to a text cannot fail.
    let _ = writeln!(out, "# HELP {named} {help}\n# TYPE {named} {kind}");
    for (labels, source) in &family.series {
        write_series(name, labels, source, out);
    }
}

fn write_series(name: &str, labels: &Labels, source: &Source, out: &mut String) {
    let mut line = |value: String| {
        let _ = writeln!(out, "{name}{} {value}", shown(labels, None));
    };
    match source {
        Source::Counter(counter) => line(counter.get().to_string()),
        Source::Gauge(gauge) => line(number(gauge.get())),
        Source::ReadCounter(read) | Source::ReadGauge(read) => line(number(read())),
        Source::Histogram(histogram) => {
            let buckets = histogram.buckets();
            let mut sum = 0;
            let bounds = buckets.bounds.iter().map(|bound| number(*bound)).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(&buckets.counts) {
                sum += count.load(Ordering::Relaxed);
                let _ = writeln!(out, "{name}_bucket{} {sum}", shown(labels, Some(&bound)));
            }
            let seconds = buckets.sum.load(Ordering::Relaxed) as f64 / 1e6;
            let _ = writeln!(out, "{name}_sum{} {}", shown(labels, None), number(seconds));
            let _ = writeln!(out, "{name}_count{} {sum}", shown(labels, None));
        }
    }
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}

/// `{a="b",le="1"}`, or nothing where there is no label.
fn shown(labels: &Labels, bound: Option<&str>) -> String {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pair = |(name, value): (&str, &str)| format!("{name}=\"{}\"", escape(value));
    let all = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(bound.map(|it| ("le", it)));
    let all: Vec<String> = all.map(pair).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn example() -> Metrics {
        let metrics = Metrics::default();
        metrics.counter("sekisho_things_total", "Things \"seen\"\nso far", &[("kind", "a\"b\\c\nd")]).add(3);
        metrics.read_gauge("sekisho_lag_seconds", "How far behind", &[], || 1.5);
        let times = metrics.histogram("sekisho_wait_seconds", "Waits", &[], &[0.1, 1.0]);
        [50, 500, 5_000].iter().for_each(|milliseconds| times.observe(Duration::from_millis(*milliseconds)));
        metrics
    }

    #[test]
    fn plain_text_is_as_prometheus_wants_it() {
        let expected = r#"# HELP sekisho_lag_seconds How far behind
# TYPE sekisho_lag_seconds gauge
sekisho_lag_seconds 1.5
# HELP sekisho_things_total Things "seen"\nso far
# TYPE sekisho_things_total counter
sekisho_things_total{kind="a\"b\\c\nd"} 3
# HELP sekisho_wait_seconds Waits
# TYPE sekisho_wait_seconds histogram
sekisho_wait_seconds_bucket{le="0.1"} 1
sekisho_wait_seconds_bucket{le="1"} 2
sekisho_wait_seconds_bucket{le="+Inf"} 3
sekisho_wait_seconds_sum 5.55
sekisho_wait_seconds_count 3
"#;
        assert_eq!(text(&example(), Form::Plain), expected);
    }

    #[test]
    fn openmetrics_differs_where_it_must() {
        let shown = text(&example(), Form::accepted("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"));
        assert!(shown.contains("# TYPE sekisho_things counter\nsekisho_things_total{"), "{shown}");
        assert!(shown.contains("Things \\\"seen\\\"") && shown.ends_with("# EOF\n"), "{shown}");
    }

    #[test]
    fn a_flood_of_label_values_is_bounded_and_counted() {
        let metrics = Metrics::default();
        for value in 0..super::super::metrics::SERIES_MAX + 5 {
            metrics.counter("sekisho_x_total", "x", &[("v", &value.to_string())]).add(1);
        }
        assert_eq!(metrics.dropped(), 5);
        assert_eq!(text(&metrics, Form::Plain).lines().count(), super::super::metrics::SERIES_MAX + 2);
    }
}
