//! The stages of a node: choose → apply → commit, each on a thread of its own. I/O.
//!
//! [`ingest`] turns raw records into packs, [`decide`] turns packs and orders into outcomes; [`start`](decide::restored)
//! is the same code path after a crash as after a quiet end. What a stage knows moves on only with what it committed: a
//! commit that finds no space is tried again as it is, and after any other failure the process ends and starts from what
//! the journal holds. Deliberately without knowledge of what records mean: that is the folds'.

pub mod attempts;
pub mod audit;
pub mod catalogs;
pub mod cluster;
pub mod decide;
mod error;
mod floors;
mod gauges;
pub mod indexer;
pub mod ingest;
mod outputs;
mod journalled;
mod lag;
mod mutants;
mod questions;
pub mod recorded;
mod retry;
pub mod roles;
mod services;
mod shown;
mod stages;
pub mod start;
pub mod snapshot;
pub mod steps;
mod topic_ids;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trimmed;

pub use error::NodeError;
pub use floors::Floors;
pub use gauges::{DecideGauge, Gauges, InputGauge};

/// Who is told what somebody should look after.
pub type Tell = std::sync::Arc<dyn Fn(&str) + Send + Sync>;
