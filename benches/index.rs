//! Indexing beside a bare Tantivy loop over the same lines, then searches: `cargo bench --bench index [-- EVENTS]`. I/O.
//!
//! Both loops decode the same lines, write the same schema with the same settings, threads and memory, hand over a
//! thousand documents at a time and commit after as many. The bare one builds Tantivy's own documents and commits
//! without positions; ours is the writer that the node uses. Order is ours, bare, ours, bare: the disk warms for both.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads files, time and processes")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use bumpalo::Bump;
use sekisho::decode::{Decoder, DecoderSettings, Keep, ServiceSettings, Settings, Stamp};
use sekisho::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};
use sekisho::event::{Address, Event, Input, Layout, Number, Place, Text, Time};
use sekisho::index::{
    Ask, Columns, Entry, Index, Page, Retention, SearchSettings, Sort, SplitLimits, Writer, WriterSettings,
};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, UserOperation};
use tantivy::schema::{Field, OwnedValue};
use tantivy::{IndexWriter, TantivyDocument};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: u64 = 50_000;
const BATCH: u64 = 1_000;
const THREADS: usize = 2;
const MEMORY_BYTES: usize = 150_000_000;
const DAY_SECONDS: u64 = 86_400;
/// 2026-11-24T00:00:00Z.
const START: i64 = 1_795_478_400_000;
const COUNTRIES: &[&str] = &["JP", "US", "DE", "FR", "NL", "CN", "RU", "BR", "IN", "GB", "KR", "VN"];

/// Both commit after so many: several segments and a merge, as in a day of a live index.
const COMMIT_EVENTS: u64 = 200_000;

fn main() {
    let events = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1_000_000u64);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench-index");
    let source = Lines::new();
    let raw: u64 = source.bytes(events.min(100_000)) * events / events.min(100_000);
    println!("{events} events, {:.0} bytes a line, {THREADS} threads", raw as f64 / events as f64);
    for _ in 0..2 {
        let ours = measured(&folder, "ours", || index_ours(&folder.join("ours"), &source, events));
        let bare = measured(&folder, "bare", || index_bare(&folder.join("bare"), &source, events));
        println!("ours / bare, events a second: {:.2}", bare / ours);
    }
    println!("index / raw: {:.2}", folder_bytes(&folder.join("ours")) as f64 / raw as f64);
    searches(&folder.join("ours"), events);
}

fn measured(folder: &Path, name: &str, work: impl FnOnce() -> u64) -> f64 {
    let path = folder.join(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("a folder of ours");
    }
    fs::create_dir_all(&path).expect("a folder under target");
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let events = work() as f64;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{name}: {:.0} events/s, {:.2} µs CPU an event, {wall:.1} s", events / wall, cpu * 1e6 / events);
    wall
}

fn index_ours(path: &Path, source: &Lines, events: u64) -> u64 {
    let index = Index::open(path, SearchSettings::default()).expect("an empty folder");
    let settings = WriterSettings {
        threads: THREADS,
        memory_bytes: MEMORY_BYTES,
        split: SplitLimits::default(),
        retention: Retention { age_max: i64::MAX, bytes_max: u64::MAX },
    };
    let mut writer = Writer::open(&index, settings).expect("an empty folder");
    let input = Input { topic: "logs.nginx".to_owned(), partition: 0 };
    let mut since_commit = 0;
    for first in (0..events).step_by(BATCH as usize) {
        let arena = Bump::new();
        let range = first..events.min(first + BATCH);
        let mut batch = writer.batch();
        source.decode(range.clone(), events, &arena, |offset, event, appended_at| {
            let place = Place { offset, item: None };
            batch.push(&Entry { event, input: &input, place, pipeline: "nginx", appended_at, arrival: &[] });
        });
        since_commit += range.end - range.start;
        writer.add(batch, &[(input.clone(), range)]).expect("disk space");
        if since_commit >= COMMIT_EVENTS {
            writer.commit().expect("disk space");
            since_commit = 0;
        }
    }
    writer.commit().expect("disk space");
    events
}

