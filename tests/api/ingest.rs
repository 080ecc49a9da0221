//! Lines in: what is durable, what a repeat is told, what is refused.

use std::io::Write;

use sekisho::event::{DAY, LINE_BYTES_MAX};
use std::sync::Arc;

use sekisho::journal::JournalError;
use sekisho::journal::embedded::Fault;

use crate::client::connect;
use crate::journal::TestJournal;
use crate::world::{patient, start, world, world_with};

const NGINX: &str = "/api/v1/ingest/nginx";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_are_records_whatever_they_hold() {
    let world = world();
    let deep = "[".repeat(100_000);
    let body = [&b"first\r\n\n"[..], b"\xff\xfe\x00\n", deep.as_bytes(), b"\nlast"].concat();
    let answer = world.post(NGINX, &[], &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!((told["records"].as_u64(), told["first"].as_u64(), told["cut"].as_u64()), (Some(5), Some(0), Some(0)));
    let values = world.journal.values("nginx");
    assert_eq!(
        values,
        [b"first".to_vec(), b"".to_vec(), b"\xff\xfe\x00".to_vec(), deep.into_bytes(), b"last".to_vec()]
    );
    assert_eq!(world.post(NGINX, &[], b"again").json()["first"], 5);
}

#[test]
fn compressed_bodies() {
    let world = world();
    assert_eq!(world.post(NGINX, &[("Content-Encoding", "gzip")], &gzip(b"a\nb\n")).json()["records"], 2);
    let zstd = zstd::encode_all(&b"c\nd\n"[..], 3).unwrap();
    assert_eq!(world.post(NGINX, &[("Content-Encoding", "zstd")], &zstd).json()["first"], 2);
    assert_eq!(world.post(NGINX, &[("Content-Encoding", "br")], b"x").status, 415);
    let whole = gzip(&vec![b'x'; 100_000]);
    let broken = world.post(NGINX, &[("Content-Encoding", "gzip")], &whole[..whole.len() - 9]);
    assert_eq!((broken.status, broken.code().as_str()), (400, "broken_body"));
    assert_eq!(world.post(NGINX, &[("Content-Encoding", "zstd")], b"nonsense").code(), "broken_body");
    assert_eq!(world.journal.values("nginx").len(), 4);
}

#[test]
fn bombs_and_bodies_over_the_limit_are_refused_and_nothing_of_them_stays() {
    let world = world();
    let bomb = gzip(&vec![0; 300 << 20]);
    let answer = world.post(NGINX, &[("Content-Encoding", "gzip")], &bomb);
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"), "{}", answer.text());
    let zstd = zstd::encode_all(&vec![0; 300 << 20][..], 3).unwrap();
    assert_eq!(world.post(NGINX, &[("Content-Encoding", "zstd")], &zstd).status, 413);
    // Said to be too large: refused before it is sent. Not said: refused when it is.
    let head = format!("POST {NGINX} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(crate::client::raw(world.address, head.as_bytes()).status, 413);
    assert!(world.journal.values("nginx").is_empty());
    assert_eq!(world.post(NGINX, &[], b"still here").status, 200);
}

#[test]
fn long_lines_are_cut_and_counted() {
    let world = world();
    let body = [&vec![b'x'; LINE_BYTES_MAX + 100][..], b"\nshort\n"].concat();
    assert_eq!(world.post(NGINX, &[], &body).json()["cut"], 1);
    assert_eq!(world.journal.values("nginx").iter().map(Vec::len).collect::<Vec<_>>(), [LINE_BYTES_MAX + 1, 5]);
    assert_eq!(world.metrics.counter("sekisho_ingest_http_cut_total", "", &[("pipeline", "nginx")]).get(), 1);
}

#[test]
fn a_repeat_is_told_the_same_and_written_once() {
    let world = world();
    world.post(NGINX, &[], b"before");
    let key = [("Idempotency-Key", "batch-1")];
    let first = world.post(NGINX, &key, b"a\nb\n");
    assert_eq!(first.json()["first"], 1);
    world.post(NGINX, &[], b"between");
    let again = world.post(NGINX, &key, b"a\nb\n");
    assert_eq!((again.status, again.text()), (200, first.text()));
    assert_eq!(world.journal.values("nginx").len(), 4);
    // Compression is not part of what was sent.
    let packed = world.post(NGINX, &[key[0], ("Content-Encoding", "gzip")], &gzip(b"a\nb\n"));
    assert_eq!(packed.text(), first.text());
    // The same key for something else is a mistake that must not pass unseen.
    let other = world.post(NGINX, &key, b"c\n");
    assert_eq!((other.status, other.code().as_str()), (422, "key_reused"));
    // Of another pipeline it is another key.
    assert_eq!(world.post("/api/v1/ingest/sshd", &key, b"c\n").status, 200);
    assert_eq!(world.metrics.counter("sekisho_ingest_http_repeated_total", "", &[("pipeline", "nginx")]).get(), 2);
}

#[test]
fn a_key_is_remembered_over_a_restart_and_forgotten_after_a_day() {
    let first_world = world();
    let key = [("Idempotency-Key", "batch-1")];
    let first = first_world.post(NGINX, &key, b"a\nb\n").text();
    let journal = Arc::clone(&first_world.journal);
    first_world.stop();
    let world = start(journal, tempfile::tempdir().unwrap(), patient());
    assert_eq!(world.post(NGINX, &key, b"a\nb\n").text(), first);
    world.journal.trim("nginx", 2);
    let gone = world.post(NGINX, &key, b"a\nb\n").json();
    assert_eq!((gone["records"].as_u64(), gone.get("first")), (Some(2), None));
    world.journal.pass(1_000_000 + DAY);
    world.post(NGINX, &[], b"a day later");
    assert_eq!(world.post(NGINX, &key, b"a\nb\n").json()["first"], 3);
}

#[test]
fn a_crash_at_any_moment_of_a_request_leaves_its_lines_once() {
    let key = [("Idempotency-Key", "batch-1")];
    let mut whole = 0;
    for action in 0.. {
        let disk = sekisho::journal::embedded::SimulatedDisk::new(action);
        let before = start(Arc::new(TestJournal::on(disk.clone())), tempfile::tempdir().unwrap(), patient());
        before.post(NGINX, &[], b"before");
        disk.plan(Fault::Crash(action));
        let first = before.post(NGINX, &key, b"a\nb\n");
        before.stop();
        disk.restart();
        let after = start(Arc::new(TestJournal::on(disk)), tempfile::tempdir().unwrap(), patient());
        let again = after.post(NGINX, &key, b"a\nb\n");
        assert_eq!((again.status, again.json()["first"].as_u64()), (200, Some(1)), "crash at action {action}");
        assert_eq!(after.journal.values("nginx"), [&b"before"[..], b"a", b"b"], "crash at action {action}");
        if first.status == 200 {
            assert_eq!(first.text(), again.text());
            whole += 1;
        }
        if whole == 2 {
            return;
        }
        assert!(action < 100, "a request takes a handful of actions");
    }
}

#[test]
fn two_requests_with_one_key_at_once() {
    let world = world();
    let mut slow = connect(world.address);
    let head = format!(
        "POST {NGINX} HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\nContent-Length: 4\r\nConnection: close\r\n"
    );
    // The server asks for the body only once it has the key.
    slow.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    let mut go_on = [0; 25];
    std::io::Read::read_exact(&mut slow, &mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100 Continue"));
    let busy = world.post(NGINX, &[("Idempotency-Key", "k")], b"a\nb\n");
    assert_eq!((busy.status, busy.header("Retry-After")), (429, Some("1")));
    slow.write_all(b"a\nb\n").unwrap();
    let done = crate::client::answer_of(&mut slow);
    assert_eq!(done.status, 200);
    assert_eq!(world.post(NGINX, &[("Idempotency-Key", "k")], b"a\nb\n").text(), done.text());
    // A client that gives up frees its key.
    let mut gone = connect(world.address);
    gone.write_all(format!("{head}\r\nx").replace(": k\r\n", ": g\r\n").as_bytes()).unwrap();
    drop(gone);
    while world.post(NGINX, &[("Idempotency-Key", "g")], b"x").status == 429 {}
    assert_eq!(world.journal.values("nginx").len(), 3);
}

#[test]
fn a_full_disk_is_told_and_over() {
    let world = world();
    world.journal.fail(Some(JournalError::Full { bytes: 9 }));
    let answer = world.post(NGINX, &[("Idempotency-Key", "k")], b"a");
    assert_eq!((answer.status, answer.code().as_str()), (429, "disk_full"));
    assert!(answer.header("Retry-After").is_some());
    world.journal.fail(None);
    assert_eq!(world.post(NGINX, &[("Idempotency-Key", "k")], b"a").status, 200);
    let stopped = JournalError::Io { action: "sync", file: "/var/lib/secret".to_owned(), why: "EIO".to_owned() };
    world.journal.fail(Some(stopped));
    let answer = world.post(NGINX, &[], b"a");
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("secret"));
}

#[test]
fn what_cannot_be_taken_says_what_to_do() {
    let world = world();
    let answer = world.post("/api/v1/ingest/ngnix", &[], b"a");
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("did you mean `nginx`?"), "{}", answer.text());
    let form = world.post(NGINX, &[("Content-Type", "multipart/form-data; boundary=x")], b"a");
    assert!(form.status == 415 && form.text().contains("--data-binary"));
    assert_eq!(world.post(NGINX, &[("Idempotency-Key", &"k".repeat(256))], b"a").status, 400);
    assert_eq!(world.post(NGINX, &[], b"").json()["records"], 0);
    assert!(world.journal.values("nginx").is_empty());
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let patience = sekisho::api::Patience { body_part: std::time::Duration::from_millis(20), ..patient() };
    let world = world_with(patience, |_| {});
    let head = format!("POST {NGINX} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    let answer = crate::client::raw(world.address, head.as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (408, "slow_body"));
    assert!(world.journal.values("nginx").is_empty());
}
