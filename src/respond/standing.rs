//! What holds now, as outcomes show it: for whoever starts to follow them after their records are gone. Pure.
//!
//! Deliberately without what only the records told: a block that is older than the journal has no receipt any more.

use ipnet::IpNet;

use crate::event::outcome::{Block, Incident};

use super::responder::Responder;

/// Stands where the reason of a block was.
const REASON_GONE: &str = "blocked before the journal begins";

/// Everything that holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    pub blocks: Vec<Block>,
    pub incidents: Vec<Incident>,
    /// Networks that operators allowed while running.
    pub allowed: Vec<IpNet>,
}

impl Responder {
    /// What holds now.
    pub fn standing(&self) -> Standing {
        let block = |(target, active): (super::prefix::Prefix, &super::blocks::Active)| Block {
            id: active.id.to_string(),
            action: "block".to_owned(),
            target: target.to_string(),
            level: active.level,
            issued_at: active.issued_at,
            expires_at: active.expires_at,
            reason: REASON_GONE.to_owned(),
            rule: None,
            alert: None,
            incident: None,
            origin: active.origin,
            by: None,
            receipt: None,
        };
        Standing {
            blocks: self.state.blocks.iter().map(block).collect(),
            incidents: self.state.incidents.iter().cloned().collect(),
            allowed: self.state.allowed.iter().map(|(network, ())| network.to_network()).collect(),
        }
    }
}
