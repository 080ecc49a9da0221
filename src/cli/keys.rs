//! `sekisho keys`: who may ask and order. I/O.
//!
//! Works on the data directory, so the first key can be made before a node listens; a running node reads the file again
//! by itself. A key is shown once, on stdout alone.

use std::path::{Path, PathBuf};

use crate::api::{KeyError, Role, StoredKey, add_key, list_keys, remove_key};
use crate::document::parse_duration;
use crate::node::start::now;

use super::load::Loaded;
use super::output::{Format, Output, remark};
use super::{CliError, Status};

/// What follows `sekisho keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sekisho keys add shipper --role ingest --config /etc/sekisho/sekisho.yaml
  sekisho keys add firewall --role read --expires 365d --data ./data > firewall.key
  sekisho keys list --data ./data
  sekisho keys remove shipper --data ./data")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key and show it, this once
    Add(Add),
    /// Show the keys there are, not what they are
    List(List),
    /// Take a key away; a running node refuses it within seconds
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Whose it is: letters, digits, `-`, `_` and `.`
    #[arg(value_name = "NAME")]
    name: String,
    /// What it allows
    #[arg(long, value_enum)]
    role: Word,
    /// After how long it no longer counts: 90d
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct List {
    /// For people or for programs
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// Whose
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Roles as the command line reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Word {
    /// Send lines
    Ingest,
    /// Search, and read alerts and blocks
    Read,
    /// Read, block, lift and allow
    Respond,
    /// Everything
    Admin,
}

/// Which data directory is meant.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Place {
    /// The node's data directory; `data` of the configuration otherwise
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The node's configuration
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The data directory, which is there.
    ///
    /// # Errors
    /// A configuration that cannot be read, a directory that is none.
    pub fn folder(&self) -> Result<PathBuf, CliError> {
        let folder = match &self.data {
            Some(data) => data.clone(),
            None => PathBuf::from(Loaded::settings_of(self.config.as_deref())?.data),
        };
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(CliError::environment(format!(
            "there is no data directory at {}\n  = name the node's with --data or --config; its first start makes one",
            folder.display()
        )))
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Status, CliError> {
    match &arguments.command {
        Command::Add(add) => run_add(add, &add.place.folder()?),
        Command::List(list) => run_list(list, &list.place.folder()?),
        Command::Remove(remove) => {
            remove_key(&remove.place.folder()?, &remove.name).map_err(|error| refused(&error))?;
            remark(&format!("the key of {} no longer counts; a running node hears of it within seconds", remove.name));
            Ok(Status::Done)
        }
    }
}

fn run_add(add: &Add, data: &Path) -> Result<Status, CliError> {
    let role = match add.role {
        Word::Ingest => Role::Ingest,
        Word::Read => Role::Read,
        Word::Respond => Role::Respond,
        Word::Admin => Role::Admin,
    };
    let lasts = add.expires.as_deref().map(|text| {
        let read = parse_duration(text).filter(|length| *length > 0);
        read.ok_or_else(|| CliError::usage(format!("--expires must be a length of time such as 90d, not {text:?}")))
    });
    let (now, lasts) = (now(), lasts.transpose()?);
    let first = list_keys(data).map_err(|error| refused(&error))?.is_empty();
    let until = lasts.map(|lasts| now.plus(lasts));
    let key = add_key(data, &add.name, role, (now, until)).map_err(|error| refused(&error))?;
    let mut out = Output::stdout();
    out.line(&key)?;
    out.finish()?;
    remark(&format!("this is the key of {}; it is shown this once and kept as a hash only", add.name));
    if first {
        remark("from now on this node answers nobody without a key: give programs SEKISHO_KEY");
    }
    Ok(Status::Done)
}

fn run_list(list: &List, data: &Path) -> Result<Status, CliError> {
    let keys = list_keys(data).map_err(|error| refused(&error))?;
    let mut out = Output::stdout();
    match list.output {
        Format::Json => out.json(&keys.iter().map(shown).collect::<Vec<_>>())?,
        Format::Table => {
            let row = |key: &StoredKey| {
                let expires = key.expires_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
                [key.name.clone(), key.role.word().to_owned(), key.created_at.to_string(), expires, key.id.clone()]
            };
            out.table(["NAME", "ROLE", "SINCE", "EXPIRES", "ID"], &keys.iter().map(row).collect::<Vec<_>>())?;
        }
    }
    out.finish()?;
    Ok(Status::Done)
}

/// Without the hash: it is of no use to anybody who lists.
fn shown(key: &StoredKey) -> serde_json::Value {
    let (name, role, id) = (&key.name, key.role.word(), &key.id);
    serde_json::json!({ "name": name, "role": role, "created_at": key.created_at, "expires_at": key.expires_at, "id": id })
}

fn refused(error: &KeyError) -> CliError {
    match error {
        KeyError::Io { .. } | KeyError::NoRandomness => CliError::environment(error.to_string()),
        KeyError::Broken { .. } | KeyError::Name(_) | KeyError::Taken(_) | KeyError::Unknown(_) | KeyError::Full => {
            CliError::fault(error.to_string())
        }
    }
}
