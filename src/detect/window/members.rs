//! Which clients gave how much to a window whose entity is not one client. Pure.

use serde::{Deserialize, Serialize};

use crate::event::{Client, Finding, Member};

use super::ring::{Reach, Ring, reach};

/// Members kept per window: more than an alert lists, few enough to search.
pub const MEMBERS_KEPT: usize = 128;

/// The clients of a window. Beyond [`MEMBERS_KEPT`] the least active one makes room and its events are forgotten, so a
/// member's count is never too high: a client can be missed here, not blamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    kept: Vec<Kept>,
    /// Members that had to make room.
    forgotten: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    client: Client,
    newest: i64,
    ring: Ring,
}

impl Members {
    /// Notes an event of a client.
    pub fn add(&mut self, client: Client, bucket: i64, count: u32) {
        let client = Client { address: client.key(), ..client };
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.client.address == client.address) {
            kept.add(client, bucket, count);
            return;
        }
        if self.kept.len() == MEMBERS_KEPT {
            self.make_room();
        }
        let mut kept = Kept { client, newest: bucket, ring: Ring::default() };
        kept.add(client, bucket, count);
        self.kept.push(kept);
    }

    fn make_room(&mut self) {
        let least = self.kept.iter().enumerate().min_by_key(|(_, kept)| (kept.ring.total(), kept.newest));
        if let Some(index) = least.map(|(index, _)| index) {
            self.kept.remove(index);
            self.forgotten += 1;
        }
    }

    /// The members active in a window whose newest bucket is `newest`: the most active first, at most
    /// [`Finding::MEMBERS_MAX`], and how many there were.
    pub fn list(&self, newest: i64) -> (Vec<Member>, u64) {
        let count = |kept: &Kept| match reach(kept.newest, newest) {
            Reach::Ahead(steps) => {
                let mut ring = kept.ring.clone();
                ring.advance(kept.newest, steps);
                ring.total()
            }
            Reach::Inside | Reach::Behind => kept.ring.total(),
        };
        let active = self.kept.iter().map(|kept| Member { client: kept.client, count: count(kept) as u32 });
        let mut active: Vec<Member> = active.filter(|member| member.count > 0).collect();
        let total = active.len() as u64 + self.forgotten;
        active.sort_by_key(|member| (std::cmp::Reverse(member.count), member.client));
        active.truncate(Finding::MEMBERS_MAX);
        (active, total)
    }
}

impl Kept {
    /// A client that was once seen in a way that cannot be held against it stays so for this window.
    fn add(&mut self, client: Client, bucket: i64, count: u32) {
        self.client.standing = self.client.standing.max(client.standing);
        match reach(self.newest, bucket) {
            Reach::Ahead(steps) => {
                self.ring.advance(self.newest, steps);
                self.newest = bucket;
            }
            Reach::Inside => {}
            Reach::Behind => return,
        }
        self.ring.add(bucket, count);
    }
}
