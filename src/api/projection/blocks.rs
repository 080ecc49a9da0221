//! The blocks that hold, by target, and the last that ended. Pure.
//!
//! A block's JSON is kept as it was written; a lift, a tombstone or time ends it. Deliberately without a say in what is
//! blocked: this is what decide has said.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

use crate::event::outcome::{Block, Level, Lift};
use crate::event::{Time, write_json};

use super::holds;
use super::network::canonical;

/// Blocks at a time; decide itself holds 100,000 at most. Beyond it the one that ends first is dropped and counted.
pub const BLOCKS_KEPT_MAX: usize = 200_000;
/// Their JSON together; beyond it a block is kept without its receipt, which is in the journal, and counted.
pub const BLOCKS_KEPT_BYTES_MAX: usize = 64 << 20;
/// Blocks that ended, for whoever asks what was lifted lately.
pub const ENDED_KEPT_MAX: usize = 1_000;

/// One block that holds.
#[derive(Clone, Debug)]
pub struct Held {
    pub id: String,
    pub level: Level,
    pub expires_at: Time,
    pub json: Arc<[u8]>,
}

/// The blocks that hold.
#[derive(Default)]
pub struct ActiveBlocks {
    active: BTreeMap<IpNet, Held>,
    bytes: usize,
    ended: VecDeque<(u64, Arc<[u8]>)>,
    /// How many ended so far: the name of the next one.
    endings: u64,
    /// Changes whenever a block is added or ends.
    pub version: u64,
    /// Blocks dropped because there were too many.
    pub dropped: u64,
    /// Receipts left out because they took too much room.
    pub bare: u64,
}

/// A page of blocks: their JSON, and where the next one begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockPage {
    pub blocks: Vec<Arc<[u8]>>,
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

impl ActiveBlocks {
    pub(super) fn seed(&mut self, block: &Block) {
        let mut json = Vec::new();
        // Texts and numbers can always be written.
        let _ = write_json(block, &mut json);
        self.block(&json);
    }

    /// Folds one record in; `None` where it is neither block, lift nor tombstone.
    pub(super) fn apply(&mut self, key: Option<&[u8]>, value: &[u8]) -> Option<()> {
        self.version += 1;
        if value.is_empty() {
            let target = std::str::from_utf8(key?).ok()?.parse().ok()?;
            self.remove(canonical(target));
            return Some(());
        }
        let Action { action } = serde_json::from_slice(value).ok()?;
        match action.as_str() {
            "block" => self.block(value),
            "lift" => self.lift(value),
            _ => None,
        }
    }

    fn block(&mut self, value: &[u8]) -> Option<()> {
        let mut block: Block = serde_json::from_slice(value).ok()?;
        let target = canonical(block.target.parse().ok()?);
        self.remove(target);
        let mut json: Arc<[u8]> = value.into();
        if self.bytes + json.len() > BLOCKS_KEPT_BYTES_MAX && block.receipt.take().is_some() {
            let mut bare = Vec::new();
            write_json(&block, &mut bare).ok()?;
            json = bare.into();
            self.bare += 1;
        }
        self.bytes += json.len();
        let Block { id, level, expires_at, .. } = block;
        self.active.insert(target, Held { id, level, expires_at, json });
        if self.active.len() > BLOCKS_KEPT_MAX {
            let first = self.active.iter().min_by_key(|(target, held)| (held.expires_at, **target));
            let first = first.map(|(target, _)| *target);
            first.map(|target| self.remove(target));
            self.dropped += 1;
        }
        Some(())
    }

    fn lift(&mut self, value: &[u8]) -> Option<()> {
        let lift: Lift = serde_json::from_slice(value).ok()?;
        let target = canonical(lift.target.parse().ok()?);
        if self.active.get(&target).is_some_and(|held| held.id == lift.block) {
            let held = self.remove(target)?;
            self.ended.push_back((self.endings, with_lift(&held.json, value)));
            self.endings += 1;
            if self.ended.len() > ENDED_KEPT_MAX {
                self.ended.pop_front();
            }
        }
        Some(())
    }

    fn remove(&mut self, target: IpNet) -> Option<Held> {
        let held = self.active.remove(&target)?;
        self.bytes -= held.json.len();
        Some(held)
    }

    /// Those that hold at this time, in the order of their targets.
    pub fn active(&self, now: Time) -> impl Iterator<Item = (IpNet, &Held)> {
        let active = self.active.iter().filter(move |(_, held)| holds(held.expires_at, now));
        active.map(|(target, held)| (*target, held))
    }

    /// The block of exactly this network.
    pub fn of(&self, target: IpNet, now: Time) -> Option<&Held> {
        self.active.get(&canonical(target)).filter(|held| holds(held.expires_at, now))
    }

    /// The narrowest block that covers an address: at most one look-up per prefix length.
    pub fn covering(&self, address: IpAddr, now: Time) -> Option<(IpNet, &Held)> {
        let whole = IpNet::from(address.to_canonical());
        let covers = |length| {
            let network = IpNet::new(whole.addr(), length).ok()?.trunc();
            Some((network, self.of(network, now)?))
        };
        (0..=whole.max_prefix_len()).rev().find_map(covers)
    }

    /// A page of those that hold and, where `ended` says so, behind them of those that ended, newest first. A page begins
    /// behind `after`, which is what the page before said.
    pub fn page(&self, now: Time, after: Option<&str>, (limit, ended): (usize, bool)) -> Option<BlockPage> {
        let mut page = BlockPage::default();
        let mut room = Room { left: limit, bytes: super::super::limits::ANSWER_BYTES_MAX };
        let passed = after.and_then(|after| after.strip_prefix("ended."));
        let before = match passed {
            Some(number) => number.parse().ok()?,
            None => {
                let after = after.map(|after| after.parse::<IpNet>()).transpose().ok()?;
                let begin = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
                let mut last = after;
                let rest = self.active.range((begin, std::ops::Bound::Unbounded));
                for (target, held) in rest.filter(|(_, held)| holds(held.expires_at, now)) {
                    if !room.take(&held.json) {
                        page.next = last.map(|last| last.to_string());
                        return Some(page);
                    }
                    page.blocks.push(Arc::clone(&held.json));
                    last = Some(*target);
                }
                u64::MAX
            }
        };
        let mut last = before;
        for (number, json) in self.ended.iter().rev().filter(|(number, _)| ended && *number < before) {
            if !room.take(json) {
                page.next = Some(format!("ended.{last}"));
                break;
            }
            page.blocks.push(Arc::clone(json));
            last = *number;
        }
        Some(page)
    }

    /// How many are kept, whether they still hold or not.
    pub fn len(&self) -> usize {
        self.active.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty()
    }
}

/// What still fits on a page. The first item always does.
struct Room {
    left: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, json: &[u8]) -> bool {
        let fits = self.left > 0 && self.bytes > 0;
        self.left = self.left.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(json.len());
        fits
    }
}

/// The block with its lift inside.
fn with_lift(block: &[u8], lift: &[u8]) -> Arc<[u8]> {
    let open = block.strip_suffix(b"}").unwrap_or(block);
    [open, b",\"lift\":", lift, b"}"].concat().into()
}
