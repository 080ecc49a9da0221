//! What the JSON decoders promise for any bytes, and what they make of the shapes log servers really write. Pure.
//!
//! Deliberately without data of others: `tests/data_decode_json.rs` reads those.

use bumpalo::Bump;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use super::{JsonDecoder, ModsecurityDecoder, SuricataDecoder, journal_entry, unwrap_envelope};
use crate::decode::{Context, JsonSettings, Keep, Target, Unit};
use crate::event::{Event, Field, FlawKind, Login, Scalar, Time};

fn target(field: &str, unit: Unit, values: &[(&str, &str)]) -> Target {
    let values = values.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    Target { field: Field::of(field), unit, values }
}

fn nginx() -> JsonSettings {
    let plain = [
        ("time", "@timestamp"),
        ("msec", "@timestamp"),
        ("remote_addr", "source.address"),
        ("request_uri", "url.original"),
        ("status", "http.response.status_code"),
        ("ua", "user_agent.original"),
        ("a.b", "user.name"),
    ];
    let mut fields: Vec<_> =
        plain.iter().map(|(path, field)| ((*path).to_owned(), target(field, Unit::AsIs, &[]))).collect();
    fields.push(("urt".to_owned(), target("event.duration", Unit::Seconds, &[])));
    let outcomes = [("true", "success"), ("false", "failure"), ("denied", "failure")];
    fields.push(("success".to_owned(), target("event.outcome", Unit::AsIs, &outcomes)));
    JsonSettings { fields, rest: Some("nginx.access".to_owned()), ..JsonSettings::default() }
}

