//! Every byte flipped, every length cut, segments swapped and lost: found, never a panic, never a loop. I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::Input;
use crate::journal::{Journal, Stage, Subscription};

use super::super::SimulatedDisk;
use super::super::inspect::{list, verify};
use super::super::repair::repair;
use super::*;

/// Actions that any opening and reading of the small log takes at most.
const ACTIONS_MAX: u64 = 5_000;

type Log = BTreeMap<Input, Vec<(u64, Option<String>)>>;

/// A log of three segments, its files and what it holds.
fn small() -> (BTreeMap<String, Vec<u8>>, Log) {
    let disk = SimulatedDisk::new(5);
    let settings = Settings { segment_bytes: 700, reserve_bytes: 700, ..Settings::default() };
    let journal = Embedded::open_on(Arc::new(disk.clone()), clock(), settings).unwrap();
    for number in 0..9 {
        let value = format!("{number} GET /index.html?n={}", number * 77_777);
        let commit = Commit {
            appends: vec![(input("logs", 0), records([value.as_str(), "second"])), (input("other", 1), records(["x"]))],
            marks: vec![mark("at", &number.to_string())],
            ..Commit::default()
        };
        journal.append(commit).unwrap();
    }
    let names = super::super::Disk::list(&disk).unwrap();
    let segments: Vec<_> = names.into_iter().filter(|name| name.ends_with(".segment")).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    let log = content(&journal).unwrap();
    let mut files: BTreeMap<_, _> = segments.into_iter().map(|n| (n.clone(), disk.bytes_of(&n).unwrap())).collect();
    // Most of the last segment is space for later.
    let last = files.values_mut().last().unwrap();
    let used = last.iter().rposition(|byte| *byte != 0).unwrap();
    last.truncate(used + 24);
    (files, log)
}

fn content(journal: &Embedded) -> Result<Log, JournalError> {
    let mut log = Log::new();
    for topic in journal.topics()? {
        for (input, _) in journal.partitions(&topic)? {
            log.insert(input.clone(), read_all(journal, &input, 64)?);
        }
    }
    Ok(log)
}

fn disk_of(files: &BTreeMap<String, Vec<u8>>) -> SimulatedDisk {
    let disk = SimulatedDisk::new(6);
    files.iter().for_each(|(name, bytes)| disk.set_bytes(name, bytes.clone()));
    disk
}

/// The log is refused, or its reading is, or it is the beginning of what was written, cut and reported.
fn require_found(files: &BTreeMap<String, Vec<u8>>, whole: &Log, what: &str) {
    let disk = disk_of(files);
    let opened = open(&disk);
    let read = opened.as_ref().map_err(Clone::clone).and_then(content);
    assert!(disk.actions() < ACTIONS_MAX, "{what}: {} actions", disk.actions());
    match read {
        Err(JournalError::Corrupt { .. } | JournalError::Newer { .. }) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(found) => {
            let cut = opened.is_ok_and(|journal| journal.opened().cut.is_some());
            assert!(cut || found == *whole, "{what}: differs without a word");
            for (input, records) in &found {
                assert_eq!(whole[input][..records.len()], records[..], "{what}: other records");
            }
        }
    }
}

#[test]
fn every_flipped_byte_is_found() {
    let (files, log) = small();
    require_found(&files, &log, "undamaged");
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            require_found(&damaged, &log, &format!("{name} byte {at}"));
            match verify(&disk_of(&damaged)) {
                Ok(verified) => {
                    let found = verified.damages_total > 0 || verified.torn_tail.is_some();
                    assert!(found, "{name} byte {at}: verify sees nothing");
                }
                Err(error) => assert!(matches!(error, JournalError::Newer { .. }), "{error}"),
            }
        }
    }
}

#[test]
fn every_length_is_found() {
    let (files, log) = small();
    for (name, bytes) in &files {
        for length in 0..bytes.len() {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap().truncate(length);
            let disk = disk_of(&damaged);
            let opened = open(&disk).and_then(|journal| content(&journal));
            assert!(disk.actions() < ACTIONS_MAX);
            if let Ok(found) = opened {
                for (input, records) in &found {
                    assert_eq!(log[input][..records.len()], records[..], "{name} cut to {length}");
                }
                let last = files.keys().last() == Some(name);
                assert!(last || found == log, "{name} cut to {length}: only the last segment may end early");
            }
        }
    }
}

#[test]
fn a_repair_keeps_all_that_is_whole_and_says_what_is_not() {
    let (files, log) = small();
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            let into = SimulatedDisk::new(9);
            let settings = Settings { segment_bytes: 700, reserve_bytes: 700, ..Settings::default() };
            let repaired = repair(&disk_of(&damaged), Arc::new(into.clone()), settings).unwrap();
            let journal = open(&into).unwrap();
            let found = content(&journal).unwrap();
            let mut missing = 0;
            for (input, records) in &found {
                for (offset, value) in records {
                    let written = &log[input][*offset as usize];
                    missing += usize::from(value.is_none());
                    assert!(value.is_none() || written == &(*offset, value.clone()), "{name} byte {at}");
                }
            }
            let told: u64 = repaired.lost.iter().map(|(_, offsets)| offsets.end - offsets.start).sum();
            assert_eq!(told as usize, missing, "{name} byte {at}");
            let whole = log.values().map(Vec::len).sum::<usize>();
            let tail = whole - found.values().map(Vec::len).sum::<usize>();
            assert!(missing + tail <= 9, "{name} byte {at}: {missing} lost and {tail} cut for one frame's damage");
            assert_eq!(verify(&into).unwrap().damages_total, 0);
            journal.append(append(input("logs", 0), &["it goes on"])).unwrap();
        }
    }
}

