//! What the log needs of a disk, and the steps at which a crash can be tried. I/O.
//!
//! Two implementations: [`super::Files`] and [`super::SimulatedDisk`]. Names are flat; what is not synced may be lost in a
//! crash, in any part and any order. Deliberately without paths, buffers or retries.

use std::io;
use std::sync::Arc;

/// A folder of files.
pub trait Disk: Send + Sync {
    /// How messages call a file of this name.
    fn title(&self, name: &str) -> String;
    /// All names, in any order.
    ///
    /// # Errors
    /// The disk's.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new empty file; one that was there under this name is gone.
    ///
    /// # Errors
    /// The disk's.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// A file that is there.
    ///
    /// # Errors
    /// The disk's.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name.
    ///
    /// # Errors
    /// The disk's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; those who have it open still read it.
    ///
    /// # Errors
    /// The disk's.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all changes of names durable.
    ///
    /// # Errors
    /// The disk's.
    fn sync_names(&self) -> io::Result<()>;
    /// A number that no sender of logs can guess; for a new log.
    fn secret(&self) -> u64;
}

/// One file, read and written at given places by any number of threads.
pub trait DiskFile: Send + Sync {
    /// Its length.
    ///
    /// # Errors
    /// The disk's.
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer.
    ///
    /// # Errors
    /// The disk's, and where the file ends before.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
    /// Writes all of it.
    ///
    /// # Errors
    /// The disk's; part may have been written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes it this long, with zeros, and takes the space now.
    ///
    /// # Errors
    /// The disk's: [`io::ErrorKind::StorageFull`] where there is no space.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Cuts it.
    ///
    /// # Errors
    /// The disk's.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Makes its bytes and length durable.
    ///
    /// # Errors
    /// The disk's. After one nothing is known of what was written: never try again.
    fn sync(&self) -> io::Result<()>;
}

/// A place in the log's work where a crash is worth trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    GroupWritten,
    GroupSynced,
    GroupVisible,
    SegmentAllocated,
    CheckpointSynced,
    SegmentTrimmed,
    SegmentNamed,
    NamesSynced,
    SegmentRemoved,
    RemovalSynced,
    TailCut,
    ReserveNamed,
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 12] = [
        Step::GroupWritten,
        Step::GroupSynced,
        Step::GroupVisible,
        Step::SegmentAllocated,
        Step::CheckpointSynced,
        Step::SegmentTrimmed,
        Step::SegmentNamed,
        Step::NamesSynced,
        Step::SegmentRemoved,
        Step::RemovalSynced,
        Step::TailCut,
        Step::ReserveNamed,
    ];

    /// Its name, for settings of crash tests.
    pub fn name(self) -> &'static str {
        match self {
            Step::GroupWritten => "journal.group-written",
            Step::GroupSynced => "journal.group-synced",
            Step::GroupVisible => "journal.group-visible",
            Step::SegmentAllocated => "journal.segment-allocated",
            Step::CheckpointSynced => "journal.checkpoint-synced",
            Step::SegmentTrimmed => "journal.segment-trimmed",
            Step::SegmentNamed => "journal.segment-named",
            Step::NamesSynced => "journal.names-synced",
            Step::SegmentRemoved => "journal.segment-removed",
            Step::RemovalSynced => "journal.removal-synced",
            Step::TailCut => "journal.tail-cut",
            Step::ReserveNamed => "journal.reserve-named",
        }
    }
}

/// Who is told of each step; nobody, outside crash tests.
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Steps {
    /// Tells this function, on the thread that takes the step.
    pub fn told(to: impl Fn(Step) + Send + Sync + 'static) -> Steps {
        Steps(Some(Arc::new(to)))
    }

    pub(super) fn reach(&self, step: Step) {
        if let Some(told) = &self.0 {
            told(step);
        }
    }
}
