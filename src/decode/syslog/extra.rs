//! The fields of syslog messages that have no slot, and which of them are kept. Pure.
//!
//! Deliberately a closed list: which are kept is asked once, when the decoder is built, not once per line.

use std::collections::BTreeSet;

use crate::decode::Keep;

/// A field without a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Extra {
    Timezone,
    MessageId,
    ProcessId,
    SshEvent,
    SshMethod,
    SshSignature,
    SshDroppedAddress,
    SudoCommand,
    SudoDirectory,
    SudoTerminal,
    SudoUser,
    SudoError,
    UserAddHome,
    UserAddShell,
    UserId,
    GroupId,
    GroupName,
}

/// The extras in the order of [`Extra`], with their names.
const NAMES: &[(Extra, &str)] = &[
    (Extra::Timezone, "event.timezone"),
    (Extra::MessageId, "log.syslog.msgid"),
    (Extra::ProcessId, "log.syslog.procid"),
    (Extra::SshEvent, "system.auth.ssh.event"),
    (Extra::SshMethod, "system.auth.ssh.method"),
    (Extra::SshSignature, "system.auth.ssh.signature"),
    (Extra::SshDroppedAddress, "system.auth.ssh.dropped_ip"),
    (Extra::SudoCommand, "system.auth.sudo.command"),
    (Extra::SudoDirectory, "system.auth.sudo.pwd"),
    (Extra::SudoTerminal, "system.auth.sudo.tty"),
    (Extra::SudoUser, "system.auth.sudo.user"),
    (Extra::SudoError, "system.auth.sudo.error"),
    (Extra::UserAddHome, "system.auth.useradd.home"),
    (Extra::UserAddShell, "system.auth.useradd.shell"),
    (Extra::UserId, "user.id"),
    (Extra::GroupId, "group.id"),
    (Extra::GroupName, "group.name"),
];

/// How often the message itself says that it occurred. Always kept: it changes what the event means.
pub(super) const REPEAT: &str = "sekisho.repeat";
/// RFC 5424's structured data, one field per element and parameter, go under this name.
pub(super) const STRUCTURED: &str = "log.syslog.structured_data";

/// Which extras are worth the time.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    extras: [bool; NAMES.len()],
    structured: Keep,
}

impl Extra {
    pub(super) fn name(self) -> &'static str {
        NAMES[self as usize].1
    }
}

impl Kept {
    pub(super) fn new(keep: &Keep) -> Kept {
        match keep {
            Keep::All => Kept { extras: [true; NAMES.len()], structured: Keep::All },
            Keep::Named(names) => {
                let mut extras = [false; NAMES.len()];
                for (kept, (_, name)) in extras.iter_mut().zip(NAMES) {
                    *kept = names.contains(*name);
                }
                let structured = names.iter().filter(|name| name.starts_with(STRUCTURED)).cloned();
                Kept { extras, structured: Keep::Named(structured.collect::<BTreeSet<_>>()) }
            }
        }
    }

    pub(super) fn has(&self, extra: Extra) -> bool {
        self.extras[extra as usize]
    }

    /// Whether any structured data can be kept at all.
    pub(super) fn any_structured(&self) -> bool {
        match &self.structured {
            Keep::All => true,
            Keep::Named(names) => !names.is_empty(),
        }
    }

    pub(super) fn structured(&self, name: &str) -> bool {
        match &self.structured {
            Keep::All => true,
            Keep::Named(names) => names.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_enum() {
        assert!(NAMES.iter().enumerate().all(|(at, (extra, _))| *extra as usize == at));
    }

    #[test]
    fn only_what_is_named_is_kept() {
        let names = ["system.auth.sudo.command", "log.syslog.structured_data.a@1.b"].map(str::to_owned);
        let kept = Kept::new(&Keep::Named(names.into()));
        assert!(kept.has(Extra::SudoCommand) && !kept.has(Extra::SudoUser));
        assert!(kept.any_structured() && kept.structured("log.syslog.structured_data.a@1.b"));
        assert!(!kept.structured("log.syslog.structured_data.a@1.c"));
        assert!(!Kept::new(&Keep::Named(BTreeSet::new())).any_structured());
    }
}
