//! The table of routes: method, path, who may, and what serves it. Pure but for what the handlers do.
//!
//! The router is made from the table, and so is the test that tries every route with every role: a route that is not in it
//! does not exist, and one without an access cannot be written. What every request has in common is here too: origin, key,
//! permit, time limit, headers of the answer. Deliberately without anything about a single route.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use tokio::time::Instant;

use crate::document::nearest;

use super::access::Access;
use super::answer::Guarded;
use super::fault::ApiFault;
use super::keys::Role;
use super::limits::{HEADER_BYTES_MAX, HEADERS_MAX};
use super::state::{Api, permit};
use super::{alerts, allowlist, blocks, commands, events, health, ingest, plain, stream};

/// One route.
#[derive(Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    /// With `{name}` for one part of the path and `{*name}` for all that is left.
    pub path: &'static str,
    pub access: Access,
    handler: fn() -> MethodRouter<Arc<Api>>,
}

const OPEN: Access = Access::Open;
const READ: Access = Access::Role(Role::Read);
const RESPOND: Access = Access::Role(Role::Respond);

const fn on(
    method: &'static str,
    path: &'static str,
    access: Access,
    handler: fn() -> MethodRouter<Arc<Api>>,
) -> Route {
    Route { method, path, access, handler }
}

/// Every route there is. Health has the names that Kubernetes, Prometheus and Quickwit's users look for.
pub const ROUTES: &[Route] = &[
    on("GET", "/livez", OPEN, || get(health::live)),
    on("GET", "/health", OPEN, || get(health::live)),
    on("GET", "/health/livez", OPEN, || get(health::live)),
    on("GET", "/-/healthy", OPEN, || get(health::live)),
    on("GET", "/readyz", OPEN, || get(health::ready)),
    on("GET", "/health/readyz", OPEN, || get(health::ready)),
    on("GET", "/-/ready", OPEN, || get(health::ready)),
    on("GET", "/metrics", READ, || get(health::metrics)),
    on("GET", "/api/v1/status", READ, || get(health::status)),
    on("POST", "/api/v1/ingest/{pipeline}", Access::Role(Role::Ingest), || post(ingest::ingest)),
    on("GET", "/api/v1/search", READ, || get(events::search)),
    on("GET", "/api/v1/histogram", READ, || get(events::histogram)),
    on("GET", "/api/v1/terms", READ, || get(events::terms)),
    on("GET", "/api/v1/tail", READ, || get(events::tail)),
    on("GET", "/api/v1/events/{topic}/{partition}/{offset}", READ, || get(events::event)),
    on("GET", "/api/v1/events/{topic}/{partition}/{offset}/{item}", READ, || get(events::event)),
    on("GET", "/api/v1/alerts", READ, || get(alerts::alerts)),
    on("GET", "/api/v1/alerts/{id}", READ, || get(alerts::alert)),
    on("GET", "/api/v1/incidents", READ, || get(alerts::incidents)),
    on("GET", "/api/v1/blocks", READ, || get(blocks::blocks)),
    on("POST", "/api/v1/blocks", RESPOND, || post(blocks::block)),
    on("DELETE", "/api/v1/blocks/{*target}", RESPOND, || delete(blocks::lift)),
    on("GET", "/api/v1/blocks.txt", READ, || get(plain::blocks_text)),
    on("GET", "/api/v1/allowlist", READ, || get(allowlist::allowlist)),
    on("POST", "/api/v1/allowlist", RESPOND, || post(allowlist::allow)),
    on("DELETE", "/api/v1/allowlist/{*network}", RESPOND, || delete(allowlist::disallow)),
    on("GET", "/api/v1/allowlist/check/{*address}", READ, || get(allowlist::check)),
    on("POST", "/api/v1/thaw", RESPOND, || post(blocks::thaw)),
    on("GET", "/api/v1/commands/{offset}", READ, || get(commands::command)),
    on("GET", "/api/v1/stream", READ, || get(stream::stream)),
];

/// Where a request came from; the connection says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

