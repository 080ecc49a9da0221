//! Where a crash or a stall is worth trying, and a way to have one there: for tests of them, inert otherwise. I/O.
//!
//! `SEKISHO_CRASH_AT=NAME:COUNT` ends the process at the COUNTth time that it comes to the step of that name, as a kill
//! would: nothing is flushed, nothing is told. `SEKISHO_STALL_AT=NAME:COUNT` has the thread that comes there stand still for
//! ever, as before a disk that does not answer. `SEKISHO_SEGMENT_BYTES=N` makes the journal's segments that small, so that a
//! short life has several, and `SEKISHO_CLOCK_AHEAD=N` sets the node's clock N seconds ahead, so that some lives are hours
//! apart. `SEKISHO_CRASH_ON=TEXT` has each record that holds this text end the process when it is examined, as one would that
//! the stack does not bear. Deliberately without any other effect: a name decides only where that happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::{SECOND, Time};
use crate::journal::embedded::{Clock, Settings, Step as JournalStep, Steps as JournalSteps};

/// Names the step and how often it is passed first.
pub const CRASH_AT: &str = "SEKISHO_CRASH_AT";
/// Names the step at which a thread stands still, and how often it is passed first.
pub const STALL_AT: &str = "SEKISHO_STALL_AT";
/// The size of a segment of the journal.
pub const SEGMENT_BYTES: &str = "SEKISHO_SEGMENT_BYTES";
/// Seconds by which the clock is ahead.
pub const CLOCK_AHEAD: &str = "SEKISHO_CLOCK_AHEAD";
/// A text; a record that holds it ends the process when it is examined.
pub const CRASH_ON: &str = "SEKISHO_CRASH_ON";
/// Segments hold a checkpoint and commits of some size.
const SEGMENT_BYTES_MIN: u64 = 16 << 10;

/// A place in the work of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    IngestExamined,
    IngestCommitted,
    DecideFolded,
    DecideCommitted,
    SnapshotWritten,
    SnapshotRenamed,
    IndexAdded,
    IndexCommitted,
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 8] = [
        Step::IngestExamined,
        Step::IngestCommitted,
        Step::DecideFolded,
        Step::DecideCommitted,
        Step::SnapshotWritten,
        Step::SnapshotRenamed,
        Step::IndexAdded,
        Step::IndexCommitted,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Step::IngestExamined => "ingest.examined",
            Step::IngestCommitted => "ingest.committed",
            Step::DecideFolded => "decide.folded",
            Step::DecideCommitted => "decide.committed",
            Step::SnapshotWritten => "snapshot.written",
            Step::SnapshotRenamed => "snapshot.renamed",
            Step::IndexAdded => "index.added",
            Step::IndexCommitted => "index.committed",
        }
    }
}

/// What a step that is named leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    End,
    Stall,
}

/// The step at which the process is to end or to stall, if any. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    trap: Option<Arc<Trap>>,
    segment_bytes: Option<u64>,
    /// In seconds.
    clock_ahead: u32,
    crash_on: Option<Arc<str>>,
}

#[derive(Debug)]
struct Trap {
    name: &'static str,
    then: Then,
    /// How often it is still passed.
    left: AtomicU64,
}

