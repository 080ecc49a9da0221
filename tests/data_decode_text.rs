//! The access-line decoder against logs and expectations that others wrote.
//!
//! Reads the data folder (`SEKISHO_DATA`, else `../shared/data`); without it the tests say so and pass. I/O.

#![expect(clippy::disallowed_methods, reason = "these tests read files that others wrote")]

use std::io::Read;
use std::path::PathBuf;

use bumpalo::Bump;
use serde_json::Value;

use sekisho::decode::{Decoder, DecoderSettings, Keep, ServiceSettings, Settings, Stamp};
use sekisho::event::{Address, Event, Field, FlawKind, Number, Scalar, Text, Time};

/// Of what upstream asserts, this share must be equal (in percent).
const EQUAL_MIN: usize = 95;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SEKISHO_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("not run: {} is not there", folder.display());
    None
}

fn read(path: PathBuf) -> Vec<u8> {
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).expect("a whole gzip file");
    text
}

fn decoder(dataset: &str) -> Decoder {
    Decoder::new(Settings {
        pipeline: "test".to_owned(),
        dataset: dataset.to_owned(),
        decoders: vec![DecoderSettings::Combined],
        zone: jiff::tz::TimeZone::UTC,
        stamp: Stamp::End,
        service: ServiceSettings { from: None, known: Default::default(), default: "web".to_owned() },
        logins: Vec::new(),
        keep: Keep::All,
    })
}

/// The value of an upstream field in our event, as text.
fn ours(name: &str, event: &Event<'_>) -> Option<String> {
    let text = |slot| event.text(slot).map(str::to_owned);
    match name {
        // The names of 2019 for what ECS calls otherwise since.
        "nginx.access.remote_ip_list" => {
            let chain = event.text(Text::XForwardedFor).into_iter();
            let all: Vec<&str> = chain.chain(event.text(Text::SourceAddress)).collect();
            Some(all.join(", "))
        }
        "apache.access.ssl.protocol" => event.text(Text::TlsVersion).map(|version| format!("TLSv{version}")),
        "apache.access.ssl.cipher" => extra("tls.cipher", event),
        _ => match Field::of(name) {
            Field::Text(slot) => text(slot),
            Field::Number(slot) => event.number(slot).map(|number| number.to_string()),
            Field::Address(slot) => event.address(slot).map(|address| address.to_string()),
            Field::Timestamp => event.occurred_at.map(|time| time.to_string()),
            Field::Extra(name) => extra(&name, event),
            Field::Original | Field::Category | Field::Type | Field::Tags => None,
        },
    }
}

fn extra(name: &str, event: &Event<'_>) -> Option<String> {
    match event.extra(name)? {
        Scalar::Text(text) => Some(text.to_owned()),
        Scalar::Integer(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::List(_) => None,
    }
}

/// Upstream's value as text; `-` is how it writes an absent one.
fn theirs(name: &str, value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    let text = match (name, text.parse::<std::net::IpAddr>()) {
        ("source.ip", Ok(address)) => address.to_string(),
        _ => text,
    };
    (text != "-").then_some(text)
}

/// What enrichment adds, and `event.timezone`: upstream's is the zone of the machine it ran on, `+00:00` for every line,
/// ours that of the line.
fn is_not_ours(name: &str) -> bool {
    name == "event.timezone"
        || name.starts_with("source.geo.")
        || name.starts_with("source.as.")
        || (name.starts_with("user_agent.") && name != "user_agent.original")
}

#[test]
fn fields_that_upstream_asserts() {
    let Some(folder) = folder() else { return };
    let pairs = read(folder.join("ecs_oracle/pairs.jsonl"));
    for dataset in ["nginx.access", "apache.access"] {
        let decoder = decoder(dataset);
        let (mut asserted, mut equal) = (0, 0);
        for line in pairs.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let pair: Value = serde_json::from_slice(line).unwrap();
            if pair["dataset"] != dataset {
                continue;
            }
            let arena = Bump::new();
            let line = pair["line"].as_str().unwrap();
            let event = decoder.decode(line.as_bytes(), Time(0), &arena);
            for (name, value) in pair["expected"].as_object().unwrap() {
                if is_not_ours(name) {
                    continue;
                }
                let (given, wanted) = (ours(name, &event), theirs(name, value));
                asserted += 1;
                equal += usize::from(given == wanted);
                if given != wanted {
                    println!("{dataset} {name}: {given:?}, upstream {wanted:?}\n    {line}");
                }
            }
        }
        println!("{dataset}: {equal} of {asserted} asserted fields are equal");
        assert!(asserted > 0 && equal * 100 >= asserted * EQUAL_MIN, "{dataset}: {equal} of {asserted}");
    }
}

#[test]
fn every_line_of_real_logs_is_understood() {
    let Some(folder) = folder() else { return };
    for (file, lines_min) in [
        ("access_logs/elastic_apache_semicomplete_10k.log.gz", 10_000),
        ("access_logs/ocatak_acunetix.log.gz", 6_500),
        ("scenario_nginx_modsec/access.log.gz", 64_000),
    ] {
        let text = read(folder.join(file));
        let decoder = decoder("nginx.access");
        let mut arena = Bump::new();
        let (mut lines, mut flawed) = (0, 0);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event = decoder.decode(line, Time(0), &arena);
            let shown = String::from_utf8_lossy(line);
            assert!(!event.undecodable(), "{file}: {shown}");
            assert!(event.occurred_at.is_some() && event.address(Address::SourceIp).is_some(), "{file}: {shown}");
            assert!(event.number(Number::HttpStatus).is_some(), "{file}: {shown}");
            let unexpected = event.flaws().iter().any(|flaw| {
                // One line of the first file ends within the user agent.
                !matches!(
                    flaw.kind,
                    FlawKind::MalformedRequest | FlawKind::InvalidUtf8 | FlawKind::BadEscape | FlawKind::Truncated
                )
            });
            assert!(!unexpected, "{file}: {:?} {shown}", event.flaws());
            lines += 1;
            flawed += usize::from(!event.flaws().is_empty());
            drop(event);
            arena.reset();
        }
        println!("{file}: {lines} lines, {flawed} with flaws");
        assert!(lines >= lines_min, "{file}: {lines}");
    }
}
