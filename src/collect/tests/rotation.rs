//! What happens to files, case by case. I/O.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::super::counters::Count;
use super::super::tail::{HALF_LINE_QUIET, ROTATED_QUIET};
use super::files::{Rig, TOPIC, gzip};
use super::journal::Fault;
use crate::event::{DAY, LINE_BYTES_MAX};
use crate::journal::Journal;

/// Started, with a file that was read.
fn followed(pattern: &str) -> Rig {
    let mut rig = Rig::new(pattern, false);
    rig.append("a.log", "one\ntwo\n");
    rig.start();
    rig.turn(0);
    assert_eq!(rig.texts(), ["one", "two"]);
    rig
}

#[test]
fn lines_are_taken_once_their_end_is_there() {
    let mut rig = followed("a.log");
    rig.append("a.log", "thr");
    rig.turns(3, 100);
    assert_eq!(rig.texts(), ["one", "two"]);
    rig.append("a.log", "ee\r\n\nfour");
    rig.turns(2, 100);
    assert_eq!(rig.texts(), ["one", "two", "three", ""]);
    rig.turn(HALF_LINE_QUIET);
    rig.turn(100);
    assert_eq!(rig.texts().last().unwrap(), "four");
    assert_eq!((rig.count(Count::Lines), rig.count(Count::Bytes)), (5, 15));
}

#[test]
fn from_the_end_is_for_files_that_were_there_first() {
    let mut rig = Rig::new("*.log", true);
    rig.append("a.log", "old\nhal");
    rig.start();
    rig.turn(0);
    rig.append("a.log", "f\nnew\n");
    rig.append("b.log", "whole\n");
    rig.turns(3, 300);
    assert_eq!(rig.texts(), ["half", "new", "whole"]);
    rig.crash();
    rig.append("c.log", "came while it was down\n");
    rig.start();
    rig.turn(300);
    assert_eq!(rig.texts(), ["half", "new", "whole", "came while it was down"]);
}

#[test]
fn a_journal_without_space_at_the_first_start_changes_nothing() {
    let mut rig = Rig::new("*.log", true);
    rig.append("a.log", "old\n");
    rig.start();
    rig.fail(Fault::Full);
    rig.turn(0);
    rig.append("a.log", "new\n");
    rig.turns(3, 300);
    assert!(rig.warnings().contains("no disk space"), "{}", rig.warnings());
    rig.fail(Fault::None);
    rig.turns(3, 300);
    assert_eq!(rig.texts(), ["new"]);
}

#[test]
fn the_writer_of_a_renamed_file_may_go_on_for_a_while() {
    let mut rig = followed("a.log");
    let mut writer = rig.open("a.log");
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", "next\n");
    writer.write_all(b"late\nhalf").unwrap();
    rig.turns(3, 300);
    assert_eq!(rig.texts(), ["one", "two", "late", "next"]);
    rig.turns(3, ROTATED_QUIET);
    assert_eq!(rig.texts(), ["one", "two", "late", "next", "half"]);
    assert_eq!(rig.count(Count::Rotations), 1);
    let partitions: Vec<u32> = rig.journal.records(TOPIC).into_keys().collect();
    assert_eq!(partitions, [1], "both are one source");
}

#[test]
fn a_copy_that_is_truncated_is_read_on_in_the_copy() {
    for pattern in ["a.log", "a.log*"] {
        let mut rig = followed(pattern);
        rig.append("a.log", "three\nha");
        fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
        rig.open("a.log").set_len(0).unwrap();
        rig.append("a.log", "lf\nfour, and longer than what there was before\n");
        rig.turns(4, 300);
        let mut texts = rig.texts();
        texts.sort();
        assert_eq!(
            texts,
            ["four, and longer than what there was before", "ha", "lf", "one", "three", "two"],
            "{pattern}"
        );
    }
}

#[test]
fn compressed_siblings_of_what_was_read_are_not_read_again() {
    let mut rig = followed("a.log*");
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", "three\n");
    rig.turns(3, 300);
    rig.compress("a.log.1");
    rig.turns(3, ROTATED_QUIET);
    assert_eq!(rig.texts(), ["one", "two", "three"]);
    rig.crash();
    rig.rename("a.log.1.gz", "a.log.2.gz");
    rig.start();
    rig.turns(4, 300);
    assert_eq!(rig.texts(), ["one", "two", "three"]);
}

#[test]
fn what_was_missed_is_read_in_the_compressed_sibling() {
    for pattern in ["a.log", "a.log*"] {
        let mut rig = followed(pattern);
        rig.crash();
        rig.append("a.log", "three\nfour without end");
        rig.rename("a.log", "a.log.1");
        rig.compress("a.log.1");
        rig.append("a.log", "five\n");
        rig.start();
        rig.turns(6, 300);
        let mut texts = rig.texts();
        texts.sort();
        assert_eq!(texts, ["five", "four without end", "one", "three", "two"], "{pattern}");
    }
}

