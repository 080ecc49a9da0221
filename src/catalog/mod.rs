//! Builds the settings of each room from config, pipelines and rules; compiled, immutable, hashed. Pure.
//!
//! A catalog is named by the hash of everything that judges, so a receipt can say with what it was decided. Every fault
//! of every file is reported at once. Deliberately without I/O: the texts and the GeoIP bytes are arguments.

mod builtin;
mod compile;
mod digest;
mod json_map;
mod needs;
mod pipeline;
mod place;
mod response;
mod rules;
mod samples;
mod text;
mod tuning;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Config, TimeSettings};
use crate::decode;
use crate::detect::{LogSource, Matcher, Plans, Rule};
use crate::document::{Fault, Faults, nearest};
use crate::event::{CatalogHash, RuleIndex, ServiceIndex, topic_fits};
use crate::{enrich, respond};

pub use builtin::built_in;
pub use samples::{Expected, Sample, SampleFailure};
pub use text::{CATALOGS, CatalogText};

use place::Sources;

/// Findings name their rule by a [`RuleIndex`] of 16 bits; SigmaHQ's whole corpus has 3,780.
pub const RULES_MAX: usize = u16::MAX as usize;

/// One file that is given to a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// How it is named in messages.
    pub path: String,
    pub text: String,
    pub maker: Maker,
}

/// Who wrote a file; ours are held to more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// It travels in the binary; its rules must carry examples.
    Sekisho,
    User,
}

/// Everything besides the configuration that a catalog is made from.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub pipelines: Vec<File>,
    pub rules: Vec<File>,
    /// A country or city mmdb.
    pub country: Option<GeoDatabase>,
    /// An ASN mmdb.
    pub asn: Option<GeoDatabase>,
}

/// A GeoIP database. What was looked up is written into signals, so deciding again needs no more of it than its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeoDatabase {
    Bytes(Arc<[u8]>),
    /// The blake3 of its bytes, in hex.
    Digest(String),
}

/// Which fields without a slot decoding keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepExtras {
    /// All: for `sekisho decode` and the index.
    All,
    /// Those that a rule asks for: for detection alone.
    Named,
}

/// A pipeline of the catalog, by its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineIndex(pub usize);

/// Everything that judges, compiled.
pub struct Catalog {
    pub hash: CatalogHash,
    /// By [`RuleIndex`], in the order of their ids. Disabled ones are not here, changed levels are applied.
    pub rules: Vec<Rule>,
    /// How each rule that alerts is counted.
    pub plans: Arc<Plans>,
    /// By [`PipelineIndex`], in the order of their names.
    pub pipelines: Vec<Pipeline>,
    /// By [`ServiceIndex`], in the order of their names: every service that any pipeline knows.
    pub services: Arc<[String]>,
    pub respond: Arc<respond::Settings>,
    pub time: TimeSettings,
}

/// One pipeline file, checked and compiled.
pub struct Pipeline {
    pub name: String,
    pub description: String,
    /// Kafka topics by name, or by a pattern with `*`.
    pub topics: Vec<String>,
    /// Which Sigma log sources it serves.
    pub logsources: Vec<LogSource>,
    pub samples: Vec<Sample>,
    /// The plain rules whose log source this pipeline serves.
    pub detections: Vec<RuleIndex>,
    pub decoder_settings: decode::Settings,
    pub decoder: decode::Decoder,
    pub enricher: enrich::Enricher,
    pub matcher: Matcher,
    /// The file it came from.
    pub path: String,
    /// Known services, then the default.
    services: Vec<(String, ServiceIndex)>,
}

