//! The records of `sekisho.signals` in their order → what leaves. Pure.
//!
//! The one fold that a node, a restart and a replay of the journal share: given the same records it gives the same
//! outcomes, byte for byte (law 1). A record below the place already folded changes nothing (law 4). Deliberately
//! without the journal: records come in as what they hold, and catalogs from whoever has them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::event::{Answer, AnswerResult, CatalogHash, Command, Entry, HOUR, Input, Outcome, Position, SIGNALS, Time};

use super::decide::{Decide, DecideSnapshot};

/// The form of a saved state and of the fold behind it: a state of another form is derived again from records.
pub const STATE_FORM: u32 = 2;

/// Folds records.
pub struct Folder {
    decide: Decide,
    /// The offset of the next record.
    next: u64,
    /// The hour of the journal's time in which state was last due.
    hour: Option<i64>,
}

/// Everything a [`Folder`] knows.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FolderState {
    pub form: u32,
    pub catalog: CatalogHash,
    /// The offset of the first record that is not in it.
    pub next: u64,
    hour: Option<i64>,
    decide: DecideSnapshot,
}

/// What records led to.
#[derive(Debug, Default)]
pub struct Folded {
    /// In the order in which they take effect.
    pub outcomes: Vec<Outcome>,
    pub answers: Vec<Answer>,
    /// Whether an hour of the journal's time has begun: the state is to be journalled with these.
    pub state_due: bool,
}

impl Folded {
    /// Adds what other records led to, and empties that.
    pub fn take(&mut self, other: &mut Folded) {
        self.outcomes.append(&mut other.outcomes);
        self.answers.append(&mut other.answers);
        self.state_due |= std::mem::take(&mut other.state_due);
    }

    /// Whether nothing leaves.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.answers.is_empty() && !self.state_due
    }
}

impl Folder {
    /// Nothing folded yet, from the record at `next` on. `seed` cannot be seen in any result.
    pub fn new(catalog: Arc<Catalog>, next: u64, seed: u64) -> Folder {
        Folder { decide: Decide::new(catalog, Vec::new(), seed), next, hour: None }
    }

    /// Goes on from a saved state, whose catalog this is.
    pub fn restore(catalog: Arc<Catalog>, state: FolderState, seed: u64) -> Folder {
        Folder { decide: Decide::restore(catalog, state.decide, seed), next: state.next, hour: state.hour }
    }

    /// The whole state.
    pub fn save(&self) -> FolderState {
        FolderState {
            form: STATE_FORM,
            catalog: self.decide.catalog().hash,
            next: self.next,
            hour: self.hour,
            decide: self.decide.save(),
        }
    }

    /// The offset of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The fold that decides.
    pub fn decide(&self) -> &Decide {
        &self.decide
    }

    /// Folds a record in. `catalogs` gives the catalog of a name.
    ///
    /// # Errors
    /// Those of `catalogs`; the record is not folded then.
    pub fn fold<E>(
        &mut self,
        (offset, appended_at): (u64, Time),
        entry: Entry,
        catalogs: &mut impl FnMut(CatalogHash) -> Result<Arc<Catalog>, E>,
        out: &mut Folded,
    ) -> Result<(), E> {
        if offset < self.next {
            return Ok(());
        }
        match entry {
            Entry::Catalog(name) => self.switch(name, catalogs, out)?,
            Entry::Pack(pack) => {
                self.switch(pack.catalog, catalogs, out)?;
                self.decide.pack(pack, appended_at, &mut out.outcomes);
            }
            Entry::Command(command) => self.command(command, (offset, appended_at), out),
        }
        self.next = offset + 1;
        self.note_hour(out);
        Ok(())
    }

    /// Records below `next` are lost: what they would have told is not known.
    pub fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    fn switch<E>(
        &mut self,
        name: CatalogHash,
        catalogs: &mut impl FnMut(CatalogHash) -> Result<Arc<Catalog>, E>,
        out: &mut Folded,
    ) -> Result<(), E> {
        if self.decide.catalog().hash != name {
            self.decide.switch(catalogs(name)?, &mut out.outcomes);
        }
        Ok(())
    }

    fn command(&mut self, command: Command, (offset, at): (u64, Time), out: &mut Folded) {
        let before = out.outcomes.len();
        let result = match self.decide.command(&command, at, &mut out.outcomes) {
            Ok(()) => {
                let lifted =
                    out.outcomes[before..].iter().filter(|outcome| matches!(outcome, Outcome::Lift(_))).count();
                AnswerResult::Done { lifted: lifted as u64 }
            }
            Err(reason) => AnswerResult::Refused { reason },
        };
        let Command { by, order } = command;
        let command = Position { topic: SIGNALS.to_owned(), partition: 0, offset, item: None };
        out.answers.push(Answer { command, at, by, order, result });
    }

    fn note_hour(&mut self, out: &mut Folded) {
        let Some(journal) = self.decide.journal() else { return };
        let hour = journal.0.div_euclid(HOUR);
        out.state_due |= self.hour.is_some_and(|known| known < hour);
        self.hour = self.hour.max(Some(hour));
    }
}

