//! Bodies of requests, part by part: none is waited for without end, none is larger than its limit. I/O.

use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::fault::ApiFault;
use super::limits::COMMAND_BYTES_MAX;

/// The next part of a body; `None` at its end.
///
/// # Errors
/// A client that sends nothing for `patience`, or whose connection breaks off.
pub(super) async fn next_part(body: &mut Body, patience: Duration) -> Result<Option<Bytes>, ApiFault> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        let Ok(frame) = tokio::time::timeout(patience, frame).await else {
            let message = format!("nothing of the body came for {} s", patience.as_secs());
            return Err(ApiFault::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message));
        };
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(ApiFault::bad_request("the body broke off")),
            // Trailers say nothing to us.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(part) => return Ok(Some(part)),
                Err(_trailers) => {}
            },
        }
    }
}

/// A command's body, as JSON.
///
/// # Errors
/// Another type of content, a body that is too large or slow, text that is not what the command takes.
pub(super) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    mut body: Body,
    patience: Duration,
) -> Result<T, ApiFault> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // Forms of web pages cannot send this type, so they cannot send commands.
    if !kind.eq_ignore_ascii_case("application/json") {
        let fault = ApiFault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "a command is sent as JSON");
        return Err(fault.hint("send the header `Content-Type: application/json`"));
    }
    let mut text = Vec::new();
    while let Some(part) = next_part(&mut body, patience).await? {
        if text.len() + part.len() > COMMAND_BYTES_MAX {
            return Err(ApiFault::too_large(format!("a command has at most {COMMAND_BYTES_MAX} bytes")));
        }
        text.extend_from_slice(&part);
    }
    serde_json::from_slice(&text)
        .map_err(|error| ApiFault::bad_request(format!("the body is not as it should be: {error}")))
}
