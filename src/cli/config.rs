//! `sekisho config`: the configuration that results. I/O.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::load::Loaded;
use super::output::Output;
use super::{CliError, Status};

/// What follows `sekisho config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  sekisho config show --config sekisho.yaml")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print every setting with its origin: default, file and line, or environment
    #[command(after_help = "Examples:
  sekisho config show                          the defaults, as a file to start from
  sekisho config show --config sekisho.yaml -o json")]
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How it is printed
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let Command::Show(show) = &arguments.command;
    let loaded = Loaded::of_config(show.config.as_deref());
    if !loaded.faults.is_empty() {
        return Err(CliError::from(&loaded.faults));
    }
    let mut out = Output::stdout();
    match show.output {
        Format::Yaml => out.text(&loaded.config.to_yaml())?,
        Format::Json => {
            let settings = loaded.config.settings();
            let value = |s: &crate::config::Setting| json!({ "value": s.value, "origin": s.origin.to_string() });
            let named = settings.iter().map(|setting| (setting.key.clone(), value(setting)));
            out.json(&Value::Object(named.collect()))?;
        }
    }
    out.finish()?;
    Ok(Status::Done)
}
