//! Splits on disk: one Tantivy index each, numbered in the order of the journal. I/O.
//!
//! ```text
//! index/lock                 one writing process
//! index/split-00000001/      sealed: takes no more documents
//! index/split-00000002/      takes documents now
//! ```
//!
//! A split appears, goes and is exchanged by a rename, so a crash leaves a whole one or none. What it leaves besides,
//! the next writer clears away: `*.new` was never whole, `*.dropped` was on its way out, and `*.old` was about to be
//! exchanged and comes back where nothing took its place. Deliberately without documents: writer and searches bring those.
#![expect(clippy::disallowed_methods, reason = "splits are folders")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tantivy::directory::{Directory, MmapDirectory};
use tantivy::index::{Index, IndexMeta, IndexSettings};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{IndexWriter, TantivyDocument};

use super::document::Document;
use super::error::IndexError;
use super::payload::Payload;
use super::schema::Columns;

/// Bytes of stored lines in one compressed block: with zstd level 1 half the size of lz4's 16 KiB (limits sheet §5).
const STORE_BLOCK_BYTES: usize = 64 * 1024;
/// Segments merged at once. Eight small ones are cheaper to merge than to open in every search.
const MERGE_SEGMENTS: usize = 8;
/// A segment with more documents is not merged any more: under load a commit makes larger ones, so merging costs
/// nothing then.
const MERGE_DOCUMENTS_MAX: usize = 50_000;
/// Segments below this count as equally small.
const MERGE_LAYER_DOCUMENTS: u32 = 2_000;
/// Threads that merge: one, since a merge may not take the machine from detection.
const MERGE_THREADS: usize = 1;
/// The lock's file.
const LOCK_FILE: &str = "lock";
/// Names of splits on their way in, out, and of those that are being exchanged.
const NEW_SUFFIX: &str = ".new";
const DROPPED_SUFFIX: &str = ".dropped";
const OLD_SUFFIX: &str = ".old";

/// How the files of a split are reached: the disk, or a test's faults before it.
pub(super) type OpenDirectory = fn(&Path) -> Result<Box<dyn Directory>, IndexError>;

/// One split's number and folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SplitPath {
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

/// The disk as it is.
pub(super) fn on_disk(path: &Path) -> Result<Box<dyn Directory>, IndexError> {
    let directory =
        MmapDirectory::open(path).map_err(|source| IndexError::tantivy("open the index", path, source.into()))?;
    Ok(Box::new(directory))
}

/// Takes the lock that lets one process write the index. The kernel frees it when the process ends, however it ends.
pub(super) fn lock(directory: &Path) -> Result<File, IndexError> {
    fs::create_dir_all(directory).map_err(|source| IndexError::io("create", directory, source))?;
    let path = directory.join(LOCK_FILE);
    let options = File::options().create(true).truncate(false).write(true).open(&path);
    let file = options.map_err(|source| IndexError::io("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(IndexError::Locked(directory.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(IndexError::io("lock", &path, source)),
    }
}

/// Every split, in order; none where there is no index.
pub(super) fn list(directory: &Path) -> Result<Vec<SplitPath>, IndexError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(IndexError::io("read", directory, source)),
    };
    let mut splits = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| IndexError::io("read", directory, source))?;
        if let Some(number) = entry.file_name().to_str().and_then(number_of) {
            splits.push(SplitPath { number, path: entry.path() });
        }
    }
    splits.sort_by_key(|split| split.number);
    Ok(splits)
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("split-")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Clears away what a crash left.
pub(super) fn clear_leftovers(directory: &Path) -> Result<(), IndexError> {
    let entries = fs::read_dir(directory).map_err(|source| IndexError::io("read", directory, source))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((stem, suffix)) = name.split_at_checked("split-00000000".len()) else { continue };
        let split = directory.join(stem);
        if number_of(stem).is_none() || ![NEW_SUFFIX, DROPPED_SUFFIX, OLD_SUFFIX].contains(&suffix) {
            continue;
        }
        if suffix == OLD_SUFFIX && !split.exists() {
            fs::rename(&path, &split).map_err(|source| IndexError::io("rename", &path, source))?;
        } else {
            fs::remove_dir_all(&path).map_err(|source| IndexError::io("remove", &path, source))?;
        }
    }
    Ok(())
}

/// Makes split `number`, empty, with its first payload. It is there whole or not at all.
pub(super) fn create(
    directory: &Path,
    number: u64,
    columns: &Columns,
    payload: &Payload,
) -> Result<SplitPath, IndexError> {
    let path = directory.join(format!("split-{number:08}"));
    let new = create_beside(&path, columns, payload)?;
    fs::rename(&new, &path).map_err(|source| IndexError::io("rename", &new, source))?;
    sync_folder(directory)?;
    Ok(SplitPath { number, path })
}

