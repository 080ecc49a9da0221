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
    RuleIndex, SECOND, ServiceIndex, Severity, Span, Standing, Tally, Time, Value, Window,
};

mod blocks;
mod commands;
mod guard;

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
    let tally = Tally { second, client, service: ServiceIndex(0), counts, first: place, last: place };
    let mut out = Vec::new();
    responder.observe(&tally, "portal", &mut out);
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

#[test]
fn messages_say_what_whose_how_long_and_where() {
    let many = [("203.0.113.1", 1), ("203.0.113.2", 1)];
    let base = || finding(GUESSING, "203.0.113.9", NOW);
    let on_no_service = |found: Finding| Finding { service: None, ..found };
    for (found, message) in [
        (base(), "20 failed logins by 203.0.113.9 in 1 min on portal"),
        (on_no_service(base()), "20 failed logins by 203.0.113.9 in 1 min"),
        (Finding { count: 1, ..base() }, "Rule guessing by 203.0.113.9 on portal"),
        (finding(GUESSING, "2001:db8:9::1", NOW), "20 failed logins by 2001:db8:9::/64 in 1 min on portal"),
        (wide(EntityKind::User, "ali\u{7}ce", &many), "20 failed logins for alice by 2 clients in 1 min on portal"),
        (wide(EntityKind::Service, "portal", &[]), "20 failed logins on portal in 1 min"),
        (on_no_service(wide(EntityKind::Asn, "64500", &[])), "20 failed logins from AS64500 in 1 min"),
        (on_no_service(wide(EntityKind::Country, "NL", &[])), "20 failed logins from NL in 1 min"),
        (on_no_service(wide(EntityKind::Global, "", &many)), "20 failed logins by 2 clients in 1 min"),
    ] {
        assert_eq!(respond(&mut responder(), &found).alerts[0].message, message);
    }
}

#[test]
fn names_follow_from_the_finding_alone() {
    let id = |found: &Finding| respond(&mut responder(), found).alerts.remove(0).event.id;
    let base = finding(GUESSING, "203.0.113.9", NOW);
    assert_eq!(id(&base), id(&Finding { count: 99, appended_at: NOW.plus(1), ..base.clone() }));
    assert_eq!(id(&base), id(&Finding { time: NOW.plus(SECOND), ..base.clone() }), "the same cell of a minute");
    let two = |a: &str, b: &str| Box::new([Value::Text(a.into()), Value::Text(b.into())]);
    let mut others = vec![
        id(&base),
        id(&Finding { rule: INJECTION, ..base.clone() }),
        id(&Finding { firing: 1, ..base.clone() }),
        id(&Finding { time: NOW.plus(MINUTE), ..base.clone() }),
        id(&Finding { group: two("ab", "c"), ..base.clone() }),
        id(&Finding { group: two("a", "bc"), ..base.clone() }),
        id(&Finding { group: Box::new([]), ..base.clone() }),
    ];
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 7);
}
