//! What a restore of decide needs from the journal: where retention must stop. Pure but for its lock.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Input;

/// The next offset that a restore reads of each topic. Clones are the same.
#[derive(Clone, Default)]
pub struct Floors(Arc<Mutex<Vec<(Input, u64)>>>);

impl Floors {
    /// What must stay.
    pub fn get(&self) -> Vec<(Input, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A newer state is journalled: older records are needed no longer.
    pub fn set(&self, floors: Vec<(Input, u64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = floors;
    }
}
