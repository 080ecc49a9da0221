//! How much the API takes, from whom and for how long; each number with its reason. Pure.
//!
//! Whoever speaks to the port may be hostile, slow or broken, and none of them may cost detection its memory.
//! Deliberately without counters: they stand where a limit is met.

use std::time::Duration;

/// An ingest body, before and after its compression is undone, and what it takes as records. It becomes one commit, which
/// a reader of the journal holds in memory as a whole (the journal allows 32 MiB); 16 MiB are about 64,000 access lines,
/// where shippers send 1 to 10 MB at a time.
pub const INGEST_BYTES_MAX: usize = 16 << 20;
/// All ingest bodies that are being read or committed: four of the largest. Beyond it clients are told to come again, so
/// that no number of them takes more of the machine.
pub const INGEST_HELD_BYTES_MAX: usize = 64 << 20;
/// A compressed body may grow by this factor (security sheet §4.4): logs compress 20 to 40 times.
pub const INGEST_RATIO_MAX: u64 = 100;
/// The factor is judged once so much came out: the few kinds of lines of a flood may compress better, and cost nothing.
pub const INGEST_RATIO_AFTER_BYTES: u64 = 4 << 20;
/// The window a zstd frame may ask for, as a power of two: 8 MiB, what RFC 8878 §3.1.1.1.2 recommends to support. Level 19
/// needs no more.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// The body of a command: a thousand networks and a reason. It becomes a record of `sekisho.signals`, which stay small.
pub const COMMAND_BYTES_MAX: usize = 128 * 1024;
/// Networks in one command.
pub const COMMAND_NETWORKS_MAX: usize = 1_000;
/// Why a block or an allowance was ordered, in characters: a sentence or two for the book.
pub const REASON_CHARS_MAX: usize = 500;
/// A block that somebody orders ends within a year: whatever must last belongs into a firewall's own rules.
pub const BLOCK_TTL_MAX: i64 = 365 * crate::event::DAY;
/// The start line and headers of a request: a bearer token and a long query stay below 4 KiB (security sheet §4.6).
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request: browsers behind three proxies send 40.
pub const HEADERS_MAX: usize = 64;
/// So much of start line and headers is read before a connection is cut with a bare 431: up to here a client that is over
/// [`HEADER_BYTES_MAX`] or [`HEADERS_MAX`] is told so in words.
pub const HEADER_BYTES_READ_MAX: usize = 3 * HEADER_BYTES_MAX;
/// The same in headers.
pub const HEADERS_READ_MAX: usize = 4 * HEADERS_MAX;
/// What a connection buffers: more than the headers, so that the limit on them is what is met first.
pub const CONNECTION_BYTES_MAX: usize = 64 * 1024;
/// A query string holds the longest query the index reads, percent-encoded in part.
pub const QUERY_BYTES_MAX: usize = 15 * 1024;
/// Items of one answer; more are read page by page.
pub const PAGE_MAX: usize = 1_000;
/// Items of one answer where nothing is asked.
pub const PAGE_DEFAULT: usize = 100;
/// One answer ends with the item that reaches so many bytes: with [`REQUESTS_MAX`] clients that do not read, 256 MiB.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Connections: a file descriptor and some buffers each; half of the 1,024 descriptors that services get by default.
pub const CONNECTIONS_MAX: usize = 512;
/// Requests being worked on or answered.
pub const REQUESTS_MAX: usize = 64;
/// Searches at a time; more of them would take the cores from detection.
pub const SEARCHES_MAX: usize = 4;
/// Open streams: consoles and enforcers of one installation.
pub const STREAMS_MAX: usize = 64;
/// Pieces that wait for the reader of a stream, each of at most [`STREAM_PIECE_BYTES`].
pub const STREAM_PIECES_MAX: usize = 8;
/// A piece of a stream ends with the event that reaches so many bytes.
pub const STREAM_PIECE_BYTES: usize = 64 * 1024;
/// Entries of the journal that a stream takes at a time while it catches up.
pub const STREAM_READ_BYTES: usize = 256 * 1024;
/// Failed proofs of identity from one network within a minute, before it is told to wait: typing errors are few.
pub const FAILURES_MAX: u32 = 10;
/// Networks whose failures are counted one by one; beyond it the others share one count.
pub const FAILURES_TRACKED_MAX: usize = 4_096;
/// An `Idempotency-Key`: a UUID has 36 characters, a hash in hex 64.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long an `Idempotency-Key` is remembered: longer than any shipper retries a batch.
pub const IDEMPOTENCY_REMEMBERED: i64 = crate::event::DAY;

/// The times a client has. They are values and not constants alone so that tests need not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the headers of a request, and between two requests (security sheet §4.6).
    pub headers: Duration,
    /// For the next part of a body.
    pub body_part: Duration,
    /// For a request until its answer begins.
    pub request: Duration,
    /// For taking the next part of an answer: a client that never reads costs a connection for so long.
    pub write: Duration,
    /// For the reader of a stream to take a piece, before it is disconnected with an event that says so. Shorter than
    /// `write`, so that a reader that wakes up still finds that event.
    pub stream: Duration,
    /// Between two signs of life on a quiet stream: below the minute after which proxies cut.
    pub stream_quiet: Duration,
    /// For a command's answer; after it the client gets the command's position instead.
    pub command: Duration,
    /// Between two looks at the file of keys: a key that was taken away works at most so long.
    pub keys: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            headers: Duration::from_secs(10),
            body_part: Duration::from_secs(10),
            request: Duration::from_secs(60),
            write: Duration::from_secs(30),
            stream: Duration::from_secs(10),
            stream_quiet: Duration::from_secs(15),
            command: Duration::from_secs(5),
            keys: Duration::from_secs(1),
        }
    }
}
