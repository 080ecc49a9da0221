//! Each gate of the guard with each of its refusals, in tables. Pure.
//!
//! Deliberately through the public methods alone, so that no gate can be tested apart from its order.

use super::*;

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
