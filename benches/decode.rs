//! The combined decoder beside the `regex` crate, on the same lines in one run: both build events where they stay, as a
//! worker does.
//!
//! The lines are the real ones of the data folder (`SEKISHO_DATA`, else `../shared/data`), or our own where it is not
//! there. Rates are lines a second: `cargo bench --bench decode`. I/O.

#![expect(clippy::disallowed_methods, reason = "the bench reads a file")]

use std::hint::black_box;
use std::io::Read;
use std::path::PathBuf;

use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use sekisho::decode::{Decoder, DecoderSettings, Keep, LoginRoute, ServiceSettings, Settings, Stamp};
use sekisho::event::{Address, Event, Number, Text, Time};

/// Events of one arena; it is reset after each batch, as in a worker.
const BATCH_LINES: usize = 1_000;
const LINES_MAX: usize = 10_000;

fn lines() -> Vec<Vec<u8>> {
    let folder = std::env::var_os("SEKISHO_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let file = folder.join("access_logs/elastic_apache_semicomplete_10k.log.gz");
    let mut text = Vec::new();
    match std::fs::File::open(&file) {
        Ok(file) => {
            flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).expect("the data folder holds whole files");
        }
        Err(_) => {
            eprintln!("{} is not there: measured on lines of our own", file.display());
            text = own_lines();
        }
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.take(LINES_MAX).map(<[u8]>::to_vec).collect()
}

/// Lines of ordinary length and variety.
fn own_lines() -> Vec<u8> {
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
    let line = |n: usize| {
        format!(
            "198.51.{}.{} - - [23/Nov/2026:17:{:02}:{:02} +0000] \"GET /product/{n}?page={} HTTP/1.1\" {} {} \
             \"https://shop.example/list?page={n}\" \"{agent}\"\n",
            n % 200,
            n % 251,
            n / 60 % 60,
            n % 60,
            n % 17,
            [200, 200, 200, 304, 404][n % 5],
            n * 37 % 50_000,
        )
    };
    (0..LINES_MAX).flat_map(|n| line(n).into_bytes()).collect()
}

fn settings() -> Settings {
    let route = |path: &str| LoginRoute {
        method: "POST".to_owned(),
        path: path.to_owned(),
        failure: vec![401, 403],
        success: vec![302, 303],
    };
    Settings {
        pipeline: "nginx".to_owned(),
        dataset: "nginx.access".to_owned(),
        decoders: vec![DecoderSettings::Combined],
        zone: jiff::tz::TimeZone::UTC,
        stamp: Stamp::End,
        service: ServiceSettings { from: None, known: Default::default(), default: "web".to_owned() },
        logins: ["/login", "/user/login", "/wp-login.php"].map(route).to_vec(),
        keep: Keep::Named(Default::default()),
    }
}

fn combined(criterion: &mut Criterion) {
    let lines = lines();
    let mut group = criterion.benchmark_group("combined");
    group.throughput(Throughput::Elements(lines.len() as u64));

    let decoder = Decoder::new(settings());
    let mut arena = Bump::new();
    group.bench_function("decoder", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            for batch in lines.chunks(BATCH_LINES) {
                for line in batch {
                    let mut event = Event::new(line, &arena);
                    decoder.decode_into(&mut event, Time(0));
                    bytes += event.text(Text::UrlPath).map_or(0, str::len);
                    black_box(&event);
                }
                arena.reset();
            }
            bytes
        });
    });

    let expression = r#"^(\S+) (\S+) (\S+) \[([^\]]+)\] "([A-Z]+) ([^ "]+) HTTP/([0-9.]+)" ([0-9]{3}) ([0-9]+|-) "([^"]*)" "([^"]*)""#;
    let expression = regex::bytes::Regex::new(expression).expect("the expression is ours");
    let mut locations = expression.capture_locations();
    group.bench_function("regex, slices alone", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            for line in &lines {
                if expression.captures_read(&mut locations, line).is_some() {
                    bytes += locations.get(6).map_or(0, |(start, end)| end - start);
                }
                black_box(&locations);
            }
            bytes
        });
    });
    group.bench_function("regex, the same event", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            for batch in lines.chunks(BATCH_LINES) {
                for line in batch {
                    let mut event = Event::new(line, &arena);
                    by_expression(&expression, &mut locations, &mut event);
                    bytes += event.text(Text::UrlPath).map_or(0, str::len);
                    black_box(&event);
                }
                arena.reset();
            }
            bytes
        });
    });
    group.finish();
}

/// The plain way to the same event: captures, then the parsers of the standard library and of jiff.
fn by_expression(
    expression: &regex::bytes::Regex,
    locations: &mut regex::bytes::CaptureLocations,
    event: &mut Event<'_>,
) {
    let Ok(text) = std::str::from_utf8(event.original) else { return };
    if expression.captures_read(locations, event.original).is_none() {
        return;
    }
    let part = |group: usize| locations.get(group).map_or("", |(start, end)| &text[start..end]);
    for (slot, group) in [
        (Text::SourceAddress, 1),
        (Text::UserName, 3),
        (Text::HttpMethod, 5),
        (Text::UrlOriginal, 6),
        (Text::HttpVersion, 7),
        (Text::HttpReferrer, 10),
        (Text::UserAgent, 11),
    ] {
        if part(group) != "-" {
            event.set_text(slot, part(group));
        }
    }
    let time = jiff::Timestamp::strptime("%d/%b/%Y:%H:%M:%S %z", part(4));
    event.occurred_at = time.ok().map(|time| Time(time.as_millisecond()));
    if let Ok(address) = part(1).parse() {
        event.set_address(Address::SourceIp, address);
    }
    for (slot, group) in [(Number::HttpStatus, 8), (Number::HttpResponseBodyBytes, 9)] {
        if let Ok(number) = part(group).parse() {
            event.set_number(slot, number);
        }
    }
    let (path, query) = part(6).split_once('?').map_or((part(6), None), |(path, query)| (path, Some(query)));
    event.set_text(Text::UrlPath, path);
    if let Some(query) = query {
        event.set_text(Text::UrlQuery, query);
    }
    if let Some((_, extension)) = path.rsplit('/').next().and_then(|segment| segment.rsplit_once('.')) {
        event.set_text(Text::UrlExtension, extension);
    }
}

criterion_group!(benches, combined);
criterion_main!(benches);
