//! `/api/v1/stream`: alerts, blocks and lifts as they are committed, as server-sent events. I/O.
//!
//! Each reader pulls at its own pace behind a cursor: from what the projection keeps of late, else from the journal. So the
//! first connection, a slow reader and a return after a week are one path, and nobody waits for anybody. An event's id says
//! how far its reader has come in both topics, so that `Last-Event-ID` goes on without loss or repetition. A reader that
//! takes nothing for too long is disconnected, behind an event that says so. Deliberately without filters.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::journal::JournalError;

use super::fault::ApiFault;
use super::limits::{STREAM_PIECE_BYTES, STREAM_PIECES_MAX, STREAM_READ_BYTES};
use super::parameters::Parameters;
use super::projection::{ALERTS, BLOCKS, Cursor, EntryKind, StreamEntry, entry_of, input};
use super::services::Log;
use super::state::{Api, blocking, permit};

/// How long a browser waits before it connects again.
const RETRY_MILLISECONDS: u32 = 2_000;

pub(super) async fn stream(State(api): State<Arc<Api>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    open(&api, &headers, query.as_deref()).unwrap_or_else(ApiFault::into_response)
}

fn open(api: &Arc<Api>, headers: &HeaderMap, query: Option<&str>) -> Result<Response, ApiFault> {
    let parameters = Parameters::of(query, &["since"])?;
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("unreadable"));
    let since = header.filter(|id| !id.is_empty()).or(parameters.text("since"));
    let wrong = |()| ApiFault::bad_request("`Last-Event-ID` and `since` must be the id of an event, such as 12-7");
    let since: Option<Cursor> = since.map(str::parse).transpose().map_err(wrong)?;
    let permit = permit(&api.streams, "streams and tails")?;
    let (sender, receiver) = channel(STREAM_PIECES_MAX);
    let farewell = Arc::new(Mutex::new(None));
    let pump = Pump { api: Arc::clone(api), cursor: Cursor::default(), sender, farewell: Arc::clone(&farewell) };
    tokio::spawn(pump.run(since));
    let mut response = Body::new(Pieces { receiver, farewell, _permit: permit }).into_response();
    let answered = response.headers_mut();
    answered.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Reverse proxies of the nginx family would hold events back.
    answered.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Fills the pieces of one reader.
struct Pump {
    api: Arc<Api>,
    /// Behind everything that was handed over.
    cursor: Cursor,
    sender: Sender<Bytes>,
    farewell: Arc<Mutex<Option<Bytes>>>,
}

/// Why a stream ends.
enum End {
    /// The reader is gone.
    Gone,
    /// The reader took nothing for too long.
    Overrun,
    Stopping,
    Fault(String),
}

impl Pump {
    async fn run(mut self, since: Option<Cursor>) {
        let end = match self.follow(since).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let text = match end {
            End::Gone => return,
            End::Overrun => {
                self.api.counters.overruns.add(1);
                self.event("overrun", "the reader was too slow: connect again with this id, nothing is lost")
            }
            End::Stopping => self.event("goodbye", "the node is stopping: connect again with this id"),
            End::Fault(why) => self.event("fault", &why),
        };
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    async fn follow(&mut self, since: Option<Cursor>) -> Result<std::convert::Infallible, End> {
        let api = Arc::clone(&self.api);
        let (mut changes, mut stopping) = (api.services.projection.changes(), api.stopping.clone());
        self.greet(since).await?;
        loop {
            // Before looking, so that what comes meanwhile wakes it.
            changes.borrow_and_update();
            while self.advance().await? {}
            if *stopping.borrow_and_update() {
                return Err(End::Stopping);
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| End::Stopping)?,
                stopped = stopping.changed() => stopped.map_err(|_| End::Stopping)?,
                () = self.sender.closed() => return Err(End::Gone),
                () = tokio::time::sleep(api.patience.stream_quiet) => self.send(Bytes::from_static(b":\n\n")).await?,
            }
        }
    }

    /// Says where the stream begins: so a reader that never sees an event can go on too.
    async fn greet(&mut self, since: Option<Cursor>) -> Result<(), End> {
        let now = self.api.services.projection.view().cursor();
        let since = since.unwrap_or(now);
        let foreign = since.alerts > now.alerts || since.blocks > now.blocks;
        self.cursor = if foreign { now } else { since };
        let retry = format!("retry: {RETRY_MILLISECONDS}\n");
        self.send([retry.as_bytes(), &self.event("hello", "alerts, blocks and lifts follow")].concat().into()).await?;
        if foreign {
            let gap = self.event("gap", "that id is from another journal: what follows begins now");
            self.send(gap).await?;
        }
        Ok(())
    }

