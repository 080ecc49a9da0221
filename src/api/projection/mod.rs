//! What the outcomes so far add up to: alerts, active blocks, incidents, the allowlist, answers. Pure but for its lock.
//!
//! A fold over four topics that one thread keeps going (`follow`): everything the API answers about outcomes comes from
//! here or from the journal, so a restart gives the same answers. Deliberately without a clock: whoever asks for active
//! blocks says what time it is.

mod alerts;
mod allowed;
mod answers;
mod blocks;
mod follow;
mod incidents;
mod network;
mod recent;

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use crate::event::outcome::{Block, Incident};
use crate::event::{Input, Time};
use crate::journal::{Fetched, StoredRecord};

pub use alerts::{ALERTS_KEPT_MAX, Alerts, Filter, Kept};
pub use allowed::{Allowed, Allowlist};
pub use answers::Answers;
pub use blocks::{ActiveBlocks, BLOCKS_KEPT_MAX, BlockPage};
pub use follow::{Follower, follow};
pub use incidents::Incidents;
pub use network::{canonical, overlap, read_network};
pub use recent::{Cursor, EntryKind, Recent, StreamEntry, entry_of};

/// Alerts, as JSON.
pub const ALERTS: &str = "sekisho.alerts";
/// Blocks and lifts, as JSON with `action`, keyed by target; an empty value says that nothing is left of it.
pub const BLOCKS: &str = "sekisho.blocks";
/// Changes of incidents, as JSON, keyed by id.
pub const INCIDENTS: &str = "sekisho.incidents";
/// Answers to commands, as JSON.
pub const ANSWERS: &str = "sekisho.answers";
/// All of them.
pub const TOPICS: [&str; 4] = [ALERTS, BLOCKS, INCIDENTS, ANSWERS];

/// What a projection begins with: all that is older than the journal.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    pub blocks: Vec<Block>,
    pub incidents: Vec<Incident>,
    pub allowed: Vec<Allowed>,
    /// Per topic the next offset after what the seed holds. A topic without one is read from the log's start.
    pub positions: BTreeMap<String, u64>,
}

/// What is known, and word of every change.
pub struct Projection {
    view: RwLock<View>,
    version: watch::Sender<u64>,
}

/// The fold's state.
#[derive(Default)]
pub struct View {
    pub alerts: Alerts,
    pub blocks: ActiveBlocks,
    pub incidents: Incidents,
    pub allowlist: Allowlist,
    pub answers: Answers,
    pub recent: Recent,
    pub counts: ViewCounts,
    /// Why nothing more is read, where that is so.
    pub fault: Option<String>,
    nexts: BTreeMap<&'static str, u64>,
}

/// What the projection could not take in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewCounts {
    /// Records that are not what their topic holds.
    pub unread: u64,
    /// Offsets that were gone before they were read.
    pub missed: u64,
    /// Records read.
    pub records: u64,
}

impl Projection {
    /// Knows what the seed says.
    pub fn new(seed: Seed) -> Projection {
        let mut view = View::default();
        seed.blocks.iter().for_each(|block| view.blocks.seed(block));
        seed.incidents.into_iter().for_each(|incident| view.incidents.apply(incident));
        seed.allowed.into_iter().for_each(|allowed| view.allowlist.insert(allowed));
        view.nexts = TOPICS.iter().filter_map(|topic| Some((*topic, *seed.positions.get(*topic)?))).collect();
        view.set_cursor();
        Projection { view: RwLock::new(view), version: watch::Sender::new(0) }
    }

    /// What is known now. Held briefly: the fold waits for it.
    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Word of every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}

impl View {
    /// How far a topic has been read: the next offset; `None` before its first.
    pub fn next(&self, topic: &str) -> Option<u64> {
        self.nexts.get(topic).copied()
    }

    /// How far the streamed topics have been read.
    pub fn cursor(&self) -> Cursor {
        let next = |topic| self.next(topic).unwrap_or(0);
        Cursor { alerts: next(ALERTS), blocks: next(BLOCKS) }
    }

    fn set_next(&mut self, topic: &'static str, next: u64) {
        self.nexts.insert(topic, next);
    }