fn index_bare(path: &Path, source: &Lines, events: u64) -> u64 {
    let columns = Columns::new();
    let directory = tantivy::directory::MmapDirectory::open(path).expect("a folder");
    let mut index = tantivy::Index::create(directory, columns.schema().clone(), sekisho::index::tantivy_settings())
        .expect("an empty folder");
    index.set_tokenizers(columns.tokenizers());
    index.set_fast_field_tokenizers(columns.tokenizers());
    let options = IndexWriterOptions::builder()
        .num_worker_threads(THREADS)
        .memory_budget_per_thread(MEMORY_BYTES)
        .num_merge_threads(1)
        .build();
    let mut writer: IndexWriter = index.writer_with_options(options).expect("memory");
    let mut policy = LogMergePolicy::default();
    policy.set_max_docs_before_merge(50_000);
    writer.set_merge_policy(Box::new(policy));
    let fields = Fields::new(&columns);
    let mut since_commit = 0;
    for first in (0..events).step_by(BATCH as usize) {
        let arena = Bump::new();
        let range = first..events.min(first + BATCH);
        let mut operations = Vec::with_capacity(BATCH as usize);
        source.decode(range.clone(), events, &arena, |offset, event, appended_at| {
            operations.push(UserOperation::Add(fields.document(offset, event, appended_at)));
        });
        since_commit += range.end - range.start;
        writer.run(operations).expect("disk space");
        if since_commit >= COMMIT_EVENTS {
            writer.commit().expect("disk space");
            since_commit = 0;
        }
    }
    writer.commit().expect("disk space");
    events
}

/// The schema's fields, looked up once.
struct Fields {
    timestamp: Field,
    appended_at: Field,
    input: Field,
    offset: Field,
    pipeline: Field,
    texts: Vec<Field>,
    numbers: Vec<Field>,
    addresses: Vec<Field>,
    categories: Field,
    types: Field,
    words: Field,
    extra: Field,
    raw: Field,
    rest: Field,
}

impl Fields {
    fn new(columns: &Columns) -> Self {
        let field = |name: &str| columns.schema().get_field(name).expect("a field of ours");
        Fields {
            timestamp: field("@timestamp"),
            appended_at: field("sekisho.appended_at"),
            input: field("position_input"),
            offset: field("position_offset"),
            pipeline: field("sekisho.pipeline"),
            texts: TEXT_NAMES.iter().map(|(_, name)| field(name)).collect(),
            numbers: NUMBER_NAMES.iter().map(|(_, name)| field(name)).collect(),
            addresses: ADDRESS_NAMES.iter().map(|(_, name)| field(name)).collect(),
            categories: field("event.category"),
            types: field("event.type"),
            words: field("words"),
            extra: field("extra"),
            raw: field("raw"),
            rest: field("rest"),
        }
    }

    fn document(&self, offset: u64, event: &Event<'_>, appended_at: Time) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_i64(self.timestamp, event.occurred_at.unwrap_or(appended_at).0);
        document.add_i64(self.appended_at, appended_at.0);
        document.add_u64(self.input, 0);
        document.add_u64(self.offset, offset);
        document.add_text(self.pipeline, "nginx");
        for (slot, _) in TEXT_NAMES {
            let Some(text) = event.text(*slot).filter(|text| !text.is_empty()) else { continue };
            document.add_text(self.texts[*slot as usize], text);
            if matches!(slot, Text::UrlOriginal | Text::Message) {
                document.add_text(self.words, text);
            }
        }
        for (slot, _) in NUMBER_NAMES {
            event.number(*slot).into_iter().for_each(|number| document.add_i64(self.numbers[*slot as usize], number));
        }
        for (slot, _) in ADDRESS_NAMES {
            if let Some(IpAddr::V4(address)) = event.address(*slot) {
                document.add_ip_addr(self.addresses[*slot as usize], address.to_ipv6_mapped());
            }
        }
        event.categories.iter().for_each(|text| document.add_text(self.categories, text));
        event.types.iter().for_each(|text| document.add_text(self.types, text));
        self.extras(event, &mut document);
        document.add_bytes(self.raw, event.original);
        document
    }

