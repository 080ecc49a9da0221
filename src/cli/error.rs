//! How a command ends: its exit status, and one message. I/O.

use std::io;
use std::process::ExitCode;

use crate::document::Faults;

use super::output;

/// The exit status of every command (outputs sheet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    /// The input or the configuration is at fault.
    Fault,
    /// The command line is at fault.
    Usage,
    /// The environment is at fault: a port, a disk, a broker, a lock.
    Environment,
    /// Interrupted, after a clean end.
    Interrupted,
}

/// Why a command ended early: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    pub status: Status,
    /// Empty where there is nothing to say.
    pub message: String,
}

impl CliError {
    /// The input or the configuration is at fault.
    pub fn fault(message: impl Into<String>) -> CliError {
        CliError { status: Status::Fault, message: message.into() }
    }

    /// The command line is at fault.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError { status: Status::Usage, message: message.into() }
    }

    /// The environment is at fault.
    pub fn environment(message: impl Into<String>) -> CliError {
        CliError { status: Status::Environment, message: message.into() }
    }

    /// Writing to stdout failed. A reader that has seen enough, as `head` has, is no error.
    pub fn of_stdout(error: &io::Error) -> CliError {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return CliError { status: Status::Done, message: String::new() };
        }
        CliError::environment(format!("cannot write to stdout: {error}"))
    }

    /// Says the message on stderr; what it quotes is made visible first.
    pub fn report(&self) -> Status {
        if !self.message.is_empty() {
            output::complain(&self.message);
        }
        self.status
    }
}

/// All faults as one message.
impl From<&Faults> for CliError {
    fn from(faults: &Faults) -> CliError {
        CliError::fault(faults.to_string())
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Fault => 1,
            Status::Usage => 2,
            Status::Environment => 3,
            Status::Interrupted => 130,
        })
    }
}
