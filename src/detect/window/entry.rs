//! The state of one key of one rule. Pure.

use serde::{Deserialize, Serialize};

use crate::detect::plan::{BUCKETS, Plan, PlanKind};
use crate::detect::rule::Measure;
use crate::event::{Client, Finding, Place, SECOND, ServiceIndex, Standing, Time, Value, Window};

use super::InputIndex;
use super::distinct::{Distinct, value_hash};
use super::group::Group;
use super::members::Members;
use super::ring::{Reach, Ring, reach};
use super::trace::{Stretch, Trace};

/// A key that fired is silent until its window empties or its count is this many times that of the last firing.
const REFIRE_FACTOR: u64 = 10;

/// What comes into a window: one event, or a tally of many of one second.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    pub input: InputIndex,
    pub time: Time,
    /// Events.
    pub count: u32,
    /// What they add to an average's sum: errors, or milliseconds.
    pub sum: u64,
    pub value: Option<&'a Value>,
    pub client: Option<Client>,
    pub service: ServiceIndex,
    pub first: Place,
    pub last: Place,
    /// Where the events are that a rule waited for before this one counted.
    pub before: &'a [Stretch],
}

/// The window of one key, and when it last fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub plan: u16,
    pub group: Group,
    /// The newest bucket, counted from the epoch in bucket widths.
    newest: i64,
    events: Ring,
    detail: Detail,
    pub trace: Trace,
    pub client: Option<Client>,
    pub service: ServiceIndex,
    members: Option<Box<Members>>,
    fired: Option<Box<Fired>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Detail {
    Count,
    Distinct(Box<DistinctDetail>),
    /// Sums beside the counts of events.
    Average(Box<[u64; BUCKETS]>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DistinctDetail {
    values: Distinct,
    /// The first few values since the window was last empty, for the alert's reader.
    samples: Vec<Value>,
    /// What the samples' texts take.
    sample_bytes: usize,
}

/// Firings of a key. Their numbers outlive the window's emptying: an event out of order may trigger in a cell that was
/// fired in before, and no two alerts may have one id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Fired {
    /// The count of the last firing, where the window has not emptied since.
    count: Option<u64>,
    /// Cells of the timespan grid that the window still reaches, and how often the key fired in each.
    cells: Vec<(i64, u32)>,
}

/// What a window says when its rule's condition is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    pub count: u64,
    pub events: u64,
    pub window: Window,
    /// Which firing of the key in its cell of the timespan grid this is, from 0; absent where the key is silent.
    pub number: Option<u32>,
}

impl Entry {
    /// An empty window.
    pub fn new(plan_index: u16, plan: &Plan, group: Group, arrival: &Arrival<'_>) -> Entry {
        let detail = match plan.kind {
            PlanKind::Events | PlanKind::Measure(Measure::Requests) => Detail::Count,
            PlanKind::Distinct => Detail::Distinct(Box::default()),
            PlanKind::Measure(Measure::ErrorShare | Measure::DurationSeconds) => {
                Detail::Average(Box::new([0; BUCKETS]))
            }
        };
        Entry {
            plan: plan_index,
            group,
            newest: bucket_of(plan, arrival.time),
            events: Ring::default(),
            detail,
            trace: Trace::default(),
            client: arrival.client,
            service: arrival.service,
            members: plan.blames_members().then(Box::default),
            fired: None,
        }
    }

    /// Takes an arrival in; `None` where it is older than the window. Says whether the rule's condition is met.
    pub fn add(&mut self, plan: &Plan, arrival: &Arrival<'_>) -> Option<Option<Firing>> {
        let bucket = bucket_of(plan, arrival.time);
        match reach(self.newest, bucket) {
            Reach::Ahead(steps) => self.advance(steps),
            Reach::Inside => {}
            Reach::Behind => return None,
        }
        self.events.add(bucket, arrival.count);
        self.add_detail(bucket, arrival);
        self.trace.add(arrival.input, bucket, self.newest, (arrival.first, arrival.last));
        arrival.before.iter().for_each(|stretch| self.trace.cover(bucket, self.newest, *stretch));
        if let (Some(members), Some(client)) = (&mut self.members, arrival.client) {
            members.add(client, bucket, self.newest, arrival.count);
        }
        self.note_client(arrival);
        Some(self.judge(plan, arrival.time))
    }

    /// Reads the entry and what it points to. The number says nothing.
    pub fn look_ahead(&self) -> u64 {
        self.events.total().wrapping_add(self.trace.look_ahead()).wrapping_add(self.newest as u64)
    }

