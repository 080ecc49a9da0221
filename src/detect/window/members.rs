//! Which clients gave how much to a window whose entity is not one client. Pure.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::detect::plan::BUCKETS;
use crate::event::{Client, Finding, Member};

use super::distinct::{Distinct, value_hash};
use super::ring::{Reach, Ring, reach};

/// Members kept per window: more than an alert lists, few enough to search.
pub const MEMBERS_KEPT: usize = 128;

/// The clients of a window. Beyond [`MEMBERS_KEPT`] the one least active in the window makes room and its events are
/// forgotten, so a member's count is never too high: a client can be missed here, not blamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    kept: Vec<Kept>,
    /// How many there are, those that had to make room included.
    seen: Distinct,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    client: Client,
    newest: i64,
    ring: Ring,
}

impl Members {
    /// Notes events of a client in a bucket of a window whose newest bucket is `newest`.
    pub fn add(&mut self, client: Client, bucket: i64, newest: i64, count: u32) {
        let client = Client { address: client.key(), ..client };
        self.seen.add(value_hash(&table_key(client)), bucket, newest);
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.client.address == client.address) {
            kept.add(client, bucket, count);
            return;
        }
        if self.kept.len() == MEMBERS_KEPT {
            self.make_room(newest);
        }
        let mut kept = Kept { client, newest: bucket, ring: Ring::default() };
        kept.add(client, bucket, count);
        self.kept.push(kept);
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(self) + size_of_val(&*self.kept) + self.seen.bytes()
    }

    /// What a member did before the window says nothing about what it does in it.
    fn make_room(&mut self, newest: i64) {
        let least = self.kept.iter().enumerate().min_by_key(|(_, kept)| (kept.count(newest), kept.newest));
        if let Some(index) = least.map(|(index, _)| index) {
            self.kept.remove(index);
        }
    }

    /// The members active in a window whose newest bucket is `newest`: the most active first, at most
    /// [`Finding::MEMBERS_MAX`], and how many there were.
    pub fn list(&self, newest: i64) -> (Vec<Member>, u64) {
        let active = self.kept.iter().map(|kept| Member { client: kept.client, count: kept.count(newest) as u32 });
        let mut active: Vec<Member> = active.filter(|member| member.count > 0).collect();
        let total = self.seen.count(newest).max(active.len() as u64);
        active.sort_by_key(|member| (std::cmp::Reverse(member.count), member.client));
        active.truncate(Finding::MEMBERS_MAX);
        (active, total)
    }
}

fn table_key(client: Client) -> [u8; 16] {
    match client.address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

impl Kept {
    /// Its events in a window whose newest bucket is `newest`.
    fn count(&self, newest: i64) -> u64 {
        self.ring.total_from(self.newest, newest - BUCKETS as i64 + 1)
    }

    /// A client that was once seen in a way that cannot be held against it stays so for this window.
    fn add(&mut self, client: Client, bucket: i64, count: u32) {
        self.client.standing = self.client.standing.max(client.standing);
        match reach(self.newest, bucket) {
            Reach::Ahead(steps) => {
                if steps >= BUCKETS as i64 {
                    self.client.standing = client.standing;
                }
                self.ring.advance(self.newest, steps);
                self.newest = bucket;
            }
            Reach::Inside => {}
            Reach::Behind => return,
        }
        self.ring.add(bucket, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Standing;

    fn client(number: u32) -> Client {
        Client { address: IpAddr::V4((0x5000_0000 + number).into()), standing: Standing::Attributed }
    }

    #[test]
    fn yesterdays_clients_make_room_for_those_of_the_window() {
        let mut members = Members::default();
        (0..MEMBERS_KEPT as u32).for_each(|number| members.add(client(number), 0, 0, 50));
        for round in 0..6 {
            let newest = 100 + round;
            members.add(client(1_000), newest, newest, 1);
            members.add(client(2_000), newest, newest, 1);
        }
        let (list, total) = members.list(105);
        assert_eq!(list.iter().map(|member| member.count).collect::<Vec<_>>(), [6, 6]);
        assert_eq!(total, 2, "who is not in the window is not counted");
    }

    #[test]
    fn those_that_made_room_are_counted_once_each() {
        let mut members = Members::default();
        for _ in 0..3 {
            (0..400).for_each(|number| members.add(client(number), 5, 5, 1));
        }
        let (list, total) = members.list(5);
        assert_eq!(list.len(), Finding::MEMBERS_MAX);
        assert!((370..=430).contains(&total), "{total}");
    }
}
