//! The sections of `sekisho.yaml`, key by key. Pure.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::document::{Faults, Keys, Kind, Node, Source};

use super::origin::{Spot, Written};
use super::values::{LEVELS, duration, level, networks, share};
use super::{
    Budget, Collect, CollectSource, Config, GeoIp, Http, Journal, Keep, Mention, Networks, Response, Retention, Start,
    TimeSettings, Tuning,
};

const STARTS: &[(&str, Start)] = &[("beginning", Start::Beginning), ("end", Start::End)];
const ADDRESS: &str = "an address with a port, such as 127.0.0.1:7070";

/// Reads the whole file; after a fault the default stands in, so that the rest is read too.
pub(super) fn config(written: Written, faults: &mut Faults) -> Config {
    let Some(document) = &written.document else { return Config::default() };
    let mut keys = Keys::of(&document.source, &document.root, "the configuration", faults);
    let default = Config::default();
    let read = Config {
        data: keys.text("data").map_or(default.data, str::to_owned),
        http: section(&mut keys, "http", http).unwrap_or(default.http),
        journal: journal(&mut keys),
        networks: section(&mut keys, "networks", networks_section).unwrap_or_default(),
        time: section(&mut keys, "time", time).unwrap_or_default(),
        response: section(&mut keys, "response", response).unwrap_or_default(),
        rules: section(&mut keys, "rules", tuning).unwrap_or_default(),
        collect: collect(&mut keys),
        geoip: section(&mut keys, "geoip", geoip).unwrap_or_default(),
        retention: section(&mut keys, "retention", retention).unwrap_or_default(),
        written: Written::default(),
    };
    keys.finish();
    Config { written, ..read }
}

/// Reads the map under a key, if it is given.
fn section<T>(keys: &mut Keys<'_, '_>, key: &'static str, read: impl FnOnce(&mut Keys<'_, '_>) -> T) -> Option<T> {
    let node = keys.node_of(key)?;
    Some(map(&keys.source(), node, key, keys.faults, read))
}

fn map<T>(
    source: &Arc<Source>,
    node: &Node,
    what: &str,
    faults: &mut Faults,
    read: impl FnOnce(&mut Keys<'_, '_>) -> T,
) -> T {
    let mut keys = Keys::of(source, node, &format!("`{what}`"), faults);
    let value = read(&mut keys);
    keys.finish();
    value
}

fn http(keys: &mut Keys<'_, '_>) -> Http {
    let listen = keys.parsed("listen", ADDRESS, |text| text.parse().ok());
    Http { listen: listen.unwrap_or(Config::default().http.listen) }
}

fn journal(keys: &mut Keys<'_, '_>) -> Journal {
    let Some(node) = keys.node_of("journal") else { return Journal::Embedded };
    if node.text() == Some("kafka") {
        keys.fault(node, "a Kafka journal is written `journal: { kafka: { brokers: [\"host:9092\"] } }`");
        return Journal::Embedded;
    }
    if !matches!(node.kind, Kind::Map(_)) {
        keys.word("journal", &[("embedded", ())]);
        return Journal::Embedded;
    }
    let kafka = map(&keys.source(), node, "journal", keys.faults, |keys| section(keys, "kafka", super::kafka::read));
    kafka.map_or(Journal::Embedded, Journal::Kafka)
}

fn networks_section(keys: &mut Keys<'_, '_>) -> Networks {
    Networks {
        own: networks(keys, "own"),
        protected: networks(keys, "protected"),
        trusted_proxies: networks(keys, "trusted_proxies"),
        ordinary: networks(keys, "ordinary"),
    }
}

fn time(keys: &mut Keys<'_, '_>) -> TimeSettings {
    let default = TimeSettings::default();
    let time = TimeSettings {
        past: duration(keys, "past", default.past),
        future: duration(keys, "future", default.future),
        lateness: duration(keys, "lateness", default.lateness),
        grace: duration(keys, "grace", default.grace),
        idle: duration(keys, "idle", default.idle),
        stale: duration(keys, "stale", default.stale),
    };
    in_order(keys, ("lateness", time.lateness), ("grace", time.grace));
    in_order(keys, ("grace", time.grace), ("past", time.past));
    time
}