#[test]
fn swapped_and_missing_segments_are_found() {
    let (files, _) = small();
    let names: Vec<_> = files.keys().cloned().collect();
    let mut swapped = files.clone();
    swapped.insert(names[0].clone(), files[&names[1]].clone());
    swapped.insert(names[1].clone(), files[&names[0]].clone());
    assert!(matches!(open(&disk_of(&swapped)), Err(JournalError::Corrupt { .. })));
    let mut missing = files.clone();
    missing.remove(&names[1]);
    let error = open(&disk_of(&missing)).err().unwrap();
    assert!(error.to_string().contains("sekisho journal repair"), "{error}");
    assert!(verify(&disk_of(&missing)).unwrap().damages_total > 0);
}

#[test]
fn another_logs_segment_is_found() {
    let (files, _) = small();
    let other = SimulatedDisk::new(77);
    drop(open(&other).unwrap());
    let mut mixed = files.clone();
    let number = files.len() as u64 + 1;
    let foreign = other.bytes_of(&super::super::names::segment_name(1)).unwrap();
    mixed.insert(super::super::names::segment_name(number), foreign);
    assert!(matches!(open(&disk_of(&mixed)), Err(JournalError::Corrupt { .. })));
}

#[test]
fn a_log_line_cannot_pose_as_a_frame() {
    let (files, _) = small();
    let frame = files.values().next().unwrap().clone();
    let disk = SimulatedDisk::new(12);
    let journal = open(&disk).unwrap();
    journal.append(append(input("logs", 0), &["first"])).unwrap();
    let mut records = Records::default();
    records.push(NewRecord { value: &frame, ..NewRecord::default() });
    let forged = Commit { appends: vec![(input("logs", 0), records)], ..Commit::default() };
    journal.append(forged).unwrap();
    // The write that held it is torn: its tail must be cut, although what follows looks like frames.
    let name = super::super::names::segment_name(1);
    let mut bytes = disk.bytes_of(&name).unwrap();
    let last = list(&disk).unwrap()[0].bytes as usize;
    let start = bytes.windows(5).position(|w| w == b"first").unwrap() + 40;
    bytes[start] ^= 1;
    assert!(start < last);
    disk.set_bytes(&name, bytes);
    assert!(open(&disk).unwrap().opened().cut.is_some());
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (files, _) = small();
    let mut newer = files.clone();
    let bytes = newer.values_mut().last().unwrap();
    let head = u32::from_le_bytes(bytes[28..32].try_into().unwrap()) as usize;
    bytes[20] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..16]), &bytes[20..head]);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    let error = open(&disk_of(&newer)).err().unwrap();
    assert!(matches!(error, JournalError::Newer { version: 9, .. }), "{error}");
}

#[test]
fn a_repair_gives_no_offset_twice_that_a_stage_has_worked() {
    let disk = SimulatedDisk::new(5);
    let journal = open(&disk).unwrap();
    let mut stage = journal.stage("decide", Subscription::topics(["logs"])).unwrap();
    journal.append(append(input("logs", 0), &["first"])).unwrap();
    journal.append(append(input("logs", 0), &["damaged", "too"])).unwrap();
    stage.commit(Commit { positions: vec![(input("logs", 0), 3)], ..Commit::default() }).unwrap();
    let name = super::super::names::segment_name(1);
    let mut bytes = disk.bytes_of(&name).unwrap();
    let at = bytes.windows(7).position(|window| window == b"damaged").unwrap();
    bytes[at] ^= 1;
    disk.set_bytes(&name, bytes);
    let into = SimulatedDisk::new(6);
    let repaired = repair(&disk, Arc::new(into.clone()), settings()).unwrap();
    assert_eq!(repaired.lost, vec![(input("logs", 0), 1..3)]);
    assert_eq!(verify(&into).unwrap().lost, repaired.lost, "it stays to be seen");
    let listed = list(&into).unwrap();
    assert_eq!(listed.into_iter().flat_map(|segment| segment.lost).collect::<Vec<_>>(), repaired.lost);
    let journal = open(&into).unwrap();
    assert_eq!(journal.append(append(input("logs", 0), &["new"])).unwrap().firsts, [3]);
    let mut stage = journal.stage("decide", Subscription::topics(["logs"])).unwrap();
    assert_eq!(stage.poll(100, Duration::ZERO).unwrap()[0].iter().next().unwrap().value, b"new");
}
