//! `sekisho blocks verify`: each block derived again from its receipt and the inputs it came from. I/O.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::event::outcome::Block;
use crate::replay::{ReplayError, Verdict, stop_on_signal, verify};

use super::output::{Format, Output};
use super::replay::Inputs;
use super::{CliError, Status};

/// A block with its evidence and spans is a few KiB; what is beyond this is no line of blocks.
const BLOCK_BYTES_MAX: u64 = 4 << 20;

/// What follows `sekisho blocks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  sekisho blocks verify result/blocks.ndjson --pipeline nginx=access.log.gz")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Derive each block again from its receipt and the same inputs
    #[command(after_help = "Example:
  sekisho blocks verify result/blocks.ndjson --pipeline nginx=access.log.gz

Give the inputs, --config and rules of the replay that wrote the file.
Exit status: 0 where every block verifies, 1 where one does not.")]
    Verify(VerifyArguments),
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
        Command::Verify(arguments) => run_verify(arguments),
    }
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
