//! The state machine from findings to outcomes. Pure.
//!
//! It is fed by the fold: [`Responder::observe`] for each tally that is released, [`Responder::respond`] for each
//! finding, [`Responder::advance`] when time passes, and the operators' commands. What leaves is appended to the
//! caller's list, in the order in which it takes effect. How often `advance` is called between two other inputs cannot
//! be seen in what leaves. It deliberately never looks at a record: findings and tallies are all it knows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::outcome::{Lift, LiftCause, Origin};
use crate::event::{EntityKind, Finding, Outcome, Standing, Tally, Time};

use super::alert::alert;
use super::blocks::{Blocks, Offences};
use super::budget::Budget;
use super::clients::{Clients, table_key};
use super::counters::{Counters, Evicted};
use super::decide::Charge;
use super::guard::Guard;
use super::ids;
use super::incident::Incidents;
use super::outage::{Outages, PRELUDE};
use super::prefix::{Prefix, Prefixes};
use super::settings::{RuleSettings, Settings};

/// Responds to findings.
#[derive(Clone)]
pub struct Responder {
    pub(super) settings: Arc<Settings>,
    /// The settings' protected networks, ready for look-up.
    pub(super) protected: Prefixes<()>,
    pub(super) state: State,
}

/// What responding remembers: all of it bounded, and equal for equal inputs. Its serialized form is a snapshot.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(super) stream: Time,
    pub(super) journal: Time,
    pub(super) clients: Clients,
    pub(super) outages: Outages,
    pub(super) blocks: Blocks,
    pub(super) offences: Offences,
    pub(super) budget: Budget,
    pub(super) incidents: Incidents,
    pub(super) allowed: Prefixes<()>,
    pub(super) holds: Prefixes<Time>,
    pub(super) counters: Counters,
}

impl Responder {
    pub fn new(settings: Arc<Settings>) -> Responder {
        Responder::restore(settings, State::new())
    }

    /// Goes on from a snapshot.
    pub fn restore(settings: Arc<Settings>, state: State) -> Responder {
        let protected = protected(&settings);
        Responder { settings, protected, state }
    }

    /// The snapshot.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Switches the catalog. Blocks of what it protects end.
    pub fn set_settings(&mut self, settings: Arc<Settings>, out: &mut Vec<Outcome>) {
        self.protected = protected(&settings);
        self.settings = settings;
        let protected = std::mem::replace(&mut self.protected, Prefixes::new());
        for (network, ()) in protected.iter() {
            self.lift_overlapping(network, LiftCause::Allowlist, None, out);
        }
        self.protected = protected;
    }

    /// Reads what [`Responder::observe`] will need for a tally, so that it is near. The number says nothing.
    pub fn look_ahead(&self, tally: &Tally, service: &str) -> u64 {
        let Some(client) = tally.client else { return 0 };
        let key = table_key(client.key());
        self.state.clients.look_ahead(key).wrapping_add(self.state.outages.look_ahead(service, key))
    }

    /// A tally was released: its client was here, and its service fared well or badly. Lifts what an outage that
    /// starts by it explains.
    pub fn observe(&mut self, tally: &Tally, service: &str, out: &mut Vec<Outcome>) {
        // Lines that anybody could have forged are no witnesses, and their senders nobody's regulars.
        let Some(client) = tally.client.filter(|client| client.standing != Standing::Unattributed) else { return };
        let key = table_key(client.key());
        let suspect = self.state.clients.observe(key, tally.second, tally.counts.logins > 0);
        let started = self.state.outages.observe(service, (key, suspect), tally.second, &tally.counts);
        if let Some(started) = started {
            let since = started.plus(-PRELUDE);
            for target in self.state.blocks.for_failures(service, since) {
                self.end(target, (LiftCause::Outage, self.state.journal), None, out);
            }
        }
    }

    /// A rule concluded something: always an alert and a change of its entity's incident, and the blocks that the
    /// guard allows, in this order.
    pub fn respond(&mut self, finding: &Finding, out: &mut Vec<Outcome>) {
        self.pass(finding.appended_at, out);
        let settings = Arc::clone(&self.settings);
        let Some(rule) = settings.rules.get(usize::from(finding.rule.0)) else {
            self.state.counters.unknown_rules += 1;
            return;
        };
        self.dismiss_witness(rule, finding);
        let id = ids::alert(rule, finding);
        let incident = self.state.incidents.id(finding, id);
        let level = rule.level.min(settings.level);
        let charge = Charge { settings: &settings, rule, finding, alert: id, incident: &incident, level };
        let blocks_before = self.state.counters.blocks;
        let mut changes = Vec::new();
        let response = self.answer(&charge, &mut changes);
        let opened = self.state.counters.blocks - blocks_before;
        self.state.counters.alerts += 1;
        let change = self.state.incidents.add(rule, finding, incident.clone(), opened);
        out.push(Outcome::Alert(Box::new(alert(rule, finding, id, incident, response))));
        out.push(Outcome::Incident(change));
        out.append(&mut changes);
    }

