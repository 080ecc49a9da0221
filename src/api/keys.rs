//! API keys: made, listed, taken away and recognised; the file they are in. I/O.
//!
//! A key is 256 random bits behind an id and is shown once; only its hash is kept. Such a key cannot be guessed, so a fast
//! hash is enough (security sheet §4.6). The file is replaced as a whole, and the running node reads it again when it
//! changes; one that cannot be read leaves the keys as they were. Deliberately without passwords.

#![expect(clippy::disallowed_methods, reason = "the file of keys is read and written here")]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::{Time, write_json};

/// The file in the data directory.
pub const KEYS_FILE: &str = "keys.json";
/// What a key begins with, so that a leaked one is recognised for what it is.
const PREFIX: &str = "sekisho_";
/// Keys at a time: more than people, shippers and enforcers of one installation.
pub const KEYS_MAX: usize = 1_000;
/// A key's line takes some 300 bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Hex digits of a key's id.
const ID_DIGITS: usize = 12;
/// The longest name of a key.
const NAME_BYTES_MAX: usize = 64;

/// What a key allows. Each stands for itself but `respond`, which may read, and `admin`, which may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Ingest,
    Read,
    Respond,
    Admin,
}

impl Role {
    /// All roles, in order.
    pub const ALL: [Role; 4] = [Role::Ingest, Role::Read, Role::Respond, Role::Admin];

    /// The word on the command line and in the file.
    pub fn word(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Read => "read",
            Role::Respond => "respond",
            Role::Admin => "admin",
        }
    }

    /// Whether this role may do what `needed` may.
    pub fn includes(self, needed: Role) -> bool {
        match self {
            Role::Admin => true,
            Role::Respond => matches!(needed, Role::Respond | Role::Read),
            Role::Ingest | Role::Read => self == needed,
        }
    }
}

/// One key as it is kept: nothing in it gives the key away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// blake3 of the whole key, in hex.
    pub hash: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    keys: Vec<StoredKey>,
}

/// Why keys could not be read or changed.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error("failed to {action} {}: {why}", path.display())]
    Io { action: &'static str, path: PathBuf, why: io::Error },
    #[error("{} is not a file of keys: {why}; mend it, or take it away and make new keys", path.display())]
    Broken { path: PathBuf, why: String },
    #[error("a name has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` or `.`, not {0:?}")]
    Name(String),
    #[error("there is a key named `{0}` already: choose another name, or remove it first")]
    Taken(String),
    #[error("there is no key named `{0}`")]
    Unknown(String),
    #[error("there are {KEYS_MAX} keys already: remove those no longer used")]
    Full,
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// Makes a key, keeps its hash, and gives the key itself: the only time it is seen.
///
/// # Errors
/// A name that is none or taken, a file that cannot be read or written.
pub fn add_key(
    data: &Path,
    name: &str,
    role: Role,
    (now, expires_at): (Time, Option<Time>),
) -> Result<String, KeyError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        return Err(KeyError::Name(name.chars().take(NAME_BYTES_MAX).collect()));
    }
    let _lock = lock(data)?;
    let mut file = read(data)?;
    if file.keys.iter().any(|key| key.name == name) {
        return Err(KeyError::Taken(name.to_owned()));
    }
    if file.keys.len() >= KEYS_MAX {
        return Err(KeyError::Full);
    }
    let mut random = [0; ID_DIGITS / 2 + 32];
    getrandom::fill(&mut random).map_err(|_| KeyError::NoRandomness)?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let (id, secret) = digits.split_at(ID_DIGITS);
    let key = format!("{PREFIX}{id}_{secret}");
    let hash = blake3::hash(key.as_bytes()).to_hex().to_string();
    file.keys.push(StoredKey { id: id.to_owned(), name: name.to_owned(), role, created_at: now, expires_at, hash });
    write(data, &file)?;
    Ok(key)
}

/// All keys, in the order in which they were made.
///
/// # Errors
/// A file that cannot be read.
pub fn list_keys(data: &Path) -> Result<Vec<StoredKey>, KeyError> {
    Ok(read(data)?.keys)
}

/// Takes a key away; a running node refuses it within a second or two.
///
/// # Errors
/// A name that no key has, a file that cannot be read or written.
pub fn remove_key(data: &Path, name: &str) -> Result<StoredKey, KeyError> {
    let _lock = lock(data)?;
    let mut file = read(data)?;
    let at = file.keys.iter().position(|key| key.name == name).ok_or_else(|| KeyError::Unknown(name.to_owned()))?;
    let removed = file.keys.remove(at);
    write(data, &file)?;
    Ok(removed)
}

/// The keys as requests are checked against.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_id: BTreeMap<String, StoredKey>,
}

/// Why a key does not count. What was sent is never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Unknown,
    Expired,
}

