//! Record → sightings: decode, enrich, match, and what each item means for each rule. Pure and without state.
//!
//! Deliberately without any idea of the journal's time: that is [`super::Ingest`]'s, which is cheap and serial, while
//! this is the heavy work and runs on every core.

use std::sync::Arc;

use bumpalo::Bump;

use crate::catalog::{Catalog, Pipeline, PipelineIndex};
use crate::decode;
use crate::detect::{Plan, PlanKind, Scratch};
use crate::enrich;
use crate::event::{
    Address, Client, Counts, Event, Field, Login, Number, RuleIndex, Scalar, ServiceIndex, Text, Time, Value,
    client_key,
};

/// Group-by and distinct values are cut to this: longer ones are an attacker's, and keys must stay small.
pub const VALUE_BYTES_MAX: usize = 256;
/// Stands between the beginning of a text that was cut and the hash of all of it.
const CUT_MARK: &str = "…";
/// So much of the hash: 64 bits, as of every value that is counted.
const CUT_HASH_DIGITS: usize = 16;
/// An answer that takes longer counts as slow for the outage gauge (design §8.6): 3 s.
pub const SLOW_NANOSECONDS: i64 = 3_000_000_000;

/// A record whose journal time may not be known yet.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    pub offset: u64,
    pub bytes: &'a [u8],
    /// Whether anybody could have sent it (UDP from elsewhere).
    pub spoofable: bool,
}

/// What examination says of a run of items.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    pub items: Vec<Sighting>,
    matches: Vec<Match>,
    /// Matches that gave no signal because a group-by field was missing.
    pub ungrouped: u64,
}

/// What examination says of one item.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub offset: u64,
    pub item: Option<u32>,
    /// The time the item claims, if any.
    pub claimed: Option<Time>,
    pub client: Option<Client>,
    pub service: ServiceIndex,
    /// What the item adds to its second's tally.
    pub counts: Counts,
    /// Bytes of the item.
    pub bytes: u32,
    pub flawed: bool,
    pub undecodable: bool,
    first_match: u32,
    matches: u32,
}

/// What one item means for one stateful rule, before it has a place in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub rule: RuleIndex,
    pub group: Box<[Value]>,
    pub value: Option<Value>,
}

impl Sightings {
    /// The matches of one item.
    pub fn matches(&self, sighting: &Sighting) -> &[Match] {
        let from = sighting.first_match as usize;
        &self.matches[from..from + sighting.matches as usize]
    }

    /// Empties the list and keeps its memory.
    pub fn clear(&mut self) {
        self.items.clear();
        self.matches.clear();
        self.ungrouped = 0;
    }
}

/// Examines records of one pipeline.
pub struct Examiner {
    catalog: Arc<Catalog>,
    pipeline: PipelineIndex,
    arena: Bump,
    cache: enrich::Cache,
    scratch: Scratch,
    matched: Vec<RuleIndex>,
}

impl Examiner {
    /// An examiner for one pipeline of a catalog.
    pub fn new(catalog: Arc<Catalog>, pipeline: PipelineIndex) -> Examiner {
        let cache = catalog.pipeline(pipeline).enricher.cache();
        Examiner { catalog, pipeline, arena: Bump::new(), cache, scratch: Scratch::default(), matched: Vec::new() }
    }

    /// Appends what each item of a record says. `reference` places times without a year.
    pub fn examine(&mut self, record: RawRecord<'_>, reference: Time, out: &mut Sightings) {
        self.examine_with(record, reference, out, |_, _| {});
    }

    /// The same, and shows each event to `watch` with its item number.
    pub fn examine_with(
        &mut self,
        record: RawRecord<'_>,
        reference: Time,
        out: &mut Sightings,
        mut watch: impl FnMut(&Event<'_>, Option<u32>),
    ) {
        let Examiner { catalog, pipeline, arena, cache, scratch, matched } = self;
        arena.reset();
        let pipeline = catalog.pipeline(*pipeline);
        let mut items = decode::items(record.bytes).enumerate().peekable();
        while let Some((number, bytes)) = items.next() {
            let several = number > 0 || items.peek().is_some();
            let mut event = Event::new(bytes, arena);
            pipeline.decoder.decode_into(&mut event, reference);
            event.spoofable = record.spoofable;
            let client = pipeline.enricher.enrich(&mut event, cache);
            matched.clear();
            pipeline.matcher.matches(&event, scratch, matched);
            let item = several.then_some(number as u32);
            watch(&event, item);
            let first_match = out.matches.len() as u32;
            let seen = Seen { catalog, event: &event, client };
            matched.iter().for_each(|rule| seen.feed(*rule, out));
            let matches = out.matches.len() as u32 - first_match;
            out.items.push(seen.sighting(pipeline, (record.offset, item), (first_match, matches)));
        }
    }
}

/// An event with the client that enrichment found.
struct Seen<'s, 'a> {
    catalog: &'s Catalog,
    event: &'s Event<'a>,
    client: Option<Client>,
}

impl Seen<'_, '_> {
    fn feed(&self, rule: RuleIndex, out: &mut Sightings) {
        for plan in self.catalog.plans.fed_by(rule) {
            if matches!(plan.kind, PlanKind::Measure(_)) {
                continue;
            }
            match self.matched(plan) {
                Some(matched) => out.matches.push(matched),
                None => out.ungrouped += 1,
            }
        }
    }

