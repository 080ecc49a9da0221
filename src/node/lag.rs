//! How many records a stage has yet to fold, and since when the oldest of them waits. I/O only through the journal.

use std::sync::Arc;

use crate::event::{Input, Time};
use crate::fold::signals;
use crate::index::Index;
use crate::journal::{Fetched, Journal};

use super::stages::Shared;
use super::{decide, ingest};

/// The stage that makes events searchable.
pub const INDEX: &str = "index";
/// Stages whose lag is told.
pub const STAGES: [&str; 3] = [ingest::STAGE, decide::STAGE, INDEX];

/// What has to be looked at for it.
pub struct Lag<J> {
    pub journal: Arc<J>,
    pub shared: Arc<Shared>,
    pub index: Index,
}

impl<J: Journal> Lag<J> {
    /// Records that the named stage has yet to fold.
    pub fn records(&self, stage: &str) -> u64 {
        self.behind(stage).map(|(_, next, end)| end - next).sum()
    }

    /// When the oldest of them was appended; `None` where there is none.
    pub fn oldest(&self, stage: &str) -> Option<Time> {
        let block = |(input, next, _)| self.journal.read(&input, next, 1).ok()?.into_iter().next();
        self.behind(stage).filter_map(block).filter_map(|block: Fetched| Some(block.iter().next()?.appended_at)).min()
    }

    /// Partitions of which records are left: with the next of them, and where they end.
    fn behind(&self, stage: &str) -> impl Iterator<Item = (Input, u64, u64)> {
        let known = match stage {
            ingest::STAGE => self.shared.gauges.inputs().into_iter().map(|gauge| (gauge.input, gauge.next)).collect(),
            decide::STAGE => vec![(signals(), self.shared.gauges.decide().next)],
            _ => self.index.status().positions,
        };
        known.into_iter().filter_map(|(input, next)| {
            let partitions = self.journal.partitions(&input.topic).unwrap_or_default();
            let end = partitions.into_iter().find(|(known, _)| *known == input).map_or(0, |(_, range)| range.end);
            (next < end).then_some((input, next, end))
        })
    }
}
