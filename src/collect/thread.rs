//! Starts the threads of the collector. I/O.
//!
//! Deliberately the only place that does.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with this name, so that `top -H` tells what is busy.
///
/// # Errors
/// Where the system gives no more threads.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(run)
}
