//! Deliberate faults, by which the simulation of the stages is tested itself. Pure.
//!
//! Outside of test builds there are none and nothing is asked. Deliberately per thread: the simulation runs its stages on
//! one, beside the tests of others.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// Positions are committed before what they stand for.
    PositionsFirst,
    /// Positions are committed after what they stand for.
    PositionsLast,
    /// What a stage knows moves on although its commit failed.
    FailureIgnored,
    /// A snapshot of what was never committed is believed.
    SnapshotAhead,
    /// The fold asks what time it is.
    WallClock,
    /// Outcomes leave in the order of a hash map.
    HashOrder,
}

#[cfg(test)]
thread_local! {
    static IN_EFFECT: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether this mistake is made.
#[cfg(test)]
pub(super) fn has(mutant: Mutant) -> bool {
    IN_EFFECT.get() == Some(mutant)
}

#[cfg(not(test))]
pub(super) const fn has(_: Mutant) -> bool {
    false
}

/// Does `work` with a mistake in effect.
#[cfg(test)]
pub(super) fn with<R>(mutant: Mutant, work: impl FnOnce() -> R) -> R {
    IN_EFFECT.set(Some(mutant));
    let _over = Over;
    work()
}

/// Ends a mistake, also where it led to a panic.
#[cfg(test)]
struct Over;

#[cfg(test)]
impl Drop for Over {
    fn drop(&mut self) {
        IN_EFFECT.set(None);
    }
}
