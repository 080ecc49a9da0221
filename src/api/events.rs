//! `/api/v1/search`, `histogram`, `terms`, `tail` and `events/…`: questions to the events. I/O through what answers them.
//!
//! Parameters in, JSON out. A page says where the next one begins, by time and position, so that pages neither repeat nor
//! skip an event while new ones come in. Deliberately without a query language: that is the index's.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::event::{DAY, HOUR, Layout, MINUTE, Position, SECOND, Time};

use super::answer::{json, json_of, list};
use super::fault::ApiFault;
use super::limits::ANSWER_BYTES_MAX;
use super::parameters::Parameters;
use super::routes::segment;
use super::services::{HistogramRequest, Hit, Order, SearchRequest, Selection, TailRequest, TermsRequest};
use super::state::{Api, ask, permit};

/// What a tail waits at most for a first event, in seconds: below the minute after which proxies cut.
const TAIL_WAIT_SECONDS_MAX: i64 = 30;
/// Values of a count where nothing is asked.
const TERMS_DEFAULT: u64 = 10;
/// A histogram whose interval nobody chose has about so many buckets.
const BUCKETS_WANTED: i64 = 60;
/// Intervals that people read easily.
const INTERVALS: &[i64] = &[
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
    30 * DAY,
];

pub(super) async fn search(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    found(&api, query.as_deref()).await.unwrap_or_else(ApiFault::into_response)
}

async fn found(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let known = ["query", "from", "to", "sort", "limit", "search_after", "layout"];
    let parameters = Parameters::of(query, &known)?;
    let request = SearchRequest {
        selection: selection(&parameters, api.now(), Time::MIN)?,
        order: order(&parameters)?,
        limit: parameters.limit()?,
        after: parameters.text("search_after").map(read_cursor).transpose()?,
        layout: layout(&parameters)?,
    };
    let limit = request.limit;
    let permit = permit(&api.searches, "searches")?;
    let page = ask(&api.services.events.search, request, Some(permit)).await?;
    let shown = fitting(&page.hits);
    let more = shown.len() < page.hits.len() || (limit > 0 && page.hits.len() == limit);
    let next = shown.last().filter(|_| more).map(cursor);
    let documents: Vec<&[u8]> = shown.iter().map(|hit| &hit.document[..]).collect();
    Ok(list(&format!("\"total\":{},", page.total), "hits", &documents, next.as_deref()))
}

/// The first hits, up to the one that fills the answer.
fn fitting(hits: &[Hit]) -> &[Hit] {
    let mut room = ANSWER_BYTES_MAX;
    let fits = |hit: &Hit| {
        let fits = room > 0;
        room = room.saturating_sub(hit.document.len());
        fits
    };
    let count = hits.iter().map(fits).take_while(|fits| *fits).count();
    &hits[..count]
}

#[derive(Serialize)]
struct Buckets {
    from: Time,
    to: Time,
    interval_ms: i64,
    total: u64,
    buckets: Vec<Bucket>,
}

#[derive(Serialize)]
struct Bucket {
    at: Time,
    count: u64,
}

pub(super) async fn histogram(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    counted_by_time(&api, query.as_deref()).await.unwrap_or_else(ApiFault::into_response)
}

async fn counted_by_time(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["query", "from", "to", "interval"])?;
    let now = api.now();
    let to = parameters.time("to", now)?.unwrap_or(now.plus(1));
    let selection = selection(&parameters, now, to.plus(-DAY))?;
    let selection = Selection { to, ..selection };
    let interval = parameters.duration("interval")?.unwrap_or_else(|| fitting_interval(&selection));
    let Selection { from, to, .. } = selection;
    let permit = permit(&api.searches, "searches")?;
    let counts = ask(&api.services.events.histogram, HistogramRequest { selection, interval }, Some(permit)).await?;
    let total = counts.iter().map(|(_, count)| count).sum();
    let buckets = counts.into_iter().map(|(at, count)| Bucket { at, count }).collect();
    Ok(json_of(StatusCode::OK, &Buckets { from, to, interval_ms: interval, total, buckets }))
}

fn fitting_interval(selection: &Selection) -> i64 {
    let wanted = selection.to.since(selection.from) / BUCKETS_WANTED;
    INTERVALS.iter().copied().find(|interval| *interval >= wanted).unwrap_or(365 * DAY)
}

#[derive(Serialize)]
struct Counts {
    field: String,
    total: u64,
    distinct: u64,
    values: Vec<ValueCount>,
}

#[derive(Serialize)]
struct ValueCount {
    value: String,
    count: u64,
}

pub(super) async fn terms(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    counted_by_value(&api, query.as_deref()).await.unwrap_or_else(ApiFault::into_response)
}

async fn counted_by_value(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["query", "from", "to", "field", "limit"])?;
    let missing = || ApiFault::bad_request("`field` is missing").hint("name one: field=client.ip");
    let field = parameters.text("field").ok_or_else(missing)?.to_owned();
    let selection = selection(&parameters, api.now(), Time::MIN)?;
    let size = match parameters.number("limit")? {
        None => TERMS_DEFAULT as usize,
        Some(_) => parameters.limit()?,
    };
    let permit = permit(&api.searches, "searches")?;
    let request = TermsRequest { selection, field: field.clone(), size };
    let counts = ask(&api.services.events.terms, request, Some(permit)).await?;
    let values = counts.values.into_iter().map(|(value, count)| ValueCount { value, count }).collect();
    Ok(json_of(StatusCode::OK, &Counts { field, total: counts.total, distinct: counts.distinct, values }))
}

