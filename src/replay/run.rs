//! The replay itself: each record in its turn into the folds, what comes out into the files. I/O.
//!
//! One thread folds, in the merged order, so neither threads nor batches can be seen in the result. Deliberately
//! without a clock in anything that is written.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::catalog::Catalog;
use crate::event::outcome::DeadLetter;
use crate::event::{FlawKind, Input, LINE_BYTES_MAX, Outcome, Time, write_json};
use crate::fold::{Batch, Decide, Ingest};

use super::error::ReplayError;
use super::examine::Content;
use super::keys::Key;
use super::merge::Turn;
use super::outputs::{Outputs, spare, write_whole};
use super::progress::{Progress, Timings};
use super::session::{Request, Session};
use super::summary::Summary;

/// So many records of an input are looked at before it is called no log of its pipeline.
const JUDGED_RECORDS: u64 = 1_000;
/// How often, in records, progress is offered: often enough for a smooth bar at any speed, seldom enough to cost
/// nothing.
const PROGRESS_EVERY: u64 = 256;

/// Where the results go.
#[derive(Clone, Debug)]
pub struct Destination {
    pub folder: PathBuf,
    /// Whether other files in it are put up with.
    pub force: bool,
    pub timings: Option<PathBuf>,
    /// How many records are folded at a time; it cannot be seen in the result.
    pub batch: usize,
    /// Whether somebody watches stderr.
    pub terminal: bool,
}

/// Judges the inputs and writes the results.
///
/// # Errors
/// [`ReplayError`]; then no result is left.
pub fn replay(
    request: &Request,
    destination: &Destination,
    catalog: &Arc<Catalog>,
    stop: &Arc<AtomicBool>,
) -> Result<(Summary, Timings), ReplayError> {
    let paths: Vec<&str> = request.inputs.iter().map(|input| input.path.as_str()).collect();
    spare(&paths, &destination.folder, destination.timings.as_deref())?;
    let session = Session::open(request, catalog, stop)?;
    let outputs = Outputs::create(&destination.folder, destination.force, request.documents)?;
    let progress = Progress::start(destination.terminal, session.taken.clone(), session.total);
    session.remarks.iter().for_each(|remark| progress.say(remark));
    let mut judge = Judge::new(catalog, &session, outputs, progress, destination.batch);
    session.each(|turn| judge.take(turn))?;
    judge.finish(destination)
}

/// The folds and everything that is counted beside them.
struct Judge {
    catalog: Arc<Catalog>,
    inputs: Vec<InputState>,
    ingest: Ingest,
    decide: Decide,
    batch: Batch,
    batch_records_max: u64,
    outcomes: Vec<Outcome>,
    outputs: Outputs,
    progress: Progress,
    records: u64,
    first_at: Option<Time>,
    last_at: Option<Time>,
    line: Vec<u8>,
}

/// What is counted of one input besides what the fold counts.
struct InputState {
    input: Input,
    path: String,
    records: u64,
    bytes: u64,
    /// Events whose only flaws come from their place in the order.
    flawed_by_arrival: u64,
    cut: u64,
    /// Offset and length of the first line that was cut.
    first_cut: Option<(u64, u64)>,
    jumps: u64,
    first_jump: Option<u64>,
}

impl Judge {
    fn new(catalog: &Arc<Catalog>, session: &Session, outputs: Outputs, progress: Progress, batch: usize) -> Judge {
        let topics = session.inputs.iter().map(|(input, _)| input.clone()).collect();
        let states = session.inputs.iter().zip(&session.paths);
        let inputs = states.map(|((input, _), path)| InputState::new(input.clone(), path.clone())).collect();
        Judge {
            catalog: Arc::clone(catalog),
            inputs,
            ingest: Ingest::new(Arc::clone(catalog), session.inputs.clone()),
            decide: Decide::new(Arc::clone(catalog), topics, seed()),
            batch: Batch::default(),
            batch_records_max: batch.max(1) as u64,
            outcomes: Vec::new(),
            outputs,
            progress,
            records: 0,
            first_at: None,
            last_at: None,
            line: Vec::new(),
        }
    }

    /// One record whose turn it is.
    fn take(&mut self, turn: Turn<'_, Content>) -> Result<(), ReplayError> {
        let Turn { input, content, index, key } = turn;
        self.inputs[input].count(content, index, key.jumped);
        for sighting in content.starts[index]..content.starts[index + 1] {
            self.place(input, content, sighting, key)?;
        }
        self.poisoned(input, content, index, key.at)?;
        self.first_at.get_or_insert(key.at);
        self.last_at = Some(key.at);
        self.records += 1;
        if self.inputs[input].records == JUDGED_RECORDS {
            self.doubt(input);
        }
        if self.records.is_multiple_of(PROGRESS_EVERY) {
            self.progress.show(self.records);
        }
        if self.records.is_multiple_of(self.batch_records_max) { self.fold() } else { Ok(()) }
    }
}

impl Judge {
    /// A record on which our own code gave up leaves as a dead letter.
    fn poisoned(&mut self, input: usize, content: &Content, index: usize, at: Time) -> Result<(), ReplayError> {
        let Some(poison) = content.poison.iter().find(|poison| poison.index == index) else { return Ok(()) };
        let Input { topic, partition } = &self.inputs[input].input;
        let letter: DeadLetter = poison.letter(topic, *partition, at);
        self.outputs.outcome(&Outcome::DeadLetter(letter))
    }

