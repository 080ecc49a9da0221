//! Who takes part in the day: addresses, and what should become of them. Pure data.

use ipnet::IpNet;

/// One part of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub name: &'static str,
    /// Addresses that no other actor has; empty for what happens to everybody.
    pub addresses: Vec<IpNet>,
    pub kind: ActorKind,
    /// Whether a good defence blocks these addresses. Benign actors and anomalies never are, and some attacks are only
    /// alerted about.
    pub expect_block: bool,
    /// For people.
    pub what: &'static str,
}

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    Attack,
    Benign,
    /// Something that looks like an attack to a counter and has no attacker.
    Anomaly,
}

/// Returning visitors, by number; those whose number divides by [`VISITORS_PER_IPV6`] come by IPv6.
pub(super) const VISITORS: u64 = 1_200;
pub(super) const VISITORS_PER_IPV6: u64 = 16;
/// One visitor who searches for odd words, and one who forgot the password.
pub(super) const ODD_VISITOR: &str = "50.130.3.3";
pub(super) const FORGETFUL: &str = "31.64.10.4";
pub(super) const OFFICE: &str = "81.2.69.192";
pub(super) const SEARCH_CRAWLER: &str = "66.249.66.1";
pub(super) const LINK_CRAWLER: &str = "40.77.167.10";
pub(super) const MONITOR: &str = "12.81.128.9";
pub(super) const POLLER: &str = "1.129.0.7";
pub(super) const SSH_USERS: [(&str, &str); 4] =
    [("alice", "31.64.20.11"), ("bob", "31.64.20.12"), ("carol", "31.64.20.13"), ("deploy", "31.64.20.14")];
/// Has lost the key and mistypes the password twice.
pub(super) const SSH_TYPO: &str = "31.64.20.21";
pub(super) const SSH_GUESSER: &str = "175.16.199.31";
pub(super) const SSH_SPRAYER: &str = "175.16.199.32";
pub(super) const FORM_GUESSER: &str = "81.2.69.142";
pub(super) const PASSWORD_SPRAYER: &str = "89.160.20.112";
/// The first of [`STUFFERS`] neighbours, without the last number.
pub(super) const STUFFER_PREFIX: &str = "67.43.156.";
pub(super) const STUFFERS: u64 = 40;
pub(super) const CONTENT_SCANNER: &str = "216.160.83.56";
pub(super) const SQLMAP: &str = "175.16.199.20";
pub(super) const INJECTOR: &str = "89.160.20.130";
pub(super) const SCRIPTER: &str = "89.160.20.129";
pub(super) const TRAVERSER: &str = "89.160.20.128";
pub(super) const EXPLOITER: &str = "2.125.160.216";
pub(super) const FLOODER: &str = "12.81.92.10";
pub(super) const TLS_TALKER: &str = "12.81.92.77";
/// The flash crowd: this many addresses of `50.129.0.0/16`.
pub(super) const CROWD: u64 = 220;

/// The address of a returning visitor.
pub(super) fn visitor(number: u64) -> String {
    if number.is_multiple_of(VISITORS_PER_IPV6) {
        format!("2a02:cf40:{:x}::{:x}", number + 0x10, number * 7 + 1)
    } else {
        format!("50.128.{}.{}", number / 200, number % 200 + 20)
    }
}

/// The address of one of the crowd.
pub(super) fn of_the_crowd(number: u64) -> String {
    format!("50.129.{}.{}", number / 100 + 10, number % 100 + 50)
}

/// Everybody, attackers last.
pub(super) fn actors() -> Vec<Actor> {
    let mut actors = benign();
    actors.extend(anomalies());
    actors.extend(attacks());
    actors
}

