//! Tokens of OAUTHBEARER, out of a file that whoever issues them writes anew. I/O.
//!
//! The crate asks for a token while a client is polled, which clients that answer questions are not; and those made of raw
//! bindings have no such call. So a client is given its token when it is made, and again well before it ends.

#![expect(unsafe_code, reason = "rdkafka has no call for it")]

use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;

use super::now;
use super::reader::check;
use super::settings::{Clock, Settings};
use crate::event::MINUTE;
use crate::journal::JournalError;

/// How long a token is believed before its file is read again.
pub(super) const TOKEN_MS: i64 = 15 * MINUTE;
/// How often it is: a token lives for minutes at least.
const RENEW_EVERY: Duration = Duration::from_secs(5 * 60);
/// How soon it is read again where it could not be.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Whom the client says it is; what counts is in the token.
pub(super) const PRINCIPAL: &str = "sekisho";

/// What renews the token of one client; nothing where there is no file.
pub(super) struct Tokens {
    file: Option<PathBuf>,
    clock: Clock,
    due: Instant,
    /// Whether the client ever got one.
    given: bool,
}

impl Tokens {
    /// Due at once.
    pub fn new(settings: &Settings) -> Tokens {
        Tokens { file: settings.token_file.clone(), clock: settings.clock.clone(), due: now(), given: false }
    }

    /// Gives a client the token of now, where it is time.
    ///
    /// # Errors
    /// Where the file cannot be read, or what is in it is no token.
    pub fn renew(&mut self, client: NonNull<sys::rd_kafka_t>) -> Result<(), JournalError> {
        let Some(file) = self.file.clone().filter(|_| now() >= self.due) else { return Ok(()) };
        let renewed = self.give(client, &file);
        // A file that is being written anew is there again shortly, and the last token is good for longer.
        let (again, done) = if self.given { (AGAIN_AFTER, Ok(())) } else { (Duration::ZERO, renewed.clone()) };
        self.due = now() + if renewed.is_ok() { RENEW_EVERY } else { again };
        self.given |= renewed.is_ok();
        done
    }

    fn give(&self, client: NonNull<sys::rd_kafka_t>, file: &Path) -> Result<(), JournalError> {
        let refused = |why: String| JournalError::Undone { why };
        let token = read(file).map_err(refused)?;
        let failed = |error: std::ffi::NulError| refused(format!("{}: {error}", file.display()));
        let (token, principal) = (CString::new(token).map_err(failed)?, CString::new(PRINCIPAL).map_err(failed)?);
        let until = (self.clock)().plus(TOKEN_MS).0;
        let mut text: [c_char; 512] = [0; 512];
        // SAFETY: the client lives, texts are copied, and librdkafka ends what it says with a zero.
        let (code, why) = unsafe {
            let (extensions, room) = (std::ptr::null_mut(), text.len());
            let (token, principal, text) = (token.as_ptr(), principal.as_ptr(), text.as_mut_ptr());
            let client = client.as_ptr();
            let code = sys::rd_kafka_oauthbearer_set_token(client, token, until, principal, extensions, 0, text, room);
            (code, CStr::from_ptr(text).to_string_lossy().into_owned())
        };
        check(code, &format!("{}: {why}", file.display()))
    }
}

/// The token of a file; nothing but it and white space may be in there.
pub(super) fn read(file: &Path) -> Result<String, String> {
    #[expect(clippy::disallowed_methods, reason = "tokens are handed over in files")]
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match text.trim() {
        "" => Err(format!("{}: it holds no token", file.display())),
        token => Ok(token.to_owned()),
    }
}
