//! `sekisho status`: how the node stands. I/O.
//!
//! Shows whatever the node tells, so a node that tells more is not cut short. Exit status 3 where it is not ready.

use serde_json::Value;

use super::door::Door;
use super::output::{Format, Output};
use super::row::text_at;
use super::{CliError, Status};

/// What follows `sekisho status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho status
  sekisho status --config /etc/sekisho/sekisho.yaml -o json

Exit status: 0 where the node is ready, 3 where it is not or does not answer.")]
pub(super) struct Arguments {
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    door: Door,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let status: Value = arguments.door.open()?.get("/api/v1/status", &[])?;
    let ready = status.get("ready").and_then(Value::as_bool).unwrap_or(false);
    let mut out = Output::stdout();
    match arguments.output {
        Format::Json => out.json(&status)?,
        Format::Table => human(&status, ready, &mut out)?,
    }
    out.finish()?;
    Ok(if ready { Status::Done } else { Status::Environment })
}

fn human(status: &Value, ready: bool, out: &mut Output) -> Result<(), CliError> {
    let word = if ready { "ready" } else { "NOT READY" };
    out.line(&format!("sekisho {}: {word} at {}", text_at(status, "version"), text_at(status, "now")))?;
    for check in status["checks"].as_array().into_iter().flatten() {
        let word = if check["ok"].as_bool() == Some(true) { "ok" } else { "FAILS" };
        out.line(format!("  {word:5} {} {}", text_at(check, "name"), text_at(check, "detail")).trim_end())?;
    }
    let Some(parts) = status.as_object() else { return Ok(()) };
    for (name, value) in parts {
        if !["version", "now", "ready", "checks"].contains(&name.as_str()) {
            part(name, value, out)?;
        }
    }
    Ok(())
}

/// One part of the node in a line, and each of a list of them.
fn part(name: &str, value: &Value, out: &mut Output) -> Result<(), CliError> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| part(name, item, out)),
        Value::Object(_) => {
            let mut words = Vec::new();
            flattened("", value, &mut words);
            out.line(&format!("{name:<8} {}", words.join("  ")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.line(&format!("{name:<8} {}", plain(value)))
        }
    }
}

fn flattened(path: &str, value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Object(parts) => {
            for (name, value) in parts {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flattened(&path, value, words);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            words.push(format!("{path}={}", plain(value)));
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
