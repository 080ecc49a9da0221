//! The responder as a whole, in tables: each gate, each refusal, each end. Pure.
//!
//! Deliberately through the public methods alone; the parts have their own tests beside them.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Budget, Counters, Order, OrderedBy, Responder, RuleSettings, Settings, State};
use crate::event::outcome::{
    Alert, Block, Gate, Incident, Level, Lift, LiftCause, Origin, Refusal, ResponseResult, RuleName,
};
use crate::event::{
    CatalogHash, Client, Counts, DAY, Entity, EntityKind, Finding, HOUR, MINUTE, Member, Outcome, Place, Position,
    RuleIndex, SECOND, Severity, Span, Standing, Tally, Time, Value, Window,
};

/// 2026-11-23T17:05:03.414Z
const NOW: Time = Time(1_795_453_503_414);
/// A rule about failures, per client, that blocks for 4 h.
const GUESSING: RuleIndex = RuleIndex(0);
/// A rule about something else that blocks for 1 h.
const INJECTION: RuleIndex = RuleIndex(1);
/// A rule that only alerts.
const SLOW: RuleIndex = RuleIndex(2);
/// A rule that throttles for 1 h.
const FLOOD: RuleIndex = RuleIndex(3);

fn rule(id: &str, level: Level, ttl: i64) -> RuleSettings {
    RuleSettings {
        name: RuleName { id: id.to_owned(), name: format!("Rule {id}"), version: "0123456789ab".to_owned() },
        severity: Severity::Major,
        techniques: vec!["T1110".to_owned()],
        category: vec!["authentication".to_owned()],
        level,
        ttl,
        threshold: 20,
        timespan: MINUTE,
        about_failures: false,
        counted: "failed logins".to_owned(),
    }
}

fn settings() -> Settings {
    Settings {
        catalog: CatalogHash([7; 32]),
        rules: vec![
            RuleSettings { about_failures: true, ..rule("guessing", Level::Block, 4 * HOUR) },
            RuleSettings { severity: Severity::Critical, ..rule("injection", Level::Block, HOUR) },
            RuleSettings { severity: Severity::Minor, ..rule("slow", Level::Alert, 0) },
            rule("flood", Level::Throttle, HOUR),
        ],
        protected: vec![network("192.0.2.0/24"), network("2001:db8:1::/48")],
        ordinary: Vec::new(),
        level: Level::Block,
        shadow: false,
        budget: Budget { per_minute: 60, active: 1_000, share: 0.01 },
        hold: DAY,
        stale: HOUR,
    }
}

fn network(text: &str) -> IpNet {
    text.parse().expect("a network")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn client(text: &str) -> Client {
    Client { address: address(text), standing: Standing::Attributed }
}

fn finding(rule: RuleIndex, from: &str, time: Time) -> Finding {
    let client = client(from);
    Finding {
        rule,
        entity: Entity { kind: EntityKind::Client, value: Value::Client(client.key()).to_string() },
        group: Box::new([Value::Client(client.key())]),
        window: Window { start: time.plus(-MINUTE), end: time },
        count: 20,
        evidence: vec![Position { topic: "nginx".to_owned(), partition: 0, offset: 1_234, item: None }],
        evidence_total: 20,
        spans: vec![Span { topic: "nginx".to_owned(), partition: 0, from: 1_180, to: 1_235 }],
        client: Some(client),
        service: Some("portal".into()),
        user: None,
        users: Vec::new(),
        members: Vec::new(),
        members_total: 1,
        time,
        appended_at: time,
        firing: 0,
    }
}

/// A finding about something that many clients took part in.
fn wide(kind: EntityKind, value: &str, members: &[(&str, u32)]) -> Finding {
    let members: Vec<_> = members.iter().map(|(from, count)| Member { client: client(from), count: *count }).collect();
    Finding {
        entity: Entity { kind, value: value.to_owned() },
        group: Box::new([Value::Text(value.into())]),
        client: None,
        members_total: members.len() as u64,
        members,
        ..finding(GUESSING, "203.0.113.9", NOW)
    }
}

/// What left, by kind.
#[derive(Default)]
struct Left {
    alerts: Vec<Alert>,
    blocks: Vec<Block>,
    lifts: Vec<Lift>,
    incidents: Vec<Incident>,
}

impl Left {
    fn of(outcomes: Vec<Outcome>) -> Left {
        let mut left = Left::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Alert(alert) => left.alerts.push(*alert),
                Outcome::Block(block) => left.blocks.push(*block),
                Outcome::Lift(lift) => left.lifts.push(lift),
                Outcome::Incident(incident) => left.incidents.push(incident),
                Outcome::DeadLetter(_) => unreachable!("responding leaves no dead letter"),
            }
        }
        left
    }

    fn result(&self) -> (ResponseResult, Option<Refusal>) {
        let response = &self.alerts[0].sekisho.response;
        (response.result, response.reason)
    }
}