    /// Streams begin where reading does.
    fn set_cursor(&mut self) {
        self.recent.start_at(self.cursor());
    }

    fn apply(&mut self, topic: &'static str, fetched: &Fetched) {
        let offsets = fetched.offsets();
        if fetched.is_lost() {
            self.counts.missed += offsets.end - offsets.start;
        }
        for record in fetched {
            self.counts.records += 1;
            if self.record(topic, &record).is_none() {
                self.counts.unread += 1;
            }
            self.recent.push(topic, &record);
        }
        self.set_next(topic, offsets.end);
        if fetched.is_lost() {
            // Streams must not step over it unseen: they read the journal, and say what is gone.
            self.set_cursor();
        }
    }

    /// Folds one record in; `None` where it is not what the topic holds.
    fn record(&mut self, topic: &str, record: &StoredRecord<'_>) -> Option<()> {
        match topic {
            ALERTS => self.alerts.apply(record.offset, record.value),
            BLOCKS => self.blocks.apply(record.key, record.value),
            INCIDENTS => {
                self.incidents.apply(serde_json::from_slice(record.value).ok()?);
                Some(())
            }
            ANSWERS => {
                let answer = serde_json::from_slice(record.value).ok()?;
                self.allowlist.apply(&answer);
                self.answers.apply(answer);
                Some(())
            }
            _ => None,
        }
    }
}

/// The one partition of a topic of outcomes: decide has one order.
pub fn input(topic: &str) -> Input {
    Input { topic: topic.to_owned(), partition: 0 }
}

