//! Deliberate faults, by which the tests on real brokers are tested themselves. I/O: one variable of the environment.
//!
//! `SEKISHO_KAFKA_MUTANT=name` makes that mistake. Only where debug assertions are compiled in, as in tests: a release has
//! none of it.

/// One mistake (sheet §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// Positions are committed before what they stand for.
    PositionsFirst,
    /// The committed position is one too far.
    OffsetTooFar,
    /// The committed position is one short.
    OffsetShort,
    /// What could not be sent is left out.
    SendErrorIgnored,
    /// Where the group's place is gone, the log's start is taken.
    PlaceReset,
    /// A topic of the same name is taken for the same.
    IdIgnored,
    /// What was taken away is worked on.
    RevokedKept,
    /// Where nothing was committed, reading begins at the end.
    BeginsAtEnd,
    /// A transaction that was taken back is told as done.
    UndoneIsDone,
    /// Readers see what was not committed.
    UncommittedRead,
}

/// Their names, for tests.
pub const NAMES: [&str; 10] = [
    "PositionsFirst",
    "OffsetTooFar",
    "OffsetShort",
    "SendErrorIgnored",
    "PlaceReset",
    "IdIgnored",
    "RevokedKept",
    "BeginsAtEnd",
    "UndoneIsDone",
    "UncommittedRead",
];

/// Whether this mistake is made.
#[cfg(debug_assertions)]
pub(super) fn has(mutant: Mutant) -> bool {
    #![expect(clippy::disallowed_methods, reason = "a switch of tests, which a release lacks")]
    static NAMED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let named = NAMED.get_or_init(|| std::env::var("SEKISHO_KAFKA_MUTANT").ok());
    named.as_ref().is_some_and(|name| *name == format!("{mutant:?}"))
}

#[cfg(not(debug_assertions))]
pub(super) const fn has(_: Mutant) -> bool {
    false
}
