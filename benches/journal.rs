//! Appending and reading the embedded journal: `cargo bench --bench journal [-- BATCHES]`.
//!
//! Batches of 1,000 access lines of 300 bytes, one sync each, by one thread, as the collector writes them: building the
//! records is in the time. Beside it, in the same run and in turns, a bare loop over the same bytes, joined beforehand:
//! lz4, CRC, one write to space that was reserved, fdatasync; and a bare scan that reads, checks and decompresses them.
//! The lines are real ones from the data folder, or ours where that is not there, with clients, times and ids of their
//! own.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads files, time and processes")]

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sekisho::event::{Input, Time};
use sekisho::journal::embedded::{Clock, Embedded, Settings};
use sekisho::journal::{Commit, Journal, NewRecord, Records, Stage, Subscription};

/// As the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINES: usize = 1_000;
const LINE_BYTES: usize = 300;
/// Batches that differ; they are used in turns.
const BATCHES_DISTINCT: usize = 64;
/// Turns of the two ways to write.
const ROUNDS: usize = 10;
const SEGMENT: u64 = 64 << 20;

fn main() {
    let batches = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(4_000usize);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/bench-journal");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder under target");
    let lines = lines(&root);
    println!("{batches} batches of {LINES} lines of {LINE_BYTES} bytes, one sync a batch, one thread");
    let clock: Clock = Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Time(since.as_millis() as i64)
    });
    let journal = Embedded::open(&folder.join("data"), clock, Settings::default()).expect("a journal");
    let mut bare = Bare::new(&folder);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let range = round * batches / ROUNDS..(round + 1) * batches / ROUNDS;
        theirs.push(timed(|| range.clone().for_each(|n| bare.append(&lines[n % BATCHES_DISTINCT])), range.len()));
        ours.push(timed(|| range.clone().for_each(|n| append(&journal, &lines[n % BATCHES_DISTINCT])), range.len()));
    }
    let ratio = |(ours, theirs): (&Figure, &Figure)| ours.wall / theirs.wall;
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(ratio).collect();
    print("bare append", &mut theirs);
    print("journal append", &mut ours);
    println!("journal ÷ bare, time, median of {ROUNDS} rounds: {:.2}", median(ratios));
    let stored = journal.counters().stored_bytes as f64 / (batches * LINES * LINE_BYTES) as f64;
    println!("stored ÷ raw {stored:.2}");
    scan(&journal, &mut bare, batches);
    let _ = fs::remove_dir_all(&folder);
}

/// Seconds for one batch.
struct Figure {
    wall: f64,
    processor: f64,
}

fn timed(run: impl FnOnce(), batches: usize) -> Figure {
    let (started, before) = (Instant::now(), processor_seconds());
    run();
    let batches = batches.max(1) as f64;
    Figure { wall: started.elapsed().as_secs_f64() / batches, processor: (processor_seconds() - before) / batches }
}

/// What this thread has used.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(name: &str, figures: &mut [Figure]) {
    let wall = median(figures.iter().map(|figure| figure.wall).collect());
    let processor = median(figures.iter().map(|figure| figure.processor).collect());
    let rate = LINES as f64 / wall;
    println!("{name}: {rate:.0} records/s wall, {:.2} µs CPU a record", processor * 1e6 / LINES as f64);
}

fn append(journal: &Embedded, lines: &[u8]) {
    let mut records = Records::with_capacity(lines.len() + lines.len() / 16);
    for line in lines.chunks(LINE_BYTES) {
        records.push(NewRecord { value: line, ..NewRecord::default() });
    }
    let input = Input { topic: "nginx".to_owned(), partition: 0 };
    journal.append(Commit { appends: vec![(input, records)], ..Commit::default() }).expect("appended");
}

/// The same without a journal.
struct Bare {
    file: File,
    end: u64,
    allocated: u64,
    compressed: Vec<u8>,
    /// Lengths of what was written.
    written: Vec<u32>,
}

impl Bare {
    fn new(folder: &Path) -> Bare {
        let path = folder.join("bare");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("a file");
        let compressed = vec![0; lz4_flex::block::get_maximum_output_size(LINES * LINE_BYTES) + 8];
        Bare { file, end: 0, allocated: 0, compressed, written: Vec::new() }
    }

