//! Every order of what happens to a log and to the node, against what must be in the journal. I/O.
//!
//! The model knows which lines were written, not how they are followed: each whole line must be in the journal exactly
//! once, whatever happened; those that somebody destroyed before they were taken at most once, and nothing else at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::files::Rig;
use super::journal::Fault;

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u8),
    /// Half a line; its end comes with the next append.
    Half,
    /// The log is renamed and a new one made; the writer notices at once, or goes on in the old one until [`Step::Reopen`].
    Rename {
        reopen: bool,
    },
    Reopen,
    CopyTruncate,
    Truncate,
    Delete,
    /// The oldest generation that is not compressed is.
    Compress,
    Turn(u16),
    /// So long that rotated files are finished.
    Wait,
    /// The journal takes nothing for a turn.
    Full,
    /// The process dies, before or after its commit, and comes again.
    Crash {
        before: bool,
    },
    /// It dies and stays away until [`Step::Up`].
    Down,
    Up,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{
        Append, Compress, CopyTruncate, Crash, Delete, Down, Full, Half, Rename, Reopen, Truncate, Turn, Up, Wait,
    };
    prop_oneof![
        6 => (1u8..5).prop_map(Append),
        2 => Just(Half),
        2 => any::<bool>().prop_map(|reopen| Rename { reopen }),
        1 => Just(Reopen),
        2 => Just(CopyTruncate),
        1 => Just(Truncate),
        1 => Just(Delete),
        2 => Just(Compress),
        8 => (1u16..400).prop_map(Turn),
        1 => Just(Wait),
        1 => Just(Full),
        2 => any::<bool>().prop_map(|before| Crash { before }),
        1 => Just(Down),
        2 => Just(Up),
    ]
}

/// What was written into one file, as far as it lies there whole.
#[derive(Clone, Debug, Default)]
struct Content {
    lines: Vec<String>,
    /// The half line at its end.
    half: String,
}

struct Model {
    rig: Rig,
    writer: File,
    /// What the file of the writer holds.
    written: Content,
    /// Whether the writer's file is the one under the log's name.
    in_place: bool,
    /// What the file under the log's name holds, where that is not the writer's.
    other: Content,
    /// Lines that must be in the journal once.
    must: BTreeSet<String>,
    /// What may be there once: lines and halves that somebody destroyed or tore apart.
    may: BTreeSet<String>,
    /// The end of a half line that was begun.
    pending: Option<String>,
    number: u32,
    narrow: bool,
    /// What rotated away since everything was taken: a pattern of one name finds one generation again, not two.
    rotated: bool,
}

impl Model {
    fn new(narrow: bool) -> Model {
        let mut rig = Rig::new(if narrow { "a.log" } else { "a.log*" }, false);
        let writer = rig.open("a.log");
        rig.start();
        Model {
            rig,
            writer,
            written: Content::default(),
            in_place: true,
            other: Content::default(),
            must: BTreeSet::new(),
            may: BTreeSet::new(),
            pending: None,
            number: 0,
            narrow,
            rotated: false,
        }
    }

    fn write(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        for part in text.split_inclusive('\n') {
            self.written.half.push_str(part);
            if let Some(line) = self.written.half.strip_suffix('\n') {
                self.must.insert(line.to_owned());
                self.written.lines.push(line.to_owned());
                self.written.half.clear();
            }
        }
    }

    fn append(&mut self, lines: u8) {
        if let Some(end) = self.pending.take() {
            self.write(&end);
        }
        for _ in 0..lines {
            self.number += 1;
            self.write(&format!("line {:06} of this log\n", self.number));
        }
    }

    fn half(&mut self) {
        if self.pending.is_none() {
            self.number += 1;
            self.write(&format!("begin {:06} ", self.number));
            self.pending = Some(format!("end {:06}\n", self.number));
        }
    }

    fn taken(&self) -> BTreeSet<String> {
        self.rig.texts().into_iter().collect()
    }

    /// Lines of this content that are not in the journal are lost, or not, and its half line is a line or not.
    fn destroy(&mut self, content: &Content) {
        let taken = self.taken();
        for line in content.lines.iter().filter(|line| !taken.contains(*line)) {
            self.must.remove(line);
            self.may.insert(line.clone());
        }
        self.tear(content);
    }

    fn tear(&mut self, content: &Content) {
        if !content.half.is_empty() {
            self.may.insert(content.half.clone());
        }
    }

    /// What lies under the log's name.
    fn current(&self) -> &Content {
        if self.in_place { &self.written } else { &self.other }
    }

    /// A pattern of one name can follow a rotation only where it has seen the file, and one rotation at a time.
    fn can_rotate(&mut self) -> bool {
        if !self.narrow {
            return true;
        }
        let taken = self.taken();
        if self.must.iter().all(|line| taken.contains(line)) && self.rig.is_up() {
            self.rotated = false;
        }
        let seen = self.current().lines.iter().any(|line| taken.contains(line));
        !self.rotated && self.in_place && seen
    }

