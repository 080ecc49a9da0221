//! What every fuzz target checks: any bytes give one event that keeps its raw bytes (law 5), and nothing panics.

use std::sync::OnceLock;

use bumpalo::Bump;
use sekisho::catalog::{Catalog, KeepExtras, built_in};
use sekisho::config::Config;
use sekisho::event::Time;

static CATALOG: OnceLock<Catalog> = OnceLock::new();

/// Decodes and enriches arbitrary bytes as one item of a built-in pipeline.
pub fn decode(pipeline: &str, bytes: &[u8]) {
    let catalog = CATALOG.get_or_init(|| {
        Catalog::build(&Config::default(), &built_in(), KeepExtras::All).expect("the built-in catalog")
    });
    let index = catalog.pipeline_named(pipeline).expect("a built-in pipeline");
    let pipeline = catalog.pipeline(index);
    let arena = Bump::new();
    let mut event = pipeline.decoder.decode(bytes, Time(1_795_453_503_414), &arena);
    pipeline.enricher.enrich(&mut event, &mut pipeline.enricher.cache());
    assert!(event.original.len() <= bytes.len());
    assert!(event.occurred_at.is_none_or(|time| time >= Time::MIN && time <= Time::MAX));
    assert!(sekisho::decode::items(bytes).count() >= 1);
}
