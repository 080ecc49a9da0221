//! Real files: the lock, the folder, a repair in place. I/O.
#![expect(clippy::disallowed_methods, reason = "real files are what is tested")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::inspect::{dump, list, verify};
use super::super::repair::repair_directory;
use super::super::{FOLDER, Files};
use super::*;

fn open_at(data: &Path) -> Result<Embedded, JournalError> {
    Embedded::open(data, clock(), settings())
}

#[test]
fn one_process_has_the_directory() {
    let data = tempfile::tempdir().unwrap();
    let journal = open_at(data.path()).unwrap();
    let error = open_at(data.path()).err().unwrap();
    assert!(matches!(&error, JournalError::Locked { holder, .. } if holder.contains(&std::process::id().to_string())));
    let clone = journal.clone();
    drop(journal);
    assert!(open_at(data.path()).is_err(), "a clone still has it");
    drop(clone);
    open_at(data.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "in the way").unwrap();
    assert!(matches!(open_at(&file), Err(JournalError::Unwritable { .. })));
    let locked = data.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_err() {
        assert!(matches!(open_at(&locked), Err(JournalError::Unwritable { .. })));
    }
}

#[test]
fn records_outlive_the_process_and_a_repair_swaps_the_folder() {
    let data = tempfile::tempdir().unwrap();
    let journal = open_at(data.path()).unwrap();
    let value: String = (0..300).map(|n| format!("{:x}", n * 7_919)).collect();
    for _ in 0..20 {
        journal.append(append(input("logs", 0), &[&value, "and"])).unwrap();
    }
    assert_eq!(verify(&Files::for_reading(data.path())).unwrap().records, 40, "a running log may be looked at");
    drop(journal);
    assert_eq!(repair_directory(data.path(), settings()).unwrap().kept_at, None, "nothing to repair");
    let name = data.path().join(FOLDER).join(super::super::names::segment_name(2));
    let mut bytes = fs::read(&name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&name, bytes).unwrap();
    let disk = Files::for_reading(data.path());
    assert_eq!(verify(&disk).unwrap().damages_total, 1);
    assert!(list(&disk).unwrap().len() > 2);
    let repaired = repair_directory(data.path(), settings()).unwrap();
    assert!(repaired.kept_at.unwrap().is_dir());
    assert_eq!(repaired.lost.iter().map(|(_, lost)| lost.end - lost.start).sum::<u64>(), 2);
    let journal = open_at(data.path()).unwrap();
    let all = read_all(&journal, &input("logs", 0), 500).unwrap();
    assert_eq!((all.len(), all.iter().filter(|(_, value)| value.is_none()).count()), (40, 2));
    drop(journal);
    let mut frames = 0;
    let counted = dump(&Files::for_reading(data.path()), &mut |frame| {
        frames += usize::from(!frame.blocks.is_empty());
        Ok(())
    });
    assert_eq!((counted, frames), (Ok(()), 19));
}

#[test]
fn a_repair_that_stopped_between_its_renames_is_finished() {
    let data = tempfile::tempdir().unwrap();
    open_at(data.path()).unwrap().append(append(input("logs", 0), &["kept"])).unwrap();
    fs::rename(data.path().join(FOLDER), data.path().join("journal.repaired")).unwrap();
    let journal = open_at(data.path()).unwrap();
    assert_eq!(read_all(&journal, &input("logs", 0), 10).unwrap().len(), 1);
}
