//! The JSON decoders against logs that others wrote: a recorded scenario and Suricata records with expected fields. I/O.
//!
//! Deliberately without fields that other rooms set (geo, AS, parsed user agents) or that the dispatcher derives for
//! all formats (the parts of an address, dataset and module).

#![expect(clippy::disallowed_methods, reason = "reads the data folder")]

mod data;

use std::collections::BTreeMap;

use bumpalo::Bump;
use data::data;
use jiff::tz::TimeZone;
use sekisho::decode::{Context, JsonDecoder, JsonSettings, Keep, ModsecurityDecoder, SuricataDecoder, Target, Unit};
use sekisho::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};
use sekisho::event::{Event, Field, Login, Number, Scalar, Text, Time};

/// As the decoder before these hands it over.
fn text<'a>(line: &[u8], arena: &'a Bump) -> &'a str {
    arena.alloc_str(&String::from_utf8_lossy(line))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

const CONTEXT: Context<'static> = Context { reference: Time(1_795_453_570_000), zone: &TimeZone::UTC };

fn map(fields: &[(&str, &str)]) -> Vec<(String, Target)> {
    let target = |field: &str| Target { field: Field::of(field), unit: Unit::AsIs, values: Vec::new() };
    fields.iter().map(|(path, field)| ((*path).to_owned(), target(field))).collect()
}

#[test]
fn the_application_log_gives_its_logins() {
    let Some(log) = data("scenario_nginx_modsec/app_auth.json.gz") else { return };
    let fields = [
        ("timestamp", "@timestamp"),
        ("outcome", "event.outcome"),
        ("user", "user.name"),
        ("client_ip", "source.address"),
        ("reason", "event.reason"),
        ("user_agent", "user_agent.original"),
    ];
    let settings = JsonSettings {
        fields: map(&fields),
        requires: vec!["outcome".to_owned()],
        rest: Some("login".to_owned()),
        set: vec![(Field::Category, "authentication".to_owned())],
    };
    let decoder = JsonDecoder::new(&settings, &Keep::All);
    let (mut success, mut failure) = (0, 0);
    for line in lines(&log) {
        let arena = Bump::new();
        let mut event = Event::new(line, &arena);
        assert!(decoder.decode(text(line, &arena), &CONTEXT, &mut event), "{}", String::from_utf8_lossy(line));
        assert_eq!(event.flaws(), []);
        assert!(event.occurred_at.is_some() && event.text(Text::UserName).is_some());
        match event.login {
            Some(Login::Success) => success += 1,
            Some(Login::Failure) => failure += 1,
            None => panic!("{}", String::from_utf8_lossy(line)),
        }
    }
    println!("application logins: {success} succeeded, {failure} failed");
    assert_eq!(success + failure, 3_831);
}

#[test]
fn the_access_log_is_whole() {
    let Some(log) = data("scenario_nginx_modsec/access_json.log.gz") else { return };
    let mut fields = map(&[
        ("msec", "@timestamp"),
        ("remote_addr", "source.address"),
        ("remote_user", "user.name"),
        ("request_method", "http.request.method"),
        ("request_uri", "url.original"),
        ("server_protocol", "http.version"),
        ("status", "http.response.status_code"),
        ("http_user_agent", "user_agent.original"),
    ]);
    let duration = Target { field: Field::of("event.duration"), unit: Unit::Seconds, values: Vec::new() };
    fields.push(("request_time".to_owned(), duration));
    let settings = JsonSettings { fields, rest: Some("nginx.access".to_owned()), ..JsonSettings::default() };
    let decoder = JsonDecoder::new(&settings, &Keep::All);
    let mut count = 0;
    for line in lines(&log) {
        let arena = Bump::new();
        let mut event = Event::new(line, &arena);
        assert!(decoder.decode(text(line, &arena), &CONTEXT, &mut event), "{}", String::from_utf8_lossy(line));
        let value: serde_json::Value = serde_json::from_str(&String::from_utf8_lossy(line)).expect("JSON");
        assert_eq!(event.number(Number::HttpStatus), value["status"].as_i64());
        assert_eq!(
            event.text(Text::UrlOriginal).unwrap_or_default(),
            value["request_uri"].as_str().unwrap_or_default()
        );
        assert!(event.occurred_at.is_some() && event.number(Number::EventDuration).is_some());
        count += 1;
    }
    println!("JSON access lines: {count}");
    assert_eq!(count, 9_500);
}

