//! The files a replay leaves: all of them whole, or none. I/O.
//!
//! Everything is written under `*.partial` names and renamed at the very end, `summary.json` last; whatever ends a
//! replay before that removes them. Deliberately without any time of the run in them: same input, same bytes.

#![expect(clippy::disallowed_methods, reason = "this is where results become files")]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::event::{Outcome, write_json};

use super::error::ReplayError;
use super::summary::{OutcomeCounts, Summary};

const ALERTS: &str = "alerts.ndjson";
const BLOCKS: &str = "blocks.ndjson";
const LIFTS: &str = "lifts.ndjson";
const INCIDENTS: &str = "incidents.ndjson";
const DEAD_LETTERS: &str = "dead-letters.ndjson";
const EVENTS: &str = "events.ndjson";
const SUMMARY: &str = "summary.json";
/// Every name a replay may leave, in the order they are put in place.
const NAMES: [&str; 7] = [ALERTS, BLOCKS, LIFTS, INCIDENTS, DEAD_LETTERS, EVENTS, SUMMARY];
/// How many names a refusal lists: enough to recognise the folder.
const NAMED_MAX: usize = 3;

/// The result files of a replay, being written.
pub struct Outputs {
    folder: PathBuf,
    /// Whether the folder was made for this replay: then it goes again with a failure.
    created: bool,
    finished: bool,
    alerts: PartialFile,
    blocks: PartialFile,
    lifts: PartialFile,
    incidents: PartialFile,
    dead_letters: PartialFile,
    events: Option<PartialFile>,
    counts: OutcomeCounts,
    line: Vec<u8>,
}

/// A file under its temporary name.
struct PartialFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl Outputs {
    /// Makes the folder where it is missing and starts the files; the events file only where `events` says so.
    ///
    /// # Errors
    /// [`ReplayError::Input`] where the folder holds other files and `force` is not given;
    /// [`ReplayError::Environment`] where it cannot be written to.
    pub fn create(folder: &Path, force: bool, events: bool) -> Result<Outputs, ReplayError> {
        let created = !folder.exists();
        if !created {
            admit(folder, force)?;
        }
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        // Until all files are open nothing else would remove those that are.
        let mut cleaner = Cleaner { folder, created, armed: true };
        let start = |name: &str| PartialFile::create(folder, name);
        let outputs = Outputs {
            folder: folder.to_owned(),
            created,
            finished: false,
            alerts: start(ALERTS)?,
            blocks: start(BLOCKS)?,
            lifts: start(LIFTS)?,
            incidents: start(INCIDENTS)?,
            dead_letters: start(DEAD_LETTERS)?,
            events: if events { Some(start(EVENTS)?) } else { None },
            counts: OutcomeCounts::default(),
            line: Vec::new(),
        };
        cleaner.armed = false;
        Ok(outputs)
    }

    /// Writes one outcome as one line, and counts it.
    ///
    /// # Errors
    /// [`ReplayError::Environment`] where it cannot be written.
    pub fn outcome(&mut self, outcome: &Outcome) -> Result<(), ReplayError> {
        self.counts.count(outcome);
        self.line.clear();
        let (file, written) = match outcome {
            Outcome::Alert(alert) => (&mut self.alerts, write_json(alert, &mut self.line)),
            Outcome::Block(block) => (&mut self.blocks, write_json(block, &mut self.line)),
            Outcome::Lift(lift) => (&mut self.lifts, write_json(lift, &mut self.line)),
            Outcome::Incident(incident) => (&mut self.incidents, write_json(incident, &mut self.line)),
            Outcome::DeadLetter(letter) => (&mut self.dead_letters, write_json(letter, &mut self.line)),
        };
        written.map_err(|error| unwritable(&file.path, &error.into()))?;
        file.line(&mut self.line)
    }

    /// Writes one event, given as its JSON without the line end, where events are wanted.
    ///
    /// # Errors
    /// [`ReplayError::Environment`] where it cannot be written.
    pub fn event(&mut self, document: &mut Vec<u8>) -> Result<(), ReplayError> {
        self.events.as_mut().map_or(Ok(()), |events| events.line(document))
    }

