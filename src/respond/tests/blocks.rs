//! How blocks grow and end. Pure.
//!
//! Deliberately without the guard's refusals: those are beside this file.

use super::*;

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
