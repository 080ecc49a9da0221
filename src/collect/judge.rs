//! What happened to a file, from what is remembered of it and what lies there now. Pure.
//!
//! One table, so that every combination can be read and tested. Deliberately without looking: whoever calls has read the
//! bytes that a cursor's print asks for.

use super::cursor::{Cursor, State};

/// What was seen of the file that has a cursor's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its size now.
    pub size: u64,
    /// Whether it still says what the cursor's print remembers.
    pub alike: bool,
}

/// What happened to a file since its cursor was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing, or lines were added.
    Grown,
    /// It was emptied, and perhaps written again from the start: `copytruncate`, or `> file`.
    Truncated,
    /// It says something else: emptied and written beyond the cursor, or another file has its inode.
    Replaced,
}

/// What another file is to a cursor whose print it was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kin {
    /// Nothing.
    Stranger,
    /// It holds what is in the journal already, or what will come from the file that is followed.
    Copy,
    /// The cursor goes on in it: the file that was followed is gone.
    Heir,
}

/// What happened to the file of `cursor`.
pub fn change(cursor: &Cursor, seen: Seen) -> Change {
    if seen.size < cursor.offset {
        Change::Truncated
    } else if seen.alike {
        Change::Grown
    } else {
        Change::Replaced
    }
}

/// What a file that says what `cursor` remembers (`alike`) or a part of what its open file says (`part`) is to it.
pub fn kin(cursor: &Cursor, live: bool, alike: bool, part: bool) -> Kin {
    let alike = alike && cursor.print.tells();
    match cursor.state {
        State::Copy => Kin::Stranger,
        State::Open if live => {
            if alike || part {
                Kin::Copy
            } else {
                Kin::Stranger
            }
        }
        State::Open => {
            if alike {
                Kin::Heir
            } else {
                Kin::Stranger
            }
        }
        State::Done => {
            if alike {
                Kin::Copy
            } else {
                Kin::Stranger
            }
        }
    }
}

/// Whether two names in one folder may be of one log and its rotations: `access.log`, `access.log.1`,
/// `access.log-20261124.gz`, `access-20261124.log`. It only saves comparing what they say.
pub fn may_be_siblings(one: &str, other: &str) -> bool {
    stem(one) == stem(other)
}

/// A name without what rotation adds: digits, separators, and what compression and copies put at the end.
fn stem(name: &str) -> String {
    const ADDED: [&str; 7] = [".gz", ".zst", ".zstd", ".bak", ".old", ".orig", ".copy"];
    let mut name = name;
    while let Some(shorter) = ADDED.iter().find_map(|added| name.strip_suffix(added)) {
        name = shorter;
    }
    name.chars().filter(|char| !char.is_ascii_digit() && !"-._:+~T".contains(*char)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cursor::{Identity, Witness};
    use super::*;

    fn cursor(offset: u64, state: State) -> Cursor {
        let identity = Identity { device: 1, inode: 2, born: 3 };
        let bytes = vec![b'x'; offset as usize];
        let print = Witness::of(&bytes, &bytes).print();
        Cursor { offset, state, print, ..Cursor::new("t", "/a.log", identity) }
    }

    #[test]
    fn what_happened() {
        let cases = [
            (10, true, Change::Grown),
            (11, true, Change::Grown),
            (9, true, Change::Truncated),
            (0, false, Change::Truncated),
            (10, false, Change::Replaced),
            (99, false, Change::Replaced),
        ];
        for (size, alike, expected) in cases {
            assert_eq!(change(&cursor(10, State::Open), Seen { size, alike }), expected, "{size} {alike}");
        }
        assert_eq!(change(&cursor(0, State::Open), Seen { size: 0, alike: true }), Change::Grown);
    }

    #[test]
    fn what_another_file_is() {
        use Kin::{Copy, Heir, Stranger};
        let cases = [
            (State::Open, true, true, false, Copy),
            (State::Open, true, false, true, Copy),
            (State::Open, true, false, false, Stranger),
            (State::Open, false, true, false, Heir),
            (State::Open, false, false, false, Stranger),
            (State::Done, false, true, false, Copy),
            (State::Done, false, false, false, Stranger),
            (State::Copy, false, true, false, Stranger),
        ];
        for (state, live, alike, part, expected) in cases {
            assert_eq!(kin(&cursor(10, state), live, alike, part), expected, "{state:?} {live} {alike} {part}");
        }
        assert_eq!(kin(&cursor(0, State::Open), false, true, false), Stranger, "an empty print tells nothing");
    }

    #[test]
    fn names_of_one_log() {
        for name in
            ["access.log.1", "access.log.2.gz", "access.log-20261124.zst", "access-20261124.log", "access.log.bak"]
        {
            assert!(may_be_siblings("access.log", name), "{name}");
        }
        for name in ["error.log", "access.logs", "other_access.log"] {
            assert!(!may_be_siblings("access.log", name), "{name}");
        }
    }
}