    /// What was counted of the outcomes so far, to be completed by what the replay knows of its inputs.
    pub fn summary(&self) -> Summary {
        self.counts.summary.clone()
    }

    /// Writes the summary and puts every file in place.
    ///
    /// # Errors
    /// [`ReplayError::Environment`] where something cannot be written; then no file is left.
    pub fn finish(mut self, summary: &Summary) -> Result<(), ReplayError> {
        let mut last = PartialFile::create(&self.folder, SUMMARY)?;
        self.line.clear();
        write_json(summary, &mut self.line).map_err(|error| unwritable(&last.path, &error.into()))?;
        last.line(&mut self.line)?;
        let fixed = [&mut self.alerts, &mut self.blocks, &mut self.lifts, &mut self.incidents, &mut self.dead_letters];
        for file in fixed.into_iter().chain(&mut self.events).chain([&mut last]) {
            file.settle()?;
        }
        self.put_in_place()?;
        self.finished = true;
        Ok(())
    }

    /// What a run before left under our names goes first, its summary before all: a mixture never looks whole.
    fn put_in_place(&self) -> Result<(), ReplayError> {
        for name in NAMES.iter().rev() {
            remove_if_there(&self.folder.join(name))?;
        }
        for name in NAMES.iter().filter(|name| **name != EVENTS || self.events.is_some()) {
            let to = self.folder.join(name);
            std::fs::rename(partial(&self.folder, name), &to).map_err(|error| unwritable(&to, &error))?;
        }
        Ok(())
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        if !self.finished {
            clean(&self.folder, self.created);
        }
    }
}

impl PartialFile {
    fn create(folder: &Path, name: &str) -> Result<PartialFile, ReplayError> {
        let path = partial(folder, name);
        let file = File::create(&path).map_err(|error| unwritable(&path, &error))?;
        Ok(PartialFile { path, writer: BufWriter::with_capacity(64 * 1024, file) })
    }

    /// Adds the line end to a line and writes it.
    fn line(&mut self, line: &mut Vec<u8>) -> Result<(), ReplayError> {
        line.push(b'\n');
        self.writer.write_all(line).map_err(|error| unwritable(&self.path, &error))
    }

    /// Everything is on the disk: only now does a full one show for certain.
    fn settle(&mut self) -> Result<(), ReplayError> {
        let settled = self.writer.flush().and_then(|()| self.writer.get_ref().sync_data());
        settled.map_err(|error| unwritable(&self.path, &error))
    }
}

/// Removes what was begun, unless disarmed.
struct Cleaner<'a> {
    folder: &'a Path,
    created: bool,
    armed: bool,
}

impl Drop for Cleaner<'_> {
    fn drop(&mut self) {
        if self.armed {
            clean(self.folder, self.created);
        }
    }
}

/// Removes the partial files, and the folder where it was made for them. What cannot be removed has a name that says
/// that it is not whole.
fn clean(folder: &Path, created: bool) {
    for name in NAMES {
        let _ = std::fs::remove_file(partial(folder, name));
    }
    if created {
        let _ = std::fs::remove_dir(folder);
    }
}

fn partial(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.partial"))
}

/// Writes a file of one line as a whole or not at all; a device or pipe is written to as it is.
///
/// # Errors
/// [`ReplayError::Environment`] where it cannot be written.
pub fn write_whole(path: &Path, line: &[u8]) -> Result<(), ReplayError> {
    if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let written = File::options().write(true).open(path).and_then(|mut file| file.write_all(line));
        return written.map_err(|error| unwritable(path, &error));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    let temporary = PathBuf::from(name);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(line).and_then(|()| file.sync_data()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        unwritable(path, &error)
    })
}

/// Refuses results that would take the place of an input: a log is not to be lost by a slip of the pen.
///
/// # Errors
/// [`ReplayError::Usage`] where one would.
pub fn spare(inputs: &[&str], folder: &Path, timings: Option<&Path>) -> Result<(), ReplayError> {
    let results = NAMES.iter().map(|name| folder.join(name)).chain(timings.map(Path::to_owned));
    let results: Vec<PathBuf> = results.filter_map(|path| path.canonicalize().ok()).collect();
    let taken = |input: &&&str| Path::new(input).canonicalize().is_ok_and(|path| results.contains(&path));
    let Some(input) = inputs.iter().find(taken) else { return Ok(()) };
    let advice = "name another folder with --out, and another file with --timings";
    Err(ReplayError::usage(input, "is an input, and would be overwritten by a result", advice))
}

