//! Law 8, the law of the gate, and what the guard's records owe to laws 1, 2 and 9.
//!
//! Random findings, networks, allowlists, ceilings, budgets and times; what leaves is judged by a model that knows the
//! inputs and none of the responder's structures.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;

use sekisho::event::outcome::{Block, Level, LiftCause, Origin, RuleName};
use sekisho::event::{
    CatalogHash, Client, Counts, DAY, Entity, EntityKind, Finding, HOUR, MINUTE, Member, Outcome, Place, RuleIndex,
    ServiceIndex, Severity, Standing, Tally, Time, Value, Window, client_key,
};
use sekisho::respond::{Budget, Order, OrderedBy, Responder, RuleSettings, Settings, State};

const START: Time = Time(1_795_453_503_414);
/// Long enough for every block of these rules to end.
const LATER: i64 = 60 * DAY;

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Find {
        rule: u16,
        kind: EntityKind,
        who: Index,
        bits: u8,
        members: Vec<(Index, u32)>,
        lag: i64,
    },
    Advance {
        by: i64,
        parts: u8,
    },
    Observe {
        who: Index,
        seconds: Vec<u8>,
        counts: Counts,
    },
    /// Everybody at once.
    Crowd {
        counts: Counts,
    },
    Block {
        who: Index,
        bits: u8,
        ttl: i64,
    },
    Lift {
        who: Index,
        bits: u8,
    },
    Allow {
        who: Index,
        bits: u8,
    },
    Disallow {
        who: Index,
        bits: u8,
    },
    Thaw,
    Switch {
        level: Level,
        protect: (Index, u8),
    },
}