    fn matched(&self, plan: &Plan) -> Option<Match> {
        let group = plan.group_by.iter().map(|field| self.value(field)).collect::<Option<Box<[Value]>>>()?;
        let value = match &plan.value {
            Some(field) => Some(self.value(field)?),
            None => None,
        };
        Some(Match { rule: plan.rule, group, value })
    }

    fn value(&self, field: &Field) -> Option<Value> {
        match field {
            Field::Address(Address::ClientIp) => self.client.map(|client| Value::Client(client.key())),
            Field::Address(field) => self.event.address(*field).map(|address| Value::Client(client_key(address))),
            Field::Text(field) => self.event.text(*field).map(text_value),
            Field::Number(field) => self.event.number(*field).map(Value::Number),
            Field::Extra(name) => self.event.extra(name).and_then(scalar_value),
            Field::Tags => self.event.tags().first().map(|tag| text_value(tag)),
            Field::Category => self.event.categories.first().map(|word| text_value(word)),
            Field::Type => self.event.types.first().map(|word| text_value(word)),
            Field::Timestamp | Field::Original => None,
        }
    }

    fn sighting(
        &self,
        pipeline: &Pipeline,
        (offset, item): (u64, Option<u32>),
        (first_match, matches): (u32, u32),
    ) -> Sighting {
        let event = self.event;
        Sighting {
            offset,
            item,
            claimed: event.occurred_at,
            client: self.client,
            service: pipeline.service_index(event.text(Text::ServiceName)),
            counts: counts_of(event),
            bytes: event.original.len() as u32,
            flawed: !event.flaws().is_empty(),
            undecodable: event.undecodable(),
            first_match,
            matches,
        }
    }
}

/// What an event adds to its second's tally. Alerts of a WAF or IDS are about requests, they are none.
fn counts_of(event: &Event<'_>) -> Counts {
    let status = event.number(Number::HttpStatus);
    let is_alert = event.text(Text::EventKind) == Some("alert");
    let is_request = !is_alert && event.categories.contains(&"web") && status.is_some();
    let duration = event.number(Number::EventDuration).filter(|_| is_request);
    let status = status.filter(|_| is_request).unwrap_or(0);
    let login = |wanted| u32::from(event.login == Some(wanted));
    Counts {
        requests: u32::from(is_request),
        errors: u32::from((500..600).contains(&status)),
        slow: u32::from(duration.is_some_and(|duration| duration > SLOW_NANOSECONDS)),
        failures: login(Login::Failure),
        successes: u32::from((100..400).contains(&status)).max(login(Login::Success)),
        logins: login(Login::Success),
        timed: u32::from(duration.is_some()),
        duration_ms: duration.map_or(0, |duration| duration.max(0) as u64 / 1_000_000),
        bytes: event
            .number(Number::HttpResponseBodyBytes)
            .filter(|_| is_request)
            .map_or(0, |bytes| bytes.max(0) as u64),
    }
}

/// A text as a key. Of a long one the end is a hash of all of it, so that no two are taken for one because they begin
/// alike: else a scanner had only to put 256 bytes in front of its paths.
fn text_value(text: &str) -> Value {
    if text.len() <= VALUE_BYTES_MAX {
        return Value::Text(text.into());
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let end = text.floor_char_boundary(VALUE_BYTES_MAX - CUT_MARK.len() - CUT_HASH_DIGITS);
    Value::Text([&text[..end], CUT_MARK, &hash[..CUT_HASH_DIGITS]].concat().into())
}

fn scalar_value(scalar: Scalar<'_>) -> Option<Value> {
    match scalar {
        Scalar::Text(text) => Some(text_value(text)),
        Scalar::Integer(number) => Some(Value::Number(number)),
        Scalar::Bool(flag) => Some(text_value(if flag { "true" } else { "false" })),
        Scalar::List(list) => list.first().and_then(|first| scalar_value(*first)),
        Scalar::Float(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        text_value(text).to_string()
    }

    #[test]
    fn long_values_stay_short_and_different() {
        let prefix = "界".repeat(200);
        let (one, two) = (key(&format!("{prefix}1")), key(&format!("{prefix}2")));
        assert!(one.len() <= VALUE_BYTES_MAX && two.len() <= VALUE_BYTES_MAX);
        assert_ne!(one, two);
        assert_eq!(key(&prefix[..255]), prefix[..255]);
    }
}
