//! `sekisho check`: compiles everything and reports every fault at once. I/O.

use std::path::PathBuf;

use serde_json::json;

use crate::catalog::{Catalog, KeepExtras};
use crate::detect::Body;
use crate::document::{Fault, Faults};

use super::load::Loaded;
use super::output::{self, Output};
use super::{CliError, Status};

/// What follows `sekisho check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho check                                 the built-in rules and pipelines
  sekisho check --config /etc/sekisho/sekisho.yaml
  sekisho check my-rules/ --format json         your rules, beside the built-in ones")]
pub(super) struct Arguments {
    /// Rules, pipelines or folders of them, checked beside the built-in ones
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How faults are written: as text to stderr, or as JSON to stdout
    #[arg(short = 'o', long, visible_alias = "output", value_enum, default_value = "text")]
    format: FaultFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FaultFormat {
    Text,
    Json,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let mut loaded = Loaded::of_config(arguments.config.as_deref());
    loaded.take_any(&arguments.paths);
    let built = loaded.build(KeepExtras::Named).map(|(_, catalog)| catalog);
    match arguments.format {
        FaultFormat::Text => text(built),
        FaultFormat::Json => json(built),
    }
}

fn text(built: Result<Catalog, Faults>) -> Result<Status, CliError> {
    let catalog = match built {
        Ok(catalog) => catalog,
        Err(faults) => {
            faults.list.iter().for_each(|fault| output::complain(&fault.to_string()));
            output::remark(&format!("{} found", counted(faults.list.len() + faults.dropped, "fault")));
            return Ok(Status::Fault);
        }
    };
    let unread = unread(&catalog);
    if !unread.is_empty() {
        output::remark(&format!("note: no pipeline has the logs of: {}", unread.join(", ")));
    }
    let mut out = Output::stdout();
    let (pipelines, rules) = (counted(catalog.pipelines.len(), "pipeline"), counted(catalog.rules.len(), "rule"));
    out.line(&format!("ok: {pipelines}, {rules}, catalog {}", catalog.hash))?;
    out.finish()?;
    Ok(Status::Done)
}

fn json(built: Result<Catalog, Faults>) -> Result<Status, CliError> {
    let mut out = Output::stdout();
    let status = match built {
        Ok(catalog) => {
            out.json(&json!({
                "faults": [],
                "dropped": 0,
                "pipelines": catalog.pipelines.len(),
                "rules": catalog.rules.len(),
                "unread_rules": unread(&catalog),
                "catalog": catalog.hash.to_string(),
            }))?;
            Status::Done
        }
        Err(faults) => {
            let list: Vec<serde_json::Value> = faults.list.iter().map(fault_json).collect();
            out.json(&json!({ "faults": list, "dropped": faults.dropped }))?;
            Status::Fault
        }
    };
    out.finish()?;
    Ok(status)
}

/// A fault with the keys that apply to it.
fn fault_json(fault: &Fault) -> serde_json::Value {
    let mut object = json!({ "path": fault.path, "message": fault.message });
    if fault.line > 0 {
        object["line"] = json!(fault.line);
        object["column"] = json!(fault.column);
        object["text"] = json!(fault.text);
    }
    if let Some(suggestion) = &fault.suggestion {
        object["suggestion"] = json!(suggestion);
    }
    object
}

/// Plain rules that no pipeline feeds: right for other logs than these, or a log source with a slip of the pen.
fn unread(catalog: &Catalog) -> Vec<&str> {
    let read = |place: usize| {
        catalog.pipelines.iter().any(|pipeline| pipeline.detections.iter().any(|index| usize::from(index.0) == place))
    };
    let plain = catalog.rules.iter().enumerate().filter(|(_, rule)| matches!(rule.body, Body::Detection(_)));
    plain.filter(|(place, _)| !read(*place)).map(|(_, rule)| rule.name.as_str()).collect()
}

/// `1 rule`, `2 rules`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
