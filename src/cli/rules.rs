//! `sekisho rules`: what judges, listed, shown, written out. I/O.

use serde_json::{Value, json};

use crate::catalog::{Catalog, KeepExtras, built_in};
use crate::detect::{Body, LogSource, Rule};

use super::export;
use super::load::Sources;
use super::output::{Format, Output};
use super::{CliError, Status};

/// What follows `sekisho rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho rules list
  sekisho rules show guessing_per_client
  sekisho rules export my-rules/")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all rules
    #[command(after_help = "Examples:
  sekisho rules list
  sekisho rules list --add-rules my-rules/ -o json")]
    List(List),
    /// Print the file of one rule
    #[command(after_help = "Example:
  sekisho rules show guessing_per_client")]
    Show(Show),
    /// Write the built-in rules to a folder
    #[command(after_help = "Example:
  sekisho rules export ./rules")]
    Export(export::Arguments),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    sources: Sources,
    /// How it is printed
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Name or id
    #[arg(value_name = "RULE")]
    name: String,
    #[command(flatten)]
    sources: Sources,
    /// As the file it is in, or as JSON
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::List(list) => run_list(list)?,
        Command::Show(show) => run_show(show)?,
        Command::Export(arguments) => export::run(arguments, "rules", &built_in().rules)?,
    }
    Ok(Status::Done)
}

fn run_list(list: &List) -> Result<(), CliError> {
    let (_, catalog) = list.sources.catalog(KeepExtras::Named)?;
    let mut out = Output::stdout();
    match list.output {
        Format::Json => out.json(&catalog.rules.iter().map(summary).collect::<Vec<Value>>())?,
        Format::Table => {
            let mut rows: Vec<[String; 6]> = catalog.rules.iter().map(row).collect();
            rows.sort();
            out.table(["LOGS", "NAME", "LEVEL", "SEVERITY", "ENTITY", "TITLE"], &rows)?;
        }
    }
    out.finish()
}

fn run_show(show: &Show) -> Result<(), CliError> {
    let loaded = show.sources.load();
    let files = loaded.files.rules.clone();
    let (_, catalog) = loaded.build(KeepExtras::Named).map_err(|faults| CliError::from(&faults))?;
    let Some(index) = catalog.rule_named(&show.name) else { return Err(unknown(&catalog, &show.name)) };
    let rule = &catalog.rules[usize::from(index.0)];
    let mut out = Output::stdout();
    match show.output {
        Format::Json => out.json(&summary(rule))?,
        Format::Table => {
            let file = files.iter().find(|file| file.path == rule.path);
            out.text(file.map(|file| file.text.as_str()).unwrap_or_default())?;
        }
    }
    out.finish()
}

fn unknown(catalog: &Catalog, name: &str) -> CliError {
    let names = catalog.rules.iter().map(|rule| rule.name.as_str());
    CliError::fault(match crate::document::nearest(name, names) {
        Some(near) => format!("there is no rule `{name}`; did you mean `{near}`?"),
        None => format!("there is no rule `{name}`; `sekisho rules list` shows those there are"),
    })
}

fn row(rule: &Rule) -> [String; 6] {
    [
        logs(rule),
        rule.name.clone(),
        rule.sekisho.response.level.word().to_owned(),
        rule.sekisho.severity.word().to_owned(),
        rule.sekisho.entity.word().to_owned(),
        rule.title.clone(),
    ]
}

/// The log source of a plain rule, what a correlation counts.
fn logs(rule: &Rule) -> String {
    match &rule.body {
        Body::Detection(_) => source(&rule.logsource),
        Body::Correlation(correlation) if correlation.rules.is_empty() => "(tallies)".to_owned(),
        Body::Correlation(correlation) => format!("({})", correlation.rules.join(", ")),
    }
}

/// `category/product/service`, without what is absent.
pub(super) fn source(source: &LogSource) -> String {
    let parts = [&source.category, &source.product, &source.service];
    let named: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    if named.is_empty() { "any".to_owned() } else { named.join("/") }
}

fn summary(rule: &Rule) -> Value {
    let extension = &rule.sekisho;
    json!({
        "id": rule.id,
        "name": rule.name,
        "title": rule.title,
        "description": rule.description,
        "status": rule.status,
        "version": rule.version,
        "path": rule.path,
        "line": rule.line,
        "logs": logs(rule),
        "techniques": rule.techniques(),
        "false_positives": rule.false_positives,
        "severity": extension.severity,
        "entity": extension.entity,
        "response": {
            "level": extension.response.level,
            "ttl_s": extension.response.ttl / 1_000,
            "because": extension.response.because,
        },
        "examples": { "fires": extension.examples.fires.len(), "quiet": extension.examples.quiet.len() },
    })
}