    /// The last bucket that holds anything; a window behind it by a full ring is empty.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// How much would be lost if this key were forgotten: fired ones and fuller ones last.
    pub fn worth(&self) -> (bool, u64, i64) {
        let fired = self.fired.as_ref().is_some_and(|fired| fired.count.is_some());
        (fired, self.events.total(), self.newest)
    }

    /// What the key takes, in bytes: the same wherever it is restored, so lengths count and not capacities.
    pub fn bytes(&self) -> usize {
        let detail = match &self.detail {
            Detail::Count => 0,
            Detail::Distinct(detail) => detail.bytes(),
            Detail::Average(_) => size_of::<[u64; BUCKETS]>(),
        };
        let members = self.members.as_ref().map_or(0, |members| members.bytes());
        let fired = self.fired.as_ref().map_or(0, |fired| size_of_val(&**fired) + size_of_val(&*fired.cells));
        size_of::<Entry>() + group_bytes(&self.group) + detail + self.trace.bytes() + members + fired
    }

    /// The clients that gave events to this window.
    pub fn members(&self) -> (Vec<crate::event::Member>, u64) {
        self.members.as_ref().map_or((Vec::new(), 0), |members| members.list(self.newest))
    }

    /// The texts among the first values of a distinct count.
    pub fn sampled_texts(&self) -> Vec<Box<str>> {
        let Detail::Distinct(detail) = &self.detail else { return Vec::new() };
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.clone()),
            Value::Client(_) | Value::Number(_) => None,
        };
        detail.samples.iter().filter_map(text).collect()
    }

    fn advance(&mut self, steps: i64) {
        if steps >= BUCKETS as i64 {
            self.trace.clear();
            self.client = None;
            if let Some(fired) = &mut self.fired {
                fired.count = None;
            }
        }
        self.events.advance(self.newest, steps);
        match &mut self.detail {
            Detail::Count => {}
            Detail::Distinct(detail) if steps >= BUCKETS as i64 => **detail = DistinctDetail::default(),
            Detail::Distinct(_) => {}
            Detail::Average(sums) => {
                (1..=steps.min(BUCKETS as i64)).for_each(|step| sums[slot(self.newest + step)] = 0);
            }
        }
        self.newest += steps;
    }

    fn add_detail(&mut self, bucket: i64, arrival: &Arrival<'_>) {
        match (&mut self.detail, arrival.value) {
            (Detail::Distinct(detail), Some(value)) => detail.add(value, bucket, self.newest),
            (Detail::Average(sums), _) => {
                let sum = &mut sums[slot(bucket)];
                *sum = sum.saturating_add(arrival.sum);
            }
            (Detail::Count | Detail::Distinct(_), _) => {}
        }
    }

    /// The standing of a client is the worst it had in this window; where a key turns out to be about several, none of
    /// them answers for the others.
    fn note_client(&mut self, arrival: &Arrival<'_>) {
        self.client = match (self.client, arrival.client) {
            (Some(mut known), Some(new)) => {
                let same = known.key() == new.key();
                known.standing = known.standing.max(new.standing);
                known.standing = if same { known.standing } else { known.standing.max(Standing::Unattributed) };
                Some(known)
            }
            (known, new) => known.or(new),
        };
        self.service = arrival.service;
    }

    fn judge(&mut self, plan: &Plan, time: Time) -> Option<Firing> {
        let events = self.events.total();
        let value = self.measured(plan, events);
        let met = plan.condition.iter().all(|(comparison, threshold)| comparison.holds(value, *threshold));
        if !met || events < plan.events_min.max(1) {
            return None;
        }
        let count = shown(plan, value);
        let start = Time((self.newest - BUCKETS as i64 + 1) * plan.bucket());
        let number = self.fired.get_or_insert_default().fire(count, cell_of(plan, time), cell_of(plan, start));
        Some(Firing { count, events, window: Window { start, end: time }, number })
    }

    fn measured(&self, plan: &Plan, events: u64) -> f64 {
        match &self.detail {
            Detail::Count => events as f64,
            Detail::Distinct(detail) => detail.values.count(self.newest) as f64,
            Detail::Average(sums) => {
                let mean = sums.iter().sum::<u64>() as f64 / events.max(1) as f64;
                if plan.kind == PlanKind::Measure(Measure::DurationSeconds) { mean / SECOND as f64 } else { mean }
            }
        }
    }
}

impl Fired {
    /// The number in its cell of a firing with this count; `None` where the key is silent.
    fn fire(&mut self, count: u64, cell: i64, oldest: i64) -> Option<u32> {
        if self.count.is_some_and(|last| count < last.saturating_mul(REFIRE_FACTOR).max(1)) {
            return None;
        }
        self.count = Some(count);
        self.cells.retain(|(other, _)| *other >= oldest);
        match self.cells.iter_mut().find(|(other, _)| *other == cell) {
            Some((_, fired)) => {
                *fired += 1;
                Some(*fired - 1)
            }
            None => {
                self.cells.push((cell, 1));
                Some(0)
            }
        }
    }
}