/// Makes an empty split beside the place of `path`, to be put there later.
pub(super) fn create_beside(path: &Path, columns: &Columns, payload: &Payload) -> Result<PathBuf, IndexError> {
    let new = with_suffix(path, NEW_SUFFIX);
    if new.exists() {
        fs::remove_dir_all(&new).map_err(|source| IndexError::io("remove", &new, source))?;
    }
    fs::create_dir_all(&new).map_err(|source| IndexError::io("create", &new, source))?;
    write_first_payload(&new, columns, payload)
        .map_err(|source| IndexError::tantivy("create an index", &new, source))?;
    Ok(new)
}

/// Puts the split beside `split` in its place. A crash leaves the old one or the new one.
pub(super) fn exchange(split: &SplitPath) -> Result<(), IndexError> {
    let (new, old) = (with_suffix(&split.path, NEW_SUFFIX), with_suffix(&split.path, OLD_SUFFIX));
    fs::rename(&split.path, &old).map_err(|source| IndexError::io("rename", &split.path, source))?;
    fs::rename(&new, &split.path).map_err(|source| IndexError::io("rename", &new, source))?;
    sync_folder(split.path.parent().unwrap_or(&split.path))?;
    fs::remove_dir_all(&old).map_err(|source| IndexError::io("remove", &old, source))
}

fn write_first_payload(path: &Path, columns: &Columns, payload: &Payload) -> tantivy::Result<()> {
    let index = Index::create(MmapDirectory::open(path)?, columns.schema().clone(), settings())?;
    let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, MEMORY_BYTES_MIN)?;
    let mut commit = writer.prepare_commit()?;
    commit.set_payload(&payload.write());
    commit.commit()?;
    Ok(index.directory().sync_directory()?)
}

/// The least memory Tantivy accepts for one thread (15 MB).
pub(super) const MEMORY_BYTES_MIN: usize = 15_000_000;

/// How a split's files are written, for a bare loop beside ours.
pub fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor { compression_level: Some(1) }),
        docstore_blocksize: STORE_BLOCK_BYTES,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// Opens a split with our tokenizers, and reads its payload.
pub(super) fn open(
    path: &Path,
    columns: &Columns,
    open: OpenDirectory,
) -> Result<(Index, IndexMeta, Payload), IndexError> {
    let fault = |source| IndexError::tantivy("open the index", path, source);
    let mut index = Index::open(open(path)?).map_err(fault)?;
    index.set_tokenizers(columns.tokenizers());
    index.set_fast_field_tokenizers(columns.tokenizers());
    let meta = index.load_metas().map_err(fault)?;
    let Some(text) = &meta.payload else { return Err(IndexError::NoPayload(path.to_owned())) };
    let incompatible = |detail| IndexError::Incompatible { path: path.to_owned(), detail };
    let payload = Payload::read(text).map_err(incompatible)?;
    if payload.schema != columns.hash() {
        return Err(incompatible("its columns are those of another version".to_owned()));
    }
    Ok((index, meta, payload))
}

/// The one writer of a split.
pub(super) fn writer(
    index: &Index,
    path: &Path,
    threads: usize,
    memory_bytes: usize,
) -> Result<IndexWriter<Document>, IndexError> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(threads)
        .memory_budget_per_thread(memory_bytes)
        .num_merge_threads(MERGE_THREADS)
        .build();
    let writer = index
        .writer_with_options(options)
        .map_err(|source| IndexError::tantivy("open the index for writing", path, source))?;
    writer.set_merge_policy(Box::new(merge_policy()));
    Ok(writer)
}

fn merge_policy() -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(MERGE_SEGMENTS);
    policy.set_max_docs_before_merge(MERGE_DOCUMENTS_MAX);
    policy.set_min_layer_size(MERGE_LAYER_DOCUMENTS);
    policy
}

/// Takes a split away. Searches that have it open finish on what they have.
pub(super) fn remove(split: &SplitPath) -> Result<(), IndexError> {
    let dropped = with_suffix(&split.path, DROPPED_SUFFIX);
    fs::rename(&split.path, &dropped).map_err(|source| IndexError::io("rename", &split.path, source))?;
    fs::remove_dir_all(&dropped).map_err(|source| IndexError::io("remove", &dropped, source))
}

/// Bytes of all files of a split.
pub(super) fn bytes(path: &Path) -> u64 {
    // A file that a merge removes meanwhile counts as nothing.
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Makes names in a folder survive a power cut.
pub(super) fn sync_folder(path: &Path) -> Result<(), IndexError> {
    let folder = File::open(path).map_err(|source| IndexError::io("open", path, source))?;
    folder.sync_all().map_err(|source| IndexError::io("write through", path, source))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
