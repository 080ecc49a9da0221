//! An outage is not an attack: the gauge that tells one from the other, per service (design §8.6). Pure.
//!
//! A service is in outage while, of the clients active on it in the last 10 s that had succeeded on it before and have
//! no finding of their own, at least 10 in number, a quarter met a failure. The gauge reads tallies alone, in the order
//! in which they are released, and judges after each; it deliberately has no clock: where nothing more is observed, an
//! outage ends 60 s after the last second that showed it.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::event::{Counts, MINUTE, SECOND, Time};

use super::clients::TOUCH_AFTER;
use super::table::Table;

/// The stretch that is looked at, in seconds (design §8.6).
const WINDOW: i64 = 10;
/// Fewer clients than this prove nothing (design §8.6).
const WITNESSES_MIN: u32 = 10;
/// One in so many must have met a failure (design §8.6).
const QUARTER: u32 = 4;
/// An outage ends this many seconds after the gauge stopped showing it (design §8.6).
const AFTERMATH: i64 = 60;
/// Blocks for failures this long before the start of an outage were its first victims (design §8.6).
pub(super) const PRELUDE: i64 = 2 * MINUTE;
/// How long a past outage still explains findings that come late: the default grace is 10 min (design §7), and what is
/// later than that enters no window.
const REMEMBERED: i64 = 15 * MINUTE;
/// Services with a gauge. Service names are those of the pipelines (design §8.2), so hundreds are many; those beyond
/// have no gauge, so that their findings are judged as if they never had an outage, and are counted.
const SERVICES_MAX: usize = 1_000;
/// Clients that succeeded, per service: a tenth of a percent of these is already more witnesses than needed. Beyond it
/// the one that was away longest makes room and is counted.
const WITNESSES_PER_SERVICE_MAX: usize = 100_000;
/// Clients that succeeded, over all services: about 60 bytes each, so 60 MB. Beyond it the service with most gives one.
const WITNESSES_MAX: usize = 1_000_000;

/// The gauges of all services.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outages {
    names: BTreeMap<Box<str>, u16>,
    gauges: Vec<Gauge>,
    /// Clients that succeeded on a service; the list is the service's.
    witnesses: Table<(u16, Ipv6Addr), Witness>,
    evicted: u64,
    /// Tallies of services that have no gauge.
    without_gauge: u64,
    started: u64,
}

/// What one client did on one service, in whole seconds from the epoch. Absent where it did not count in the window.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Witness {
    succeeded: i64,
    touched: i64,
    active: Option<i64>,
    failed: Option<i64>,
}

/// One service's window: how many clients were last active, and last met a failure, in each of its seconds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Gauge {
    newest: i64,
    active: [u32; WINDOW as usize],
    failed: [u32; WINDOW as usize],
    outage: Option<Outage>,
}

/// An outage that is or was: the second that showed it first, and the last one.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Outage {
    started: i64,
    shown: i64,
}

impl Outages {
    pub(super) fn new() -> Outages {
        Outages {
            names: BTreeMap::new(),
            gauges: Vec::new(),
            witnesses: Table::new(0),
            evicted: 0,
            without_gauge: 0,
            started: 0,
        }
    }

    /// A client was active on a service in `second`. Says when an outage starts by it.
    pub(super) fn observe(
        &mut self,
        service: &str,
        (client, suspect): (Ipv6Addr, bool),
        second: i64,
        counts: &Counts,
    ) -> Option<Time> {
        let Some(service) = self.service(service, second) else {
            self.without_gauge += 1;
            return None;
        };
        self.gauges[usize::from(service)].roll(second);
        match self.witnesses.find(&(service, client)) {
            Some(place) => self.count(service, place, second, (counts, suspect)),
            None if counts.successes > 0 => self.add(service, client, second),
            None => {}
        }
        let started = self.gauges[usize::from(service)].judge();
        self.started += u64::from(started.is_some());
        started
    }

    pub(super) fn look_ahead(&self, service: &str, client: Ipv6Addr) -> u64 {
        let place = self.names.get(service).and_then(|service| self.witnesses.find(&(*service, client)));
        place.map_or(0, |place| self.witnesses.value(place).touched as u64)
    }

    /// A client has a finding of its own: what it met on any service no longer counts.
    pub(super) fn dismiss(&mut self, client: Ipv6Addr) {
        for service in 0..self.gauges.len() {
            if let Some(place) = self.witnesses.find(&(service as u16, client)) {
                let witness = self.witnesses.value_mut(place);
                self.gauges[service].forget(witness);
                (witness.active, witness.failed) = (None, None);
            }
        }
    }

    /// Whether a finding about failures at `time` can be an outage's doing. One that names no service can be that of
    /// any outage.
    pub(super) fn explains(&self, service: Option<&str>, time: Time) -> bool {
        match service {
            Some(name) => self.names.get(name).is_some_and(|index| self.gauges[usize::from(*index)].explains(time)),
            None => self.gauges.iter().any(|gauge| gauge.explains(time)),
        }
    }