/// Decodes with everything kept, and hands fields by name, flaws and the verdict to `check`.
fn with<R>(settings: &JsonSettings, keep: &Keep, item: &[u8], check: impl FnOnce(bool, &Event<'_>) -> R) -> R {
    let arena = Bump::new();
    let decoder = JsonDecoder::new(settings, keep);
    let mut event = Event::new(item, &arena);
    let text = arena.alloc_str(&String::from_utf8_lossy(item));
    let fits = decoder.decode(text, &Context { reference: Time(0), zone: &TimeZone::UTC }, &mut event);
    check(fits, &event)
}

fn field(event: &Event<'_>, name: &str) -> String {
    match Field::of(name) {
        Field::Text(field) => event.text(field).unwrap_or("none").to_owned(),
        Field::Number(field) => event.number(field).map_or("none".to_owned(), |number| number.to_string()),
        Field::Address(field) => event.address(field).map_or("none".to_owned(), |address| address.to_string()),
        Field::Timestamp => event.occurred_at.map_or("none".to_owned(), |time| time.to_string()),
        Field::Extra(name) => event.extra(&name).map_or("none".to_owned(), |scalar| format!("{scalar:?}")),
        Field::Original | Field::Category | Field::Type | Field::Tags => unreachable!("not asked for"),
    }
}

#[track_caller]
fn check(line: &str, name: &str, expected: &str, flaws: &[FlawKind]) {
    with(&nginx(), &Keep::All, line.as_bytes(), |fits, event| {
        assert!(fits, "{line}");
        assert_eq!(field(event, name), expected, "{line}");
        let found: Vec<_> = event.flaws().iter().map(|flaw| flaw.kind).collect();
        assert_eq!(found, flaws, "{line}");
    });
}

#[test]
fn what_log_servers_write_is_read() {
    use FlawKind::{BadEscape, DuplicateKey, InvalidUtf8, OutOfRange, Repaired};
    check(r#"{"ua":"a\x22b\x5Cc"}"#, "user_agent.original", "a\"b\\c", &[Repaired]);
    check(r#"{"ua":"\xe3\x81\x82"}"#, "user_agent.original", "あ", &[Repaired]);
    check(r#"{"ua":"\xff"}"#, "user_agent.original", "\u{FFFD}", &[Repaired, InvalidUtf8]);
    check(r#"{"ua":"\x4z"}"#, "user_agent.original", "\\x4z", &[Repaired, BadEscape]);
    check("{\"ua\":\"a\tb\u{7f}\"}", "user_agent.original", "a\tb\u{7f}", &[Repaired]);
    check(r#"{"ua":"\u3042\/\ud83d\ude00\n"}"#, "user_agent.original", "あ/😀\n", &[]);
    check(r#"{"ua":"\ud83d"}"#, "user_agent.original", "\u{FFFD}", &[BadEscape]);
    check(r#"{"urt":-,"status":200}"#, "http.response.status_code", "200", &[Repaired]);
    check(r#"{"urt":-}"#, "event.duration", "none", &[Repaired]);
    check(r#"{"urt":,"status":200}"#, "http.response.status_code", "200", &[Repaired]);
    check(r#"{"urt":}"#, "event.duration", "none", &[Repaired]);
    check(r#"{"urt":0.001, 0.002 : 0.1,"status":200}"#, "event.duration", "1000000", &[Repaired]);
    check(r#"{"urt":0.001, 0.002,"status":200}"#, "http.response.status_code", "200", &[Repaired]);
    check(r#"{"urt":"0.001, 0.002"}"#, "event.duration", "1000000", &[]);
    check(r#"{"status":"200",}"#, "http.response.status_code", "200", &[Repaired]);
    check(r#"{"status":200,"ua":"cut of"#, "user_agent.original", "cut of", &[Repaired]);
    check(r#"{"status":200,"ua""#, "http.response.status_code", "200", &[Repaired]);
    check(r#"{"status":200,"x":tr"#, "http.response.status_code", "200", &[Repaired]);
    check(r#"{"status":200,"status":404}"#, "http.response.status_code", "404", &[DuplicateKey]);
    check(r#"{"a":{"b":"x"},"a.b":"y"}"#, "user.name", "y", &[DuplicateKey]);
    check(r#"{"z":1,"z":2}"#, "nginx.access.z", "Integer(2)", &[DuplicateKey]);
    check(r#"{"a.b":7}"#, "user.name", "7", &[]);
    check(r#"{"status":70000}"#, "http.response.status_code", "none", &[OutOfRange]);
    check(r#"{"n":1e999}"#, "nginx.access.n", "none", &[OutOfRange]);
    check(r#"{"ua":"-"}"#, "user_agent.original", "none", &[]);
    check("\u{feff} {\"ua\":\"x\"}\r\n", "user_agent.original", "x", &[]);
}

#[test]
fn addresses_are_canonical_or_refused() {
    let ip = |text: &str| format!(r#"{{"remote_addr":"{text}"}}"#);
    check(&ip("203.0.113.9:4711"), "source.ip", "203.0.113.9", &[]);
    check(&ip("203.0.113.9:4711"), "source.address", "203.0.113.9:4711", &[]);
    check(&ip("203.0.113.9:4711"), "source.port", "4711", &[]);
    check(&ip("::ffff:203.0.113.9"), "source.ip", "203.0.113.9", &[]);
    check(&ip("[2001:db8::1]:80"), "source.ip", "2001:db8::1", &[]);
    check(&ip("fe80::1%eth0"), "source.ip", "fe80::1", &[]);
    check(&ip("0203.0.113.9"), "source.ip", "none", &[]);
    check(&ip("10.1"), "source.ip", "none", &[]);
}

#[test]
fn times_in_every_form() {
    let at = "2026-11-23T17:06:10.000Z";
    check(r#"{"time":"2026-11-23T17:06:10+00:00"}"#, "@timestamp", at, &[]);
    check(r#"{"msec":1795453570.000}"#, "@timestamp", at, &[]);
    check(r#"{"msec":1795453570.051,"time":"2026-11-23T17:06:10+00:00"}"#, "@timestamp", at, &[]);
    check(r#"{"time":"23/Nov/2026:17:06:10 +0000"}"#, "@timestamp", at, &[]);
    check(r#"{"time":"yesterday"}"#, "@timestamp", "none", &[FlawKind::NotATime]);
}

#[test]
fn what_is_no_object_does_not_fit() {
    for line in ["", "[]", "x", r#"{"a" 1}"#, r#"{"a":x}"#, r#"{"a":1}}"#, r#"{"a":1} {"b":2}"#, r#"{"a":[1}"#, "{a:1}"]
    {
        with(&nginx(), &Keep::All, line.as_bytes(), |fits, _| assert!(!fits, "{line}"));
        with(&nginx(), &Keep::Named(BTreeSet::new()), line.as_bytes(), |fits, _| assert!(!fits, "{line}"));
    }
}

#[test]
fn a_login_is_recognised() {
    let settings = JsonSettings {
        set: vec![(Field::Category, "authentication".to_owned())],
        requires: vec!["success".to_owned(), "x.y".to_owned()],
        ..nginx()
    };
    with(&settings, &Keep::All, br#"{"success":false}"#, |fits, event| {
        assert!(fits);
        assert_eq!(
            (event.login, event.types, event.categories),
            (Some(Login::Failure), &["start"][..], &["authentication"][..])
        );
    });
    with(&settings, &Keep::All, br#"{"x":{"y":1},"success":"Denied"}"#, |_, event| {
        assert_eq!(event.login, Some(Login::Failure));
    });
    with(&settings, &Keep::All, br#"{"x.y":1}"#, |fits, event| assert_eq!((fits, event.login), (true, None)));
    with(&settings, &Keep::All, br#"{"status":1}"#, |fits, _| assert!(!fits));
}

#[test]
fn only_wanted_names_are_kept() {
    let keep = Keep::Named(BTreeSet::from(["nginx.access.x.y".to_owned(), "nginx.access.l".to_owned()]));
    with(&nginx(), &keep, br#"{"x":{"y":1,"z":2},"l":[{"q":1}],"l":["a",["b"]],"ua":"u"}"#, |fits, event| {
        assert!(fits);
        let list = [Scalar::Text("a"), Scalar::Text("b")];
        assert_eq!(event.extras(), [("nginx.access.x.y", Scalar::Integer(1)), ("nginx.access.l", Scalar::List(&list))]);
    });
}

#[test]
fn depth_has_an_end() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{"a":["#, "]}")] {
        for closed in [true, false] {
            let tail = if closed { close.repeat(100_000) } else { String::new() };
            let line = format!(
                r#"{{"status":200,"d":{}{}"#,
                open.repeat(100_000),
                if closed { format!("1{tail}}}") } else { tail }
            );
            for keep in [Keep::All, Keep::Named(BTreeSet::new())] {
                with(&nginx(), &keep, line.as_bytes(), |fits, event| {
                    assert!(fits);
                    assert!(event.flaws().iter().any(|flaw| flaw.kind == FlawKind::TooDeep));
                    assert_eq!(field(event, "http.response.status_code"), "200");
                });
            }
        }
    }
}

#[test]
fn wide_objects_and_long_names_are_bounded() {
    let wide: String = (0..5_000).map(|index| format!(r#""k{index}":{index},"#)).collect();
    with(&nginx(), &Keep::All, format!("{{{wide}\"status\":200}}").as_bytes(), |fits, event| {
        assert!(fits);
        assert!(event.extras().len() <= 512);
        assert!(event.flaws().iter().any(|flaw| flaw.kind == FlawKind::TooManyFields));
        assert_eq!(field(event, "http.response.status_code"), "200");
    });
    let long = format!(r#"{{"{}":{{"a":1,"b":2}}}}"#, "k".repeat(10_000));
    with(&nginx(), &Keep::All, long.as_bytes(), |fits, event| {
        assert!(fits);
        assert!(event.extras().is_empty());
    });
}

#[test]
fn a_line_cannot_claim_what_the_engine_concludes() {
    let open = JsonSettings::default();
    let line = br#"{"client":{"ip":"203.0.113.9"},"sekisho.tags":"x","user.name":"eve","own":1}"#;
    with(&open, &Keep::All, line, |fits, event| {
        assert!(fits);
        assert_eq!(field(event, "client.ip"), "none");
        assert_eq!(field(event, "user.name"), "eve");
        assert_eq!(event.extras(), [("own", Scalar::Integer(1))]);
    });
}

/// JSON that any writer could have written, with unique keys; floats are short, because serde_json's own reading is off
/// by one in the last place for long ones.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(|number| serde_json::Value::from(f64::from(number) / 64.0)),
        ".{0,20}".prop_map(serde_json::Value::from),
    ];
    let key = "[a-zあ\"\\\\]{1,9}";
    let tree = leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(key, tree, 0..8).prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

/// The model: one value or list per dotted name, objects in lists gathered by name.
fn flatten(name: &str, value: &serde_json::Value, out: &mut BTreeMap<String, Vec<String>>) {
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            flatten(&name, value, out);
        }),
        serde_json::Value::Array(list) => list.iter().for_each(|value| flatten(name, value, out)),
        serde_json::Value::Null => {}
        serde_json::Value::String(text) if matches!(text.as_str(), "" | "-") => {}
        serde_json::Value::String(text) => out.entry(name.to_owned()).or_default().push(format!("t{text}")),
        serde_json::Value::Bool(value) => out.entry(name.to_owned()).or_default().push(format!("b{value}")),
        serde_json::Value::Number(number) => {
            let text = number.as_i64().map_or_else(|| format!("f{:?}", number.as_f64().unwrap()), |i| format!("i{i}"));
            out.entry(name.to_owned()).or_default().push(text);
        }
    }
}

fn spell(scalar: &Scalar<'_>, out: &mut Vec<String>) {
    match scalar {
        Scalar::Text(text) => out.push(format!("t{text}")),
        Scalar::Integer(integer) => out.push(format!("i{integer}")),
        Scalar::Float(float) => out.push(format!("f{float:?}")),
        Scalar::Bool(value) => out.push(format!("b{value}")),
        Scalar::List(list) => list.iter().for_each(|scalar| spell(scalar, out)),
    }
}

/// One item of each dialect.
const SAMPLES: [&str; 3] = [
    r#"{"timestamp":"2026-08-21T10:00:00.123456+0000","src_ip":"203.0.113.9","event_type":"alert","alert":{"signature_id":7,"metadata":{"a":["b"]}},"dns":{"queries":[{"rrname":"x\u00e9"}]},"flow":{"start":"2026-08-21T09:59:00.0+0000","bytes_toserver":1}}"#,
    r#"{"@timestamp":"2026-11-23T17:06:10Z","host":{"name":"h"},"message":"{\"log\":\"\\u3042\"}","event":{"original":"x"}}"#,
    r#"{"__REALTIME_TIMESTAMP":"1795453570051000","_HOSTNAME":"h","_PID":"7","MESSAGE":[70,255]}"#,
];

/// Every entry of this room, on the same bytes.
fn answer(bytes: &[u8]) {
    let arena = Bump::new();
    let context = Context { reference: Time(0), zone: &TimeZone::UTC };
    with(&nginx(), &Keep::All, bytes, |_, _| ());
    with(&JsonSettings::default(), &Keep::All, bytes, |_, _| ());
    let text = String::from_utf8_lossy(bytes);
    SuricataDecoder::new(&Keep::All).decode(&text, &context, &mut Event::new(bytes, &arena));
    ModsecurityDecoder::new().decode(&text, &context, &mut Event::new(bytes, &arena));
    unwrap_envelope(bytes, &context, &arena);
    journal_entry(bytes, &arena);
}

proptest! {
    #[test]
    fn valid_json_is_what_serde_json_says(value in json()) {
        let settings = JsonSettings { rest: Some("r".to_owned()), ..JsonSettings::default() };
        let text = value.to_string();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut expected = BTreeMap::new();
        flatten("r", &parsed, &mut expected);
        let found = with(&settings, &Keep::All, text.as_bytes(), |fits, event| {
            assert!(fits, "{text}");
            assert!(event.flaws().is_empty(), "{text} {:?}", event.flaws());
            let mut found = BTreeMap::<String, Vec<String>>::new();
            event.extras().iter().for_each(|(name, scalar)| spell(scalar, found.entry((*name).to_owned()).or_default()));
            found
        });
        // A list that holds both scalars and objects with the same names inside gives its values in another order.
        let sorted = |map: BTreeMap<String, Vec<String>>| -> BTreeMap<String, Vec<String>> {
            map.into_iter().map(|(name, mut values)| { values.sort(); (name, values) }).collect()
        };
        prop_assert_eq!(sorted(found), sorted(expected));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        answer(&bytes);
    }

    #[test]
    fn any_mutation_is_answered(
        sample in prop::sample::select(SAMPLES.to_vec()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample.as_bytes().to_vec();
        for (place, byte) in edits {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() * 2));
        answer(&bytes);
    }

    #[test]
    fn what_fits_does_not_depend_on_what_is_kept(
        value in json(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
            br#"{}[]":,\x-0n "#.to_vec())), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = value.to_string().into_bytes();
        for (place, byte) in edits {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() * 2).max(1));
        let all = with(&nginx(), &Keep::All, &bytes, |fits, _| fits);
        let none = with(&nginx(), &Keep::Named(BTreeSet::new()), &bytes, |fits, _| fits);
        prop_assert_eq!(all, none);
    }
}
