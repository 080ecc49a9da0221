//! What the kernel says of this process, under the names that Prometheus' clients give it (observability sheet §5.1). I/O.
//!
//! Read at each scrape from `/proc/self`. Deliberately nothing where there is no such folder: a missing series is told by
//! Prometheus, a wrong one is not.

#![expect(clippy::disallowed_methods, reason = "the kernel tells it in files")]

use std::fs;
use std::sync::OnceLock;

use super::metrics::Metrics;

/// Fields of `/proc/self/stat` behind the name, counted from the state (proc(5) counts it as the third).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

/// Names them.
pub fn name(metrics: &Metrics) {
    if stat(RESIDENT_PAGES).is_none() {
        return;
    }
    let cpu = || seconds(stat(USER_TICKS).unwrap_or_default() + stat(SYSTEM_TICKS).unwrap_or_default());
    metrics.read_sum("process_cpu_seconds_total", "User and system time spent.", &[], cpu);
    let gauge = |name: &str, help: &str, read: fn() -> Option<f64>| {
        metrics.read_gauge(name, help, &[], move || read().unwrap_or_default());
    };
    gauge("process_resident_memory_bytes", "Memory that is resident.", || {
        Some(stat(RESIDENT_PAGES)? * rustix::param::page_size() as f64)
    });
    gauge("process_virtual_memory_bytes", "Memory that is addressed.", || stat(VIRTUAL_BYTES));
    gauge("process_threads", "Threads.", || stat(THREADS));
    gauge("process_start_time_seconds", "Start, in seconds since 1970.", started);
    gauge(
        "process_open_fds",
        "Descriptors that are open.",
        || Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64),
    );
    gauge("process_max_fds", "Descriptors that may be open.", || {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map(|most| most as f64)
    });
}

fn stat(field: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    number(&text, field)
}

/// A field behind the name, which may hold spaces and brackets itself.
fn number(text: &str, field: usize) -> Option<f64> {
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(field)?.parse().ok()
}

fn seconds(ticks: f64) -> f64 {
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// Ticks are counted from the boot, whose time the kernel tells.
fn started() -> Option<f64> {
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let kernel = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = kernel.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(boot + seconds(stat(START_TICKS)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let text = "7 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 4711 1048576 33 x";
        assert_eq!((number(text, USER_TICKS), number(text, SYSTEM_TICKS)), (Some(150.0), Some(50.0)));
        assert_eq!((number(text, THREADS), number(text, START_TICKS)), (Some(9.0), Some(4_711.0)));
        assert_eq!((number(text, VIRTUAL_BYTES), number(text, RESIDENT_PAGES)), (Some(1_048_576.0), Some(33.0)));
        assert_eq!(number("no name", 0), None);
    }

    #[test]
    fn this_process_is_told_of() {
        let metrics = Metrics::default();
        name(&metrics);
        let text = crate::api::metrics_text(&metrics, crate::api::Form::Plain);
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.expect("a series").trim().parse().expect("a number")
        };
        assert!(value("process_resident_memory_bytes ") > 1e6 && value("process_open_fds ") >= 3.0, "{text}");
        assert!(value("process_start_time_seconds ") > 1.7e9 && value("process_max_fds ") >= 3.0, "{text}");
        assert!(value("process_threads ") >= 2.0, "{text}");
    }
}
