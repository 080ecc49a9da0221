//! What operators order, and what gives way to it. Pure.
//!
//! Deliberately without any right to order: that is the API's.

use super::*;

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
    let networks = [network("203.0.113.0/28"), network("203.0.113.0/29")];
    let refused = responder.disallow(&networks, NOW, &mut Vec::new());
    assert!(refused.is_err_and(|why| why.contains("203.0.113.0/29 is not on the list")));
    let refused = (ResponseResult::Refused, Some(Refusal::Protected));
    assert_eq!(respond(&mut responder, &finding(GUESSING, "203.0.113.9", NOW)).result(), refused, "none was taken off");
    assert_eq!(responder.disallow(&networks[..1], NOW, &mut Vec::new()), Ok(()));
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