/// The router of the whole table.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let guarded = (route.handler)().route_layer(from_fn_with_state((Arc::clone(api), *route), serve));
        router = router.route(route.path, guarded);
    }
    let router = router.fallback(no_route).method_not_allowed_fallback(no_method);
    router.layer(from_fn_with_state(Arc::clone(api), front)).with_state(Arc::clone(api))
}

/// The decoded text of a part of the path.
pub(super) fn segment<'p>(path: &'p RawPathParams, name: &str) -> &'p str {
    path.iter().find(|(other, _)| *other == name).map_or("", |(_, text)| text)
}

/// Before any route: what must not come here at all; behind it: what every answer says.
async fn front(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let fits = check_size(&request);
    let welcome = api.gatekeeper.check_origin(request.method(), request.uri(), request.headers());
    let mut response = match fits.and(welcome) {
        Ok(()) => next.run(request).await,
        Err(fault) => {
            api.counters.denied.add(u64::from(fault.status != StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            fault.into_response()
        }
    };
    let route = response.extensions_mut().remove::<Route>().map_or("none", |route| route.path);
    api.counters.answered(route, response.status().as_u16(), begun.elapsed());
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether start line and headers are within what is served; far beyond it the connection was cut before.
fn check_size(request: &Request) -> Result<(), ApiFault> {
    // Each header has a colon, a space and a line end besides.
    let each = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let (bytes, count) = (target + each.sum::<usize>(), request.headers().len());
    if bytes <= HEADER_BYTES_MAX && count <= HEADERS_MAX {
        return Ok(());
    }
    let message = format!("start line and headers are at most {HEADER_BYTES_MAX} bytes in {HEADERS_MAX} headers");
    let fault = ApiFault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message);
    Err(fault.hint("send fewer headers, or a shorter query"))
}

/// Around one route: who calls, whether there is room, and how long it may take.
async fn serve(State((api, route)): State<(Arc<Api>, Route)>, request: Request, next: Next) -> Response {
    let mut response = match admitted(&api, &route, request) {
        Err(fault) => {
            let denied = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&fault.status);
            api.counters.denied.add(u64::from(denied || fault.code == "throttled"));
            fault.into_response()
        }
        Ok(request) => match permit(&api.requests, "requests") {
            Err(fault) => fault.into_response(),
            Ok(permit) => match tokio::time::timeout(api.patience.request, next.run(request)).await {
                Err(_) => ApiFault::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "this took too long").into_response(),
                // Streams have permits of their own, for as long as they are open.
                Ok(response) if route.path == STREAM => response,
                Ok(response) => response.map(|body| Body::new(Guarded::new(body, permit))),
            },
        },
    };
    response.extensions_mut().insert(route);
    response
}

const STREAM: &str = "/api/v1/stream";

/// The request with its caller, where the caller may make it.
fn admitted(api: &Api, route: &Route, mut request: Request) -> Result<Request, ApiFault> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let peer = request.extensions().get::<Peer>().map_or(unknown, |peer| peer.0);
    let caller = match (api.gatekeeper.caller(request.headers(), peer.ip(), api.now()), route.access) {
        (Ok(caller), _) => caller,
        // What is open is open with a wrong key too.
        (Err(_), Access::Open) => None,
        (Err(fault), Access::Role(_)) => return Err(fault),
    };
    api.gatekeeper.admit(route.access, caller.as_ref())?;
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    Ok(request)
}

async fn no_route(uri: Uri) -> Response {
    let path = uri.path();
    let shown: String = path.chars().take(100).collect();
    let fault = ApiFault::not_found(format!("there is nothing at {shown}"));
    let near = nearest(&path.chars().take(100).collect::<String>(), ROUTES.iter().map(|route| route.path));
    match near {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault.hint("the API is under /api/v1"),
    }
    .into_response()
}

async fn no_method(method: Method, uri: Uri) -> Response {
    let message = format!("{method} is not possible at {}", uri.path().chars().take(100).collect::<String>());
    let fault = ApiFault::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message);
    fault.hint("the header Allow says what is").into_response()
}