    /// Time has come to `stream` and `journal`; neither goes back. Blocks expire by the journal's time, each at its own,
    /// ordered by that and their ids.
    pub fn advance(&mut self, stream: Time, journal: Time, out: &mut Vec<Outcome>) {
        self.state.stream = self.state.stream.max(stream);
        self.state.outages.advance(self.state.stream);
        self.pass(journal, out);
    }

    /// Totals and fill levels.
    pub fn counters(&self) -> Counters {
        let State { clients, outages, blocks, offences, budget, incidents, counters, .. } = &self.state;
        Counters {
            outages: outages.started(),
            services_without_gauge: outages.without_gauge(),
            active_blocks: blocks.len() as u64,
            clients: clients.total(),
            frozen: budget.frozen(),
            evicted: Evicted {
                clients: clients.evicted(),
                witnesses: outages.evicted(),
                incidents: incidents.evicted(),
                offences: offences.evicted(),
                holds: counters.evicted.holds,
            },
            ..counters.clone()
        }
    }

    /// The services in outage by stream time, by name.
    pub fn outages(&self) -> impl Iterator<Item = &str> {
        self.state.outages.ongoing(self.state.stream)
    }

    /// The journal's time has come to `journal`.
    pub(super) fn pass(&mut self, journal: Time, out: &mut Vec<Outcome>) {
        let journal = self.state.journal.max(journal);
        self.state.journal = journal;
        while let Some((expires_at, target)) = self.state.blocks.expired(journal) {
            self.end(target, (LiftCause::Expired, expires_at), None, out);
        }
        self.state.budget.advance(journal);
        self.state.offences.advance(journal);
    }

    /// Ends the block of a target. One that ended because it was wrong is no offence.
    pub(super) fn end(
        &mut self,
        target: Prefix,
        (cause, at): (LiftCause, Time),
        by: Option<&str>,
        out: &mut Vec<Outcome>,
    ) {
        let Some(active) = self.state.blocks.remove(target) else { return };
        let offences = match cause {
            LiftCause::Expired | LiftCause::Superseded => active.offence,
            LiftCause::Operator | LiftCause::Allowlist | LiftCause::Outage => active.offence.saturating_sub(1),
        };
        if active.origin == Origin::Rule {
            self.state.offences.set(target, offences, at);
        }
        self.state.counters.lifts.count(cause);
        out.push(Outcome::Lift(Lift {
            id: ids::lift(active.id, cause).to_string(),
            action: "lift".to_owned(),
            target: target.to_string(),
            block: active.id.to_string(),
            lifted_at: at,
            cause,
            by: by.map(str::to_owned),
        }));
    }

    /// Ends the blocks of all targets that have an address in common with `network`.
    pub(super) fn lift_overlapping(
        &mut self,
        network: Prefix,
        cause: LiftCause,
        by: Option<&str>,
        out: &mut Vec<Outcome>,
    ) -> usize {
        let targets = self.state.blocks.overlapping(network);
        for target in &targets {
            self.end(*target, (cause, self.state.journal), by, out);
        }
        targets.len()
    }

    pub(super) fn guard<'a>(&'a self, settings: &'a Settings) -> Guard<'a> {
        Guard {
            settings,
            protected: &self.protected,
            allowed: &self.state.allowed,
            holds: &self.state.holds,
            outages: &self.state.outages,
            journal: self.state.journal,
        }
    }

    /// Who has a finding of his own is no witness of an outage, unless an outage explains the finding itself.
    fn dismiss_witness(&mut self, rule: &RuleSettings, finding: &Finding) {
        let explained = rule.about_failures && self.state.outages.explains(finding.service.as_deref(), finding.time);
        if explained || finding.entity.kind != EntityKind::Client {
            return;
        }
        if let Some(client) = finding.client {
            let key = table_key(client.key());
            self.state.clients.suspect(key, finding.time.second());
            self.state.outages.dismiss(key);
        }
    }
}

impl State {
    fn new() -> State {
        State {
            stream: Time::MIN,
            journal: Time::MIN,
            clients: Clients::new(),
            outages: Outages::new(),
            blocks: Blocks::new(),
            offences: Offences::new(),
            budget: Budget::default(),
            incidents: Incidents::new(),
            allowed: Prefixes::new(),
            holds: Prefixes::new(),
            counters: Counters::default(),
        }
    }
}

fn protected(settings: &Settings) -> Prefixes<()> {
    let networks = settings.protected.iter().map(|network| (Prefix::network(*network), ()));
    Prefixes::from(networks.collect::<Vec<_>>())
}
