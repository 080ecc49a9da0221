//! Faults of the disk, crashes at every step, damage: what the writer promises through them. I/O: temporary folders.
#![expect(clippy::disallowed_methods, reason = "tests make files and damage them")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr};

use super::sample::{Random, Sample, samples};
use super::{add, holds_exactly, open, settings, unread};
use crate::index::error::IndexError;
use crate::index::writer::Mutant;
use crate::index::{Index, SearchSettings, Writer, verify};

/// What happens to the directory of a test.
#[derive(Clone, Debug, Default)]
struct Trouble {
    /// So many writes of `meta.json` succeed before the next one fails, once.
    meta_writes_before_fault: Option<usize>,
    /// Before each change of the directory, the whole index is copied below this folder, as a kill would leave it.
    copies: Option<PathBuf>,
    changes: usize,
}

/// The trouble of each index, by its folder: a directory is opened by a plain function.
static TROUBLES: Mutex<BTreeMap<PathBuf, Trouble>> = Mutex::new(BTreeMap::new());

fn trouble<R>(index: &Path, change: impl FnOnce(&mut Trouble) -> R) -> R {
    let mut troubles = TROUBLES.lock().unwrap_or_else(PoisonError::into_inner);
    change(troubles.entry(index.to_owned()).or_default())
}

#[derive(Clone, Debug)]
struct Troubled {
    inner: MmapDirectory,
    index: PathBuf,
}

fn troubled(path: &Path) -> Result<Box<dyn Directory>, IndexError> {
    let inner = MmapDirectory::open(path).map_err(|fault| IndexError::tantivy("open", path, fault.into()))?;
    Ok(Box::new(Troubled { inner, index: path.parent().unwrap_or(path).to_owned() }))
}

impl Troubled {
    fn before_change(&self) {
        let copy = trouble(&self.index, |trouble| {
            trouble.changes += 1;
            trouble.copies.as_ref().map(|copies| copies.join(format!("{:04}", trouble.changes)))
        });
        if let Some(copy) = copy {
            copy_folder(&self.index, &copy);
        }
    }
}

/// Copies what is there; a file that another thread removes meanwhile is not in the copy.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            let _gone = fs::copy(entry.path(), target);
        }
    }
}

impl Directory for Troubled {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.before_change();
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.before_change();
        self.inner.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.before_change();
        let fails = path.ends_with("meta.json")
            && trouble(&self.index, |trouble| match trouble.meta_writes_before_fault {
                Some(0) => trouble.meta_writes_before_fault.take().is_some(),
                Some(left) => {
                    trouble.meta_writes_before_fault = Some(left - 1);
                    false
                }
                None => false,
            });
        if fails { Err(io::Error::other("a fault made by a test")) } else { self.inner.atomic_write(path, data) }
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.before_change();
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}

/// Single events in records of their own, so that they can be cut anywhere.
fn plain(seed: u64, count: u64) -> Vec<Sample> {
    let mut all = samples(&mut Random(seed), count);
    all.retain(|sample| sample.place.item.is_none_or(|item| item == 0));
    all
}

/// Adds and commits by tens; an error is answered as the caller should: open again, begin at the positions.
fn index_by_tens(writer: &mut Writer, all: &[Sample]) -> usize {
    let mut faults = 0;
    let mut at = 0;
    while at < all.len() {
        let end = (at + 10).min(all.len());
        let result = add(writer, &all[at..end]).and_then(|()| writer.commit().map(|_| ()));
        at = end;
        if result.is_err() {
            faults += 1;
            assert!(faults < 5, "{result:?}");
            if writer.reopen().is_err() {
                return faults;
            }
            at = all.len() - unread(writer, all).len();
        }
    }
    faults
}

#[test]
fn a_failed_commit_doubles_and_loses_nothing() {
    let all = plain(5, 120);
    for before in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), SearchSettings::default()).unwrap();
        let mut writer = Writer::open_through(&index, settings(), troubled).unwrap();
        trouble(folder.path(), |trouble| trouble.meta_writes_before_fault = Some(before));
        let mut sorted = all.clone();
        sorted.sort_by_key(|sample| (sample.input.clone(), sample.place));
        let faults = index_by_tens(&mut writer, &sorted);
        assert_eq!(faults, 1, "the fault came before write {before}");
        drop(writer);
        let again = Index::open(folder.path(), SearchSettings::default()).unwrap();
        holds_exactly(&again, &all);
    }
}

/// After the run, what a new process finds: the documents it says it has, and the positions to go on from.
fn is_sound(folder: &Path, all: &[Sample]) -> bool {
    let index = Index::open(folder, SearchSettings::default()).unwrap();
    let Ok(mut writer) = Writer::open(&index, settings()) else { return false };
    let rest = unread(&writer, all);
    for part in rest.chunks(10) {
        if add(&mut writer, part).is_err() {
            return false;
        }
    }
    writer.commit().unwrap();
    let verified = verify(folder, || true).unwrap();
    verified.faults.is_empty() && verified.documents == all.len() as u64
}

