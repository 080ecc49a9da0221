//! `sekisho search`: events that were, as a table, documents or a spreadsheet. I/O.
//!
//! Pages are asked for until enough is shown, so what comes first is seen first. Deliberately without a query language:
//! the node's index reads queries and says which character is wrong.

use serde_json::value::RawValue;

use super::door::{Door, Ended, read_item};
use super::output::{Output, remark};
use super::row;
use super::{CliError, Status};

/// What follows `sekisho search`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho search 'client.ip:203.0.113.0/24 AND http.response.status_code:>=500' --since 1h
  sekisho search 'url.path:*admin* AND NOT user_agent.original:curl*' --limit 20
  sekisho search '_exists_:user.name' --from 2026-11-23T17:00:00Z --to 2026-11-23T18:00:00Z -o json
  sekisho search 'event.outcome:failure' --since 7d --limit 100000 -o csv > failures.csv

Words without a field are looked for in targets and agents.
Exit status: 0 also where nothing is found.")]
pub(super) struct Arguments {
    /// What events must fulfil; everything where it is left out
    #[arg(value_name = "QUERY", default_value = "*")]
    query: String,
    /// Only events of so long until now: 1h, 7d
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    since: Option<String>,
    /// Only events from then on: 2026-11-23T17:00:00Z, or how long ago
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events before then
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How many events are shown at most
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    limit: u64,
    /// Which come first
    #[arg(long, value_enum, default_value = "newest")]
    sort: Sort,
    /// With -o json: fields as names with dots, not as objects in objects
    #[arg(long)]
    flat: bool,
    /// A line, a JSON document, or a record of CSV for each event
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    Newest,
    Oldest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let node = arguments.door.open()?;
    let mut out = Output::stdout();
    let mut begun = false;
    let mut show = |document: &RawValue| {
        if !std::mem::replace(&mut begun, true) {
            begin(arguments.output, &mut out)?;
        }
        print(arguments.output, document, &mut out)?;
        Ok(true)
    };
    let ended = node.each("/api/v1/search", &parameters(arguments), (arguments.limit, "search_after"), &mut show)?;
    // A spreadsheet without events still has its columns.
    if !begun && arguments.output == Format::Csv {
        begin(Format::Csv, &mut out)?;
    }
    out.finish()?;
    if arguments.output == Format::Table {
        summarize(ended);
    }
    Ok(Status::Done)
}

fn parameters(arguments: &Arguments) -> Vec<(&str, &str)> {
    let sort = match arguments.sort {
        Sort::Newest => "newest",
        Sort::Oldest => "oldest",
    };
    let flat = arguments.flat && arguments.output == Format::Json;
    let mut parameters = vec![("query", arguments.query.as_str()), ("sort", sort)];
    parameters.push(("layout", if flat { "flat" } else { "nested" }));
    parameters.extend(arguments.since.as_deref().or(arguments.from.as_deref()).map(|from| ("from", from)));
    parameters.extend(arguments.to.as_deref().map(|to| ("to", to)));
    parameters
}

fn begin(format: Format, out: &mut Output) -> Result<(), CliError> {
    match format {
        Format::Table => out.line(&row::heading()),
        Format::Csv => out.line(&row::CSV_COLUMNS.join(",")),
        Format::Json => Ok(()),
    }
}

fn print(format: Format, document: &RawValue, out: &mut Output) -> Result<(), CliError> {
    match format {
        Format::Json => out.json_text(document.get()),
        Format::Table => out.line(&row::line_of(&read_item(document)?)),
        Format::Csv => out.line(&row::csv_of(&read_item(document)?)),
    }
}

fn summarize(ended: Ended) {
    let Ended { shown, total, more } = ended;
    let total = total.unwrap_or(shown);
    match (total, more) {
        (0, _) => remark("no event fits; --since and the query say where it was looked"),
        (_, true) => remark(&format!("{shown} of {total} events; --limit shows more")),
        (_, false) => remark(&format!("{shown} of {total} events")),
    }
}
