//! Signals and tallies → findings: every rule's windows, and what a firing says. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{
    Address, Client, Entity, EntityKind, Field, Finding, Input, RuleIndex, ServiceIndex, Signal, Tally, Text, Time,
    Value, client_key,
};

use super::plan::{Plan, PlanKind, Plans};
use super::rule::Measure;
use super::window::{Arrival, Entry, Firing, InputIndex, KEYS_MAX, Saved, Stretch, Table, TableCounters};

/// Entities remembered for rules that count only after another rule's finding. They are few: only those about which a
/// condition was met enter. Beyond it the one of longest ago makes room and is counted.
const PRIOR_MAX: usize = 100_000;

/// The windows of all rules.
#[derive(Clone, Debug)]
pub struct Correlator {
    plans: Arc<Plans>,
    /// Names of services, by [`crate::event::ServiceIndex`].
    services: Arc<[String]>,
    /// The same as values of a group-by.
    service_values: Vec<Value>,
    windows: Windows,
}

/// What changes with every arrival.
#[derive(Clone, Debug)]
struct Windows {
    table: Table,
    prior: Prior,
    /// Whether keys that are silent conclude all the same.
    speaks_always: bool,
}

/// The state of a [`Correlator`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    table: Saved,
    prior: Prior,
}

/// When rules that others wait for last held about an entity, and where the events were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "PriorForm", into = "PriorForm")]
struct Prior {
    found: BTreeMap<PriorKey, Found>,
    ages: BTreeSet<(Time, PriorKey)>,
    evicted: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Found {
    /// When the findings began that followed one another up to `at`.
    since: Time,
    at: Time,
    stretches: Vec<Stretch>,
}

impl Found {
    /// Whether an event comes after it, and soon enough. Inputs are not read in step, so one from before may well arrive
    /// later.
    fn is_before(&self, time: Time, within: i64) -> bool {
        time >= self.since && time.since(self.at) <= within
    }
}

#[derive(Serialize, Deserialize)]
struct PriorForm {
    found: Vec<(PriorKey, Found)>,
    evicted: u64,
}

/// A rule that others wait for, and the group-by values of its finding.
type PriorKey = (RuleIndex, Box<[Value]>);

/// What rules and services are called in another catalog; `None` where they are not in it.
pub struct Moved<'a> {
    pub rule: &'a dyn Fn(RuleIndex) -> Option<RuleIndex>,
    pub service: &'a dyn Fn(ServiceIndex) -> Option<ServiceIndex>,
}

/// Where an arrival comes from, and when the journal took it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub input: InputIndex,
    pub inputs: &'a [Input],
    pub appended_at: Time,
}

impl Correlator {
    /// No windows yet. `seed` cannot be seen in any result (see [`Table::new`]).
    pub fn new(plans: Arc<Plans>, services: Arc<[String]>, seed: u64) -> Correlator {
        let service_values = values_of(&services);
        let windows = Windows { table: Table::new(KEYS_MAX, seed), prior: Prior::default(), speaks_always: false };
        Correlator { plans, services, service_values, windows }
    }

    /// From now on keys are never silent: whatever meets its condition is a finding, so that a stretch of the records
    /// says what all of them said.
    pub fn speak_always(&mut self) {
        self.windows.speaks_always = true;
    }

    /// Counters of the table of keys; what rules that come after others forgot is among the evicted.
    pub fn counters(&self) -> TableCounters {
        let counters = self.windows.table.counters();
        TableCounters { evicted: counters.evicted + self.windows.prior.evicted, ..counters }
    }

    /// The state, to be written to a snapshot.
    pub fn save(&self) -> Snapshot {
        Snapshot { table: self.windows.table.save(), prior: self.windows.prior.clone() }
    }

    /// Takes up the state of a snapshot.
    pub fn restore(&mut self, snapshot: Snapshot, seed: u64) {
        self.windows.table = Table::restore(snapshot.table, KEYS_MAX, seed);
        self.windows.prior = snapshot.prior;
    }