#[test]
fn compressed_files_that_were_never_followed_are_read_whole() {
    let mut rig = followed("*.log*");
    fs::write(rig.path("b.log.gz"), gzip(b"packed one\npacked two")).unwrap();
    fs::write(rig.path("c.log.zst"), zstd::encode_all(&b"zst\n"[..], 1).unwrap()).unwrap();
    rig.turns(5, 300);
    assert_eq!(rig.texts(), ["one", "two", "packed one", "packed two", "zst"]);
    rig.crash();
    rig.start();
    rig.turns(5, 300);
    assert_eq!(rig.texts().len(), 5);
}

#[test]
fn a_long_compressed_file_survives_a_crash_in_the_middle() {
    let mut rig = Rig::new("*.gz", false);
    let lines: Vec<String> = (0..60_000).map(|n| format!("{n:08} {}", "x".repeat(50))).collect();
    fs::write(rig.path("a.log.gz"), gzip((lines.join("\n") + "\n").as_bytes())).unwrap();
    rig.start();
    rig.turns(2, 300);
    let some = rig.texts().len();
    assert!(some > 0 && some < lines.len(), "{some}");
    rig.fail(Fault::Full);
    rig.turn(300);
    rig.fail(Fault::None);
    rig.turns(2, 300);
    rig.crash();
    rig.start();
    rig.turns(20, 300);
    assert!(rig.texts() == lines, "{} lines", rig.texts().len());
}

#[test]
fn a_damaged_compressed_file_is_named_and_the_others_go_on() {
    let mut rig = followed("*.log*");
    let whole = gzip(&b"a line of some length, again and again\n".repeat(20_000));
    fs::write(rig.path("b.log.gz"), &whole[..whole.len() / 2]).unwrap();
    rig.append("a.log", "three\n");
    rig.turns(5, 300);
    assert!(rig.warnings().contains("b.log") && rig.warnings().contains("cut short"), "{}", rig.warnings());
    fs::write(rig.path("b.log.gz"), &whole).unwrap();
    rig.turns(8, 300);
    assert_eq!(rig.texts().len(), 3 + 20_000);
}

#[test]
fn a_deleted_file_is_read_to_its_end() {
    let mut rig = followed("a.log");
    rig.append("a.log", "three\nhalf");
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.turn(300);
    rig.append("a.log", "new\n");
    rig.turns(3, ROTATED_QUIET);
    assert_eq!(rig.texts(), ["one", "two", "three", "half", "new"]);
}

#[test]
fn a_truncated_file_begins_again() {
    let mut rig = followed("a.log");
    rig.open("a.log").set_len(0).unwrap();
    rig.append("a.log", "1\n");
    rig.turns(2, 300);
    assert_eq!(rig.texts(), ["one", "two", "1"]);
    rig.crash();
    rig.start();
    rig.turns(2, 300);
    assert_eq!(rig.texts(), ["one", "two", "1"]);
}

#[test]
fn the_hole_of_a_writer_without_append_is_passed_over() {
    let mut rig = followed("a.log");
    let file = fs::OpenOptions::new().write(true).open(rig.path("a.log")).unwrap();
    file.set_len(0).unwrap();
    file.write_at(b"three\n", 5_000).unwrap();
    rig.turns(3, 300);
    assert_eq!(rig.texts(), ["one", "two", "three"]);
    assert_eq!(rig.count(Count::Nuls), 5_000);
}

#[test]
fn files_with_the_same_beginning_are_told_apart() {
    let header = format!("# {}\n", "constant header ".repeat(100));
    let mut rig = Rig::new("a*.log", false);
    for (name, text) in [("a.log", "from a\n"), ("a-1.log", "from another\n")] {
        rig.append(name, &format!("{header}{text}"));
    }
    rig.start();
    rig.turns(4, 300);
    assert_eq!(rig.texts().len(), 4);
    rig.crash();
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.append("a.log", &format!("{header}from a new file, longer than the old one\n"));
    rig.start();
    rig.turns(4, 300);
    assert_eq!(rig.texts().len(), 6, "{:?}", rig.texts().last());
}

#[test]
fn a_backup_of_an_open_file_is_not_read() {
    let mut rig = followed("a.log*");
    rig.append("a.log", "three\n");
    fs::copy(rig.path("a.log"), rig.path("a.log.bak")).unwrap();
    rig.turns(3, 300);
    rig.append("a.log", "four\n");
    rig.turns(3, 300);
    assert_eq!(rig.texts(), ["one", "two", "three", "four"]);
    rig.append("a.log.bak", "its own\n");
    rig.turns(3, 300);
    assert_eq!(rig.texts().len(), 8, "what goes on by itself is a log of its own");
}

