//! Deliberate faults, by which the crash suites are tested themselves. Pure.
//!
//! Outside of test builds there are none and nothing is asked. Each is a mistake that a log could well contain;
//! deliberately only those that no other test would notice.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A commit is acknowledged when it is written.
    WriteUnsynced,
    /// What a killed process wrote is believed without a sync.
    StartUnsynced,
    /// What a failed write left stays where it is.
    FailedWriteKept,
    /// At the start only heads are checked, and a payload may be torn.
    TornTailAccepted,
    /// A segment gets its name before its checkpoint is durable.
    CheckpointUnsynced,
    /// The name of a new segment may be lost with all it holds.
    NamesUnsynced,
    /// Retention looks at age and size alone.
    ReadersPassed,
}

/// The mistakes in effect: at most one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutants(#[cfg(test)] Option<Mutant>);

impl Mutants {
    /// This one.
    #[cfg(test)]
    pub(super) fn with(mutant: Mutant) -> Mutants {
        Mutants(Some(mutant))
    }

    #[cfg(test)]
    pub(super) fn has(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    #[cfg(not(test))]
    pub(super) const fn has(self, _: Mutant) -> bool {
        false
    }
}
