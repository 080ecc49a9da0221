//! What operators order: block, lift, allow, thaw (design §8). Pure.
//!
//! Commands are records of the journal like everything else, so each brings the journal's time with it. Deliberately
//! without a say in who may order what: that is the API's.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;

use crate::event::outcome::{Block, Level, LiftCause, Origin, Refusal};
use crate::event::{Outcome, Time};

use super::blocks::{Active, BLOCKS_MAX};
use super::ids;
use super::prefix::Prefix;
use super::responder::Responder;
use super::text::clean;

/// Networks that operators allow while running: an allowlist is written by people and their scripts; larger sets
/// belong into the configuration's lists.
const ALLOWED_MAX: usize = 100_000;
/// Lifts by hand that are held at a time. Beyond it the one that would end first does, and is counted.
const HOLDS_MAX: usize = 10_000;

/// A block that somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub target: IpNet,
    pub level: Level,
    /// Milliseconds.
    pub ttl: i64,
    pub ordered_by: OrderedBy,
    /// The operator's or the import's name.
    pub by: String,
    pub reason: String,
    /// The journal's time of the command.
    pub at: Time,
}

/// Who orders blocks besides rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderedBy {
    Operator,
    Import,
}

/// The allowlist holds all it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Responder {
    /// Blocks a network, in place of what blocks the same network now. The same command again changes nothing.
    ///
    /// # Errors
    ///
    /// The gate that refuses it: expiry, width or protected; level, where it asks for less than a throttle; budget,
    /// where as many blocks hold as can be kept.
    pub fn operator_block(&mut self, order: &Order, out: &mut Vec<Outcome>) -> Result<(), Refusal> {
        self.pass(order.at, out);
        let target = Prefix::network(order.target);
        self.guard(&self.settings).judge_ordered(target, order.ttl)?;
        if order.level < Level::Throttle {
            return Err(Refusal::Level);
        }
        let id = ids::ordered_block(target, &order.by, order.at.0);
        match self.state.blocks.get(target) {
            Some(before) if before.id == id => return Ok(()),
            Some(_) => self.end(target, (LiftCause::Superseded, self.state.journal), Some(&clean(&order.by)), out),
            None if self.state.blocks.len() >= BLOCKS_MAX => return Err(Refusal::Budget),
            None => {}
        }
        let active = Active {
            id,
            level: order.level,
            origin: order.ordered_by.origin(),
            issued_at: self.state.journal,
            expires_at: self.state.journal.plus(order.ttl),
            offence: 0,
            failures: None,
        };
        self.state.counters.blocks += 1;
        out.push(Outcome::Block(Box::new(record(order, target, &active, self.state.journal))));
        self.state.blocks.set(target, active);
        Ok(())
    }

    /// Ends all blocks that have an address in common with `target`, and keeps rules from blocking any of it for as
    /// long as the settings say. Gives how many blocks ended.
    pub fn operator_lift(&mut self, target: IpNet, by: &str, at: Time, out: &mut Vec<Outcome>) -> usize {
        self.pass(at, out);
        let target = Prefix::network(target);
        self.hold(target);
        self.lift_overlapping(target, LiftCause::Operator, Some(&clean(by)), out)
    }

    /// Allows networks from now on and ends all blocks that have an address in common with them.
    ///
    /// # Errors
    ///
    /// [`Full`] where there would be too many; none is allowed then.
    pub fn allow(&mut self, networks: &[IpNet], by: &str, at: Time, out: &mut Vec<Outcome>) -> Result<(), Full> {
        self.pass(at, out);
        let networks: BTreeSet<Prefix> = networks.iter().map(|network| Prefix::network(*network)).collect();
        let new = networks.iter().filter(|network| self.state.allowed.get(**network).is_none()).count();
        if self.state.allowed.len() + new > ALLOWED_MAX {
            return Err(Full);
        }
        for network in networks {
            self.state.allowed.insert(network, ());
            self.lift_overlapping(network, LiftCause::Allowlist, Some(&clean(by)), out);
        }
        Ok(())
    }

    /// Takes networks off the list of those that operators allowed while running; what the settings protect stays.
    ///
    /// # Errors
    /// In words, where one of them is not on that list; then none is taken off.
    pub fn disallow(&mut self, networks: &[IpNet], at: Time, out: &mut Vec<Outcome>) -> Result<(), String> {
        self.pass(at, out);
        let unknown = |network: &&IpNet| self.state.allowed.get(Prefix::network(**network)).is_none();
        if let Some(unknown) = networks.iter().find(unknown) {
            return Err(format!("{unknown} is not on the list of allowed networks"));
        }
        for network in networks {
            self.state.allowed.remove(Prefix::network(*network));
        }
        Ok(())
    }

    /// Lets known clients be blocked again before the hour is over: somebody has looked.
    pub fn thaw(&mut self, at: Time, out: &mut Vec<Outcome>) {
        self.pass(at, out);
        self.state.budget.thaw();
    }

    fn hold(&mut self, target: Prefix) {
        let until = self.state.journal.plus(self.settings.hold);
        if self.state.holds.get(target).is_none() && self.state.holds.len() >= HOLDS_MAX {
            let first = self.state.holds.iter().map(|(held, until)| (*until, held)).min();
            if let Some((until, held)) = first {
                self.state.holds.remove(held);
                self.state.counters.evicted.holds += u64::from(until > self.state.journal);
            }
        }
        self.state.holds.insert(target, until);
    }
}

fn record(order: &Order, target: Prefix, active: &Active, issued_at: Time) -> Block {
    Block {
        id: active.id.to_string(),
        action: "block".to_owned(),
        target: target.to_string(),
        level: active.level,
        issued_at,
        expires_at: active.expires_at,
        reason: clean(&order.reason),
        rule: None,
        alert: None,
        incident: None,
        origin: active.origin,
        by: Some(clean(&order.by)),
        receipt: None,
    }
}

impl OrderedBy {
    fn origin(self) -> Origin {
        match self {
            OrderedBy::Operator => Origin::Operator,
            OrderedBy::Import => Origin::Import,
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the allowlist holds {ALLOWED_MAX} networks already: put large sets into networks.protected")
    }
}

impl std::error::Error for Full {}
