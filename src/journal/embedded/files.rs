//! The disk of production: one folder, locked by one process. I/O.
//!
//! The lock belongs to the kernel, so a killed process leaves none behind. Deliberately without caches of open files:
//! whoever reads holds its own.

#![expect(clippy::disallowed_methods, reason = "this is where the journal becomes files")]

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;

use crate::journal::JournalError;

use super::disk::{Disk, DiskFile};

/// The folder of the log within the data directory.
pub const FOLDER: &str = "journal";
/// What a repair writes, until it takes the log's place.
pub(super) const REPAIRED: &str = "journal.repaired";
/// The file that is locked, beside it: a repair swaps the folder.
const LOCK: &str = "lock";
/// Zeros are written in pieces of this size where the file system cannot reserve space.
const ZEROS: usize = 1 << 20;

/// Real files.
pub struct Files {
    folder: PathBuf,
    /// Held until the last handle of the journal is gone; without it files are only read.
    lock: Option<Lock>,
}

/// The data directory, locked by this process.
pub struct Lock(#[expect(dead_code, reason = "closing it unlocks")] File);

impl Lock {
    /// Locks the data directory, and makes it where it is missing.
    ///
    /// # Errors
    /// [`JournalError::Locked`] where another process has it, [`JournalError::Unwritable`] where it cannot be used.
    pub fn take(data: &Path) -> Result<Lock, JournalError> {
        let unwritable = |why: io::Error| JournalError::Unwritable { path: data.to_owned(), why: why.to_string() };
        make_folder(data).map_err(unwritable)?;
        let path = data.join(LOCK);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Locked { path: data.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(why)) => return Err(unwritable(why)),
        }
        // Only for the message above: a full disk must not keep the journal from opening.
        let told = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        let _ = told.and_then(|_| writeln!(file, "{}", std::process::id()));
        Ok(Lock(file))
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text).is_ok();
    let process = text.trim().parse::<u32>().ok().filter(|_| read);
    process.map_or("another process".to_owned(), |id| format!("process {id}"))
}

impl Files {
    /// The log's folder in a data directory, made where it is missing.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn open(data: &Path) -> Result<Files, JournalError> {
        let lock = Lock::take(data)?;
        let unwritable = |why: io::Error| JournalError::Unwritable { path: data.to_owned(), why: why.to_string() };
        finish_repair(data).map_err(unwritable)?;
        Files::at(data.join(FOLDER), lock)
    }

    /// The log's folder, only to look at it: also while a node runs.
    pub fn for_reading(data: &Path) -> Files {
        Files { folder: data.join(FOLDER), lock: None }
    }

    /// Any folder, under a lock that is held: for a repair, which writes beside the old log.
    ///
    /// # Errors
    /// [`JournalError::Unwritable`] where it cannot be made.
    pub fn at(folder: PathBuf, lock: Lock) -> Result<Files, JournalError> {
        let unwritable = |why: io::Error| JournalError::Unwritable { path: folder.clone(), why: why.to_string() };
        make_folder(&folder).map_err(unwritable)?;
        let parent = folder.parent().map(sync_folder).unwrap_or(Ok(()));
        parent.map_err(unwritable)?;
        Ok(Files { folder, lock: Some(lock) })
    }
}

/// A repair that was stopped between its two renames left no log under its name: the new one is whole by then.
pub(super) fn finish_repair(data: &Path) -> io::Result<()> {
    let (log, repaired) = (data.join(FOLDER), data.join(REPAIRED));
    if log.exists() || !repaired.exists() {
        return Ok(());
    }
    fs::rename(repaired, log)?;
    sync_folder(data)
}

/// Logs name people: a folder that is made here is its owner's alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Disk for Files {
    fn title(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(self.lock.is_some()).open(self.folder.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }

    /// The standard library seeds its hash maps from the kernel's random numbers; this is one of them.
    fn secret(&self) -> u64 {
        RandomState::new().hash_one("sekisho journal")
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(&self.0, bytes),
            done => Ok(done?),
        }
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn write_zeros(file: &File, until: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    let mut at = file.metadata()?.len();
    while at < until {
        let length = (until - at).min(ZEROS as u64);
        file.write_all_at(&zeros[..length as usize], at)?;
        at += length;
    }
    Ok(())
}