    /// From now on these plans count. What is remembered of rules that are the same in both goes on under their new
    /// indexes, the rest is forgotten.
    pub fn switch(&mut self, plans: Arc<Plans>, services: Arc<[String]>, moved: &Moved<'_>) {
        let plan = |old: u16| {
            let old = self.plans.list().get(usize::from(old))?;
            plans.index_of((moved.rule)(old.rule)?)
        };
        self.windows.table.rename(&plan, moved.service);
        self.windows.prior.rename(moved.rule);
        self.service_values = values_of(&services);
        (self.plans, self.services) = (plans, services);
    }

    /// Takes a signal in.
    pub fn signal(&mut self, signal: &Signal, origin: Origin<'_>) -> Option<Finding> {
        let Correlator { plans, services, windows, .. } = self;
        let plan = plans.of(signal.rule)?;
        let awaited = plan.after.and_then(|rule| plans.of(rule));
        let before = match windows.prior.before(plan, awaited, &signal.group, signal.time) {
            Before::Nothing => Vec::new(),
            Before::Found(stretches) => stretches.to_vec(),
            Before::Missing => return None,
        };
        let arrival = Arrival {
            input: origin.input,
            time: signal.time,
            count: 1,
            sum: match (plan.kind, &signal.value) {
                (PlanKind::Measure(_), Some(Value::Number(number))) => (*number).max(0) as u64,
                (PlanKind::Measure(_) | PlanKind::Events | PlanKind::Distinct, _) => 0,
            },
            value: signal.value.as_ref(),
            client: signal.client,
            service: signal.service,
            first: signal.place,
            last: signal.place,
            before: &before,
        };
        windows.add((plans, services), plan, &signal.group, (&arrival, origin))
    }

    /// Reads what [`Correlator::tally`] will need, so that it is near. The number says nothing.
    pub fn look_ahead(&self, tally: &Tally) -> u64 {
        let Some(client) = tally.client else { return 0 };
        let key = [Value::Client(client.key())];
        let by_client = |plan: &Plan| matches!(plan.group_by[..], [Field::Address(Address::ClientIp)]);
        let plans = self.plans.measured().filter(|(plan, _)| by_client(plan));
        let index = plans.filter_map(|(plan, _)| self.plans.index_of(plan.rule));
        index.map(|index| self.windows.table.look_ahead(index, &key)).fold(0, u64::wrapping_add)
    }

    /// Takes a tally in: every rule that measures traffic sees it.
    pub fn tally(&mut self, tally: &Tally, origin: Origin<'_>, out: &mut Vec<Finding>) {
        let Correlator { plans, services, service_values, windows } = self;
        let service = usize::from(tally.service.0);
        let client = tally.client.map(|client| [Value::Client(client.key())]);
        for (plan, measure) in plans.measured() {
            let (count, sum) = measured(measure, tally);
            if count == 0 {
                continue;
            }
            let other;
            let group = match plan.group_by[..] {
                [Field::Address(Address::ClientIp)] => client.as_ref().map(|key| &key[..]),
                [Field::Text(Text::ServiceName)] => service_values.get(service..=service),
                _ => {
                    other = group_of(plan, tally.client, &services[service]);
                    other.as_deref()
                }
            };
            let Some(group) = group else { continue };
            let arrival = Arrival {
                input: origin.input,
                time: Time(tally.second * crate::event::SECOND),
                count,
                sum,
                value: None,
                client: tally.client,
                service: tally.service,
                first: tally.first,
                last: tally.last,
                before: &[],
            };
            out.extend(windows.add((plans, services), plan, group, (&arrival, origin)));
        }
    }
}