fn responder() -> Responder {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut Settings)) -> Responder {
    let mut settings = settings();
    change(&mut settings);
    Responder::new(Arc::new(settings))
}

fn respond(responder: &mut Responder, finding: &Finding) -> Left {
    let mut out = Vec::new();
    responder.respond(finding, &mut out);
    Left::of(out)
}

fn advance(responder: &mut Responder, to: Time) -> Left {
    let mut out = Vec::new();
    responder.advance(to, to, &mut out);
    Left::of(out)
}

fn observe(responder: &mut Responder, from: &str, second: i64, counts: Counts) -> Left {
    let place = Place { offset: 0, item: None };
    let client = Some(client(from));
    let tally = Tally { second, client, service: "portal".into(), counts, first: place, last: place };
    let mut out = Vec::new();
    responder.observe(&tally, &mut out);
    Left::of(out)
}

fn success() -> Counts {
    Counts { requests: 1, successes: 1, ..Counts::default() }
}

fn failure() -> Counts {
    Counts { requests: 1, errors: 1, ..Counts::default() }
}

/// Twelve clients that did well, and then did not: an outage that starts with the second of `at`.
fn outage(responder: &mut Responder, at: Time) -> Left {
    let mut out = Vec::new();
    for (second, counts) in [(at.second() - 20, success()), (at.second(), failure())] {
        for number in 0..12 {
            let left = observe(responder, &format!("198.51.100.{number}"), second, counts);
            out.extend(left.lifts.into_iter().map(Outcome::Lift));
        }
    }
    Left::of(out)
}

#[test]
fn a_finding_leaves_an_alert_an_incident_and_a_block() {
    let mut responder = responder();
    let mut out = Vec::new();
    responder.respond(&finding(GUESSING, "203.0.113.9", NOW), &mut out);
    let kinds: Vec<_> = out
        .iter()
        .map(|outcome| match outcome {
            Outcome::Alert(_) => "alert",
            Outcome::Incident(_) => "incident",
            Outcome::Block(_) => "block",
            Outcome::Lift(_) => "lift",
            Outcome::DeadLetter(_) => "dead letter",
        })
        .collect();
    assert_eq!(kinds, ["alert", "incident", "block"]);
    let left = Left::of(out);
    let (alert, block, incident) = (&left.alerts[0], &left.blocks[0], &left.incidents[0]);
    assert_eq!(alert.message, "20 failed logins by 203.0.113.9 in 1 min on portal");
    assert_eq!(alert.event.severity, 73);
    assert_eq!(alert.sekisho.response.block.as_ref(), Some(&block.id));
    assert_eq!(alert.sekisho.incident, incident.id);
    assert_eq!((block.target.as_str(), block.level), ("203.0.113.9/32", Level::Block));
    assert_eq!((block.issued_at, block.expires_at), (NOW, NOW.plus(4 * HOUR)));
    assert_eq!((block.alert.as_ref(), block.incident.as_ref()), (Some(&alert.event.id), Some(&incident.id)));
    let receipt = block.receipt.as_ref().expect("a rule's block has a receipt");
    let gates = [
        Gate::Expiry,
        Gate::Attributed,
        Gate::Width,
        Gate::Protected,
        Gate::Stale,
        Gate::Outage,
        Gate::Level,
        Gate::Budget,
    ];
    assert_eq!(receipt.guard.iter().map(|verdict| verdict.gate).collect::<Vec<_>>(), gates);
    assert!(receipt.guard.iter().all(|verdict| verdict.passed));
    assert_eq!((receipt.guard[7].used, receipt.guard[7].limit), (Some(1), Some(60)));
    assert_eq!((receipt.offence, receipt.ttl_s), (1, 14_400));
    assert_eq!((incident.alerts, incident.blocks, incident.severity), (1, 1, Severity::Major));
    assert_eq!(incident.title, "Rule guessing: client 203.0.113.9");
}

