//! `/api/v1/blocks.txt`: one network a line, for firewalls and caches that fetch. Pure but for its cache.
//!
//! The text is made once for as long as it stays the same; its ETag is the hash of what it says, so a client that has it
//! gets 304, also across restarts and from another node. Deliberately without anything but networks.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::event::Time;
use crate::event::outcome::Level;

use super::blocks::level;
use super::parameters::Parameters;
use super::projection::View;
use super::state::Api;

/// The texts made last, one per level.
#[derive(Default)]
pub(super) struct TextCache {
    texts: Mutex<Vec<Text>>,
}

#[derive(Clone)]
struct Text {
    level: Level,
    version: u64,
    made_at: Time,
    /// When the first of its blocks ends.
    valid_until: Time,
    etag: HeaderValue,
    bytes: Bytes,
}

impl TextCache {
    fn get(&self, view: &View, level: Level, now: Time) -> Text {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let version = view.blocks.version;
        let fresh = |text: &&Text| {
            text.level == level && text.version == version && (text.made_at..text.valid_until).contains(&now)
        };
        if let Some(text) = texts.iter().find(fresh) {
            return text.clone();
        }
        let text = Text::of(view, level, now);
        texts.retain(|other| other.level != level);
        texts.push(text.clone());
        text
    }
}

impl Text {
    fn of(view: &View, level: Level, now: Time) -> Text {
        let (mut text, mut valid_until) = (String::new(), Time::MAX);
        for (target, held) in view.blocks.active(now).filter(|(_, held)| held.level == level) {
            text.push_str(&target.to_string());
            text.push('\n');
            valid_until = valid_until.min(held.expires_at);
        }
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let etag = HeaderValue::from_str(&format!("\"{}\"", &hash[..32]));
        let etag = etag.unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Text { level, version: view.blocks.version, made_at: now, valid_until, etag, bytes: text.into() }
    }
}

pub(super) async fn blocks_text(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let wanted = Parameters::of(query.as_deref(), &["level"]);
    match wanted.and_then(|parameters| parameters.text("level").map_or(Ok(Level::Block), level)) {
        Ok(level) => answer(&api, &headers, level),
        Err(fault) => fault.into_response(),
    }
}

fn answer(api: &Api, headers: &HeaderMap, level: Level) -> Response {
    let text = api.texts.get(&api.services.projection.view(), level, api.now());
    let known = has(headers, text.etag.to_str().unwrap_or_default());
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { (StatusCode::OK, text.bytes).into_response() };
    let answered = response.headers_mut();
    answered.insert(ETAG, text.etag);
    // It may be kept, and must be asked for anew each time.
    answered.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answered.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Whether the client has this text already (RFC 9110 §13.1.2: weakly compared).
fn has(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(','));
    tags.any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == etag)
}
