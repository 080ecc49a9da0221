//! `sekisho pipelines`: how logs are read, listed, shown, written out. I/O.

use serde_json::{Value, json};

use crate::catalog::{KeepExtras, Pipeline, built_in};
use crate::decode::DecoderSettings;

use super::export;
use super::load::Sources;
use super::output::{Format, Output};
use super::rules::source;
use super::{CliError, Status};

/// What follows `sekisho pipelines`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho pipelines list
  sekisho pipelines show nginx
  sekisho pipelines export my-pipelines/")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all pipelines
    #[command(after_help = "Examples:
  sekisho pipelines list
  sekisho pipelines list --add-pipelines my.yml -o json")]
    List(List),
    /// Print the file of one pipeline
    #[command(after_help = "Example:
  sekisho pipelines show nginx")]
    Show(Show),
    /// Write the built-in pipelines to a folder
    #[command(after_help = "Example:
  sekisho pipelines export ./pipelines")]
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
    /// Its name
    #[arg(value_name = "PIPELINE")]
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
        Command::Export(arguments) => export::run(arguments, "pipelines", &built_in().pipelines)?,
    }
    Ok(Status::Done)
}

fn run_list(list: &List) -> Result<(), CliError> {
    let (_, catalog) = list.sources.catalog(KeepExtras::Named)?;
    let mut out = Output::stdout();
    match list.output {
        Format::Json => out.json(&catalog.pipelines.iter().map(summary).collect::<Vec<Value>>())?,
        Format::Table => {
            let rows: Vec<[String; 4]> = catalog.pipelines.iter().map(row).collect();
            out.table(["NAME", "DATASET", "DECODERS", "DESCRIPTION"], &rows)?;
        }
    }
    out.finish()
}

fn run_show(show: &Show) -> Result<(), CliError> {
    let loaded = show.sources.load();
    let files = loaded.files.pipelines.clone();
    let (_, catalog) = loaded.build(KeepExtras::Named).map_err(|faults| CliError::from(&faults))?;
    let pipeline = catalog.pipeline(catalog.pipeline_or_fault(&show.name).map_err(CliError::fault)?);
    let mut out = Output::stdout();
    match show.output {
        Format::Json => out.json(&summary(pipeline))?,
        Format::Table => {
            let file = files.iter().find(|file| file.path == pipeline.path);
            out.text(file.map(|file| file.text.as_str()).unwrap_or_default())?;
        }
    }
    out.finish()
}

fn row(pipeline: &Pipeline) -> [String; 4] {
    let settings = &pipeline.decoder_settings;
    [pipeline.name.clone(), settings.dataset.clone(), decoders(pipeline).join(", "), pipeline.description.clone()]
}

fn decoders(pipeline: &Pipeline) -> Vec<&'static str> {
    let word = |decoder: &DecoderSettings| match decoder {
        DecoderSettings::Combined => "combined",
        DecoderSettings::Json(_) => "json",
        DecoderSettings::Syslog => "syslog",
        DecoderSettings::Modsecurity => "modsecurity",
        DecoderSettings::Suricata => "suricata",
    };
    pipeline.decoder_settings.decoders.iter().map(word).collect()
}

fn summary(pipeline: &Pipeline) -> Value {
    let settings = &pipeline.decoder_settings;
    json!({
        "name": pipeline.name,
        "description": pipeline.description,
        "path": pipeline.path,
        "dataset": settings.dataset,
        "topics": pipeline.topics,
        "decoders": decoders(pipeline),
        "logsources": pipeline.logsources.iter().map(source).collect::<Vec<String>>(),
        "zone": settings.zone.iana_name().unwrap_or("UTC"),
        "service": settings.service.default,
        "known_services": settings.service.known,
        "logins": settings.logins.len(),
        "samples": pipeline.samples.len(),
        "rules": pipeline.detections.len(),
    })
}
