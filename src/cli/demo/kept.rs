//! The folder that a demo's day is kept in: its logs, and everything that left. I/O.
//!
//! Deliberately without a memory of what left: the node's journal is folded again for it, as `sekisho replay --journal`
//! does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::event::{Outcome, write_json};
use crate::node::recorded::Recording;

use super::super::output::Output;
use super::super::{CliError, run::refused};

/// The folder that the day is kept in. Its files bear partial names until all are whole, and go with a day that is not.
pub(super) struct Kept {
    folder: PathBuf,
    files: BTreeMap<String, BufWriter<File>>,
}

impl Kept {
    /// Takes a new folder.
    ///
    /// # Errors
    /// Where it holds something, or cannot be written to.
    pub fn new(folder: &Path) -> Result<Kept, CliError> {
        let failed = |error: std::io::Error| {
            CliError::environment(format!(
                "cannot keep the day in {}: {error}; name a folder that this user may write to",
                folder.display()
            ))
        };
        fs::create_dir_all(folder).map_err(failed)?;
        if fs::read_dir(folder).map_err(failed)?.next().is_some() {
            return Err(CliError::fault(format!("{} is not empty; name a new folder", folder.display())));
        }
        Ok(Kept { folder: folder.to_owned(), files: BTreeMap::new() })
    }

    /// Keeps a line of a log.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn line(&mut self, pipeline: &str, line: &str) -> Result<(), CliError> {
        self.write(&format!("{pipeline}.log"), line.as_bytes())
    }

    /// Keeps everything that left, incidents too.
    ///
    /// # Errors
    /// Where it cannot be written, or the journal cannot be read.
    pub fn outcomes(&mut self, mut recording: Recording) -> Result<(), CliError> {
        while let Some(folded) = recording.step().map_err(|error| refused(&error))? {
            folded.outcomes.iter().try_for_each(|outcome| self.outcome(outcome))?;
        }
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), CliError> {
        let mut json = Vec::new();
        let (name, written) = match outcome {
            Outcome::Alert(alert) => ("alerts.ndjson", write_json(alert, &mut json)),
            Outcome::Block(block) => ("blocks.ndjson", write_json(block, &mut json)),
            Outcome::Lift(lift) => ("lifts.ndjson", write_json(lift, &mut json)),
            Outcome::Incident(incident) => ("incidents.ndjson", write_json(incident, &mut json)),
            Outcome::DeadLetter(letter) => ("dead-letters.ndjson", write_json(letter, &mut json)),
        };
        written.map_err(|error| CliError::environment(format!("cannot write as JSON: {error}")))?;
        self.write(name, &json)
    }

    fn write(&mut self, name: &str, line: &[u8]) -> Result<(), CliError> {
        let path = partial(&self.folder, name);
        let failed = |error: std::io::Error| CliError::environment(format!("cannot write {}: {error}", path.display()));
        if !self.files.contains_key(name) {
            let file = File::create(&path).map_err(failed)?;
            self.files.insert(name.to_owned(), BufWriter::new(file));
        }
        match self.files.get_mut(name) {
            Some(file) => file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(failed),
            None => Ok(()),
        }
    }

    /// Closes the files, and says how to go on from here.
    ///
    /// # Errors
    /// Where a file cannot be written out.
    pub fn end(mut self, told: &mut Output) -> Result<(), CliError> {
        let folder = self.folder.display().to_string();
        let logs: Vec<String> = self.files.keys().filter(|name| name.ends_with(".log")).cloned().collect();
        let failed = |name: &str, error| CliError::environment(format!("cannot write {folder}/{name}: {error}"));
        for (name, file) in &mut self.files {
            file.flush().map_err(|error| failed(name, error))?;
        }
        while let Some((name, _)) = self.files.pop_first() {
            let renamed = fs::rename(partial(&self.folder, &name), self.folder.join(&name));
            renamed.map_err(|error| failed(&name, error))?;
        }
        let input = |log: &String| format!("--pipeline {}={folder}/{log}", log.trim_end_matches(".log"));
        let inputs = logs.iter().map(input).collect::<Vec<_>>().join(" ");
        told.line("")?;
        told.line(&format!("The day is in {folder}. Judge it again, and verify each block:"))?;
        told.line(&format!("  sekisho replay {inputs} --out {folder}/judged"))?;
        told.line(&format!("  sekisho blocks verify {folder}/judged/blocks.ndjson {inputs}"))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What cannot be removed has a name that says that it is not whole.
        self.files.keys().for_each(|name| drop(fs::remove_file(partial(&self.folder, name))));
    }
}

fn partial(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.partial"))
}