fn benign() -> Vec<Actor> {
    let ssh: Vec<&str> = SSH_USERS.iter().map(|(_, address)| *address).collect();
    let one = |name, address, what| actor(ActorKind::Benign, name, &[address], what);
    vec![
        actor(ActorKind::Benign, "visitors", &["50.128.0.0/16", "2a02:cf40::/32"], "people who look around and buy"),
        one("office", OFFICE, "30 people behind one address log in, five mistype"),
        one("forgetful", FORGETFUL, "three wrong passwords, then the right one"),
        one("odd_searches", ODD_VISITOR, "searches with words of SQL and HTML"),
        one("search_crawler", SEARCH_CRAWLER, "a search engine, a few dead links"),
        one("link_crawler", LINK_CRAWLER, "a crawler that follows every dead link"),
        one("monitor", MONITOR, "an uptime probe every five seconds"),
        one("poller", POLLER, "a partner's program, four requests a second"),
        actor(ActorKind::Benign, "ssh_users", &ssh, "administrators with keys"),
        one("ssh_typo", SSH_TYPO, "two wrong ssh passwords, then the right one"),
    ]
}

fn anomalies() -> Vec<Actor> {
    vec![
        actor(ActorKind::Anomaly, "outage", &[], "the backend is down for 40 seconds, for everybody"),
        actor(ActorKind::Anomaly, "crowd", &["50.129.0.0/16"], "220 new visitors in 40 seconds after a mention"),
    ]
}

fn attacks() -> Vec<Actor> {
    let stuffers: Vec<String> = (0..STUFFERS).map(stuffer).collect();
    let stuffers: Vec<&str> = stuffers.iter().map(String::as_str).collect();
    let one = |name, address, what| actor(ActorKind::Attack, name, &[address], what);
    // What the shipped rules only alert about, on purpose: a signature errs, and a wrong port is mostly a wrong setting.
    let alerted = |name, address, what| Actor { expect_block: false, ..one(name, address, what) };
    vec![
        one("ssh_bruteforce", SSH_GUESSER, "40 passwords a minute for root over ssh"),
        one("ssh_spraying", SSH_SPRAYER, "one password for many invented users over ssh"),
        one("web_bruteforce", FORM_GUESSER, "20 passwords a second for admin on the login page"),
        one("password_spraying", PASSWORD_SPRAYER, "one password for 140 users on the login page"),
        actor(ActorKind::Attack, "credential_stuffing", &stuffers, "leaked pairs tried from 40 neighbours"),
        one("content_scanner", CONTENT_SCANNER, "780 guessed paths, 50 a second, with a browser's name"),
        one("sqlmap", SQLMAP, "a known tool by its own name"),
        one("sql_injection", INJECTOR, "SQL in parameters"),
        one("cross_site_scripting", SCRIPTER, "scripts in parameters"),
        one("path_traversal", TRAVERSER, "paths out of the site"),
        alerted("exploit", EXPLOITER, "what the IDS calls severity 1"),
        one("flood", FLOODER, "400 requests a second"),
        alerted("malformed", TLS_TALKER, "TLS spoken to a plain port"),
    ]
}

/// The address of one of the stuffing neighbours.
pub(super) fn stuffer(number: u64) -> String {
    format!("{STUFFER_PREFIX}{}", number + 10)
}

fn actor(kind: ActorKind, name: &'static str, addresses: &[&str], what: &'static str) -> Actor {
    let net =
        |text: &&str| text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)));
    let addresses = addresses.iter().filter_map(|text| net(text).ok()).collect();
    Actor { name, addresses, kind, expect_block: kind == ActorKind::Attack, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_actors_share_an_address() {
        let actors = actors();
        assert_eq!(actors.iter().map(|actor| actor.addresses.len()).sum::<usize>(), 67);
        for (index, actor) in actors.iter().enumerate() {
            let others = actors[index + 1..].iter().flat_map(|other| &other.addresses);
            for other in others {
                assert!(actor.addresses.iter().all(|own| !own.contains(other) && !other.contains(own)), "{other}");
            }
        }
    }

    #[test]
    fn generated_addresses_are_distinct_and_within_their_actors_networks() {
        let (mut seen, actors) = (std::collections::BTreeSet::new(), actors());
        let within = |name: &str, address: &str| {
            let address: std::net::IpAddr = address.parse().unwrap();
            actors.iter().any(|actor| actor.name == name && actor.addresses.iter().any(|net| net.contains(&address)))
        };
        assert!((0..VISITORS).map(visitor).all(|address| within("visitors", &address) && seen.insert(address)));
        assert!((0..CROWD).map(of_the_crowd).all(|address| within("crowd", &address) && seen.insert(address)));
    }
}
