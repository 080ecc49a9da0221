//! Whom a finding could block (design §8.2). Pure.
//!
//! Deliberately generous: whether a target may be blocked is the guard's to say, for each by itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::event::outcome::Refusal;
use crate::event::{EntityKind, Finding, Standing};

use super::prefix::Prefix;

/// A network is a target only when so many distinct clients of it offended: two may be a household or a pair of
/// machines behind one line, three in one window are the network's doing.
const NETWORK_MEMBERS_MIN: usize = 3;
/// A member of something larger is a target only with so many events of its own (design §8.2): a bystander who mistyped
/// his password during a spray has fewer.
const MEMBER_EVENTS_MIN: u32 = 5;

/// What could be blocked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) prefix: Prefix,
    /// The worst standing of the clients within.
    pub(super) standing: Standing,
    /// The keys of the clients within that offended.
    pub(super) clients: Vec<IpAddr>,
}

/// The targets of a finding, none where nobody did enough; refused where the entity should be a target and cannot be
/// told.
pub(super) fn targets(finding: &Finding) -> Result<Vec<Target>, Refusal> {
    match finding.entity.kind {
        EntityKind::Client => {
            let client = finding.client.ok_or(Refusal::Unattributed)?;
            Ok(vec![Target::client(client.key(), client.standing)])
        }
        EntityKind::Network => network(finding),
        EntityKind::User
        | EntityKind::Service
        | EntityKind::Asn
        | EntityKind::Country
        | EntityKind::Host
        | EntityKind::Global => Ok(members(finding)),
    }
}

/// The whole prefix. A proxy or private address among its members speaks against all of it.
fn network(finding: &Finding) -> Result<Vec<Target>, Refusal> {
    let network: IpNet = finding.entity.value.parse().map_err(|_| Refusal::Unattributed)?;
    let prefix = Prefix::network(network);
    let mut clients = by_key(finding);
    clients.retain(|key, _| prefix.contains(*key));
    if clients.len() < NETWORK_MEMBERS_MIN {
        return Ok(Vec::new());
    }
    let standing = clients.values().map(|(standing, _)| *standing).max().unwrap_or(Standing::Unattributed);
    Ok(vec![Target { prefix, standing, clients: clients.into_keys().collect() }])
}

fn members(finding: &Finding) -> Vec<Target> {
    let active = by_key(finding).into_iter().filter(|(_, (_, count))| *count >= MEMBER_EVENTS_MIN);
    active.map(|(key, (standing, _))| Target::client(key, standing)).collect()
}

/// The members as they are targeted, each once: the addresses of one IPv6 /64 are one.
fn by_key(finding: &Finding) -> BTreeMap<IpAddr, (Standing, u32)> {
    let mut clients = BTreeMap::new();
    for member in finding.members.iter().take(Finding::MEMBERS_MAX) {
        let (standing, count) = clients.entry(member.client.key()).or_insert((member.client.standing, 0u32));
        *standing = (*standing).max(member.client.standing);
        *count = count.saturating_add(member.count);
    }
    clients
}

impl Target {
    fn client(key: IpAddr, standing: Standing) -> Target {
        Target { prefix: Prefix::client(key), standing, clients: vec![key] }
    }
}