    fn extras(&self, event: &Event<'_>, document: &mut TantivyDocument) {
        let mut object: BTreeMap<String, OwnedValue> = BTreeMap::new();
        let mut rest = Vec::new();
        for (name, value) in event.extras() {
            if let sekisho::event::Scalar::Text(text) = value {
                object.insert((*name).to_owned(), OwnedValue::Str((*text).to_owned()));
                rest.extend_from_slice(name.as_bytes());
                rest.extend_from_slice(text.as_bytes());
            }
        }
        if !object.is_empty() {
            document.add_object(self.extra, object);
            document.add_bytes(self.rest, &rest);
        }
    }
}

fn searches(path: &Path, events: u64) {
    let index = Index::open(path, SearchSettings::default()).expect("the index");
    let status = index.status();
    println!("{} documents, {} splits, {} segments", status.documents, status.splits, status.segments);
    let tenth = (START + 40_000_000, START + 40_000_000 + DAY_SECONDS as i64 * 100);
    let day = (START, START + DAY_SECONDS as i64 * 1_000);
    let rare = address(CLIENTS - 7);
    println!("top 20, median of 9, ms:");
    top(&index, &format!("client.ip:{rare}"), tenth);
    top(&index, &format!("client.ip:{rare}"), day);
    top(&index, &format!("client.ip:{}", address(0)), day);
    top(&index, "client.ip:20.1.0.0/24 AND http.response.status_code:>=400", day);
    top(&index, "http.response.status_code:404", tenth);
    top(&index, "http.response.status_code:404 AND url.path:*admin*", day);
    top(&index, "passwd", day);
    top(&index, "\"etc passwd\" -http.response.status_code:404", day);
    top(&index, "user_agent.original:*bot* AND http.request.method:POST", day);
    top(&index, "http.response.status_code:200", day);
    println!("histogram of 60 buckets:");
    for query in ["*", "http.response.status_code:404"] {
        let query_read = index.parse(query).expect("a query");
        let ask = ask(&query_read, day);
        let count = index.histogram(&ask, DAY_SECONDS as i64 * 1_000 / 60).expect("counts");
        assert!(query != "*" || count.iter().map(|(_, count)| count).sum::<u64>() == events);
        time(query, || index.histogram(&ask, DAY_SECONDS as i64 * 1_000 / 60).map(|it| it.len() as u64));
    }
    println!("terms, of all events:");
    let all = index.parse("*").expect("a query");
    for field in [
        "client.geo.country_iso_code",
        "url.path",
        "user_agent.original",
        "http.response.status_code",
        "client.as.number",
        "client.ip",
    ] {
        let name = index.known().name(field).expect("a field");
        time(field, || index.terms(&ask(&all, day), &name, 10).map(|it| it.distinct));
    }
}

static WANTED: AtomicBool = AtomicBool::new(false);

fn ask(query: &sekisho::index::Query, (from, to): (i64, i64)) -> Ask<'_> {
    Ask { query, from: Time(from), to: Time(to), cancelled: &WANTED }
}

fn top(index: &Index, query: &str, time_asked: (i64, i64)) {
    let read = index.parse(query).expect("a query");
    let page = Page { sort: Sort::Newest, limit: 20, after: None, layout: Layout::Nested };
    time(query, || index.search(&ask(&read, time_asked), &page).map(|found| found.total));
}

