//! What a worker does with a chunk: every record decoded, enriched and matched. Pure but for catching what must not
//! happen.
//!
//! A record on which our own code gives up becomes a dead letter, and the rest of the input is judged. Deliberately
//! without state that outlives a chunk: which worker takes which chunk cannot be seen.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::catalog::{Catalog, PipelineIndex};
use crate::event::{EcsDocument, Envelope, Event, Input, Layout, Place, Time, document};
use crate::fold::{Examiner, Poison, RawRecord, Sightings, caught};

use super::lines::Chunk;
use super::merge::Examined;

/// What examining a chunk gave.
#[derive(Default)]
pub struct Content {
    pub first: u64,
    pub input_bytes: u64,
    /// Offset and true length of the lines that were cut.
    pub cut: Vec<(u64, u64)>,
    pub sightings: Sightings,
    /// For each record the index of its first sighting; one more at the end.
    pub starts: Vec<usize>,
    /// In the order of their records.
    pub poison: Vec<Poison>,
    /// For each sighting its event as a document, where they are wanted.
    pub documents: Vec<EcsDocument>,
}

/// One worker's examiners.
pub struct Worker {
    catalog: Arc<Catalog>,
    inputs: Vec<(Input, PipelineIndex)>,
    references: Vec<Time>,
    /// By [`PipelineIndex`]; those in use.
    examiners: Vec<Option<Examiner>>,
    documents: bool,
    spares: Receiver<Examined<Content>>,
}

impl Worker {
    /// A worker for the given inputs; `documents` asks for every event as a document. What comes in over `spares` is
    /// filled anew.
    pub fn new(
        catalog: &Arc<Catalog>,
        inputs: &[(Input, PipelineIndex)],
        references: &[Time],
        documents: bool,
        spares: Receiver<Examined<Content>>,
    ) -> Worker {
        let mut examiners: Vec<Option<Examiner>> = catalog.pipelines.iter().map(|_| None).collect();
        for (_, pipeline) in inputs {
            examiners[pipeline.0] = Some(Examiner::new(Arc::clone(catalog), *pipeline));
        }
        Worker {
            catalog: Arc::clone(catalog),
            inputs: inputs.to_vec(),
            references: references.to_vec(),
            examiners,
            documents,
            spares,
        }
    }

    /// Examines a chunk of an input.
    pub fn examine(&mut self, input: usize, chunk: &Chunk) -> Examined<Content> {
        let Examined { mut claims, mut content } = self.spares.try_recv().unwrap_or_default();
        claims.clear();
        content.begin(chunk);
        for (index, (offset, bytes)) in chunk.lines().enumerate() {
            let start = content.sightings.items.len();
            content.starts.push(start);
            let record = RawRecord { offset, bytes, spoofable: false };
            if let Err(reason) = self.examine_record(input, record, &mut content) {
                content.sightings.items.truncate(start);
                content.documents.truncate(start);
                content.poison.push(Poison::new(index, offset, bytes, reason));
            }
            claims.push(content.sightings.items[start..].iter().filter_map(|sighting| sighting.claimed).max());
        }
        content.starts.push(content.sightings.items.len());
        Examined { claims, content }
    }

    /// Examines one record; what our own code says where it gives up.
    fn examine_record(&mut self, input: usize, record: RawRecord<'_>, content: &mut Content) -> Result<(), String> {
        let (place, pipeline) = &self.inputs[input];
        let reference = self.references[input];
        let slot = &mut self.examiners[pipeline.0];
        let examiner = slot.get_or_insert_with(|| Examiner::new(Arc::clone(&self.catalog), *pipeline));
        let name = &self.catalog.pipeline(*pipeline).name;
        let Content { sightings, documents, .. } = content;
        let examined = if self.documents {
            let show = |event: &Event<'_>, item: Option<u32>| {
                let position = place.position(Place { offset: record.offset, item });
                documents.push(document(event, &Envelope { pipeline: name, position: &position }, Layout::Nested));
            };
            caught(|| examiner.examine_with(record, reference, sightings, show))
        } else {
            caught(|| examiner.examine(record, reference, sightings))
        };
        if examined.is_err() {
            // What was being changed when it gave up is not to be trusted: the next record gets a new one.
            *slot = None;
        }
        examined
    }
}

impl Content {
    /// Empty, with the memory it has.
    fn begin(&mut self, chunk: &Chunk) {
        (self.first, self.input_bytes) = (chunk.first, chunk.input_bytes);
        self.cut.clone_from(&chunk.cut);
        self.sightings.clear();
        self.starts.clear();
        self.poison.clear();
        self.documents.clear();
    }
}
