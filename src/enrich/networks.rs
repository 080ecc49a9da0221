//! Which networks an address lies in: all configured and special-purpose ranges in one flat sorted table. Pure.
//!
//! A look-up is one binary search over disjoint ranges, whatever the number of networks and lists.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::settings::Settings;
use super::special::{SPECIAL_V4, SPECIAL_V6};

/// All ranges, as two tables of disjoint ones.
#[derive(Debug)]
pub(super) struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    sets: Vec<NetworkSet>,
    names: Vec<String>,
}

/// What an address in a range is, decided once when the table is built.
#[derive(Debug)]
pub(super) struct NetworkSet {
    /// Inside `trusted_proxies`.
    pub(super) trusted: bool,
    /// Special-purpose and not declared ordinary.
    pub(super) private: bool,
    /// Indexes of tag names, in the order of the settings.
    tags: Vec<usize>,
}

/// The index of a [`NetworkSet`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SetIndex(u32);

/// One meaning that a configured network gives to its addresses. The order is that of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    /// A tag by the index of its name.
    Tag(usize),
    Trusted,
    Ordinary,
    Special,
}

/// The tags of `networks.own` and `networks.protected`, before those of the lists.
const OWN_TAGS: [&str; 2] = ["own", "protected"];

impl Networks {
    pub(super) fn new(settings: &Settings) -> Self {
        let labelled = labelled(settings);
        let mut sets = Sets::default();
        let v4 = labelled.iter().filter_map(|(net, label)| Some((v4_range(net)?, *label)));
        let v4 = Ranges::new(v4, |last| last.checked_add(1), |key| (key >> (32 - BUCKET_BITS)) as usize, &mut sets);
        let v6 = labelled.iter().filter_map(|(net, label)| Some((v6_range(net)?, *label)));
        let v6 = Ranges::new(v6, |last| last.checked_add(1), |key| (key >> (128 - BUCKET_BITS)) as usize, &mut sets);
        let names = OWN_TAGS.iter().map(|tag| (*tag).to_owned());
        let names = names.chain(settings.lists.iter().map(|(name, _)| name.clone())).collect();
        Networks { v4, v6, sets: sets.meanings, names }
    }

    /// The set of an address; IPv4-mapped IPv6 must be unwrapped already.
    pub(super) fn index(&self, address: IpAddr) -> SetIndex {
        match address {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits()),
        }
    }

    pub(super) fn set(&self, index: SetIndex) -> &NetworkSet {
        &self.sets[index.0 as usize]
    }

    pub(super) fn tags(&self, index: SetIndex) -> impl Iterator<Item = &str> {
        self.set(index).tags.iter().map(|tag| self.names[*tag].as_str())
    }
}

fn labelled(settings: &Settings) -> Vec<(IpNet, Label)> {
    let mut all = Vec::new();
    let mut add = |nets: &[IpNet], label: Label| all.extend(nets.iter().map(|net| (unwrapped(*net), label)));
    add(&settings.own, Label::Tag(0));
    add(&settings.protected, Label::Tag(1));
    add(&settings.trusted_proxies, Label::Trusted);
    add(&settings.ordinary, Label::Ordinary);
    for (index, (_, nets)) in settings.lists.iter().enumerate() {
        add(nets, Label::Tag(OWN_TAGS.len() + index));
    }
    all.extend(SPECIAL_V4.iter().map(|(net, _)| (IpNet::V4(*net), Label::Special)));
    all.extend(SPECIAL_V6.iter().map(|(net, _)| (IpNet::V6(*net), Label::Special)));
    all
}

/// A configured network; IPv4 written as IPv4-mapped IPv6 is unwrapped, as addresses are.
fn unwrapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = || Ipv4Net::new(v6.network().to_ipv4_mapped()?, v6.prefix_len().checked_sub(96)?).ok();
    mapped().map_or(net, IpNet::V4)
}

/// First and last address of an IPv4 network.
fn v4_range(net: &IpNet) -> Option<(u32, u32)> {
    match net {
        IpNet::V4(v4) => Some((v4.network().to_bits(), v4.broadcast().to_bits())),
        IpNet::V6(_) => None,
    }
}

fn v6_range(net: &IpNet) -> Option<(u128, u128)> {
    match net {
        IpNet::V4(_) => None,
        IpNet::V6(v6) => Some((v6.network().to_bits(), v6.broadcast().to_bits())),
    }
}

/// Look-ups first go by this many leading bits, so that lists of 100,000 networks cost a few steps more and not
/// seventeen; with them the index of a table takes 16 KiB.
const BUCKET_BITS: u32 = 12;

/// Disjoint ranges in order: the set of `starts[i]` holds up to `starts[i + 1]`, and `starts[0]` is zero. Where
/// two starts are equal the later one counts.
#[derive(Debug)]
struct Ranges<K> {
    starts: Vec<K>,
    sets: Vec<SetIndex>,
    /// The leading bits of a key.
    bucket: fn(K) -> usize,
    /// By leading bits: how many starts have smaller ones.
    before: Vec<u32>,
}