#[test]
fn links_are_followed_and_files_with_two_names_read_once() {
    let mut rig = Rig::new("*.log", false);
    rig.append("target-1", "one\n");
    symlink(rig.path("target-1"), rig.path("current.log")).unwrap();
    fs::hard_link(rig.path("target-1"), rig.path("second.log")).unwrap();
    symlink(rig.path("nowhere"), rig.path("dangling.log")).unwrap();
    symlink(rig.path("loop.log"), rig.path("loop.log")).unwrap();
    rig.start();
    rig.turns(2, 300);
    assert_eq!(rig.texts(), ["one"]);
    rig.append("target-1", "two\n");
    rig.append("target-2", "three\n");
    fs::remove_file(rig.path("current.log")).unwrap();
    symlink(rig.path("target-2"), rig.path("current.log")).unwrap();
    rig.turns(2, 300);
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts, ["one", "three", "two"]);
}

#[test]
fn what_is_no_readable_log_is_named_once() {
    let mut rig = Rig::new("*", false);
    fs::create_dir(rig.path("folder")).unwrap();
    fs::write(rig.path("a.xz"), b"\xfd7zXZ\0\0\0\0\0").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, rig.path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(rig.path("binary"), (0..=255u8).cycle().take(3_000).collect::<Vec<u8>>()).unwrap();
    rig.append("good.log", "good\n");
    rig.start();
    rig.turns(5, 300);
    assert!(rig.texts().contains(&"good".to_owned()));
    let warnings = rig.warnings();
    for words in ["folder: is a directory", "a.xz: is xz", "pipe: is no regular file"] {
        assert_eq!(warnings.matches(words).count(), 1, "{words}\n{warnings}");
    }
    assert_eq!(rig.count(Count::Cut), 0);
    assert!(rig.texts().len() > 11, "a binary file has lines too");
}

#[test]
fn a_file_that_may_not_be_read_is_tried_again() {
    let mut rig = Rig::new("*.log", true);
    rig.append("a.log", "old\n");
    fs::set_permissions(rig.path("a.log"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(rig.path("a.log")).is_ok() {
        // Root may read everything: there is nothing to see here.
        return;
    }
    rig.start();
    rig.turns(3, 300);
    assert_eq!(rig.warnings().matches("may not be read").count(), 1, "{}", rig.warnings());
    rig.append("b.log", "new\n");
    fs::set_permissions(rig.path("a.log"), fs::Permissions::from_mode(0o600)).unwrap();
    rig.append("a.log", "new too\n");
    rig.turns(3, 300);
    assert_eq!(rig.texts(), ["new", "new too"]);
}

#[test]
fn a_pattern_that_matches_nothing_waits() {
    let mut rig = Rig::new("deep/**/a?c.[lm]og", true);
    rig.start();
    rig.turns(4, 300);
    assert_eq!(rig.warnings().matches("no file matches").count(), 1);
    fs::create_dir_all(rig.path("deep/er")).unwrap();
    rig.append("deep/er/abc.log", "found\n");
    rig.append("deep/er/abcd.log", "not meant\n");
    rig.turns(2, 300);
    assert_eq!(rig.texts(), ["found"]);
}

#[test]
fn long_lines_are_cut_at_the_limit_and_go_on_after_a_restart() {
    let mut rig = Rig::new("a.log", false);
    rig.append("a.log", &"x".repeat(LINE_BYTES_MAX + 10));
    rig.start();
    rig.turns(2, 300);
    assert_eq!(rig.texts().iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES_MAX + 1]);
    rig.crash();
    rig.append("a.log", &format!("{}\nnext\n", "y".repeat(3 * LINE_BYTES_MAX)));
    rig.start();
    rig.turns(4, 300);
    assert_eq!(rig.texts()[1..], ["next"]);
    assert_eq!(rig.count(Count::Cut), 1);
}

#[test]
fn many_files_share_a_bounded_number_of_handles() {
    let mut rig = Rig::new("*.log", false);
    for number in 0..900 {
        rig.append(&format!("host{number}x.log"), &format!("first of {number}\n"));
    }
    rig.start();
    rig.turns(12, 300);
    assert_eq!(rig.texts().len(), 900);
    for number in 0..900 {
        rig.append(&format!("host{number}x.log"), &format!("second of {number}\n"));
    }
    rig.turns(12, 300);
    assert_eq!(rig.texts().len(), 1_800);
}

#[test]
fn cursors_of_files_long_gone_are_forgotten_and_others_kept() {
    let mut rig = followed("*.log");
    rig.append("b.log", "b\n");
    rig.turns(2, 300);
    fs::remove_file(rig.path("b.log")).unwrap();
    rig.turns(4, 300_000);
    assert_eq!(rig.journal.marks("collect/file/").len(), 2);
    rig.turns(70, DAY / 2);
    assert_eq!(rig.journal.marks("collect/file/").len(), 1);
    assert_eq!(rig.journal.marks("collect/partition/").len(), 2, "the journal forgets the other by itself");
    rig.append("a.log", "three\n");
    rig.turns(3, 300);
    assert_eq!(rig.texts(), ["one", "two", "three", "b"]);
}