/// Whether a block that ends then still holds.
fn holds(expires_at: Time, now: Time) -> bool {
    expires_at > now
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::outcome::{Level, Lift, LiftCause, Origin};
    use crate::event::{Answer, AnswerResult, Order, Position, SIGNALS, write_json};

    #[derive(Clone, Debug)]
    enum Step {
        Block { target: usize, id: u8, ends: i64 },
        Lift { target: usize, id: u8 },
        Tombstone { target: usize },
    }

    const TARGETS: [&str; 5] = ["203.0.113.0/24", "203.0.113.9/32", "203.0.0.0/16", "2001:db8::/64", "0.0.0.0/1"];

    fn step() -> impl Strategy<Value = Step> {
        let target = 0..TARGETS.len();
        prop_oneof![
            (target.clone(), 0u8..4, 0i64..20).prop_map(|(target, id, ends)| Step::Block { target, id, ends }),
            (target.clone(), 0u8..4).prop_map(|(target, id)| Step::Lift { target, id }),
            target.prop_map(|target| Step::Tombstone { target }),
        ]
    }

    fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        write_json(value, &mut out).unwrap();
        out
    }

    fn block(target: &str, id: u8, ends: i64) -> Vec<u8> {
        json(&Block {
            id: format!("{id:032x}"),
            action: "block".to_owned(),
            target: target.to_owned(),
            level: Level::Block,
            issued_at: Time(0),
            expires_at: Time(ends),
            reason: "why".to_owned(),
            rule: None,
            alert: None,
            incident: None,
            origin: Origin::Operator,
            by: None,
            receipt: None,
        })
    }

    fn lift(target: &str, id: u8) -> Vec<u8> {
        json(&Lift {
            id: "0".repeat(32),
            action: "lift".to_owned(),
            target: target.to_owned(),
            block: format!("{id:032x}"),
            lifted_at: Time(0),
            cause: LiftCause::Operator,
            by: None,
        })
    }

    fn fold(blocks: &mut ActiveBlocks, step: &Step) {
        match step {
            Step::Block { target, id, ends } => blocks.apply(None, &block(TARGETS[*target], *id, *ends)),
            Step::Lift { target, id } => blocks.apply(None, &lift(TARGETS[*target], *id)),
            Step::Tombstone { target } => blocks.apply(Some(TARGETS[*target].as_bytes()), b""),
        }
        .unwrap();
    }

    /// Which block holds for a target, by looking at everything that was ever said of it.
    fn model(steps: &[Step], wanted: usize, now: i64) -> Option<u8> {
        let mut holding = None;
        for step in steps {
            match step {
                Step::Block { target, id, ends } if *target == wanted => holding = Some((*id, *ends)),
                Step::Lift { target, id } if *target == wanted && holding.is_some_and(|held| held.0 == *id) => {
                    holding = None
                }
                Step::Tombstone { target } if *target == wanted => holding = None,
                Step::Block { .. } | Step::Lift { .. } | Step::Tombstone { .. } => {}
            }
        }
        holding.filter(|(_, ends)| *ends > now).map(|(id, _)| id)
    }

    proptest! {
        #[test]
        fn active_blocks_are_those_of_a_plain_model(steps in prop::collection::vec(step(), 0..40), now in 0i64..20) {
            let mut blocks = ActiveBlocks::default();
            steps.iter().for_each(|step| fold(&mut blocks, step));
            let held = |target: usize| model(&steps, target, now).map(|id| format!("{id:032x}"));
            for (number, target) in TARGETS.iter().enumerate() {
                let found = blocks.of(target.parse().unwrap(), Time(now)).map(|held| held.id.clone());
                prop_assert_eq!(found, held(number), "{}", target);
            }
            let covering = |address: &str| blocks.covering(address.parse().unwrap(), Time(now)).map(|it| it.1.id.clone());
            prop_assert_eq!(covering("203.0.113.9"), held(1).or(held(0)).or(held(2)));
            prop_assert_eq!(covering("203.0.113.8"), held(0).or(held(2)));
            prop_assert_eq!(covering("2001:db8::7"), held(3));
            prop_assert_eq!(covering("1.1.1.1"), held(4));
        }

        #[test]
        fn pages_hold_every_block_once(steps in prop::collection::vec(step(), 0..40), limit in 1usize..4) {
            let mut blocks = ActiveBlocks::default();
            steps.iter().for_each(|step| fold(&mut blocks, step));
            let mut seen = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let page = blocks.page(Time(0), after.as_deref(), (limit, true)).unwrap();
                prop_assert!(page.blocks.len() <= limit);
                seen.extend(page.blocks);
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            let ended = seen.iter().filter(|json| String::from_utf8_lossy(json).contains("\"lift\"")).count();
            let whole = blocks.page(Time(0), None, (1_000, true)).unwrap();
            prop_assert_eq!(&seen, &whole.blocks);
            prop_assert_eq!(seen.len() - ended, blocks.active(Time(0)).count());
        }
    }

    #[test]
    fn the_allowlist_follows_the_answers() {
        let mut allowlist = Allowlist::default();
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let mut answer = |order, result| {
            let command = Position { topic: SIGNALS.to_owned(), partition: 0, offset: 1, item: None };
            allowlist.apply(&Answer { command, at: Time(1), by: "shift".to_owned(), order, result });
            allowlist.after(None).map(|allowed| allowed.network.to_string()).collect::<Vec<_>>()
        };
        let done = AnswerResult::Done { lifted: 0 };
        let allow = |texts: &[&str]| Order::Allow { networks: networks(texts), reason: String::new() };
        assert_eq!(
            answer(allow(&["10.0.0.0/8", "::ffff:192.0.2.1/128"]), done.clone()),
            ["10.0.0.0/8", "192.0.2.1/32"]
        );
        let refused = AnswerResult::Refused { reason: "no".to_owned() };
        assert_eq!(answer(allow(&["11.0.0.0/8"]), refused).len(), 2);
        assert_eq!(answer(Order::Disallow { networks: networks(&["10.0.0.0/8"]) }, done), ["192.0.2.1/32"]);
    }

    #[test]
    fn what_is_no_block_changes_nothing() {
        let mut blocks = ActiveBlocks::default();
        blocks.apply(None, &block("10.0.0.1/32", 1, 5)).unwrap();
        assert!(blocks.apply(None, b"{\"action\":\"dance\"}").is_none() && blocks.apply(None, b"").is_none());
        assert!(blocks.apply(None, b"no json").is_none());
        assert_eq!(blocks.active(Time(0)).count(), 1);
    }
}