#[test]
fn the_alert_has_the_shape_of_the_sheet() {
    let mut responder = responder();
    let found = Finding {
        user: Some("al\u{202e}ice\n".into()),
        users: vec!["alice".into(), "bob".into()],
        ..finding(GUESSING, "203.0.113.9", NOW)
    };
    let left = respond(&mut responder, &found);
    let text = serde_json::to_string(&left.alerts[0]).expect("an alert can be written");
    let id = &left.alerts[0].event.id;
    let incident = &left.incidents[0].id;
    let block = &left.blocks[0].id;
    let expected = format!(
        r#"{{"@timestamp":"2026-11-23T17:05:03.414Z","event":{{"kind":"alert","id":"{id}","severity":73,"#
    ) + r#""category":["authentication"]},"rule":{"id":"guessing","name":"Rule guessing","version":"0123456789ab"},"#
        + r#""threat":{"technique":{"id":["T1110"]}},"client":{"ip":"203.0.113.9"},"user":{"name":"alice"},"#
        + r#""service":{"name":"portal"},"related":{"ip":["203.0.113.9"],"user":["alice","bob"]},"#
        + r#""message":"20 failed logins by 203.0.113.9 in 1 min on portal","#
        + r#""sekisho":{"severity":"major","entity":{"kind":"client","value":"203.0.113.9"},"#
        + r#""window":{"start":"2026-11-23T17:04:03.414Z","end":"2026-11-23T17:05:03.414Z"},"count":20,"#
        + r#""evidence":[{"topic":"nginx","partition":0,"offset":1234}],"evidence_total":20,"#
        + r#""spans":[{"topic":"nginx","partition":0,"from":1180,"to":1235}],"#
        + &format!(
            r#""incident":"{incident}","response":{{"level":"block","result":"blocked","block":"{block}"}}}}}}"#
        );
    assert_eq!(text, expected);
}

#[test]
fn each_gate_refuses_for_its_reason() {
    type Change = fn(&mut Settings, &mut Finding);
    let cases: [(&str, Refusal, Change); 12] = [
        ("no time to live", Refusal::Expiry, |s, _| s.rules[0].ttl = 0),
        ("no client", Refusal::Unattributed, |_, f| f.client = None),
        ("a proxy", Refusal::Unattributed, |_, f| standing(f, Standing::Unattributed)),
        ("a private address", Refusal::Private, |_, f| standing(f, Standing::Private)),
        ("our own", Refusal::Protected, |_, f| *f = finding(GUESSING, "192.0.2.1", NOW)),
        ("our own, mapped", Refusal::Protected, |_, f| *f = finding(GUESSING, "::ffff:192.0.2.1", NOW)),
        ("our own, IPv6", Refusal::Protected, |_, f| *f = finding(GUESSING, "2001:db8:1:2::3", NOW)),
        ("a protected address in its /64", Refusal::Protected, |s, f| {
            s.protected.push(network("2001:db8:2::7/128"));
            *f = finding(GUESSING, "2001:db8:2::8", NOW);
        }),
        ("a backlog", Refusal::Stale, |_, f| f.appended_at = NOW.plus(HOUR + 1)),
        ("a low ceiling", Refusal::Level, |s, _| s.level = Level::Alert),
        ("a trial run", Refusal::Shadow, |s, _| s.shadow = true),
        ("no room", Refusal::Budget, |s, _| s.budget.per_minute = 0),
    ];
    for (name, refusal, change) in cases {
        let (mut settings, mut found) = (settings(), finding(GUESSING, "203.0.113.9", NOW));
        change(&mut settings, &mut found);
        let mut responder = Responder::new(Arc::new(settings));
        let left = respond(&mut responder, &found);
        assert_eq!(left.result(), (ResponseResult::Refused, Some(refusal)), "{name}");
        assert!(left.blocks.is_empty(), "{name}");
        assert_eq!(left.incidents[0].blocks, 0, "{name}");
        assert_eq!(responder.counters().refused.get(&refusal), Some(&1), "{name}");
    }
}

