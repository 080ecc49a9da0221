//! What all requests share: services, limits as permits, counters. I/O through what it holds.
//!
//! Deliberately without anything that outlives the process: that is the journal's.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::event::Time;

use super::access::Gatekeeper;
use super::counters::Counters;
use super::fault::ApiFault;
use super::limits::{INGEST_HELD_BYTES_MAX, Patience, REQUESTS_MAX, SEARCHES_MAX, STREAMS_MAX};
use super::plain::TextCache;
use super::services::{Ask, SearchFault, Services};

/// Ingest bodies are accounted in pieces of so many bytes.
pub(super) const HELD_PIECE_BYTES: usize = 64 * 1024;

/// One API.
pub(super) struct Api {
    pub services: Services,
    pub patience: Patience,
    pub gatekeeper: Gatekeeper,
    pub counters: Counters,
    pub requests: Arc<Semaphore>,
    pub searches: Arc<Semaphore>,
    pub streams: Arc<Semaphore>,
    /// In pieces of [`HELD_PIECE_BYTES`].
    pub held: Arc<Semaphore>,
    /// Idempotency keys whose request is being served.
    pub claimed: Arc<Mutex<HashSet<[u8; 32]>>>,
    pub texts: TextCache,
    /// Whether the server is stopping.
    pub stopping: watch::Receiver<bool>,
}

impl Api {
    pub fn new(
        services: Services,
        gatekeeper: Gatekeeper,
        (patience, stopping): (Patience, watch::Receiver<bool>),
    ) -> Api {
        let counters = Counters::new(&services);
        Api {
            counters,
            gatekeeper,
            patience,
            stopping,
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            held: Arc::new(Semaphore::new(INGEST_HELD_BYTES_MAX / HELD_PIECE_BYTES)),
            claimed: Arc::default(),
            texts: TextCache::default(),
            services,
        }
    }

    /// The time of day.
    pub fn now(&self) -> Time {
        (self.services.clock)()
    }
}

/// Does what blocks a thread where it blocks nobody else.
///
/// # Errors
/// Those of the work; a panic in it is one too.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiFault> + Send + 'static,
) -> Result<T, ApiFault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(ApiFault::unavailable("the node gave up on this request")))
}

/// A permit, or the fault that says to come again.
pub(super) fn permit(of: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, ApiFault> {
    Arc::clone(of).try_acquire_owned().map_err(|_| ApiFault::busy(format!("too many {what} at a time")))
}

/// Asks the events. Where the client goes away the question is told so.
///
/// # Errors
/// Those of the question.
pub(super) async fn ask<Q, A>(ask: &Ask<Q, A>, question: Q, held: Option<OwnedSemaphorePermit>) -> Result<A, ApiFault>
where
    Q: Send + 'static,
    A: Send + 'static,
{
    let cancelled = Arc::new(AtomicBool::new(false));
    let _guard = CancelOnDrop(Arc::clone(&cancelled));
    let ask = Arc::clone(ask);
    blocking(move || {
        let answer = ask(&question, &cancelled).map_err(search_fault);
        drop(held);
        answer
    })
    .await
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn search_fault(fault: SearchFault) -> ApiFault {
    use axum::http::StatusCode;
    match fault {
        SearchFault::Query { character, length, message } => {
            let mut fault = ApiFault::new(StatusCode::BAD_REQUEST, "query", message);
            fault.at = Some(super::fault::At { character, length });
            fault
        }
        SearchFault::Asked(message) => ApiFault::bad_request(message),
        SearchFault::TooCostly(message) => ApiFault::new(StatusCode::BAD_REQUEST, "too_costly", message),
        SearchFault::Busy(message) => ApiFault::busy(message),
        SearchFault::Timeout(message) => ApiFault::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message),
        SearchFault::Cancelled => ApiFault::new(StatusCode::GATEWAY_TIMEOUT, "cancelled", "the search was given up"),
        SearchFault::Unavailable(message) => ApiFault::unavailable(message),
    }
}

/// An idempotency key whose request is being served; free again when this is dropped.
pub(super) struct Claim {
    claimed: Arc<Mutex<HashSet<[u8; 32]>>>,
    key: [u8; 32],
}

impl Claim {
    /// Takes a key; `None` where another request has it.
    pub fn take(claimed: &Arc<Mutex<HashSet<[u8; 32]>>>, key: [u8; 32]) -> Option<Claim> {
        let fresh = claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        fresh.then(|| Claim { claimed: Arc::clone(claimed), key })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
