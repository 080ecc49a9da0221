//! What is known of a file that is followed: which one it is, and how far its lines are in the journal. Pure.
//!
//! A cursor is a mark of the journal, written in the commit of the lines it speaks of (design §4, law 10). Names are for
//! people: a file is known by device, inode and time of birth while it lies there, and by what it says, its first bytes
//! and those before the cursor, once it was renamed, copied or compressed. Deliberately without file handles.

use serde::{Deserialize, Serialize};

/// So many of a file's first bytes tell it from others: more than one line of every usual log, and lines hold a time.
pub const HEAD_BYTES_MAX: usize = 1024;
/// So many bytes before the cursor tell it from a file that begins alike, as logs with a constant header do.
pub const TAIL_BYTES_MAX: usize = 256;
/// Bytes of a hash that are kept: files are told apart among a few thousand, not sealed.
const HASH_BYTES: usize = 16;

/// Which file it is while it lies there; a rename does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    /// When the file was made, in nanoseconds since 1970: an inode number is given again, often at once. 0 where the
    /// file system does not say.
    pub born: i64,
}

/// The first bytes that were taken of a file, and the last ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// A [`Witness`] as it is remembered: how many bytes, and their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Print {
    pub head_bytes: usize,
    pub head: String,
    pub tail_bytes: usize,
    pub tail: String,
}

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its lines are taken as they come.
    Open,
    /// It was read to its end and is not expected to grow.
    Done,
    /// It holds what another file held that is followed, or was: nothing is taken of it.
    Copy,
}

/// One file, as it is remembered in a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub topic: String,
    pub partition: u32,
    /// Where it was found first.
    pub path: String,
    /// `None` once that file says something else.
    pub identity: Option<Identity>,
    /// Bytes that are in the journal, of the file as it is without its compression.
    pub offset: u64,
    /// The bytes up to the next line end belong to a line that is in the journal, cut.
    pub inside_cut: bool,
    pub print: Print,
    pub state: State,
}

impl Witness {
    /// Of a file whose first bytes and whose bytes before the cursor were read again.
    pub fn of(head: &[u8], tail: &[u8]) -> Witness {
        let head = head[..head.len().min(HEAD_BYTES_MAX)].to_vec();
        Witness { head, tail: tail[tail.len().saturating_sub(TAIL_BYTES_MAX)..].to_vec() }
    }

    /// These bytes were taken, following those before.
    pub fn take(&mut self, bytes: &[u8]) {
        let missing = HEAD_BYTES_MAX - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        let fresh = &bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..];
        let kept = TAIL_BYTES_MAX - fresh.len();
        self.tail.drain(..self.tail.len().saturating_sub(kept));
        self.tail.extend_from_slice(fresh);
    }

    /// What is remembered of it.
    pub fn print(&self) -> Print {
        Print {
            head_bytes: self.head.len(),
            head: hash(&self.head),
            tail_bytes: self.tail.len(),
            tail: hash(&self.tail),
        }
    }

    /// The file's first bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The bytes before the cursor.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }
}

impl Print {
    /// Whether it can tell one file from another: of a file of which nothing was taken it cannot.
    pub fn tells(&self) -> bool {
        self.head_bytes > 0
    }

    /// Whether a file that begins with `head` may be the one: any may, where nothing is remembered.
    pub fn begins(&self, head: &[u8]) -> bool {
        self.head_bytes == 0 || (head.len() >= self.head_bytes && hash(&head[..self.head_bytes]) == self.head)
    }

    /// Whether a file that says `tail` before the cursor may be the one.
    pub fn ends(&self, tail: &[u8]) -> bool {
        self.tail_bytes == 0 || (tail.len() == self.tail_bytes && hash(tail) == self.tail)
    }
}

impl Cursor {
    /// Of a file that is to be read from its first byte. Its partition is given when something is taken of it.
    pub fn new(topic: &str, path: &str, identity: Identity) -> Cursor {
        Cursor {
            topic: topic.to_owned(),
            partition: 0,
            path: path.to_owned(),
            identity: Some(identity),
            offset: 0,
            inside_cut: false,
            print: Print::default(),
            state: State::Open,
        }
    }

    /// As the value of a mark.
    ///
    /// # Panics
    /// Never: text, numbers and names are always JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text, numbers and names are always JSON")
    }

    /// From the value of a mark; `None` where it was not written here.
    pub fn decode(value: &[u8]) -> Option<Cursor> {
        let cursor: Cursor = serde_json::from_slice(value).ok()?;
        let print = &cursor.print;
        let possible = print.head_bytes <= HEAD_BYTES_MAX
            && print.tail_bytes <= TAIL_BYTES_MAX
            && print.tail_bytes as u64 <= cursor.offset;
        possible.then_some(cursor)
    }
}

fn hash(bytes: &[u8]) -> String {
    let hash = blake3::hash(bytes);
    hash.as_bytes()[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_witness_depends_on_the_bytes_alone(
            bytes in prop::collection::vec(any::<u8>(), 0..3_000), cuts in prop::collection::vec(0usize..3_000, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let mut witness = Witness::default();
            for pair in cuts.windows(2) {
                witness.take(&bytes[pair[0]..pair[1]]);
            }
            prop_assert_eq!(&witness, &Witness::of(&bytes, &bytes));
            let print = witness.print();
            prop_assert!(print.begins(&bytes) && print.ends(witness.tail()));
            prop_assert_eq!(print.tells(), !bytes.is_empty());
        }

        #[test]
        fn any_mark_is_a_cursor_or_none(value in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(Cursor::decode(&value), None);
        }
    }

    #[test]
    fn a_cursor_comes_back() {
        let identity = Identity { device: 1, inode: 2, born: 3 };
        let mut cursor = Cursor::new("nginx", "/var/log/a b.log", identity);
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor.clone()));
        cursor.print = Witness::of(b"abc", b"abc").print();
        assert_eq!(Cursor::decode(&cursor.encode()), None, "three bytes before offset 0");
        cursor.offset = 3;
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }
}
