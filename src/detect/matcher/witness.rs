//! Witnesses: the tests without one of which a rule cannot hold. Pure.
//!
//! An event that shows no witness of a rule never runs that rule's tree; with good ones an ordinary event runs none.

use super::compile::Tree;

/// Tests of which at least one holds whenever the tree does, and how often they show, roughly.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Witness {
    pub(super) tests: Vec<u32>,
    pub(super) weight: f64,
}

/// The best witness of a tree; `None` where it can hold without showing anything. `weights` gives for each test how
/// often its signs show, or `None` for one that the index does not know.
pub(super) fn witness(tree: &Tree, weights: &[Option<f64>]) -> Option<Witness> {
    match tree {
        Tree::Test(test) => weights[*test as usize].map(|weight| Witness { tests: vec![*test], weight }),
        Tree::Not(_) => None,
        Tree::All(trees) => at_least(trees.len(), trees, weights),
        Tree::Any(trees) => at_least(1, trees, weights),
        Tree::AtLeast(count, trees) => at_least(*count, trees, weights),
    }
}

/// Where `count` of the trees hold, one of them is among any `len - count + 1` of them: the rarest are taken.
fn at_least(count: usize, trees: &[Tree], weights: &[Option<f64>]) -> Option<Witness> {
    if count == 0 {
        return None;
    }
    let needed = (trees.len() + 1).saturating_sub(count);
    let mut known: Vec<Witness> = trees.iter().filter_map(|tree| witness(tree, weights)).collect();
    if known.len() < needed {
        return None;
    }
    known.sort_by(|a, b| a.weight.total_cmp(&b.weight));
    known.truncate(needed);
    let weight = known.iter().map(|witness| witness.weight).sum();
    Some(Witness { tests: known.into_iter().flat_map(|witness| witness.tests).collect(), weight })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: &[Option<f64>] = &[Some(0.5), Some(0.1), None, Some(0.2)];

    fn tests_of(tree: &Tree) -> Option<Vec<u32>> {
        witness(tree, WEIGHTS).map(|witness| witness.tests)
    }

    #[test]
    fn the_rarest_sufficient_set() {
        let test = |test: u32| Tree::Test(test);
        assert_eq!(tests_of(&Tree::All(vec![test(0), test(1), test(2)])), Some(vec![1]));
        assert_eq!(tests_of(&Tree::Any(vec![test(0), test(1)])), Some(vec![1, 0]));
        assert_eq!(tests_of(&Tree::Any(vec![test(0), test(2)])), None);
        assert_eq!(tests_of(&Tree::AtLeast(2, vec![test(0), test(1), test(3)])), Some(vec![1, 3]));
        assert_eq!(tests_of(&Tree::AtLeast(2, vec![test(0), test(1), test(2)])), Some(vec![1, 0]));
        assert_eq!(tests_of(&Tree::Not(Box::new(test(0)))), None);
        assert_eq!(tests_of(&Tree::All(vec![])), None);
        assert_eq!(tests_of(&Tree::Any(vec![])), Some(vec![]));
    }
}