impl Windows {
    fn add(
        &mut self,
        (plans, services): (&Plans, &[String]),
        plan: &Plan,
        group: &[Value],
        (arrival, origin): (&Arrival<'_>, Origin<'_>),
    ) -> Option<Finding> {
        let index = plans.index_of(plan.rule)?;
        let (firing, entry) = self.table.add(plans.list(), index, group, arrival)?;
        if plans.is_awaited(plan.rule) {
            let stretches = entry.trace.stretches(entry.newest());
            self.prior.note((plan.rule, group.into()), (arrival.time, plan.timespan), stretches);
        }
        let number = firing.number.or(self.speaks_always.then_some(0))?;
        Some(finding_of(plan, entry, (firing, number), (arrival, origin), services))
    }
}

/// What came before an event of a plan.
enum Before<'a> {
    /// The plan waits for nothing.
    Nothing,
    /// What it waits for is there, and where.
    Found(&'a [Stretch]),
    Missing,
}

impl Prior {
    /// Whether a plan may count now: always, or after a finding of the rule it waits for about the same first values.
    fn before(&self, plan: &Plan, awaited: Option<&Plan>, group: &[Value], time: Time) -> Before<'_> {
        let Some(awaited) = awaited else {
            return if plan.after.is_none() { Before::Nothing } else { Before::Missing };
        };
        let Some(same) = group.get(..awaited.group_by.len()) else { return Before::Missing };
        match self.found.get(&(awaited.rule, same.into())) {
            Some(found) if found.is_before(time, plan.timespan) => Before::Found(&found.stretches),
            Some(_) | None => Before::Missing,
        }
    }

    fn rename(&mut self, rule: &dyn Fn(RuleIndex) -> Option<RuleIndex>) {
        let PriorForm { found, evicted } = std::mem::take(self).into();
        let found = found.into_iter().filter_map(|((old, group), found)| Some(((rule(old)?, group), found)));
        *self = PriorForm { found: found.collect(), evicted }.into();
    }

    /// A rule's condition is met, whether or not its key is silent. What is met again within the rule's timespan goes on.
    fn note(&mut self, key: PriorKey, (time, timespan): (Time, i64), stretches: Vec<Stretch>) {
        let (mut since, mut at) = (time, time);
        if let Some(known) = self.found.get(&key) {
            self.ages.remove(&(known.at, key.clone()));
            if time.since(known.at) <= timespan {
                since = time.min(known.since);
            }
            at = at.max(known.at);
        } else if self.found.len() >= PRIOR_MAX
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.found.remove(&oldest);
            self.evicted += 1;
        }
        self.ages.insert((at, key.clone()));
        self.found.insert(key, Found { since, at, stretches });
    }
}

impl From<PriorForm> for Prior {
    fn from(form: PriorForm) -> Self {
        let ages = form.found.iter().map(|(key, found)| (found.at, key.clone())).collect();
        Prior { found: form.found.into_iter().collect(), ages, evicted: form.evicted }
    }
}

impl From<Prior> for PriorForm {
    fn from(prior: Prior) -> Self {
        PriorForm { found: prior.found.into_iter().collect(), evicted: prior.evicted }
    }
}

/// Services as values of a group-by.
fn values_of(services: &[String]) -> Vec<Value> {
    services.iter().map(|name| Value::Text(name.as_str().into())).collect()
}

/// What a measure takes from a tally: how many events, and what they add to the sum.
fn measured(measure: Measure, tally: &Tally) -> (u32, u64) {
    let counts = &tally.counts;
    match measure {
        Measure::Requests => (counts.requests, 0),
        Measure::ErrorShare => (counts.requests, u64::from(counts.errors)),
        Measure::DurationSeconds => (counts.timed, counts.duration_ms),
    }
}

/// The group-by values of a plan over tallies; `None` where a value is missing.
pub fn group_of(plan: &Plan, client: Option<Client>, service: &str) -> Option<Vec<Value>> {
    let value = |field: &Field| match field {
        Field::Address(Address::ClientIp) => client.map(|client| Value::Client(client.key())),
        Field::Text(Text::ServiceName) => Some(Value::Text(service.into())),
        Field::Address(_)
        | Field::Text(_)
        | Field::Number(_)
        | Field::Extra(_)
        | Field::Timestamp
        | Field::Original
        | Field::Category
        | Field::Type
        | Field::Tags => None,
    };
    plan.group_by.iter().map(value).collect()
}

