//! Logs that are JSON, or almost: one reader, one field map, and a decoder per dialect. Pure.
//!
//! The reader is our own because the records are an attacker's: it never recurses, mends what log servers break in
//! the same pass, borrows texts and builds only what is wanted. Deliberately without serde: no document tree ever
//! exists.

mod convert;
mod decoder;
mod envelope;
mod map;
mod modsecurity;
mod reader;
mod string;
mod suricata;
mod waf;
mod walk;
mod words;

pub use decoder::JsonDecoder;
pub use envelope::{Envelope, JournalEntry, journal_entry, unwrap_envelope};
pub use modsecurity::ModsecurityDecoder;
pub use suricata::SuricataDecoder;

#[cfg(test)]
mod tests;
