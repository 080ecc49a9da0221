//! Who was here before: first seen, logged in once, and when a rule last concluded something about them. Pure.
//!
//! Kept so that a blocking spree cannot hit a site's regular visitors (design §8.5) and so that attackers do not
//! count as witnesses of an outage (§8.6). It is deliberately not a profile of what a client does.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::table::Table;

/// Clients kept at a time: about 60 bytes each, so 60 MB; more than a large site sees in a day. Beyond it the one that
/// was away longest makes room and is counted.
pub(super) const CLIENTS_MAX: usize = 1_000_000;
/// Of these, the part that clients who came back may fill. A flood of new addresses only ever pushes out newcomers,
/// and the rest of the table is always there for them.
const RETURNING_MAX: usize = CLIENTS_MAX / 4 * 3;
/// A client is known this long after it was first seen (design §8.5), in seconds.
const KNOWN_AFTER: i64 = 15 * 60;
/// A client with a finding of its own is no witness of an outage for this long, in seconds: attackers pause between
/// attempts, and an hour is longer than any window of the shipped rules.
const SUSPECT_FOR: i64 = 60 * 60;

/// A client becomes the newest of its list again only after so many seconds: moving it costs four times the rest, and
/// who goes first when the table is full need not be known to the second.
pub(super) const TOUCH_AFTER: i64 = 60;

const NEWCOMERS: u16 = 0;
const RETURNING: u16 = 1;

/// The table of clients.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Clients {
    table: Table<Ipv6Addr, Seen>,
    evicted: u64,
}

/// Times are whole seconds from the epoch.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seen {
    first: i64,
    touched: i64,
    finding: Option<i64>,
    login: bool,
}

impl Clients {
    pub(super) fn new() -> Clients {
        Clients { table: Table::new(2), evicted: 0 }
    }

    /// A client was active in `second`; `login` says whether it logged in. Says whether it is a suspect.
    pub(super) fn observe(&mut self, client: Ipv6Addr, second: i64, login: bool) -> bool {
        let place = match self.table.find(&client) {
            Some(place) => place,
            None => self.add(client, second),
        };
        // Once returning, always: an entry that comes late must not make a newcomer of it.
        let list = self.table.list_of(place);
        let seen = self.table.value_mut(place);
        seen.first = seen.first.min(second);
        seen.login |= login;
        let returns = list == NEWCOMERS && (seen.login || second.saturating_sub(seen.first) >= KNOWN_AFTER);
        let moves = returns || second.saturating_sub(seen.touched) >= TOUCH_AFTER;
        seen.touched = if moves { second } else { seen.touched };
        let seen = *seen;
        if moves {
            self.table.touch(place, if returns { RETURNING } else { list });
        }
        seen.finding.is_some_and(|finding| second.saturating_sub(finding) < SUSPECT_FOR)
    }

    pub(super) fn look_ahead(&self, client: Ipv6Addr) -> u64 {
        self.table.find(&client).map_or(0, |place| self.table.value(place).touched as u64)
    }

    /// A rule concluded something about this client.
    pub(super) fn suspect(&mut self, client: Ipv6Addr, second: i64) {
        let place = match self.table.find(&client) {
            Some(place) => place,
            None => self.add(client, second),
        };
        let seen = self.table.value_mut(place);
        seen.finding = seen.finding.max(Some(second));
    }

    /// Whether a client is known with regard to an offence that began in `second`: seen 15 min before, or logged in
    /// once.
    pub(super) fn known(&self, client: Ipv6Addr, second: i64) -> bool {
        let seen = self.table.find(&client).map(|place| self.table.value(place));
        seen.is_some_and(|seen| seen.login || second.saturating_sub(seen.first) >= KNOWN_AFTER)
    }

    /// How many clients are known, for the share of them that may be blocked: those that logged in or came back. Who
    /// was seen once long ago is not counted, which makes the share smaller, never larger.
    pub(super) fn known_total(&self) -> u64 {
        self.table.list_len(RETURNING) as u64
    }

    pub(super) fn total(&self) -> u64 {
        self.table.len() as u64
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn add(&mut self, client: Ipv6Addr, second: i64) -> u32 {
        if self.table.len() >= CLIENTS_MAX {
            let full = self.table.list_len(RETURNING) > RETURNING_MAX || self.table.list_len(NEWCOMERS) == 0;
            self.table.evict(if full { RETURNING } else { NEWCOMERS });
            self.evicted += 1;
        }
        self.table.insert(client, Seen { first: second, touched: second, finding: None, login: false }, NEWCOMERS)
    }
}

/// A client's key as tables hold it: IPv4 in the mapped range.
pub(super) fn table_key(key: IpAddr) -> Ipv6Addr {
    match key {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(u128::from(number) << 64)
    }

    #[test]
    fn a_client_is_known_after_a_quarter_of_an_hour_or_a_login() {
        let mut clients = Clients::new();
        clients.observe(client(1), 1_000, false);
        clients.observe(client(2), 1_000, true);
        assert!(!clients.known(client(1), 1_000 + KNOWN_AFTER - 1));
        assert!(clients.known(client(1), 1_000 + KNOWN_AFTER));
        assert!(clients.known(client(2), 1_000));
        assert!(!clients.known(client(3), 9_000));
        assert_eq!(clients.known_total(), 1, "the first did not come back yet");
        clients.observe(client(1), 1_000 + KNOWN_AFTER, false);
        assert_eq!(clients.known_total(), 2);
    }

    #[test]
    fn a_finding_makes_a_suspect_for_an_hour() {
        let mut clients = Clients::new();
        clients.suspect(client(1), 1_000);
        assert!(clients.observe(client(1), 1_000 + SUSPECT_FOR - 1, false));
        assert!(!clients.observe(client(1), 1_000 + SUSPECT_FOR, false));
        assert!(!clients.observe(client(2), 1_000, false));
    }

    #[test]
    fn a_flood_pushes_out_newcomers_only() {
        let mut clients = Clients::new();
        clients.observe(client(0), 0, true);
        for number in 1..=CLIENTS_MAX as u32 + 1_000 {
            clients.observe(client(number), 1, false);
        }
        assert_eq!(clients.total(), CLIENTS_MAX as u64);
        assert_eq!(clients.evicted(), 1_001);
        assert!(clients.known(client(0), 0));
        assert!(!clients.known(client(1), 1 + KNOWN_AFTER), "the oldest newcomer went first");
        assert!(clients.known(client(1_002), 1 + KNOWN_AFTER));
    }
}