    fn shift(&mut self) {
        for generation in (1..20).rev() {
            for end in ["", ".gz"] {
                let from = self.rig.path(&format!("a.log.{generation}{end}"));
                if from.exists() {
                    fs::rename(from, self.rig.path(&format!("a.log.{}{end}", generation + 1))).unwrap();
                }
            }
        }
        self.rotated = true;
    }

    fn rename(&mut self, reopen: bool) {
        self.shift();
        self.rig.rename("a.log", "a.log.1");
        self.rig.append("a.log", "");
        self.other = Content::default();
        self.in_place = false;
        if reopen {
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        if !self.in_place {
            let old = std::mem::take(&mut self.written);
            self.tear(&old);
            self.written = std::mem::take(&mut self.other);
            self.writer = self.rig.open("a.log");
            self.in_place = true;
        }
    }

    fn copy_truncate(&mut self) {
        self.shift();
        fs::copy(self.rig.path("a.log"), self.rig.path("a.log.1")).unwrap();
        self.empty();
    }

    /// Empties the file under the log's name.
    fn empty(&mut self) {
        let content = if self.in_place { std::mem::take(&mut self.written) } else { std::mem::take(&mut self.other) };
        self.tear(&content);
        self.rig.open("a.log").set_len(0).unwrap();
    }

    fn delete(&mut self) {
        let content = self.current().clone();
        self.destroy(&content);
        if self.in_place {
            self.written = Content::default();
        }
        fs::remove_file(self.rig.path("a.log")).unwrap();
        self.writer = self.rig.open("a.log");
        if !self.in_place {
            let old = std::mem::take(&mut self.written);
            self.tear(&old);
        }
        (self.in_place, self.other) = (true, Content::default());
    }

    fn compress(&mut self) {
        let oldest = (1..20).rev().map(|n| format!("a.log.{n}")).find(|name| self.rig.path(name).exists());
        if let Some(name) = oldest {
            self.reopen();
            self.rig.compress(&name);
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Append(lines) => self.append(lines),
            Step::Half => self.half(),
            Step::Rename { reopen } => {
                if self.can_rotate() {
                    self.rename(reopen)
                }
            }
            Step::Reopen => self.reopen(),
            Step::CopyTruncate => {
                if self.can_rotate() {
                    self.copy_truncate()
                }
            }
            Step::Truncate => {
                let content = self.current().clone();
                self.destroy(&content);
                self.empty();
            }
            Step::Delete => self.delete(),
            Step::Compress => self.compress(),
            Step::Turn(milliseconds) => self.rig.turn(milliseconds.into()),
            Step::Wait => self.wait(),
            Step::Full => {
                self.rig.fail(Fault::Full);
                self.rig.turn(300);
                self.rig.fail(Fault::None);
            }
            Step::Crash { before } => {
                self.rig.fail(if before { Fault::Full } else { Fault::None });
                self.rig.turn(300);
                self.rig.fail(Fault::None);
                self.rig.crash();
                self.rig.start();
            }
            Step::Down => self.rig.crash(),
            Step::Up => {
                if !self.rig.is_up() {
                    self.rig.start()
                }
            }
        }
    }

    fn wait(&mut self) {
        if let Some(end) = self.pending.take() {
            self.write(&end);
        }
        self.reopen();
        self.rig.turns(2, 40_000);
    }

    fn finish(&mut self) {
        self.apply(Step::Up);
        self.append(1);
        self.rig.turns(8, 300);
        self.wait();
        self.rig.turns(8, 300);
    }

    fn faults(&self) -> Vec<String> {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        self.rig.texts().into_iter().for_each(|line| *times.entry(line).or_default() += 1);
        let missing = self.must.iter().filter(|line| !times.contains_key(*line)).map(|line| format!("lost: {line}"));
        let again = times.iter().filter(|(_, times)| **times > 1).map(|(line, times)| format!("{times} times: {line}"));
        let strange = times.keys().filter(|line| !self.must.contains(*line) && !self.may.contains(*line));
        missing.chain(again).chain(strange.map(|line| format!("never written: {line}"))).collect()
    }

    fn folder(&self) -> String {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut names: Vec<String> =
            fs::read_dir(self.rig.folder.path()).unwrap().map(|entry| name(&entry.unwrap().path())).collect();
        names.sort();
        names.join(" ")
    }
}

fn run(steps: &[Step], narrow: bool) -> Result<(), TestCaseError> {
    let mut model = Model::new(narrow);
    steps.iter().for_each(|step| model.apply(*step));
    model.finish();
    let faults = model.faults();
    prop_assert!(faults.is_empty(), "{faults:#?}\n{}\n{}", model.folder(), model.rig.warnings());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_once_where_the_pattern_covers_rotated_names(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps, false)?;
    }

    #[test]
    fn every_line_once_where_the_pattern_is_one_name(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps, true)?;
    }
}

/// More by `SEKISHO_CASES`, for the nightly run.
fn cases() -> u32 {
    std::env::var("SEKISHO_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400)
}