#[test]
fn the_audit_log_is_whole() {
    let Some(log) = data("scenario_nginx_modsec/modsec_audit.json.gz") else { return };
    let decoder = ModsecurityDecoder::new();
    let mut counts = BTreeMap::<String, u32>::new();
    let mut count = |name: &str, by: u32| *counts.entry(name.to_owned()).or_default() += by;
    for line in lines(&log) {
        let arena = Bump::new();
        let mut event = Event::new(line, &arena);
        assert!(decoder.decode(text(line, &arena), &CONTEXT, &mut event), "{}", String::from_utf8_lossy(line));
        assert!(event.occurred_at.is_some() && event.text(Text::SourceAddress).is_some());
        let alert = event.text(Text::EventKind) == Some("alert");
        assert_eq!(alert, event.text(Text::RuleId).is_some_and(|id| !id.starts_with("949")));
        count("records", 1);
        count(event.text(Text::EventAction).unwrap_or("clean"), 1);
        count(event.text(Text::RuleCategory).unwrap_or("no class"), 1);
        count("invalid UTF-8", u32::from(std::str::from_utf8(line).is_err()));
        if let Some(Scalar::List(classes)) = event.extra("sekisho.waf.classes") {
            assert!(classes.contains(&Scalar::Text(event.text(Text::RuleCategory).unwrap_or_default())));
        }
    }
    println!("audit records: {counts:?}");
    assert_eq!((counts["records"], counts["clean"], counts["invalid UTF-8"]), (10_084, 5_420, 96));
    for class in ["sqli", "xss", "lfi", "rce", "php", "scanner", "protocol"] {
        assert!(counts.contains_key(class), "{class}");
    }
}

#[test]
fn suricata_records_have_the_fields_that_filebeat_gives_them() {
    let Some(pairs) = data("ecs_oracle/pairs.jsonl") else { return };
    let decoder = SuricataDecoder::new(&Keep::All);
    let (mut asserted, mut equal) = (0u32, 0u32);
    let mut missed = BTreeMap::<String, u32>::new();
    for pair in lines(&pairs).filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok()) {
        if pair["dataset"] != "suricata.eve" {
            continue;
        }
        let line = pair["line"].as_str().expect("a line").as_bytes();
        let arena = Bump::new();
        let mut event = Event::new(line, &arena);
        assert!(decoder.decode(text(line, &arena), &CONTEXT, &mut event));
        let fields = flat(&event);
        for (name, value) in pair["expected"].as_object().expect("fields").iter().filter(|(name, _)| ours(name)) {
            asserted += 1;
            if fields.get(name) == Some(&today(name, value)) {
                equal += 1;
            } else {
                *missed.entry(name.clone()).or_default() += 1;
            }
        }
    }
    println!("suricata.eve: {equal} of {asserted} asserted fields equal; not equal: {missed:?}");
    assert!(asserted > 0 && equal * 100 >= asserted * 95);
}

/// Whether a field is for this decoder: not geo, AS, parsed agents, nor what the dispatcher derives or Filebeat's own
/// input adds.
fn ours(name: &str) -> bool {
    let others = [".geo.", ".as."].iter().any(|part| name.contains(part));
    let agent = name.starts_with("user_agent.") && name != "user_agent.original";
    let derived = ["url.path", "url.query", "url.extension", "event.dataset", "event.module", "tags"].contains(&name);
    !others && !agent && !derived
}

/// Expectations of 2019 in the words of ECS 9: a category that no longer exists, a method as it was sent, an outcome
/// that is success or failure. The verdict that stood there is the type now.
fn today(name: &str, value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match name {
        "event.category" if text == "network_traffic" => "intrusion_detection,network".to_owned(),
        "http.request.method" => text.to_ascii_uppercase(),
        _ => text,
    }
}

fn flat(event: &Event<'_>) -> BTreeMap<String, String> {
    let texts = TEXT_NAMES.iter().filter_map(|(field, name)| Some((*name, event.text(*field)?.to_owned())));
    let numbers = NUMBER_NAMES.iter().filter_map(|(field, name)| Some((*name, event.number(*field)?.to_string())));
    let addresses = ADDRESS_NAMES.iter().filter_map(|(field, name)| Some((*name, event.address(*field)?.to_string())));
    let extras = event.extras().iter().map(|(name, scalar)| (*name, spell(scalar)));
    let all = texts.chain(numbers).chain(addresses).chain(extras);
    let mut fields: BTreeMap<String, String> = all.map(|(name, value)| (name.to_owned(), value)).collect();
    fields.insert("event.category".to_owned(), event.categories.join(","));
    fields.insert("event.outcome".to_owned(), event.types.join(","));
    fields.extend(event.occurred_at.map(|time| ("@timestamp".to_owned(), time.to_string())));
    fields
}

fn spell(scalar: &Scalar<'_>) -> String {
    match scalar {
        Scalar::Text(text) => (*text).to_owned(),
        Scalar::Integer(integer) => integer.to_string(),
        Scalar::Float(float) => float.to_string(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::List(list) => list.iter().map(spell).collect::<Vec<_>>().join(","),
    }
}