    /// Stream time has come to `stream`: outages that ended long before it are forgotten.
    pub(super) fn advance(&mut self, stream: Time) {
        for gauge in &mut self.gauges {
            gauge.outage = gauge.outage.filter(|outage| stream.since(outage.end()) <= REMEMBERED);
        }
    }

    /// The services in outage at `time`, by name.
    pub(super) fn ongoing(&self, time: Time) -> impl Iterator<Item = &str> {
        let ongoing = move |index: u16| {
            let outage = self.gauges[usize::from(index)].outage;
            outage.is_some_and(|outage| outage.start() <= time && time < outage.end())
        };
        self.names.iter().filter(move |(_, index)| ongoing(**index)).map(|(name, _)| &**name)
    }

    pub(super) fn started(&self) -> u64 {
        self.started
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn without_gauge(&self) -> u64 {
        self.without_gauge
    }

    fn service(&mut self, name: &str, second: i64) -> Option<u16> {
        if let Some(service) = self.names.get(name) {
            return Some(*service);
        }
        if self.gauges.len() >= SERVICES_MAX {
            return None;
        }
        let service = self.gauges.len() as u16;
        self.names.insert(name.into(), service);
        self.gauges.push(Gauge::new(second));
        self.witnesses.add_list();
        Some(service)
    }

    fn add(&mut self, service: u16, client: Ipv6Addr, second: i64) {
        if self.witnesses.list_len(service) >= WITNESSES_PER_SERVICE_MAX {
            self.evict(service);
        } else if self.witnesses.len() >= WITNESSES_MAX {
            let largest = (0..self.gauges.len() as u16).max_by_key(|list| self.witnesses.list_len(*list));
            self.evict(largest.unwrap_or(service));
        }
        self.witnesses.insert(
            (service, client),
            Witness { succeeded: second, touched: second, active: None, failed: None },
            service,
        );
    }

    fn evict(&mut self, service: u16) {
        if let Some((_, witness)) = self.witnesses.evict(service) {
            self.gauges[usize::from(service)].forget(&witness);
            self.evicted += 1;
        }
    }

    fn count(&mut self, service: u16, place: u32, second: i64, (counts, suspect): (&Counts, bool)) {
        let gauge = &mut self.gauges[usize::from(service)];
        let witness = self.witnesses.value_mut(place);
        let proven = witness.succeeded < second;
        if proven && !suspect && gauge.holds(second) {
            let failed = counts.errors > 0 || counts.slow > 0 || counts.failures > 0;
            gauge.forget(witness);
            witness.active = witness.active.max(Some(second));
            witness.failed = if failed { witness.failed.max(Some(second)) } else { witness.failed };
            gauge.remember(witness);
        }
        if counts.successes > 0 {
            witness.succeeded = witness.succeeded.min(second);
        }
        if second.saturating_sub(witness.touched) >= TOUCH_AFTER {
            witness.touched = second;
            self.witnesses.touch(place, service);
        }
    }
}

impl Gauge {
    fn new(second: i64) -> Gauge {
        Gauge { newest: second, active: [0; WINDOW as usize], failed: [0; WINDOW as usize], outage: None }
    }

    /// Moves the window so that it ends with `second`; it never moves back.
    fn roll(&mut self, second: i64) {
        let steps = second.saturating_sub(self.newest).min(WINDOW);
        for step in 0..steps {
            let bucket = bucket(second - step);
            (self.active[bucket], self.failed[bucket]) = (0, 0);
        }
        self.newest = self.newest.max(second);
    }

    fn holds(&self, second: i64) -> bool {
        second <= self.newest && self.newest.saturating_sub(second) < WINDOW
    }

    fn forget(&mut self, witness: &Witness) {
        if let Some(second) = witness.active.filter(|second| self.holds(*second)) {
            self.active[bucket(second)] -= 1;
        }
        if let Some(second) = witness.failed.filter(|second| self.holds(*second)) {
            self.failed[bucket(second)] -= 1;
        }
    }

    fn remember(&mut self, witness: &Witness) {
        if let Some(second) = witness.active.filter(|second| self.holds(*second)) {
            self.active[bucket(second)] += 1;
        }
        if let Some(second) = witness.failed.filter(|second| self.holds(*second)) {
            self.failed[bucket(second)] += 1;
        }
    }

    /// Whether the window shows an outage now; says when one starts by it.
    fn judge(&mut self) -> Option<Time> {
        let active: u32 = self.active.iter().sum();
        let failed: u32 = self.failed.iter().sum();
        if active < WITNESSES_MIN || failed.saturating_mul(QUARTER) < active {
            return None;
        }
        match &mut self.outage {
            Some(outage) if self.newest.saturating_sub(outage.shown) <= AFTERMATH => {
                outage.shown = self.newest;
                None
            }
            _ => {
                let outage = Outage { started: self.newest, shown: self.newest };
                self.outage = Some(outage);
                Some(outage.start())
            }
        }
    }