fn time(what: &str, mut work: impl FnMut() -> Result<u64, sekisho::index::IndexError>) {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..9 {
        let started = Instant::now();
        found = work().expect("a search");
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("  {:8.2}  {what} ({found})", times[4]);
}

/// Real lines of the data folder, or ours where it is not there, with new times and clients.
struct Lines {
    visitors: Vec<String>,
    scanner: Vec<String>,
    decoder: Decoder,
}

impl Lines {
    fn new() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let data = std::env::var_os("SEKISHO_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
        let decoder = Decoder::new(Settings {
            pipeline: "nginx".to_owned(),
            dataset: "nginx.access".to_owned(),
            decoders: vec![DecoderSettings::Combined],
            zone: jiff::tz::TimeZone::UTC,
            stamp: Stamp::End,
            service: ServiceSettings { from: None, known: Default::default(), default: "web".to_owned() },
            logins: Vec::new(),
            keep: Keep::Named(Default::default()),
        });
        Lines {
            visitors: real_lines(&data.join("access_logs/elastic_apache_semicomplete_10k.log.gz")),
            scanner: real_lines(&data.join("access_logs/ocatak_acunetix.log.gz")),
            decoder,
        }
    }

    fn line(&self, number: u64, events: u64, line: &mut String) {
        use std::fmt::Write;
        let source = if number % 10 == 9 { &self.scanner } else { &self.visitors };
        let rest = &source[(number as usize / 10 * 9 + number as usize % 10) % source.len()];
        let second = number * DAY_SECONDS / events;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        line.clear();
        let client = address(zipf(number));
        let written = write!(line, "{client} - - [24/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] {rest}");
        written.expect("memory");
    }

    fn bytes(&self, events: u64) -> u64 {
        let mut line = String::new();
        (0..events).map(|number| (self.line(number, events, &mut line), line.len() as u64).1).sum()
    }

    /// Decodes lines and adds what enrichment would.
    fn decode(
        &self,
        range: std::ops::Range<u64>,
        events: u64,
        arena: &Bump,
        mut found: impl FnMut(u64, &Event<'_>, Time),
    ) {
        let mut line = String::new();
        for number in range {
            self.line(number, events, &mut line);
            let appended_at = Time(START + (number * DAY_SECONDS / events) as i64 * 1_000 + 250);
            let mut event = self.decoder.decode(arena.alloc_str(&line).as_bytes(), appended_at, arena);
            if let Some(address @ IpAddr::V4(v4)) = event.address(Address::SourceIp) {
                event.set_address(Address::ClientIp, address);
                let mixed = u64::from(v4.octets()[0]) * 7 + u64::from(v4.octets()[1]);
                event.set_text(Text::ClientCountry, COUNTRIES[mixed as usize % COUNTRIES.len()]);
                event.set_number(Number::ClientAsNumber, 1_000 + mixed as i64 % 300);
                event.set_text(Text::ClientMethod, "peer");
            }
            found(number, &event, appended_at);
        }
    }
}

fn address(client: u64) -> std::net::Ipv4Addr {
    let part = |number: u64| (number % 250) as u8;
    std::net::Ipv4Addr::new(20 + (client % 60) as u8, part(client / 60), part(client / 15_000), 1 + part(client))
}

/// A client whose share falls like 1/n: the exponent of a uniform number.
fn zipf(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let uniform = (mixed >> 11) as f64 / (1u64 << 53) as f64;
    ((CLIENTS as f64).powf(uniform) as u64).min(CLIENTS - 1)
}

/// What follows the time in each line of a gzip log.
fn real_lines(path: &Path) -> Vec<String> {
    let Ok(file) = fs::File::open(path) else {
        println!("not there: {}; lines of our own instead", path.display());
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0";
        let line = |n: u32| format!("\"GET /page/{n}?ref={} HTTP/1.1\" 200 {} \"-\" \"{agent}\"", n * 7, n * 311);
        return (0..5_000).map(line).collect();
    };
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("gzip");
    let text = String::from_utf8_lossy(&text);
    let rest = |line: &str| line.split_once("] ").map(|(_, rest)| rest.trim_end_matches("\"\"").to_owned());
    text.lines().filter_map(rest).collect()
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

/// CPU time of this process: fields 14 and 15 of its stat, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
