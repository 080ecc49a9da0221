//! What a client is told when it does not get what it asked for: one shape for all (outputs sheet, "API answers"). Pure.
//!
//! `{"error":{"code":"…","message":"…","hint":"…","at":{…}}}`: a word for programs, a sentence for people, and what to do.
//! Deliberately without anything from inside: no path, no backtrace, and never what a client sent as its key.

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::event::write_json;
use crate::journal::JournalError;

/// A client comes again after so many seconds where the moment is at fault: a commit or a search ends sooner.
const AGAIN_AFTER_SECONDS: u32 = 1;
/// Where the disk is full: somebody must act first.
const FULL_AFTER_SECONDS: u32 = 10;

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFault {
    /// The status of the answer.
    pub status: StatusCode,
    /// A word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Which characters of a query are meant.
    pub at: Option<At>,
    /// When to come again, in seconds.
    pub retry_after: Option<u32>,
}

/// Characters of a query, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct At {
    pub character: usize,
    pub length: usize,
}

#[derive(Serialize)]
struct Shape<'a> {
    error: Inside<'a>,
}

#[derive(Serialize)]
struct Inside<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<At>,
}

impl ApiFault {
    /// A fault with its word and sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiFault {
        ApiFault { status, code, message: message.into(), hint: None, at: None, retry_after: None }
    }

    /// The request is wrong as it stands.
    pub fn bad_request(message: impl Into<String>) -> ApiFault {
        ApiFault::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> ApiFault {
        ApiFault::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Too much at a time: come again.
    pub fn busy(message: impl Into<String>) -> ApiFault {
        ApiFault::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).again_after(AGAIN_AFTER_SECONDS)
    }

    /// Larger than the API takes.
    pub fn too_large(message: impl Into<String>) -> ApiFault {
        ApiFault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// Something here is not working.
    pub fn unavailable(message: impl Into<String>) -> ApiFault {
        ApiFault::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The same with what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> ApiFault {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a time to come again.
    pub fn again_after(mut self, seconds: u32) -> ApiFault {
        self.retry_after = Some(seconds);
        self
    }

    /// What a journal's refusal means for a client: a full one is a matter of time, a stopped one is the operator's.
    pub fn of_journal(error: &JournalError) -> ApiFault {
        match error {
            JournalError::Full { .. } => {
                let fault = ApiFault::new(StatusCode::TOO_MANY_REQUESTS, "disk_full", "the node's disk is full");
                fault.hint("nothing was written; send it again once there is space").again_after(FULL_AFTER_SECONDS)
            }
            JournalError::MarksFull { .. } => {
                let fault = ApiFault::busy("too many idempotency keys are remembered already");
                fault.hint("nothing was written; send larger batches, or send without Idempotency-Key")
            }
            JournalError::TooLarge { bytes, max } => {
                ApiFault::too_large(format!("{bytes} bytes are over the journal's limit of {max} for one commit"))
            }
            JournalError::Undone { .. } => {
                ApiFault::unavailable("the journal did not answer").again_after(AGAIN_AFTER_SECONDS)
            }
            JournalError::Trimmed { from, start, .. } => {
                ApiFault::not_found(format!("offset {from} is older than the journal, which begins at {start} there"))
            }
            JournalError::Locked { .. }
            | JournalError::Unwritable { .. }
            | JournalError::Newer { .. }
            | JournalError::Corrupt { .. }
            | JournalError::Unreadable { .. }
            | JournalError::Refused { .. }
            | JournalError::Fenced { .. }
            | JournalError::Io { .. } => ApiFault::unavailable("the journal does not work any more")
                .hint("the node's own messages say why; nothing was acknowledged"),
        }
    }

    /// The JSON of it.
    pub fn to_json(&self) -> Vec<u8> {
        let ApiFault { code, message, hint, at, .. } = self;
        let mut out = Vec::new();
        let shape = Shape { error: Inside { code, message, hint: hint.as_deref(), at: *at } };
        // Texts and numbers can always be written.
        let _ = write_json(&shape, &mut out);
        out
    }
}

impl IntoResponse for ApiFault {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sekisho\""));
        }
        // What is left of a body that nobody will read is not waited for.
        let over = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT];
        if over.contains(&self.status) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<JournalError> for ApiFault {
    fn from(error: JournalError) -> ApiFault {
        ApiFault::of_journal(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_has_no_empty_parts() {
        let fault = ApiFault::bad_request("what \u{1b}").hint("do");
        assert_eq!(
            String::from_utf8(fault.to_json()).unwrap(),
            r#"{"error":{"code":"bad_request","message":"what \u001b","hint":"do"}}"#
        );
        assert_eq!(ApiFault::busy("x").into_response().headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn nothing_of_the_inside_is_told() {
        let error = JournalError::Io { action: "write", file: "/secret/path".into(), why: "EIO".into() };
        assert!(!String::from_utf8(ApiFault::from(error).to_json()).unwrap().contains("secret"));
    }
}
