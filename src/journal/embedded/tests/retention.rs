//! Old segments go, and never before everybody has read them. I/O.

use std::time::Duration;

use crate::journal::{Stage, Subscription};

use super::super::{Keep, SimulatedDisk};
use super::*;

const ALL: Keep = Keep { age_ms: i64::MAX, bytes: 0 };

fn filled(disk: &SimulatedDisk, commits: usize) -> Embedded {
    let journal = open(disk).unwrap();
    for number in 0..commits {
        let value: String = (0..90).map(|n| format!("{:x}", (number * 7_919 + n * 104_729) ^ n)).collect();
        journal.append(append(input("logs", 0), &[&value])).unwrap();
    }
    journal
}

fn start(journal: &Embedded) -> u64 {
    journal.partitions("logs").unwrap()[0].1.start
}

#[test]
fn a_stage_and_a_floor_hold_what_they_need() {
    let disk = SimulatedDisk::new(1);
    let journal = filled(&disk, 100);
    let mut stage = journal.stage("slow", Subscription::topics(["logs"])).unwrap();
    let retained = journal.retain(ALL, Time(0), &[]).unwrap();
    assert_eq!((retained.segments_deleted, start(&journal)), (0, 0), "a stage that has not begun needs everything");
    assert_eq!(retained.held_by, Some(("slow".to_owned(), input("logs", 0))));
    let commit = |next| Commit { positions: vec![(input("logs", 0), next)], ..Commit::default() };
    stage.commit(commit(60)).unwrap();
    let floors = [("snapshot".to_owned(), input("logs", 0), 30)];
    assert_eq!(journal.retain(ALL, Time(0), &floors).unwrap().held_by.unwrap().0, "snapshot");
    assert!(start(&journal) > 0 && start(&journal) <= 30);
    journal.retain(ALL, Time(0), &[]).unwrap();
    assert!(start(&journal) > 30 && start(&journal) <= 60);
    stage.seek(&input("logs", 0), 60).unwrap();
    assert_eq!(stage.poll(1, Duration::ZERO).unwrap()[0].offsets().start, 60);
    assert!(matches!(journal.read(&input("logs", 0), 0, 1), Err(JournalError::Trimmed { from: 0, .. })));
    assert!(matches!(stage.seek(&input("logs", 0), 3), Err(JournalError::Trimmed { .. })));
    let begun = start(&journal);
    drop((stage, journal));
    let journal = open(&disk).unwrap();
    assert_eq!(start(&journal), begun);
    assert_eq!(read_all(&journal, &input("logs", 0), 1_000).unwrap().len() as u64, 100 - begun);
    journal.retain(ALL, Time(0), &[]).unwrap();
    assert!(start(&journal) <= 60, "the position still holds after a restart");
}

#[test]
fn age_and_size_decide_what_goes() {
    let disk = SimulatedDisk::new(1);
    let journal = filled(&disk, 100);
    let bytes = journal.bytes();
    let kept = journal.retain(Keep { age_ms: i64::MAX, bytes }, Time(0), &[]).unwrap();
    assert_eq!((kept.segments_deleted, kept.bytes_kept), (0, bytes));
    let half = journal.retain(Keep { age_ms: i64::MAX, bytes: bytes / 2 }, Time(0), &[]).unwrap();
    assert!(half.bytes_kept <= bytes / 2 && half.bytes_kept > bytes / 2 - 2 * SEGMENT);
    let young = Keep { age_ms: 50, bytes: u64::MAX };
    assert_eq!(journal.retain(young, Time(1_050), &[]).unwrap().segments_deleted, 0);
    assert!(journal.retain(young, Time(1_140), &[]).unwrap().segments_deleted > 0);
}

#[test]
fn positions_marks_and_offsets_outlive_what_is_deleted() {
    let disk = SimulatedDisk::new(1);
    let journal = filled(&disk, 30);
    let mut stage = journal.stage("done", Subscription::topics(["logs"])).unwrap();
    let marks = vec![mark("cursor", "17")];
    stage.commit(Commit { positions: vec![(input("logs", 0), 30)], marks, ..Commit::default() }).unwrap();
    journal.append(append(input("early", 0), &["once"])).unwrap();
    drop(journal);
    let journal = filled(&disk, 60);
    assert!(stage.commit(Commit { positions: vec![(input("logs", 0), 30)], ..Commit::default() }).is_ok());
    drop(stage);
    let mut stage = journal.stage("done", Subscription::topics(["logs"])).unwrap();
    stage.commit(Commit { positions: vec![(input("logs", 0), 90)], ..Commit::default() }).unwrap();
    journal.retain(ALL, Time(0), &[]).unwrap();
    drop((stage, journal));
    let journal = open(&disk).unwrap();
    assert_eq!(journal.positions("done"), vec![(input("logs", 0), 90)]);
    assert_eq!(journal.mark("cursor"), Some(b"17".to_vec()));
    assert_eq!(journal.append(append(input("early", 0), &["twice"])).unwrap().firsts, [1]);
    assert_eq!(read_all(&journal, &input("early", 0), 10).unwrap(), [(1, Some("twice".to_owned()))]);
}

#[test]
fn a_stage_that_is_forgotten_holds_nothing() {
    let disk = SimulatedDisk::new(1);
    let journal = filled(&disk, 60);
    let mut stage = journal.stage("gone", Subscription::topics(["logs"])).unwrap();
    stage.commit(Commit { positions: vec![(input("logs", 0), 1)], ..Commit::default() }).unwrap();
    assert_eq!(journal.retain(ALL, Time(0), &[]).unwrap().segments_deleted, 0);
    journal.forget("gone").unwrap();
    assert!(matches!(stage.commit(Commit::default()), Err(JournalError::Fenced { .. })));
    assert!(journal.retain(ALL, Time(0), &[]).unwrap().segments_deleted > 0);
    drop((stage, journal));
    assert_eq!(open(&disk).unwrap().positions("gone"), vec![]);
}
