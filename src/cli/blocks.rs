//! `sekisho blocks`: what is blocked, orders to block and to lift, and each block derived again from its receipt. I/O.
//!
//! `verify` needs no node: it reads the file of a replay and the inputs it came from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::event::outcome::Block;
use crate::replay::{ReplayError, Verdict, stop_on_signal, verify};

use super::door::{Door, encoded, read_item};
use super::order;
use super::output::{Format, Output};
use super::replay::Inputs;
use super::row::{first_of, text_at};
use super::{CliError, Status};

/// A block with its evidence and spans is a few KiB; what is beyond this is no line of blocks.
const BLOCK_BYTES_MAX: u64 = 4 << 20;

/// What follows `sekisho blocks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho blocks list
  sekisho blocks add 198.51.100.7 --ttl 4h --reason 'see ticket 12'
  sekisho blocks delete 198.51.100.7               also keeps rules off it for 24 h
  sekisho blocks verify result/blocks.ndjson --pipeline nginx=access.log.gz")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what is blocked now
    List(ListArguments),
    /// Block an address or a network for a while
    Add(AddArguments),
    /// Lift the blocks of an address or a network, and keep rules off it for 24 h
    Delete(DeleteArguments),
    /// Derive each block again from its receipt and the same inputs
    #[command(after_help = "Example:
  sekisho blocks verify result/blocks.ndjson --pipeline nginx=access.log.gz

Give the inputs, --config and rules of the replay that wrote the file.
Exit status: 0 where every block verifies, 1 where one does not.")]
    Verify(VerifyArguments),
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// Also the last that ended
    #[arg(long)]
    all: bool,
    /// Only blocks that cover this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "all")]
    covers: Option<String>,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