impl<K: Copy + Ord + Default> Ranges<K> {
    fn new(
        nets: impl Iterator<Item = ((K, K), Label)>,
        after: impl Fn(K) -> Option<K>,
        bucket: fn(K) -> usize,
        known: &mut Sets,
    ) -> Self {
        let mut borders: Vec<(K, Label, i64)> = Vec::new();
        for ((first, last), label) in nets {
            borders.push((first, label, 1));
            borders.extend(after(last).map(|next| (next, label, -1)));
        }
        borders.sort_unstable();
        let mut ranges = Ranges { starts: Vec::new(), sets: Vec::new(), bucket, before: Vec::new() };
        ranges.push(K::default(), known.index(Vec::new()));
        let mut depth: BTreeMap<Label, i64> = BTreeMap::new();
        for changes in borders.chunk_by(|a, b| a.0 == b.0) {
            for (_, label, change) in changes {
                *depth.entry(*label).or_default() += change;
            }
            depth.retain(|_, count| *count > 0);
            ranges.push(changes[0].0, known.index(depth.keys().copied().collect()));
        }
        let smaller = |number: usize| ranges.starts.partition_point(|start| bucket(*start) < number) as u32;
        ranges.before = (0..=1 << BUCKET_BITS).map(smaller).collect();
        ranges
    }

    fn push(&mut self, start: K, set: SetIndex) {
        if self.sets.last() != Some(&set) {
            self.starts.push(start);
            self.sets.push(set);
        }
    }

    /// The last range that starts at or before the key; all starts of smaller buckets do.
    fn find(&self, key: K) -> SetIndex {
        let bucket = (self.bucket)(key);
        let (first, end) = (self.before[bucket] as usize, self.before[bucket + 1] as usize);
        let within = self.starts[first..end].partition_point(|start| *start <= key);
        self.sets[first + within - 1]
    }
}

/// The distinct sets met so far.
#[derive(Default)]
struct Sets {
    by_labels: BTreeMap<Vec<Label>, SetIndex>,
    meanings: Vec<NetworkSet>,
}

impl Sets {
    fn index(&mut self, labels: Vec<Label>) -> SetIndex {
        if let Some(index) = self.by_labels.get(&labels) {
            return *index;
        }
        let index = SetIndex(self.meanings.len() as u32);
        self.meanings.push(meaning(&labels));
        self.by_labels.insert(labels, index);
        index
    }
}

fn meaning(labels: &[Label]) -> NetworkSet {
    let tag = |label: &Label| match label {
        Label::Tag(tag) => Some(*tag),
        Label::Trusted | Label::Ordinary | Label::Special => None,
    };
    NetworkSet {
        trusted: labels.contains(&Label::Trusted),
        private: labels.contains(&Label::Special) && !labels.contains(&Label::Ordinary),
        tags: labels.iter().filter_map(tag).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn tags(networks: &Networks, address: &str) -> String {
        networks.tags(networks.index(address.parse().unwrap())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn addresses_get_the_tags_of_all_their_networks() {
        let networks = Networks::new(&Settings {
            own: nets(&["89.160.20.0/24", "2a02::/16"]),
            protected: nets(&["89.160.20.7/32", "::ffff:9.9.9.0/120"]),
            lists: vec![
                ("tor".into(), nets(&["89.160.20.7/32", "89.160.0.0/16"])),
                ("vpn".into(), nets(&["0.0.0.0/0"])),
            ],
            ..Settings::default()
        });
        assert_eq!(tags(&networks, "89.160.20.7"), "own protected tor vpn");
        assert_eq!(tags(&networks, "89.160.20.8"), "own tor vpn");
        assert_eq!(tags(&networks, "9.9.9.9"), "protected vpn");
        assert_eq!(tags(&networks, "255.255.255.255"), "vpn");
        assert_eq!(tags(&networks, "2a02:1::1"), "own");
        assert_eq!(tags(&networks, "2a03::"), "");
    }

    #[test]
    fn special_ranges_are_private_unless_declared_ordinary() {
        let networks = Networks::new(&Settings { ordinary: nets(&["127.30.0.0/16"]), ..Settings::default() });
        let private = |address: &str| networks.set(networks.index(address.parse().unwrap())).private;
        let special = "127.0.0.1 10.1.2.3 100.64.0.1 169.254.1.1 192.0.2.1 198.51.100.1 203.0.113.1 198.19.255.255 \
            224.0.0.1 240.0.0.1 255.255.255.255 172.31.255.255 127.29.255.255 127.31.0.0 ::1 fc00::1 fdff::1 fe80::1 \
            2001:db8::1 64:ff9b::808:808 2002:808:808::1 2001::1 ff02::1 3fff::1 ::7f00:1";
        assert_eq!(special.split_whitespace().find(|address| !private(address)), None);
        let ordinary =
            "127.30.4.4 8.8.8.8 172.32.0.0 100.128.0.0 11.0.0.0 223.255.255.255 2a00::1 2606:4700::1 2001:200::1";
        assert_eq!(ordinary.split_whitespace().find(|address| private(address)), None);
    }

    proptest! {
        #[test]
        fn the_table_says_what_a_loop_over_all_networks_says(
            nets in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..40),
            addresses in proptest::collection::vec(any::<u32>(), 50),
        ) {
            let nets: Vec<IpNet> = nets.iter().map(|(a, l)| IpNet::new(std::net::Ipv4Addr::from(*a).into(), *l).unwrap()).collect();
            let networks = Networks::new(&Settings { own: nets.clone(), trusted_proxies: nets.clone(), ..Settings::default() });
            let edges = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for address in addresses.iter().map(|a| std::net::Ipv4Addr::from(*a).into()).chain(edges) {
                let inside = nets.iter().any(|net| net.contains(&address));
                let set = networks.set(networks.index(address));
                prop_assert_eq!((set.trusted, set.tags == [0]), (inside, inside));
            }
        }
    }
}
