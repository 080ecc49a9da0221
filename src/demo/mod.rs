//! A day of a small company, from a seed: visitors and attackers as log lines. Pure generator.
//!
//! Same seed, start and length: same bytes. Actors are merged lazily by the time of their next line, so memory holds
//! the sessions that are open and never the whole day. Deliberately without servers, sockets or real attack tools: the
//! lines are what nginx, sshd, an application, ModSecurity and Suricata would have written.
//!
//! From five minutes on every actor has its full time; a shorter day cuts the last of them off.

mod cast;
mod generator;
mod line;
mod plan;
mod probes;
mod random;
mod site;
mod ssh;
mod stage;
mod task;
mod visit;
mod web;

pub use cast::{Actor, ActorKind};
pub use generator::Generator;
pub use line::Line;