fn standing(finding: &mut Finding, standing: Standing) {
    let client = finding.client.as_mut().expect("a client");
    client.standing = standing;
}

#[test]
fn the_first_gate_in_order_gives_the_reason() {
    let mut responder = with(|settings| {
        settings.level = Level::Alert;
        settings.budget.per_minute = 0;
    });
    let mut found = finding(GUESSING, "192.0.2.1", NOW);
    found.appended_at = NOW.plus(2 * HOUR);
    assert_eq!(respond(&mut responder, &found).result().1, Some(Refusal::Protected));
    standing(&mut found, Standing::Private);
    assert_eq!(respond(&mut responder, &found).result().1, Some(Refusal::Private));
}

#[test]
fn levels_below_a_throttle_only_observe() {
    for (rule_level, ceiling, expected, block) in [
        (Level::Observe, Level::Block, (ResponseResult::Observed, None), None),
        (Level::Alert, Level::Block, (ResponseResult::Observed, None), None),
        (Level::Alert, Level::Observe, (ResponseResult::Observed, None), None),
        (Level::Throttle, Level::Alert, (ResponseResult::Refused, Some(Refusal::Level)), None),
        (Level::Block, Level::Throttle, (ResponseResult::Blocked, None), Some(Level::Throttle)),
        (Level::Challenge, Level::Block, (ResponseResult::Blocked, None), Some(Level::Challenge)),
    ] {
        let mut responder = with(|settings| {
            settings.rules[0].level = rule_level;
            settings.level = ceiling;
        });
        let left = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW));
        assert_eq!(left.result(), expected, "{rule_level:?} under {ceiling:?}");
        assert_eq!(left.alerts[0].sekisho.response.level, rule_level.min(ceiling));
        assert_eq!(left.blocks.first().map(|block| block.level), block);
    }
}

#[test]
fn targets_depend_on_the_entity() {
    let three = [("203.0.113.1", 1), ("203.0.113.2", 1), ("203.0.113.3", 1)];
    let two = [("203.0.113.1", 9), ("203.0.113.2", 9), ("203.0.113.2", 9), ("198.51.100.1", 9)];
    let mixed = [("203.0.113.1", 5), ("203.0.113.2", 4), ("2001:db8:9::1", 3), ("2001:db8:9::2", 2)];
    let refused = |refusal| (ResponseResult::Refused, Some(refusal));
    let blocked = (ResponseResult::Blocked, None);
    let observed = (ResponseResult::Observed, None);
    for (kind, value, members, expected, targets) in [
        (EntityKind::Network, "203.0.113.0/24", &three[..], blocked, &["203.0.113.0/24"][..]),
        (EntityKind::Network, "203.0.113.0/24", &two[..], observed, &[]),
        (EntityKind::Network, "203.0.112.0/23", &three[..], refused(Refusal::TooWide), &[]),
        (EntityKind::Network, "nonsense", &three[..], refused(Refusal::Unattributed), &[]),
        (EntityKind::User, "alice", &mixed[..], blocked, &["203.0.113.1/32", "2001:db8:9::/64"]),
        (EntityKind::Service, "portal", &three[..], observed, &[]),
        (EntityKind::Global, "", &mixed[..1], blocked, &["203.0.113.1/32"]),
        (EntityKind::Asn, "64500", &[("192.0.2.1", 9)][..], refused(Refusal::Protected), &[]),
        (EntityKind::Country, "XX", &[("192.0.2.1", 9), ("203.0.113.1", 9)][..], blocked, &["203.0.113.1/32"]),
    ] {
        let left = respond(&mut responder(), &wide(kind, value, members));
        assert_eq!(left.result(), expected, "{kind:?} {value}");
        let found: Vec<_> = left.blocks.iter().map(|block| block.target.as_str()).collect();
        assert_eq!(found, targets, "{kind:?} {value}");
        assert_eq!(left.incidents[0].blocks, targets.len() as u64);
        assert!(left.alerts[0].client.is_none());
        assert_eq!(left.alerts[0].sekisho.members_total, Some(members.len() as u64));
    }
}

