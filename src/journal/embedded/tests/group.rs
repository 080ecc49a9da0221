//! Commits that wait at the same time share one write. I/O.
#![expect(clippy::disallowed_methods, reason = "threads commit side by side")]

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::super::{SimulatedDisk, Step, Steps};
use super::*;

#[test]
fn what_waits_shares_one_sync() {
    let disk = SimulatedDisk::new(1);
    let (release, held) = mpsc::channel::<()>();
    let (at_write, reached) = mpsc::channel::<()>();
    let gate = Mutex::new(Some((held, at_write)));
    let steps = Steps::told(move |step| {
        let gate = (step == Step::GroupWritten).then(|| gate.lock().unwrap().take()).flatten();
        if let Some((held, at_write)) = gate {
            at_write.send(()).unwrap();
            held.recv().unwrap();
        }
    });
    let journal = Embedded::open_on(Arc::new(disk), clock(), Settings { steps, ..settings() }).unwrap();
    let journal = &journal;
    std::thread::scope(|scope| {
        scope.spawn(|| journal.append(append(input("logs", 0), &["leads"])).unwrap());
        reached.recv().unwrap();
        for _ in 0..3 {
            scope.spawn(|| journal.append(append(input("logs", 0), &["follows"])).unwrap());
        }
        while journal.shared.waiting() < 3 {
            std::thread::yield_now();
        }
        release.send(()).unwrap();
    });
    assert_eq!((journal.counters().commits, journal.counters().groups), (4, 2));
    assert_eq!(read_all(journal, &input("logs", 0), 100).unwrap().len(), 4);
}

#[test]
fn each_thread_finds_its_commits_whole_and_in_order() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..200 {
                    let value = format!("{thread}.{number}");
                    let committed = journal.append(append(input("logs", 0), &[&value, "end"])).unwrap();
                    let read = journal.read(&input("logs", 0), committed.firsts[0], 1).unwrap();
                    assert_eq!(read[0].iter().next().unwrap().value, value.as_bytes());
                }
            });
        }
    });
    let all = read_all(&open(&disk).unwrap(), &input("logs", 0), 4_000).unwrap();
    assert_eq!(all.len(), 1_600);
    for thread in 0..4 {
        let own = all.iter().filter_map(|(_, value)| value.as_deref()?.strip_prefix(&format!("{thread}.")));
        let numbers: Vec<u32> = own.map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_that_waits_is_woken() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let seen = journal.sequence();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| journal.wait(seen, std::time::Duration::from_secs(600)));
        journal.append(append(input("logs", 0), &["news"])).unwrap();
        assert_eq!(waiter.join().unwrap(), journal.sequence());
    });
}
