//! Stream time: how far decide may believe that everything has been seen. Pure.

use serde::{Deserialize, Serialize};

use crate::event::Time;

/// The clocks of all inputs of decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clock {
    inputs: Vec<InputClock>,
    /// The largest `appended_at` folded.
    pub(super) journal: Option<Time>,
    /// Stream time; it never goes back.
    pub(super) stream: Option<Time>,
}

/// How far one input is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct InputClock {
    /// The largest windowed time.
    high: Option<Time>,
    /// The journal's time of the newest event.
    appended_at: Option<Time>,
}

impl Clock {
    /// A clock over a number of inputs that had no event yet.
    pub(super) fn new(inputs: usize) -> Clock {
        Clock { inputs: vec![InputClock::default(); inputs], ..Clock::default() }
    }

    /// Notes how far an input is, and moves stream time: the smallest of the active inputs' times. A quiet input goes
    /// on with the journal's clock from its last event, its delay staying what it was; after `idle` of journal time it
    /// no longer counts (design §7).
    pub(super) fn note(&mut self, input: usize, high: Option<Time>, appended_at: Time, idle: i64) {
        if self.inputs.len() <= input {
            self.inputs.resize(input + 1, InputClock::default());
        }
        let known = &mut self.inputs[input];
        if high.is_some() {
            known.high = known.high.max(high);
            known.appended_at = known.appended_at.max(Some(appended_at));
        }
        self.journal = self.journal.max(Some(appended_at));
        self.stream = self.stream.max(self.smallest(idle));
    }

    fn smallest(&self, idle: i64) -> Option<Time> {
        let journal = self.journal?;
        let moved = |input: &InputClock| {
            let quiet = journal.since(input.appended_at?);
            Some((quiet, input.high?.plus(quiet)))
        };
        let active = self.inputs.iter().filter_map(moved).filter(|(quiet, _)| *quiet < idle);
        // Where all are quiet, time goes on with the one that was so last, not with one that ended long ago.
        active.map(|(_, time)| time).min().or_else(|| self.inputs.iter().filter_map(moved).min().map(|(_, time)| time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: i64 = 30_000;

    #[test]
    fn the_slowest_active_input_holds_the_others() {
        let mut clock = Clock::new(2);
        clock.note(0, Some(Time(100_000)), Time(100_000), IDLE);
        assert_eq!(clock.stream, Some(Time(100_000)), "one that never had an event does not count");
        clock.note(1, Some(Time(90_000)), Time(101_000), IDLE);
        clock.note(0, Some(Time(110_000)), Time(110_000), IDLE);
        assert_eq!(clock.stream, Some(Time(100_000)), "never back");
        clock.note(0, Some(Time(120_000)), Time(120_000), IDLE);
        assert_eq!(clock.stream, Some(Time(109_000)), "a quiet one keeps its delay");
        clock.note(0, Some(Time(131_000)), Time(131_000), IDLE);
        assert_eq!(clock.stream, Some(Time(131_000)), "after idle it no longer counts");
    }

    #[test]
    fn where_all_are_quiet_one_that_ended_long_ago_holds_nobody() {
        let mut clock = Clock::new(2);
        clock.note(0, Some(Time(0)), Time(900_000), IDLE);
        clock.note(1, Some(Time(2_000_000)), Time(2_000_000), IDLE);
        clock.note(1, None, Time(2_040_000), IDLE);
        assert_eq!(clock.stream, Some(Time(2_040_000)));
    }

    #[test]
    fn a_backlog_never_jumps_to_now() {
        let mut clock = Clock::new(1);
        clock.note(0, Some(Time(1_000)), Time(900_000), IDLE);
        clock.note(0, None, Time(901_000), IDLE);
        assert_eq!(clock.stream, Some(Time(2_000)));
    }
}
