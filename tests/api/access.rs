//! Who may do what: every route with every role and every kind of key, hosts and origins, secrets.

use sekisho::api::{Access, KEYS_FILE, ROUTES, Role, Route, add_key, remove_key};
use sekisho::event::Time;

use crate::client::{Answer, raw, send};
use crate::world::{World, patient, world, world_with};

/// A path that fits a route's pattern.
fn path_of(route: &Route) -> String {
    let filled = [
        ("{pipeline}", "nginx"),
        ("{topic}", "nginx"),
        ("{partition}", "0"),
        ("{offset}", "1"),
        ("{item}", "0"),
        ("{id}", "00000000000000000000000000000000"),
        ("{*target}", "203.0.113.9/32"),
        ("{*network}", "203.0.113.0/24"),
        ("{*address}", "203.0.113.9"),
    ];
    let path = filled.iter().fold(route.path.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!path.contains('{'), "{path}: say here what to fill in");
    path
}

/// Only the head of the answer is of interest, so a stream is left at once; orders need not be folded.
fn ask(world: &World, route: &Route, key: Option<&str>) -> u16 {
    use std::io::{Read, Write};
    let mut socket = crate::client::connect(world.address);
    let header = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    let request = format!(
        "{} {} HTTP/1.1\r\nHost: node.example\r\n{header}Content-Type: application/json\r\nContent-Length: 0\r\n\r\n",
        route.method,
        path_of(route)
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).unwrap();
    String::from_utf8_lossy(&head[9..]).parse().unwrap()
}

#[test]
fn every_route_with_every_role() {
    let mut keys = Vec::new();
    let patience = sekisho::api::Patience { command: std::time::Duration::ZERO, ..patient() };
    let world = world_with(patience, |data| {
        for role in Role::ALL {
            keys.push((Some(role), add_key(data, role.word(), role, (Time(0), None)).unwrap()));
            let expired = (Time(0), Some(Time(1)));
            keys.push((None, add_key(data, &format!("{}-old", role.word()), role, expired).unwrap()));
            let name = format!("{}-gone", role.word());
            keys.push((None, add_key(data, &name, role, (Time(0), None)).unwrap()));
            remove_key(data, &name).unwrap();
        }
    });
    for route in ROUTES {
        let Access::Role(needed) = route.access else {
            assert_eq!(ask(&world, route, None), 200, "{}", route.path);
            assert_eq!(ask(&world, route, Some("wrong")), 200, "{}", route.path);
            continue;
        };
        assert_eq!(ask(&world, route, None), 401, "{} {} without a key", route.method, route.path);
        for (role, key) in &keys {
            let status = ask(&world, route, Some(key));
            let shown = format!("{} {} as {role:?}: {status}", route.method, route.path);
            match role {
                // Too many wrong keys are told to wait.
                None => assert!([401, 429].contains(&status), "{shown}"),
                Some(role) if role.includes(needed) => assert!(
                    ![401, 403, 404, 405, 429].contains(&status)
                        || route.path.ends_with("{id}")
                        || route.path.ends_with("commands/{offset}"),
                    "{shown}"
                ),
                Some(_) => assert_eq!(status, 403, "{shown}"),
            }
        }
    }
}

#[test]
fn the_table_has_no_route_twice_and_changes_need_more_than_reading() {
    let mut seen: Vec<(&str, &str)> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    seen.sort_unstable();
    let count = seen.len();
    seen.dedup();
    assert_eq!(seen.len(), count);
    for route in ROUTES.iter().filter(|route| route.method != "GET") {
        assert!(matches!(route.access, Access::Role(Role::Ingest | Role::Respond | Role::Admin)), "{}", route.path);
    }
}

#[test]
fn a_key_works_in_both_headers_and_ends_when_it_is_taken_away() {
    let mut key = String::new();
    let world = world_with(patient(), |data| key = add_key(data, "shift", Role::Read, (Time(0), None)).unwrap());
    let status = |header: (&str, &str)| send(world.address, "GET", "/api/v1/status", &[header], b"");
    assert_eq!(status(("Authorization", &format!("bearer {key}"))).status, 200);
    assert_eq!(status(("X-Api-Key", &key)).status, 200);
    assert_eq!(status(("Authorization", &format!("Basic {key}"))).status, 401);
    assert_eq!(status(("Authorization", "")).status, 401);
    remove_key(world.data.path(), "shift").unwrap();
    // The file is looked at every few milliseconds here.
    while status(("X-Api-Key", &key)).status == 200 {}
    assert!([401, 429].contains(&status(("X-Api-Key", &key)).status));
}

