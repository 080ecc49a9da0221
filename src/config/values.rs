//! Values of the configuration that have a form of their own: networks, shares, levels, durations. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::document::{Keys, Node, nearest};
use crate::event::DAY;
use crate::event::outcome::Level;

/// Longer than anything is kept, short enough that no sum of times overflows; the sheet's "for ever" is 100 years.
pub(super) const DURATION_MAX: i64 = 200 * 365 * DAY;

/// The words for response levels.
pub(super) const LEVELS: &[(&str, Level)] = &[
    ("observe", Level::Observe),
    ("alert", Level::Alert),
    ("throttle", Level::Throttle),
    ("challenge", Level::Challenge),
    ("block", Level::Block),
];

/// A duration that is longer than nothing and not absurd.
pub(super) fn duration(keys: &mut Keys<'_, '_>, key: &'static str, default: i64) -> i64 {
    let Some(value) = keys.duration(key) else { return default };
    let Some(node) = keys.node_of(key) else { return default };
    if value <= 0 {
        keys.fault(node, format!("`{key}` must be longer than nothing"));
        return default;
    }
    if value > DURATION_MAX {
        keys.fault(node, format!("`{key}` must be at most 200y"));
        return default;
    }
    value
}

/// The networks of a key: `192.0.2.0/24`, or a single address.
pub(super) fn networks(keys: &mut Keys<'_, '_>, key: &'static str) -> Vec<IpNet> {
    let Some(node) = keys.node_of(key) else { return Vec::new() };
    node.items().iter().filter_map(|item| network(keys, key, item)).collect()
}

fn network(keys: &mut Keys<'_, '_>, key: &'static str, item: &Node) -> Option<IpNet> {
    let text = item.text().unwrap_or_default();
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(network) = parsed else {
        let given = item.text().map_or_else(|| item.describe().to_owned(), |text| format!("`{text}`"));
        keys.fault(item, format!("`{key}` must hold networks such as 192.0.2.0/24 or 2001:db8::/32, not {given}"));
        return None;
    };
    if network.prefix_len() == 0 {
        keys.fault(item, format!("`{text}` in `{key}` is every address there is; name the networks that are meant"));
        return None;
    }
    if network.trunc() != network {
        let source = keys.source();
        let message = format!("`{text}` in `{key}` has host bits set: is one address meant, or a network?");
        let advice = format!("did you mean `{}`, or the one address `{}`?", network.trunc(), network.addr());
        keys.faults.at_with(&source, item, message, advice);
        return None;
    }
    Some(network)
}

/// `1%` as 0.01; `None` for anything but 0% to 100%.
pub(super) fn share(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?;
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let percent: f64 = number.parse().ok().filter(|_| plain)?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// The level a text names; a fault where it names none.
pub(super) fn level(keys: &mut Keys<'_, '_>, name: &str, node: &Node) -> Option<Level> {
    let text = node.text().unwrap_or_default();
    let found = LEVELS.iter().find(|(word, _)| *word == text).map(|(_, level)| *level);
    if found.is_none() {
        let words: Vec<&str> = LEVELS.iter().map(|(word, _)| *word).collect();
        let message = format!("the level of `{name}` must be one of {}, not `{text}`", words.join(", "));
        let source = keys.source();
        match nearest(text, words.iter().copied()) {
            Some(near) => keys.faults.at_with(&source, node, message, format!("did you mean `{near}`?")),
            None => keys.faults.at(&source, node, message),
        }
    }
    found
}
