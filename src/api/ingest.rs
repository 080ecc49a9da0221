//! `POST /api/v1/ingest/{pipeline}`: lines in, answered when they are durable. I/O.
//!
//! A body is one commit: all of it or nothing. With an `Idempotency-Key` the commit holds a mark as well, so a repeat within
//! a day is told what the first one was told, also after a crash between commit and answer: the mark says where to look, and
//! the first record carries the key. Deliberately without decoding: what a line says is ingest's to find out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::document::nearest;
use crate::event::{Input, Time};
use crate::journal::{Commit, JournalError, Mark};

use super::access::Caller;
use super::answer::json_of;
use super::body::next_part;
use super::fault::ApiFault;
use super::limits::{IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_REMEMBERED, INGEST_BYTES_MAX, INGEST_HELD_BYTES_MAX};
use super::routes::segment;
use super::services::Log;
use super::state::{Api, Claim, blocking};
use super::unpack::{Encoding, Lines, Unpacker};

/// Bytes read at a time while the first record of a repeated body is looked for.
const LOOK_BYTES: usize = 1 << 20;
/// It lies within what all requests of that moment may have held, and as much from elsewhere.
const LOOK_BYTES_MAX: usize = 4 * INGEST_HELD_BYTES_MAX;

/// What became of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Taken {
    /// Lines, and with them records.
    records: u64,
    /// Bytes after decompression.
    bytes: u64,
    /// Lines that were cut at the limit.
    cut: u64,
    topic: String,
    partition: u32,
    /// The offset of the first record. Absent where there is none, or where a repeat finds it gone by retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
}

/// What a mark says of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    hash: [u8; 32],
    records: u64,
    bytes: u64,
    cut: u64,
    /// Its first record lies at this offset or behind.
    from: u64,
}

pub(super) async fn ingest(State(api): State<Arc<Api>>, path: RawPathParams, request: Request) -> Response {
    taken(&api, segment(&path, "pipeline"), request).await.unwrap_or_else(ApiFault::into_response)
}

async fn taken(api: &Arc<Api>, pipeline: &str, request: Request) -> Result<Response, ApiFault> {
    let (parts, body) = request.into_parts();
    let input = api.services.pipelines.get(pipeline).ok_or_else(|| no_pipeline(api, pipeline))?.clone();
    check_headers(&parts.headers)?;
    let owner = parts.extensions.get::<Caller>().map_or("", |caller| caller.name.as_str());
    let key = idempotency_key(&parts.headers, (owner, pipeline))?;
    let busy = || ApiFault::busy("a request with this Idempotency-Key is being served").hint("repeat it in a moment");
    let claim = key.map(|key| Claim::take(&api.claimed, key).ok_or_else(busy)).transpose()?;
    let lines = read(api, &parts.headers, body, key).await?;
    let (log, until) = (api.services.log.clone(), api.now().plus(IDEMPOTENCY_REMEMBERED));
    let key = key.map(|key| Key { key, until });
    let (answer, repeated) = blocking(move || {
        let done = write(&log, input, lines, key);
        // Held until the commit is over, even if the client is gone.
        drop(claim);
        done
    })
    .await?;
    count(api, pipeline, &answer, repeated);
    Ok(json_of(StatusCode::OK, &answer))
}

fn no_pipeline(api: &Api, pipeline: &str) -> ApiFault {
    let names = || api.services.pipelines.keys().map(String::as_str);
    let shown: String = pipeline.chars().take(64).collect();
    let fault = ApiFault::not_found(format!("there is no pipeline `{shown}`"));
    match nearest(pipeline, names()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), ApiFault> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > INGEST_BYTES_MAX as u64) {
        let fault = ApiFault::too_large(format!("a body is at most {INGEST_BYTES_MAX} bytes, decompressed too"));
        return Err(fault.hint("send it in several requests: `split -C 8m access.log` cuts between lines"));
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("multipart/") {
        let fault =
            ApiFault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "multipart", "the body is the lines and nothing else");
        return Err(fault.hint("with curl: --data-binary @access.log, not -F"));
    }
    Ok(())
}

/// What stands for the key of a request: its own owner's and pipeline's.
fn idempotency_key(headers: &HeaderMap, scope: (&str, &str)) -> Result<Option<[u8; 32]>, ApiFault> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.as_bytes();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(ApiFault::bad_request(format!("an Idempotency-Key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes")));
    }
    let mut hasher = blake3::Hasher::new();
    for part in [scope.0.as_bytes(), scope.1.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    Ok(Some(*hasher.finalize().as_bytes()))
}

