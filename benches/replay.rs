//! `sekisho replay` of five million access lines, whole process: `cargo bench --bench replay [-- LINES]`.
//!
//! The lines repeat real ones from the data folder (nine visitors' lines to one scanner's), or ours where that is not
//! there, with new times (a day) and 50,000 clients whose shares fall like 1/n. Beside it, in the same run, the plain
//! alternative: one loop that reads the same file and runs one regular expression per line, and finds nothing.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads files, time and processes")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const CLIENTS: u64 = 50_000;
const DAY_SECONDS: u64 = 86_400;
const MONTH_START: u64 = 1_795_392_000;

fn main() {
    let lines = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(5_000_000u64);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/bench-replay");
    fs::create_dir_all(&folder).expect("a folder under target");
    let log = folder.join(format!("access-{lines}.log"));
    if !log.is_file() {
        write_lines(&root, &log, lines);
    }
    let bytes = fs::metadata(&log).expect("the log").len();
    println!("{lines} lines, {:.0} bytes a line", bytes as f64 / lines as f64);
    for threads in [1, 2] {
        run(&folder, &log, threads, lines);
    }
    plain_regex(&log, lines);
}

fn run(folder: &Path, log: &Path, threads: u32, lines: u64) {
    let timings = folder.join(format!("timings-{threads}.json"));
    let status = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(["replay", "--force", "--threads", &threads.to_string()])
        .arg("--out")
        .arg(folder.join("out"))
        .arg("--timings")
        .arg(&timings)
        .arg("--pipeline")
        .arg(format!("apache={}", log.display()))
        .stderr(std::process::Stdio::null())
        .status()
        .expect("the program runs");
    assert!(status.success());
    let timings: serde_json::Value = serde_json::from_slice(&fs::read(&timings).expect("timings")).expect("JSON");
    let number = |key: &str| timings[key].as_f64().unwrap_or(f64::NAN);
    println!(
        "sekisho replay --threads {threads}: {:.0} lines/s wall, {:.2} µs CPU a line, peak {:.0} MiB",
        lines as f64 / number("wall_s"),
        number("cpu_s") * 1e6 / lines as f64,
        number("peak_rss_bytes") / f64::from(1 << 20),
    );
}

fn plain_regex(log: &Path, lines: u64) {
    let pattern = r#"^(\S+) \S+ (\S+) \[([^\]]+)\] "(\S+) (\S+) (\S+)" (\d+) (\S+) "([^"]*)" "([^"]*)""#;
    let regex = regex::bytes::Regex::new(pattern).expect("a pattern");
    let mut locations = regex.capture_locations();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(log).expect("the log"));
    let (mut line, mut matched) = (Vec::new(), 0u64);
    let started = Instant::now();
    while reader.read_until(b'\n', &mut line).expect("a line") > 0 {
        matched += u64::from(regex.captures_read(&mut locations, &line).is_some());
        line.clear();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "one regular expression a line, one thread: {:.0} lines/s ({matched} of {lines} fit)",
        lines as f64 / seconds
    );
}

fn write_lines(root: &Path, log: &Path, count: u64) {
    let data = std::env::var_os("SEKISHO_DATA").map(PathBuf::from).unwrap_or_else(|| root.join("../shared/data"));
    let visitors = real_lines(&data.join("access_logs/elastic_apache_semicomplete_10k.log.gz"));
    let scanner = real_lines(&data.join("access_logs/ocatak_acunetix.log.gz"));
    let mut out = BufWriter::new(File::create(log).expect("a file under target"));
    let mut random = 1u64;
    for number in 0..count {
        let source = if number % 10 == 9 { &scanner } else { &visitors };
        let rest = &source[(number as usize / 10 * 9 + number as usize % 10) % source.len()];
        let second = MONTH_START + number * DAY_SECONDS / count;
        let client = zipf(&mut random);
        let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
        let stamp = format!("24/Nov/2026:{hour:02}:{minute:02}:{:02} +0000", second % 60);
        let address = format!("{}.{}.{}.{}", 20 + client % 60, client / 60 % 250, client / 15_000, 1 + client % 250);
        writeln!(out, "{address} - - [{stamp}] {rest}").expect("disk space");
    }
}

/// What follows the time in each line of a gzip log.
fn real_lines(path: &Path) -> Vec<String> {
    let Ok(file) = File::open(path) else {
        println!("not there: {}; lines of our own instead", path.display());
        return (0..97)
            .map(|n| format!("\"GET /page/{n}?ref={} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0\"", n * 7, n * 311))
            .collect();
    };
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("gzip");
    let text = String::from_utf8_lossy(&text);
    let rest = |line: &str| line.split_once("] ").map(|(_, rest)| rest.trim_end_matches("\"\"").to_owned());
    text.lines().filter_map(rest).collect()
}

/// A client whose share falls like 1/n: the exponent of a uniform number.
fn zipf(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let uniform = (*random >> 11) as f64 / (1u64 << 53) as f64;
    ((CLIENTS as f64).powf(uniform) as u64).min(CLIENTS - 1)
}