/// The shorter of two durations must be the shorter; the fault stands at whichever was given.
fn in_order(keys: &mut Keys<'_, '_>, shorter: (&'static str, i64), longer: (&'static str, i64)) {
    if shorter.1 < longer.1 {
        return;
    }
    let node = keys.node_of(shorter.0).or_else(|| keys.node_of(longer.0)).unwrap_or(keys.node());
    keys.fault(node, format!("`{}` must be shorter than `{}`", shorter.0, longer.0));
}

fn response(keys: &mut Keys<'_, '_>) -> Response {
    let default = Response::default();
    Response {
        level: keys.word("level", LEVELS).unwrap_or(default.level),
        shadow: keys.boolean("shadow").unwrap_or(default.shadow),
        budget: section(keys, "budget", budget).unwrap_or(default.budget),
        hold: duration(keys, "hold", default.hold),
    }
}

fn budget(keys: &mut Keys<'_, '_>) -> Budget {
    let default = Response::default().budget;
    let count = "a whole number, 0 or more";
    Budget {
        per_minute: keys.parsed("per_minute", count, |text| text.parse().ok()).unwrap_or(default.per_minute),
        active: keys.parsed("active", count, |text| text.parse().ok()).unwrap_or(default.active),
        share: keys.parsed("share", "a share from 0% to 100%", share).unwrap_or(default.share),
    }
}

fn tuning(keys: &mut Keys<'_, '_>) -> Tuning {
    let disable = keys.node_of("disable").map(|node| mentions(keys, "disable", node)).unwrap_or_default();
    let level = keys.node_of("level").map(|node| levels(keys, node)).unwrap_or_default();
    Tuning { disable, level }
}

fn mentions(keys: &mut Keys<'_, '_>, key: &str, node: &Node) -> Vec<Mention> {
    let mut mentions = Vec::new();
    for item in node.items() {
        match item.text() {
            Some(name) => mentions.push(Mention { name: name.to_owned(), spot: Spot::of(item) }),
            None => keys.fault(item, format!("`{key}` must hold names or ids of rules, not {}", item.describe())),
        }
    }
    mentions
}

fn levels(keys: &mut Keys<'_, '_>, node: &Node) -> Vec<(Mention, crate::event::outcome::Level)> {
    let Kind::Map(entries) = &node.kind else {
        keys.fault(node, "`level` must be a map of rule names to levels, such as { guessing_per_client: observe }");
        return Vec::new();
    };
    let mut levels = Vec::new();
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        if let Some(level) = level(keys, name, value) {
            levels.push((Mention { name: name.to_owned(), spot: Spot::of(key) }, level));
        }
    }
    levels
}

fn collect(keys: &mut Keys<'_, '_>) -> Vec<Collect> {
    let Some(node) = keys.node_of("collect") else { return Vec::new() };
    let source = keys.source();
    let entry = |item| map(&source, item, "an entry of `collect`", keys.faults, collected);
    node.items().iter().filter_map(entry).collect()
}

fn collected(keys: &mut Keys<'_, '_>) -> Option<Collect> {
    let pattern = keys.text("file").map(str::to_owned);
    let listen: Option<SocketAddr> = keys.parsed("syslog", ADDRESS, |text| text.parse().ok());
    let from = keys.word("from", STARTS).unwrap_or(Start::End);
    let pipeline = keys.required("pipeline")?;
    let name = keys.text("pipeline")?.to_owned();
    if keys.node_of("file").is_some() == keys.node_of("syslog").is_some() {
        keys.fault(keys.node(), "an entry of `collect` has either `file` or `syslog`");
        return None;
    }
    let source = pattern.map(|pattern| CollectSource::File { pattern, from }).or(listen.map(CollectSource::Syslog))?;
    Some(Collect { source, pipeline: Mention { name, spot: Spot::of(pipeline) } })
}

fn geoip(keys: &mut Keys<'_, '_>) -> GeoIp {
    GeoIp { country: keys.text("country").map(str::to_owned), asn: keys.text("asn").map(str::to_owned) }
}

fn retention(keys: &mut Keys<'_, '_>) -> Retention {
    let default = Retention::default();
    let mut keep = |key, default: Keep| {
        section(keys, key, |keys| Keep {
            age: duration(keys, "age", default.age),
            bytes: keys.size("bytes").unwrap_or(default.bytes),
        })
        .unwrap_or(default)
    };
    Retention { journal: keep("journal", default.journal), index: keep("index", default.index) }
}