    fn append(&mut self, lines: &[u8]) {
        let length = lz4_flex::block::compress_into(lines, &mut self.compressed[8..]).expect("room for it") + 8;
        let crc = crc32c::crc32c(&self.compressed[8..length]);
        self.compressed[..4].copy_from_slice(&(length as u32).to_le_bytes());
        self.compressed[4..8].copy_from_slice(&crc.to_le_bytes());
        if self.end + length as u64 > self.allocated {
            self.allocated += SEGMENT;
            let none = rustix::fs::FallocateFlags::empty();
            rustix::fs::fallocate(&self.file, none, 0, self.allocated).expect("disk space");
        }
        self.file.write_all_at(&self.compressed[..length], self.end).expect("disk space");
        self.file.sync_data().expect("a disk that syncs");
        self.end += length as u64;
        self.written.push(length as u32);
    }

    fn scan(&self) -> usize {
        let (mut stored, mut raw) = (Vec::new(), vec![0; LINES * LINE_BYTES]);
        let (mut at, mut lines) = (0, 0);
        for length in &self.written {
            stored.resize(*length as usize, 0);
            self.file.read_exact_at(&mut stored, at).expect("what was written");
            assert_eq!(crc32c::crc32c(&stored[8..]).to_le_bytes(), stored[4..8]);
            let length = lz4_flex::block::decompress_into(&stored[8..], &mut raw).expect("lz4");
            lines += raw[..length].chunks(LINE_BYTES).filter(|line| line[0] != 0).count();
            at += stored.len() as u64;
        }
        lines
    }
}

fn scan(journal: &Embedded, bare: &mut Bare, batches: usize) {
    let mut theirs = vec![timed(|| assert_eq!(bare.scan(), batches * LINES), batches)];
    let mut stage = journal.stage("scan", Subscription::topics(["nginx"])).expect("a stage");
    let read = || {
        let mut records = 0;
        loop {
            let blocks = stage.poll(4 << 20, Duration::ZERO).expect("records");
            if blocks.is_empty() {
                break;
            }
            records += blocks.iter().flatten().filter(|record| record.value[0] != 0).count();
        }
        assert_eq!(records, batches * LINES);
    };
    let mut ours = vec![timed(read, batches)];
    print("bare scan", &mut theirs);
    print("journal scan by a stage", &mut ours);
}

/// Batches of lines, each exactly as long.
fn lines(root: &Path) -> Vec<Vec<u8>> {
    let data = std::env::var_os("SEKISHO_DATA").map(PathBuf::from).unwrap_or_else(|| root.join("../shared/data"));
    let real = real_lines(&data.join("access_logs/elastic_apache_semicomplete_10k.log.gz"));
    let mut random = 1u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 20
    };
    let mut line = |number: usize| {
        let (client, id) = (next(), next());
        let address =
            format!("{}.{}.{}.{}", 20 + client % 60, client / 60 % 250, client / 15_000 % 9, 1 + client % 250);
        let second = number / 700;
        let time = format!("24/Nov/2026:{:02}:{:02}:{:02} +0000", second / 3600 % 24, second / 60 % 60, second % 60);
        let mut text = format!("{address} - - [{time}] {} {id:011x} 0.{:03}", real[number % real.len()], id % 1_000);
        text.truncate(text.floor_char_boundary(LINE_BYTES));
        while text.len() < LINE_BYTES {
            text.push_str(&format!(" {:x}", next()));
            text.truncate(LINE_BYTES);
        }
        text.into_bytes()
    };
    (0..BATCHES_DISTINCT).map(|batch| (0..LINES).flat_map(|n| line(batch * LINES + n)).collect()).collect()
}

/// What follows the time in each line of a gzip log.
fn real_lines(path: &Path) -> Vec<String> {
    let Ok(file) = File::open(path) else {
        println!("not there: {}; lines of our own instead", path.display());
        return (0..997)
            .map(|n| format!("\"GET /page/{n}?ref={} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0\"", n * 7, n * 311))
            .collect();
    };
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("gzip");
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| line.split_once("] ").map(|(_, rest)| rest.to_owned())).collect()
}
