//! `sekisho test`: runs the samples inside pipelines and the examples inside rules. I/O.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::catalog::{Catalog, KeepExtras, Pipeline};
use crate::detect::Rule;
use crate::event::RuleIndex;
use crate::fold::rehearse;

use super::check::{FaultFormat, counted};
use super::load::Loaded;
use super::output::{self, Output};
use super::{CliError, Status};

/// What follows `sekisho test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho test                      everything that is built in
  sekisho test my-rules/ssh.yml     one file of yours, beside what is built in")]
pub(super) struct Arguments {
    /// Rules, pipelines or folders of them; without any, what is built in
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How failures are written: as text to stderr, or as JSON to stdout
    #[arg(long, value_enum, default_value = "text")]
    format: FaultFormat,
}

/// What was run, and what failed.
#[derive(Debug, Default)]
struct Report {
    samples: usize,
    examples: usize,
    failures: Vec<Failure>,
}

#[derive(Debug, serde::Serialize)]
struct Failure {
    path: String,
    line: usize,
    message: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let mut loaded = Loaded::of_config(arguments.config.as_deref());
    let given = loaded.take_any(&arguments.paths);
    let built = loaded.build(KeepExtras::All);
    let catalog = Arc::new(built.map_err(|faults| CliError::from(&faults))?.1);
    let meant = |path: &str| given.is_empty() || given.iter().any(|name| name == path);
    let mut report = Report::default();
    catalog.pipelines.iter().filter(|pipeline| meant(&pipeline.path)).for_each(|pipeline| report.samples(pipeline));
    let rules = (0u16..).zip(&catalog.rules).filter(|(_, rule)| meant(&rule.path));
    rules.for_each(|(index, rule)| report.examples(&catalog, RuleIndex(index), rule));
    match arguments.format {
        FaultFormat::Text => report.text()?,
        FaultFormat::Json => report.json()?,
    }
    Ok(if report.failures.is_empty() { Status::Done } else { Status::Fault })
}

impl Report {
    fn samples(&mut self, pipeline: &Pipeline) {
        self.samples += pipeline.samples.len();
        for failure in pipeline.check_samples() {
            let (field, expected, found) = (failure.field, failure.expected, failure.found);
            let message = format!("sample of `{}`: {field} is {found}, expected {expected}", pipeline.name);
            self.failures.push(Failure { path: pipeline.path.clone(), line: failure.file_line, message });
        }
    }

    fn examples(&mut self, catalog: &Arc<Catalog>, index: RuleIndex, rule: &Rule) {
        let examples = &rule.sekisho.examples;
        let wanted = examples.fires.iter().map(|example| (example, true));
        for (example, wanted) in wanted.chain(examples.quiet.iter().map(|example| (example, false))) {
            self.examples += 1;
            let message = match (rehearse::fires(catalog, index, rule, example), wanted) {
                (Ok(fired), wanted) if fired == wanted => continue,
                (Ok(_), true) => format!("`{}` does not fire on this example", rule.name),
                (Ok(_), false) => format!("`{}` fires on this example and must stay quiet", rule.name),
                (Err(problem), _) => format!("an example of `{}` cannot be run: {problem}", rule.name),
            };
            self.failures.push(Failure { path: rule.path.clone(), line: example.line, message });
        }
    }

    fn text(&self) -> Result<(), CliError> {
        for failure in &self.failures {
            output::complain(&format!("{}:{}: {}", failure.path, failure.line, failure.message));
        }
        let mut out = Output::stdout();
        let examples = counted(self.examples, "example");
        let (samples, failed) = (counted(self.samples, "sample"), counted(self.failures.len(), "failure"));
        out.line(&format!("{samples}, {examples}, {failed}"))?;
        out.finish()
    }

    fn json(&self) -> Result<(), CliError> {
        let mut out = Output::stdout();
        out.json(&json!({ "samples": self.samples, "examples": self.examples, "failures": self.failures }))?;
        out.finish()
    }
}