/// Refuses a folder that holds what is not ours to mix with.
fn admit(folder: &Path, force: bool) -> Result<(), ReplayError> {
    let subject = folder.display().to_string();
    if !folder.is_dir() {
        return Err(ReplayError::input(
            &subject,
            "is a file, not a folder",
            "name a folder for the results with --out",
        ));
    }
    if force {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(|error| unwritable(folder, &error))?;
    let ours = |name: &str| NAMES.iter().any(|own| name.strip_suffix(".partial") == Some(own));
    let mut others: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| !ours(name))
        .collect();
    others.sort_unstable();
    if others.is_empty() {
        return Ok(());
    }
    let more = if others.len() > NAMED_MAX { ", …" } else { "" };
    others.truncate(NAMED_MAX);
    let what = format!("holds other files: {}{more}", others.join(", "));
    Err(ReplayError::input(&subject, what, "name an empty or new folder with --out, or overwrite with --force"))
}

fn remove_if_there(path: &Path) -> Result<(), ReplayError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, &error)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> ReplayError {
    let kind = error.kind();
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge].contains(&kind);
    let advice = if full {
        "free space or raise the limit, or name a folder on another disk with --out; no result was left behind"
    } else {
        "name a folder that this user may write to with --out; no result was left behind"
    };
    let what = if full { format!("the disk is full: {error}") } else { format!("cannot be written: {error}") };
    ReplayError::environment(&path.display().to_string(), what, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Time;
    use crate::event::outcome::{Lift, LiftCause};

    fn lift() -> Outcome {
        Outcome::Lift(Lift {
            id: "1".into(),
            action: "lift".into(),
            target: "203.0.113.9/32".into(),
            block: "2".into(),
            lifted_at: Time(0),
            cause: LiftCause::Expired,
            by: None,
        })
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    fn write(folder: &Path, force: bool, events: bool) -> Result<(), ReplayError> {
        let mut outputs = Outputs::create(folder, force, events)?;
        outputs.outcome(&lift())?;
        outputs.event(&mut b"{}".to_vec())?;
        let summary = outputs.summary();
        outputs.finish(&summary)
    }

    #[test]
    fn files_are_there_at_the_end_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        write(&out, false, true).unwrap();
        assert_eq!(names(&out).len(), NAMES.len());
        let lifts = std::fs::read_to_string(out.join(LIFTS)).unwrap();
        assert!(lifts.starts_with(r#"{"id":"1","action":"lift","#) && lifts.ends_with("}\n"));
        assert_eq!(std::fs::read_to_string(out.join(EVENTS)).unwrap(), "{}\n");
    }

    #[test]
    fn a_replay_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        let mut outputs = Outputs::create(&out, false, true).unwrap();
        outputs.outcome(&lift()).unwrap();
        assert_eq!(names(&out).len(), NAMES.len() - 1);
        drop(outputs);
        assert!(!out.exists());
    }

    #[test]
    fn other_files_are_refused_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alerts.ndjson.partial"), "left by a kill").unwrap();
        write(folder.path(), false, true).unwrap();
        let error = write(folder.path(), false, false).unwrap_err();
        assert_eq!(error.status(), 1);
        assert!(error.to_string().contains("alerts.ndjson, blocks.ndjson, dead-letters.ndjson, …"), "{error}");
        write(folder.path(), true, false).unwrap();
        assert!(
            !names(folder.path()).contains(&EVENTS.to_owned()),
            "an older run's events do not stay beside a new one"
        );
    }

    #[test]
    fn a_full_disk_is_the_machine_s_fault() {
        let error = unwritable(Path::new("out"), &io::ErrorKind::StorageFull.into());
        assert_eq!(error.status(), 3);
        assert!(error.to_string().contains("the disk is full"));
        assert_eq!(write_whole(Path::new("/dev/full/timings"), b"{}").unwrap_err().status(), 3);
    }
}
