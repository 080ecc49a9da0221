//! How many files and connections may be open, given what the system lets this process have. I/O.
//!
//! The journal and the index must never find all handles taken by logs or senders. Deliberately without raising the
//! limit: that is the unit file's.

use rustix::process::{Resource, getrlimit};

/// Files have this part of the handles, connections of each listener half of it.
const FILES_PART: u64 = 4;
/// So many files at most, whatever the limit: scans look at the size of those that are closed.
const FILES_MAX: u64 = 400;
/// So many connections of one listener at most: a thread and some hundred kilobytes each. More senders than that go
/// through a relay.
const CONNECTIONS_MAX: u64 = 256;

/// Files that may be open at a time.
pub fn files_max() -> usize {
    share(limit(), FILES_PART, FILES_MAX)
}

/// Connections of one listener that may be open at a time.
pub fn connections_max() -> usize {
    share(limit(), 2 * FILES_PART, CONNECTIONS_MAX)
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn share(limit: u64, part: u64, max: u64) -> usize {
    usize::try_from((limit / part).clamp(1, max)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_is_shared() {
        for (limit, files, connections) in [(0, 1, 1), (256, 64, 32), (1_024, 256, 128), (u64::MAX, 400, 256)] {
            let shares = (share(limit, FILES_PART, FILES_MAX), share(limit, 2 * FILES_PART, CONNECTIONS_MAX));
            assert_eq!(shares, (files, connections), "{limit}");
        }
    }
}
