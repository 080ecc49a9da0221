//! `sekisho tail`: events as they come in. I/O.
//!
//! Asks again and again for what came since, by position, so nothing is shown twice or left out. Deliberately without
//! going on where the node is gone: whoever watches must see that.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::replay::stop_on_signal;

use super::door::{Door, read_item};
use super::output::{Format, Output};
use super::row;
use super::{CliError, Status};

/// How long one request waits for an event: Ctrl-C is heard after it.
const WAIT: &str = "1s";
/// Events taken at a time.
const PAGE: &str = "1000";

/// What follows `sekisho tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho tail
  sekisho tail 'http.response.status_code:>=500'
  sekisho tail 'client.ip:203.0.113.9' -o json | jq .url.path

Ends with Ctrl-C, with exit status 130.")]
pub(super) struct Arguments {
    /// What events must fulfil; everything where it is left out
    #[arg(value_name = "QUERY", default_value = "*")]
    query: String,
    /// A line or a JSON document for each event
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Box<RawValue>>,
    next: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let node = arguments.door.open()?;
    let stop = stop_on_signal()?;
    let mut out = Output::stdout();
    let mut after: Option<String> = None;
    while !stop.load(Ordering::Relaxed) {
        // The first request only says where the events to come begin.
        let wait = if after.is_some() { WAIT } else { "1ms" };
        let mut parameters = vec![("query", arguments.query.as_str()), ("limit", PAGE), ("wait", wait)];
        parameters.extend(after.as_deref().map(|after| ("after", after)));
        let page: Page = node.get("/api/v1/tail", &parameters)?;
        if after.is_none() && arguments.output == Format::Table {
            out.line(&row::heading())?;
        }
        page.events.iter().try_for_each(|event| print(arguments.output, event, &mut out))?;
        out.flush()?;
        after = Some(page.next);
    }
    out.finish()?;
    Ok(Status::Interrupted)
}

fn print(format: Format, event: &RawValue, out: &mut Output) -> Result<(), CliError> {
    match format {
        Format::Json => out.json_text(event.get()),
        Format::Table => out.line(&row::line_of(&read_item(event)?)),
    }
}
