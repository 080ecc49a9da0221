//! `sekisho allow`: who is never blocked, whatever rules say. I/O.

use serde_json::{Value, json};

use super::door::{Door, encoded, read_item};
use super::order;
use super::output::{Format, Output};
use super::row::{first_of, text_at};
use super::{CliError, Status};

/// What follows `sekisho allow`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho allow add 198.51.100.0/24 2001:db8::/48 --reason 'our offices'
  sekisho allow check 198.51.100.7
  sekisho allow remove 198.51.100.0/24")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the networks that are never blocked, from orders and from the settings
    List(List),
    /// Never block these networks; blocks of theirs end at once
    Add(Add),
    /// Take a network off the list; what the settings protect is changed there
    Remove(Remove),
    /// Tell whether an address or network is covered, and by what; exit status 1 where it is not
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Addresses or networks
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
    /// Why, for the book
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// The network, as the list shows it
    #[arg(value_name = "NETWORK")]
    network: String,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
struct Check {
    /// An address or a network
    #[arg(value_name = "ADDRESS")]
    address: String,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
struct Shared {
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::List(list) => run_list(&list.shared),
        Command::Add(add) => run_add(add),
        Command::Remove(remove) => run_remove(remove),
        Command::Check(check) => run_check(check),
    }
}

fn run_list(shared: &Shared) -> Result<Status, CliError> {
    let mut networks = Vec::new();
    let mut take = |item: &serde_json::value::RawValue| read_item(item).map(|read| networks.push(read)).map(|()| true);
    shared.door.open()?.each("/api/v1/allowlist", &[], (u64::MAX, "after"), &mut take)?;
    show(&networks, shared.output)?;
    Ok(Status::Done)
}

fn show(networks: &[Value], format: Format) -> Result<(), CliError> {
    let mut out = Output::stdout();
    match format {
        Format::Json => out.json(&networks)?,
        Format::Table => {
            let cells = ["network", "source", "by", "at", "reason"];
            let rows: Vec<_> = networks.iter().map(|network| cells.map(|cell| first_of(network, &[cell]))).collect();
            out.table(["NETWORK", "SOURCE", "BY", "SINCE", "REASON"], &rows)?;
        }
    }
    out.finish()
}

fn run_add(add: &Add) -> Result<Status, CliError> {
    let body = json!({ "networks": add.networks, "reason": add.reason });
    let answer = add.shared.door.open()?.post("/api/v1/allowlist", &body)?;
    order::tell(&answer, &format!("allow {}", add.networks.join(" ")), add.shared.output)?;
    Ok(Status::Done)
}

fn run_remove(remove: &Remove) -> Result<Status, CliError> {
    let answer = remove.shared.door.open()?.delete(&format!("/api/v1/allowlist/{}", encoded(&remove.network)))?;
    order::tell(&answer, &format!("no longer allow {}", remove.network), remove.shared.output)?;
    Ok(Status::Done)
}

fn run_check(check: &Check) -> Result<Status, CliError> {
    let path = format!("/api/v1/allowlist/check/{}", encoded(&check.address));
    let answer: Value = check.shared.door.open()?.get(&path, &[])?;
    let allowed = answer.get("allowed").and_then(Value::as_bool).unwrap_or(false);
    match check.shared.output {
        Format::Json => {
            let mut out = Output::stdout();
            out.json(&answer)?;
            out.finish()?;
        }
        Format::Table if allowed => show(answer["by"].as_array().map_or(&[], Vec::as_slice), Format::Table)?,
        Format::Table => {
            let mut out = Output::stdout();
            out.line(&format!("{} is not on the list: rules may block it", text_at(&answer, "target")))?;
            out.finish()?;
        }
    }
    Ok(if allowed { Status::Done } else { Status::Fault })
}
