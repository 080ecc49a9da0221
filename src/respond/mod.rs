//! Findings → alerts, incidents and blocks behind the guard. Pure.
//!
//! The guard is the only way to a block. Deliberately without any I/O: what leaves is an [`crate::event::Outcome`].

mod settings;

pub use settings::{Budget, RuleSettings, Settings};
