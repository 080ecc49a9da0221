//! Alerts, blocks, the allowlist, incidents, and orders with their answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sekisho::api::Patience;
use sekisho::api::projection::{ALERTS, BLOCKS, INCIDENTS};
use sekisho::event::{Entry, Order, SIGNALS};

use crate::client::send;
use crate::world::{alert, patient, put_alert, put_block, put_lift, start, world, world_with};

#[test]
fn alerts_page_from_the_newest_to_the_oldest() {
    let world = world();
    (0..7).for_each(|number| put_alert(&world.journal, number, "m"));
    world.journal.put(ALERTS, &[(None, b"not an alert")]);
    world.settle();
    let page = |path: &str| {
        let json = world.get(path).json();
        let times: Vec<String> = json["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["event"]["id"].as_str().unwrap()[31..].to_owned())
            .collect();
        (times.concat(), json["next"].as_str().map(str::to_owned))
    };
    let (first, next) = page("/api/v1/alerts?limit=3");
    assert_eq!(first, "654");
    let (second, next) = page(&format!("/api/v1/alerts?limit=3&after={}", next.unwrap()));
    assert_eq!(second, "321");
    assert_eq!(page(&format!("/api/v1/alerts?limit=3&after={}", next.unwrap())), ("0".to_owned(), None));
    assert_eq!(page("/api/v1/alerts?severity=major").0, "6420");
    assert_eq!(page("/api/v1/alerts?rule=rule-1&entity=203.0.113.4").0, "4");
    assert_eq!(page("/api/v1/alerts?from=3&to=6").0, "543");
    assert_eq!(page("/api/v1/alerts?from=1970-01-01T00:00:00.005Z&limit=1").0, "6");
    assert_eq!(world.get("/api/v1/alerts?severity=huge").status, 400);
    assert_eq!(world.get("/api/v1/alerts?from=soon").status, 400);
    let one = world.get(&format!("/api/v1/alerts/{:032x}", 5));
    assert_eq!(one.body, alert(5, "m"));
    assert_eq!(world.get(&format!("/api/v1/alerts/{:032x}", 99)).status, 404);
    assert_eq!(world.get("/api/v1/alerts/xyz").status, 400);
    assert_eq!(world.projection.view().counts.unread, 1);
}

#[test]
fn alerts_that_are_not_kept_come_from_the_journal() {
    let journal = std::sync::Arc::new(crate::journal::TestJournal::default());
    // 40 MB of alerts: more than are kept whole.
    let message = "x".repeat(100_000);
    (0..400).for_each(|number| put_alert(&journal, number, &message));
    let world = start(journal, tempfile::tempdir().unwrap(), patient());
    assert!(world.projection.view().alerts.len() < 400);
    let mut seen = Vec::new();
    let mut path = "/api/v1/alerts?limit=1000".to_owned();
    loop {
        let page = world.get(&path).json();
        seen.extend(page["alerts"].as_array().unwrap().iter().map(|it| it["event"]["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/alerts?limit=1000&after={next}");
    }
    assert_eq!(seen, (0..400).rev().map(|number| format!("{number:032x}")).collect::<Vec<_>>());
    assert_eq!(world.get(&format!("/api/v1/alerts/{:032x}", 0)).body, alert(0, &message));
    world.journal.trim(ALERTS, 10);
    assert_eq!(world.get(&format!("/api/v1/alerts/{:032x}", 0)).status, 404);
}

#[test]
fn blocks_are_those_that_hold() {
    let world = world();
    let targets = || {
        let json = world.get("/api/v1/blocks").json();
        let targets = json["blocks"].as_array().unwrap().iter().map(|it| it["target"].as_str().unwrap().to_owned());
        targets.collect::<Vec<_>>()
    };
    put_block(&world.journal, "203.0.113.9/32", "a", 2_000_000);
    put_block(&world.journal, "203.0.113.0/24", "b", 1_500_000);
    put_block(&world.journal, "2001:db8::/64", "c", 2_000_000);
    world.settle();
    assert_eq!(targets(), ["203.0.113.0/24", "203.0.113.9/32", "2001:db8::/64"]);
    let covers =
        |address: &str| world.get(&format!("/api/v1/blocks?covers={address}")).json()["blocks"][0]["id"].clone();
    assert_eq!(
        (covers("203.0.113.9"), covers("203.0.113.8"), covers("2001:db8::5")),
        ("a".into(), "b".into(), "c".into())
    );
    assert!(covers("192.0.2.1").is_null());
    put_lift(&world.journal, "203.0.113.9/32", "a");
    world.settle();
    assert_eq!(targets(), ["203.0.113.0/24", "2001:db8::/64"]);
    // Without any record: time alone ends it.
    world.clock.store(1_500_000, Ordering::SeqCst);
    assert_eq!(targets(), ["2001:db8::/64"]);
    let all = world.get("/api/v1/blocks?all").json();
    assert_eq!(all["blocks"][1]["lift"]["cause"], "operator");
    assert_eq!(world.get("/api/v1/blocks?after=nonsense").status, 400);
}

#[test]
fn the_text_of_blocks_is_sent_only_when_it_changed() {
    let world = world();
    put_block(&world.journal, "203.0.113.9/32", "a", 2_000_000);
    put_block(&world.journal, "10.0.0.0/8", "b", 1_500_000);
    world.settle();
    let get = |etag: Option<&str>| {
        let headers: Vec<_> = etag.map(|etag| ("If-None-Match", etag)).into_iter().collect();
        send(world.address, "GET", "/api/v1/blocks.txt", &headers, b"")
    };
    let first = get(None);
    assert_eq!(first.text(), "10.0.0.0/8\n203.0.113.9/32\n");
    assert_eq!(first.header("Content-Type"), Some("text/plain; charset=utf-8"));
    let etag = first.header("ETag").unwrap();
    for known in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let again = get(Some(&known));
        assert_eq!((again.status, again.body.len(), again.header("ETag")), (304, 0, Some(etag)), "{known}");
    }
    assert_eq!(get(Some("\"x\"")).status, 200);
    world.clock.store(1_500_000, Ordering::SeqCst);
    let later = get(Some(etag));
    assert_eq!((later.status, later.text().as_str()), (200, "203.0.113.9/32\n"));
    put_lift(&world.journal, "203.0.113.9/32", "a");
    world.settle();
    assert_eq!(get(later.header("ETag")).text(), "");
    assert_eq!(world.get("/api/v1/blocks.txt?level=challenge").text(), "");
    assert!(world.get("/api/v1/blocks.txt?level=blok").text().contains("did you mean `block`?"));
}

#[test]
fn an_order_is_a_record_and_its_answer_is_waited_for() {
    let world = world();
    let decide = world.decide(4);
    let block = serde_json::json!({"target": "203.0.113.9", "ttl": "2h", "reason": "shift said so"});
    let answer = world.order("/api/v1/blocks", &block);
    assert_eq!((answer.status, answer.json()["result"].as_str()), (200, Some("done")), "{}", answer.text());
    assert_eq!(answer.json()["by"], "local");
    // What an order did is known as soon as its answer is.
    assert_eq!(world.get("/api/v1/blocks?covers=203.0.113.9").json()["blocks"][0]["id"], "op");
    let refused = world.order("/api/v1/blocks", &serde_json::json!({"target": "192.0.2.1"}));
    assert_eq!((refused.status, refused.code().as_str()), (409, "refused"));
    let lifted = send(world.address, "DELETE", "/api/v1/blocks/203.0.113.9%2F32", &[], b"");
    assert_eq!((lifted.status, lifted.json()["lifted"].as_u64()), (200, Some(1)));
    assert_eq!(world.order("/api/v1/thaw", &serde_json::json!({})).status, 200);
    decide.join().unwrap();
    let orders: Vec<Order> = world
        .journal
        .values(SIGNALS)
        .iter()
        .map(|value| match Entry::decode(value) {
            Ok(Entry::Command(command)) => command.order,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(matches!(&orders[0], Order::Block { target, ttl: 7_200_000, reason, import: false, .. }
        if target.to_string() == "203.0.113.9/32" && reason == "shift said so"));
    assert!(matches!(&orders[2], Order::Lift { target } if target.to_string() == "203.0.113.9/32"));
}

#[test]
fn an_order_that_takes_long_stands_and_can_be_asked_for() {
    let world = world_with(Patience { command: Duration::from_millis(20), ..patient() }, |_| {});
    let answer = world.order("/api/v1/allowlist", &serde_json::json!({"networks": ["198.51.100.0/24"]}));
    assert_eq!((answer.status, answer.json()["result"].as_str()), (202, Some("pending")));
    assert_eq!(answer.json()["command"]["offset"], 0);
    assert_eq!(world.get("/api/v1/commands/0").status, 202);
    assert_eq!(world.get("/api/v1/commands/1").status, 404);
    world.decide(1).join().unwrap();
    world.settle();
    assert_eq!(world.get("/api/v1/commands/0").json()["result"], "done");
    let listed = world.get("/api/v1/allowlist").json();
    assert_eq!(listed["networks"][0], serde_json::json!({"network": "192.0.2.0/24", "source": "networks.own"}));
    assert_eq!(listed["networks"][1]["network"], "198.51.100.0/24");
}

#[test]
fn the_allowlist_says_what_covers_an_address_both_ways() {
    let world = world();
    let decide = world.decide(2);
    let ordered = serde_json::json!({"networks": ["198.51.100.0/24", "2001:db8::1"], "reason": "monitoring"});
    assert_eq!(world.order("/api/v1/allowlist", &ordered).status, 200);
    let check = |text: &str| world.get(&format!("/api/v1/allowlist/check/{text}")).json();
    assert_eq!(check("198.51.100.7")["by"][0]["reason"], "monitoring");
    assert_eq!(check("192.0.2.99")["by"][0]["source"], "networks.own");
    assert_eq!(check("198.51.0.0/16")["allowed"], true);
    assert_eq!(check("2001:db8::1")["allowed"], true);
    assert_eq!(check("2001:db8::2")["allowed"], false);
    let delete = |network: &str| send(world.address, "DELETE", &format!("/api/v1/allowlist/{network}"), &[], b"");
    assert_eq!(delete("192.0.2.0/24").code(), "protected");
    assert_eq!(delete("198.51.100.0/24").status, 200);
    assert_eq!(check("198.51.100.7")["allowed"], false);
    decide.join().unwrap();
}

#[test]
fn orders_that_make_no_sense_are_no_records() {
    let world = world();
    for (path, body, expected) in [
        ("/api/v1/blocks", serde_json::json!({"target": "203.0.113.9/24"}), "203.0.113.0/24 meant"),
        ("/api/v1/blocks", serde_json::json!({"target": "evil.example"}), "no address"),
        ("/api/v1/blocks", serde_json::json!({"target": "203.0.113.9", "ttl": "0s"}), "such as 30m"),
        ("/api/v1/blocks", serde_json::json!({"target": "203.0.113.9", "ttl": "2y"}), "at most 365d"),
        (
            "/api/v1/blocks",
            serde_json::json!({"target": "203.0.113.9", "level": "alert"}),
            "throttle, challenge or block",
        ),
        ("/api/v1/blocks", serde_json::json!({"target": "203.0.113.9", "reason": "x".repeat(501)}), "at most 500"),
        ("/api/v1/allowlist", serde_json::json!({"networks": []}), "1 to 1000"),
        ("/api/v1/allowlist", serde_json::json!({"networks": ["0.0.0.0/0"]}), "every address"),
        ("/api/v1/allowlist", serde_json::json!({"networks": ["::/0"]}), "every address"),
    ] {
        let answer = world.order(path, &body);
        assert!(answer.status == 400 && answer.text().contains(expected), "{body}: {}", answer.text());
    }
    assert_eq!(send(world.address, "DELETE", "/api/v1/blocks/nonsense", &[], b"").status, 400);
    assert!(world.journal.values(SIGNALS).is_empty());
}

#[test]
fn incidents_as_they_stand_last_changed_first() {
    let world = world();
    let put = |id: &str, state: &str, alerts: u64| {
        let incident = serde_json::json!({"id": id, "state": state, "severity": "major",
            "entity": {"kind": "client", "value": "203.0.113.9"}, "first_at": "2026-11-23T17:05:03.414Z",
            "last_at": "2026-11-23T17:05:03.414Z", "alerts": alerts, "blocks": 0, "title": "t"});
        world.journal.put(INCIDENTS, &[(Some(id), incident.to_string().as_bytes())]);
    };
    put("a", "detected", 1);
    put("b", "detected", 1);
    put("a", "triaged", 2);
    put("c", "fixed", 1);
    world.settle();
    let ids = |path: &str| {
        let json = world.get(path).json();
        let ids = json["incidents"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>().concat(), json["next"].as_str().map(str::to_owned))
    };
    assert_eq!(ids("/api/v1/incidents"), ("cab".to_owned(), None));
    let (first, next) = ids("/api/v1/incidents?limit=2");
    assert_eq!(first, "ca");
    assert_eq!(ids(&format!("/api/v1/incidents?limit=2&after={}", next.unwrap())), ("b".to_owned(), None));
    assert_eq!(ids("/api/v1/incidents?state=triaged").0, "a");
    assert_eq!(world.get("/api/v1/incidents?state=odd").status, 400);
}

#[test]
fn a_projection_begins_at_the_seed_and_goes_on_from_there() {
    let world = world();
    put_block(&world.journal, "203.0.113.9/32", "old", 2_000_000);
    put_block(&world.journal, "203.0.113.8/32", "new", 2_000_000);
    let block: sekisho::event::outcome::Block = serde_json::from_slice(&world.journal.values(BLOCKS)[0]).unwrap();
    world.journal.trim(BLOCKS, 1);
    let seed = sekisho::api::Seed {
        blocks: vec![block],
        positions: std::collections::BTreeMap::from([(BLOCKS.to_owned(), 1)]),
        ..Default::default()
    };
    let projection = std::sync::Arc::new(sekisho::api::Projection::new(seed));
    let _follower = sekisho::api::follow(&projection, sekisho::api::Log::of(&world.journal)).unwrap();
    assert_eq!(projection.view().blocks.len(), 2);
    assert_eq!(projection.view().counts.missed, 0);
    // A seed that is older than the journal: what is missing is counted, never passed over in silence.
    let late = sekisho::api::Seed { positions: [(BLOCKS.to_owned(), 0)].into(), ..Default::default() };
    let projection = std::sync::Arc::new(sekisho::api::Projection::new(late));
    let _follower = sekisho::api::follow(&projection, sekisho::api::Log::of(&world.journal)).unwrap();
    assert_eq!((projection.view().blocks.len(), projection.view().counts.missed), (1, 1));
}
