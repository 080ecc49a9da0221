//! Readers and workers: chunks of every input, examined on several cores, given out in the order of each input. I/O.
//!
//! Each input has a reader, which hands a chunk to whichever worker is free and a ticket for the result to the queue of
//! its input; both queues are bounded, so memory does not grow with the input, and a worker never waits for anybody.
//! With one thread everything happens on the caller's. Deliberately without knowledge of what examining means.

#![expect(clippy::disallowed_methods, reason = "threads of a replay start here")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::error::ReplayError;
use super::lines::{CHUNK_BYTES_MAX, Chunk, Lines};
use super::source::{Source, broken};

/// More files than this at a time are refused: each has a thread, a decompressor and chunks of its own.
pub const INPUTS_MAX: usize = 256;
/// The chunks of all inputs together stay below this, examined or not, besides what examining adds.
const CHUNKS_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Below this a chunk is not worth its hand-over.
const CHUNK_BYTES_MIN: usize = 32 * 1024;
/// How often a wait looks whether somebody wants to stop.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// What examines a chunk of the given input.
pub type Examine<T> = Box<dyn FnMut(usize, &Chunk) -> T + Send>;

/// Examined chunks of all inputs.
pub struct Supply<T> {
    feeds: Feeds<T>,
    stop: Arc<AtomicBool>,
}

enum Feeds<T> {
    /// Everything on the caller's thread.
    Here { inputs: Vec<(String, Lines<Source>)>, examine: Examine<T>, spare: Chunk },
    /// One queue per input; the caller's thread lends a hand instead of waiting for a chunk that is not examined yet.
    Queued { queues: Vec<Receiver<Ticket<T>>>, work: Receiver<Job<T>>, examine: Examine<T> },
}

/// Where the result of a chunk will be, or why there is no more.
type Ticket<T> = Result<Receiver<T>, ReplayError>;

/// A chunk for whichever worker is free.
struct Job<T> {
    input: usize,
    chunk: Chunk,
    reply: Sender<T>,
    /// Where the chunk goes afterwards, so that its memory is used again while it is warm.
    spares: Sender<Chunk>,
}

impl<T: Send + 'static> Supply<T> {
    /// Starts reading. `examiner` is called once per worker.
    pub fn start(
        sources: Vec<Source>,
        threads: usize,
        stop: Arc<AtomicBool>,
        mut examiner: impl FnMut() -> Examine<T>,
    ) -> Supply<T> {
        let ahead = (threads + 2).min(64 / sources.len().max(1)).max(2);
        let chunk_bytes_max =
            (CHUNKS_BYTES_MAX / (sources.len().max(1) * ahead)).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let inputs: Vec<(String, Lines<Source>)> =
            sources.into_iter().map(|source| (source.path.clone(), Lines::new(source, chunk_bytes_max))).collect();
        if threads <= 1 {
            return Supply { feeds: Feeds::Here { inputs, examine: examiner(), spare: Chunk::default() }, stop };
        }
        let (jobs, work) = bounded(threads);
        let queues = inputs.into_iter().enumerate().map(|(input, lines)| read(input, lines, ahead, jobs.clone()));
        let queues = queues.collect();
        for _ in 1..threads {
            let (work, mut examine) = (work.clone(), examiner());
            std::thread::spawn(move || work.into_iter().for_each(|job| serve(job, &mut examine)));
        }
        Supply { feeds: Feeds::Queued { queues, work, examine: examiner() }, stop }
    }

    /// The next chunk of an input, examined; `None` at its end.
    ///
    /// # Errors
    /// What went wrong with reading; [`ReplayError::Interrupted`] once somebody asked to stop.
    pub fn next(&mut self, input: usize) -> Result<Option<T>, ReplayError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(ReplayError::Interrupted);
        }
        match &mut self.feeds {
            Feeds::Here { inputs, examine, spare } => {
                let (path, lines) = &mut inputs[input];
                let chunk = lines.next_chunk_in(std::mem::take(spare)).map_err(|error| broken(path, &error))?;
                let Some(chunk) = chunk else { return Ok(None) };
                let result = examine(input, &chunk);
                *spare = chunk;
                Ok(Some(result))
            }
            Feeds::Queued { queues, work, examine } => {
                let Some(ticket) = wait(&queues[input], &self.stop)? else { return Ok(None) };
                let result = help_until(&ticket?, (work, examine), &self.stop)?;
                result.map(Some).ok_or_else(worker_gone)
            }
        }
    }
}

