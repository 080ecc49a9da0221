//! The order of enrichment: user agent, peer, client behind proxies, networks, place. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use crate::event::{Address, Client, Event, FlawKind, Number, Standing, Text};

use super::agent::{AgentClass, Agents};
use super::cache::{Cache, Facts};
use super::error::EnrichError;
use super::forwarding;
use super::geo::Geo;
use super::networks::Networks;
use super::settings::{ClientSource, Settings};

/// Says who the client of an event is and what is known of it. Cheap to clone: tables and databases are shared.
#[derive(Clone)]
pub struct Enricher {
    tables: Arc<Tables>,
    /// Whether a forwarding header is looked at before the peer is taken.
    forwarded: bool,
}

struct Tables {
    networks: Networks,
    geo: Geo,
    agents: Agents,
}

/// Who the client is and how that is known.
struct Resolved {
    client: IpAddr,
    method: &'static str,
    broken: bool,
}

const METHOD_PEER: &str = "peer";
const METHOD_FORWARDED: &str = "x_forwarded_for";

impl Enricher {
    /// Builds all tables.
    ///
    /// # Errors
    ///
    /// [`EnrichError`] where a database is damaged or holds something else. The whole file is verified once, so that no
    /// look-up meets damage later.
    pub fn new(settings: Settings) -> Result<Self, EnrichError> {
        let networks = Networks::new(&settings);
        let forwarded = forwarded_first(&settings.client);
        let geo = Geo::new(settings.country, settings.asn)?;
        Ok(Enricher { tables: Arc::new(Tables { networks, geo, agents: Agents::new() }), forwarded })
    }

    /// The same tables for a pipeline with client sources of its own; caches may be shared between the two.
    pub fn with_client(&self, sources: &[ClientSource]) -> Self {
        Enricher { tables: self.tables.clone(), forwarded: forwarded_first(sources) }
    }

    /// An empty cache for one worker.
    pub fn cache(&self) -> Cache {
        Cache::new()
    }

    /// Sets `client.*`, `sekisho.client.method`, `sekisho.user_agent.class` and the tags of the client's networks, and
    /// returns the client with its standing; `None` where the event has no address. What a decoder wrote into
    /// `client.ip` counts only where there is no peer.
    pub fn enrich<'a>(&'a self, event: &mut Event<'a>, cache: &mut Cache) -> Option<Client> {
        self.classify_agent(event, cache);
        let peer = peer(event)?;
        let resolved = self.resolve(event, peer, cache);
        if resolved.broken {
            event.add_flaw(Text::XForwardedFor.name(), FlawKind::BadForwarding);
        }
        event.set_address(Address::ClientIp, resolved.client);
        event.set_text(Text::ClientMethod, resolved.method);
        let facts = self.facts(resolved.client, cache);
        self.describe(event, facts);
        let standing = self.standing(facts, resolved.broken || event.spoofable);
        Some(Client { address: resolved.client, standing })
    }

    fn classify_agent(&self, event: &mut Event<'_>, cache: &mut Cache) {
        let class = match event.text(Text::UserAgent) {
            Some(text) => cache.class(text, || self.tables.agents.class(text)),
            None if is_web(event) => AgentClass::Empty,
            None => return,
        };
        event.set_text(Text::UserAgentClass, class.name());
    }

    /// The client behind `peer`: the peer itself unless it is a trusted proxy that says more.
    fn resolve(&self, event: &Event<'_>, peer: IpAddr, cache: &mut Cache) -> Resolved {
        let by_peer = Resolved { client: peer, method: METHOD_PEER, broken: false };
        let Some(header) = event.text(Text::XForwardedFor).filter(|_| self.forwarded) else {
            return by_peer;
        };
        let networks = &self.tables.networks;
        if !networks.set(self.facts(peer, cache).networks).trusted {
            return by_peer;
        }
        let walk = forwarding::walk(header, |hop| networks.set(networks.index(hop)).trusted);
        match walk.client {
            Some(client) => Resolved { client, method: METHOD_FORWARDED, broken: walk.broken },
            None => Resolved { broken: walk.broken, ..by_peer },
        }
    }

    fn facts(&self, address: IpAddr, cache: &mut Cache) -> Facts {
        let Tables { networks, geo, .. } = &*self.tables;
        cache.facts(address, || Facts { networks: networks.index(address), place: geo.place(address) })
    }

    fn describe<'a>(&'a self, event: &mut Event<'a>, facts: Facts) {
        for tag in self.tables.networks.tags(facts.networks) {
            event.add_tag(tag);
        }
        if let Some(country) = facts.place.country() {
            event.set_text(Text::ClientCountry, country);
        }
        if let Some(number) = facts.place.as_number() {
            event.set_number(Number::ClientAsNumber, i64::from(number));
        }
        if let Some(organization) = self.tables.geo.organization(facts.place) {
            event.set_text(Text::ClientAsOrganization, organization);
        }
    }

    /// A proxy is never the client, even where its address is private too: it is named for what it is.
    fn standing(&self, facts: Facts, doubtful: bool) -> Standing {
        let set = self.tables.networks.set(facts.networks);
        if doubtful || set.trusted {
            Standing::Unattributed
        } else if set.private {
            Standing::Private
        } else {
            Standing::Attributed
        }
    }
}

