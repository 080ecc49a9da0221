//! The stream: everything once, in order, whatever happens to its reader.

use std::time::Duration;

use sekisho::api::Patience;
use sekisho::api::projection::{ALERTS, BLOCKS};

use crate::client::{Event, Events};
use crate::world::{patient, put_alert, put_block, put_lift, start, world, world_with};

/// What identifies an event, whichever id it came under.
fn what(event: &Event) -> String {
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
    let id = data["event"]["id"].as_str().or(data["block"].as_str()).or(data["id"].as_str()).unwrap_or_default();
    format!("{} {}", event.name, id.trim_start_matches('0'))
}

fn take(events: &mut Events, count: usize) -> Vec<Event> {
    (0..count).map(|_| events.next().expect("the stream goes on")).collect()
}

#[test]
fn what_is_committed_comes_as_it_is() {
    let world = world();
    let mut events = Events::open(world.address, None);
    assert_eq!(events.next().unwrap().name, "hello");
    put_alert(&world.journal, 1, "line\u{2028}\u{1b}");
    put_block(&world.journal, "203.0.113.9/32", "b1", 5);
    put_lift(&world.journal, "203.0.113.9/32", "b1");
    put_alert(&world.journal, 2, "m");
    let mut seen: Vec<String> = take(&mut events, 4).iter().map(what).collect();
    seen.sort();
    assert_eq!(seen, ["alert 1", "alert 2", "block b1", "lift b1"]);
    assert!(world.stop());
    assert_eq!(events.next().unwrap().name, "goodbye");
    assert_eq!(events.next(), None);
}

#[test]
fn a_reader_that_comes_back_misses_and_repeats_nothing() {
    let world = world();
    put_alert(&world.journal, 1, "m");
    world.settle();
    let mut events = Events::open(world.address, None);
    let hello = events.next().unwrap();
    let mut expected = Vec::new();
    for number in 2..40 {
        put_alert(&world.journal, number, "m");
        put_block(&world.journal, "203.0.113.9/32", &format!("b{number}"), 5);
        expected.extend([format!("alert {number:x}"), format!("block b{number}")]);
    }
    expected.sort();
    // Broken off behind each event in turn, resumed by its id: also by readers that were never told of an event.
    let all = take(&mut events, expected.len());
    for at in 0..=all.len() {
        let id = if at == 0 { &hello.id } else { &all[at - 1].id };
        let mut rest = Events::open(world.address, Some(id));
        assert_eq!(rest.next().unwrap().name, "hello");
        let mut seen: Vec<String> = all[..at].iter().chain(&take(&mut rest, all.len() - at)).map(what).collect();
        seen.sort();
        assert_eq!(seen, expected, "resumed behind event {at}");
    }
}

#[test]
fn a_reader_that_comes_back_after_a_restart_reads_the_journal() {
    let first = world();
    (1..30).for_each(|number| put_alert(&first.journal, number, "m"));
    first.settle();
    let journal = std::sync::Arc::clone(&first.journal);
    first.stop();
    let world = start(journal, tempfile::tempdir().unwrap(), patient());
    let mut events = Events::open(world.address, Some("3-0"));
    assert_eq!(events.next().unwrap().id, "3-0");
    put_alert(&world.journal, 30, "m");
    let seen: Vec<String> = take(&mut events, 27).iter().map(what).collect();
    assert_eq!(seen, (4..31).map(|number| format!("alert {number:x}")).collect::<Vec<_>>());
}

