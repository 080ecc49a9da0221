//! Clients that mean no good, or do not work: the node stays up, and says what was wrong where there is somebody to tell.

use std::io::{Read, Write};
use std::time::Duration;

use sekisho::api::{Log, Metrics, Patience, Projection, Seed, Server};

use crate::client::{connect, raw};
use crate::world::{patient, put_alert, world, world_with};

#[test]
fn broken_requests_get_an_answer_or_an_end_and_nobody_else_notices() {
    let world = world();
    let many = "X: y\r\n".repeat(1_000);
    let long = "x".repeat(200_000);
    for (bytes, status) in [
        (format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        (format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 431),
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET /livez HTTP/1.1\r\nHost localhost\r\n\r\n".to_owned(), 400),
        ("GET /api/v1/alerts/%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("GET /api/v1/search?query=%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("PUT /api/v1/blocks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), 405),
        ("GET /api/v1/block HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), 404),
    ] {
        let answer = raw(world.address, bytes.as_bytes());
        assert_eq!(answer.status, status, "{}", &bytes[..bytes.len().min(60)]);
        assert_eq!(world.get("/livez").text(), "live\n");
    }
    let both = "POST /api/v1/ingest/nginx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez";
    let _ = raw(world.address, both.as_bytes());
    assert_eq!(world.get("/livez").status, 200);
    let near = raw(world.address, b"GET /api/v1/block HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(near.text().contains("did you mean /api/v1/blocks?"), "{}", near.text());
}

#[test]
fn deep_json_and_other_nonsense_as_a_command() {
    let world = world();
    let json = [("Content-Type", "application/json")];
    let deep = format!("{{\"target\":{}", "[".repeat(100_000));
    for body in
        [deep.as_bytes(), b"\xff\xfe", b"", b"{}", b"{\"target\":1}", b"{\"target\":\"1.2.3.4\",\"tll\":\"4h\"}", b"[]"]
    {
        let answer = world.post("/api/v1/blocks", &json, body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
    }
    let answer = world.post("/api/v1/blocks", &json, &vec![b' '; 200 * 1024]);
    assert_eq!(answer.status, 413);
    assert_eq!(world.post("/api/v1/blocks", &[("Content-Type", "text/plain")], b"{}").status, 415);
    assert!(world.journal.values("sekisho.signals").is_empty());
}

#[test]
fn headers_that_do_not_come_end_the_connection() {
    let world = world_with(Patience { headers: Duration::from_millis(20), ..patient() }, |_| {});
    let mut socket = connect(world.address);
    socket.write_all(b"GET /livez HT").unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert_eq!(world.get("/livez").status, 200);
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_costs_nobody_else() {
    let world = world_with(Patience { write: Duration::from_millis(50), ..patient() }, |_| {});
    let message = "x".repeat(50_000);
    (0..100).for_each(|number| put_alert(&world.journal, number, &message));
    world.settle();
    let mut deaf = connect(world.address);
    // Kept alive: many answers of 4 MiB that nobody takes.
    let request = b"GET /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let pipelined = request.repeat(20);
    deaf.write_all(&pipelined).unwrap();
    world.reach("sekisho_http_connections_stalled_total", 1);
    assert_eq!(world.get("/api/v1/alerts?limit=1").status, 200);
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let world = world();
    let open: Vec<_> = (0..600).map(|_| std::net::TcpStream::connect(world.address).unwrap()).collect();
    world.reach("sekisho_http_connections_refused_total", 600 - sekisho::api::limits::CONNECTIONS_MAX as u64);
    drop(open);
    // The others end once their clients are gone.
    while raw(world.address, b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n").status != 200 {}
}

#[test]
fn a_port_in_use_and_an_address_without_keys_are_said_before_anything_starts() {
    let world = world();
    let services = || sekisho::api::Services {
        log: Log::of(&world.journal),
        pipelines: Default::default(),
        events: sekisho::api::Events {
            search: std::sync::Arc::new(|_, _| Ok(Default::default())),
            histogram: std::sync::Arc::new(|_, _| Ok(Default::default())),
            terms: std::sync::Arc::new(|_, _| Ok(Default::default())),
            event: std::sync::Arc::new(|_, _| Ok(None)),
            tail: std::sync::Arc::new(|_, _| Ok(Default::default())),
        },
        projection: std::sync::Arc::new(Projection::new(Seed::default())),
        metrics: std::sync::Arc::new(Metrics::default()),
        status: std::sync::Arc::new(Default::default),
        checks: std::sync::Arc::new(Vec::new),
        live: std::sync::Arc::new(|| true),
        protected: Vec::new(),
        clock: std::sync::Arc::new(|| sekisho::event::Time(0)),
        data: world.data.path().to_owned(),
    };
    let fault = |listen: std::net::SocketAddr| Server::start(listen, services(), patient()).err().unwrap().to_string();
    assert!(fault(world.address).contains("is in use by another program"), "{}", fault(world.address));
    assert!(fault("0.0.0.0:0".parse().unwrap()).contains("needs keys"));
    assert!(fault("203.0.113.1:0".parse().unwrap()).contains("needs keys"));
    std::fs::write(world.data.path().join(sekisho::api::KEYS_FILE), "{").unwrap();
    assert!(fault("127.0.0.1:0".parse().unwrap()).contains("is not a file of keys"));
}

#[test]
fn stopping_lets_requests_end_and_takes_no_new_ones() {
    let world = world();
    let address = world.address;
    world.gate.shut(true);
    let gate = std::sync::Arc::clone(&world.gate);
    let mut waiting = connect(address);
    waiting.write_all(b"GET /api/v1/search HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    while !world.get("/api/v1/status").text().contains("\"searches\":1") {}
    let stopping = std::thread::spawn(move || world.stop());
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    gate.shut(false);
    assert_eq!(crate::client::answer_of(&mut waiting).status, 200);
    assert!(stopping.join().unwrap());
}

#[test]
fn a_search_ends_when_its_client_is_gone() {
    let world = world();
    world.gate.shut(true);
    let mut socket = connect(world.address);
    socket.write_all(b"GET /api/v1/search HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    while !world.get("/api/v1/status").text().contains("\"searches\":1") {}
    drop(socket);
    // The gate stays shut: only the word that nobody waits ends it.
    while !world.get("/api/v1/status").text().contains("\"searches\":0") {}
}

#[test]
fn searches_beyond_the_limit_are_told_to_come_again() {
    let world = world();
    world.gate.shut(true);
    let open: Vec<_> = (0..sekisho::api::limits::SEARCHES_MAX)
        .map(|_| {
            let mut socket = connect(world.address);
            socket.write_all(b"GET /api/v1/search HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
            socket
        })
        .collect();
    while !world.get("/api/v1/status").text().contains("\"searches\":4") {}
    let busy = world.get("/api/v1/search");
    assert_eq!((busy.status, busy.header("Retry-After")), (429, Some("1")));
    world.gate.shut(false);
    for mut socket in open {
        assert_eq!(crate::client::answer_of(&mut socket).status, 200);
    }
}
