//! How many blocks there may be (design §8.5). Pure.
//!
//! All by the journal's time. The share of known clients is the emergency brake: a rule that starts to hit a site's
//! regular visitors stops itself. Unknown clients count to the other two limits only, so that a botnet cannot use the
//! share up. Deliberately without a say in anything but numbers.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::outcome::Refusal;
use crate::event::{HOUR, MINUTE, Time};

use super::settings::Budget as Limits;

/// New blocks in a minute or hour are remembered one by one, so no setting may ask for more than this; 100,000 are
/// more than any enforcer takes in a minute.
const REMEMBERED_MAX: u64 = 100_000;

/// What was spent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Budget {
    /// When rules opened blocks in the last minute, oldest first.
    minute: VecDeque<Time>,
    /// When rules opened blocks of known clients in the last hour, oldest first.
    known: VecDeque<Time>,
    /// The last refusal since the share was used up.
    frozen: Option<Time>,
}

/// What one more block would be measured against.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) journal: Time,
    /// Blocks of rules that are active now.
    pub(super) active: u64,
    /// Whether the target is a known client, or has one among its members.
    pub(super) known: bool,
    pub(super) known_total: u64,
}

impl Budget {
    /// Whether there is room for one more block; a block over the share freezes the blocking of known clients.
    pub(super) fn request(&mut self, limits: &Limits, request: Request) -> Result<(), Refusal> {
        if request.active >= limits.active || self.minute.len() as u64 >= per_minute(limits) {
            return Err(Refusal::Budget);
        }
        if !request.known {
            return Ok(());
        }
        let frozen = self.frozen.is_some();
        if frozen || self.known.len() as u64 >= share(limits, request.known_total) {
            self.frozen = Some(request.journal);
            return Err(if frozen { Refusal::Frozen } else { Refusal::Budget });
        }
        Ok(())
    }

    /// A block was opened.
    pub(super) fn spend(&mut self, request: Request) {
        self.minute.push_back(request.journal);
        if request.known {
            self.known.push_back(request.journal);
        }
    }

    /// New blocks in the last minute and how many there may be, for the receipt.
    pub(super) fn minute(&self, limits: &Limits) -> (u64, u64) {
        (self.minute.len() as u64, per_minute(limits))
    }

    /// The journal's time has come to `journal`.
    pub(super) fn advance(&mut self, journal: Time) {
        let old = |at: &Time, span: i64| journal.since(*at) >= span;
        while self.minute.front().is_some_and(|at| old(at, MINUTE)) {
            self.minute.pop_front();
        }
        while self.known.front().is_some_and(|at| old(at, HOUR)) {
            self.known.pop_front();
        }
        self.frozen = self.frozen.filter(|at| !old(at, HOUR));
    }

    pub(super) fn frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// An operator has looked and says that the blocks were right: the share starts anew.
    pub(super) fn thaw(&mut self) {
        self.frozen = None;
        self.known.clear();
    }
}

fn per_minute(limits: &Limits) -> u64 {
    limits.per_minute.min(REMEMBERED_MAX)
}

/// How many known clients may be blocked in an hour.
fn share(limits: &Limits, known_total: u64) -> u64 {
    let part = (known_total as f64 * limits.share) as u64;
    part.clamp(Limits::SHARE_FLOOR, REMEMBERED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_minute: 60, active: 1_000, share: 0.01 };

    fn request(journal: i64, known: bool) -> Request {
        Request { journal: Time(journal), active: 0, known, known_total: 0 }
    }

    fn ask(budget: &mut Budget, request: Request) -> Result<(), Refusal> {
        budget.advance(request.journal);
        budget.request(&LIMITS, request)?;
        budget.spend(request);
        Ok(())
    }

    #[test]
    fn a_minute_has_room_for_so_many() {
        let mut budget = Budget::default();
        for number in 0..60 {
            assert_eq!(ask(&mut budget, request(number, false)), Ok(()));
        }
        assert_eq!(ask(&mut budget, request(59_999, false)), Err(Refusal::Budget));
        assert_eq!(ask(&mut budget, request(60_000, false)), Ok(()));
        assert_eq!(ask(&mut budget, request(60_000, false)), Err(Refusal::Budget));
        assert!(!budget.frozen());
    }

    #[test]
    fn active_blocks_have_a_limit() {
        let mut budget = Budget::default();
        assert_eq!(ask(&mut budget, Request { active: 999, ..request(0, false) }), Ok(()));
        assert_eq!(ask(&mut budget, Request { active: 1_000, ..request(0, false) }), Err(Refusal::Budget));
    }

    #[test]
    fn the_share_freezes_known_clients_alone() {
        let mut budget = Budget::default();
        for number in 0..20 {
            assert_eq!(ask(&mut budget, request(number * MINUTE, true)), Ok(()));
        }
        assert_eq!(ask(&mut budget, request(20 * MINUTE, true)), Err(Refusal::Budget));
        assert_eq!(ask(&mut budget, request(70 * MINUTE, true)), Err(Refusal::Frozen), "though the hour has room");
        assert_eq!(ask(&mut budget, request(70 * MINUTE, false)), Ok(()));
        assert_eq!(ask(&mut budget, request(129 * MINUTE, true)), Err(Refusal::Frozen));
        assert_eq!(ask(&mut budget, request(189 * MINUTE, true)), Ok(()), "an hour without a refusal");
    }

    #[test]
    fn an_operator_thaws() {
        let mut budget = Budget::default();
        for number in 0..=20 {
            let expected = if number < 20 { Ok(()) } else { Err(Refusal::Budget) };
            assert_eq!(ask(&mut budget, request(number * MINUTE, true)), expected);
        }
        assert!(budget.frozen());
        budget.thaw();
        assert_eq!(ask(&mut budget, request(21 * MINUTE, true)), Ok(()));
    }

    #[test]
    fn the_share_grows_with_the_site() {
        assert_eq!(share(&LIMITS, 0), 20);
        assert_eq!(share(&LIMITS, 5_000), 50);
        assert_eq!(share(&LIMITS, u64::MAX), REMEMBERED_MAX);
        assert_eq!(share(&Limits { share: f64::NAN, ..LIMITS }, 5_000), 20);
    }
}
