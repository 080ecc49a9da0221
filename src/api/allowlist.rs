//! `/api/v1/allowlist`: who is never blocked, orders to change that, and whether an address is covered. I/O by commands.
//!
//! Shows the networks of the settings beside those that operators allow; only the latter can be changed here.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawPathParams, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::event::{Order, Time, write_json};

use super::access::Caller;
use super::answer::{json_of, list};
use super::blocks::reason;
use super::body::read_json;
use super::commands::issue;
use super::fault::ApiFault;
use super::limits::COMMAND_NETWORKS_MAX;
use super::parameters::Parameters;
use super::projection::{Allowed, canonical, overlap, read_network};
use super::routes::segment;
use super::state::Api;

/// One network that is never blocked.
#[derive(Serialize)]
struct Listed<'a> {
    network: IpNet,
    /// `operator`, or the key of the settings.
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Listed<'a> {
    fn of(allowed: &'a Allowed) -> Listed<'a> {
        let reason = Some(allowed.reason.as_str()).filter(|reason| !reason.is_empty());
        Listed { network: allowed.network, source: "operator", by: Some(&allowed.by), at: Some(allowed.at), reason }
    }

    fn of_settings((network, source): (IpNet, &'static str)) -> Listed<'static> {
        Listed { network: canonical(network), source, by: None, at: None, reason: None }
    }
}

/// Networks that are to be allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordered {
    networks: Vec<String>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct Checked<'a> {
    target: IpNet,
    allowed: bool,
    by: Vec<Listed<'a>>,
}

pub(super) async fn allowlist(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Response {
    page(&api, query.as_deref()).unwrap_or_else(ApiFault::into_response)
}

/// The settings' networks stand on the first page.
fn page(api: &Api, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["limit", "after"])?;
    let wrong = |_| ApiFault::bad_request("`after` must be what `next` of the page before said");
    let after: Option<IpNet> = parameters.text("after").map(str::parse).transpose().map_err(wrong)?;
    let limit = parameters.limit()?;
    let view = api.services.projection.view();
    let protected = api.services.protected.iter().filter(|_| after.is_none());
    let mut rows: Vec<Vec<u8>> = protected.map(|protected| row(&Listed::of_settings(*protected))).collect();
    let mut rest = view.allowlist.after(after).peekable();
    let mut last = None;
    for allowed in rest.by_ref().take(limit) {
        rows.push(row(&Listed::of(allowed)));
        last = Some(allowed.network.to_string());
    }
    let next = last.filter(|_| rest.peek().is_some());
    Ok(list("", "networks", &rows, next.as_deref()))
}

fn row(listed: &Listed<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    // Texts and numbers can always be written.
    let _ = write_json(listed, &mut out);
    out
}

pub(super) async fn check(State(api): State<Arc<Api>>, path: RawPathParams) -> Response {
    let target = match read_network(segment(&path, "address"), false) {
        Ok(target) => target,
        Err(message) => return ApiFault::bad_request(message).into_response(),
    };
    let view = api.services.projection.view();
    let protected = api.services.protected.iter().filter(|(network, _)| overlap(canonical(*network), target));
    let mut by: Vec<Listed<'_>> = protected.map(|protected| Listed::of_settings(*protected)).collect();
    by.extend(view.allowlist.overlapping(target).take(COMMAND_NETWORKS_MAX).map(Listed::of));
    json_of(StatusCode::OK, &Checked { target, allowed: !by.is_empty(), by })
}

pub(super) async fn allow(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    ordered(&api, &caller, request).await.unwrap_or_else(ApiFault::into_response)
}

async fn ordered(api: &Arc<Api>, caller: &Caller, request: Request) -> Result<Response, ApiFault> {
    let (parts, body) = request.into_parts();
    let ordered: Ordered = read_json(&parts.headers, body, api.patience.body_part).await?;
    let count = ordered.networks.len();
    if !(1..=COMMAND_NETWORKS_MAX).contains(&count) {
        let message = format!("`networks` must hold 1 to {COMMAND_NETWORKS_MAX} networks, not {count}");
        return Err(ApiFault::bad_request(message).hint("larger sets belong into networks.protected of the settings"));
    }
    let networks = ordered.networks.iter().map(|text| allowable(text)).collect::<Result<Vec<_>, _>>()?;
    let reason = reason(ordered.reason)?;
    issue(api, caller, Order::Allow { networks, reason }).await
}

/// A network that may be allowed: not every address there is.
fn allowable(text: &str) -> Result<IpNet, ApiFault> {
    let network = read_network(text, false).map_err(ApiFault::bad_request)?;
    if network.prefix_len() == 0 {
        let fault = ApiFault::bad_request(format!("{network} is every address there is: nothing could be blocked"));
        return Err(fault.hint("name the networks that are meant; `response.level: alert` blocks nobody"));
    }
    Ok(network)
}

pub(super) async fn disallow(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    path: RawPathParams,
) -> Response {
    withdrawn(&api, &caller, segment(&path, "network")).await.unwrap_or_else(ApiFault::into_response)
}

async fn withdrawn(api: &Arc<Api>, caller: &Caller, text: &str) -> Result<Response, ApiFault> {
    let network = read_network(text, false).map_err(ApiFault::bad_request)?;
    let protected = api.services.protected.iter().find(|(protected, _)| canonical(*protected) == network);
    let known = api.services.projection.view().allowlist.overlapping(network).any(|allowed| allowed.network == network);
    match protected {
        Some((_, key)) if !known => {
            let message = format!("{network} is protected by the settings, not by an order");
            Err(ApiFault::new(StatusCode::CONFLICT, "protected", message).hint(format!("take it out of {key} there")))
        }
        Some(_) | None => issue(api, caller, Order::Disallow { networks: vec![network] }).await,
    }
}
