//! `/api/v1/alerts`, `/api/v1/alerts/{id}` and `/api/v1/incidents`: what was concluded. I/O where the journal is asked.
//!
//! The newest come from the projection, older ones from the journal, in one order: a page says where the next begins.

use std::sync::Arc;

use axum::extract::{RawPathParams, RawQuery, State};
use axum::response::{IntoResponse, Response};

use crate::event::outcome::IncidentState;
use crate::event::{Severity, write_json};
use crate::journal::JournalError;

use super::answer::{json, list};
use super::fault::ApiFault;
use super::limits::ANSWER_BYTES_MAX;
use super::parameters::Parameters;
use super::projection::{ALERTS, Filter, Kept, input};
use super::routes::segment;
use super::services::Log;
use super::state::{Api, blocking};

/// Alerts that one request looks through for those that fit; `next` goes on from there.
const LOOKED_MAX: u64 = 20_000;
/// Alerts read from the journal at a time, and bytes of them.
const READ_ALERTS: u64 = 256;
const READ_BYTES: usize = 1 << 20;

const SEVERITIES: [Severity; 4] = [Severity::Minor, Severity::Moderate, Severity::Major, Severity::Critical];

/// A page in the making: newest first.
struct Page {
    alerts: Vec<Arc<[u8]>>,
    limit: usize,
    bytes: usize,
    filter: Filter,
    /// Everything from this offset on has been looked at.
    before: u64,
    looked: u64,
}

impl Page {
    /// Looks at one alert; whether there is room for more.
    fn look(&mut self, kept: &Kept) -> bool {
        if self.alerts.len() >= self.limit || self.bytes >= ANSWER_BYTES_MAX || self.looked >= LOOKED_MAX {
            return false;
        }
        self.looked += 1;
        self.before = kept.offset;
        if kept.fits(&self.filter) {
            self.bytes += kept.json.len();
            self.alerts.push(Arc::clone(&kept.json));
        }
        true
    }
}

pub(super) async fn alerts(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    alerts_page(&api, query.as_deref()).await.unwrap_or_else(ApiFault::into_response)
}

async fn alerts_page(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["limit", "after", "severity", "rule", "entity", "from", "to"])?;
    let now = api.now();
    let filter = Filter {
        from: parameters.time("from", now)?,
        to: parameters.time("to", now)?,
        severity: parameters.text("severity").map(severity).transpose()?,
        rule: parameters.text("rule").map(str::to_owned),
        entity: parameters.text("entity").map(str::to_owned),
    };
    let before = parameters.number("after")?.unwrap_or(u64::MAX);
    let mut page = Page { alerts: Vec::new(), limit: parameters.limit()?, bytes: 0, filter, before, looked: 0 };
    let full = {
        let view = api.services.projection.view();
        let room = view.alerts.before(before).all(|kept| page.look(kept));
        if room {
            page.before = page.before.min(view.alerts.oldest().unwrap_or(view.cursor().alerts));
        }
        !room
    };
    let log = api.services.log.clone();
    let (page, more) = if full { (page, true) } else { blocking(move || older(&log, page)).await? };
    let next = (more && page.looked > 0).then(|| page.before.to_string());
    Ok(list("", "alerts", &page.alerts, next.as_deref()))
}

fn severity(text: &str) -> Result<Severity, ApiFault> {
    let found = SEVERITIES.into_iter().find(|severity| severity.word() == text);
    found.ok_or_else(|| ApiFault::bad_request("`severity` must be minor, moderate, major or critical"))
}

/// Goes on with what lies in the journal only. The page, and whether there is more behind it.
fn older(log: &Log, mut page: Page) -> Result<(Page, bool), ApiFault> {
    let start = log.offsets(&input(ALERTS))?.start;
    while page.before > start {
        let from = page.before.saturating_sub(READ_ALERTS).max(start);
        let read = stretch(log, from, page.before)?;
        if !read.iter().rev().all(|kept| page.look(kept)) {
            return Ok((page, true));
        }
        page.before = from;
    }
    Ok((page, false))
}

/// The alerts of some offsets, oldest first. What is gone or cannot be read is left out.
fn stretch(log: &Log, from: u64, to: u64) -> Result<Vec<Kept>, ApiFault> {
    let mut next = from;
    let mut found = Vec::new();
    while next < to {
        let fetched = match log.read(&input(ALERTS), next, READ_BYTES) {
            Ok(fetched) if fetched.is_empty() => break,
            Ok(fetched) => fetched,
            Err(JournalError::Trimmed { start, .. }) if start > next => {
                next = start;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for block in &fetched {
            let inside = block.iter().filter(|record| record.offset < to);
            found.extend(inside.filter_map(|record| Some(Kept::of(record.offset, record.value)?.0)));
            next = block.offsets().end;
        }
    }
    Ok(found)
}

pub(super) async fn alert(State(api): State<Arc<Api>>, path: RawPathParams) -> Response {
    one_alert(&api, segment(&path, "id")).await.unwrap_or_else(ApiFault::into_response)
}

async fn one_alert(api: &Api, id: &str) -> Result<Response, ApiFault> {
    let digits = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(id, 16).ok().filter(|_| digits);
    let number = number.ok_or_else(|| ApiFault::bad_request("the id of an alert has 32 hex digits"))?;
    let missing = || ApiFault::not_found("no alert of this id is known").hint("it may be older than the journal");
    let offset = {
        let view = api.services.projection.view();
        let offset = view.alerts.place(number).ok_or_else(missing)?;
        if let Some(kept) = view.alerts.at(offset) {
            return Ok(json(kept.json.to_vec()));
        }
        offset
    };
    let log = api.services.log.clone();
    let found = blocking(move || stretch(&log, offset, offset + 1)).await?;
    found.first().map(|kept| json(kept.json.to_vec())).ok_or_else(missing)
}

pub(super) async fn incidents(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    incidents_page(&api, query.as_deref()).unwrap_or_else(ApiFault::into_response)
}

fn incidents_page(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["limit", "after", "state"])?;
    let state = parameters.text("state").map(incident_state).transpose()?;
    let before = parameters.number("after")?.unwrap_or(u64::MAX);
    let limit = parameters.limit()?;
    let view = api.services.projection.view();
    let mut fitting =
        view.incidents.before(before).filter(|(_, it)| state.is_none_or(|state| it.state == state)).peekable();
    let (mut shown, mut next) = (Vec::new(), None);
    while shown.len() < limit {
        let Some((change, incident)) = fitting.next() else { break };
        let mut json = Vec::new();
        // Texts and numbers can always be written.
        let _ = write_json(incident, &mut json);
        shown.push(json);
        next = Some(change.to_string());
    }
    let next = next.filter(|_| fitting.peek().is_some());
    Ok(list("", "incidents", &shown, next.as_deref()))
}

fn incident_state(text: &str) -> Result<IncidentState, ApiFault> {
    let read = serde_json::from_value(serde_json::Value::from(text));
    read.map_err(|_| {
        ApiFault::bad_request(
            "`state` must be detected, triaged, contained, cause_found, fixed, verified or false_positive",
        )
    })
}
