//! The last alerts, newest first, and where every known alert lies. Pure.
//!
//! The newest are kept as they were written; of older ones only the offset is known, and the journal has the rest.
//! Deliberately without search over their text: that is what the events' index is for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::event::outcome::Alert;
use crate::event::{Entity, Severity, Time};

/// Alerts kept whole: a day of a busy installation. Beyond it the oldest are read from the journal.
pub const ALERTS_KEPT_MAX: usize = 10_000;
/// Their JSON together: 10,000 of 3 KiB.
pub const ALERTS_KEPT_BYTES_MAX: usize = 32 << 20;
/// Alerts whose place is known by id: 24 bytes each.
pub const ALERTS_PLACED_MAX: usize = 200_000;

/// What an alert must be like to be listed; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub severity: Option<Severity>,
    /// Id or name of the rule.
    pub rule: Option<String>,
    /// The value of the entity, or the address of the client.
    pub entity: Option<String>,
    /// From this instant on.
    pub from: Option<Time>,
    /// Before this instant.
    pub to: Option<Time>,
}

/// One alert as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    pub offset: u64,
    pub json: Arc<[u8]>,
    timestamp: Time,
    severity: Severity,
    rule: (String, String),
    entity: Entity,
    client: Option<String>,
}

/// The last alerts.
#[derive(Default)]
pub struct Alerts {
    kept: VecDeque<Kept>,
    bytes: usize,
    places: HashMap<u128, u64>,
    placed: VecDeque<u128>,
}

impl Kept {
    /// An alert's record; `None` where it holds none.
    pub fn of(offset: u64, value: &[u8]) -> Option<(Kept, u128)> {
        let alert: Alert = serde_json::from_slice(value).ok()?;
        let id = u128::from_str_radix(&alert.event.id, 16).ok()?;
        let Alert { timestamp, rule, client, sekisho, .. } = alert;
        let (rule, client) = ((rule.id, rule.name), client.map(|client| client.ip));
        let kept = Kept {
            offset,
            json: value.into(),
            timestamp,
            severity: sekisho.severity,
            rule,
            entity: sekisho.entity,
            client,
        };
        Some((kept, id))
    }

    /// Whether it is to be listed.
    pub fn fits(&self, filter: &Filter) -> bool {
        let is = |wanted: &Option<String>, values: [Option<&str>; 2]| match wanted {
            None => true,
            Some(wanted) => values.contains(&Some(wanted)),
        };
        filter.from.is_none_or(|from| self.timestamp >= from)
            && filter.to.is_none_or(|to| self.timestamp < to)
            && filter.severity.is_none_or(|wanted| wanted == self.severity)
            && is(&filter.rule, [Some(&self.rule.0), Some(&self.rule.1)])
            && is(&filter.entity, [Some(&self.entity.value), self.client.as_deref()])
    }
}

impl Alerts {
    pub(super) fn apply(&mut self, offset: u64, value: &[u8]) -> Option<()> {
        let (kept, id) = Kept::of(offset, value)?;
        self.bytes += kept.json.len();
        self.kept.push_back(kept);
        while self.kept.len() > ALERTS_KEPT_MAX || self.bytes > ALERTS_KEPT_BYTES_MAX {
            self.bytes -= self.kept.pop_front().map_or(0, |oldest| oldest.json.len());
        }
        if self.places.insert(id, offset).is_none() {
            self.placed.push_back(id);
        }
        if self.placed.len() > ALERTS_PLACED_MAX {
            self.placed.pop_front().map(|oldest| self.places.remove(&oldest));
        }
        Some(())
    }

    /// Where the alert of this id lies.
    pub fn place(&self, id: u128) -> Option<u64> {
        self.places.get(&id).copied()
    }

    /// The alert at an offset, where it is kept.
    pub fn at(&self, offset: u64) -> Option<&Kept> {
        let index = self.kept.binary_search_by_key(&offset, |kept| kept.offset).ok()?;
        self.kept.get(index)
    }

    /// The kept ones before an offset, newest first.
    pub fn before(&self, offset: u64) -> impl Iterator<Item = &Kept> {
        let end = self.kept.partition_point(|kept| kept.offset < offset);
        self.kept.iter().take(end).rev()
    }

    /// The offset of the oldest that is kept.
    pub fn oldest(&self) -> Option<u64> {
        self.kept.front().map(|kept| kept.offset)
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}
