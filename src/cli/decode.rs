//! `sekisho decode`: lines on stdin → one ECS event each on stdout, flaws included. I/O.
//!
//! Line by line, so that it can stand at the end of `tail -f`. Deliberately without rules: it shows what they would see.

use std::io::{self, BufRead, Read, Write};

use bumpalo::Bump;

use crate::catalog::KeepExtras;
use crate::decode;
use crate::event::{Envelope, Input, LINE_BYTES_MAX, Layout, Place, Time, document};
use crate::replay::ReplayError;

use super::load::Sources;
use super::{CliError, Status};

/// Shows the events that a pipeline makes of the lines on stdin
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho decode --pipeline nginx < access.log
  tail -f /var/log/auth.log | sekisho decode --pipeline sshd --flat")]
pub(super) struct Arguments {
    /// The pipeline, as `sekisho pipelines list` names it
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// Dotted keys instead of nested objects
    #[arg(long)]
    flat: bool,
    /// About when the lines were written, for times without a year; without it, now
    #[arg(long, value_name = "TIME", value_parser = super::replay::parse_time)]
    at: Option<Time>,
    #[command(flatten)]
    sources: Sources,
}

/// Decodes stdin to its end.
///
/// # Errors
/// An unknown pipeline, a fault in a file, or a stream that breaks.
pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let (_, catalog) = arguments.sources.catalog(KeepExtras::All)?;
    let index = catalog.pipeline_named(&arguments.pipeline);
    let index = index.ok_or_else(|| ReplayError::unknown_pipeline(&arguments.pipeline, &catalog))?;
    let pipeline = catalog.pipeline(index);
    let layout = if arguments.flat { Layout::Flat } else { Layout::Nested };
    let input = Input { topic: pipeline.name.clone(), partition: 0 };
    let reference = arguments.at.unwrap_or_else(now);
    let mut cache = pipeline.enricher.cache();
    let mut arena = Bump::new();
    let mut out = Vec::new();
    each_line(&mut |offset, line| {
        arena.reset();
        out.clear();
        let several = decode::items(line).nth(1).is_some();
        for (number, item) in (0..).zip(decode::items(line)) {
            let mut event = pipeline.decoder.decode(item, reference, &arena);
            pipeline.enricher.enrich(&mut event, &mut cache);
            let position = input.position(Place { offset, item: several.then_some(number) });
            let envelope = Envelope { pipeline: &pipeline.name, position: &position };
            document(&event, &envelope, layout).write(None, &[], &mut out);
            out.push(b'\n');
        }
        io::stdout().lock().write_all(&out)
    })?;
    Ok(Status::Done)
}

/// Hands over each line of stdin as soon as it is there, cut a byte beyond the limit, as replay does.
fn each_line(take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> Result<(), CliError> {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    for offset in 0.. {
        line.clear();
        let read = stdin.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|error| CliError::fault(format!("stdin: cannot be read: {error}")))?;
        if read == 0 {
            break;
        }
        if line.pop_if(|last| *last == b'\n').is_none() && read > LINE_BYTES_MAX {
            skip_line(&mut stdin)?;
        }
        line.pop_if(|last| *last == b'\r');
        take(offset, &line).map_err(|error| CliError::of_stdout(&error))?;
    }
    Ok(())
}

/// Reads over the rest of a line without keeping it.
fn skip_line(stdin: &mut impl BufRead) -> Result<(), CliError> {
    stdin.skip_until(b'\n').map(|_| ()).map_err(|error| CliError::fault(format!("stdin: cannot be read: {error}")))
}

#[expect(clippy::disallowed_methods, reason = "lines that come in now were written about now")]
fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(0).plus(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
