//! Who the client is, where from, and what is known of the address: it tags, it never decides. Pure.
//!
//! The one place that resolves the client through proxies (security sheet §4.1): rules, windows and blocks all use what
//! is found here. Deliberately without DNS, without a judgement on user agents, and without any say on blocking: the
//! guard asks for the [`crate::event::Standing`] and decides by itself.

mod agent;
mod browser;
mod cache;
mod enricher;
mod error;
mod forwarding;
mod geo;
mod networks;
mod settings;
mod special;

pub use agent::AGENT_BYTES_MAX;
pub use browser::describe_agent;
pub use cache::Cache;
pub use enricher::Enricher;
pub use error::{Database, EnrichError};
pub use forwarding::HOPS_MAX;
pub use settings::{ClientSource, Settings};