#[test]
fn a_proxy_in_a_network_protects_all_of_it() {
    let mut found = wide(EntityKind::Network, "203.0.113.0/24", &[("203.0.113.1", 1), ("203.0.113.2", 1)]);
    let proxy = Client { address: address("203.0.113.3"), standing: Standing::Unattributed };
    found.members.push(Member { client: proxy, count: 1 });
    assert_eq!(respond(&mut responder(), &found).result().1, Some(Refusal::Unattributed));
}

#[test]
fn blocks_expire_in_order_at_their_own_time() {
    let mut responder = responder();
    let long = respond(&mut responder, &finding(GUESSING, "203.0.113.1", NOW));
    let short = respond(&mut responder, &finding(INJECTION, "203.0.113.2", NOW));
    assert!(advance(&mut responder, NOW.plus(HOUR - 1)).lifts.is_empty());
    let lifts = advance(&mut responder, NOW.plus(DAY)).lifts;
    let ends: Vec<_> = lifts.iter().map(|lift| (lift.lifted_at, lift.block.clone(), lift.cause)).collect();
    assert_eq!(
        ends,
        [
            (NOW.plus(HOUR), short.blocks[0].id.clone(), LiftCause::Expired),
            (NOW.plus(4 * HOUR), long.blocks[0].id.clone(), LiftCause::Expired),
        ]
    );
    assert!(advance(&mut responder, NOW.plus(2 * DAY)).lifts.is_empty());
}

#[test]
fn a_blocked_target_is_extended_by_a_tenth_or_more() {
    let mut responder = responder();
    let first = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW));
    let tenth = 24 * MINUTE;
    let early = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW.plus(tenth - 1)));
    assert_eq!(early.result(), (ResponseResult::Blocked, None));
    assert!(early.blocks.is_empty());
    assert_eq!(early.alerts[0].sekisho.response.block.as_ref(), Some(&first.blocks[0].id));
    let late = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW.plus(tenth)));
    assert_eq!(late.result(), (ResponseResult::Extended, None));
    assert_eq!(late.blocks[0].id, first.blocks[0].id);
    assert_eq!(late.blocks[0].expires_at, NOW.plus(tenth + 4 * HOUR));
    assert_eq!(late.blocks[0].receipt.as_ref().map(|receipt| receipt.offence), Some(1));
    assert_eq!(late.incidents[0].blocks, 1, "an extension is no further block");
    assert_eq!(advance(&mut responder, NOW.plus(DAY)).lifts.len(), 1);
}

#[test]
fn a_stronger_level_replaces_a_weaker_one_but_never_the_other_way() {
    let mut responder = responder();
    respond(&mut responder, &finding(FLOOD, "203.0.113.9", NOW));
    let stronger = respond(&mut responder, &finding(INJECTION, "203.0.113.9", NOW.plus(1)));
    assert_eq!(stronger.blocks[0].level, Level::Block);
    let weaker = respond(&mut responder, &finding(FLOOD, "203.0.113.9", NOW.plus(HOUR - 1)));
    assert_eq!((weaker.result().0, weaker.blocks[0].level), (ResponseResult::Extended, Level::Block));
}

