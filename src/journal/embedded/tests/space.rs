//! A full disk is a pause: nothing half-written, readers go on, last words fit, and it goes on by itself. I/O.

use super::super::{Fault, SimulatedDisk};
use super::*;

fn value(number: usize) -> String {
    (0..60).map(|n| format!("{:x}", (number * 7_919 + n * 104_729) ^ n)).collect()
}

/// Appends until the disk is full; how many that were.
fn fill(journal: &Embedded, from: usize) -> usize {
    for number in from..from + 10_000 {
        match journal.append(append(input("logs", 0), &[&value(number)])) {
            Ok(_) => {}
            Err(JournalError::Full { .. }) => return number,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("it never was full")
}

#[test]
fn full_is_a_pause_and_last_words_fit() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    disk.set_capacity(disk.used() + 2 * SEGMENT);
    let written = fill(&journal, 0);
    assert!(written > 10);
    assert_eq!(read_all(&journal, &input("logs", 0), 5_000).unwrap().len(), written);
    assert!(matches!(journal.append(append(input("logs", 0), &[&value(1)])), Err(JournalError::Full { .. })));
    let last = Commit { last_words: true, ..append(input("state", 0), &["the end"]) };
    journal.append(last).unwrap();
    drop(journal);
    let journal = open(&disk).unwrap();
    assert!(!journal.opened().has_reserve);
    assert_eq!(read_all(&journal, &input("state", 0), 10).unwrap(), [(0, Some("the end".to_owned()))]);
    let more = fill(&journal, written);
    disk.set_capacity(u64::MAX);
    for number in more..more + 40 {
        journal.append(append(input("logs", 0), &[&value(number)])).unwrap();
    }
    drop(journal);
    let journal = open(&disk).unwrap();
    assert!(journal.opened().has_reserve, "space for last words is kept back again");
    let expected: Vec<_> = (0..more + 40).map(|number| (number as u64, Some(value(number)))).collect();
    assert_eq!(read_all(&journal, &input("logs", 0), 5_000).unwrap(), expected);
}

#[test]
fn a_write_that_finds_no_space_in_its_middle_leaves_nothing() {
    for seed in 0..300 {
        let disk = SimulatedDisk::new(seed);
        let journal = open(&disk).unwrap();
        journal.append(append(input("logs", 0), &["before"])).unwrap();
        disk.plan(Fault::TornWrite(0));
        let (first, second) = (value(seed as usize), value(seed as usize + 1));
        let torn =
            Commit { appends: vec![(input("logs", 0), records([first.as_str(), &second]))], ..Commit::default() };
        assert!(matches!(journal.append(torn), Err(JournalError::Full { .. })));
        assert_eq!(read_all(&journal, &input("logs", 0), 10).unwrap().len(), 1);
        if seed % 2 == 0 {
            journal.append(append(input("logs", 0), &["after"])).unwrap();
        }
        disk.crash();
        disk.restart();
        let found = read_all(&open(&disk).unwrap(), &input("logs", 0), 10).unwrap();
        let expected: &[&str] = if seed % 2 == 0 { &["before", "after"] } else { &["before"] };
        assert_eq!(found.iter().filter_map(|(_, value)| value.as_deref()).collect::<Vec<_>>(), expected, "seed {seed}");
    }
}

#[test]
fn limits_are_refused_with_their_numbers() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let large = vec![b'x'; super::super::RAW_BYTES_MAX as usize + 1];
    let mut records = Records::default();
    records.push(NewRecord { value: &large, ..NewRecord::default() });
    let commit = Commit { appends: vec![(input("logs", 0), records)], ..Commit::default() };
    assert!(matches!(journal.append(commit), Err(JournalError::TooLarge { .. })));
    let name = "n".repeat(super::super::NAME_BYTES_MAX + 1);
    assert!(matches!(journal.append(append(input(&name, 0), &["x"])), Err(JournalError::Refused { .. })));
    journal.append(append(input("logs", 0), &["x"])).unwrap();
}

#[test]
fn a_commit_larger_than_a_segment_gets_one_of_its_own() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let values: Vec<String> = (0..40).map(value).collect();
    let all =
        Commit { appends: vec![(input("logs", 0), records(values.iter().map(String::as_str)))], ..Commit::default() };
    journal.append(all).unwrap();
    journal.append(append(input("logs", 0), &["next"])).unwrap();
    assert_eq!(read_all(&open(&disk).unwrap(), &input("logs", 0), 10).unwrap().len(), 41);
}
