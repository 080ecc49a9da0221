//! Records → events, without judging them: what the index and single look-ups need. Pure.

use std::sync::Arc;

use bumpalo::Bump;

use crate::catalog::{Catalog, PipelineIndex};
use crate::event::{Event, Time};
use crate::{decode, enrich};

use super::examine::RawRecord;

/// Reads records of one pipeline.
pub struct Reader {
    catalog: Arc<Catalog>,
    pipeline: PipelineIndex,
    arena: Bump,
    cache: enrich::Cache,
}

impl Reader {
    /// A reader for one pipeline of a catalog.
    pub fn new(catalog: Arc<Catalog>, pipeline: PipelineIndex) -> Reader {
        let cache = catalog.pipeline(pipeline).enricher.cache();
        Reader { catalog, pipeline, arena: Bump::new(), cache }
    }

    /// Hands out each event of a record, enriched, with the number of its item where there are several. `reference`
    /// places times without a year.
    pub fn read(&mut self, record: RawRecord<'_>, reference: Time, mut each: impl FnMut(&Event<'_>, Option<u32>)) {
        self.arena.reset();
        let pipeline = self.catalog.pipeline(self.pipeline);
        let mut items = decode::items(record.bytes).zip(0u32..).peekable();
        while let Some((bytes, number)) = items.next() {
            let several = number > 0 || items.peek().is_some();
            let mut event = Event::new(bytes, &self.arena);
            pipeline.decoder.decode_into(&mut event, reference);
            event.spoofable = record.spoofable;
            pipeline.enricher.enrich(&mut event, &mut self.cache);
            each(&event, several.then_some(number));
        }
    }
}
