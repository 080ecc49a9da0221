//! Several inputs → one order: by key, then order on the command line, then offset (outputs sheet, "Replay"). Pure.
//!
//! Lazy: of each input only the chunks are held whose records still wait for their key or their turn, and the run of
//! one input up to the next other key goes through without a comparison of all. Deliberately without knowledge of what
//! a chunk holds.

use std::collections::VecDeque;

use crate::event::Time;

use super::keys::{Key, Keys};

/// A chunk whose records have been examined.
#[derive(Clone, Debug, Default)]
pub struct Examined<T> {
    /// The time that each record claims, in order.
    pub claims: Vec<Option<Time>>,
    pub content: T,
}

/// One record whose turn it is.
#[derive(Debug)]
pub struct Turn<'a, T> {
    /// Which input, in the order of the command line.
    pub input: usize,
    /// The content of its chunk.
    pub content: &'a mut T,
    /// Which record of the chunk.
    pub index: usize,
    pub key: Key,
}

/// What is held of one input.
struct Lane<T> {
    assign: Keys,
    /// Keys decided and not used, of the records from `at` in the first chunk on.
    keys: VecDeque<Key>,
    chunks: VecDeque<Examined<T>>,
    at: usize,
    ended: bool,
}

/// Hands every record of all inputs to `visit`, in order. `next` gives the next chunk of an input, `spent` takes those
/// whose records have all had their turn.
///
/// # Errors
/// Those of `next` and `visit`, at once.
pub fn merge<T, E>(
    keys: Vec<Keys>,
    mut next: impl FnMut(usize) -> Result<Option<Examined<T>>, E>,
    mut visit: impl FnMut(Turn<'_, T>) -> Result<(), E>,
    mut spent: impl FnMut(Examined<T>),
) -> Result<(), E> {
    let mut lanes: Vec<Lane<T>> = keys.into_iter().map(Lane::new).collect();
    loop {
        for (input, lane) in lanes.iter_mut().enumerate() {
            lane.fill(|| next(input))?;
        }
        let mut heads: Vec<(Time, usize)> =
            lanes.iter().enumerate().filter_map(|(input, lane)| Some((lane.keys.front()?.at, input))).collect();
        let Some(least) = heads.iter().copied().min() else { return Ok(()) };
        heads.retain(|head| *head != least);
        let limit = heads.into_iter().min();
        run(least.1, &mut lanes[least.1], limit, (&mut visit, &mut spent))?;
    }
}

/// Hands out the records of one input for as long as none of another comes first.
fn run<T, E>(
    input: usize,
    lane: &mut Lane<T>,
    limit: Option<(Time, usize)>,
    (visit, spent): (&mut impl FnMut(Turn<'_, T>) -> Result<(), E>, &mut impl FnMut(Examined<T>)),
) -> Result<(), E> {
    while let Some(key) = lane.keys.front().copied() {
        if limit.is_some_and(|limit| (key.at, input) > limit) {
            return Ok(());
        }
        lane.keys.pop_front();
        let Some(chunk) = lane.chunks.front_mut() else { return Ok(()) };
        visit(Turn { input, content: &mut chunk.content, index: lane.at, key })?;
        lane.advance().into_iter().for_each(&mut *spent);
    }
    Ok(())
}

impl<T> Lane<T> {
    fn new(assign: Keys) -> Lane<T> {
        Lane { assign, keys: VecDeque::new(), chunks: VecDeque::new(), at: 0, ended: false }
    }

    /// Reads on until the next record has its key or the input has ended.
    fn fill<E>(&mut self, mut next: impl FnMut() -> Result<Option<Examined<T>>, E>) -> Result<(), E> {
        while self.keys.is_empty() && !self.ended {
            match next()? {
                Some(chunk) => {
                    chunk.claims.iter().for_each(|claim| self.assign.push(*claim, &mut self.keys));
                    self.chunks.push_back(chunk);
                }
                None => {
                    self.ended = true;
                    self.assign.finish(&mut self.keys);
                }
            }
        }
        Ok(())
    }

    /// One record further; gives the chunk that is spent by it.
    fn advance(&mut self) -> Option<Examined<T>> {
        self.at += 1;
        let spent = self.chunks.front().is_some_and(|chunk| chunk.claims.len() == self.at);
        if !spent {
            return None;
        }
        self.at = 0;
        self.chunks.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::HOUR;
    use proptest::prelude::*;

    type Claims = Vec<Option<Time>>;

    /// Input, offset and key of each record, as merged in chunks of `size`.
    fn merged(inputs: &[Claims], size: usize) -> Vec<(usize, u64, Key)> {
        let mut chunks: Vec<_> = inputs.iter().map(|claims| claims.chunks(size).enumerate()).collect();
        let mut found = Vec::new();
        let keys = inputs.iter().map(|_| Keys::new(Time(7))).collect();
        let next = |input: usize| {
            let chunk = chunks[input].next();
            Ok::<_, ()>(chunk.map(|(n, claims)| Examined { claims: claims.to_vec(), content: (n * size) as u64 }))
        };
        let visit = |turn: Turn<'_, u64>| {
            found.push((turn.input, *turn.content + turn.index as u64, turn.key));
            Ok(())
        };
        merge(keys, next, visit, |_| ()).unwrap();
        found
    }

    fn model(inputs: &[Claims]) -> Vec<(usize, u64, Key)> {
        let mut all = Vec::new();
        for (input, claims) in inputs.iter().enumerate() {
            let mut assign = Keys::new(Time(7));
            let mut keys = Vec::new();
            claims.iter().for_each(|claim| assign.push(*claim, &mut keys));
            assign.finish(&mut keys);
            all.extend(keys.into_iter().zip(0..).map(|(key, offset)| (input, offset, key)));
        }
        all.sort_by_key(|(input, offset, key)| (key.at, *input, *offset));
        all
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_sort(
            inputs in prop::collection::vec(prop::collection::vec(prop::option::of(0i64..30), 0..40), 0..5),
            size in 1usize..9,
        ) {
            let inputs: Vec<Claims> = inputs
                .into_iter()
                .map(|claims| claims.into_iter().map(|claim| claim.map(|c| Time(c * HOUR / 8))).collect())
                .collect();
            prop_assert_eq!(merged(&inputs, size), model(&inputs));
        }
    }

    #[test]
    fn an_error_ends_it_at_once() {
        let next = |_| Err::<Option<Examined<()>>, _>("broken");
        assert_eq!(merge(vec![Keys::new(Time(0))], next, |_| Ok(()), |_| ()), Err("broken"));
    }
}
