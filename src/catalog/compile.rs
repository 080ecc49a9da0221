//! Drafts of pipelines → compiled pipelines: decoder, enricher, matcher. Pure.

use crate::config::Config;
use crate::decode::{Decoder, Keep};
use crate::detect::{Body, Detection, LogSource, Matcher, Plans, Rule};
use crate::document::{Fault, Faults};
use crate::enrich::{self, Database, EnrichError, Enricher};
use crate::event::{RuleIndex, ServiceIndex};

use super::pipeline::Draft;
use super::{Files, GeoDatabase, KeepExtras, Pipeline, needs};

/// What pipelines are compiled from, besides their own files.
pub(super) struct Compile<'c> {
    pub(super) config: &'c Config,
    pub(super) files: &'c Files,
    pub(super) rules: &'c [Rule],
    pub(super) plans: &'c Plans,
    pub(super) services: &'c [String],
    pub(super) keep: KeepExtras,
}

impl Compile<'_> {
    /// Compiles all.
    pub(super) fn pipelines(&self, drafts: Vec<Draft>, faults: &mut Faults) -> Vec<Pipeline> {
        let keep = match self.keep {
            KeepExtras::All => Keep::All,
            KeepExtras::Named => Keep::Named(needs::extras(self.rules)),
        };
        let enricher = match Enricher::new(self.address_settings()) {
            Ok(enricher) => enricher,
            Err(error) => {
                faults.push(self.database_fault(&error));
                return Vec::new();
            }
        };
        let mut pipelines = Vec::new();
        for draft in drafts {
            match self.pipeline(draft, keep.clone(), &enricher) {
                Ok(pipeline) => pipelines.push(pipeline),
                Err(fault) => faults.push(fault),
            }
        }
        pipelines
    }

    /// What enrichment knows is the same for all pipelines, so its tables are built once and shared.
    fn address_settings(&self) -> enrich::Settings {
        let networks = &self.config.networks;
        enrich::Settings {
            own: networks.own.clone(),
            protected: networks.protected.clone(),
            trusted_proxies: networks.trusted_proxies.clone(),
            ordinary: networks.ordinary.clone(),
            lists: Vec::new(),
            country: bytes(&self.files.country),
            asn: bytes(&self.files.asn),
            client: Vec::new(),
        }
    }

    fn pipeline(&self, draft: Draft, keep: Keep, enricher: &Enricher) -> Result<Pipeline, Fault> {
        let mut decoder = draft.decoder;
        decoder.keep = keep;
        let known = decoder.service.known.iter().filter(|name| **name != decoder.service.default);
        let services = known.chain([&decoder.service.default]).map(|name| (name.clone(), self.service(name))).collect();
        let detections = self.detections(&draft.logsources);
        // A match that tallies carry already is not sought.
        let counted: Vec<_> = detections.iter().copied().filter(|(index, _)| self.plans.wants(*index)).collect();
        let matcher =
            Matcher::build(&counted).map_err(|error| Fault::of_file(&draft.document.source.path, error.to_string()))?;
        Ok(Pipeline {
            name: decoder.pipeline.clone(),
            description: draft.description,
            topics: draft.topics,
            logsources: draft.logsources,
            samples: draft.samples,
            detections: detections.into_iter().map(|(index, _)| index).collect(),
            decoder_settings: decoder.clone(),
            decoder: Decoder::new(decoder),
            enricher: enricher.with_client(&draft.client),
            matcher,
            path: draft.document.source.path.clone(),
            services,
        })
    }

    /// A database is named by the configuration, so that is where its fault stands.
    fn database_fault(&self, error: &EnrichError) -> Fault {
        let (EnrichError::Corrupt { database, .. } | EnrichError::WrongKind { database, .. }) = error;
        let geoip = &self.config.geoip;
        let (key, path) = match database {
            Database::Country => ("geoip.country", &geoip.country),
            Database::Asn => ("geoip.asn", &geoip.asn),
        };
        let message = format!("{}: {error}", path.as_deref().unwrap_or(key));
        let fault = self.config.fault(self.config.spot(key), message);
        fault.suggest(format!("fetch the file again, or remove `{key}`"))
    }

    /// There are fewer services than 65,536: every one stands in a pipeline file of limited size.
    fn service(&self, name: &str) -> ServiceIndex {
        let place = self.services.iter().position(|service| service == name).unwrap_or_default();
        ServiceIndex(u16::try_from(place).unwrap_or(u16::MAX))
    }

    /// The plain rules that a pipeline with these log sources serves.
    fn detections(&self, served: &[LogSource]) -> Vec<(RuleIndex, &Detection)> {
        let indexed = (0u16..).zip(self.rules);
        let fitting = indexed.filter(|(_, rule)| served.iter().any(|source| serves(source, &rule.logsource)));
        fitting
            .filter_map(|(index, rule)| match &rule.body {
                Body::Detection(detection) => Some((RuleIndex(index), detection)),
                Body::Correlation(_) => None,
            })
            .collect()
    }
}

fn bytes(database: &Option<GeoDatabase>) -> Option<std::sync::Arc<[u8]>> {
    database.as_ref().and_then(GeoDatabase::bytes).cloned()
}

/// Whether logs of source `served` are what a rule for `wanted` reads: each part it names must be the same.
pub(super) fn serves(served: &LogSource, wanted: &LogSource) -> bool {
    let part = |served: &Option<String>, wanted: &Option<String>| match (served, wanted) {
        (_, None) => true,
        (Some(served), Some(wanted)) => served.eq_ignore_ascii_case(wanted),
        (None, Some(_)) => false,
    };
    part(&served.category, &wanted.category)
        && part(&served.product, &wanted.product)
        && part(&served.service, &wanted.service)
}
