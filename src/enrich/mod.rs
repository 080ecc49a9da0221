//! Who the client is, where from, and what is known of the address: it tags, it never decides. Pure.

mod settings;

pub use settings::{ClientSource, Settings};
