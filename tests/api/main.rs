//! The API as its clients meet it: over a socket, with a journal on a simulated disk behind it.
#![expect(clippy::disallowed_methods, reason = "tests have files, threads and a clock of their own")]
#![expect(clippy::unwrap_used, reason = "whatever does not work here fails the test")]

mod access;
mod client;
mod hostile;
mod ingest;
mod journal;
mod outcomes;
mod questions;
mod stream;
mod world;
