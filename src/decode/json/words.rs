//! ECS's allowed words for category and type, as the static lists that events carry. Pure.
//!
//! Deliberately only the lists that logs of Sekisho's sources need; a word that is none of ECS's gives no list.

/// The lists of `event.category` in use.
const CATEGORIES: &[&[&str]] = &[
    &["authentication"],
    &["web"],
    &["intrusion_detection"],
    &["network"],
    &["session"],
    &["process"],
    &["host"],
    &["iam"],
    &["file"],
    &["authentication", "session"],
    &["intrusion_detection", "network"],
    &["intrusion_detection", "web"],
    &["network", "web"],
];

/// The lists of `event.type` in use.
const TYPES: &[&[&str]] = &[
    &["start"],
    &["end"],
    &["info"],
    &["access"],
    &["allowed"],
    &["denied"],
    &["error"],
    &["connection"],
    &["protocol"],
    &["creation"],
    &["change"],
    &["deletion"],
    &["access", "error"],
    &["connection", "end"],
    &["connection", "protocol"],
    &["connection", "start"],
];

/// The list of categories that holds exactly these words, or the first word alone; empty where ECS has no such word.
pub(super) fn categories(words: &[&str]) -> &'static [&'static str] {
    find(CATEGORIES, words)
}

/// The list of types that holds exactly these words, or the first word alone; empty where ECS has no such word.
pub(super) fn types(words: &[&str]) -> &'static [&'static str] {
    find(TYPES, words)
}

fn find(lists: &'static [&'static [&'static str]], words: &[&str]) -> &'static [&'static str] {
    let holds = |list: &&&'static [&'static str], words: &[&str]| {
        list.len() == words.len() && list.iter().all(|word| words.contains(word))
    };
    let first = &words[..words.len().min(1)];
    let whole = lists.iter().find(|list| holds(list, words));
    whole.or_else(|| lists.iter().find(|list| holds(list, first))).copied().unwrap_or(&[])
}
