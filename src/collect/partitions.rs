//! Which partition each source of a topic writes to. Pure.
//!
//! Each followed file and each listener has its own, so that its times are in order and a quiet or late source holds no
//! other back (design §7); the number is remembered by a mark. Deliberately bounded: dated names are as many as days.

use std::collections::BTreeMap;

use crate::event::Time;

/// What comes by HTTP goes here, whoever sends it.
pub const HTTP_PARTITION: u32 = 0;
/// So many sources of one topic have a partition of their own, from 1 on; further ones share these, by their name's
/// hash. Each costs a stage some hundred bytes and a pack per second.
pub const PARTITIONS_MAX: u32 = 256;
/// The marks begin so: `collect/partition/<topic>/<number>`.
pub const PREFIX: &str = "collect/partition/";

/// The partitions of all topics.
#[derive(Debug, Default)]
pub struct Partitions {
    taken: BTreeMap<(String, u32), Held>,
}

#[derive(Debug)]
struct Held {
    source: String,
    /// Whether the journal does not know yet.
    dirty: bool,
    /// When the journal was told last.
    written_at: Time,
    /// When it was asked for or confirmed last.
    used_at: Time,
}

impl Partitions {
    /// From the marks of a journal, which may be old: they are written again once they are confirmed. Those that were
    /// not written here are left alone.
    pub fn restore<'a>(marks: impl Iterator<Item = (&'a str, &'a [u8])>, now: Time) -> Partitions {
        let mut partitions = Partitions::default();
        for (key, value) in marks {
            let place = key.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('/'));
            let number = place.and_then(|(_, number)| number.parse().ok());
            let (Some((topic, _)), Some(number), Ok(source)) = (place, number, std::str::from_utf8(value)) else {
                continue;
            };
            let held = Held { source: source.to_owned(), dirty: false, written_at: Time::MIN, used_at: now };
            partitions.taken.insert((topic.to_owned(), number), held);
        }
        partitions
    }

    /// The partition of `source`, from now on and after every restart; a source of [`Time::MAX`] is never forgotten.
    pub fn of(&mut self, topic: &str, source: &str, now: Time) -> u32 {
        let all = (topic.to_owned(), 1)..=(topic.to_owned(), PARTITIONS_MAX);
        if let Some(((_, number), held)) = self.taken.range_mut(all).find(|(_, held)| held.source == source) {
            held.used_at = held.used_at.max(now);
            return *number;
        }
        let free = (1..=PARTITIONS_MAX).find(|number| !self.taken.contains_key(&(topic.to_owned(), *number)));
        let Some(number) = free else { return shared(source) };
        let held = Held { source: source.to_owned(), dirty: true, written_at: now, used_at: now };
        self.taken.insert((topic.to_owned(), number), held);
        number
    }

    /// `source` is still there: its mark is written again where that is longer ago than `age`.
    pub fn confirm(&mut self, place: (&str, u32), source: &str, now: Time, age: i64) {
        let held = self.taken.get_mut(&(place.0.to_owned(), place.1));
        if let Some(held) = held.filter(|held| held.source == source) {
            held.used_at = held.used_at.max(now);
            held.dirty |= now.since(held.written_at) >= age;
        }
    }

    /// What the journal does not know yet, as keys and values of marks.
    pub fn unsaved(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let unsaved = self.taken.iter().filter(|(_, held)| held.dirty);
        unsaved.map(|((topic, number), held)| (format!("{PREFIX}{topic}/{number}"), held.source.clone().into_bytes()))
    }

    /// The journal knows all.
    pub fn saved(&mut self, now: Time) {
        for held in self.taken.values_mut().filter(|held| held.dirty) {
            (held.dirty, held.written_at) = (false, now);
        }
    }

    /// Forgets sources that were not there since `time`; the journal forgets their marks by itself.
    pub fn forget_before(&mut self, time: Time) {
        self.taken.retain(|_, held| held.used_at >= time);
    }
}

fn shared(source: &str) -> u32 {
    let hash = blake3::hash(source.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    1 + u32::from_le_bytes([a, b, c, d]) % PARTITIONS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(partitions: &Partitions) -> Vec<(String, Vec<u8>)> {
        partitions.unsaved().collect()
    }

    fn restored(marks: &[(String, Vec<u8>)]) -> Partitions {
        Partitions::restore(marks.iter().map(|(key, value)| (key.as_str(), value.as_slice())), Time(9))
    }

    #[test]
    fn each_source_keeps_its_partition() {
        let mut partitions = Partitions::default();
        assert_eq!(
            [("t", "/a"), ("t", "/b"), ("u", "/a"), ("t", "/a")].map(|(t, s)| partitions.of(t, s, Time(1))),
            [1, 2, 1, 1]
        );
        let marks = saved(&partitions);
        assert_eq!(marks.len(), 3);
        let mut again = restored(&marks);
        assert_eq!([("t", "/b"), ("u", "/a"), ("t", "/c")].map(|(t, s)| again.of(t, s, Time(1))), [2, 1, 3]);
        assert_eq!(saved(&again).len(), 1);
        again.saved(Time(9));
        assert!(saved(&again).is_empty());
        again.confirm(("t", 2), "/b", Time(10), 5);
        again.confirm(("t", 3), "/c", Time(10), 5);
        again.confirm(("t", 1), "/other", Time(10), 5);
        assert_eq!(saved(&again), [("collect/partition/t/2".to_owned(), b"/b".to_vec())], "it may be old");
    }

    #[test]
    fn beyond_the_limit_they_are_shared_and_what_is_forgotten_is_free() {
        let mut partitions = Partitions::default();
        let numbers: Vec<u32> = (0..PARTITIONS_MAX).map(|n| partitions.of("t", &n.to_string(), Time(1))).collect();
        assert_eq!(numbers, (1..=PARTITIONS_MAX).collect::<Vec<_>>());
        let more = partitions.of("t", "one more", Time(2));
        assert!((1..=PARTITIONS_MAX).contains(&more));
        assert_eq!(partitions.of("t", "one more", Time(2)), more);
        partitions.of("t", "7", Time(2));
        partitions.of("t", "9", Time::MAX);
        partitions.forget_before(Time(2));
        assert_eq!(["7", "9", "one more"].map(|source| partitions.of("t", source, Time(3))), [8, 10, 1]);
    }

    #[test]
    fn strange_marks_are_left_alone() {
        let marks = [("collect/partition/t/x", &b"/a"[..]), ("collect/partition/t/1", b"\xff"), ("else", b"")];
        let partitions = Partitions::restore(marks.into_iter(), Time(0));
        assert!(partitions.taken.is_empty());
    }
}
