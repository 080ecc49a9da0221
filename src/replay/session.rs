//! Files named on a command line → one merged stream of examined records. I/O.
//!
//! What `replay` and `blocks verify` share: names resolved, files opened, the reference year found, workers started,
//! order restored. Deliberately without a fold: whoever visits the records folds them.

#![expect(clippy::disallowed_methods, reason = "inputs are opened on a thread of their own, so that a stop is heard")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bumpalo::Bump;
use crossbeam_channel::{Sender, bounded};

use crate::catalog::{Catalog, PipelineIndex};
use crate::decode;
use crate::event::{Input, Time};

use super::error::ReplayError;
use super::examine::{Content, Worker};
use super::keys::Keys;
use super::merge::{Examined, Turn, merge};
use super::reference::newest_full_date;
use super::source::{Source, open, shown};
use super::supply::{INPUTS_MAX, Supply, wait};

/// So many examined chunks wait to be filled anew: what a few workers can use at a time. Without them the kernel clears
/// some 200 KiB of fresh memory for every thousand lines.
const SPARES_MAX: usize = 8;

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// In the order of the command line.
    pub inputs: Vec<InputRequest>,
    /// When the logs were written, about: for lines without a year.
    pub at: Option<Time>,
    pub threads: usize,
    /// Whether every event is rendered as a document.
    pub documents: bool,
}

/// One `--pipeline NAME=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequest {
    pub pipeline: String,
    /// A path, or `-` for stdin.
    pub path: String,
}

/// Inputs that are open and being examined.
pub struct Session {
    /// Topic and partition of each input.
    pub inputs: Vec<(Input, PipelineIndex)>,
    /// As given on the command line.
    pub paths: Vec<String>,
    /// How many bytes of each file have been read, and how many there are where that is known: for progress.
    pub taken: Vec<Arc<AtomicU64>>,
    pub total: Option<u64>,
    /// What the user should know before it starts.
    pub remarks: Vec<String>,
    references: Vec<Time>,
    supply: Supply<Examined<Content>>,
    /// Where chunks go whose records have had their turn.
    spent: Sender<Examined<Content>>,
}

impl Session {
    /// Opens all inputs and starts the workers.
    ///
    /// # Errors
    /// [`ReplayError`] where a pipeline is unknown, a file cannot be read, or lines need a year nobody knows.
    pub fn open(request: &Request, catalog: &Arc<Catalog>, stop: &Arc<AtomicBool>) -> Result<Session, ReplayError> {
        let inputs = resolve(&request.inputs, catalog)?;
        let sources = open_all(&request.inputs, stop)?;
        let mut remarks = Vec::new();
        let references = references(request, catalog, &inputs, &sources, &mut remarks)?;
        remarks.extend(sources.iter().filter_map(binary));
        remarks.extend(twice(&request.inputs));
        let taken = sources.iter().map(|source| Arc::clone(&source.taken)).collect();
        let total = sources.iter().map(|source| source.size).sum();
        let (spent, spares) = bounded(SPARES_MAX);
        let worker = || {
            let mut worker = Worker::new(catalog, &inputs, &references, request.documents, spares.clone());
            Box::new(move |input: usize, chunk: &super::lines::Chunk| worker.examine(input, chunk)) as _
        };
        let supply = Supply::start(sources, request.threads, Arc::clone(stop), worker);
        let paths = request.inputs.iter().map(|input| shown(&input.path)).collect();
        Ok(Session { inputs, paths, taken, total, remarks, references, supply, spent })
    }