#[derive(Debug, clap::Args)]
struct AddArguments {
    /// An address or a network; a single IPv6 address stands for its /64
    #[arg(value_name = "TARGET")]
    target: String,
    /// How long: 30m, 4h, 7d
    #[arg(long, value_name = "TIME", default_value = "4h")]
    ttl: String,
    /// Why, for the book
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

#[derive(Debug, clap::Args)]
struct DeleteArguments {
    /// An address or a network; every block that has an address in common with it ends
    #[arg(value_name = "TARGET")]
    target: String,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

#[derive(Debug, clap::Args)]
struct VerifyArguments {
    /// The blocks.ndjson of a replay
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only the block of this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    inputs: Inputs,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// The answer for programs.
#[derive(Serialize)]
struct Answer<'a> {
    verified: usize,
    failed: usize,
    catalog: String,
    blocks: &'a [Verdict],
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::List(arguments) => run_list(arguments),
        Command::Add(arguments) => run_add(arguments),
        Command::Delete(arguments) => run_delete(arguments),
        Command::Verify(arguments) => run_verify(arguments),
    }
}

fn run_list(arguments: &ListArguments) -> Result<Status, CliError> {
    let mut parameters = vec![("all", if arguments.all { "true" } else { "false" })];
    parameters.extend(arguments.covers.as_deref().map(|address| ("covers", address)));
    let mut blocks = Vec::new();
    let mut take = |item: &RawValue| read_item(item).map(|read| blocks.push(read)).map(|()| true);
    arguments.door.open()?.each("/api/v1/blocks", &parameters, (u64::MAX, "after"), &mut take)?;
    let mut out = Output::stdout();
    match arguments.output {
        Format::Json => out.json(&blocks)?,
        Format::Table => {
            let rows: Vec<_> = blocks.iter().map(listed).collect();
            out.table(["TARGET", "LEVEL", "SINCE", "UNTIL", "BY", "REASON"], &rows)?;
        }
    }
    out.finish()?;
    Ok(Status::Done)
}

fn listed(block: &Value) -> [String; 6] {
    let lifted = text_at(block, "lift.lifted_at");
    let until = first_of(block, &["expires_at"]);
    [
        first_of(block, &["target"]),
        first_of(block, &["level"]),
        first_of(block, &["issued_at"]),
        if lifted.is_empty() { until } else { format!("{lifted} (lifted)") },
        first_of(block, &["rule.name", "by", "origin"]),
        first_of(block, &["reason"]),
    ]
}

fn run_add(arguments: &AddArguments) -> Result<Status, CliError> {
    let body = json!({ "target": arguments.target, "ttl": arguments.ttl, "reason": arguments.reason });
    let answer = arguments.door.open()?.post("/api/v1/blocks", &body)?;
    let what = format!("block {} for {}", arguments.target, arguments.ttl);
    order::tell(&answer, &what, arguments.output)?;
    Ok(Status::Done)
}

fn run_delete(arguments: &DeleteArguments) -> Result<Status, CliError> {
    let answer = arguments.door.open()?.delete(&format!("/api/v1/blocks/{}", encoded(&arguments.target)))?;
    order::tell(&answer, &format!("lift {}", arguments.target), arguments.output)?;
    Ok(Status::Done)
}

fn run_verify(arguments: &VerifyArguments) -> Result<Status, CliError> {
    let mut blocks = read(&arguments.file)?;
    if let Some(id) = &arguments.id {
        blocks.retain(|block| block.id == *id);
        if blocks.is_empty() {
            let what = format!("holds no block {id}");
            return Err(
                ReplayError::input(&arguments.file.display().to_string(), what, "leave out --id for all").into()
            );
        }
    }
    let catalog = arguments.inputs.catalog(false)?;
    let stop = stop_on_signal()?;
    let verdicts = verify(&blocks, &arguments.inputs.request(false), &catalog, &stop)?;
    let verified = verdicts.iter().filter(|verdict| verdict.verified).count();
    let failed = verdicts.len() - verified;
    let mut out = Output::stdout();
    match arguments.output {
        Format::Table => human(&verdicts, verified, &mut out)?,
        Format::Json => out.json(&Answer { verified, failed, catalog: catalog.hash.to_string(), blocks: &verdicts })?,
    }
    out.finish()?;
    Ok(if failed == 0 { Status::Done } else { Status::Fault })
}

fn human(verdicts: &[Verdict], verified: usize, out: &mut Output) -> Result<(), CliError> {
    for verdict in verdicts {
        let word = if verdict.verified { "verified" } else { "DIFFERS" };
        let rule = verdict.rule.as_deref().unwrap_or("no rule");
        out.line(&format!("{word:8}  {}  {}  {rule}", verdict.id, verdict.target))?;
        verdict.remarks.iter().try_for_each(|remark| out.line(&format!("          {remark}")))?;
    }
    out.line(&format!("{verified} of {} blocks verified", verdicts.len()))
}

/// One block a line. Line by line, so that a file that is none is told by its first line, whatever its size.
fn read(path: &Path) -> Result<Vec<Block>, CliError> {
    let subject = path.display().to_string();
    let unread = |error: io::Error| fault(&subject, format!("cannot be read: {error}"));
    let mut file = BufReader::new(File::open(path).map_err(unread)?);
    let (mut blocks, mut line) = (Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        let read = file.by_ref().take(BLOCK_BYTES_MAX + 1).read_until(b'\n', &mut line).map_err(unread)?;
        let subject = format!("{subject}:{number}");
        if read == 0 {
            break;
        } else if read as u64 > BLOCK_BYTES_MAX {
            return Err(fault(&subject, format!("is no block: the line is longer than {BLOCK_BYTES_MAX} bytes")));
        } else if !line.trim_ascii().is_empty() {
            let block = serde_json::from_slice(&line);
            blocks.push(block.map_err(|error| fault(&subject, format!("is no block: {error}")))?);
        }
    }
    Ok(blocks)
}

fn fault(subject: &str, what: String) -> CliError {
    ReplayError::input(subject, what, "name the blocks.ndjson of a replay").into()
}
