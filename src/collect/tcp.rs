//! Syslog over TCP: takes connections, cuts them into messages. I/O.
//!
//! A thread per connection, so one that is slow holds up nobody else, and a bound on their number. TCP syslog has no
//! acknowledgement: what a sender wrote and Sekisho has not committed is lost when the machine fails, and the sender
//! does not learn of it. Deliberately without TLS.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::counters::{Count, Counters};
use super::frames::{self, Rest};
use super::funnel::Funnel;
use super::handle_limit::connections_max;
use super::thread::spawn;

/// A connection that has never sent a whole message is closed after so long without a byte: it only takes a place.
const IDLE_NEW: Duration = Duration::from_secs(30);
/// One that has sent messages may be silent for so long: closing it makes many senders lose the next message.
const IDLE_KNOWN: Duration = Duration::from_secs(60 * 60);
/// How often waiting threads look whether they shall stop.
const STOP_PAUSE: Duration = Duration::from_millis(100);
/// How often a listener without connections to take looks for new ones.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Bytes read at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// What all threads of one listener share.
pub struct Shared {
    pub funnel: Funnel,
    pub counters: Arc<Counters>,
    pub stop: AtomicBool,
    /// Connections that are open, and how many may be.
    connections: AtomicUsize,
    pub connections_max: usize,
}

impl Shared {
    /// Nothing has come yet.
    pub fn new(counters: Arc<Counters>) -> Shared {
        let (stop, connections) = (AtomicBool::new(false), AtomicUsize::new(0));
        let connections_max = connections_max();
        Shared { funnel: Funnel::default(), counters, stop, connections, connections_max }
    }

    /// Whether the threads shall end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Takes connections until it is stopped; then waits for theirs to end.
pub fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !shared.is_stopped() {
        match listener.accept() {
            Ok((stream, _)) => {
                threads.retain(|thread| !thread.is_finished());
                threads.extend(admit(stream, shared));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(ACCEPT_PAUSE),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                shared.counters.add(Count::Errors, 1);
                std::thread::sleep(STOP_PAUSE);
            }
        }
    }
    for thread in threads {
        // A panic there has been reported by its own thread; what it had read is in the funnel.
        let _ = thread.join();
    }
}

fn admit(stream: TcpStream, shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    if shared.connections.fetch_add(1, Ordering::Relaxed) >= shared.connections_max {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        shared.counters.add(Count::Refused, 1);
        return None;
    }
    let theirs = Arc::clone(shared);
    let thread = spawn("syslog-connection", move || {
        if receive(stream, &theirs).is_err() {
            theirs.counters.add(Count::Errors, 1);
        }
        theirs.connections.fetch_sub(1, Ordering::Relaxed);
    });
    if thread.is_err() {
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        shared.counters.add(Count::Refused, 1);
    }
    thread.ok()
}

/// What one connection has said.
#[derive(Default)]
struct Connection {
    waiting: Vec<u8>,
    rest: Rest,
    /// Bytes of `waiting` that were not enough for a message.
    seen: usize,
    /// Whether it has ever sent a whole message.
    known: bool,
}

fn receive(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STOP_PAUSE))?;
    let mut connection = Connection::default();
    let mut block = vec![0; BLOCK_BYTES];
    let mut heard_at = now();
    let ended = loop {
        match stream.read(&mut block) {
            Ok(0) => break Ok(()),
            Ok(count) => {
                heard_at = now();
                connection.take(&block[..count], shared);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let silent = now().duration_since(heard_at);
                if shared.is_stopped() {
                    break Ok(());
                }
                if silent >= if connection.known { IDLE_KNOWN } else { IDLE_NEW } {
                    shared.counters.add(Count::Idle, 1);
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
        if shared.is_stopped() {
            break Ok(());
        }
    };
    connection.end(shared);
    ended
}

impl Connection {
    fn take(&mut self, bytes: &[u8], shared: &Shared) {
        self.waiting.extend_from_slice(bytes);
        if !frames::may_take(&self.waiting, self.seen, self.rest) {
            self.seen = self.waiting.len();
            return;
        }
        shared.funnel.put(|funnel| {
            let framed = frames::take(&self.waiting, self.rest, |message| funnel.push(message, false));
            funnel.cut += framed.cut;
            self.waiting.drain(..framed.bytes);
            self.rest = framed.rest;
            self.known |= framed.messages > 0;
        });
        self.seen = self.waiting.len();
    }

    fn end(&mut self, shared: &Shared) {
        shared.funnel.put(|funnel| {
            let framed = frames::take_last(&self.waiting, self.rest, |message| funnel.push(message, false));
            funnel.cut += framed.cut;
        });
    }
}

fn now() -> Instant {
    Instant::now()
}
