//! The state of one key of one rule. Pure.

use serde::{Deserialize, Serialize};

use crate::detect::plan::{BUCKETS, Plan, PlanKind};
use crate::detect::rule::Measure;
use crate::event::{Client, Finding, Place, SECOND, ServiceIndex, Time, Value, Window};

use super::InputIndex;
use super::distinct::{Distinct, value_hash};
use super::group::Group;
use super::members::Members;
use super::ring::{Reach, Ring, reach};
use super::trace::Trace;

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
    fired: Option<Fired>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fired {
    count: u64,
    cell: i64,
    number: u32,
}

/// What a window says when its rule's condition is met anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    pub count: u64,
    pub events: u64,
    pub window: Window,
    pub number: u32,
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

    /// Takes an arrival in; `None` where it is older than the window. Says whether the rule fires.
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
        if let (Some(members), Some(client)) = (&mut self.members, arrival.client) {
            members.add(client, bucket, arrival.count);
        }
        self.note_client(arrival);
        Some(self.judge(plan, arrival.time))
    }

    /// The last bucket that holds anything; a window behind it by a full ring is empty.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// How much would be lost if this key were forgotten: fired ones and fuller ones last.
    pub fn worth(&self) -> (bool, u64, i64) {
        (self.fired.is_some(), self.events.total(), self.newest)
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
            self.fired = None;
            self.client = None;
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

    /// The standing of a client is the worst it had in this window.
    fn note_client(&mut self, arrival: &Arrival<'_>) {
        self.client = match (self.client, arrival.client) {
            (Some(mut known), Some(new)) => {
                known.standing = known.standing.max(new.standing);
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
        let cell = time.second().div_euclid((plan.timespan / SECOND).max(1));
        let number = match self.fired {
            Some(fired) if count < fired.count.saturating_mul(REFIRE_FACTOR).max(1) => return None,
            Some(fired) if fired.cell == cell => fired.number + 1,
            Some(_) | None => 0,
        };
        self.fired = Some(Fired { count, cell, number });
        let start = Time((self.newest - BUCKETS as i64 + 1) * plan.bucket());
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

impl DistinctDetail {
    fn add(&mut self, value: &Value, bucket: i64, newest: i64) {
        let hash = match value {
            Value::Text(text) => value_hash(text.as_bytes()),
            Value::Client(_) | Value::Number(_) => value_hash(value.to_string().as_bytes()),
        };
        self.values.add(hash, bucket, newest);
        if self.samples.len() < Finding::USERS_MAX && !self.samples.contains(value) {
            self.samples.push(value.clone());
        }
    }
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