impl Catalog {
    /// Builds a catalog.
    ///
    /// # Errors
    /// Everything that is wrong with any of the files, at once.
    pub fn build(config: &Config, files: &Files, keep: KeepExtras) -> Result<Catalog, Faults> {
        let mut faults = Faults::default();
        let mut sources = Sources::default();
        let drafts = pipeline::read_all(&files.pipelines, &mut sources, &mut faults);
        let read = rules::read_all(&files.rules, &mut sources, &mut faults);
        let names: Vec<&str> = drafts.iter().map(|draft| draft.decoder.pipeline.as_str()).collect();
        rules::check(&read, &names, &sources, &mut faults);
        check_collected(config, &names, &mut faults);
        let rules = tuning::apply(config, read, &sources, &mut faults);
        let hash = digest::catalog(config, files, &drafts, &rules);
        let services: Arc<[String]> = services(&drafts);
        let plans = Arc::new(Plans::new(&rules));
        let compile = compile::Compile { config, files, rules: &rules, plans: &plans, services: &services, keep };
        let pipelines = compile.pipelines(drafts, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let respond = Arc::new(response::settings(config, hash, &rules));
        Ok(Catalog { hash, rules, plans, pipelines, services, respond, time: config.time })
    }

    /// The pipeline of an index of this catalog.
    pub fn pipeline(&self, index: PipelineIndex) -> &Pipeline {
        &self.pipelines[index.0]
    }

    /// The pipeline of a name.
    pub fn pipeline_named(&self, name: &str) -> Option<PipelineIndex> {
        self.pipelines.iter().position(|pipeline| pipeline.name == name).map(PipelineIndex)
    }

    /// The pipeline that reads a topic: the one of its name, else the first that names it, else the first whose pattern it
    /// fits.
    pub fn pipeline_of(&self, topic: &str) -> Option<PipelineIndex> {
        let named = |fits: &dyn Fn(&str) -> bool| {
            let reads = |pipeline: &Pipeline| pipeline.topics.iter().any(|pattern| fits(pattern));
            self.pipelines.iter().position(reads).map(PipelineIndex)
        };
        self.pipeline_named(topic)
            .or_else(|| named(&|pattern| pattern == topic))
            .or_else(|| named(&|pattern| topic_fits(pattern, topic)))
    }

    /// The topics that are read: by name, and by pattern.
    pub fn topics(&self) -> Vec<String> {
        let of = |pipeline: &Pipeline| [vec![pipeline.name.clone()], pipeline.topics.clone()].concat();
        let mut topics: Vec<String> = self.pipelines.iter().flat_map(of).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// The pipeline of a name; or else a message that says which there are.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn pipeline_or_fault(&self, name: &str) -> Result<PipelineIndex, String> {
        self.pipeline_named(name).ok_or_else(|| {
            let names: Vec<&str> = self.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
            match nearest(name, names.iter().copied()) {
                Some(near) => format!("there is no pipeline `{name}`; did you mean `{near}`?"),
                None => format!("there is no pipeline `{name}`; there are {}", names.join(", ")),
            }
        })
    }

    /// A rule by its name or id.
    pub fn rule_named(&self, name: &str) -> Option<RuleIndex> {
        let place = self.rules.iter().position(|rule| rule.name == name || rule.id == name)?;
        u16::try_from(place).ok().map(RuleIndex)
    }
}

impl GeoDatabase {
    /// The blake3 of its bytes, in hex.
    pub fn digest(&self) -> String {
        match self {
            GeoDatabase::Bytes(bytes) => blake3::hash(bytes).to_hex().to_string(),
            GeoDatabase::Digest(digest) => digest.clone(),
        }
    }

    /// The database itself, where it is here.
    pub fn bytes(&self) -> Option<&Arc<[u8]>> {
        match self {
            GeoDatabase::Bytes(bytes) => Some(bytes),
            GeoDatabase::Digest(_) => None,
        }
    }
}

impl Pipeline {
    /// The index of an event's service; of the default where it names none that is known.
    pub fn service_index(&self, name: Option<&str>) -> ServiceIndex {
        let known = name.and_then(|name| self.services.iter().find(|(known, _)| known == name));
        known.or(self.services.last()).map(|(_, index)| *index).unwrap_or_default()
    }
}

/// Every service that any pipeline knows, in the order of their names.
fn services(drafts: &[pipeline::Draft]) -> Arc<[String]> {
    let of = |draft: &pipeline::Draft| {
        let service = &draft.decoder.service;
        service.known.iter().chain([&service.default]).cloned().collect::<Vec<_>>()
    };
    drafts.iter().flat_map(of).collect::<BTreeSet<String>>().into_iter().collect()
}

/// What the configuration collects must go to a pipeline that exists.
fn check_collected(config: &Config, names: &[&str], faults: &mut Faults) {
    for collect in &config.collect {
        let name = collect.pipeline.name.as_str();
        if !names.contains(&name) {
            let fault = config.fault(Some(collect.pipeline.spot), format!("there is no pipeline `{name}`"));
            faults.push(advise(fault, name, names.iter().copied(), "pipelines"));
        }
    }
}

/// Adds "did you mean", or what there is to choose from where that is short.
fn advise<'n>(fault: Fault, word: &str, names: impl Iterator<Item = &'n str> + Clone, what: &str) -> Fault {
    const LISTED_MAX: usize = 12;
    if let Some(near) = nearest(word, names.clone()) {
        return fault.suggest(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = names.take(LISTED_MAX + 1).collect();
    if all.is_empty() || all.len() > LISTED_MAX {
        return fault.suggest(format!("`sekisho {what} list` shows those there are"));
    }
    fault.suggest(format!("{what} there are: {}", all.join(", ")))
}

#[cfg(test)]
mod tests;
