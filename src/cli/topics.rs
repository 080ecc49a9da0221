//! `sekisho topics`: the topics of a cluster, made and checked. I/O.
//!
//! Deliberately without changing or deleting one that is there: what is wrong is said, with the command that mends it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::Journal;
use crate::journal::JournalError;
use crate::journal::kafka::topics::{Finding, Made, Topic, Topics, needed};
use crate::node::{cluster, start};

use super::output::{Format, Output};
use super::run::given;
use super::{CliError, Sources, Status};

/// Partitions of a raw topic: as many processes can share it, and more cost little.
const PARTITIONS: u32 = 8;

/// What follows `sekisho topics`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho topics create --config /etc/sekisho/sekisho.yaml
  sekisho topics create --config sekisho.yaml --partitions 24
  sekisho topics check --config sekisho.yaml -o json | jq '.[] | select(.fault)'")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the topics that are missing, then check all
    Create(Create),
    /// Say what is wrong with the topics; exit status 1 where Sekisho cannot work with one
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Partitions of each topic that a pipeline reads
    #[arg(long, value_name = "N", default_value_t = PARTITIONS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    #[command(flatten)]
    check: Check,
}

#[derive(Debug, clap::Args)]
struct Check {
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    sources: Sources,
}

/// Makes or checks them.
pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::Create(create) => {
            let (topics, wanted) = opened(&create.check.sources, create.partitions)?;
            let made = topics.create(&wanted).map_err(|error| failed(&error))?;
            let found = topics.check(&wanted).map_err(|error| failed(&error))?;
            tell(create.check.output, &made, &found)
        }
        Command::Check(check) => {
            let (topics, wanted) = opened(&check.sources, PARTITIONS)?;
            let found = topics.check(&wanted).map_err(|error| failed(&error))?;
            tell(check.output, &[], &found)
        }
    }
}

/// The cluster that the configuration names, and the topics that it needs.
fn opened(sources: &Sources, partitions: u32) -> Result<(Topics, Vec<Topic>), CliError> {
    let given = given(sources, None)?;
    let Journal::Kafka(kafka) = &given.config.journal else {
        return Err(CliError::fault(
            "the configuration names no cluster\n  = write `journal: { kafka: { brokers: [\"host:9092\"] } }`, and name the file \
             with --config",
        ));
    };
    let pipelines = given.judging.pipelines.iter().map(|pipeline| (pipeline.name.as_str(), &pipeline.topics[..]));
    let clock = Arc::new(start::now) as _;
    // What goes wrong is in the one error that ends it.
    let settings = cluster::settings(kafka, "topics".to_owned(), &clock, &(Arc::new(|_: &str| {}) as _));
    let topics = Topics::new(&settings).map_err(|error| CliError::fault(error.to_string()))?;
    Ok((topics, needed(pipelines, partitions)))
}

fn failed(error: &JournalError) -> CliError {
    CliError::environment(error.to_string())
}

fn tell(format: Format, made: &[(String, Made)], found: &[Finding]) -> Result<Status, CliError> {
    let mut out = Output::stdout();
    match format {
        Format::Json if made.is_empty() => out.json(&found.iter().map(finding_json).collect::<Vec<_>>())?,
        Format::Json => {
            let made: Vec<_> = made.iter().map(|(topic, made)| json!({ "topic": topic, "made": word(made) })).collect();
            out.json(&json!({ "made": made, "found": found.iter().map(finding_json).collect::<Vec<_>>() }))?;
        }
        Format::Table => {
            made.iter().try_for_each(|(topic, made)| out.line(&format!("{topic}: {}", word(made))))?;
            for Finding { topic, fault, what, advice } in found {
                let kind = if *fault { "error" } else { "advice" };
                out.line(&format!("{kind}: {topic}: {what}"))?;
                out.line(&format!("  = {advice}"))?;
            }
            if found.is_empty() {
                out.line("every topic is as it must be")?;
            }
        }
    }
    out.finish()?;
    let failed = made.iter().any(|(_, made)| matches!(made, Made::Failed(_)));
    if failed || found.iter().any(|finding| finding.fault) { Ok(Status::Fault) } else { Ok(Status::Done) }
}

fn word(made: &Made) -> String {
    match made {
        Made::Created => "created".to_owned(),
        Made::Existed => "was there".to_owned(),
        Made::Failed(why) => format!("could not be made: {why}"),
    }
}

fn finding_json(finding: &Finding) -> Value {
    let Finding { topic, fault, what, advice } = finding;
    json!({ "topic": topic, "fault": fault, "what": what, "advice": advice })
}
