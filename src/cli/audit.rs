//! `sekisho audit`: whether every outcome follows from every record, proved from the journal alone. I/O.
//!
//! An embedded journal is audited while its node is stopped, a cluster at any time. Deliberately without any trust in
//! positions or counters: the packs and the fold are what counts.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::Journal;
use crate::journal::embedded::{Embedded, FOLDER, Settings};
use crate::journal::kafka::Kafka;
use crate::node::audit::{Audit, Audited, Compared, audit};
use crate::node::{cluster, decide, start};

use super::output::{Format, Output, complain, remark};
use super::run::{given, refused};
use super::{CliError, Sources, Status};

/// What follows `sekisho audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho audit --config /etc/sekisho/sekisho.yaml           a cluster, or the data directory of a stopped node
  sekisho audit --data ./data -o json | jq .holds

Exit status 1 where a record was judged twice or not at all, or where an outcome does not follow from the records.")]
pub(super) struct Arguments {
    /// The data directory of a stopped node; `data` of the configuration otherwise
    #[arg(long, value_name = "DIR")]
    data: Option<std::path::PathBuf>,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    sources: Sources,
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    let given = given(&arguments.sources, arguments.data.clone())?;
    let clock = Arc::new(start::now) as _;
    let done = match &given.config.journal {
        Journal::Kafka(kafka) => {
            let settings = cluster::settings(kafka, "audit".to_owned(), &clock, &(Arc::new(complain) as _));
            let journal = Arc::new(Kafka::open(settings).map_err(|error| refused(&error.into()))?);
            let decided = journal.committed(decide::STAGE, &crate::fold::signals());
            audit(&journal, decided.map_err(|error| refused(&error.into()))?.unwrap_or(0))
        }
        Journal::Embedded => {
            if !given.data.join(FOLDER).is_dir() {
                return Err(CliError::environment(format!(
                    "there is no journal in {}\n  = name the node's data directory with --data or --config",
                    given.data.display()
                )));
            }
            let journal = Embedded::open(&given.data, clock, Settings::default());
            let journal = Arc::new(journal.map_err(|error| refused(&error.into()))?);
            let decided = journal.positions(decide::STAGE).first().map_or(0, |(_, next)| *next);
            audit(&journal, decided)
        }
    };
    let found = done.map_err(|error| refused(&error))?;
    tell(arguments.output, &found)?;
    if found.blind {
        remark("what came before is gone and no state stands for it; outcomes may differ at the beginning");
    }
    Ok(if found.holds() { Status::Done } else { Status::Fault })
}

fn tell(format: Format, found: &Audit) -> Result<(), CliError> {
    let mut out = Output::stdout();
    match format {
        Format::Json => out.json(&json!({
            "holds": found.holds(), "folded": { "from": found.folded.start, "to": found.folded.end }, "blind": found.blind,
            "inputs": found.inputs.iter().map(input_json).collect::<Vec<_>>(),
            "outputs": found.outputs.iter().map(output_json).collect::<Vec<_>>(),
        }))?,
        Format::Table => {
            let inputs: Vec<_> = found.inputs.iter().map(input_row).collect();
            out.table(["INPUT", "FROM", "TO", "PACKS", "BEHIND", "FAULTS"], &inputs)?;
            out.line("")?;
            let outputs: Vec<_> = found.outputs.iter().map(output_row).collect();
            out.table(["TOPIC", "SAME", "BEFORE", "SINCE", "DIFFERS AT"], &outputs)?;
            out.line("")?;
            out.line(if found.holds() {
                "every record was judged once, and every outcome follows from them"
            } else {
                "NOT PROVED: see faults and differences above"
            })?;
        }
    }
    out.finish()
}

fn name(audited: &Audited) -> String {
    audited.input.as_ref().map(|input| format!("{}/{}", input.topic, input.partition)).unwrap_or_default()
}

fn input_row(audited: &Audited) -> [String; 6] {
    let fault =
        |(should, did): &(u64, u64)| format!("{} {should}, {did}", if did > should { "gap" } else { "overlap" });
    let faults: Vec<String> = audited.faults.iter().map(fault).collect();
    [
        name(audited),
        audited.covered.start.to_string(),
        audited.covered.end.to_string(),
        audited.packs.to_string(),
        audited.behind.to_string(),
        if faults.is_empty() { "-".to_owned() } else { faults.join("; ") },
    ]
}

fn input_json(audited: &Audited) -> Value {
    let faults = audited.faults.iter().map(|(should, did)| json!({ "expected": should, "begins": did }));
    json!({
        "input": name(audited), "from": audited.covered.start, "to": audited.covered.end, "packs": audited.packs,
        "behind": audited.behind, "faults": faults.collect::<Vec<_>>(),
    })
}

fn output_row(compared: &Compared) -> [String; 5] {
    [
        compared.topic.to_owned(),
        compared.same.to_string(),
        compared.before.to_string(),
        compared.after.to_string(),
        compared.differs_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
    ]
}

fn output_json(compared: &Compared) -> Value {
    let Compared { topic, same, before, after, differs_at } = compared;
    json!({ "topic": topic, "same": same, "before": before, "since": after, "differs_at": differs_at })
}
