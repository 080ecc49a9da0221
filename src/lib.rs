//! Sekisho (関所): reads logs, finds attacks, blocks with receipts that replay.
//!
//! The journal is the truth, every stage a deterministic fold over it. Rooms, in flow order; an import only ever
//! points up this list, and no room imports its neighbour within a group:
//!
//! 1. [`event`] the nouns that cross borders; [`document`] the files that people write, as positioned trees
//! 2. [`decode`] records → events; [`enrich`] who the client is; [`detect`] signals → findings;
//!    [`respond`] findings → outcomes; [`config`] text → settings that cannot be wrong
//! 3. [`catalog`] builds each room's settings from config, pipelines and rules; compiled, hashed
//! 4. [`fold`] the two folds, ingest and decide, from these parts
//! 5. [`journal`] the durable log; [`collect`] files and syslog into it; [`replay`] the fold over files, on many cores;
//!    [`demo`] a small company's day, generated
//! 6. [`api`] lines in, answers, orders and a stream out, over HTTP: the one asynchronous room
//! 7. [`node`] all of it as one process; [`cli`] one file per subcommand
//!
//! Beside them, on [`event`] alone: [`index`] every event searchable.
//!
//! Rooms 1 to 4 are pure: no clock, no file, no socket, no async, no lock, no randomness, no iteration over hash
//! maps. Rooms 5 to 7 and the index do I/O.
//!
//! # The laws
//!
//! 1. *Replay.* Same journal: same outcomes, byte for byte, same state.
//! 2. *Cut.* Fold half, snapshot, restore, fold the rest = fold all.
//! 3. *Batch.* How records are grouped into batches changes nothing.
//! 4. *Repeat.* A record below the known position changes nothing.
//! 5. *Total.* Any bytes of an item give exactly one event; what was not understood is listed in it.
//! 6. *Bounded.* No input pushes a state past its limits; what is evicted is counted, and a flood cannot wash out an
//!    attack that is half detected.
//! 7. *Clock.* Time comes from records only, and no text in a line moves it past the journal's own by more than the
//!    stated skew.
//! 8. *Gate.* No outcome blocks a protected, private, unattributed or too wide target, or lacks an expiry, or exceeds
//!    a budget.
//! 9. *Cause.* Ids and receipts follow from records alone.
//! 10. *Order of safety.* A position never moves before its effects.
//!
//! They are tested as properties in `tests/laws.rs`; the first, second, fourth and tenth also over a journal that fails
//! anywhere (`node`), and with processes that are killed.
//!
//! # What we deliberately do not do
//!
//! No clustering of our own, no machine learning, no packet capture, no agent on other hosts, and no block without an
//! expiry.

pub mod event;
pub mod document;

pub mod decode;
pub mod enrich;
pub mod detect;
pub mod respond;
pub mod config;

pub mod index;

pub mod catalog;

pub mod fold;

pub mod journal;
pub mod collect;

pub mod api;

pub mod node;
pub mod replay;
pub mod demo;

pub mod cli;