#[test]
fn wrong_keys_are_told_to_wait_and_a_right_one_still_passes() {
    let mut key = String::new();
    let world = world_with(patient(), |data| key = add_key(data, "shift", Role::Read, (Time(0), None)).unwrap());
    let status = |key: &str| send(world.address, "GET", "/api/v1/status", &[("X-Api-Key", key)], b"");
    let answers: Vec<Answer> = (0..12).map(|_| status("guess")).collect();
    assert_eq!(answers[0].status, 401);
    assert_eq!((answers[11].status, answers[11].code().as_str()), (429, "throttled"));
    assert!(answers[11].header("Retry-After").is_some());
    assert_eq!(status(&key).status, 200);
    assert!(world.counter("sekisho_http_denied_total") >= 12);
}

#[test]
fn hosts_and_origins_without_keys() {
    let world = world();
    let port = world.address.port();
    let ask = |method: &str, host: &str, origin: &str| {
        let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        let request =
            format!("{method} /api/v1/thaw HTTP/1.1\r\n{host}{origin}Content-Length: 0\r\nConnection: close\r\n\r\n");
        raw(world.address, request.as_bytes())
    };
    let decide = world.decide(2);
    assert_eq!(ask("POST", &format!("Host: 127.0.0.1:{port}\r\n"), "").status, 200);
    assert_eq!(ask("POST", &format!("Host: localhost:{port}\r\n"), "").status, 200);
    decide.join().unwrap();
    for (host, origin, code) in [
        ("Host: evil.example\r\n", "", "foreign_host"),
        ("Host: 127.0.0.1.evil.example\r\n", "", "foreign_host"),
        ("Host: 192.0.2.1:7070\r\n", "", "foreign_host"),
        ("Host: localhost\r\nHost: evil.example\r\n", "", "foreign_host"),
        ("Host: localhost\r\n", "https://evil.example", "foreign_origin"),
        ("Host: localhost\r\n", "http://localhost:8080", "foreign_origin"),
        ("Host: localhost\r\n", "null", "foreign_origin"),
    ] {
        let answer = ask("POST", host, origin);
        assert_eq!((answer.status, answer.code().as_str()), (403, code), "{host}{origin}");
    }
    assert_eq!(ask("GET", "", "").status, 403);
    let absolute = "POST http://evil.example/api/v1/thaw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(world.address, absolute.as_bytes()).status, 403);
    // Reading with an Origin is harmless: no answer allows a page to see it.
    let read = send(world.address, "GET", "/api/v1/status", &[("Origin", "https://evil.example")], b"");
    assert_eq!(read.status, 200);
    assert!(read.header("Access-Control-Allow-Origin").is_none());
}

#[test]
fn every_answer_forbids_sniffing_and_keeping() {
    let world = world();
    for path in ["/livez", "/api/v1/status", "/api/v1/nothing", "/api/v1/search?query=client.ip:", "/metrics"] {
        let answer = world.get(path);
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{path}");
    }
}

#[test]
fn no_key_is_in_any_answer_metric_or_file() {
    let mut key = String::new();
    let world = world_with(patient(), |data| key = add_key(data, "canary", Role::Admin, (Time(0), None)).unwrap());
    let secret = key.rsplit('_').next().unwrap().to_owned();
    let with = |path: &str, key: &str| send(world.address, "GET", path, &[("X-Api-Key", key)], b"");
    let mut said = String::new();
    for path in ["/metrics", "/api/v1/status", "/readyz?verbose", "/api/v1/alerts?limit=x", "/nothing"] {
        said.push_str(&with(path, &key).text());
        said.push_str(&with(path, &format!("{key}0")).text());
    }
    said.push_str(&std::fs::read_to_string(world.data.path().join(KEYS_FILE)).unwrap());
    assert!(said.contains("canary") && !said.contains(&secret));
}
