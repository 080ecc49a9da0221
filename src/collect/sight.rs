//! Which files the patterns match now. I/O.
//!
//! Links are followed, folders under `**` are not left through them. Deliberately without opening anything.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::counters::{Count, Counters};
use super::cursor::Identity;
use super::log_file::{Stamp, Unopened, identity, no_file, stamp};
use super::warning::Warner;

/// So many files of one pattern are looked at; it keeps a pattern like `/**` from filling memory.
const MATCHES_MAX: usize = 10_000;

/// One `file:` of `collect:`.
pub struct Pattern {
    pub pattern: String,
    pub topic: String,
    /// Files that are there at the very first start are followed from their end.
    pub from_end: bool,
    /// Whether it has been followed before, as the journal knows.
    pub begun: bool,
    pub counters: Arc<Counters>,
}

/// A file that a pattern matches.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub path: String,
    pub identity: Identity,
    pub stamp: Stamp,
    /// Which pattern.
    pub pattern: usize,
}

/// What all patterns match, in their order, each file once for each topic.
pub fn sightings(patterns: &[Pattern], warner: &mut Warner) -> Vec<Sighting> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, pattern) in patterns.iter().enumerate() {
        let before = found.len();
        let matches = matches(pattern, number, warner);
        let any = !matches.is_empty();
        found.extend(matches.into_iter().filter(|sighting| seen.insert((pattern.topic.clone(), sighting.identity))));
        if found.len() > before || any {
            warner.resolve(&pattern.pattern);
        } else {
            let advice = "check it; files that appear later are read whole";
            warner.warn(&pattern.pattern, "no file matches this pattern now", advice);
        }
    }
    found
}

fn matches(pattern: &Pattern, number: usize, warner: &mut Warner) -> Vec<Sighting> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    // The pattern was found to be one when collecting started.
    let Ok(paths) = glob::glob_with(&pattern.pattern, options) else { return Vec::new() };
    let mut found = Vec::new();
    for path in paths {
        match path {
            Ok(_) if found.len() >= MATCHES_MAX => {
                let what = format!("more than {MATCHES_MAX} files match: the others are not followed");
                warner.warn(&pattern.pattern, what, "make the pattern narrower");
                break;
            }
            Ok(path) => found.extend(sight(&path, pattern, number, warner)),
            Err(error) => {
                pattern.counters.add(Count::Errors, 1);
                let subject = error.path().display().to_string();
                if let Some((what, advice)) = Unopened::from(std::io::Error::from(error)).words() {
                    warner.warn(&subject, what, advice);
                }
            }
        }
    }
    found
}

fn sight(path: &Path, pattern: &Pattern, number: usize, warner: &mut Warner) -> Option<Sighting> {
    let name = path.display().to_string();
    let unopened = match std::fs::metadata(path) {
        Ok(metadata) => match no_file(&metadata) {
            None => {
                let (identity, stamp) = (identity(&metadata), stamp(&metadata));
                return Some(Sighting { path: name, identity, stamp, pattern: number });
            }
            Some(kind) => Unopened::NoFile(kind),
        },
        Err(error) => Unopened::from(error),
    };
    if let Some((what, advice)) = unopened.words() {
        pattern.counters.add(Count::Errors, 1);
        warner.warn(&name, what, advice);
    }
    None
}