/// No sources at all mean the usual order: the header is believed from trusted proxies only, so that is safe.
fn forwarded_first(sources: &[ClientSource]) -> bool {
    sources.first().is_none_or(|first| *first == ClientSource::XForwardedFor)
}

/// The direct peer; `source.ip` is read from `source.address` where decoding left it out.
fn peer(event: &mut Event<'_>) -> Option<IpAddr> {
    if let Some(peer) = event.address(Address::SourceIp) {
        return Some(peer);
    }
    if let Some(address) = event.text(Text::SourceAddress).and_then(forwarding::address) {
        event.set_address(Address::SourceIp, address);
        return Some(address);
    }
    event.address(Address::ClientIp)
}

fn is_web(event: &Event<'_>) -> bool {
    event.text(Text::HttpMethod).is_some()
        || event.number(Number::HttpStatus).is_some()
        || event.text(Text::UrlOriginal).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bumpalo::Bump;
    use ipnet::IpNet;
    use proptest::prelude::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn enricher() -> Enricher {
        Enricher::new(Settings {
            own: nets(&["89.160.20.0/24"]),
            trusted_proxies: nets(&["10.0.0.0/8", "67.43.156.1/32"]),
            lists: vec![("scanners".into(), nets(&["89.160.20.5/32"]))],
            ..Settings::default()
        })
        .unwrap()
    }

    /// Client, standing, method, tags and flaws of one event.
    fn told(enricher: &Enricher, peer: &str, header: Option<&str>) -> String {
        let arena = Bump::new();
        let mut event = Event::new(b"", &arena);
        event.set_text(Text::SourceAddress, arena.alloc_str(peer));
        if let Some(header) = header {
            event.set_text(Text::XForwardedFor, arena.alloc_str(header));
        }
        let Some(client) = enricher.enrich(&mut event, &mut enricher.cache()) else {
            return "none".to_owned();
        };
        assert_eq!(event.address(Address::ClientIp), Some(client.address));
        let method = event.text(Text::ClientMethod).unwrap();
        let flaws = event.flaws().len();
        format!("{} {:?} {method} {} {flaws}", client.address, client.standing, event.tags().join("+"))
    }

    #[test]
    fn clients_of_the_table() {
        let enricher = enricher();
        let cases: [(&str, Option<&str>, &str); 14] = [
            ("8.8.8.8", None, "8.8.8.8 Attributed peer  0"),
            ("8.8.8.8:4711", None, "8.8.8.8 Attributed peer  0"),
            ("::ffff:8.8.8.8", None, "8.8.8.8 Attributed peer  0"),
            ("8.8.8.8", Some("9.9.9.9"), "8.8.8.8 Attributed peer  0"),
            ("192.168.1.5", Some("9.9.9.9"), "192.168.1.5 Private peer  0"),
            ("10.0.0.1", None, "10.0.0.1 Unattributed peer  0"),
            ("10.0.0.1", Some("1.1.1.1, 8.8.8.8, 10.9.9.9"), "8.8.8.8 Attributed x_forwarded_for  0"),
            ("67.43.156.1", Some("2a00::1"), "2a00::1 Attributed x_forwarded_for  0"),
            ("10.0.0.1", Some("10.0.0.7, 10.9.9.9"), "10.0.0.7 Unattributed x_forwarded_for  0"),
            ("10.0.0.1", Some("8.8.8.8, unknown"), "10.0.0.1 Unattributed peer  1"),
            ("10.0.0.1", Some("8.8.8.8, 010.1.1.1, 10.1.1.1"), "10.1.1.1 Unattributed x_forwarded_for  1"),
            ("10.0.0.1", Some("192.168.0.9"), "192.168.0.9 Private x_forwarded_for  0"),
            ("10.0.0.1", Some("89.160.20.5"), "89.160.20.5 Attributed x_forwarded_for own+scanners 0"),
            ("host.example", None, "none"),
        ];
        for (peer, header, expected) in cases {
            assert_eq!(told(&enricher, peer, header), expected, "{peer} {header:?}");
        }
    }

    #[test]
    fn workers_share_one_enricher_and_own_their_caches() {
        fn shared<T: Send + Sync + Clone>(_: &T) {}
        fn owned<T: Send>(_: &T) {}
        let enricher = enricher();
        shared(&enricher);
        owned(&enricher.cache());
    }

    #[test]
    fn a_pipeline_may_ignore_the_header() {
        let enricher = enricher().with_client(&[ClientSource::Peer, ClientSource::XForwardedFor]);
        assert_eq!(told(&enricher, "10.0.0.1", Some("8.8.8.8")), "10.0.0.1 Unattributed peer  0");
    }

    #[test]
    fn spoofable_lines_and_missing_peers() {
        let (enricher, arena) = (enricher(), Bump::new());
        let mut event = Event::new(b"", &arena);
        event.set_address(Address::ClientIp, "8.8.8.8".parse().unwrap());
        event.spoofable = true;
        let client = enricher.enrich(&mut event, &mut enricher.cache()).unwrap();
        assert_eq!((client.address.to_string(), client.standing), ("8.8.8.8".into(), Standing::Unattributed));
        event.set_address(Address::SourceIp, "9.9.9.9".parse().unwrap());
        event.spoofable = false;
        let client = enricher.enrich(&mut event, &mut enricher.cache()).unwrap();
        assert_eq!((client.address.to_string(), client.standing), ("9.9.9.9".into(), Standing::Attributed));
    }

    #[test]
    fn the_agent_has_a_class_in_web_events_even_without_a_client() {
        let (enricher, arena) = (enricher(), Bump::new());
        let class = |agent: Option<&'static str>, status: Option<i64>| {
            let mut event = Event::new(b"", &arena);
            agent.into_iter().for_each(|agent| event.set_text(Text::UserAgent, agent));
            status.into_iter().for_each(|status| event.set_number(Number::HttpStatus, status));
            assert_eq!(enricher.enrich(&mut event, &mut enricher.cache()), None);
            event.text(Text::UserAgentClass)
        };
        assert_eq!(class(Some("curl/8"), None), Some("library"));
        assert_eq!(class(None, Some(200)), Some("empty"));
        assert_eq!(class(None, None), None);
    }

    fn hop() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from(bits).to_string()),
            2 => any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from(bits).to_string()),
            2 => "10\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
            1 => "(192\\.168\\.1\\.1|127\\.0\\.0\\.1|::1|::ffff:10\\.1\\.1\\.1|67\\.43\\.156\\.1|fd00::1)(:[0-9]{1,6})?",
            1 => "(for=|\\[|\"|)[0-9a-f.:]{0,20}(\\]|\"|;by=1.2.3.4|)",
            1 => "\\PC{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn no_header_makes_a_protected_kind_of_address_attributed(hops in proptest::collection::vec(hop(), 0..8)) {
            let (enricher, arena) = (enricher(), Bump::new());
            let mut cache = enricher.cache();
            let header = hops.join(",");
            for (peer, believed) in [("10.0.0.1", true), ("8.8.8.8", false)] {
                let mut event = Event::new(b"", &arena);
                event.set_address(Address::SourceIp, peer.parse().unwrap());
                event.set_text(Text::XForwardedFor, arena.alloc_str(&header));
                let client = enricher.enrich(&mut event, &mut cache).unwrap();
                prop_assert!(believed || client.address.to_string() == peer);
                let set = enricher.tables.networks.set(enricher.tables.networks.index(client.address));
                prop_assert!(client.standing != Standing::Attributed || !(set.trusted || set.private));
                let forgotten = enricher.enrich(&mut event, &mut enricher.cache());
                prop_assert_eq!(forgotten, Some(client), "a cache changes nothing");
            }
        }
    }
}
