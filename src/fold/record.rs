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
pub const STATE_FORM: u32 = 1;

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
