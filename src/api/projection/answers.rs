//! What became of the last commands, by their offset in `sekisho.signals`. Pure.

use std::collections::BTreeMap;

use crate::event::{Answer, SIGNALS};

/// Answers kept: whoever ordered something asks within minutes.
pub const ANSWERS_KEPT_MAX: usize = 10_000;

/// The last answers.
#[derive(Default)]
pub struct Answers {
    kept: BTreeMap<u64, Answer>,
}

impl Answers {
    pub(super) fn apply(&mut self, answer: Answer) {
        if answer.command.topic == SIGNALS {
            self.kept.insert(answer.command.offset, answer);
        }
        if self.kept.len() > ANSWERS_KEPT_MAX {
            self.kept.pop_first();
        }
    }

    /// The answer to the command at this offset.
    pub fn of(&self, offset: u64) -> Option<&Answer> {
        self.kept.get(&offset)
    }
}
