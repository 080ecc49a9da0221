//! `sekisho blocks verify`: each block derived again from its receipt and the inputs it came from. I/O.

use std::path::PathBuf;

use serde::Serialize;

use crate::event::outcome::Block;
use crate::replay::{ReplayError, Verdict, stop_on_signal, verify};

use super::output::{Format, Output};
use super::replay::Inputs;
use super::{CliError, Status};

/// What follows `sekisho blocks`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Derive each block again from its receipt and the same inputs
    #[command(after_help = "Example:
  sekisho blocks verify result/blocks.ndjson --pipeline nginx=access.log.gz

Give the inputs, --config and rules of the replay that wrote the file. Exit status 0 where every block verifies, 1 where
one does not.")]
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

/// One block a line.
fn read(path: &PathBuf) -> Result<Vec<Block>, CliError> {
    let subject = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        ReplayError::input(&subject, format!("cannot be read: {error}"), "name the blocks.ndjson of a replay")
    })?;
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str::<Block>(line).map_err(|error| {
            let subject = format!("{subject}:{number}");
            CliError::from(ReplayError::input(
                &subject,
                format!("is no block: {error}"),
                "name the blocks.ndjson of a replay",
            ))
        })
    };
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}