/// Examines other chunks until the wanted one is; `None` where its worker is gone.
fn help_until<T>(
    wanted: &Receiver<T>,
    (work, examine): (&Receiver<Job<T>>, &mut Examine<T>),
    stop: &AtomicBool,
) -> Result<Option<T>, ReplayError> {
    loop {
        if let Ok(result) = wanted.try_recv() {
            return Ok(Some(result));
        }
        match work.try_recv() {
            Ok(job) => serve(job, examine),
            Err(_) => return wait(wanted, stop),
        }
    }
}

fn worker_gone() -> ReplayError {
    ReplayError::environment("replay", "a worker stopped in the middle of its work", "report this with its message")
}

/// Waits for one message; `None` where the sender is gone.
pub(super) fn wait<M>(queue: &Receiver<M>, stop: &AtomicBool) -> Result<Option<M>, ReplayError> {
    loop {
        match queue.recv_timeout(STOP_CHECK) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Err(ReplayError::Interrupted),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Starts the reader of one input. It ends with its input, or once nobody wants its chunks any more.
fn read<T: Send + 'static>(
    input: usize,
    (path, mut lines): (String, Lines<Source>),
    ahead: usize,
    jobs: Sender<Job<T>>,
) -> Receiver<Ticket<T>> {
    let (tickets, queue) = bounded(ahead);
    let (spares, spare) = bounded(ahead);
    std::thread::spawn(move || {
        loop {
            match lines.next_chunk_in(spare.try_recv().unwrap_or_default()) {
                Ok(None) => return,
                Ok(Some(chunk)) => {
                    let (reply, result) = bounded(1);
                    let job = Job { input, chunk, reply, spares: spares.clone() };
                    if tickets.send(Ok(result)).is_err() || jobs.send(job).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    // Nobody left to tell means nobody left to care.
                    let _ = tickets.send(Err(broken(&path, &error)));
                    return;
                }
            }
        }
    });
    queue
}

fn serve<T>(job: Job<T>, examine: &mut Examine<T>) {
    let result = examine(job.input, &job.chunk);
    // The caller may have stopped: then the result is of no use to anybody. Nor is a spare chunk to a reader that ended
    // or has enough of them.
    let _ = job.reply.send(result);
    let _ = job.spares.try_send(job.chunk);
}

#[cfg(test)]
mod tests {
    use super::super::source::open;
    use super::*;

    fn sources(folder: &std::path::Path, counts: &[usize]) -> Vec<Source> {
        let write = |(input, count): (usize, &usize)| {
            let path = folder.join(input.to_string()).display().to_string();
            let text: String = (0..*count).map(|n| format!("{input} {n}\n")).collect();
            std::fs::write(&path, text).unwrap();
            open(&path).unwrap()
        };
        counts.iter().enumerate().map(write).collect()
    }

    fn offsets(threads: usize, counts: &[usize]) -> Vec<Vec<u64>> {
        let folder = tempfile::tempdir().unwrap();
        let examiner = || -> Examine<Vec<u64>> {
            Box::new(|input, chunk| {
                let expected = |offset: u64| format!("{input} {offset}").into_bytes();
                chunk.lines().inspect(|(offset, line)| assert_eq!(*line, expected(*offset))).map(|(o, _)| o).collect()
            })
        };
        let mut supply = Supply::start(sources(folder.path(), counts), threads, Arc::default(), examiner);
        let mut all = |input| std::iter::from_fn(|| supply.next(input).unwrap()).flatten().collect();
        (0..counts.len()).map(&mut all).collect()
    }

    #[test]
    fn each_input_comes_in_order_whatever_the_threads() {
        let counts = [20_000, 0, 9_000];
        for threads in 1..4 {
            let found = offsets(threads, &counts);
            assert!(found.iter().zip(counts).all(|(found, count)| found.iter().copied().eq(0..count as u64)));
        }
    }

    #[test]
    fn a_stop_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(true));
        let mut supply: Supply<()> = Supply::start(sources(folder.path(), &[10]), 2, stop, || Box::new(|_, _| ()));
        assert_eq!(supply.next(0).unwrap_err().status(), 130);
    }
}
