//! From many sockets into one stream of commits, bounded by bytes. I/O.
//!
//! Sockets put messages in and wait while it is full: so TCP senders are held back by their own connection, and what
//! cannot wait, datagrams, waits in the kernel. One thread takes all that is there and commits it. Deliberately without
//! order between sockets: there is none.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::journal::{NewRecord, Records};

/// Messages that wait for their commit take at most so many bytes: a few commits, and all the memory that a listener
/// needs however fast its senders are.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A commit is made at once when so many bytes wait.
const COMMIT_BYTES: usize = 512 * 1024;
/// How long a message may wait for others to share its commit: less than the commit itself takes.
const GATHER: Duration = Duration::from_millis(2);

/// Where messages wait.
#[derive(Default)]
pub struct Funnel {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    emptied: Condvar,
}

/// Messages and what is counted of them.
#[derive(Default)]
pub struct Waiting {
    pub records: Records,
    /// Bytes of their values.
    pub bytes: u64,
    pub cut: u64,
    pub spoofable: u64,
    /// Nobody waits for room any more: the sockets are about to end.
    draining: bool,
    closed: bool,
}

impl Waiting {
    /// Adds one message.
    pub fn push(&mut self, value: &[u8], spoofable: bool) {
        self.records.push(NewRecord { key: None, value, spoofable });
        self.bytes += value.len() as u64;
        self.spoofable += u64::from(spoofable);
    }
}

impl Funnel {
    /// Waits until there is room, then lets `fill` add messages. What one call adds is bounded by what a socket holds.
    /// While it drains there is always room: what was read is not thrown away.
    pub fn put(&self, fill: impl FnOnce(&mut Waiting)) {
        let full = |waiting: &mut Waiting| waiting.records.bytes() >= WAITING_BYTES_MAX && !waiting.draining;
        let waiting = self.emptied.wait_while(self.lock(), full);
        fill(&mut waiting.unwrap_or_else(PoisonError::into_inner));
        self.filled.notify_one();
    }

    /// Everything that waits, as soon as there is something; `None` once it is closed and empty.
    pub fn take(&self) -> Option<Waiting> {
        let empty = |waiting: &mut Waiting| waiting.records.is_empty() && !waiting.closed;
        let waiting = self.filled.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner);
        let few = |waiting: &mut Waiting| waiting.records.bytes() < COMMIT_BYTES && !waiting.closed;
        let gathered = self.filled.wait_timeout_while(waiting, GATHER, few);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        let Waiting { draining, closed, .. } = *waiting;
        let taken = std::mem::replace(&mut *waiting, Waiting { draining, closed, ..Waiting::default() });
        self.emptied.notify_all();
        (!taken.records.is_empty()).then_some(taken)
    }

    /// The sockets end: those that wait for room put what they have, and then end too.
    pub fn drain(&self) {
        self.lock().draining = true;
        self.emptied.notify_all();
    }

    /// The sockets have ended, nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