    /// Hands over what is there; whether there was anything.
    async fn advance(&mut self) -> Result<bool, End> {
        let kept = self.api.services.projection.view().recent.since(self.cursor, STREAM_READ_BYTES);
        let (entries, moved) = match kept {
            Some(entries) => (entries, false),
            None => self.catch_up().await?,
        };
        if entries.is_empty() {
            return Ok(moved);
        }
        let (mut piece, mut reached) = (Vec::new(), self.cursor);
        for entry in &entries {
            reached.pass(entry);
            if entry.kind != EntryKind::Nothing {
                write_event((entry.kind.word(), reached), &entry.json, &mut piece);
            }
            if piece.len() >= STREAM_PIECE_BYTES {
                self.send(std::mem::take(&mut piece).into()).await?;
                self.cursor = reached;
            }
        }
        if !piece.is_empty() {
            self.send(piece.into()).await?;
        }
        self.cursor = reached;
        Ok(true)
    }

    /// What lies in the journal only, and whether something that is gone was stepped over.
    async fn catch_up(&mut self) -> Result<(Vec<StreamEntry>, bool), End> {
        let (log, cursor) = (self.api.services.log.clone(), self.cursor);
        let older = blocking(move || Ok(older(&log, cursor)?)).await.map_err(|fault| End::Fault(fault.message))?;
        if let Some(cursor) = older.gap {
            self.cursor = cursor;
            let gap = self.event("gap", "some events are not in the journal any more: they were too old, or damaged");
            self.send(gap).await?;
        }
        Ok((older.entries, older.gap.is_some()))
    }

    async fn send(&self, piece: Bytes) -> Result<(), End> {
        match self.sender.send_timeout(piece, self.api.patience.stream).await {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Closed(_)) => Err(End::Gone),
            Err(SendTimeoutError::Timeout(_)) => Err(End::Overrun),
        }
    }

    fn event(&self, word: &str, message: &str) -> Bytes {
        let mut data = Vec::new();
        // A text can always be written.
        let _ = crate::event::write_json(&std::collections::BTreeMap::from([("message", message)]), &mut data);
        let mut out = Vec::new();
        write_event((word, self.cursor), &data, &mut out);
        out.into()
    }
}

fn write_event((word, cursor): (&str, Cursor), data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("id: {cursor}\nevent: {word}\ndata: ").as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

/// Entries from the journal.
struct Older {
    entries: Vec<StreamEntry>,
    /// Where reading went on, where something was gone.
    gap: Option<Cursor>,
}

/// Entries behind a cursor, each topic in its order, the two by the journal's time.
fn older(log: &Log, cursor: Cursor) -> Result<Older, JournalError> {
    let (alerts, first_alert) = read(log, ALERTS, cursor.alerts)?;
    let (blocks, first_block) = read(log, BLOCKS, cursor.blocks)?;
    let found = Cursor { alerts: first_alert, blocks: first_block };
    let mut entries = [alerts, blocks].concat();
    entries.sort_by_key(|entry| (entry.appended_at, !entry.alerts, entry.offset));
    Ok(Older { entries, gap: (found != cursor).then_some(found) })
}

/// Entries of one topic from an offset on, and where they begin: further on where some are gone. It ends before the next
/// that are gone, so that a gap is told where it is.
fn read(log: &Log, topic: &str, from: u64) -> Result<(Vec<StreamEntry>, u64), JournalError> {
    let (mut begin, input) = (from, input(topic));
    let fetched = loop {
        match log.read(&input, begin, STREAM_READ_BYTES) {
            Err(JournalError::Trimmed { start, .. }) if start > begin => begin = start,
            other => break other?,
        }
    };
    let mut entries = Vec::new();
    for block in &fetched {
        match (block.is_lost(), entries.is_empty()) {
            (true, true) => begin = block.offsets().end,
            (true, false) => break,
            (false, _) => entries.extend(block.iter().filter_map(|record| entry_of(topic, &record))),
        }
    }
    Ok((entries, begin))
}

/// The body of a stream: the pieces, then the farewell.
struct Pieces {
    receiver: Receiver<Bytes>,
    farewell: Arc<Mutex<Option<Bytes>>>,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.receiver.poll_recv(context).map(|piece| {
            let last = || self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take();
            piece.or_else(last).map(|piece| Ok(Frame::data(piece)))
        })
    }
}
