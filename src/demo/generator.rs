//! The merge: always the actor whose next line is the earliest. Pure.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use crate::event::{MINUTE, Time};

use super::cast::{Actor, actors};
use super::line::Line;
use super::plan::opening;
use super::random::Random;
use super::stage::Day;
use super::task::{Output, Task};

/// The longest day: a whole one.
const MINUTES_MAX: u32 = 24 * 60;

/// Writes the day line by line, in time order.
pub struct Generator {
    day: Day,
    queue: BinaryHeap<Reverse<Entry>>,
    ready: VecDeque<Line>,
    /// How many tasks were ever queued: breaks ties, so that the order never depends on the heap.
    queued: u64,
}

/// A task and when it acts next.
struct Entry {
    at: Time,
    number: u64,
    task: Task,
}

impl Generator {
    /// A day of `minutes` (1 to 1440, held to that) that begins at `start`.
    pub fn new(seed: u64, start: Time, minutes: u32) -> Self {
        let length = i64::from(minutes.clamp(1, MINUTES_MAX)) * MINUTE;
        let day = Day { start, end: start.plus(length) };
        let mut generator = Generator { day, queue: BinaryHeap::new(), ready: VecDeque::new(), queued: 0 };
        for (at, task) in opening(day, &Random::new(seed)) {
            generator.push(at, task);
        }
        generator
    }

    /// Who takes part, and what should become of them.
    pub fn actors() -> Vec<Actor> {
        actors()
    }

    fn push(&mut self, at: Time, task: Task) {
        if at < self.day.end {
            self.queued += 1;
            self.queue.push(Reverse(Entry { at, number: self.queued, task }));
        }
    }
}

impl Iterator for Generator {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while self.ready.is_empty() {
            let Reverse(Entry { at, mut task, .. }) = self.queue.pop()?;
            let mut output = Output::default();
            let next = task.step(self.day, at, &mut output);
            self.ready.extend(output.lines);
            for (at, task) in output.opened {
                self.push(at, task);
            }
            if let Some(next) = next {
                // A task that does not move on would be served for ever.
                self.push(next.max(at.plus(1)), task);
            }
        }
        self.ready.pop_front()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::super::cast::ActorKind;
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::IpAddr;

    const START: Time = Time(1_795_453_200_000);

    fn day(seed: u64, minutes: u32) -> Vec<Line> {
        Generator::new(seed, START, minutes).collect()
    }

    /// The address that a line is about, where the pipeline names it.
    fn client(line: &Line) -> Option<IpAddr> {
        let text = &line.line;
        let after = |key: &str| text.split_once(key).map(|(_, rest)| rest);
        let start = match line.pipeline {
            "nginx" => Some(text.as_str()),
            "login" | "modsecurity" => after("\"client_ip\":\""),
            "suricata" => after("\"src_ip\":\""),
            _ => after(" from ").or_else(|| after("rhost=")),
        };
        start?.split([' ', '"']).next()?.parse().ok()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        assert_eq!(day(7, 2), day(7, 2));
        assert_ne!(day(7, 2), day(8, 2));
    }

    #[test]
    fn lines_come_in_order_and_within_the_day() {
        let lines = day(1, 3);
        assert!(lines.is_sorted_by_key(|line| line.time));
        assert!(lines.iter().all(|line| line.time >= START && line.time < START.plus(3 * MINUTE)));
        assert!(lines.iter().all(|line| !line.line.contains('\n')));
    }

    #[test]
    fn a_day_of_ten_minutes_has_all_actors_and_the_expected_size() {
        let lines = day(42, 10);
        assert!((70_000..180_000).contains(&lines.len()), "{} lines", lines.len());
        let clients: BTreeSet<IpAddr> = lines.iter().filter_map(client).collect();
        for actor in Generator::actors() {
            let seen = actor.addresses.iter().all(|net| clients.iter().any(|client| net.contains(client)));
            assert!(seen, "{} is not in the logs", actor.name);
            assert!(!actor.expect_block || actor.kind == ActorKind::Attack, "{}", actor.name);
        }
        let nets: Vec<_> = Generator::actors().into_iter().flat_map(|actor| actor.addresses).collect();
        let stray = clients.iter().find(|client| !nets.iter().any(|net| net.contains(*client)));
        assert_eq!(stray, None, "every address belongs to an actor");
    }

    #[test]
    fn memory_holds_what_is_open_and_not_the_day() {
        let mut generator = Generator::new(9, START, 24 * 60);
        let (mut read, mut most) = (0, 0);
        while read < 60_000 && generator.next().is_some() {
            read += 1;
            most = most.max(generator.queue.len() + generator.ready.len());
        }
        assert_eq!(read, 60_000);
        assert!(most < 1_500, "{most} tasks and lines at once");
    }

    #[test]
    fn json_lines_are_json() {
        for line in day(3, 10).iter().filter(|line| ["login", "modsecurity", "suricata"].contains(&line.pipeline)) {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&line.line);
            assert!(parsed.is_ok_and(|value| value.is_object()), "{}", line.line);
        }
    }

    #[test]
    fn the_office_mistypes_rarely_and_the_outage_is_for_everybody() {
        let lines = day(5, 10);
        let office = |status: &str| {
            let failed = format!("POST /login HTTP/1.1\" {status} ");
            lines.iter().filter(|l| l.line.starts_with("81.2.69.192 ") && l.line.contains(&failed)).count()
        };
        assert!((5..=7).contains(&office("401")), "{} failures", office("401"));
        let mut shares: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.pipeline == "nginx") {
            let share = shares.entry(line.time.since(START) / MINUTE).or_default();
            let failed = ["\" 500 ", "\" 502 ", "\" 503 "].iter().any(|status| line.line.contains(status));
            *share = (share.0 + 1, share.1 + u64::from(failed));
        }
        for (minute, (all, failed)) in shares {
            assert_eq!(failed * 4 > all, minute == 7, "minute {minute}: {failed} of {all}");
        }
    }
}
