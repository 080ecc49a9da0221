//! `sekisho alerts`: what was concluded, and the lines it rests on. I/O.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::document::parse_duration;
use crate::node::start::now;

use super::door::{Door, Node, encoded, read_item};
use super::output::{Format, Output, remark};
use super::row::{first_of, text_at};
use super::{CliError, Status};

/// What follows `sekisho alerts`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho alerts list --since 1h --severity major
  sekisho alerts list --entity 203.0.113.9 -o json
  sekisho alerts show 5b0bf0951586a625141a7ee8fd45727d")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the newest alerts
    List(List),
    /// Show one alert with the lines it rests on
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only of so long until now: 1h, 7d
    #[arg(long, value_name = "TIME", value_parser = length)]
    since: Option<i64>,
    /// Only of this severity: minor, moderate, major, critical
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<String>,
    /// Only of this rule, by its id or name
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only about this client, account or service
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// How many alerts are shown at most
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    limit: u64,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The alert's id, as the list shows it
    #[arg(value_name = "ID")]
    id: String,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::List(list) => run_list(list),
        Command::Show(show) => run_show(show),
    }
}

fn length(text: &str) -> Result<i64, String> {
    parse_duration(text).filter(|length| *length > 0).ok_or_else(|| "not a length of time such as 1h or 7d".to_owned())
}

fn run_list(list: &List) -> Result<Status, CliError> {
    let since = list.since.map(|length| now().plus(-length).to_string());
    let asked = [("severity", &list.severity), ("rule", &list.rule), ("entity", &list.entity), ("from", &since)];
    let parameters: Vec<_> = asked.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let mut alerts = Vec::new();
    let mut take = |item: &RawValue| read_item(item).map(|alert| alerts.push(alert)).map(|()| true);
    let ended = list.door.open()?.each("/api/v1/alerts", &parameters, (list.limit, "after"), &mut take)?;
    let mut out = Output::stdout();
    match list.output {
        Format::Json => out.json(&alerts)?,
        Format::Table => {
            let rows: Vec<_> = alerts.iter().map(listed).collect();
            out.table(["TIME", "SEVERITY", "RULE", "ABOUT", "RESPONSE", "ID"], &rows)?;
        }
    }
    out.finish()?;
    if ended.more && list.output == Format::Table {
        remark(&format!("the newest {}; --limit shows more", ended.shown));
    }
    Ok(Status::Done)
}

fn listed(alert: &Value) -> [String; 6] {
    [
        first_of(alert, &["@timestamp"]),
        first_of(alert, &["sekisho.severity"]),
        first_of(alert, &["rule.name"]),
        first_of(alert, &["sekisho.entity.value"]),
        response(alert),
        first_of(alert, &["event.id"]),
    ]
}

fn response(alert: &Value) -> String {
    let [level, result, reason] =
        ["level", "result", "reason"].map(|part| text_at(alert, &format!("sekisho.response.{part}")));
    match (level.is_empty(), reason.is_empty()) {
        (true, _) => "-".to_owned(),
        (false, true) => format!("{level} {result}"),
        (false, false) => format!("{level} {result}: {reason}"),
    }
}

fn run_show(show: &Show) -> Result<Status, CliError> {
    let node = show.door.open()?;
    let alert: Value = node.get(&format!("/api/v1/alerts/{}", encoded(&show.id)), &[])?;
    let mut out = Output::stdout();
    match show.output {
        Format::Json => out.json(&alert)?,
        Format::Table => explain(&node, &alert, &mut out)?,
    }
    out.finish()?;
    Ok(Status::Done)
}

fn explain(node: &Node, alert: &Value, out: &mut Output) -> Result<(), CliError> {
    out.line(&text_at(alert, "message"))?;
    for (name, value) in [
        ("id", text_at(alert, "event.id")),
        ("time", text_at(alert, "@timestamp")),
        ("severity", text_at(alert, "sekisho.severity")),
        ("rule", format!("{} ({})", text_at(alert, "rule.name"), text_at(alert, "rule.id"))),
        ("response", response(alert)),
        ("incident", text_at(alert, "sekisho.incident")),
        ("evidence", format!("{} events, of which", first_of(alert, &["sekisho.evidence_total"]))),
    ] {
        out.line(&format!("  {name:<9} {value}"))?;
    }
    let evidence = alert.pointer("/sekisho/evidence").and_then(Value::as_array);
    evidence.into_iter().flatten().try_for_each(|position| out.line(&format!("    {}", line_at(node, position))))
}

/// The line at a position; what the node says where it holds none any more.
fn line_at(node: &Node, position: &Value) -> String {
    let parts = ["topic", "partition", "offset", "item"].map(|part| text_at(position, part));
    let place = parts.iter().filter(|part| !part.is_empty()).map(|part| encoded(part)).collect::<Vec<_>>().join("/");
    let found: Result<Value, CliError> = node.get(&format!("/api/v1/events/{place}"), &[]);
    let line = found.map_or_else(|error| error.message, |event| first_of(&event, &["event.original", "message"]));
    format!("{place}  {line}")
}