#[test]
fn deliberate_faults_of_the_writer_are_found() {
    let mut all = plain(6, 120);
    all.sort_by_key(|sample| (sample.input.clone(), sample.place));
    for (mutant, sound) in [(None, true), (Some(Mutant::PlainCommit), false), (Some(Mutant::KeptAfterError), false)] {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), SearchSettings::default()).unwrap();
        let mut writer = Writer::open_through(&index, settings(), troubled).unwrap();
        writer.mutant = mutant;
        trouble(folder.path(), |trouble| trouble.meta_writes_before_fault = Some(2));
        index_by_tens(&mut writer, &all);
        drop(writer);
        assert_eq!(is_sound(folder.path(), &all), sound, "{mutant:?}");
    }
}

#[test]
fn a_kill_at_any_change_of_the_directory_is_survived() {
    let mut all = plain(7, 60);
    all.sort_by_key(|sample| (sample.input.clone(), sample.place));
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let index = Index::open(folder.path(), SearchSettings::default()).unwrap();
    let mut writer = Writer::open_through(&index, settings(), troubled).unwrap();
    trouble(folder.path(), |trouble| trouble.copies = Some(copies.path().to_owned()));
    index_by_tens(&mut writer, &all);
    drop(writer);
    trouble(folder.path(), |trouble| trouble.copies = None);
    let taken: Vec<PathBuf> = fs::read_dir(copies.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(taken.len() > 50, "{} copies", taken.len());
    for copy in taken.iter().step_by(3) {
        assert!(is_sound(copy, &all), "{}", copy.display());
    }
}

#[test]
fn a_crash_between_splits_is_survived() {
    let all = plain(8, 30);
    let folder = tempfile::tempdir().unwrap();
    let (index, mut writer) = open(folder.path(), settings());
    add(&mut writer, &all).unwrap();
    writer.commit().unwrap();
    drop(writer);
    // A next split half made, a dropped one half removed, and one that was about to be exchanged.
    fs::create_dir_all(folder.path().join("split-00000002.new/part")).unwrap();
    fs::create_dir_all(folder.path().join("split-00000000.dropped")).unwrap();
    fs::rename(folder.path().join("split-00000001"), folder.path().join("split-00000001.old")).unwrap();
    fs::create_dir_all(folder.path().join("split-00000001.new")).unwrap();
    let (_, writer) = open(folder.path(), settings());
    drop(writer);
    holds_exactly(&index, &all);
    for gone in ["split-00000002.new", "split-00000000.dropped", "split-00000001.old", "split-00000001.new"] {
        assert!(!folder.path().join(gone).exists(), "{gone}");
    }
}

#[test]
fn one_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (index, writer) = open(folder.path(), settings());
    let second = Writer::open(&index, settings()).err().unwrap();
    assert!(matches!(second, IndexError::Locked(_)), "{second}");
    drop(writer);
    assert!(Writer::open(&index, settings()).is_ok());
}

#[test]
fn repeats_change_nothing_and_gaps_are_refused() {
    let all = plain(9, 40);
    let folder = tempfile::tempdir().unwrap();
    let (index, mut writer) = open(folder.path(), settings());
    add(&mut writer, &all).unwrap();
    add(&mut writer, &all).unwrap();
    writer.commit().unwrap();
    assert_eq!(writer.counts().repeated, all.len() as u64);
    holds_exactly(&index, &all);
    let input = all[0].input.clone();
    let next = writer.positions().into_iter().find(|(of, _)| *of == input).unwrap().1;
    let gap = writer.add(writer.batch(), &[(input.clone(), next + 1..next + 2)]);
    assert!(matches!(gap, Err(IndexError::Gap { expected, found, .. }) if expected == next && found == next + 1));
    writer.skip_to(&input, next + 1).unwrap();
    writer.add(writer.batch(), &[(input.clone(), next + 1..next + 5)]).unwrap();
    let durable = writer.commit().unwrap();
    assert!(durable.contains(&(input, next + 5)), "positions move without events");
}

#[test]
fn a_deleted_directory_is_made_anew() {
    let all = plain(10, 40);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let (index, mut writer) = open(&path, settings());
    add(&mut writer, &all).unwrap();
    writer.commit().unwrap();
    fs::remove_dir_all(&path).unwrap();
    let next = writer.positions().into_iter().find(|(of, _)| *of == all[0].input).unwrap().1;
    let more = [Sample::new(&mut Random(1), 99, all[0].input.clone(), next, None)];
    let fails = add(&mut writer, &more).and_then(|()| writer.commit().map(|_| ()));
    assert!(fails.is_err());
    assert!(matches!(writer.commit(), Err(IndexError::Closed)));
    writer.reopen().unwrap();
    assert_eq!(writer.positions(), []);
    let rest = unread(&writer, &all);
    add(&mut writer, &rest).unwrap();
    writer.commit().unwrap();
    holds_exactly(&index, &all);
}

