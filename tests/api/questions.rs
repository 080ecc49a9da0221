//! Searches, counts, events, health, metrics: what is asked is handed on, what is answered is well-formed.

use sekisho::event::Time;

use crate::client::send;
use crate::world::world;

#[test]
fn pages_of_a_search_follow_one_another() {
    let world = world();
    let mut offsets = Vec::new();
    let mut path = "/api/v1/search?query=a%3Ab&from=1970-01-01T00:00:00Z&limit=2".to_owned();
    loop {
        let page = world.get(&path).json();
        assert_eq!(page["total"], 5);
        offsets.extend(page["hits"].as_array().unwrap().iter().map(|hit| hit["offset"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/search?query=a%3Ab&limit=2&search_after={next}");
    }
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    let asked = world.asked.lock().unwrap();
    assert_eq!(asked[0].selection.query, "a:b");
    assert_eq!((asked[0].selection.from, asked[0].selection.to), (Time(0), Time::MAX));
    assert_eq!(asked[1].after.as_ref().unwrap().1.offset, 1);
}

#[test]
fn counting_gives_no_hits_and_no_next() {
    let world = world();
    assert_eq!(world.get("/api/v1/search?limit=0").text(), "{\"total\":5,\"hits\":[]}");
}

#[test]
fn faults_of_a_query_point_at_their_character() {
    let world = world();
    let answer = world.get("/api/v1/search?query=client.ip:");
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.text(),
        r#"{"error":{"code":"query","message":"a value is missing","at":{"character":10,"length":1}}}"#
    );
    for (path, expected) in [
        ("/api/v1/search?qery=a", "did you mean `query`?"),
        ("/api/v1/search?limit=5000", "at most 1000"),
        ("/api/v1/search?from=now&to=1h", "is not after"),
        ("/api/v1/search?sort=up", "`newest` or `oldest`"),
        ("/api/v1/search?search_after=x", "`next` of the page before"),
        ("/api/v1/terms", "`field` is missing"),
        ("/api/v1/histogram?interval=soon", "a length of time"),
        ("/api/v1/tail?wait=1h", "at most 30s"),
        ("/api/v1/events/nginx/x/1", "partition"),
    ] {
        let answer = world.get(path);
        assert!(answer.status == 400 && answer.text().contains(expected), "{path}: {}", answer.text());
    }
}

#[test]
fn counts_and_events() {
    let world = world();
    let histogram = world.get("/api/v1/histogram?from=1970-01-01T00:00:00Z&to=1970-01-01T01:00:00Z").json();
    assert_eq!((histogram["interval_ms"].as_u64(), histogram["total"].as_u64()), (Some(60_000), Some(5)));
    assert_eq!(histogram["buckets"][1]["at"], "1970-01-01T00:01:00.000Z");
    let terms = world.get("/api/v1/terms?field=client.ip").json();
    assert_eq!(terms["values"][0], serde_json::json!({"value": "client.ip", "count": 3}));
    assert_eq!(world.get("/api/v1/events/nginx/0/4").text(), "{\"found\":true}");
    assert_eq!(world.get("/api/v1/events/nginx/0/4/2").status, 200);
    assert_eq!(world.get("/api/v1/events/nginx/0/9").status, 404);
    assert_eq!(world.get("/api/v1/tail?after=a").text(), "{\"events\":[{}],\"next\":\"ax\"}");
}

#[test]
fn health_says_yes_or_no_and_more_to_whoever_may_know() {
    let world = world();
    assert_eq!(world.get("/livez").text(), "live\n");
    assert_eq!(world.get("/readyz").text(), "ready\n");
    let verbose = world.get("/readyz?verbose").json();
    assert_eq!(verbose["checks"][0], serde_json::json!({"name": "journal", "ok": true}));
    let status = world.get("/api/v1/status").json();
    assert_eq!((status["node"]["role"].as_str(), status["ready"].as_bool()), (Some("all"), Some(true)));
}

#[test]
fn metrics_in_both_forms() {
    let world = world();
    world.get("/livez");
    let plain = world.get("/metrics");
    assert_eq!(plain.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        plain.text().contains("sekisho_http_requests_total{route=\"/livez\",code=\"200\"} 1\n"),
        "{}",
        plain.text()
    );
    check_metrics(&plain.text());
    let open =
        send(world.address, "GET", "/metrics", &[("Accept", "application/openmetrics-text; version=1.0.0")], b"");
    assert!(open.header("Content-Type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
}

/// The rules of `promtool check metrics` that names and help can break (observability sheet §5.1).
fn check_metrics(text: &str) {
    let mut names = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let mut words = line.split(' ').skip(2);
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        names.push(name);
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        for ending in ["_ms", "_milliseconds", "_minutes", "_hours", "_kb", "_count", "_sum", "_bucket", "_info"] {
            assert!(!name.trim_end_matches("_total").ends_with(ending), "{name} ends in {ending}");
        }
        if name.contains("_seconds") || name.contains("_bytes") {
            let bare = name.trim_end_matches("_total");
            assert!(bare.ends_with("_seconds") || bare.ends_with("_bytes"), "{name}: the unit comes last");
        }
    }
    assert!(names.len() > 10 && names.is_sorted());
}
