//! The node of a demo: a whole one, in a folder that goes with it, whose clock is the day's. I/O.
//!
//! By the day's clock the day is judged as if it were today: nothing in it is stale, blocks end and budgets fill up as they
//! would in a day and not in the seconds that a demo takes, and its outcomes are the same each time. Deliberately without a
//! way into the node but its own door.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::event::Time;
use crate::fold::rehearse::START;
use crate::node::recorded::Recording;
use crate::node::start::{Given, Node};

use super::super::door;
use super::super::run::{given, refused};
use super::super::{CliError, Sources};

/// What was handed over is read within this, or the node stands still.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at how far the node is: it needs about two milliseconds for a handful of lines.
const LOOK_EVERY: Duration = Duration::from_micros(250);

/// The day's time: moved by hand while the day comes in, by itself afterwards.
#[derive(Clone)]
struct DayClock(Arc<Hands>);

struct Hands {
    moved_to: AtomicI64,
    /// Since when it goes by itself.
    goes: OnceLock<Instant>,
}

/// A running node, and what it needs.
pub(super) struct Host {
    /// Ended before the folder goes.
    node: Option<Node>,
    clock: DayClock,
    door: door::Node,
    address: SocketAddr,
    /// Lines that were handed over.
    fed: u64,
    folder: TempDir,
}

/// What the node says of itself.
#[derive(Deserialize)]
pub(super) struct Standing {
    inputs: Vec<InputStanding>,
    pub decide: DecideStanding,
}

#[derive(Deserialize)]
struct InputStanding {
    records: u64,
}

#[derive(Deserialize)]
pub(super) struct DecideStanding {
    /// How far everything is believed to have been seen.
    pub stream_time: Option<Time>,
    alerts: u64,
    blocks: u64,
    lifts: u64,
}

impl DecideStanding {
    /// How many outcomes went into the stream.
    pub fn outcomes(&self) -> u64 {
        self.alerts + self.blocks + self.lifts
    }
}

impl DayClock {
    fn now(&self) -> Time {
        let by_itself = self.0.goes.get().map_or(0, |since| since.elapsed().as_millis() as i64);
        Time(self.0.moved_to.load(Ordering::Acquire)).plus(by_itself)
    }
}

impl Host {
    /// What the node is started with, and its folder.
    ///
    /// # Errors
    /// Where there is no folder to be had, or a setting of the environment is wrong.
    pub fn prepare() -> Result<(Given, TempDir), CliError> {
        let folder = tempfile::Builder::new().prefix("sekisho-demo-").tempdir().map_err(|error| {
            let place = std::env::temp_dir();
            CliError::environment(format!(
                "cannot make a folder in {}: {error}\n  = set TMPDIR to a folder that this user may write to",
                place.display()
            ))
        })?;
        let mut given = given(&Sources::default(), Some(folder.path().join("data")))?;
        given.config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok((given, folder))
    }

    /// Starts the node on a free port of this machine.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start((given, folder): (Given, TempDir)) -> Result<Host, CliError> {
        let clock = DayClock(Arc::new(Hands { moved_to: AtomicI64::new(START.0), goes: OnceLock::new() }));
        let shown = clock.clone();
        let node = Node::start_by(given, Arc::new(move || shown.now())).map_err(|error| refused(&error))?;
        let address = node.address().ok_or_else(|| CliError::environment("the node has no API"))?;
        Ok(Host { node: Some(node), clock, door: door::Node::own(address), address, fed: 0, folder })
    }

    /// Where its API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way to it.
    pub fn door(&self) -> &door::Node {
        &self.door
    }

    /// Moves the day's clock, never back.
    pub fn move_to(&self, time: Time) {
        self.clock.0.moved_to.fetch_max(time.0, Ordering::AcqRel);
    }

    /// Lets the day's clock go by itself from now on.
    pub fn let_go(&self) {
        self.clock.0.goes.get_or_init(Instant::now);
    }

    /// Hands lines over, and waits until they are read: time may not go on before what came in it.
    ///
    /// # Errors
    /// What the API says, or that the node stands still.
    pub fn feed(&mut self, pipeline: &str, (lines, count): (String, u64)) -> Result<(), CliError> {
        self.door.feed(pipeline, lines)?;
        self.fed += count;
        let until = Instant::now() + READ_WITHIN;
        while self.standing()?.inputs.iter().map(|input| input.records).sum::<u64>() < self.fed {
            if Instant::now() > until {
                return Err(CliError::environment("the node stands still; what it says is above"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// What the node says of itself.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn standing(&self) -> Result<Standing, CliError> {
        self.door.get("/api/v1/status", &[])
    }

    /// Everything that was decided so far, again.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn recording(&self) -> Result<Recording, CliError> {
        let node = self.node.as_ref().ok_or_else(|| CliError::environment("the node has ended"))?;
        node.recording().map_err(|error| refused(&error))
    }

    /// Ends the node, and removes its folder.
    ///
    /// # Errors
    /// Why a part of the node could not go on, or why the folder stays.
    pub fn end(mut self) -> Result<(), CliError> {
        self.node.take().map_or(Ok(()), Node::stop).map_err(|error| refused(&error))?;
        let path = self.folder.path().to_owned();
        std::fs::remove_dir_all(&path).map_err(|error| {
            CliError::environment(format!("{}: the demo's folder stays: {error}; remove it by hand", path.display()))
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whatever ended the demo early is what is told. A thread that still wrote would keep the folder from going.
        let _ = self.node.take().map(Node::stop);
    }
}
