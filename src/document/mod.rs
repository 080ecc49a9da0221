//! The files that people write, as trees that remember where each part stands. Pure.
//!
//! YAML text → [`Document`], and the one way to say what is wrong with it: a [`Fault`] with file, line, column, the
//! line itself and a suggestion. Settings, pipelines and rules are all read through [`Keys`], so an unknown key is an
//! error with "did you mean" everywhere. Scalars keep their raw text: what `no` or `0777` means is the schema's to
//! say, not YAML's. Deliberately without anchors, aliases and tags: they are refused.

mod fault;
mod keys;
mod scalar;
mod yaml;

pub use fault::{FAULTS_MAX, Fault, Faults, nearest};
pub use keys::Keys;
pub use scalar::{parse_duration, parse_size};
pub use yaml::{DEPTH_MAX, Document, FILE_BYTES_MAX, Kind, NODES_MAX, Node, Source, parse};