impl DistinctDetail {
    fn bytes(&self) -> usize {
        size_of_val(self) + self.values.bytes() + size_of_val(&*self.samples) + self.sample_bytes
    }

    fn add(&mut self, value: &Value, bucket: i64, newest: i64) {
        let hash = match value {
            Value::Text(text) => value_hash(text.as_bytes()),
            Value::Client(_) | Value::Number(_) => value_hash(value.to_string().as_bytes()),
        };
        self.values.add(hash, bucket, newest);
        if self.samples.len() < Finding::USERS_MAX && !self.samples.contains(value) {
            self.samples.push(value.clone());
            self.sample_bytes += text_bytes(value);
        }
    }
}

fn group_bytes(group: &[Value]) -> usize {
    size_of_val(group) + group.iter().map(text_bytes).sum::<usize>()
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Client(_) | Value::Number(_) => 0,
    }
}

/// The cell of the timespan grid that an instant's second lies in, as in the alert's id (design §7).
fn cell_of(plan: &Plan, time: Time) -> i64 {
    time.second().saturating_mul(SECOND).div_euclid(plan.timespan.max(1))
}

/// The bucket of an instant on the epoch's grid.
pub fn bucket_of(plan: &Plan, time: Time) -> i64 {
    time.0.div_euclid(plan.bucket())
}

/// A share is shown in percent, everything else as it is, rounded down.
pub fn shown(plan: &Plan, value: f64) -> u64 {
    match plan.kind {
        PlanKind::Measure(Measure::ErrorShare) => (value * 100.0) as u64,
        PlanKind::Events | PlanKind::Distinct | PlanKind::Measure(Measure::Requests | Measure::DurationSeconds) => {
            value as u64
        }
    }
}

fn slot(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use crate::detect::rule::Comparison;
    use crate::event::{EntityKind, RuleIndex};

    use super::*;

    fn plan(timespan: i64, threshold: f64) -> Plan {
        Plan {
            rule: RuleIndex(0),
            kind: PlanKind::Events,
            group_by: Vec::new(),
            value: None,
            timespan,
            condition: vec![(Comparison::AtLeast, threshold)],
            events_min: 0,
            entity: EntityKind::Client,
            after: None,
        }
    }

    fn arrival(time: i64, address: &str) -> Arrival<'static> {
        Arrival {
            input: InputIndex(0),
            time: Time(time),
            count: 1,
            sum: 0,
            value: None,
            client: Some(Client { address: address.parse().expect("an address"), standing: Standing::Attributed }),
            service: ServiceIndex(0),
            first: Place::default(),
            last: Place::default(),
            before: &[],
        }
    }

    /// Cell and number of each firing: what tells the ids of one key's alerts apart.
    fn firings(plan: &Plan, times: &[i64]) -> Vec<(i64, u32)> {
        let mut entry = Entry::new(0, plan, Group::from([].as_slice()), &arrival(times[0], "8.8.8.8"));
        let fire = |time: &i64| {
            let firing = entry.add(plan, &arrival(*time, "8.8.8.8")).flatten()?;
            Some((cell_of(plan, Time(*time)), firing.number?))
        };
        times.iter().filter_map(fire).collect()
    }

    #[test]
    fn a_cell_is_numbered_on_though_the_window_emptied() {
        assert_eq!(firings(&plan(17 * SECOND, 1.0), &[17_000, 33_990]), [(1, 0)], "within one timespan it is silent");
        let (minute, late) = (plan(60 * SECOND, 2.0), 64 * SECOND);
        let times = [0, 1, late, 10 * SECOND];
        assert_eq!(firings(&minute, &times), [(0, 0), (0, 1)], "the trigger came out of order");
    }

    #[test]
    fn of_several_clients_behind_one_key_none_answers_for_the_others() {
        let plan = plan(60 * SECOND, 2.0);
        let mut entry = Entry::new(0, &plan, Group::from([].as_slice()), &arrival(0, "2a00::1"));
        entry.add(&plan, &arrival(0, "2a00::1"));
        entry.add(&plan, &arrival(1, "2a00::2"));
        assert_eq!(entry.client.map(|client| client.standing), Some(Standing::Attributed), "one /64 is one client");
        entry.add(&plan, &arrival(2, "8.8.8.8"));
        assert_eq!(entry.client.map(|client| client.standing), Some(Standing::Unattributed));
    }
}
