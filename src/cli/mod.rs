//! One file per subcommand, each with `Arguments` and `run`; here only the way to them. I/O.
//!
//! Data goes to stdout, messages to stderr, and the exit status is one of [`Status`]. Text that others wrote passes
//! [`output::visible`] before it reaches a terminal.
#![expect(clippy::disallowed_methods, reason = "the command line reads files, the environment and the terminal")]

mod alerts;
mod allow;
mod audit;
mod blocks;
mod check;
mod config;
mod decode;
mod demo;
mod door;
mod error;
mod export;
mod index;
mod journal;
mod keys;
mod load;
mod order;
pub mod output;
mod pipelines;
mod replay;
mod row;
mod rules;
mod run;
mod search;
mod status;
mod tail;
mod test;
mod topics;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::{CliError, Status};
pub use load::{Loaded, Sources};

/// What follows `sekisho`.
#[derive(Debug, Parser)]
#[command(
    name = "sekisho",
    version,
    about = "Reads access, login, WAF and IDS logs, finds attacks, and blocks with receipts that replay",
    after_help = "Exit status: 0 done; 1 input or configuration at fault; 2 usage; 3 environment at fault; 130 interrupted.",
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node: collect, judge, search and block, until told to stop
    Run(run::Arguments),
    /// Find events that the node has seen
    Search(search::Arguments),
    /// Watch events as they come in
    Tail(tail::Arguments),
    /// Show how the node stands
    Status(status::Arguments),
    /// Show alerts, and what they rest on
    Alerts(alerts::Arguments),
    /// Show, order, lift and verify blocks
    Blocks(blocks::Arguments),
    /// Show and change who is never blocked
    Allow(allow::Arguments),
    /// Make, list and take away API keys
    Keys(keys::Arguments),
    /// Look at the log of a data directory, check it, repair it
    Journal(journal::Arguments),
    /// Check the index of a data directory, or make it again from the journal
    Index(index::Arguments),
    /// Prove from the journal that every record was judged once and every outcome follows
    Audit(audit::Arguments),
    /// Make and check the topics of a Kafka cluster
    Topics(topics::Arguments),
    /// Judge logs from files: alerts, blocks, lifts and incidents as files
    Replay(replay::Arguments),
    /// Show the events that a pipeline makes of the lines on stdin
    Decode(decode::Arguments),
    /// Check configuration, pipelines and rules; report every fault at once
    Check(check::Arguments),
    /// Run the samples inside pipelines and the examples inside rules
    Test(test::Arguments),
    /// List, show or write out rules
    Rules(rules::Arguments),
    /// List, show or write out pipelines
    Pipelines(pipelines::Arguments),
    /// Show the configuration that results, each value with its origin
    Config(config::Arguments),
    /// Watch a generated day of a small company being judged
    Demo(demo::Arguments),
}

/// Runs the command of this process's command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { Status::Usage } else { Status::Done };
            // Nothing better can be done when the terminal cannot be written to.
            let _ = error.print();
            return status.into();
        }
    };
    match run(cli.command) {
        Ok(status) => status.into(),
        Err(error) => error.report().into(),
    }
}

fn run(command: Command) -> Result<Status, CliError> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Search(arguments) => search::run(&arguments),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Alerts(arguments) => alerts::run(&arguments),
        Command::Allow(arguments) => allow::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Index(arguments) => index::run(&arguments),
        Command::Journal(arguments) => journal::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Topics(arguments) => topics::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Blocks(arguments) => blocks::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Rules(arguments) => rules::run(&arguments),
        Command::Pipelines(arguments) => pipelines::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
}