    /// One event into the fold, and out as a document where those are wanted, with the flaws that only its place in the
    /// order tells.
    fn place(&mut self, input: usize, content: &Content, sighting: usize, key: Key) -> Result<(), ReplayError> {
        let before = self.ingest.state(input).counters;
        self.ingest.place(input, (&content.sightings, sighting), key.at, &mut self.batch);
        let after = self.ingest.state(input).counters;
        let flaws = [
            key.jumped.then_some(FlawKind::TimeJump),
            (after.future > before.future).then_some(FlawKind::FutureTime),
            (after.late > before.late).then_some(FlawKind::Late),
        ];
        let first_flaw = !content.sightings.items[sighting].flawed && flaws.iter().any(Option::is_some);
        self.inputs[input].flawed_by_arrival += u64::from(first_flaw);
        let Some(document) = content.documents.get(sighting) else { return Ok(()) };
        let flaws: Vec<FlawKind> = flaws.into_iter().flatten().collect();
        self.line.clear();
        document.write(Some(key.at), &flaws, &mut self.line);
        self.outputs.event(&mut self.line)
    }

    /// Folds what was placed, and writes what comes out.
    fn fold(&mut self) -> Result<(), ReplayError> {
        self.decide.fold(&mut self.batch, &mut self.outcomes);
        self.outcomes.drain(..).try_for_each(|outcome| self.outputs.outcome(&outcome))
    }

    /// Says so where next to nothing of an input is understood.
    fn doubt(&mut self, input: usize) {
        let counters = self.ingest.state(input).counters;
        if counters.events > 0 && counters.undecodable * 100 > counters.events * 99 {
            let Input { topic, .. } = &self.inputs[input].input;
            let path = &self.inputs[input].path;
            self.progress.say(&format!(
                "{path}: the pipeline `{topic}` understands next to none of its lines; it is read to its end all the same\n  \
                 = `sekisho decode --pipeline {topic}` shows what it makes of a line, `sekisho pipelines list` the others"
            ));
        }
    }

    /// The end of the input: open tallies count, nothing expires by it.
    fn finish(mut self, destination: &Destination) -> Result<(Summary, Timings), ReplayError> {
        self.fold()?;
        self.decide.finish(&mut self.outcomes);
        self.outcomes.drain(..).try_for_each(|outcome| self.outputs.outcome(&outcome))?;
        (0..self.inputs.len())
            .filter(|input| self.inputs[*input].records < JUDGED_RECORDS)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|input| self.doubt(input));
        let summary = self.summary();
        let Judge { inputs, outputs, progress, .. } = self;
        inputs.iter().flat_map(InputState::remarks).for_each(|remark| progress.say(&remark));
        let timings = progress.finish(summary.events());
        if let Some(path) = &destination.timings {
            let mut line = Vec::new();
            write_json(&timings, &mut line)
                .map_err(|error| ReplayError::environment("timings", error.to_string(), ""))?;
            line.push(b'\n');
            write_whole(path, &line)?;
        }
        outputs.finish(&summary)?;
        Ok((summary, timings))
    }

    fn summary(&self) -> Summary {
        let mut summary = self.outputs.summary();
        summary.catalog = self.catalog.hash.to_string();
        summary.evicted = self.decide.window_counters().evicted + self.decide.counters().tallies_dropped;
        (summary.first_at, summary.last_at) = (self.first_at, self.last_at);
        for (index, state) in self.inputs.iter().enumerate() {
            let counters = self.ingest.state(index).counters;
            let pipeline = summary.pipelines.entry(state.input.topic.clone()).or_default();
            pipeline.records += state.records;
            pipeline.events += counters.events;
            pipeline.bytes += state.bytes;
            pipeline.flawed += counters.flawed + state.flawed_by_arrival;
            pipeline.undecodable += counters.undecodable;
            pipeline.late += counters.late;
        }
        summary
    }
}

impl InputState {
    fn new(input: Input, path: String) -> InputState {
        InputState {
            input,
            path,
            records: 0,
            bytes: 0,
            flawed_by_arrival: 0,
            cut: 0,
            first_cut: None,
            jumps: 0,
            first_jump: None,
        }
    }

    fn count(&mut self, content: &Content, index: usize, jumped: bool) {
        self.records += 1;
        if jumped {
            self.jumps += 1;
            self.first_jump.get_or_insert(content.first + index as u64);
        }
        if index == 0 {
            self.bytes += content.input_bytes;
            self.cut += content.cut.len() as u64;
            self.first_cut = self.first_cut.or(content.cut.first().copied());
        }
    }

    /// What the user should know of it.
    fn remarks(&self) -> Vec<String> {
        let InputState { path, cut, jumps, .. } = self;
        let mut remarks = Vec::new();
        if self.records == 0 {
            remarks.push(format!("{path}: is empty"));
        }
        if let Some((offset, length)) = self.first_cut {
            remarks.push(format!(
                "{path}: {cut} lines longer than {LINE_BYTES_MAX} bytes were cut there; the first is offset {offset} with \
                 {length} bytes"
            ));
        }
        if let Some(offset) = self.first_jump {
            remarks.push(format!(
                "{path}: {jumps} lines claim a time more than an hour ahead of the log that no next line confirms; the \
                 first is offset {offset}"
            ));
        }
        remarks
    }
}

/// Keys of windows come from attackers; a seed nobody knows keeps them from colliding. It cannot be seen in any result.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}