pub(super) async fn tail(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    following(&api, query.as_deref()).await.unwrap_or_else(ApiFault::into_response)
}

async fn following(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["query", "after", "limit", "wait", "layout"])?;
    let wait = parameters.duration("wait")?.unwrap_or(0);
    if wait > TAIL_WAIT_SECONDS_MAX * SECOND {
        return Err(ApiFault::bad_request(format!("`wait` is at most {TAIL_WAIT_SECONDS_MAX}s")));
    }
    let request = TailRequest {
        query: parameters.text("query").unwrap_or("*").to_owned(),
        after: parameters.text("after").map(str::to_owned),
        limit: parameters.limit()?,
        wait: Duration::from_millis(wait.unsigned_abs()),
        layout: layout(&parameters)?,
    };
    let permit = permit(&api.streams, "streams and tails")?;
    let page = ask(&api.services.events.tail, request, Some(permit)).await?;
    Ok(list("", "events", &page.events, Some(&page.next)))
}

pub(super) async fn event(State(api): State<Arc<Api>>, path: RawPathParams, RawQuery(query): RawQuery) -> Response {
    one_event(&api, &path, query.as_deref()).await.unwrap_or_else(ApiFault::into_response)
}

async fn one_event(api: &Api, path: &RawPathParams, query: Option<&str>) -> Result<Response, ApiFault> {
    let layout = layout(&Parameters::of(query, &["layout"])?)?;
    let wrong = |what: &str| ApiFault::bad_request(format!("the {what} of a position must be a whole number"));
    let item = path.iter().find(|(name, _)| *name == "item").map(|(_, text)| text);
    let position = Position {
        topic: segment(path, "topic").to_owned(),
        partition: segment(path, "partition").parse().map_err(|_| wrong("partition"))?,
        offset: segment(path, "offset").parse().map_err(|_| wrong("offset"))?,
        item: item.map(|text| text.parse().map_err(|_| wrong("item"))).transpose()?,
    };
    let found = ask(&api.services.events.event, (position, layout), None).await?;
    let missing = || ApiFault::not_found("there is no event at this position, neither in the index nor in the journal");
    found.map(json).ok_or_else(missing)
}

fn selection(parameters: &Parameters, now: Time, from: Time) -> Result<Selection, ApiFault> {
    let from = parameters.time("from", now)?.unwrap_or(from);
    let to = parameters.time("to", now)?.unwrap_or(Time::MAX);
    if to <= from {
        return Err(ApiFault::bad_request(format!("`to` ({to}) is not after `from` ({from})")));
    }
    Ok(Selection { query: parameters.text("query").unwrap_or("*").to_owned(), from, to })
}

fn order(parameters: &Parameters) -> Result<Order, ApiFault> {
    match parameters.text("sort") {
        None | Some("newest" | "desc") => Ok(Order::Newest),
        Some("oldest" | "asc") => Ok(Order::Oldest),
        Some(_) => Err(ApiFault::bad_request("`sort` must be `newest` or `oldest`")),
    }
}

fn layout(parameters: &Parameters) -> Result<Layout, ApiFault> {
    match parameters.text("layout") {
        None | Some("nested") => Ok(Layout::Nested),
        Some("flat") => Ok(Layout::Flat),
        Some(_) => Err(ApiFault::bad_request("`layout` must be `nested` or `flat`")),
    }
}

/// `time.partition.offset.item.topic`: where the next page begins. The topic comes last, for it may hold dots.
fn cursor(hit: &Hit) -> String {
    let Position { topic, partition, offset, item } = &hit.position;
    let item = item.map_or_else(String::new, |item| item.to_string());
    format!("{}.{partition}.{offset}.{item}.{topic}", hit.timestamp.0)
}

fn read_cursor(text: &str) -> Result<(Time, Position), ApiFault> {
    let wrong = || ApiFault::bad_request("`search_after` must be what `next` of the page before said");
    let mut parts = text.splitn(5, '.');
    let mut part = || parts.next().ok_or_else(wrong);
    let (time, partition, offset, item, topic) = (part()?, part()?, part()?, part()?, part()?);
    let position = Position {
        topic: topic.to_owned(),
        partition: partition.parse().map_err(|_| wrong())?,
        offset: offset.parse().map_err(|_| wrong())?,
        item: if item.is_empty() { None } else { Some(item.parse().map_err(|_| wrong())?) },
    };
    Ok((Time(time.parse().map_err(|_| wrong())?), position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back() {
        for item in [None, Some(3)] {
            let position = Position { topic: "my.logs".into(), partition: 2, offset: 99, item };
            let hit = Hit { timestamp: Time(-5), position: position.clone(), document: Vec::new() };
            assert_eq!(read_cursor(&cursor(&hit)), Ok((Time(-5), position)));
        }
        for broken in ["", "1", "1.2.3", "a.b.c.d.e", "1.2.3.x.t"] {
            assert!(read_cursor(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn an_interval_fits_the_time_asked_for() {
        let interval = |length| fitting_interval(&Selection { query: "*".into(), from: Time(0), to: Time(length) });
        assert_eq!(interval(HOUR), MINUTE);
        assert_eq!(interval(DAY), 30 * MINUTE);
        assert_eq!(interval(i64::MAX), 365 * DAY);
    }

    #[test]
    fn an_answer_ends_with_the_hit_that_fills_it() {
        let position = Position { topic: "t".into(), partition: 0, offset: 0, item: None };
        let hit = Hit { timestamp: Time(0), position, document: vec![b'x'; ANSWER_BYTES_MAX / 2 + 1] };
        assert_eq!(fitting(&[hit.clone(), hit.clone(), hit]).len(), 2);
    }
}