    /// Hands out every record, in order.
    ///
    /// # Errors
    /// Those of reading and those of `visit`, at once.
    pub fn each(mut self, visit: impl FnMut(Turn<'_, Content>) -> Result<(), ReplayError>) -> Result<(), ReplayError> {
        let keys = self.references.iter().map(|reference| Keys::new(*reference)).collect();
        // Where enough of them wait, their memory is given back.
        let spent = |chunk| drop(self.spent.try_send(chunk));
        merge(keys, |input| self.supply.next(input), visit, spent)
    }
}

/// Which pipeline and which partition each input is.
fn resolve(requests: &[InputRequest], catalog: &Catalog) -> Result<Vec<(Input, PipelineIndex)>, ReplayError> {
    if requests.len() > INPUTS_MAX {
        let what = format!("{} inputs are more than the {INPUTS_MAX} that are read at a time", requests.len());
        return Err(ReplayError::usage(
            "--pipeline",
            what,
            "join files that follow one another: cat or zcat them into `-`",
        ));
    }
    if requests.iter().filter(|request| request.path == "-").count() > 1 {
        return Err(ReplayError::usage("--pipeline", "names stdin twice", "give `-` to one pipeline only"));
    }
    let mut partitions: BTreeMap<&str, u32> = BTreeMap::new();
    let mut inputs = Vec::new();
    for request in requests {
        let name = request.pipeline.as_str();
        let index = catalog.pipeline_named(name).ok_or_else(|| ReplayError::unknown_pipeline(name, catalog))?;
        let next = partitions.entry(name).or_default();
        inputs.push((Input { topic: name.to_owned(), partition: *next }, index));
        *next += 1;
    }
    Ok(inputs)
}

/// Opens the inputs and reads their heads. A pipe may be slow to give one, so the caller listens for a stop meanwhile.
fn open_all(requests: &[InputRequest], stop: &AtomicBool) -> Result<Vec<Source>, ReplayError> {
    let paths: Vec<String> = requests.iter().map(|request| request.path.clone()).collect();
    let (done, opened) = bounded(1);
    std::thread::spawn(move || {
        let sources: Result<Vec<Source>, ReplayError> = paths.iter().map(|path| open(path)).collect();
        // Whoever asked may have been stopped.
        let _ = done.send(sources);
    });
    let gone = || ReplayError::environment("replay", "a thread stopped in the middle of its work", "");
    wait(&opened, stop)?.ok_or_else(gone)?
}

/// For each input, around when its lines without a year were written.
fn references(
    request: &Request,
    catalog: &Catalog,
    inputs: &[(Input, PipelineIndex)],
    sources: &[Source],
    remarks: &mut Vec<String>,
) -> Result<Vec<Time>, ReplayError> {
    let pipelines = inputs.iter().map(|(_, pipeline)| catalog.pipeline(*pipeline));
    let newest = || sources.iter().zip(pipelines).filter_map(|(source, p)| newest_in(&source.head, &p.decoder)).max();
    if let Some(known) = request.at.or_else(newest) {
        return Ok(vec![known; sources.len()]);
    }
    let latest = sources.iter().filter_map(|source| source.modified).max();
    let of = |source: &Source| source.modified.or(latest).or_else(|| source.head.is_empty().then_some(Time(0)));
    let mut references = Vec::new();
    for source in sources {
        let Some(reference) = of(source) else { return Err(needs_at(&source.path)) };
        if !source.head.is_empty() {
            remarks.push(format!(
                "{}: no date with a year near the start of any input; years are taken from the file's time, {reference} \
                 (--at TIME says otherwise)",
                source.path
            ));
        }
        references.push(reference);
    }
    Ok(references)
}

fn needs_at(path: &str) -> ReplayError {
    let advice = "say about when they were written: --at 2026-11-23";
    ReplayError::usage(path, "holds no date with a year, and a pipe has no time of its own", advice)
}

fn newest_in(head: &[u8], decoder: &decode::Decoder) -> Option<Time> {
    let mut arena = Bump::new();
    newest_full_date(head, |line, at| {
        arena.reset();
        decode::items(line).filter_map(|item| decoder.decode(item, at, &arena).occurred_at).max()
    })
}

/// The same lines twice count twice, and bring windows to their thresholds that are not there.
fn twice(requests: &[InputRequest]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let again = requests.iter().find(|request| !seen.insert((&request.pipeline, &request.path)))?;
    Some(format!("{}: is given twice to `{}`; each of its lines counts twice", again.path, again.pipeline))
}

/// A log is text: whoever names a binary has probably named the wrong file.
fn binary(source: &Source) -> Option<String> {
    let zeros = memchr::memchr(0, &source.head).is_some();
    zeros.then(|| {
        format!("{}: holds zero bytes, as binary files and UTF-16 do; it is read as lines all the same", source.path)
    })
}
