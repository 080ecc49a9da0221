//! `/livez`, `/readyz`, `/metrics` and `/api/v1/status`: how the node stands. I/O through what it is lent.
//!
//! Without a key only yes or no is told. Deliberately without judgement of its own: the node says what must hold.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::access::Caller;
use super::answer::json_of;
use super::exposition::{Form, text};
use super::fault::ApiFault;
use super::keys::Role;
use super::limits::{REQUESTS_MAX, SEARCHES_MAX, STREAMS_MAX};
use super::parameters::Parameters;
use super::services::Check;
use super::state::Api;

#[derive(Serialize)]
struct Ready {
    ready: bool,
    checks: Vec<Check>,
}

pub(super) async fn live(State(api): State<Arc<Api>>) -> Response {
    yes_or_no((api.services.live)(), "live")
}

pub(super) async fn ready(
    State(api): State<Arc<Api>>,
    caller: Option<Extension<Caller>>,
    RawQuery(query): RawQuery,
) -> Response {
    let verbose = match Parameters::of(query.as_deref(), &["verbose"]).and_then(|it| it.flag("verbose")) {
        Ok(verbose) => verbose,
        Err(fault) => return fault.into_response(),
    };
    let checks = checks(&api);
    let ready = checks.iter().all(|check| check.ok);
    if !verbose {
        return yes_or_no(ready, "ready");
    }
    if !caller.is_some_and(|Extension(caller)| caller.role.includes(Role::Read)) {
        let fault = ApiFault::new(StatusCode::UNAUTHORIZED, "no_key", "the details need a key of role read");
        return fault.hint("without `verbose` it answers yes or no").into_response();
    }
    json_of(code(ready), &Ready { ready, checks })
}

fn yes_or_no(holds: bool, word: &str) -> Response {
    (code(holds), if holds { format!("{word}\n") } else { format!("not {word}\n") }).into_response()
}

fn code(holds: bool) -> StatusCode {
    if holds { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// What the node says must hold, and that the API still follows the journal.
fn checks(api: &Api) -> Vec<Check> {
    let fault = api.services.projection.view().fault.clone();
    let own = Check { name: "projection", ok: fault.is_none(), detail: fault.unwrap_or_default() };
    (api.services.checks)().into_iter().chain([own]).collect()
}

pub(super) async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = Form::accepted(accept);
    let mut response = text(&api.services.metrics, form).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    response
}

pub(super) async fn status(State(api): State<Arc<Api>>) -> Response {
    let checks = checks(&api);
    let mut all = Map::new();
    all.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    all.insert("now".to_owned(), api.now().to_string().into());
    all.insert("ready".to_owned(), checks.iter().all(|check| check.ok).into());
    all.insert("checks".to_owned(), serde_json::to_value(&checks).unwrap_or_default());
    all.insert("api".to_owned(), own(&api));
    all.extend((api.services.status)());
    json_of(StatusCode::OK, &all)
}

fn own(api: &Api) -> Value {
    let view = api.services.projection.view();
    let used = |most: usize, free: usize| most.saturating_sub(free);
    serde_json::json!({
        "requests": used(REQUESTS_MAX, api.requests.available_permits()),
        "searches": used(SEARCHES_MAX, api.searches.available_permits()),
        "streams": used(STREAMS_MAX, api.streams.available_permits()),
        "blocks": view.blocks.active(api.now()).count(),
        "allowed": view.allowlist.len(),
        "incidents": view.incidents.len(),
        "outcomes": { "read": view.counts.records, "unread": view.counts.unread, "missed": view.counts.missed },
    })
}
