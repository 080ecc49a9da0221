//! Reading a map key by key, so that nothing in it is overlooked. Pure.

use std::sync::Arc;

use super::fault::{Faults, nearest};
use super::scalar::{parse_duration, parse_size};
use super::yaml::{Kind, Node, Source};

/// A map that is being read. Take every key the schema knows, then call [`Keys::finish`]: what is left is unknown.
pub struct Keys<'n, 'f> {
    source: Arc<Source>,
    node: &'n Node,
    entries: &'n [(Node, Node)],
    asked: Vec<&'static str>,
    pub faults: &'f mut Faults,
}

impl<'n, 'f> Keys<'n, 'f> {
    /// Starts reading `node`; anything but a map (or nothing) is a fault, and then every key is absent.
    pub fn of(source: &Arc<Source>, node: &'n Node, what: &str, faults: &'f mut Faults) -> Keys<'n, 'f> {
        let entries = match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            Kind::Null => &[],
            Kind::Scalar { .. } | Kind::List(_) => {
                faults.at(source, node, format!("{what} must be a map of keys, not {}", node.describe()));
                &[]
            }
        };
        Keys { source: Arc::clone(source), node, entries, asked: Vec::new(), faults }
    }

    /// The file being read.
    pub fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// The map itself.
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The value of a key, if given and not null.
    pub fn node_of(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let (_, value) = self.entries.iter().find(|(k, _)| k.text() == Some(key))?;
        (value.kind != Kind::Null).then_some(value)
    }

    /// The value of a key that must be there.
    pub fn required(&mut self, key: &'static str) -> Option<&'n Node> {
        let found = self.node_of(key);
        // What is no map has been said; that it holds no keys follows.
        if found.is_none() && matches!(self.node.kind, Kind::Map(_) | Kind::Null) {
            self.faults.at(&self.source, self.node, format!("key `{key}` is missing"));
        }
        found
    }

    /// A fault at a node of this file.
    pub fn fault(&mut self, node: &Node, message: impl Into<String>) {
        self.faults.at(&self.source, node, message);
    }

    /// The text of a key.
    pub fn text(&mut self, key: &'static str) -> Option<&'n str> {
        let node = self.node_of(key)?;
        let text = node.text();
        if text.is_none() {
            self.fault(node, format!("`{key}` must be a text, not {}", node.describe()));
        }
        text
    }

    /// The texts of a key that holds one text or a list of them.
    pub fn texts(&mut self, key: &'static str) -> Vec<&'n str> {
        let Some(node) = self.node_of(key) else { return Vec::new() };
        let mut texts = Vec::new();
        for item in node.items() {
            match item.text() {
                Some(text) => texts.push(text),
                None => self.fault(item, format!("`{key}` must hold texts, not {}", item.describe())),
            }
        }
        texts
    }

    /// A whole number.
    pub fn integer(&mut self, key: &'static str) -> Option<i64> {
        self.parsed(key, "a whole number", |text| text.parse().ok())
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.parsed(key, "true or false", |text| text.parse().ok())
    }

    /// A duration such as `90s 15m 4h 7d`, in milliseconds.
    pub fn duration(&mut self, key: &'static str) -> Option<i64> {
        self.parsed(key, "a duration such as 90s, 15m, 4h or 7d", parse_duration)
    }

    /// A size such as `64KiB 20GiB`, in bytes.
    pub fn size(&mut self, key: &'static str) -> Option<u64> {
        self.parsed(key, "a size such as 64KiB or 20GiB", parse_size)
    }

    /// One of a closed set of words.
    pub fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let node = self.node_of(key)?;
        let text = node.text().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("`{key}` must be one of {}, not `{text}`", all.join(", "));
            match nearest(text, all.iter().copied()) {
                Some(near) => self.faults.at_with(&self.source, node, message, format!("did you mean `{near}`?")),
                None => self.fault(node, message),
            }
        }
        found
    }

    /// A value by a parser of its own; `expected` completes "must be …".
    pub fn parsed<T>(&mut self, key: &'static str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let node = self.node_of(key)?;
        let parsed = node.text().and_then(parse);
        if parsed.is_none() {
            let given = node.text().map_or_else(|| node.describe().to_owned(), |text| format!("`{text}`"));
            self.fault(node, format!("`{key}` must be {expected}, not {given}"));
        }
        parsed
    }

    /// Reports every key that was not asked for, with the nearest known one.
    pub fn finish(self) {
        for (key, _) in self.entries {
            let name = key.text().unwrap_or_default();
            if self.asked.contains(&name) {
                continue;
            }
            let advice = match nearest(name, self.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys here: {}", self.asked.join(", ")),
            };
            self.faults.at_with(&self.source, key, format!("unknown key `{name}`"), advice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    #[test]
    fn every_fault_is_reported_at_its_place() {
        let documents = parse("t.yml", "nmae: x\nttl: soon\nlevel: blok\n").unwrap();
        let mut faults = Faults::default();
        let mut keys = Keys::of(&documents[0].source, &documents[0].root, "a rule", &mut faults);
        assert_eq!(keys.text("name"), None);
        assert_eq!(keys.duration("ttl"), None);
        assert_eq!(keys.word("level", &[("block", 1), ("alert", 2)]), None);
        keys.finish();
        let all: Vec<String> = faults.list.iter().map(ToString::to_string).collect();
        assert!(all[0].starts_with("t.yml:2:6: `ttl` must be a duration"), "{all:?}");
        assert!(all[1].contains("did you mean `block`?"), "{all:?}");
        assert!(all[2].starts_with("t.yml:1:1: unknown key `nmae`") && all[2].contains("`name`"), "{all:?}");
    }
}