fn finding_of(
    plan: &Plan,
    entry: &Entry,
    (firing, number): (Firing, u32),
    (arrival, origin): (&Arrival<'_>, Origin<'_>),
    services: &[String],
) -> Finding {
    let grouped = |field: &Field| plan.group_by.iter().position(|f| f == field).map(|i| &entry.group[i]);
    let text = |value: Option<&Value>| value.map(|value| value.to_string().into_boxed_str());
    let user = text(grouped(&Field::Text(Text::UserName)));
    let counts_users = plan.value == Some(Field::Text(Text::UserName));
    let (members, members_total) = entry.members();
    let entity = entity_of(plan, entry, services);
    let is_client = entity.kind == EntityKind::Client;
    Finding {
        rule: plan.rule,
        entity,
        group: (*entry.group).into(),
        window: firing.window,
        count: firing.count,
        evidence: entry.trace.evidence(origin.inputs),
        evidence_total: firing.events,
        spans: entry.trace.spans(entry.newest(), origin.inputs),
        client: if is_client { entry.client } else { None },
        service: Some(services[entry.service.0 as usize].as_str().into()),
        user,
        users: if counts_users { entry.sampled_texts() } else { Vec::new() },
        members,
        members_total,
        time: arrival.time,
        appended_at: origin.appended_at,
        firing: number,
    }
}

/// The entity of a key: its group-by value of that kind, or what the trigger says.
fn entity_of(plan: &Plan, entry: &Entry, services: &[String]) -> Entity {
    let value = match plan.entity {
        EntityKind::Client => entry.client.map(|client| Value::Client(client_key(client.address)).to_string()),
        EntityKind::Service => Some(services[entry.service.0 as usize].clone()),
        EntityKind::Global => Some("all".to_owned()),
        EntityKind::Network | EntityKind::User | EntityKind::Asn | EntityKind::Country | EntityKind::Host => None,
    };
    let first = || entry.group.first().map(ToString::to_string).unwrap_or_default();
    Entity { kind: plan.entity, value: value.unwrap_or_else(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_entities_pushes_out_the_oldest_and_counts() {
        let mut prior = Prior::default();
        let key = |number: i64| (RuleIndex(0), Box::from([Value::Number(number)]));
        (0..PRIOR_MAX as i64 + 50).for_each(|number| prior.note(key(number), (Time(number), 1), Vec::new()));
        prior.note(key(70), (Time(5_000_000), 1), Vec::new());
        assert_eq!((prior.found.len(), prior.ages.len(), prior.evicted), (PRIOR_MAX, PRIOR_MAX, 50));
        assert!(!prior.found.contains_key(&key(49)));
        assert_eq!(prior.found[&key(70)].at, Time(5_000_000), "what is there is kept up to date though all is full");
    }

    #[test]
    fn only_what_comes_after_comes_after() {
        let (key, mut prior): (PriorKey, _) = ((RuleIndex(1), Box::default()), Prior::default());
        let note = |prior: &mut Prior, time| prior.note(key.clone(), (Time(time), 100), Vec::new());
        let counts = |prior: &Prior, time| prior.found[&key].is_before(Time(time), 50);
        note(&mut prior, 1_000);
        assert!(!counts(&prior, 999) && counts(&prior, 1_000) && counts(&prior, 1_050) && !counts(&prior, 1_051));
        note(&mut prior, 1_100);
        assert!(counts(&prior, 1_000) && counts(&prior, 1_150), "it goes on");
        note(&mut prior, 1_040);
        assert!(counts(&prior, 1_150) && !counts(&prior, 999), "what arrives late changes nothing");
        note(&mut prior, 2_000);
        assert!(!counts(&prior, 1_150) && counts(&prior, 2_000), "it begins anew");
    }
}