async fn read(api: &Api, headers: &HeaderMap, mut body: Body, key: Option<[u8; 32]>) -> Result<Lines, ApiFault> {
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("unreadable"));
    let mut unpacker = Unpacker::new(Encoding::of(encoding)?, key, &api.held)?;
    while let Some(part) = next_part(&mut body, api.patience.body_part).await? {
        unpacker.take(&part)?;
    }
    unpacker.finish()
}

/// An idempotency key, and how long it is remembered.
#[derive(Clone, Copy)]
struct Key {
    key: [u8; 32],
    until: Time,
}

/// Commits the lines, unless their key says that this was done before. The answer, and whether it is a repeated one.
fn write(log: &Log, input: Input, mut lines: Lines, key: Option<Key>) -> Result<(Taken, bool), ApiFault> {
    let records = std::mem::take(&mut lines.records);
    let taken = Taken {
        records: records.len() as u64,
        bytes: lines.bytes,
        cut: lines.cut,
        topic: input.topic.clone(),
        partition: input.partition,
        first: None,
    };
    if records.is_empty() {
        return Ok((taken, false));
    }
    let mut commit = Commit::default();
    if let (Some(key), Some(hasher)) = (key, &lines.hasher) {
        let name = format!("idempotency/{}", blake3::Hash::from_bytes(key.key).to_hex());
        let hash = *hasher.finalize().as_bytes();
        if let Some(known) = log.mark(&name).and_then(|value| postcard::from_bytes(&value).ok()) {
            return repeat(log, (&input, key.key), hash, known).map(|taken| (taken, true));
        }
        let Taken { records, bytes, cut, .. } = taken;
        let remembered = Remembered { hash, records, bytes, cut, from: log.offsets(&input)?.end };
        commit.marks.push(remembered.mark(name, key.until)?);
    }
    commit.appends.push((input, records));
    let first = log.append(commit)?.firsts.first().copied();
    // The lines' memory was held until here.
    drop(lines);
    Ok((Taken { first, ..taken }, false))
}

impl Remembered {
    fn mark(&self, key: String, until: Time) -> Result<Mark, ApiFault> {
        let value = postcard::to_allocvec(self).map_err(|_| ApiFault::unavailable("the key cannot be remembered"))?;
        Ok(Mark { key, value: Some(value), expires_at: Some(until) })
    }
}

/// The answer that was given before.
fn repeat(log: &Log, of: (&Input, [u8; 32]), hash: [u8; 32], known: Remembered) -> Result<Taken, ApiFault> {
    if hash != known.hash {
        let message = "this Idempotency-Key was used for another body within the last day";
        let fault = ApiFault::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", message);
        return Err(fault.hint("give each body a key of its own; nothing of this one was taken"));
    }
    let (input, key) = of;
    let Remembered { records, bytes, cut, from, .. } = known;
    let first = first_of(log, input, key, from)?;
    Ok(Taken { records, bytes, cut, topic: input.topic.clone(), partition: input.partition, first })
}

/// The offset of the record that carries this key, from an offset on; `None` where it is gone.
fn first_of(log: &Log, input: &Input, key: [u8; 32], from: u64) -> Result<Option<u64>, ApiFault> {
    let (mut next, mut looked) = (from, 0);
    while looked < LOOK_BYTES_MAX {
        let fetched = match log.read(input, next, LOOK_BYTES) {
            Ok(fetched) if fetched.is_empty() => return Ok(None),
            Ok(fetched) => fetched,
            Err(JournalError::Trimmed { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        for block in fetched {
            if let Some(found) = block.iter().find(|record| record.key == Some(&key[..])) {
                return Ok(Some(found.offset));
            }
            looked += block.bytes();
            next = block.offsets().end;
        }
    }
    Ok(None)
}

fn count(api: &Api, pipeline: &str, answer: &Taken, repeated: bool) {
    let counters = api.counters.ingest(pipeline);
    if repeated {
        counters.repeated.add(1);
        return;
    }
    counters.records.add(answer.records);
    counters.bytes.add(answer.bytes);
    counters.cut.add(answer.cut);
}
