//! The matcher alone, on events decoded beforehand, beside the plain evaluator of the same rules. Reads files.
//!
//! Rules are SigmaHQ's webserver and proxy rules where they are there, else a few of our own; lines are real access
//! logs where they are there, else made up. `cargo bench --bench matcher`.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark reads its data from files")]

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sekisho::detect::{Body, Detection, Matcher, Scratch, sigma};
use sekisho::document::{self, Faults};
use sekisho::event::{Event, Number, RuleIndex, Text};

const OWN_RULES: &str = "\
title: injection
detection: {s: {cs-uri-query|contains: ['union select', '<script', '../..', '/etc/passwd']}, condition: s}
---
title: scanner
detection: {s: {cs-user-agent|contains: [sqlmap, nikto, nuclei, acunetix]}, f: {sc-status: 200}, condition: s and not f}
---
title: admin
detection: {s: {cs-method: POST, cs-uri-stem|endswith: [/wp-login.php, /xmlrpc.php]}, condition: s}
";

fn data() -> PathBuf {
    std::env::var_os("SEKISHO_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from)
}

fn rules() -> Vec<Detection> {
    let mut texts = Vec::new();
    let mut open = vec![data().join("sigma/rules/web")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            texts.extend(std::fs::read_to_string(path));
        }
    }
    if texts.is_empty() {
        println!("SigmaHQ's rules are not there: three rules of our own");
        texts.push(OWN_RULES.to_owned());
    }
    let documents = texts.iter().flat_map(|text| document::parse("rule.yml", text).unwrap());
    let bodies = documents.filter_map(|document| sigma::parse(&document, &mut Faults::default())).map(|rule| rule.body);
    bodies
        .filter_map(|body| match body {
            Body::Detection(detection) => Some(detection),
            Body::Correlation(_) => None,
        })
        .collect()
}

/// The lines of a real visitors' log, or of a scanner's.
fn lines(name: &str) -> Vec<String> {
    let mut text = String::new();
    match std::fs::File::open(data().join("access_logs").join(name)) {
        Ok(file) => drop(flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap()),
        Err(_) => {
            println!("{name} is not there: lines made up");
            for n in 0..5_000 {
                let agent = n % 40;
                text += &format!(
                    "203.0.113.{} - - [23/Nov/2026:17:02:03 +0000] \"GET /p/{n}?page={} HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0 ({agent}) Gecko\"\n",
                    n % 250,
                    n % 7
                );
            }
        }
    }
    text.lines().map(str::to_owned).collect()
}

/// A combined line split at its quotes: enough for a benchmark of what comes after decoding.
fn event(line: &'static str, arena: &'static Bump) -> Option<Event<'static>> {
    // The scanner's log puts each line in quotes of its own.
    let line = line.strip_prefix('"').unwrap_or(line);
    let mut quoted = line.split('"');
    let (_, request, status, referrer, _, agent) =
        (quoted.next()?, quoted.next()?, quoted.next()?, quoted.next()?, quoted.next()?, quoted.next()?);
    let mut words = request.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut event = Event::new(line.as_bytes(), arena);
    event.set_text(Text::HttpMethod, method);
    event.set_text(Text::UrlOriginal, target);
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    event.set_text(Text::UrlPath, path);
    query.into_iter().for_each(|query| event.set_text(Text::UrlQuery, query));
    if let Some((_, extension)) = path.rsplit_once('.') {
        event.set_text(Text::UrlExtension, extension);
    }
    event.set_number(Number::HttpStatus, status.split_whitespace().next()?.parse().ok()?);
    for (field, text) in [(Text::HttpReferrer, referrer), (Text::UserAgent, agent)] {
        if text != "-" {
            event.set_text(field, text);
        }
    }
    event.categories = &["web"];
    Some(event)
}

fn judge(matcher: &Matcher, events: &[Event<'_>], scratch: &mut Scratch) -> usize {
    let mut found = Vec::new();
    for event in events {
        matcher.matches(event, scratch, &mut found);
    }
    found.len()
}

/// User time of this process: on a busy machine the wall clock says little. Zero where /proc is not there.
fn processor_milliseconds() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fourteenth field, in ticks of ten milliseconds.
    status.split(' ').nth(13).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0) * 10.0
}

fn bench(criterion: &mut Criterion) {
    let detections = rules();
    let numbered: Vec<(RuleIndex, &Detection)> = (0..).map(RuleIndex).zip(&detections).collect();
    let matcher = Matcher::build(&numbered).unwrap();
    println!("{} rules, {} without a witness", matcher.rules(), matcher.rules_without_witness());
    for (name, file) in [("visitors", "elastic_apache_semicomplete_10k.log.gz"), ("scanner", "ocatak_acunetix.log.gz")]
    {
        let arena: &Bump = Box::leak(Box::default());
        // Every fourth line: an event is a kilobyte, and in the fold it is in the cache when it is judged.
        let events: Vec<Event<'_>> = lines(file)
            .into_iter()
            .step_by(4)
            .filter_map(|line| event(Box::leak(line.into_boxed_str()), arena))
            .collect();
        let mut scratch = Scratch::default();
        let hits = judge(&matcher, &events, &mut scratch);
        let candidates = scratch.candidates_total() as f64 / events.len() as f64;
        println!("{name}: {} events, {hits} hits, {candidates:.2} candidates per event", events.len());
        let before = processor_milliseconds();
        let rounds = 1_000_000 / events.len();
        (0..rounds).for_each(|_| {
            black_box(judge(&matcher, &events, &mut scratch));
        });
        let spent = processor_milliseconds() - before;
        println!("{name}: {:.0} ns of processor time per event", spent * 1e6 / (rounds * events.len()) as f64);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function("matcher", |bencher| bencher.iter(|| black_box(judge(&matcher, &events, &mut scratch))));
        let few = &events[..events.len().min(200)];
        let plainly = |event| detections.iter().filter(|detection| detection.holds(event)).count();
        assert_eq!(judge(&matcher, few, &mut scratch), few.iter().map(plainly).sum::<usize>(), "both must agree");
        group.throughput(Throughput::Elements(few.len() as u64)).sample_size(10);
        group.bench_function("plain", |bencher| bencher.iter(|| black_box(few.iter().map(plainly).sum::<usize>())));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
