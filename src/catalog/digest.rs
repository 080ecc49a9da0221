//! The name of a catalog: a hash over everything that judges, in one canonical form. Pure.
//!
//! What only people read (descriptions, samples, paths, the order of files) is deliberately not part of it.

use crate::config::Config;
use crate::detect::Rule;
use crate::document::{Kind, Node};
use crate::event::CatalogHash;

use super::pipeline::Draft;
use super::{Files, GeoDatabase};

/// The first words of the canonical form. The number grows when the form changes, so that no two forms can meet.
const FORM: &str = "sekisho catalog 1";

/// Keys of a pipeline that only people read.
const NOT_JUDGING: [&str; 3] = ["description", "samples", "topics"];

pub(super) fn catalog(config: &Config, files: &Files, drafts: &[Draft], rules: &[Rule]) -> CatalogHash {
    let mut canonical = Canonical::default();
    canonical.text(FORM);
    canonical.config(config);
    for database in [&files.country, &files.asn] {
        let digest = database.as_ref().map(GeoDatabase::digest);
        canonical.text(digest.as_deref().unwrap_or_default());
    }
    canonical.count(drafts.len());
    drafts.iter().for_each(|draft| canonical.pipeline(&draft.document.root));
    canonical.count(rules.len());
    for rule in rules {
        canonical.text(&rule.id);
        canonical.text(&rule.version);
        canonical.count(rule.sekisho.response.level as usize);
    }
    CatalogHash(*canonical.hasher.finalize().as_bytes())
}

/// Writes values so that no two different sequences give the same bytes: lengths first.
#[derive(Default)]
struct Canonical {
    hasher: blake3::Hasher,
}

impl Canonical {
    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.hasher.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.hasher.update(&(count as u64).to_le_bytes());
    }

    /// The sections that judge, through the one text form that each value has. Their defaults are written too: a
    /// default that changes with a version changes the verdict.
    fn config(&mut self, config: &Config) {
        const JUDGING: [&str; 3] = ["networks.", "time.", "response."];
        let judges = |key: &str| JUDGING.iter().any(|section| key.starts_with(section));
        for setting in config.settings().iter().filter(|setting| judges(&setting.key)) {
            self.text(&setting.key);
            self.text(&setting.value.to_string());
        }
    }

    fn pipeline(&mut self, root: &Node) {
        let Kind::Map(entries) = &root.kind else { return self.node(root) };
        let judges = |key: &Node| !key.text().is_some_and(|key| NOT_JUDGING.contains(&key));
        let judging: Vec<&(Node, Node)> = entries.iter().filter(|(key, _)| judges(key)).collect();
        self.count(judging.len());
        for (key, value) in judging {
            self.node(key);
            self.node(value);
        }
    }

    /// The tree is at most [`crate::document::DEPTH_MAX`] levels deep, so recursion is bounded.
    fn node(&mut self, node: &Node) {
        match &node.kind {
            Kind::Null => self.text("null"),
            Kind::Scalar { text, .. } => {
                self.text("scalar");
                self.text(text);
            }
            Kind::List(items) => {
                self.text("list");
                self.count(items.len());
                items.iter().for_each(|item| self.node(item));
            }
            Kind::Map(entries) => {
                self.text("map");
                self.count(entries.len());
                for (key, value) in entries {
                    self.node(key);
                    self.node(value);
                }
            }
        }
    }
}
