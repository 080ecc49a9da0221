//! How many records a stage has yet to fold. I/O only through the journal.

use crate::index::Index;
use crate::journal::Journal;
use crate::journal::embedded::Embedded;

use super::gauges::Gauges;
use super::{decide, ingest};
use crate::fold::signals;

/// Of the partitions that the named stage has read, or could.
pub fn records(journal: &Embedded, gauges: &Gauges, stage: &str) -> u64 {
    if stage == decide::STAGE {
        return behind(journal, &signals(), gauges.decide().next);
    }
    let positions = journal.positions(ingest::STAGE);
    positions.iter().map(|(input, next)| behind(journal, input, *next)).sum()
}

/// Of the partitions that the index knows.
pub fn unindexed(journal: &Embedded, index: &Index) -> u64 {
    index.status().positions.iter().map(|(input, next)| behind(journal, input, *next)).sum()
}

fn behind(journal: &Embedded, input: &crate::event::Input, next: u64) -> u64 {
    let partitions = journal.partitions(&input.topic).unwrap_or_default();
    let end = partitions.iter().find(|(known, _)| known == input).map_or(0, |(_, range)| range.end);
    end.saturating_sub(next)
}