#[test]
fn damage_is_found_and_the_rest_serves() {
    let all = plain(11, 60);
    let folder = tempfile::tempdir().unwrap();
    let mut small = settings();
    small.split.documents_max = 20;
    let (_, mut writer) = open(folder.path(), small);
    let mut sorted = all.clone();
    sorted.sort_by_key(|sample| (sample.input.clone(), sample.place));
    index_by_tens(&mut writer, &sorted);
    drop(writer);
    let split = folder.path().join("split-00000001");
    let files: Vec<PathBuf> = fs::read_dir(&split).unwrap().flatten().map(|entry| entry.path()).collect();
    let segment = |path: &&PathBuf| path.metadata().unwrap().len() > 0 && !path.to_string_lossy().contains("lock");
    for file in files.iter().filter(segment) {
        let whole = fs::read(file).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        let managed = file.ends_with(".managed.json");
        for content in [&damaged[..], &whole[..middle]] {
            fs::write(file, content).unwrap();
            let found = verify(folder.path(), || true).unwrap();
            let index = Index::open(folder.path(), SearchSettings::default()).unwrap();
            assert!(index.status().splits >= 2, "the others serve: {}", file.display());
            assert!(managed || !found.faults.is_empty(), "{} is damaged", file.display());
        }
        fs::write(file, &whole).unwrap();
    }
    assert_eq!(verify(folder.path(), || true).unwrap().faults, []);
    fs::remove_file(files.iter().find(|file| file.extension().is_some_and(|it| it == "fast")).unwrap()).unwrap();
    assert!(!verify(folder.path(), || true).unwrap().faults.is_empty());
}

#[test]
fn a_damaged_split_is_made_again_from_the_journal() {
    let mut all = plain(12, 60);
    all.sort_by_key(|sample| (sample.input.clone(), sample.place));
    for file in ["meta.json", "fast"] {
        let folder = tempfile::tempdir().unwrap();
        let mut small = settings();
        small.split.documents_max = 20;
        let (index, mut writer) = open(folder.path(), small);
        index_by_tens(&mut writer, &all);
        let split = folder.path().join("split-00000002");
        let damaged = fs::read_dir(&split)
            .unwrap()
            .flatten()
            .map(|it| it.path())
            .find(|it| it.ends_with(file) || it.extension().is_some_and(|it| it == file));
        fs::write(damaged.unwrap(), b"no longer what it was").unwrap();
        writer.reopen().unwrap();
        assert_eq!(index.status().damaged.len(), 1, "{file}");
        let mut again = writer.rebuild(2).unwrap();
        let read = again.read().to_vec();
        let within = |sample: &&Sample| {
            read.iter().any(|(of, range)| *of == sample.input && range.contains(&sample.place.offset))
        };
        let mut batch = writer.batch();
        all.iter().filter(within).for_each(|sample| sample.with_entry(|entry| batch.push(entry)));
        again.add(batch, &read).unwrap();
        again.finish(&writer).unwrap();
        assert_eq!(index.status().damaged, []);
        holds_exactly(&index, &all);
        drop(writer);
        holds_exactly(&Index::open(folder.path(), SearchSettings::default()).unwrap(), &all);
    }
}

#[test]
fn a_damaged_newest_split_is_dropped_and_read_again() {
    let mut all = plain(13, 60);
    all.sort_by_key(|sample| (sample.input.clone(), sample.place));
    let folder = tempfile::tempdir().unwrap();
    let mut small = settings();
    small.split.documents_max = 25;
    let (index, mut writer) = open(folder.path(), small.clone());
    index_by_tens(&mut writer, &all);
    let newest = folder.path().join(format!("split-{:08}", index.status().splits));
    drop(writer);
    fs::write(newest.join("meta.json"), b"{").unwrap();
    assert!(Writer::open(&index, small.clone()).is_err());
    crate::index::drop_newest(folder.path()).unwrap();
    assert!(is_sound(folder.path(), &all));
}

#[test]
fn documents_without_positions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (index, writer) = open(folder.path(), settings());
    drop(writer);
    let meta = folder.path().join("split-00000001/meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let payload = value["payload"].take();
    fs::write(&meta, value.to_string()).unwrap();
    assert!(matches!(Writer::open(&index, settings()), Err(IndexError::NoPayload(_))));
    let other = payload.as_str().unwrap().replace("\"schema\":\"", "\"schema\":\"x");
    value["payload"] = other.into();
    fs::write(&meta, value.to_string()).unwrap();
    let refused = Writer::open(&index, settings()).err().unwrap();
    assert!(refused.to_string().contains("sekisho index rebuild"), "{refused}");
}