#[test]
fn more_than_is_kept_comes_from_the_journal_in_order() {
    let world = world();
    let message = "x".repeat(20_000);
    let mut events = Events::open(world.address, None);
    events.next().unwrap();
    // 12 MB, where 8 MiB are kept.
    (0..600).for_each(|number| put_alert(&world.journal, number, &message));
    world.settle();
    assert!(world.projection.view().recent.start().alerts > 0);
    let mut late = Events::open(world.address, Some("0-0"));
    late.next().unwrap();
    for events in [&mut events, &mut late] {
        let ids: Vec<String> = take(events, 600).iter().map(|event| event.id.clone()).collect();
        assert_eq!(ids, (1..601).map(|next| format!("{next}-0")).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_gone_is_said_to_be() {
    let journal = std::sync::Arc::new(crate::journal::TestJournal::default());
    (0..20).for_each(|number| put_alert(&journal, number, "m"));
    put_block(&journal, "203.0.113.9/32", "b", 5);
    journal.trim(ALERTS, 10);
    let world = start(journal, tempfile::tempdir().unwrap(), patient());
    let mut events = Events::open(world.address, Some("5-0"));
    let names: Vec<String> = take(&mut events, 13).iter().map(|event| event.name.clone()).collect();
    assert_eq!((names[0].as_str(), names[1].as_str()), ("hello", "gap"));
    assert_eq!(names.iter().filter(|name| *name == "alert").count(), 10);
    assert_eq!(names.iter().filter(|name| *name == "block").count(), 1);
    // An id from a journal that is no more.
    let mut foreign = Events::open(world.address, Some("900-900"));
    let begun = take(&mut foreign, 2);
    assert_eq!((begun[0].name.as_str(), begun[1].name.as_str(), begun[1].id.as_str()), ("hello", "gap", "20-1"));
    world.journal.put(BLOCKS, &[(Some("10.0.0.0/8"), b"")]);
    put_alert(&world.journal, 77, "m");
    assert_eq!(what(&foreign.next().unwrap()), "alert 4d");
}

#[test]
fn what_a_repair_left_out_is_told_where_it_is() {
    let journal = std::sync::Arc::new(crate::journal::TestJournal::default());
    (0..6).for_each(|number| put_alert(&journal, number, "m"));
    [2, 3, 5].iter().for_each(|offset| journal.lose(ALERTS, *offset));
    let world = start(journal, tempfile::tempdir().unwrap(), patient());
    let mut events = Events::open(world.address, Some("0-0"));
    let told = |event: &Event| if event.name == "alert" { what(event) } else { format!("{} {}", event.name, event.id) };
    let seen: Vec<String> = take(&mut events, 6).iter().map(told).collect();
    assert_eq!(seen, ["hello 0-0", "alert ", "alert 1", "gap 4-0", "alert 4", "gap 6-0"]);
    world.journal.lose(ALERTS, 6);
    put_alert(&world.journal, 6, "m");
    put_alert(&world.journal, 7, "m");
    let seen: Vec<String> = take(&mut events, 2).iter().map(told).collect();
    assert_eq!(seen, ["gap 7-0", "alert 7"]);
    assert_eq!(world.projection.view().counts.missed, 4);
}

#[test]
fn a_slow_reader_is_told_so_and_holds_nobody_up() {
    let world = world_with(Patience { stream: Duration::from_millis(50), ..patient() }, |_| {});
    let mut slow = Events::open(world.address, None);
    assert_eq!(slow.next().unwrap().name, "hello");
    let mut quick = Events::open(world.address, None);
    assert_eq!(quick.next().unwrap().name, "hello");
    let reader = std::thread::spawn(move || take(&mut quick, 2_000).len());
    let message = "x".repeat(20_000);
    // 40 MB: more than sockets and buffers hold.
    (0..2_000).for_each(|number| put_alert(&world.journal, number, &message));
    world.reach("sekisho_stream_overruns_total", 1);
    assert_eq!(reader.join().unwrap(), 2_000);
    let mut seen = Vec::new();
    let mut last = None;
    while let Some(event) = slow.next() {
        if event.name == "alert" {
            seen.push(what(&event));
        }
        last = Some(event);
    }
    let last = last.unwrap();
    assert_eq!(last.name, "overrun");
    assert!(seen.len() < 2_000);
    let mut again = Events::open(world.address, Some(&last.id));
    assert_eq!(again.next().unwrap().name, "hello");
    seen.extend(take(&mut again, 2_000 - seen.len()).iter().map(what));
    let expected: Vec<String> = (0..2_000)
        .map(|number| format!("alert {}", if number == 0 { String::new() } else { format!("{number:x}") }))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn ids_that_are_none_and_streams_too_many_are_refused() {
    let world = world();
    for id in ["x", "1", "1-", "-1-2", "1-2-3"] {
        assert_eq!(world.get(&format!("/api/v1/stream?since={id}")).status, 400, "{id}");
    }
    let open: Vec<Events> = (0..sekisho::api::limits::STREAMS_MAX)
        .map(|_| {
            let mut events = Events::open(world.address, None);
            events.next().unwrap();
            events
        })
        .collect();
    assert_eq!(world.get("/api/v1/stream").status, 429);
    // Open streams take no request's place.
    assert_eq!(world.get("/api/v1/status").status, 200);
    drop(open);
    put_alert(&world.journal, 1, "m");
    let mut events = loop {
        let mut events = Events::open(world.address, Some("0-0"));
        if events.next().is_some() {
            break events;
        }
    };
    assert_eq!(what(&events.next().unwrap()), "alert 1");
}
