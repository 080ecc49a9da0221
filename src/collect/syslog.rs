//! One syslog listener: TCP and UDP on one address, and the thread that commits what they bring. I/O.
//!
//! Deliberately without parsing: the raw line is the record, the pipeline's decoder reads it.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::counters::{Count, Counters};
use super::funnel::Waiting;
use super::tcp::{self, Shared};
use super::thread::spawn;
use super::udp;
use super::warning::{CollectError, Listener, Warner};
use crate::event::Input;
use crate::journal::{Commit, Journal, JournalError};

/// A journal that takes nothing now is asked again after so long.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);
/// How often a commit is tried once collecting stops: then the node's own time to end is short.
const TRIES_AT_STOP: u32 = 8;

/// A bound address that nobody reads yet.
pub struct Bound {
    tcp: TcpListener,
    udp: UdpSocket,
    /// The address as it was written.
    pub name: String,
    pub input: Input,
}

/// A listener at work.
pub struct Syslog {
    shared: Arc<Shared>,
    /// Where it listens.
    pub address: SocketAddr,
    readers: Vec<JoinHandle<()>>,
    committer: Option<JoinHandle<()>>,
}

impl Bound {
    /// Binds both protocols.
    ///
    /// # Errors
    /// Where the address is in use, is not this machine's, or needs rights that this user has not.
    pub fn new(address: SocketAddr, input: Input) -> Result<Bound, CollectError> {
        let name = address.to_string();
        let tcp = TcpListener::bind(address).and_then(|tcp| tcp.set_nonblocking(true).map(|()| tcp));
        let tcp = tcp.map_err(|error| unheard(&name, "TCP", &error))?;
        // With port 0, for tests, both take the one that TCP was given.
        let address = tcp.local_addr().map_err(|error| unheard(&name, "TCP", &error))?;
        let udp = UdpSocket::bind(address).map_err(|error| unheard(&name, "UDP", &error))?;
        // A kernel that gives less is heard of when it drops something.
        let _ = socket2::SockRef::from(&udp).set_recv_buffer_size(udp::RECEIVE_BYTES);
        Ok(Bound { tcp, udp, name, input })
    }

    /// Starts its threads.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub fn start<J: Journal + 'static>(
        self,
        journal: Arc<J>,
        counters: Arc<Counters>,
        listener: &Listener,
    ) -> Result<Syslog, CollectError> {
        let Bound { tcp, udp, name, input } = self;
        let address = tcp.local_addr().map_err(|error| unheard(&name, "TCP", &error))?;
        let shared = Arc::new(Shared::new(counters));
        let no_thread = |error: io::Error| CollectError::Thread { why: error.to_string() };
        let theirs = Arc::clone(&shared);
        let warner = Warner::new(Arc::clone(listener));
        let named = name.clone();
        let committer = spawn("syslog-commit", move || commit_all(&*journal, &input, &theirs, warner, &named))
            .map_err(no_thread)?;
        let mut syslog = Syslog { shared, address, readers: Vec::new(), committer: Some(committer) };
        let theirs = Arc::clone(&syslog.shared);
        syslog.readers.push(spawn("syslog-tcp", move || tcp::accept(&tcp, &theirs)).map_err(no_thread)?);
        let theirs = Arc::clone(&syslog.shared);
        let listener = Arc::clone(listener);
        syslog
            .readers
            .push(spawn("syslog-udp", move || take_datagrams(&udp, &theirs, listener, &name)).map_err(no_thread)?);
        Ok(syslog)
    }
}

impl Drop for Syslog {
    /// Takes no more, commits what was read, and waits for that.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.funnel.drain();
        for reader in self.readers.drain(..) {
            // A panic there was reported by its thread; what it had read is in the funnel.
            let _ = reader.join();
        }
        self.shared.funnel.close();
        self.committer.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn unheard(name: &str, protocol: &'static str, error: &io::Error) -> CollectError {
    let advices = [
        (
            io::ErrorKind::AddrInUse,
            "another program, or another Sekisho, listens there: stop it or choose another port",
        ),
        (
            io::ErrorKind::PermissionDenied,
            "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one or grant it",
        ),
        (io::ErrorKind::AddrNotAvailable, "the address is not this machine's: choose one that `ip address` lists"),
    ];
    let advice = advices.iter().find(|(kind, _)| *kind == error.kind());
    let advice = advice.map_or("check the address in `collect:`", |(_, advice)| *advice);
    CollectError::Listen { address: name.to_owned(), protocol, why: error.to_string(), advice }
}

fn take_datagrams(socket: &UdpSocket, shared: &Shared, listener: Listener, name: &str) {
    let warner = std::cell::RefCell::new(Warner::new(listener));
    let dropped = |drops: u64| {
        let what = "datagrams came faster than they were taken, and the kernel threw some away".to_owned();
        let advice = format!("send over TCP, or raise net.core.rmem_max to {} ({drops} so far)", udp::RECEIVE_BYTES);
        warner.borrow_mut().warn(name, what, advice);
    };
    if let Err(error) = udp::receive(socket, shared, &dropped) {
        let advice = "look after the limits of this process and start again";
        warner.borrow_mut().warn(name, format!("datagrams are not received: {error}"), advice);
    }
}

fn commit_all<J: Journal>(journal: &J, input: &Input, shared: &Shared, mut warner: Warner, name: &str) {
    while let Some(waiting) = shared.funnel.take() {
        if let Err(error) = commit(journal, input, &waiting, shared, &mut warner) {
            let advice = "TCP senders keep their messages, datagrams are lost, until the node is started again";
            warner.warn(name, error.to_string(), advice);
            return;
        }
        warner.resolve(name);
        let counted = [
            (Count::Lines, waiting.records.len() as u64),
            (Count::Bytes, waiting.bytes),
            (Count::Cut, waiting.cut),
            (Count::Spoofable, waiting.spoofable),
        ];
        counted.iter().for_each(|(count, number)| shared.counters.add(*count, *number));
    }
}

/// Commits until it is done: meanwhile the funnel fills, and the senders wait.
fn commit<J: Journal>(
    journal: &J,
    input: &Input,
    waiting: &Waiting,
    shared: &Shared,
    warner: &mut Warner,
) -> Result<(), JournalError> {
    let mut tries = 0;
    loop {
        let appends = vec![(input.clone(), waiting.records.clone())];
        match journal.append(Commit { appends, ..Commit::default() }) {
            Ok(_) => return Ok(()),
            Err(error) => {
                tries += u32::from(shared.is_stopped());
                if error.is_fatal() || tries > TRIES_AT_STOP {
                    return Err(error);
                }
                warner.warn("journal", error.to_string(), "TCP senders wait; datagrams are dropped and counted");
                std::thread::sleep(REFUSED_PAUSE);
            }
        }
    }
}
