//! `sekisho run`: a whole node on this machine, until it is told to stop. I/O.
//!
//! The first signal lets what came in flow through, the second ends the process at once; both are safe. Messages go to stderr, one
//! paragraph each. Deliberately without going into the background: that is the service manager's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::catalog::{Catalog, CatalogText, KeepExtras};
use crate::config::{Config, Journal};
use crate::node::roles::Roles;
use crate::node::start::{Given, Node, STOP_WITHIN};
use crate::node::steps::Steps;
use crate::node::{NodeError, Tell};
use crate::replay::stop_on_signal;

use super::output::{complain, remark};
use super::{CliError, Sources, Status};

/// What follows `sekisho run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho run --config /etc/sekisho/sekisho.yaml
  sekisho run --data ./data                       everything by default; the API is on 127.0.0.1:7070
  curl --data-binary @access.log http://127.0.0.1:7070/api/v1/ingest/nginx

SIGTERM or Ctrl-C lets what came in flow through, for 10 s at most, and ends with exit status 0; a second one ends it at
once with exit status 130. Nothing that was acknowledged is lost either way: the next start goes on from there.")]
pub(super) struct Arguments {
    /// The folder of the journal, the index and the snapshots; `data` of the configuration otherwise
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What this process does on a shared cluster, with commas: ingest, decide, index, api
    #[arg(long, value_name = "ROLES", default_value = "ingest,decide,index,api")]
    roles: Roles,
    #[command(flatten)]
    sources: Sources,
}

/// Runs the node.
pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let mut given = given(&arguments.sources, arguments.data.clone())?;
    if given.config.journal == Journal::Embedded && arguments.roles != Roles::ALL {
        return Err(CliError::fault(
            "--roles: with the embedded journal one process does everything\n  = leave --roles out, or name a cluster under \
             `journal: { kafka: … }`",
        ));
    }
    given.roles = arguments.roles;
    let stop = stop_on_signal()?;
    let (data, collected) = (given.data.clone(), given.config.collect.len());
    let node = Node::start(given).map_err(|error| refused(&error))?;
    if let Some(address) = node.address() {
        remark(&format!("sekisho {} judges; data in {}", env!("CARGO_PKG_VERSION"), data.display()));
        remark(&format!("{collected} sources are collected; the API is on http://{address}/api/v1/status"));
    }
    node.wait(&stop);
    let ended_by_itself = !stop.load(Ordering::Acquire);
    if !ended_by_itself {
        let seconds = STOP_WITHIN.as_secs();
        remark(&format!(
            "stops once what came in has flowed through, after {seconds} s at most; a second signal ends it at once"
        ));
    }
    node.stop().map_err(|error| refused(&error))?;
    if ended_by_itself {
        return Err(CliError::environment("a part of the node ended by itself; its message is above"));
    }
    Ok(Status::Done)
}

/// Reads everything that a node is started with.
pub(super) fn given(sources: &Sources, data: Option<PathBuf>) -> Result<Given, CliError> {
    let loaded = sources.load();
    if !loaded.faults.is_empty() {
        return Err(CliError::from(&loaded.faults));
    }
    let build = |config: &Config, keep| Catalog::build(config, &loaded.files, keep).map(Arc::new);
    let judging = build(&loaded.config, KeepExtras::Named).map_err(|faults| CliError::from(&faults))?;
    let reading = build(&loaded.config, KeepExtras::All).map_err(|faults| CliError::from(&faults))?;
    let text = CatalogText::of(&loaded.config, &loaded.files);
    let data = data.unwrap_or_else(|| PathBuf::from(&loaded.config.data));
    let tell: Tell = Arc::new(complain);
    let steps = Steps::read(|name| std::env::var(name).ok()).map_err(CliError::fault)?;
    Ok(Given { config: loaded.config, judging, reading, text, data, tell, steps, roles: Roles::ALL })
}

/// What keeps a node from starting or going on is the environment's, other than what files say.
pub(super) fn refused(error: &NodeError) -> CliError {
    match error {
        NodeError::Catalog(_) => CliError::fault(error.to_string()),
        NodeError::Journal(_)
        | NodeError::Entry { .. }
        | NodeError::NoCatalog(_)
        | NodeError::Index(_)
        | NodeError::Server(_)
        | NodeError::Collect(_)
        | NodeError::Environment { .. } => CliError::environment(error.to_string()),
    }
}
