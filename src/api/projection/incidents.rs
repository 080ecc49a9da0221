//! Incidents as they stand now, the last changed first. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::event::outcome::Incident;

/// Incidents known at a time: months of them. Beyond it the one that changed longest ago is forgotten here.
pub const INCIDENTS_KEPT_MAX: usize = 10_000;

/// All known incidents.
#[derive(Default)]
pub struct Incidents {
    by_change: BTreeMap<u64, Incident>,
    changed: HashMap<String, u64>,
    changes: u64,
}

impl Incidents {
    pub(super) fn apply(&mut self, incident: Incident) {
        let before = self.changed.insert(incident.id.clone(), self.changes);
        before.map(|before| self.by_change.remove(&before));
        self.by_change.insert(self.changes, incident);
        self.changes += 1;
        if self.by_change.len() > INCIDENTS_KEPT_MAX {
            let oldest = self.by_change.pop_first();
            oldest.map(|(_, incident)| self.changed.remove(&incident.id));
        }
    }

    /// Those that changed before the change of this number, the last changed first.
    pub fn before(&self, change: u64) -> impl Iterator<Item = (u64, &Incident)> {
        self.by_change.range(..change).rev().map(|(number, incident)| (*number, incident))
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.by_change.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_change.is_empty()
    }
}
