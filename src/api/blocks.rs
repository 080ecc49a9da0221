//! `/api/v1/blocks`: what is blocked, and orders to block or to lift; `/api/v1/thaw`. I/O through commands.
//!
//! Deliberately without a second way to a block: what is ordered here passes decide's guard like everything else.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawPathParams, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::document::{nearest, parse_duration};
use crate::event::outcome::Level;
use crate::event::{HOUR, Order};

use super::access::Caller;
use super::answer::list;
use super::body::read_json;
use super::commands::issue;
use super::fault::ApiFault;
use super::limits::{BLOCK_TTL_MAX, REASON_CHARS_MAX};
use super::parameters::Parameters;
use super::projection::read_network;
use super::routes::segment;
use super::state::Api;

/// How long a block lasts where nobody says: as a first offence's by most rules.
const TTL_DEFAULT: i64 = 4 * HOUR;
const LEVELS: [Level; 3] = [Level::Throttle, Level::Challenge, Level::Block];

/// A block that is ordered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordered {
    /// An address or a network; a single IPv6 address stands for its /64.
    target: String,
    /// `4h`, `7d`.
    ttl: Option<String>,
    level: Option<String>,
    reason: Option<String>,
    /// Whether it comes from a list and not from a person.
    #[serde(default)]
    import: bool,
}

pub(super) async fn blocks(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    page(&api, query.as_deref()).unwrap_or_else(ApiFault::into_response)
}

fn page(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["limit", "after", "all", "covers"])?;
    let (now, view) = (api.now(), api.services.projection.view());
    if let Some(text) = parameters.text("covers") {
        let wrong = |_| ApiFault::bad_request("`covers` must be an address such as 203.0.113.9");
        let found = view.blocks.covering(text.parse().map_err(wrong)?, now);
        let found: Vec<&[u8]> = found.iter().map(|(_, held)| &held.json[..]).collect();
        return Ok(list("", "blocks", &found, None));
    }
    let how = (parameters.limit()?, parameters.flag("all")?);
    let wrong = || ApiFault::bad_request("`after` must be what `next` of the page before said");
    let page = view.blocks.page(now, parameters.text("after"), how).ok_or_else(wrong)?;
    Ok(list("", "blocks", &page.blocks, page.next.as_deref()))
}

pub(super) async fn block(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    ordered(&api, &caller, request).await.unwrap_or_else(ApiFault::into_response)
}

async fn ordered(api: &Arc<Api>, caller: &Caller, request: Request) -> Result<Response, ApiFault> {
    let (parts, body) = request.into_parts();
    let ordered: Ordered = read_json(&parts.headers, body, api.patience.body_part).await?;
    let target = read_network(&ordered.target, true).map_err(ApiFault::bad_request)?;
    let ttl = match &ordered.ttl {
        None => TTL_DEFAULT,
        Some(text) => parse_duration(text).filter(|ttl| (1..=BLOCK_TTL_MAX).contains(ttl)).ok_or_else(|| {
            ApiFault::bad_request("`ttl` must be how long the block holds, such as 30m, 4h or 7d, and at most 365d")
        })?,
    };
    let level = ordered.level.as_deref().map_or(Ok(Level::Block), level)?;
    let reason = reason(ordered.reason)?;
    issue(api, caller, Order::Block { target, level, ttl, reason, import: ordered.import }).await
}

/// The level of a word.
///
/// # Errors
/// Where no block has such a level.
pub(super) fn level(text: &str) -> Result<Level, ApiFault> {
    let found = LEVELS.into_iter().find(|level| level.word() == text);
    found.ok_or_else(|| {
        let fault = ApiFault::bad_request("`level` must be throttle, challenge or block");
        match nearest(text, LEVELS.map(Level::word)) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault,
        }
    })
}

/// Why something is ordered.
///
/// # Errors
/// Where it is too long.
pub(super) fn reason(text: Option<String>) -> Result<String, ApiFault> {
    let text = text.unwrap_or_default();
    if text.chars().count() > REASON_CHARS_MAX {
        return Err(ApiFault::bad_request(format!("`reason` has at most {REASON_CHARS_MAX} characters")));
    }
    Ok(text)
}

pub(super) async fn lift(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    path: RawPathParams,
) -> Response {
    match read_network(segment(&path, "target"), true) {
        Ok(target) => issue(&api, &caller, Order::Lift { target }).await.unwrap_or_else(ApiFault::into_response),
        Err(message) => ApiFault::bad_request(message).into_response(),
    }
}

pub(super) async fn thaw(State(api): State<Arc<Api>>, Extension(caller): Extension<Caller>) -> Response {
    issue(&api, &caller, Order::Thaw).await.unwrap_or_else(ApiFault::into_response)
}