#[test]
fn a_repeat_offence_is_blocked_four_times_longer() {
    let mut responder = responder();
    let mut at = NOW;
    for (offence, hours) in [(1, 4), (2, 16), (3, 64), (4, 168), (5, 168)] {
        let left = respond(&mut responder, &finding(GUESSING, "203.0.113.9", at));
        let receipt = left.blocks[0].receipt.clone().expect("a receipt");
        assert_eq!((receipt.offence, receipt.ttl_s), (offence, hours * 3_600));
        at = left.blocks[0].expires_at;
    }
    let left = respond(&mut responder, &finding(GUESSING, "203.0.113.9", at.plus(150 * DAY)));
    assert_eq!(left.blocks[0].receipt.as_ref().map(|receipt| receipt.offence), Some(1));
}

#[test]
fn known_clients_have_a_share_and_unknown_ones_do_not_use_it() {
    let mut responder = with(|settings| settings.budget.per_minute = 1_000);
    let login = Counts { logins: 1, ..success() };
    for number in 0..30 {
        observe(&mut responder, &format!("203.0.113.{number}"), NOW.second() - 100, login);
    }
    for number in 0..50 {
        let left = respond(&mut responder, &finding(INJECTION, &format!("198.51.100.{number}"), NOW));
        assert_eq!(left.result().0, ResponseResult::Blocked);
    }
    for number in 0..30 {
        let left = respond(&mut responder, &finding(INJECTION, &format!("203.0.113.{number}"), NOW));
        let expected = match number {
            0..20 => (ResponseResult::Blocked, None),
            20 => (ResponseResult::Refused, Some(Refusal::Budget)),
            _ => (ResponseResult::Refused, Some(Refusal::Frozen)),
        };
        assert_eq!(left.result(), expected, "{number}");
    }
    assert!(responder.counters().frozen);
    let stranger = respond(&mut responder, &finding(INJECTION, "198.51.100.99", NOW));
    assert_eq!(stranger.result().0, ResponseResult::Blocked);
    responder.thaw(NOW, &mut Vec::new());
    let left = respond(&mut responder, &finding(INJECTION, "203.0.113.29", NOW));
    assert_eq!(left.result().0, ResponseResult::Blocked);
}

#[test]
fn an_outage_lifts_what_it_explains() {
    let mut responder = responder();
    let start = Time(NOW.second() * SECOND);
    let before = |milliseconds: i64| start.plus(-milliseconds);
    let elsewhere = Finding { service: Some("mail".into()), ..finding(GUESSING, "203.0.113.2", start) };
    let anywhere = Finding { service: None, ..finding(GUESSING, "203.0.113.3", start) };
    for found in [
        finding(GUESSING, "203.0.113.1", before(2 * MINUTE + 1)),
        elsewhere,
        anywhere,
        finding(INJECTION, "203.0.113.4", start),
        finding(GUESSING, "203.0.113.5", before(2 * MINUTE)),
        finding(GUESSING, "203.0.113.6", start.plus(SECOND)),
    ] {
        assert_eq!(respond(&mut responder, &found).result().0, ResponseResult::Blocked);
    }
    let lifts = outage(&mut responder, start).lifts;
    let targets: Vec<_> = lifts.iter().map(|lift| (lift.target.as_str(), lift.cause)).collect();
    let lifted = ["203.0.113.3/32", "203.0.113.5/32", "203.0.113.6/32"].map(|target| (target, LiftCause::Outage));
    assert_eq!(targets, lifted);
    let again = respond(&mut responder, &finding(GUESSING, "203.0.113.6", start.plus(5 * MINUTE)));
    assert_eq!(again.blocks[0].receipt.as_ref().map(|receipt| receipt.offence), Some(1), "it was no offence");
}

#[test]
fn a_block_that_other_things_speak_for_outlasts_an_outage() {
    let mut responder = responder();
    let start = Time(NOW.second() * SECOND);
    respond(&mut responder, &finding(FLOOD, "203.0.113.1", start.plus(-MINUTE)));
    respond(&mut responder, &finding(GUESSING, "203.0.113.1", start));
    assert!(outage(&mut responder, start).lifts.is_empty());
}

