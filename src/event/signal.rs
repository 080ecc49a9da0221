//! What leaves ingest: signals, tallies, and the pack that carries them to `decide`. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::position::{Input, Place};
use super::time::Time;

/// The hash of a catalog's content: the name of everything that judges (blake3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CatalogHash(pub [u8; 32]);

/// A rule of the catalog that a pack names, by its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleIndex(pub u16);

/// A service of the catalog that a pack names, by its index there: services are a closed set (design §8.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceIndex(pub u16);

/// One value of a group-by or of a distinct count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// A client's key: an IPv4 address, or an IPv6 /64 with its lower half zero (design §8.2).
    Client(IpAddr),
    Text(Box<str>),
    Number(i64),
}

/// What one event means for one stateful rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    pub rule: RuleIndex,
    /// The windowed time (design §7).
    pub time: Time,
    /// The journal's time of the record.
    pub appended_at: Time,
    /// The largest windowed time of the input up to and including this event.
    pub high: Time,
    pub place: Place,
    /// The client the event came from, as it is targeted; absent where it has none.
    pub client: Option<Client>,
    /// The service the event belongs to.
    pub service: ServiceIndex,
    /// The rule's group-by values, in the rule's order.
    pub group: Box<[Value]>,
    /// The value that a distinct count counts, or the number that a sum or average takes.
    pub value: Option<Value>,
}

/// Who an event came from, and whether that can be held against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Client {
    pub address: IpAddr,
    pub standing: Standing,
}

/// Whether an address is that of a client who can be blocked. Judged by enrichment, used by the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// A client of the internet.
    Attributed,
    /// A proxy, CDN or load balancer, an unparsable forwarding chain, or a line that anybody could have forged.
    Unattributed,
    /// A private or special-purpose address (IANA registries).
    Private,
}

/// How much of one client on one service passed in one second of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The whole second, counted from the epoch, of the windowed times.
    pub second: i64,
    pub client: Option<Client>,
    pub service: ServiceIndex,
    pub counts: Counts,
    /// First and last offset that were counted.
    pub first: Place,
    pub last: Place,
}

/// The sums of a [`Tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Web requests.
    pub requests: u32,
    /// Answers with status 500 to 599.
    pub errors: u32,
    /// Answers that took longer than the outage limit of 3 s (design §8.6).
    pub slow: u32,
    /// Failed logins.
    pub failures: u32,
    /// Answers below status 400, and successful logins.
    pub successes: u32,
    /// Successful logins alone: they open a profile.
    pub logins: u32,
    /// Requests whose duration is known.
    pub timed: u32,
    /// The sum of their durations, in milliseconds.
    pub duration_ms: u64,
    /// Bytes sent in answers.
    pub bytes: u64,
}

/// What one ingest commit says of one input: the only carrier from ingest to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    pub input: Input,
    /// The offsets covered: `from` inclusive, `to` exclusive. Empty packs have `from == to`.
    pub from: u64,
    pub to: u64,
    /// The largest `appended_at` so far in this input.
    pub appended_at: Time,
    /// The largest windowed time so far in this input; absent where it never had an event.
    pub high: Option<Time>,
    pub catalog: CatalogHash,
    /// In offset order.
    pub signals: Vec<Signal>,
    /// Ordered by second, client and service.
    pub tallies: Vec<Tally>,
}

impl Counts {
    /// Adds another sum to this one, saturating.
    pub fn add(&mut self, other: &Counts) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.slow = self.slow.saturating_add(other.slow);
        self.failures = self.failures.saturating_add(other.failures);
        self.successes = self.successes.saturating_add(other.successes);
        self.logins = self.logins.saturating_add(other.logins);
        self.timed = self.timed.saturating_add(other.timed);
        self.duration_ms = self.duration_ms.saturating_add(other.duration_ms);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Client {
    /// The address as windows and blocks key it: IPv6 by its /64.
    pub fn key(&self) -> IpAddr {
        client_key(self.address)
    }
}

/// An address as windows and blocks key it: IPv4 as it is, IPv6 by its /64 (design §8.2).
pub fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

/// The text of a value in outputs and ids; an IPv6 client is written as its /64.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Client(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Value::Client(IpAddr::V6(v6)) => write!(f, "{v6}/64"),
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Lower-case hex of the whole hash.
impl fmt::Display for CatalogHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
