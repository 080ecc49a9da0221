//! Answers as JSON, and answers that hold their permit until they are sent. Pure.
//!
//! What the journal holds as JSON is passed on as it is, byte for byte. Deliberately without HTML.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::event::write_json;

use super::fault::ApiFault;
use super::limits::CONNECTION_BYTES_MAX;

/// JSON bytes as an answer.
pub(super) fn json(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
}

/// A value as an answer.
pub(super) fn json_of<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let mut out = Vec::new();
    if write_json(value, &mut out).is_err() {
        return ApiFault::unavailable("the answer cannot be written as JSON").into_response();
    }
    let mut response = json(out);
    *response.status_mut() = status;
    response
}

/// `{…head…,"name":[…],"next":"…"}`, where the items are JSON already. `head` is empty or ends with a comma.
pub(super) fn list<T: AsRef<[u8]>>(head: &str, name: &str, items: &[T], next: Option<&str>) -> Response {
    let size: usize = items.iter().map(|item| item.as_ref().len() + 1).sum();
    let mut out = Vec::with_capacity(size + head.len() + 128);
    out.extend_from_slice(format!("{{{head}\"{name}\":[").as_bytes());
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item.as_ref());
    }
    out.push(b']');
    if let Some(next) = next {
        out.extend_from_slice(b",\"next\":");
        // A text can always be written.
        let _ = write_json(next, &mut out);
    }
    out.push(b'}');
    json(out)
}

/// What is handed to the connection at a time. It buffers as much, so the rest of an answer stays here until the client
/// has read what came before.
const PART_BYTES_MAX: usize = CONNECTION_BYTES_MAX;

/// A body whose permit is given back once it is sent or given up: a client that does not read counts as a request.
pub(super) struct Guarded {
    body: Body,
    /// What the body gave and was not handed on yet.
    rest: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Guarded {
    pub fn new(body: Body, permit: OwnedSemaphorePermit) -> Guarded {
        Guarded { body, rest: Bytes::new(), _permit: permit }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(part) => self.rest = part,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(done @ (None | Some(Err(_)))) => return Poll::Ready(done),
                Poll::Pending => return Poll::Pending,
            }
        }
        let part = self.rest.len().min(PART_BYTES_MAX);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}
