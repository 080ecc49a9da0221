//! Lines with their times, run through both folds: what rule examples and scenarios are judged by. Pure.
//!
//! The journal's time of a line is its own, as if each line had arrived at once; inputs meet in the order of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bumpalo::Bump;

use crate::catalog::{Catalog, PipelineIndex};
use crate::detect::{Body, Example, Matcher, Rule, Scratch, Step};
use crate::event::{Civil, Input, MINUTE, Outcome, RuleIndex, Time};

use super::{Batch, Decide, Examiner, Ingest, RawRecord, Sightings};

/// When every rehearsal starts: a Monday noon, so that no grid of a timespan begins right there by accident.
pub const START: Time = Time(1_795_435_507_000);
/// Lines of one example at most: the longest of ours has 4,000.
pub const LINES_MAX: usize = 100_000;

/// One line of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub pipeline: PipelineIndex,
    pub time: Time,
    pub text: String,
}

/// The lines of an example's steps, in the order of time.
///
/// # Errors
/// A message where a pipeline is unknown or the example is too long.
pub fn lines_of(catalog: &Catalog, steps: &[Step]) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    let mut time = START;
    for step in steps {
        let unknown = || format!("unknown pipeline `{}`", step.pipeline);
        let pipeline = catalog.pipeline_named(&step.pipeline).ok_or_else(unknown)?;
        time = time.plus(step.wait);
        for number in 0..step.repeat {
            if lines.len() == LINES_MAX {
                return Err(format!("more than {LINES_MAX} lines"));
            }
            let at = time.plus(i64::from(number) * step.every);
            lines.push(Line { pipeline, time: at, text: render(&step.line, at, number) });
        }
        time = time.plus(i64::from(step.repeat.saturating_sub(1)) * step.every);
    }
    Ok(lines)
}

/// Runs lines through both folds; gives everything that leaves, to the end of the recording.
pub fn outcomes(catalog: &Arc<Catalog>, lines: &[Line]) -> Vec<Outcome> {
    let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
    for line in lines {
        let next = numbers.len();
        numbers.entry(line.pipeline.0).or_insert(next);
    }
    let mut named: Vec<(usize, usize)> = numbers.iter().map(|(pipeline, input)| (*input, *pipeline)).collect();
    named.sort_unstable();
    let input_of = |pipeline: usize| Input { topic: catalog.pipelines[pipeline].name.clone(), partition: 0 };
    let inputs: Vec<(Input, PipelineIndex)> =
        named.iter().map(|(_, pipeline)| (input_of(*pipeline), PipelineIndex(*pipeline))).collect();
    let mut run = Run::new(catalog, inputs);
    for line in lines {
        run.take(numbers[&line.pipeline.0], line);
    }
    run.finish()
}

/// Whether an example makes its rule fire: a finding for an alerting rule, a match for one that others count.
///
/// # Errors
/// A message where the example cannot be run.
pub fn fires(catalog: &Arc<Catalog>, index: RuleIndex, rule: &Rule, example: &Example) -> Result<bool, String> {
    let lines = lines_of(catalog, &example.steps)?;
    match &rule.body {
        Body::Detection(detection) if catalog.plans.of(index).is_none() => {
            let matcher = Matcher::build(&[(index, detection)]).map_err(|error| error.to_string())?;
            Ok(lines.iter().any(|line| is_matched(catalog, index, &matcher, line)))
        }
        Body::Detection(_) | Body::Correlation(_) => {
            let concluded = |outcome: &Outcome| match outcome {
                Outcome::Alert(alert) => alert.rule.id == rule.id,
                Outcome::Block(_) | Outcome::Lift(_) | Outcome::Incident(_) | Outcome::DeadLetter(_) => false,
            };
            Ok(outcomes(catalog, &lines).iter().any(concluded))
        }
    }
}

fn is_matched(catalog: &Catalog, index: RuleIndex, matcher: &Matcher, line: &Line) -> bool {
    let pipeline = catalog.pipeline(line.pipeline);
    let arena = Bump::new();
    let mut event = pipeline.decoder.decode(line.text.as_bytes(), line.time, &arena);
    pipeline.enricher.enrich(&mut event, &mut pipeline.enricher.cache());
    let mut matched = Vec::new();
    matcher.matches(&event, &mut Scratch::default(), &mut matched);
    pipeline.detections.contains(&index) && !matched.is_empty()
}

/// Both folds over a handful of inputs.
struct Run {
    examiners: Vec<Examiner>,
    ingest: Ingest,
    decide: Decide,
    offsets: Vec<u64>,
    sightings: Sightings,
    batch: Batch,
    out: Vec<Outcome>,
}

impl Run {
    fn new(catalog: &Arc<Catalog>, inputs: Vec<(Input, PipelineIndex)>) -> Run {
        let names = inputs.iter().map(|(input, _)| input.clone()).collect();
        Run {
            examiners: inputs.iter().map(|(_, p)| Examiner::new(Arc::clone(catalog), *p)).collect(),
            offsets: vec![0; inputs.len()],
            ingest: Ingest::new(Arc::clone(catalog), inputs),
            decide: Decide::new(Arc::clone(catalog), names, 0),
            sightings: Sightings::default(),
            batch: Batch::default(),
            out: Vec::new(),
        }
    }

    fn take(&mut self, input: usize, line: &Line) {
        self.sightings.clear();
        let record = RawRecord { offset: self.offsets[input], bytes: line.text.as_bytes(), spoofable: false };
        self.offsets[input] += 1;
        self.examiners[input].examine(record, line.time, &mut self.sightings);
        for index in 0..self.sightings.items.len() {
            self.ingest.place(input, (&self.sightings, index), line.time, &mut self.batch);
        }
        self.decide.fold(&mut self.batch, &mut self.out);
    }

    fn finish(mut self) -> Vec<Outcome> {
        self.decide.finish(&mut self.out);
        self.out
    }
}

/// Fills `{time}`, `{time:rfc3339}`, `{time:syslog}`, `{time:asctime}`, `{time:epoch}`, `{n}` and `{n:4}` in.
fn render(template: &str, time: Time, number: u32) -> String {
    let civil = time.to_civil();
    let mut text = template
        .replace("{time}", &common_log(civil))
        .replace("{time:rfc3339}", &time.to_string())
        .replace("{time:syslog}", &syslog(civil))
        .replace("{time:asctime}", &asctime(time))
        .replace("{time:epoch}", &time.second().to_string())
        .replace("{n}", &number.to_string());
    for width in 1..=9 {
        text = text.replace(&format!("{{n:{width}}}"), &format!("{number:0width$}"));
    }
    text
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

fn month(civil: Civil) -> &'static str {
    MONTHS[usize::from(civil.month) - 1]
}

fn clock(civil: Civil) -> String {
    format!("{:02}:{:02}:{:02}", civil.hour, civil.minute, civil.second)
}

fn common_log(civil: Civil) -> String {
    format!("{:02}/{}/{:04}:{} +0000", civil.day, month(civil), civil.year, clock(civil))
}

fn syslog(civil: Civil) -> String {
    format!("{} {:>2} {}", month(civil), civil.day, clock(civil))
}

fn asctime(time: Time) -> String {
    let civil = time.to_civil();
    let weekday = WEEKDAYS[time.0.div_euclid(24 * 60 * MINUTE).rem_euclid(7) as usize];
    format!("{weekday} {} {} {}", syslog(civil).split_at(6).0, clock(civil), civil.year)
}