impl Keys {
    /// The keys of a data directory; none where there is no file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load(data: &Path) -> Result<Keys, KeyError> {
        let keys = read(data)?.keys;
        Ok(Keys { by_id: keys.into_iter().map(|key| (key.id.clone(), key)).collect() })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whose key this is. The comparison takes as long whatever differs: that of two hashes.
    pub fn owner(&self, key: &str, now: Time) -> Result<&StoredKey, Denied> {
        let stored = id_of(key).and_then(|id| self.by_id.get(id)).ok_or(Denied::Unknown)?;
        let kept = blake3::Hash::from_hex(&stored.hash).map_err(|_| Denied::Unknown)?;
        if blake3::hash(key.as_bytes()) != kept {
            return Err(Denied::Unknown);
        }
        if stored.expires_at.is_some_and(|at| at <= now) { Err(Denied::Expired) } else { Ok(stored) }
    }
}

/// The id inside a key: public, for finding it and for counting failures.
pub(super) fn id_of(key: &str) -> Option<&str> {
    let (id, _) = key.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// What changes with the file: its size and time, and the file it is.
pub(super) fn version(data: &Path) -> Option<(u64, std::time::SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(data.join(KEYS_FILE)).ok()?;
    Some((metadata.len(), metadata.modified().ok()?, metadata.ino()))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |why| KeyError::Io { action, path, why }
}

/// Two commands at once must not lose each other's key. The lock ends with the file's handle.
fn lock(data: &Path) -> Result<File, KeyError> {
    let path = data.join("keys.lock");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed("open", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(file)
}

fn read(data: &Path) -> Result<KeyFile, KeyError> {
    let path = data.join(KEYS_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KeyFile::default()),
        Err(error) => return Err(failed("open", &path)(error)),
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed("read", &path))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(KeyError::Broken { path, why: format!("it is over {FILE_BYTES_MAX} bytes") });
    }
    serde_json::from_slice(&text).map_err(|error| KeyError::Broken { path, why: error.to_string() })
}

fn write(data: &Path, file: &KeyFile) -> Result<(), KeyError> {
    let (path, partial) = (data.join(KEYS_FILE), data.join("keys.json.partial"));
    let mut text = Vec::new();
    write_json(file, &mut text).map_err(|error| failed("write", &partial)(error.into()))?;
    text.push(b'\n');
    let create = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&partial);
    let mut out = create.map_err(failed("create", &partial))?;
    out.write_all(&text).and_then(|()| out.sync_all()).map_err(failed("write", &partial))?;
    std::fs::rename(&partial, &path).map_err(failed("put in place", &path))?;
    File::open(data).and_then(|folder| folder.sync_all()).map_err(failed("sync", data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_once_and_never_kept() {
        let folder = tempfile::tempdir().unwrap();
        let key = add_key(folder.path(), "shift", Role::Respond, (Time(5), None)).unwrap();
        let text = std::fs::read_to_string(folder.path().join(KEYS_FILE)).unwrap();
        let secret = key.rsplit('_').next().unwrap();
        assert_eq!(secret.len(), 64);
        assert!(!text.contains(secret));
        let keys = Keys::load(folder.path()).unwrap();
        assert_eq!(keys.owner(&key, Time(6)).map(|stored| stored.name.as_str()), Ok("shift"));
        let mut other = key.clone();
        let last = if other.ends_with('0') { '1' } else { '0' };
        other.pop();
        other.push(last);
        assert_eq!(keys.owner(&other, Time(6)).err(), Some(Denied::Unknown));
        for none in ["", "sekisho_", "sekisho__", &key[..key.len() - 1], &key[8..], &format!("{key} ")] {
            assert_eq!(keys.owner(none, Time(6)).err(), Some(Denied::Unknown), "{none}");
        }
    }

    #[test]
    fn keys_expire_and_are_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let key = add_key(data, "a", Role::Read, (Time(0), Some(Time(10)))).unwrap();
        add_key(data, "b", Role::Read, (Time(0), None)).unwrap();
        assert!(matches!(add_key(data, "b", Role::Read, (Time(0), None)), Err(KeyError::Taken(_))));
        assert!(matches!(add_key(data, "a b", Role::Read, (Time(0), None)), Err(KeyError::Name(_))));
        let keys = Keys::load(data).unwrap();
        assert!(keys.owner(&key, Time(9)).is_ok());
        assert_eq!(keys.owner(&key, Time(10)).err(), Some(Denied::Expired));
        remove_key(data, "a").unwrap();
        assert_eq!(Keys::load(data).unwrap().owner(&key, Time(9)).err(), Some(Denied::Unknown));
        assert!(matches!(remove_key(data, "a"), Err(KeyError::Unknown(_))));
        assert_eq!(list_keys(data).unwrap().len(), 1);
    }

    #[test]
    fn a_broken_file_is_said_to_be_broken() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KEYS_FILE), "{\"keys\":[{}]}").unwrap();
        assert!(Keys::load(folder.path()).unwrap_err().to_string().contains("is not a file of keys"));
    }

    #[test]
    fn roles() {
        let may = |role: Role| Role::ALL.map(|needed| role.includes(needed));
        assert_eq!(may(Role::Ingest), [true, false, false, false]);
        assert_eq!(may(Role::Read), [false, true, false, false]);
        assert_eq!(may(Role::Respond), [false, true, true, false]);
        assert_eq!(may(Role::Admin), [true; 4]);
    }
}