impl Steps {
    /// What the settings say; `get` gives the value of a variable. A process that is to end does not stall.
    ///
    /// # Errors
    /// A sentence, where one of them names no step or no number.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Steps, String> {
        let trap = |name: &str, then| get(name).map(|text| Trap::read((name, &text), then).map(Arc::new)).transpose();
        let (crash, stall) = (trap(CRASH_AT, Then::End)?, trap(STALL_AT, Then::Stall)?);
        let size = |text: String| text.parse().ok().filter(|bytes| *bytes >= SEGMENT_BYTES_MIN);
        let wrong = || format!("{SEGMENT_BYTES}: not a number of bytes from {SEGMENT_BYTES_MIN}; unset it");
        let segment_bytes = get(SEGMENT_BYTES).map(|text| size(text).ok_or_else(wrong)).transpose()?;
        let ahead =
            |text: String| text.parse().map_err(|_| format!("{CLOCK_AHEAD}: not a number of seconds; unset it"));
        let clock_ahead = get(CLOCK_AHEAD).map_or(Ok(0), ahead)?;
        let crash_on = get(CRASH_ON).filter(|text| !text.is_empty()).map(Arc::from);
        Ok(Steps { trap: crash.or(stall), segment_bytes, clock_ahead, crash_on })
    }

    /// A clock, set ahead as the settings say.
    pub fn clock(&self, clock: fn() -> Time) -> Clock {
        let ahead = i64::from(self.clock_ahead) * SECOND;
        Arc::new(move || clock().plus(ahead))
    }

    /// The process comes to this step.
    pub fn reach(&self, step: Step) {
        self.at(step.name());
    }

    /// A record is examined now.
    pub fn examine(&self, record: &[u8]) {
        let Some(text) = &self.crash_on else { return };
        if memchr::memmem::find(record, text.as_bytes()).is_some() {
            std::process::abort();
        }
    }

    /// The journal's settings with the same trap.
    pub fn of_journal(&self) -> Settings {
        let defaults = Settings::default();
        let steps = self.clone();
        Settings {
            segment_bytes: self.segment_bytes.unwrap_or(defaults.segment_bytes),
            steps: if self.trap.is_some() {
                JournalSteps::told(move |step: JournalStep| steps.at(step.name()))
            } else {
                defaults.steps.clone()
            },
            ..defaults
        }
    }

    fn at(&self, name: &str) {
        let Some(trap) = self.trap.as_ref().filter(|trap| trap.name == name) else { return };
        if trap.left.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        match trap.then {
            Then::End => std::process::abort(),
            Then::Stall => loop {
                std::thread::park();
            },
        }
    }
}

impl Trap {
    fn read((variable, text): (&str, &str), then: Then) -> Result<Trap, String> {
        let (name, count) = text.split_once(':').unwrap_or((text, "1"));
        let own = Step::ALL.into_iter().map(Step::name);
        let mut names = own.chain(JournalStep::ALL.into_iter().map(JournalStep::name));
        let name = names.find(|known| *known == name);
        let count = count.parse().ok().filter(|count| *count > 0);
        let (Some(name), Some(count)) = (name, count) else {
            return Err(format!("{variable}: not NAME:COUNT of a step, as in decide.committed:3; unset it"));
        };
        Ok(Trap { name, then, left: AtomicU64::new(count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(crash: &str, segment: Option<&str>) -> Result<Steps, String> {
        let crash = (!crash.is_empty()).then(|| crash.to_owned());
        Steps::read(|name| match name {
            CRASH_AT => crash.clone(),
            SEGMENT_BYTES => segment.map(str::to_owned),
            _ => None,
        })
    }

    #[test]
    fn without_a_setting_nothing_ends() {
        let steps = read("", None).unwrap();
        Step::ALL.into_iter().for_each(|step| steps.reach(step));
        assert_eq!(steps.of_journal().segment_bytes, Settings::default().segment_bytes);
    }

    #[test]
    fn other_steps_and_earlier_times_are_passed() {
        let steps = read("decide.committed:2", Some("65536")).unwrap();
        steps.reach(Step::DecideFolded);
        steps.reach(Step::DecideCommitted);
        assert_eq!(steps.of_journal().segment_bytes, 65_536);
    }

    #[test]
    fn names_and_numbers_are_checked() {
        assert!(Step::ALL.into_iter().all(|step| read(step.name(), None).is_ok()));
        assert!(JournalStep::ALL.into_iter().all(|step| read(&format!("{}:7", step.name()), None).is_ok()));
        for wrong in ["decide", "decide.committed:0", "decide.committed:x"] {
            assert!(read(wrong, None).unwrap_err().contains(CRASH_AT));
        }
        assert!(read("", Some("12")).unwrap_err().contains(SEGMENT_BYTES));
        let ahead = |text: &'static str| Steps::read(move |name| (name == CLOCK_AHEAD).then(|| text.to_owned()));
        assert_eq!(ahead("3600").unwrap().clock(|| Time(5))(), Time(3_600_005));
        assert!(ahead("-1").unwrap_err().contains(CLOCK_AHEAD));
        let stall = Steps::read(|name| (name == STALL_AT).then(|| "nowhere:1".to_owned()));
        assert!(stall.unwrap_err().contains(STALL_AT));
    }
}
