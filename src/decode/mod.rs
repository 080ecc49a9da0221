//! Records → events: one file per format, repair, unwrapping of shipper envelopes, ECS names. Pure.
//!
//! Decoding never fails and never drops: any bytes give exactly one event per item (law 5), and what was not understood
//! is a flaw. Deliberately without knowledge of rules, networks and time other than what the text claims.

mod context;
mod json;
mod settings;
mod syslog;
pub mod time;

pub use context::Context;
pub use json::{
    Envelope, JournalEntry, JsonDecoder, ModsecurityDecoder, SuricataDecoder, journal_entry, unwrap_envelope,
};
pub use settings::{DecoderSettings, JsonSettings, Keep, LoginRoute, ServiceSettings, Settings, Stamp, Target, Unit};
pub use syslog::SyslogDecoder;
