//! What a format needs to know beside the item itself. Pure data.
//!
//! Deliberately without settings: a format gets its own when it is built.

use crate::event::Time;

/// The surroundings of an item: they decide what an incomplete time means, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// The journal's time of the record: the year of a time that names none is the one nearest to it.
    pub reference: Time,
    /// The zone of times that name none.
    pub zone: &'c jiff::tz::TimeZone,
}