#[test]
fn findings_about_failures_in_an_outage_alert_only() {
    let mut responder = responder();
    let start = Time(NOW.second() * SECOND);
    outage(&mut responder, start);
    assert_eq!(responder.counters().outages, 1);
    let refused = (ResponseResult::Refused, Some(Refusal::Outage));
    assert_eq!(respond(&mut responder, &finding(GUESSING, "203.0.113.1", start)).result(), refused);
    let last = start.plus(61 * SECOND - 1);
    assert_eq!(respond(&mut responder, &finding(GUESSING, "203.0.113.1", last)).result(), refused);
    let other = respond(&mut responder, &finding(INJECTION, "203.0.113.2", start));
    assert_eq!(other.result().0, ResponseResult::Blocked);
    let after = respond(&mut responder, &finding(GUESSING, "203.0.113.1", start.plus(61 * SECOND)));
    assert_eq!(after.result().0, ResponseResult::Blocked);
}

#[test]
fn one_entity_is_one_incident_until_a_day_of_quiet() {
    let mut responder = responder();
    let mut at = NOW;
    let mut ids = Vec::new();
    for (rule, quiet) in [(SLOW, 0), (INJECTION, HOUR), (SLOW, DAY), (SLOW, DAY + 1)] {
        at = at.plus(quiet);
        ids.push(respond(&mut responder, &finding(rule, "203.0.113.9", at)).incidents.remove(0));
    }
    assert_eq!(ids[0].severity, Severity::Minor);
    assert_eq!((ids[1].severity, ids[1].blocks, ids[1].alerts), (Severity::Critical, 1, 2));
    assert_eq!((ids[2].severity, ids[2].alerts), (Severity::Critical, 3));
    assert_eq!(ids[2].title, "Rule injection: client 203.0.113.9");
    assert!(ids[0].id == ids[1].id && ids[1].id == ids[2].id && ids[2].id != ids[3].id);
    assert_eq!((ids[3].severity, ids[3].alerts, ids[3].first_at), (Severity::Minor, 1, at));
}

fn order(target: &str, ttl: i64) -> Order {
    Order {
        target: network(target),
        level: Level::Block,
        ttl,
        ordered_by: OrderedBy::Operator,
        by: "kei".to_owned(),
        reason: "abuse report".to_owned(),
        at: NOW,
    }
}

#[test]
fn orders_pass_expiry_width_and_protected_only() {
    let mut responder = with(|settings| {
        settings.shadow = true;
        settings.level = Level::Observe;
        settings.budget = Budget { per_minute: 0, active: 0, share: 0.0 };
    });
    for (target, ttl, expected) in [
        ("203.0.113.9/32", HOUR, Ok(())),
        ("10.0.0.1/32", HOUR, Ok(())),
        ("198.51.100.0/24", HOUR, Ok(())),
        ("198.51.100.0/23", HOUR, Err(Refusal::TooWide)),
        ("2001:db8:2::/48", HOUR, Ok(())),
        ("2001:db8:2::/47", HOUR, Err(Refusal::TooWide)),
        ("0.0.0.0/0", HOUR, Err(Refusal::TooWide)),
        ("::/0", HOUR, Err(Refusal::TooWide)),
        ("192.0.2.128/25", HOUR, Err(Refusal::Protected)),
        ("203.0.113.9/32", 0, Err(Refusal::Expiry)),
        ("203.0.113.9/32", -1, Err(Refusal::Expiry)),
    ] {
        let mut out = Vec::new();
        assert_eq!(responder.operator_block(&order(target, ttl), &mut out), expected, "{target}");
        let left = Left::of(out);
        assert_eq!(left.blocks.len(), usize::from(expected.is_ok()), "{target}");
        for block in left.blocks {
            assert_eq!((block.origin, block.by.as_deref()), (Origin::Operator, Some("kei")));
            assert!(block.receipt.is_none() && block.rule.is_none());
        }
    }
}

