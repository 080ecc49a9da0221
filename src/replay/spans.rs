//! Which receipts want a record: spans of offsets, asked in the order of the records. Pure.
//!
//! Each input is read once, whatever the number of receipts. Deliberately without knowledge of what a receipt is.

/// The spans of one input.
#[derive(Clone, Debug, Default)]
pub struct SpanIndex {
    /// `from`, `to` (exclusive) and whose they are; by `from`, once the first record is asked for.
    waiting: Vec<(u64, u64, usize)>,
    sorted: bool,
    active: Vec<(u64, usize)>,
}

impl SpanIndex {
    /// Adds a span, `from` inclusive, `to` exclusive, of the given owner.
    pub fn add(&mut self, from: u64, to: u64, owner: usize) {
        self.waiting.push((from, to, owner));
        self.sorted = false;
    }

    /// The owners of the spans that hold `offset`; offsets are asked for in rising order.
    pub fn owners(&mut self, offset: u64) -> impl Iterator<Item = usize> {
        if !self.sorted {
            // The next to begin stands last, where it is taken from.
            self.waiting.sort_unstable_by(|a, b| b.cmp(a));
            self.sorted = true;
        }
        self.active.retain(|(to, _)| *to > offset);
        while let Some((_, to, owner)) = self.waiting.pop_if(|(from, _, _)| *from <= offset) {
            if to > offset {
                self.active.push((to, owner));
            }
        }
        self.active.iter().map(|(_, owner)| *owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn owners_are_those_whose_span_holds_the_offset(spans in prop::collection::vec((0u64..30, 0u64..30), 0..20)) {
            let mut index = SpanIndex::default();
            spans.iter().enumerate().for_each(|(owner, (from, to))| index.add(*from, *to, owner));
            for offset in 0..32 {
                let mut found: Vec<usize> = index.owners(offset).collect();
                found.sort_unstable();
                let holds = |(from, to): &(u64, u64)| *from <= offset && offset < *to;
                let expected: Vec<usize> = (0..spans.len()).filter(|owner| holds(&spans[*owner])).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