/// The input that decide folds.
pub fn signals() -> Input {
    Input { topic: SIGNALS.to_owned(), partition: 0 }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use crate::catalog::{Files, KeepExtras, built_in};
    use crate::config;
    use crate::event::{Pack, SECOND};
    use crate::fold::{Batch, Examiner, Ingest, RawRecord, Sightings};

    use super::*;

    const START: i64 = 1_795_435_507_000;

    fn catalog(yaml: &str) -> Arc<Catalog> {
        let config = config::parse("sekisho.yaml", yaml, &|_| None).expect("a configuration");
        let rules = ["failed_login", "guessing_one_account", "web_request", "request_flood"];
        let all = built_in();
        let wanted = |path: &str| rules.iter().any(|name| path.ends_with(&format!("/{name}.yml")));
        let rules = all.rules.into_iter().filter(|file| wanted(&file.path)).collect();
        let files = Files { pipelines: all.pipelines, rules, ..Files::default() };
        Arc::new(Catalog::build(&config, &files, KeepExtras::Named).unwrap_or_else(|faults| panic!("{faults}")))
    }

    /// The pack of failed logins, one a second, from the `from`th second on.
    fn failures(catalog: &Arc<Catalog>, from: u64, to: u64) -> Pack {
        let input = Input { topic: "login".to_owned(), partition: 0 };
        let pipeline = catalog.pipeline_named("login").expect("a pipeline");
        let mut ingest = Ingest::new(Arc::clone(catalog), vec![(input.clone(), pipeline)]);
        let mut examiner = Examiner::new(Arc::clone(catalog), pipeline);
        let (mut sightings, mut batch) = (Sightings::default(), Batch::default());
        for offset in from..to {
            let at = Time(START + offset as i64 * SECOND);
            let line = format!(r#"{{"time":"{at}","client_ip":"81.2.69.9","user":"ann","outcome":"failure"}}"#);
            sightings.clear();
            examiner.examine(RawRecord { offset, bytes: line.as_bytes(), spoofable: false }, at, &mut sightings);
            ingest.place(0, (&sightings, 0), at, &mut batch);
        }
        batch.take_packs(&[input], catalog.hash).remove(0)
    }

    /// How many alerts about guessing come of half the failures under one catalog and half under another.
    fn alerts(first: &Arc<Catalog>, second: &Arc<Catalog>) -> usize {
        let mut folder = Folder::new(Arc::clone(first), 0, 1);
        let mut out = Folded::default();
        let mut catalogs =
            |name| -> Result<_, Infallible> { Ok(Arc::clone(if name == first.hash { first } else { second })) };
        let packs = [failures(first, 0, 15), failures(second, 15, 30)];
        for (offset, pack) in (0u64..).zip(packs) {
            let at = pack.appended_at;
            folder
                .fold((offset, at), Entry::Pack(pack), &mut catalogs, &mut out)
                .unwrap_or_else(|never| match never {});
        }
        // Where nothing counts it, a failed login is an alert by itself.
        let guessed = |outcome: &&Outcome| matches!(outcome, Outcome::Alert(alert) if alert.sekisho.count >= 25);
        out.outcomes.iter().filter(guessed).count()
    }

    #[test]
    fn windows_of_rules_that_stayed_outlive_a_change_of_catalog() {
        let plain = catalog("{}");
        let changed = catalog("networks: { own: [192.0.2.0/24] }\nrules: { disable: [request_flood] }\n");
        assert_ne!(plain.hash, changed.hash);
        let whole = alerts(&plain, &plain);
        assert!(whole > 0, "thirty failures in half a minute");
        assert_eq!(alerts(&plain, &changed), whole);
        assert_eq!(alerts(&changed, &plain), whole);
        let without = catalog("rules: { disable: [guessing_one_account] }\n");
        assert_eq!(alerts(&plain, &without), 0, "a rule that is gone concludes nothing");
    }

    #[test]
    fn a_record_below_the_place_changes_nothing_and_an_hour_asks_for_the_state() {
        let catalog = catalog("{}");
        let mut folder = Folder::new(Arc::clone(&catalog), 0, 1);
        let mut out = Folded::default();
        let mut catalogs = |_| -> Result<_, Infallible> { Ok(Arc::clone(&catalog)) };
        let mut fold = |folder: &mut Folder, offset, at, out: &mut Folded| {
            let entry = Entry::Pack(failures(&catalog, 0, 1));
            folder.fold((offset, Time(at)), entry, &mut catalogs, out).unwrap_or_else(|never| match never {});
        };
        fold(&mut folder, 0, START, &mut out);
        assert!(!out.state_due, "the first hour has only begun");
        let before = folder.save();
        fold(&mut folder, 0, START, &mut out);
        assert!(folder.save() == before);
        let quiet = Pack { from: 1, to: 1, signals: Vec::new(), tallies: Vec::new(), ..failures(&catalog, 0, 1) };
        folder
            .fold(
                (1, Time(START + HOUR)),
                Entry::Pack(quiet),
                &mut |_| Ok::<_, Infallible>(Arc::clone(&catalog)),
                &mut out,
            )
            .unwrap_or_else(|never| match never {});
        assert!(out.state_due);
    }
}
