//! The configuration that results, each value with its origin: `sekisho config show`. Pure.
//!
//! What is shown as YAML reads back as the same configuration, except that secrets are hidden.

use std::fmt::Write;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::document::{Kind, Node};
use crate::event::{DAY, HOUR, MINUTE, SECOND};

use super::{Collect, CollectSource, Config, Journal, Kafka, Keep, Origin, Start};

/// One value of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Dotted, as `time.past`.
    pub key: String,
    pub value: Value,
    pub origin: Origin,
}

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

impl Config {
    /// All settings in the order of the documentation.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        let mut add = |key: &str, value: Value| {
            settings.push(Setting { key: key.to_owned(), value, origin: self.origin(key) });
        };
        add("data", json!(self.data));
        add("http.listen", json!(self.http.listen.to_string()));
        add("journal", self.journal_value());
        add("networks.own", networks(&self.networks.own));
        add("networks.protected", networks(&self.networks.protected));
        add("networks.trusted_proxies", networks(&self.networks.trusted_proxies));
        add("networks.ordinary", networks(&self.networks.ordinary));
        let time = self.time;
        let times = [
            ("time.past", time.past),
            ("time.future", time.future),
            ("time.lateness", time.lateness),
            ("time.grace", time.grace),
            ("time.idle", time.idle),
            ("time.stale", time.stale),
        ];
        times.into_iter().for_each(|(key, value)| add(key, duration(value)));
        add("response.level", json!(self.response.level.word()));
        add("response.shadow", json!(self.response.shadow));
        add("response.budget.per_minute", json!(self.response.budget.per_minute));
        add("response.budget.active", json!(self.response.budget.active));
        add("response.budget.share", share(self.response.budget.share));
        add("response.hold", duration(self.response.hold));
        add("rules.disable", self.rules.disable.iter().map(|mention| json!(mention.name)).collect());
        let levels = self.rules.level.iter().map(|(mention, level)| (mention.name.clone(), json!(level.word())));
        add("rules.level", Value::Object(levels.collect()));
        add("collect", self.collect.iter().map(collected).collect());
        add("geoip.country", json!(self.geoip.country));
        add("geoip.asn", json!(self.geoip.asn));
        keep(&mut add, ["retention.journal.age", "retention.journal.bytes"], self.retention.journal);
        keep(&mut add, ["retention.index.age", "retention.index.bytes"], self.retention.index);
        settings
    }

    /// The settings as a `sekisho.yaml`, each with its origin in a comment.
    pub fn to_yaml(&self) -> String {
        yaml(self.settings())
    }

    /// The sections that judge, as a `sekisho.yaml`: what a catalog is built from again.
    pub fn judging_yaml(&self) -> String {
        const JUDGING: [&str; 4] = ["networks.", "time.", "response.", "rules."];
        let judges = |setting: &Setting| JUDGING.iter().any(|section| setting.key.starts_with(section));
        yaml(self.settings().into_iter().filter(judges).collect())
    }

    fn journal_value(&self) -> Value {
        match &self.journal {
            Journal::Embedded => json!("embedded"),
            Journal::Kafka(Kafka { raw, .. }) => json!({ "kafka": node(raw) }),
        }
    }
}

fn yaml(settings: Vec<Setting>) -> String {
    let mut text = String::new();
    let mut open: Vec<String> = Vec::new();
    for setting in settings {
        let mut parts: Vec<&str> = setting.key.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        let shared = open.iter().zip(&parts).take_while(|(a, b)| a == *b).count();
        for (depth, part) in parts.iter().enumerate().skip(shared) {
            let _ = writeln!(text, "{:indent$}{part}:", "", indent = depth * 2);
        }
        let value = setting.value.to_string().replace("${", "$${");
        let indent = parts.len() * 2;
        let _ = writeln!(text, "{:indent$}{last}: {value}  # {}", "", setting.origin);
        open = parts.into_iter().map(str::to_owned).collect();
    }
    text
}

fn keep(add: &mut impl FnMut(&str, Value), [age, bytes]: [&str; 2], keep: Keep) {
    add(age, duration(keep.age));
    add(bytes, size(keep.bytes));
}

fn networks(networks: &[IpNet]) -> Value {
    networks.iter().map(|network| json!(network.to_string())).collect()
}

fn collected(collect: &Collect) -> Value {
    let pipeline = &collect.pipeline.name;
    match &collect.source {
        CollectSource::File { pattern, from } => {
            let from = match from {
                Start::Beginning => "beginning",
                Start::End => "end",
            };
            json!({ "file": pattern, "pipeline": pipeline, "from": from })
        }
        CollectSource::Syslog(listen) => json!({ "syslog": listen.to_string(), "pipeline": pipeline }),
    }
}

/// A duration in the largest unit that gives it whole.
fn duration(milliseconds: i64) -> Value {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1, "ms")];
    let (unit, name) = units.into_iter().find(|(unit, _)| milliseconds % unit == 0).unwrap_or((1, "ms"));
    json!(format!("{}{name}", milliseconds / unit))
}

fn size(bytes: u64) -> Value {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
    let (unit, name) = units.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit)).unwrap_or((1, "B"));
    json!(format!("{}{name}", bytes / unit))
}

/// A share as a percentage; six decimals are more than anyone writes, and undo what the division by 100 rounded.
fn share(share: f64) -> Value {
    let text = format!("{:.6}", share * 100.0);
    json!(format!("{}%", text.trim_end_matches('0').trim_end_matches('.')))
}

/// The tree is at most [`crate::document::DEPTH_MAX`] levels deep, so recursion is bounded.
fn node(raw: &Node) -> Value {
    match &raw.kind {
        Kind::Null => Value::Null,
        Kind::Scalar { text, .. } => json!(text),
        Kind::List(items) => items.iter().map(node).collect(),
        Kind::Map(entries) => {
            let value = |key: &str, value: &Node| if secret(key) { json!(HIDDEN) } else { node(value) };
            let named = entries.iter().map(|(key, v)| {
                let key = key.text().unwrap_or_default();
                (key.to_owned(), value(key, v))
            });
            Value::Object(named.collect::<Map<_, _>>())
        }
    }
}

/// Whether a key holds a secret itself; `password_file` only says where one is.
fn secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["password", "secret", "token", "sasl.jaas", "key.pem", "private"];
    !key.ends_with("_file") && !key.ends_with(".location") && words.iter().any(|word| key.contains(word))
}