#[test]
fn an_order_takes_the_place_of_a_block() {
    let mut responder = responder();
    let before = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW)).blocks.remove(0);
    let mut out = Vec::new();
    assert_eq!(responder.operator_block(&order("203.0.113.9/32", MINUTE), &mut out), Ok(()));
    let left = Left::of(out);
    assert_eq!((&left.lifts[0].block, left.lifts[0].cause), (&before.id, LiftCause::Superseded));
    assert_ne!(left.blocks[0].id, before.id);
    let mut out = Vec::new();
    assert_eq!(responder.operator_block(&order("203.0.113.9/32", MINUTE), &mut out), Ok(()));
    assert!(out.is_empty(), "the same command again changes nothing");
    let left = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW.plus(1)));
    assert_eq!(left.lifts[0].cause, LiftCause::Superseded, "a rule may outlast an operator");
    assert_eq!(left.blocks[0].origin, Origin::Rule);
}

#[test]
fn a_lift_by_hand_holds_rules_off_for_a_day() {
    for lifted in ["203.0.113.9/32", "203.0.113.0/24"] {
        let mut responder = responder();
        respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW));
        let mut out = Vec::new();
        assert_eq!(responder.operator_lift(network(lifted), "kei", NOW, &mut out), 1);
        let left = Left::of(out);
        assert_eq!((left.lifts[0].cause, left.lifts[0].by.as_deref()), (LiftCause::Operator, Some("kei")));
        let held = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW.plus(DAY - 1)));
        assert_eq!(held.result(), (ResponseResult::Refused, Some(Refusal::Operator)));
        let free = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW.plus(DAY)));
        assert_eq!(free.blocks[0].receipt.as_ref().map(|receipt| receipt.offence), Some(1), "it was no offence");
    }
}

#[test]
fn what_is_allowed_is_lifted_and_stays_free() {
    let mut responder = responder();
    respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW));
    let mut out = Vec::new();
    assert_eq!(responder.allow(&[network("203.0.113.0/28")], "kei", NOW, &mut out), Ok(()));
    assert_eq!(Left::of(out).lifts[0].cause, LiftCause::Allowlist);
    let refused = (ResponseResult::Refused, Some(Refusal::Protected));
    assert_eq!(respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW)).result(), refused);
    responder.disallow(&[network("203.0.113.0/28")], NOW, &mut Vec::new());
    let left = respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW));
    assert_eq!(left.result().0, ResponseResult::Blocked);
}

#[test]
fn a_catalog_that_protects_more_lifts_what_it_covers() {
    let mut responder = responder();
    respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW));
    let mut settings = settings();
    settings.protected.push(network("203.0.113.8/30"));
    let mut out = Vec::new();
    responder.set_settings(Arc::new(settings), &mut out);
    let lift = Left::of(out).lifts.remove(0);
    assert_eq!((lift.cause, lift.lifted_at), (LiftCause::Allowlist, NOW));
    assert_eq!(respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW)).result().1, Some(Refusal::Protected));
}

#[test]
fn a_rule_that_the_catalog_lacks_is_counted() {
    let mut responder = responder();
    let left = respond(&mut responder, &finding(RuleIndex(99), "203.0.113.9", NOW));
    assert!(left.alerts.is_empty());
    assert_eq!(responder.counters(), Counters { unknown_rules: 1, ..Counters::default() });
}

#[test]
fn a_snapshot_is_the_state() {
    let mut responder = responder();
    outage(&mut responder, NOW);
    respond(&mut responder, &finding(INJECTION, "203.0.113.9", NOW));
    respond(&mut responder, &finding(INJECTION, "2001:db8:9::1", NOW));
    responder.operator_lift(network("203.0.113.9/32"), "kei", NOW, &mut Vec::new());
    assert_eq!(responder.allow(&[network("203.0.113.0/28")], "kei", NOW, &mut Vec::new()), Ok(()));
    let text = serde_json::to_string(responder.state()).expect("a state can be written");
    let state: State = serde_json::from_str(&text).expect("and read");
    assert!(state == *responder.state());
    assert_eq!(serde_json::to_string(&state).expect("and written again"), text);
}