    fn explains(&self, time: Time) -> bool {
        self.outage.is_some_and(|outage| outage.start().plus(-PRELUDE) <= time && time < outage.end())
    }
}

impl Outage {
    fn start(self) -> Time {
        Time(self.started.saturating_mul(SECOND))
    }

    fn end(self) -> Time {
        Time(self.shown.saturating_add(1 + AFTERMATH).saturating_mul(SECOND))
    }
}

fn bucket(second: i64) -> usize {
    second.rem_euclid(WINDOW) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Counts = Counts {
        requests: 1,
        errors: 0,
        slow: 0,
        failures: 0,
        successes: 1,
        logins: 0,
        timed: 0,
        duration_ms: 0,
        bytes: 0,
    };
    const ERROR: Counts = Counts { errors: 1, successes: 0, ..GOOD };

    fn client(number: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(u128::from(number) << 64)
    }

    /// `clients` that succeeded at second 0 are active at 10, the first `failing` of them in vain.
    fn gauge(clients: u32, failing: u32, counts: Counts) -> (Outages, Option<Time>) {
        let mut outages = Outages::new();
        for number in 0..clients {
            outages.observe("portal", (client(number), false), 0, &GOOD);
        }
        let mut started = None;
        for number in (0..clients).rev() {
            let counts = if number < failing { counts } else { GOOD };
            started = started.or(outages.observe("portal", (client(number), false), 10, &counts));
        }
        (outages, started)
    }

    #[test]
    fn a_quarter_of_ten_clients_is_an_outage() {
        for (clients, failing, counts, starts) in [
            (12, 3, ERROR, true),
            (12, 2, ERROR, false),
            (9, 9, ERROR, false),
            (10, 3, Counts { slow: 1, ..GOOD }, true),
            (10, 3, Counts { failures: 1, ..GOOD }, true),
            (10, 10, GOOD, false),
        ] {
            let (outages, started) = gauge(clients, failing, counts);
            assert_eq!(started, starts.then_some(Time(10_000)), "{failing} of {clients}");
            assert_eq!(outages.explains(Some("portal"), Time(12_000)), starts);
            assert_eq!(outages.explains(None, Time(12_000)), starts);
            assert!(!outages.explains(Some("other"), Time(12_000)));
        }
    }

    #[test]
    fn clients_that_never_succeeded_are_no_witnesses() {
        let mut outages = Outages::new();
        for number in 0..100 {
            for second in 0..20 {
                assert_eq!(outages.observe("portal", (client(number), false), second, &ERROR), None);
            }
        }
    }

    #[test]
    fn clients_with_a_finding_are_no_witnesses() {
        let mut outages = Outages::new();
        for number in 0..20 {
            outages.observe("portal", (client(number), false), 0, &GOOD);
        }
        for number in 0..20 {
            assert_eq!(outages.observe("portal", (client(number), number < 12), 5, &ERROR), None);
        }
        let (mut outages, started) = gauge(12, 2, ERROR);
        assert_eq!(started, None);
        (3..12).for_each(|number| outages.dismiss(client(number)));
        assert_eq!(outages.observe("portal", (client(0), false), 11, &ERROR), None, "three are left");
    }

    #[test]
    fn it_ends_a_minute_after_it_was_last_shown() {
        let (mut outages, _) = gauge(12, 3, ERROR);
        assert!(outages.explains(Some("portal"), Time(70_999)));
        assert!(!outages.explains(Some("portal"), Time(71_000)));
        assert_eq!(outages.ongoing(Time(70_999)).collect::<Vec<_>>(), ["portal"]);
        assert_eq!(outages.ongoing(Time(71_000)).count(), 0);
        outages.advance(Time(71_000 + REMEMBERED));
        assert!(outages.explains(Some("portal"), Time(70_999)));
        outages.advance(Time(71_001 + REMEMBERED));
        assert!(!outages.explains(Some("portal"), Time(70_999)));
    }

    #[test]
    fn services_beyond_the_limit_have_no_gauge() {
        let mut outages = Outages::new();
        for number in 0..SERVICES_MAX + 5 {
            outages.observe(&number.to_string(), (client(0), false), 0, &GOOD);
        }
        assert_eq!(outages.without_gauge(), 5);
    }

    #[test]
    fn witnesses_beyond_the_limit_make_room() {
        let mut outages = Outages::new();
        for number in 0..WITNESSES_PER_SERVICE_MAX as u32 + 3 {
            outages.observe("portal", (client(number), false), i64::from(number / 20_000), &GOOD);
            outages.observe("portal", (client(number), false), i64::from(number / 20_000) + 1, &GOOD);
        }
        assert_eq!(outages.evicted(), 3);
    }
}
