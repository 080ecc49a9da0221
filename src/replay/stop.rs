//! Ctrl-C, SIGTERM and SIGHUP: once ends cleanly, twice at once. I/O.

#![expect(clippy::disallowed_methods, reason = "the second signal ends the process")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::ReplayError;

/// The exit status of an interrupted command (outputs sheet).
const INTERRUPTED: i32 = 130;

/// A flag that a signal sets; the second signal ends the process without waiting for anybody.
///
/// # Errors
/// [`ReplayError::Environment`] where the system does not take the handler, or there is one already.
pub fn stop_on_signal() -> Result<Arc<AtomicBool>, ReplayError> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    };
    ctrlc::set_handler(handler)
        .map_err(|error| ReplayError::environment("signals", format!("cannot be handled: {error}"), ""))?;
    Ok(stop)
}
