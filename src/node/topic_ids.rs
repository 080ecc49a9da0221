//! Which topics an index was made of, beside it: one that was made anew since has other records at the same places. I/O.
//!
//! Only a journal whose topics others may delete has ids. The file goes with the index where that is removed. Deliberately
//! no part of the index's commits: an id is written before the first record of its topic is, and never changes.

#![expect(clippy::disallowed_methods, reason = "ids are kept in a file")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file.
const FILE: &str = "topics.json";

/// Ids by topic.
pub struct TopicIds {
    path: PathBuf,
    known: BTreeMap<String, String>,
}

impl TopicIds {
    /// Those of the index in this directory.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn open(directory: &Path) -> io::Result<TopicIds> {
        let path = directory.join(FILE);
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(TopicIds { path, known })
    }

    /// Whether this is the topic that was read so far, or the first of its name.
    ///
    /// # Errors
    /// Where an id that is new cannot be written.
    pub fn is_same(&mut self, topic: &str, id: &str) -> io::Result<bool> {
        if let Some(known) = self.known.get(topic) {
            return Ok(known == id);
        }
        let mut known = self.known.clone();
        known.insert(topic.to_owned(), id.to_owned());
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&known)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.known = known;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_the_same_as_long_as_its_id_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ids = TopicIds::open(folder.path()).expect("none yet");
        assert!(ids.is_same("nginx", "one").expect("a disk") && ids.is_same("sshd", "two").expect("a disk"));
        let mut ids = TopicIds::open(folder.path()).expect("a file");
        assert!(ids.is_same("nginx", "one").expect("a disk"));
        assert!(!ids.is_same("nginx", "other").expect("a disk"));
        fs::write(folder.path().join(FILE), b"{").expect("a disk");
        assert!(TopicIds::open(folder.path()).is_err());
    }
}
