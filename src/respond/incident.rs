//! Findings of one entity, grouped until it has been quiet for a day (design §8.1). Pure.
//!
//! Deliberately only the opening of the flow: what people do with an incident comes to it as operator commands.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::event::outcome::{Incident, IncidentState};
use crate::event::{DAY, Entity, Finding, Time};

use super::ids::{self, Id};
use super::settings::RuleSettings;
use super::text::clean;

/// Entities with an incident kept: under 1 KB each. Beyond it the one that was quiet longest is dropped and counted; its
/// next finding opens a new incident.
const INCIDENTS_MAX: usize = 100_000;
/// An entity's next finding after so much quiet opens a new incident (design §7).
const QUIET: i64 = DAY;

/// The last incident of each entity.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub(super) struct Incidents {
    entities: BTreeMap<Id, Incident>,
    ages: BTreeSet<(Time, Id)>,
    evicted: u64,
}

#[derive(Serialize, Deserialize)]
struct Form {
    entities: Vec<(Id, Incident)>,
    evicted: u64,
}

impl Incidents {
    pub(super) fn new() -> Incidents {
        Incidents { entities: BTreeMap::new(), ages: BTreeSet::new(), evicted: 0 }
    }

    /// The id of the incident that a finding belongs to, opened by `alert` where there is none.
    pub(super) fn id(&self, finding: &Finding, alert: Id) -> String {
        match self.current(ids::entity(&finding.entity), finding.time) {
            Some(incident) => incident.id.clone(),
            None => ids::incident(alert).to_string(),
        }
    }

    /// Adds a finding and the blocks it led to; gives the incident as it is then.
    pub(super) fn add(&mut self, rule: &RuleSettings, finding: &Finding, id: String, blocks: u64) -> Incident {
        let key = ids::entity(&finding.entity);
        let mut incident = match self.current(key, finding.time) {
            Some(incident) => incident.clone(),
            None => open(rule, finding, id),
        };
        if rule.severity > incident.severity {
            incident.severity = rule.severity;
            incident.title = title(rule, &incident.entity);
        }
        incident.first_at = incident.first_at.min(finding.time);
        incident.last_at = incident.last_at.max(finding.time);
        incident.alerts += 1;
        incident.blocks += blocks;
        self.keep(key, incident.clone());
        incident
    }

    /// The last incident of each entity, by the entity's name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.entities.values()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn current(&self, key: Id, time: Time) -> Option<&Incident> {
        self.entities.get(&key).filter(|incident| time.since(incident.last_at) <= QUIET)
    }

    fn keep(&mut self, key: Id, incident: Incident) {
        let last_at = incident.last_at;
        if let Some(before) = self.entities.insert(key, incident) {
            self.ages.remove(&(before.last_at, key));
        } else if self.entities.len() > INCIDENTS_MAX
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.entities.remove(&oldest);
            self.evicted += 1;
        }
        self.ages.insert((last_at, key));
    }
}

fn open(rule: &RuleSettings, finding: &Finding, id: String) -> Incident {
    let entity = Entity { kind: finding.entity.kind, value: clean(&finding.entity.value) };
    Incident {
        id,
        state: IncidentState::Detected,
        severity: rule.severity,
        first_at: finding.time,
        last_at: finding.time,
        alerts: 0,
        blocks: 0,
        title: title(rule, &entity),
        entity,
    }
}

/// What the worst of it is, and whose.
fn title(rule: &RuleSettings, entity: &Entity) -> String {
    format!("{}: {}", rule.name.name, entity).trim_end().to_owned()
}

impl From<Form> for Incidents {
    fn from(form: Form) -> Incidents {
        let entities: BTreeMap<_, _> = form.entities.into_iter().collect();
        let ages = entities.iter().map(|(key, incident)| (incident.last_at, *key)).collect();
        Incidents { entities, ages, evicted: form.evicted }
    }
}

impl From<Incidents> for Form {
    fn from(incidents: Incidents) -> Form {
        Form { entities: incidents.entities.into_iter().collect(), evicted: incidents.evicted }
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{EntityKind, Severity};

    use super::*;

    #[test]
    fn entities_beyond_the_limit_make_room() {
        let mut incidents = Incidents::new();
        let entity = |number: usize| Entity { kind: EntityKind::User, value: number.to_string() };
        for number in 0..INCIDENTS_MAX + 10 {
            let at = Time(number as i64);
            let incident = Incident {
                id: String::new(),
                state: IncidentState::Detected,
                severity: Severity::Minor,
                entity: entity(number),
                first_at: at,
                last_at: at,
                alerts: 1,
                blocks: 0,
                title: String::new(),
            };
            incidents.keep(ids::entity(&entity(number)), incident);
        }
        let kept = (incidents.entities.len(), incidents.ages.len(), incidents.evicted());
        assert_eq!(kept, (INCIDENTS_MAX, INCIDENTS_MAX, 10));
        assert!(incidents.current(ids::entity(&entity(9)), Time(0)).is_none());
        assert!(incidents.current(ids::entity(&entity(10)), Time(0)).is_some());
    }
}
