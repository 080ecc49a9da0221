//! The API: lines in, answers and orders, a stream of outcomes, over HTTP on one port. I/O at its edges; each file says which.
//!
//! ```text
//! connection ─► front (host, origin) ─► serve (key, permit, time) ─► handler ─► journal (append, read), events, projection
//!                                                                       outcomes' topics ─► projection ─► stream
//! ```
//!
//! It changes nothing but by records of the journal: lines, and operators' commands that decide folds like everything else.
//! What it knows of outcomes is a fold over their topics. The node lends it everything else as [`Services`]; this room alone
//! uses tokio. Deliberately without TLS (a reverse proxy's), sessions, and any page for people yet.

mod access;
mod alerts;
mod allowlist;
mod answer;
mod blocks;
mod body;
mod commands;
mod connection;
mod counters;
mod events;
mod exposition;
mod fault;
mod health;
mod ingest;
mod keys;
pub mod limits;
mod metrics;
mod parameters;
mod plain;
pub mod process;
pub mod projection;
mod routes;
mod server;
mod services;
mod state;
mod stream;
mod throttle;
mod unpack;

pub use access::Access;
pub use exposition::{Form, text as metrics_text};
pub use fault::{ApiFault, At};
pub use keys::{KEYS_FILE, KEYS_MAX, KeyError, Role, StoredKey, add_key, list_keys, remove_key};
pub use limits::Patience;
pub use metrics::{Counter, Gauge, HTTP_SECONDS, Histogram, LATENCY_SECONDS, Labels, Metrics, SERIES_MAX};
pub use projection::{Follower, Projection, Seed, follow};
pub use routes::{ROUTES, Route};
pub use server::{Server, ServerError};
pub use services::{
    Ask, Check, Clock, Events, HistogramRequest, Hit, Log, Order, SearchFault, SearchPage, SearchRequest, Selection,
    Services, TailPage, TailRequest, TermsRequest, ValueCounts,
};
