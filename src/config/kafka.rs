//! `journal: { kafka: … }` → what a Kafka client is made with, in the Kafka client's names. Pure.
//!
//! `tls` and `sasl` are the words people know; whatever else the Kafka client can do goes under `properties`. What decides
//! whether records are lost is not the user's, and is refused with the reason.

use super::{Kafka, KafkaStart};
use crate::document::{Keys, Kind, Node};
use crate::event::Time;

/// Properties that are set by the journal itself, with what to write instead.
const OURS: &[(&str, &str)] = &[
    (
        "auto.offset.reset",
        "`start` says where a first start begins; later ones go on where they were, and nothing is skipped",
    ),
    ("bootstrap.servers", "write `brokers`"),
    ("metadata.broker.list", "write `brokers`"),
    ("enable.auto.commit", "positions are committed with what they led to, and never by themselves"),
    ("enable.auto.offset.store", "positions are committed with what they led to, and never by themselves"),
    ("isolation.level", "records of transactions that were taken back must not be read"),
    ("enable.idempotence", "without it records could be there twice"),
    ("acks", "records that one broker alone has could be lost"),
    ("group.id", "each stage has a group of its own"),
    ("group.instance.id", "it is this process's own"),
    (
        "group.protocol",
        "the group protocol is the classic one until the Kafka client's new one is without known faults",
    ),
    ("transactional.id", "it is this process's own"),
    ("client.id", "it is this process's own"),
    ("enable.partition.eof", "the ends of partitions are needed"),
    ("security.protocol", "`tls` and `sasl` say it"),
];

const MECHANISMS: &[(&str, &str)] = &[
    ("PLAIN", "PLAIN"),
    ("SCRAM-SHA-256", "SCRAM-SHA-256"),
    ("SCRAM-SHA-512", "SCRAM-SHA-512"),
    ("OAUTHBEARER", "OAUTHBEARER"),
];

/// Keys of `tls` and of `sasl`, with the Kafka client's names.
const TLS: &[(&str, &str)] = &[
    ("ca", "ssl.ca.location"),
    ("certificate", "ssl.certificate.location"),
    ("key", "ssl.key.location"),
    ("key_password", "ssl.key.password"),
];
const SASL: &[(&str, &str)] = &[("username", "sasl.username"), ("password", "sasl.password")];

/// Reads the section.
pub(super) fn read(keys: &mut Keys<'_, '_>) -> Kafka {
    keys.required("brokers");
    let brokers: Vec<String> = keys.texts("brokers").into_iter().map(str::to_owned).collect();
    let start = start(keys);
    let (tls, sasl) = (map(keys, "tls"), map(keys, "sasl"));
    let mut properties = vec![("security.protocol".to_owned(), protocol(tls.is_some(), sasl.is_some()).to_owned())];
    let mut token_file = None;
    if let Some(node) = tls {
        named(keys, node, TLS, &mut properties);
    }
    if let Some(node) = sasl {
        token_file = read_sasl(keys, node, &mut properties);
    }
    if let Some(node) = map(keys, "properties") {
        further(keys, node, &mut properties);
    }
    Kafka { brokers, start, properties, token_file, raw: keys.node().clone() }
}

fn start(keys: &mut Keys<'_, '_>) -> KafkaStart {
    let what = "end, beginning or a time such as 2026-11-30T09:00:00Z";
    let read = |text: &str| match text {
        "beginning" => Some(KafkaStart::Beginning),
        "end" => Some(KafkaStart::End),
        other => other.parse().ok().map(|at: jiff::Timestamp| KafkaStart::At(Time(at.as_millisecond()))),
    };
    keys.parsed("start", what, read).unwrap_or(KafkaStart::End)
}

fn map<'n>(keys: &mut Keys<'n, '_>, key: &'static str) -> Option<&'n Node> {
    let node = keys.node_of(key)?;
    if matches!(node.kind, Kind::Map(_)) {
        return Some(node);
    }
    keys.fault(node, format!("`{key}` must be a map of keys, not {}", node.describe()));
    None
}

fn protocol(tls: bool, sasl: bool) -> &'static str {
    match (tls, sasl) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    }
}

/// Texts under known keys.
fn named(
    keys: &mut Keys<'_, '_>,
    node: &Node,
    known: &'static [(&'static str, &'static str)],
    out: &mut Vec<(String, String)>,
) {
    let source = keys.source();
    let mut inner = Keys::of(&source, node, "this section", keys.faults);
    for (key, property) in known {
        if let Some(value) = inner.text(key) {
            out.push(((*property).to_owned(), value.to_owned()));
        }
    }
    inner.finish();
}

fn read_sasl(keys: &mut Keys<'_, '_>, node: &Node, out: &mut Vec<(String, String)>) -> Option<String> {
    let source = keys.source();
    let mut inner = Keys::of(&source, node, "`sasl`", keys.faults);
    let mechanism = inner.word("mechanism", MECHANISMS).unwrap_or("SCRAM-SHA-512");
    out.push(("sasl.mechanism".to_owned(), mechanism.to_owned()));
    for (key, property) in SASL {
        if let Some(value) = inner.text(key) {
            out.push(((*property).to_owned(), value.to_owned()));
        }
    }
    let token_file = inner.text("token_file").map(str::to_owned);
    if mechanism == "OAUTHBEARER" && token_file.is_none() {
        inner.fault(
            node,
            "OAUTHBEARER needs `token_file`: the path of a file that holds the token, read again as it changes",
        );
    }
    inner.finish();
    token_file
}

/// Properties of the client by its own names, as they are.
fn further(keys: &mut Keys<'_, '_>, node: &Node, out: &mut Vec<(String, String)>) {
    let Kind::Map(entries) = &node.kind else { return };
    for (name, value) in entries {
        let (Some(text), Some(value)) = (name.text(), value.text()) else {
            keys.fault(name, "a property is one name and one value");
            continue;
        };
        match OURS.iter().find(|(ours, _)| *ours == text) {
            Some((_, why)) => keys.fault(name, format!("`{text}` cannot be set: {why}")),
            None => out.push((text.to_owned(), value.to_owned())),
        }
    }
}