/// Addresses of four networks, some of which share an IPv6 /64.
fn addresses() -> Vec<IpAddr> {
    let mut texts = Vec::new();
    for host in 0..24 {
        texts.push(format!("203.0.113.{host}"));
        texts.push(format!("198.51.{}.7", 100 + host / 8));
        texts.push(format!("2001:db8:0:{}::{host}", host / 3));
        texts.push(format!("2001:db8:{host}::1"));
    }
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

/// Each client's standing is its own, whatever it does.
fn standing(address: IpAddr) -> Standing {
    let last = match client_key(address) {
        IpAddr::V4(v4) => v4.octets()[3] ^ v4.octets()[2],
        IpAddr::V6(v6) => v6.segments()[3] as u8 ^ v6.segments()[2] as u8,
    };
    match last % 9 {
        4 => Standing::Unattributed,
        5 => Standing::Private,
        _ => Standing::Attributed,
    }
}

fn client(who: &Index) -> Client {
    let address = *who.get(&addresses());
    Client { address, standing: standing(address) }
}

/// The network of `bits` around an address, `bits` as of 128.
fn network(who: &Index, bits: u8) -> IpNet {
    let address = *who.get(&addresses());
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length = (u32::from(bits) * width / 128) as u8;
    IpNet::new(address, length).expect("a length that fits").trunc()
}

fn settings() -> impl Strategy<Value = Settings> {
    let rule = (
        select(vec![Level::Alert, Level::Throttle, Level::Block, Level::Block]),
        select(vec![-1, 0, 1, MINUTE, HOUR, 4 * HOUR, 4 * HOUR, 30 * DAY]),
        any::<bool>(),
        select(vec![0, MINUTE, HOUR]),
    );
    let budget = (
        select(vec![0u64, 1, 10, 60, 60, u64::MAX]),
        select(vec![0u64, 5, 1_000, 1_000, u64::MAX]),
        select(vec![0.0, 0.01, 0.01, 1.0]),
    );
    let protected = prop::collection::vec((any::<Index>(), 40u8..=128), 0..4);
    let ceiling = select(vec![Level::Observe, Level::Throttle, Level::Block, Level::Block, Level::Block]);
    let shadow = prop::bool::weighted(0.1);
    (prop::collection::vec(rule, 4), budget, protected, ceiling, shadow).prop_map(
        |(rules, (per_minute, active, share), protected, level, shadow)| Settings {
            catalog: CatalogHash([3; 32]),
            rules: rules.into_iter().enumerate().map(rule_settings).collect(),
            protected: protected.iter().map(|(who, bits)| network(who, *bits)).collect(),
            ordinary: Vec::new(),
            level,
            shadow,
            budget: Budget { per_minute, active, share },
            hold: DAY,
            stale: HOUR,
        },
    )
}

fn rule_settings((index, (level, ttl, about_failures, timespan)): (usize, (Level, i64, bool, i64))) -> RuleSettings {
    RuleSettings {
        name: RuleName { id: format!("rule-{index}"), name: "A rule".to_owned(), version: "0".repeat(12) },
        severity: Severity::Major,
        techniques: Vec::new(),
        category: Vec::new(),
        level,
        ttl,
        threshold: 10,
        timespan,
        about_failures,
        counted: "events".to_owned(),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = select(vec![
        EntityKind::Client,
        EntityKind::Client,
        EntityKind::Client,
        EntityKind::Network,
        EntityKind::User,
        EntityKind::Global,
    ]);
    let members = prop::collection::vec((any::<Index>(), select(vec![0, 3, 5, 11, 11])), 0..60);
    let lag = select(vec![0, 0, 0, 1_000, MINUTE, HOUR, HOUR + 1, -MINUTE]);
    let find = (0u16..5, kind, any::<Index>(), 40u8..=128, members, lag)
        .prop_map(|(rule, kind, who, bits, members, lag)| Step::Find { rule, kind, who, bits, members, lag });
    let by = select(vec![0, 1, 500, 20_000, 59_999, MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, 8 * DAY]);
    let advance = (by, 1u8..5).prop_map(|(by, parts)| Step::Advance { by, parts });
    let counts = (0u32..2, 0u32..2, 0u32..2).prop_map(|(errors, successes, logins)| Counts {
        requests: 1,
        errors,
        successes,
        logins,
        ..Counts::default()
    });
    let observe = (any::<Index>(), prop::collection::vec(0u8..20, 1..6), counts)
        .prop_map(|(who, seconds, counts)| Step::Observe { who, seconds, counts });
    let ttl = select(vec![-1, 0, MINUTE, DAY, DAY]);
    let place = || (any::<Index>(), prop_oneof![40u8..=128, 112u8..=128, Just(128), Just(128)]);
    let login = Counts { requests: 1, successes: 1, logins: 1, ..Counts::default() };
    let success = Counts { logins: 0, ..login };
    let crowd = select(vec![success, login, Counts { successes: 0, errors: 1, ..success }]);
    let level = select(vec![Level::Observe, Level::Throttle, Level::Block, Level::Block, Level::Block, Level::Block]);
    let step = prop_oneof![
        12 => find,
        6 => advance,
        6 => observe,
        2 => crowd.prop_map(|counts| Step::Crowd { counts }),
        2 => (place(), ttl).prop_map(|((who, bits), ttl)| Step::Block { who, bits, ttl }),
        1 => place().prop_map(|(who, bits)| Step::Lift { who, bits }),
        1 => place().prop_map(|(who, bits)| Step::Allow { who, bits }),
        1 => place().prop_map(|(who, bits)| Step::Disallow { who, bits }),
        1 => Just(Step::Thaw),
        1 => (level, place()).prop_map(|(level, protect)| Step::Switch { level, protect }),
    ];
    // Half of the runs begin with known clients, which it takes many of to use the share up.
    let regulars = select(vec![None, Some(Step::Crowd { counts: login })]);
    (regulars, prop::collection::vec(step, 0..120)).prop_map(|(first, rest)| first.into_iter().chain(rest).collect())
}

/// Runs steps, and remembers for the model what went in.
struct Run {
    responder: Responder,
    settings: Settings,
    stream: Time,
    journal: Time,
    firings: BTreeMap<(u16, String, i64), u32>,
    /// Whether advances are made in their parts or at once.
    parts: bool,
}

impl Run {
    fn new(settings: &Settings, parts: bool) -> Run {
        let mut responder = Responder::new(Arc::new(settings.clone()));
        responder.advance(START, START, &mut Vec::new());
        let settings = settings.clone();
        Run { responder, settings, stream: START, journal: START, firings: BTreeMap::new(), parts }
    }

    fn step(&mut self, step: &Step, out: &mut Vec<Outcome>) -> Option<Finding> {
        match step {
            Step::Find { .. } => {
                let finding = self.finding(step);
                self.journal = self.journal.max(finding.appended_at);
                self.responder.respond(&finding, out);
                return Some(finding);
            }
            Step::Advance { by, parts } => self.advance(*by, if self.parts { i64::from(*parts) } else { 1 }, out),
            Step::Observe { who, seconds, counts } => {
                for second in seconds {
                    self.responder.observe(&self.tally(who, i64::from(*second), *counts), "portal", out);
                }
            }
            Step::Crowd { counts } => {
                for tally in self.crowd(*counts) {
                    self.responder.observe(&tally, "portal", out);
                }
            }
            Step::Block { who, bits, ttl } => {
                // Refusals are among what is tested.
                let _ = self.responder.operator_block(&self.order(network(who, *bits), *ttl), out);
            }
            Step::Lift { who, bits } => {
                self.responder.operator_lift(network(who, *bits), "kei", self.journal, out);
            }
            Step::Allow { who, bits } => {
                let allowed = self.responder.allow(&[network(who, *bits)], "kei", self.journal, out);
                assert_eq!(allowed, Ok(()));
            }
            // What is not allowed cannot be taken back; that says nothing of blocks.
            Step::Disallow { who, bits } => drop(self.responder.disallow(&[network(who, *bits)], self.journal, out)),
            Step::Thaw => self.responder.thaw(self.journal, out),
            Step::Switch { level, protect: (who, bits) } => {
                self.settings.level = *level;
                self.settings.protected.push(network(who, *bits));
                self.responder.set_settings(Arc::new(self.settings.clone()), out);
            }
        }
        None
    }

    fn advance(&mut self, by: i64, parts: i64, out: &mut Vec<Outcome>) {
        for part in 1..=parts {
            let at = by * part / parts;
            self.responder.advance(self.stream.plus(at), self.journal.plus(at), out);
        }
        self.stream = self.stream.plus(by);
        self.journal = self.journal.plus(by);
    }

    fn finding(&mut self, step: &Step) -> Finding {
        let Step::Find { rule, kind, who, bits, members, lag } = step else { unreachable!("asked for findings only") };
        let time = self.journal.plus(-lag);
        let client = (*kind == EntityKind::Client).then(|| client(who));
        let value = match kind {
            EntityKind::Client => Value::Client(client_key(*who.get(&addresses()))).to_string(),
            EntityKind::Network => network(who, *bits).to_string(),
            EntityKind::User
            | EntityKind::Service
            | EntityKind::Asn
            | EntityKind::Country
            | EntityKind::Host
            | EntityKind::Global => format!("user-{}", who.index(3)),
        };
        let cell = time.second();
        let firing = self.firings.entry((*rule, value.clone(), cell)).or_default();
        *firing += 1;
        Finding {
            rule: RuleIndex(*rule),
            entity: Entity { kind: *kind, value: value.clone() },
            group: Box::new([Value::Text(value.into())]),
            window: Window { start: time.plus(-MINUTE), end: time },
            count: 10,
            evidence: Vec::new(),
            evidence_total: 10,
            spans: Vec::new(),
            client,
            service: (who.index(4) > 0).then(|| "portal".into()),
            user: None,
            users: Vec::new(),
            members: members.iter().map(|(who, count)| member(who, *count)).collect(),
            members_total: members.len() as u64,
            time,
            appended_at: self.journal,
            // Numbers of a second are told apart within its cell, so they are unique there too.
            firing: (cell.rem_euclid(3_600) as u32) * 1_000 + *firing,
        }
    }

    fn tally(&self, who: &Index, second: i64, counts: Counts) -> Tally {
        tally(client(who), self.stream.second() - 20 + second, counts)
    }

    fn crowd(&self, counts: Counts) -> Vec<Tally> {
        let client = |address| Client { address, standing: standing(address) };
        addresses().into_iter().map(|address| tally(client(address), self.stream.second(), counts)).collect()
    }

    fn order(&self, target: IpNet, ttl: i64) -> Order {
        let (by, reason) = ("kei".to_owned(), "asked for".to_owned());
        Order { target, level: Level::Block, ttl, ordered_by: OrderedBy::Operator, by, reason, at: self.journal }
    }
}

fn tally(client: Client, second: i64, counts: Counts) -> Tally {
    let place = Place { offset: 0, item: None };
    Tally { second, client: Some(client), service: ServiceIndex(0), counts, first: place, last: place }
}

fn member(who: &Index, count: u32) -> Member {
    Member { client: client(who), count }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// What the model knows of the world while it reads what left.
#[derive(Default)]
struct Model {
    protected: Vec<IpNet>,
    allowed: Vec<IpNet>,
    /// Latest record of each block that holds.
    active: BTreeMap<String, Block>,
    ended: BTreeSet<String>,
    alerts: BTreeSet<String>,
    /// When rules opened blocks.
    opened: Vec<Time>,
    /// When known clients were blocked, since the last thaw.
    known_opened: Vec<Time>,
    /// First second and whether there was a login, of clients by key.
    clients: BTreeMap<IpAddr, (i64, bool)>,
}

impl Model {
    fn input(&mut self, step: &Step, run: &Run) {
        match step {
            Step::Allow { who, bits } => self.allowed.push(network(who, *bits)),
            Step::Disallow { who, bits } => self.allowed.retain(|allowed| *allowed != network(who, *bits)),
            Step::Switch { protect: (who, bits), .. } => self.protected.push(network(who, *bits)),
            Step::Thaw => self.known_opened.clear(),
            Step::Observe { who, seconds, counts } => {
                for second in seconds {
                    self.observe(&run.tally(who, i64::from(*second), *counts));
                }
            }
            Step::Crowd { counts } => run.crowd(*counts).iter().for_each(|tally| self.observe(tally)),
            Step::Find { .. } | Step::Advance { .. } | Step::Block { .. } | Step::Lift { .. } => {}
        }
    }

    fn observe(&mut self, tally: &Tally) {
        let client = tally.client.expect("these tallies have one");
        if client.standing == Standing::Unattributed {
            return;
        }
        let (first, login) = self.clients.entry(client.key()).or_insert((tally.second, false));
        *first = (*first).min(tally.second);
        *login |= tally.counts.logins > 0;
    }

    fn outcome(&mut self, outcome: &Outcome, run: &Run, finding: Option<&Finding>) {
        match outcome {
            Outcome::Alert(alert) => assert!(self.alerts.insert(alert.event.id.clone()), "an alert's id comes once"),
            Outcome::Block(block) => self.block(block, run, finding),
            Outcome::Lift(lift) => {
                let block = self.active.remove(&lift.block).expect("what ends was active");
                assert_eq!(block.target, lift.target);
                assert!(self.ended.insert(lift.block.clone()), "a block ends once");
                if lift.cause == LiftCause::Expired {
                    assert_eq!(lift.lifted_at, block.expires_at);
                }
            }
            Outcome::Incident(_) => {}
            Outcome::DeadLetter(_) => unreachable!("responding leaves no dead letter"),
        }
    }

    fn block(&mut self, block: &Block, run: &Run, finding: Option<&Finding>) {
        let target: IpNet = block.target.parse().expect("a target is a network");
        let protected = self.protected.iter().chain(&self.allowed);
        assert_eq!(protected.filter(|network| overlap(network, &target)).count(), 0, "{target} is protected");
        assert!(target.prefix_len() >= if target.addr().is_ipv4() { 24 } else { 48 }, "{target} is too wide");
        assert!(block.expires_at > block.issued_at, "{target} has no expiry");
        assert!(block.level >= Level::Throttle);
        assert!(!self.ended.contains(&block.id), "an ended block begins again");
        let before = self.active.insert(block.id.clone(), block.clone());
        if block.origin == Origin::Rule {
            self.of_rule(block, target, run, finding.expect("a rule blocks upon a finding"));
        }
        match before {
            Some(before) => {
                assert!(block.expires_at > before.expires_at && block.target == before.target);
            }
            None if block.origin == Origin::Rule => self.spend(block, target, run, finding),
            None => {}
        }
        let same = self.active.values().filter(|other| other.target == block.target).count();
        assert_eq!(same, 1, "{target} is blocked twice");
    }

    fn of_rule(&self, block: &Block, target: IpNet, run: &Run, finding: &Finding) {
        let members = finding.members.iter().map(|member| member.client);
        let clients: Vec<_> = finding.client.into_iter().chain(members).collect();
        let mut within = clients.iter().filter(|client| target.contains(&client.key())).peekable();
        assert!(within.peek().is_some(), "{target} took no part");
        assert!(within.all(|client| client.standing == Standing::Attributed), "{target} is not attributed");
        assert!(block.issued_at.since(finding.time) <= run.settings.stale, "a stale finding blocks");
        assert!(block.level <= run.settings.level && !run.settings.shadow);
        let receipt = block.receipt.as_ref().expect("a rule's block has a receipt");
        assert!(receipt.guard.len() == 8 && receipt.guard.iter().all(|verdict| verdict.passed));
    }

    fn spend(&mut self, block: &Block, target: IpNet, run: &Run, finding: Option<&Finding>) {
        let budget = run.settings.budget;
        let at = block.issued_at;
        self.opened.push(at);
        let minute = self.opened.iter().filter(|opened| at.since(**opened) < MINUTE).count() as u64;
        assert!(minute <= budget.per_minute, "{minute} in a minute");
        let active = self.active.values().filter(|block| block.origin == Origin::Rule).count() as u64;
        assert!(active <= budget.active, "{active} at a time");
        let began = finding.map_or(0, |finding| finding.window.start.second());
        let known = self.clients.iter().any(|(key, (first, login))| {
            let whole = target.prefix_len() == if target.addr().is_ipv4() { 32 } else { 64 };
            whole && target.contains(key) && (*login || began - first >= 900)
        });
        if known {
            self.known_opened.push(at);
        }
        let hour = self.known_opened.iter().filter(|opened| at.since(**opened) < HOUR).count() as u64;
        let share = (self.clients.len() as f64 * budget.share) as u64;
        assert!(hour <= share.max(Budget::SHARE_FLOOR), "{hour} known clients in an hour");
    }
}

/// Everything that leaves, with the far end at which all blocks have expired.
fn outcomes(settings: &Settings, steps: &[Step], parts: bool, cut: Option<usize>) -> (Vec<Outcome>, State) {
    let mut run = Run::new(settings, parts);
    let mut out = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if cut == Some(number) {
            let text = serde_json::to_string(run.responder.state()).expect("a state can be written");
            let state: State = serde_json::from_str(&text).expect("and read");
            run.responder = Responder::restore(Arc::new(run.settings.clone()), state);
        }
        run.step(step, &mut out);
    }
    run.advance(LATER, if parts { 7 } else { 1 }, &mut out);
    (out, run.responder.state().clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn nothing_passes_the_gate_that_must_not(settings in settings(), steps in steps()) {
        let mut run = Run::new(&settings, true);
        let mut model = Model { protected: settings.protected.clone(), ..Model::default() };
        for step in &steps {
            let mut out = Vec::new();
            let finding = run.step(step, &mut out);
            // What a command changes holds for what leaves after it, and lifts come first.
            model.input(step, &run);
            for outcome in &out {
                model.outcome(outcome, &run, finding.as_ref());
            }
        }
        let mut out = Vec::new();
        run.advance(LATER, 1, &mut out);
        for outcome in &out {
            model.outcome(outcome, &run, None);
        }
        prop_assert!(model.active.is_empty(), "every block ends");
        prop_assert_eq!(run.responder.counters().active_blocks, 0);
        prop_assert_eq!(run.responder.counters().lifts.total(), model.ended.len() as u64);
    }

    #[test]
    fn how_often_time_is_told_cannot_be_seen(settings in settings(), steps in steps()) {
        let (once, state_once) = outcomes(&settings, &steps, false, None);
        let (often, state_often) = outcomes(&settings, &steps, true, None);
        prop_assert_eq!(once, often);
        prop_assert!(state_once == state_often);
    }

    #[test]
    fn a_cut_cannot_be_seen(settings in settings(), steps in steps(), at in any::<Index>()) {
        let cut = (!steps.is_empty()).then(|| at.index(steps.len()));
        let (whole, state_whole) = outcomes(&settings, &steps, false, None);
        let (halves, state_halves) = outcomes(&settings, &steps, false, cut);
        prop_assert_eq!(whole, halves);
        prop_assert!(state_whole == state_halves);
        let text = |state: &State| serde_json::to_string(state).expect("a state can be written");
        prop_assert_eq!(text(&state_whole), text(&state_halves));
    }
}

/// A law that nothing is ever put to proves nothing: random runs must see every kind of end.
#[test]
fn the_runs_reach_what_they_test() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..250 {
        let (settings, steps) = (settings(), steps()).new_tree(&mut runner).expect("a case").current();
        let (outcomes, state) = outcomes(&settings, &steps, true, None);
        for outcome in outcomes {
            match outcome {
                Outcome::Alert(alert) => drop(reached.insert(format!("{:?}", alert.sekisho.response.result))),
                Outcome::Lift(lift) => drop(reached.insert(format!("lifted {:?}", lift.cause))),
                Outcome::Block(_) | Outcome::Incident(_) | Outcome::DeadLetter(_) => {}
            }
        }
        let refused = Responder::restore(Arc::new(settings), state).counters().refused;
        reached.extend(refused.into_keys().map(|refusal| format!("refused {refusal:?}")));
    }
    let expected = [
        "Blocked",
        "Extended",
        "Observed",
        "Refused",
        "lifted Allowlist",
        "lifted Expired",
        "lifted Operator",
        "lifted Outage",
        "lifted Superseded",
        "refused Budget",
        "refused Expiry",
        "refused Frozen",
        "refused Level",
        "refused Operator",
        "refused Outage",
        "refused Private",
        "refused Protected",
        "refused Shadow",
        "refused Stale",
        "refused TooWide",
        "refused Unattributed",
    ];
    assert_eq!(reached.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
