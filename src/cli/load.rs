//! Reads the files that people write from disk: configuration, rules, pipelines, GeoIP databases. I/O.
//!
//! What cannot be read is a fault beside the others, so that one run shows everything that is wrong.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::catalog::{Catalog, File, Files, GeoDatabase, KeepExtras, Maker, built_in};
use crate::config::{self, Config};
use crate::document::{self, FILE_BYTES_MAX, Fault, Faults, nearest};

use super::CliError;

/// The largest database MaxMind sells is under this; a file beyond it is a mistake.
const DATABASE_BYTES_MAX: u64 = 2 << 30;
/// Deeper folders than this are a link to themselves, or not a folder of rules.
const FOLDER_DEPTH_MAX: usize = 16;

/// Which files a command works with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Sources {
    /// The configuration: networks, lists, response; without it the defaults
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Rules in place of the built-in ones: a file or folder
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Rules besides the built-in ones
    #[arg(long, value_name = "PATH")]
    pub add_rules: Vec<PathBuf>,
    /// Pipelines in place of the built-in ones: a file or folder
    #[arg(long, value_name = "PATH")]
    pub pipelines: Vec<PathBuf>,
    /// Pipelines besides the built-in ones
    #[arg(long, value_name = "PATH")]
    pub add_pipelines: Vec<PathBuf>,
}

/// What was read, and what was wrong so far.
#[derive(Debug, Default)]
pub struct Loaded {
    pub config: Config,
    pub files: Files,
    pub faults: Faults,
}

impl Sources {
    /// Reads everything and builds the catalog.
    ///
    /// # Errors
    /// All faults of all files, as one message.
    pub fn catalog(&self, keep: KeepExtras) -> Result<(Config, Catalog), CliError> {
        self.load().build(keep).map_err(|faults| CliError::from(&faults))
    }

    /// Reads everything.
    pub fn load(&self) -> Loaded {
        let mut loaded = Loaded::of_config(self.config.as_deref());
        let ours = built_in();
        loaded.files.rules = if self.rules.is_empty() { ours.rules } else { Vec::new() };
        loaded.files.pipelines = if self.pipelines.is_empty() { ours.pipelines } else { Vec::new() };
        for path in self.rules.iter().chain(&self.add_rules) {
            let files = loaded.read_all(path);
            loaded.files.rules.extend(files);
        }
        for path in self.pipelines.iter().chain(&self.add_pipelines) {
            let files = loaded.read_all(path);
            loaded.files.pipelines.extend(files);
        }
        loaded
    }
}

impl Loaded {
    /// Reads the configuration and the databases it names.
    pub fn of_config(path: Option<&Path>) -> Loaded {
        let mut loaded = Loaded::default();
        let Some(path) = path else { return loaded };
        match read_text(path) {
            Ok(text) => loaded.take_config(path, &text),
            Err(fault) => loaded.faults.push(fault),
        }
        loaded
    }

    /// Reads the configuration alone: for commands that ask where a node is, not what it judges by.
    ///
    /// # Errors
    /// All faults of the file, as one message.
    pub(super) fn settings_of(path: Option<&Path>) -> Result<Config, CliError> {
        let Some(path) = path else { return Ok(Config::default()) };
        let text = read_text(path).map_err(|fault| {
            let mut faults = Faults::default();
            faults.push(fault);
            CliError::from(&faults)
        })?;
        let environment = |name: &str| std::env::var(name).ok();
        config::parse(&name_of(path), &text, &environment).map_err(|faults| CliError::from(&faults))
    }

    fn take_config(&mut self, path: &Path, text: &str) {
        let environment = |name: &str| std::env::var(name).ok();
        match config::parse(&name_of(path), text, &environment) {
            Ok(config) => self.config = config,
            Err(faults) => return self.extend(faults),
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        self.files.country = self.database(folder, "geoip.country");
        self.files.asn = self.database(folder, "geoip.asn");
    }

    fn database(&mut self, folder: &Path, key: &str) -> Option<GeoDatabase> {
        let geoip = &self.config.geoip;
        let written = if key == "geoip.asn" { geoip.asn.as_ref() } else { geoip.country.as_ref() };
        let path = folder.join(written?);
        match read_limited(&path, DATABASE_BYTES_MAX) {
            Ok(bytes) => Some(GeoDatabase::Bytes(bytes.into())),
            Err(problem) => {
                let fault = self.config.fault(self.config.spot(key), format!("{}: {problem}", name_of(&path)));
                self.faults
                    .push(fault.suggest(format!("mend the path of `{key}`; it starts at the configuration's folder")));
                None
            }
        }
    }

    /// Reads a file, or every YAML file below a folder, in the order of their paths.
    pub fn read_all(&mut self, path: &Path) -> Vec<File> {
        let mut paths = Vec::new();
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                if let Err(fault) = walk(path, 0, &mut paths) {
                    self.faults.push(fault);
                } else if paths.is_empty() {
                    let fault = Fault::of_file(&name_of(path), "the folder holds no .yml or .yaml file");
                    self.faults.push(fault.suggest("name the folder that holds the rules or pipelines"));
                }
            }
            Ok(_) => paths.push(path.to_owned()),
            Err(error) => self.faults.push(unreadable(path, &error)),
        }
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            match read_text(&path) {
                Ok(text) => files.push(File { path: name_of(&path), text, maker: Maker::User }),
                Err(fault) => self.faults.push(fault),
            }
        }
        files
    }

    /// Adds faults to those there are.
    pub fn extend(&mut self, faults: Faults) {
        self.faults.dropped += faults.dropped;
        faults.list.into_iter().for_each(|fault| self.faults.push(fault));
    }

    /// Builds the catalog.
    ///
    /// # Errors
    /// All faults: those of reading and those of building.
    pub fn build(mut self, keep: KeepExtras) -> Result<(Config, Catalog), Faults> {
        match Catalog::build(&self.config, &self.files, keep) {
            Ok(catalog) if self.faults.is_empty() => Ok((self.config, catalog)),
            Ok(_) => Err(self.faults),
            Err(faults) => {
                self.extend(faults);
                Err(self.faults)
            }
        }
    }
}

/// A path as messages name it.
fn name_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The YAML files below a folder. Hidden ones are not meant, and linked folders are not followed: they may be circles.
fn walk(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), Fault> {
    if depth > FOLDER_DEPTH_MAX {
        return Err(Fault::of_file(&name_of(folder), format!("folders are nested deeper than {FOLDER_DEPTH_MAX}")));
    }
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, depth + 1, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The text of a file that a person wrote.
fn read_text(path: &Path) -> Result<String, Fault> {
    let bytes = match read_limited(path, FILE_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(Problem::System(error)) => return Err(unreadable(path, &error)),
        Err(problem) => return Err(Fault::of_file(&name_of(path), problem.to_string())),
    };
    let broken = bytes.iter().position(|byte| *byte == 0);
    let binary = |at: usize| {
        let fault = Fault::of_file(&name_of(path), format!("not a text file: byte {at} belongs to no UTF-8 text"));
        fault.suggest("configuration, rules and pipelines are YAML in UTF-8; name such a file")
    };
    match (broken, String::from_utf8(bytes)) {
        (Some(at), _) => Err(binary(at)),
        (None, Err(error)) => Err(binary(error.utf8_error().valid_up_to())),
        (None, Ok(text)) => Ok(text),
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{}", says(.0))]
    System(#[from] io::Error),
    #[error("neither a file nor a folder")]
    Special,
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Problem> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    // A pipe or a device may never end.
    if !metadata.is_file() {
        return Err(Problem::Special);
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(Problem::TooLarge(limit)) } else { Ok(bytes) }
}

/// A file that the system does not give, with advice.
fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let fault = Fault::of_file(&name_of(path), says(error));
    if error.kind() == io::ErrorKind::PermissionDenied {
        return fault.suggest("let the user who runs sekisho read it");
    }
    if error.kind() != io::ErrorKind::NotFound {
        return fault;
    }
    match sibling(path) {
        Some(near) => fault.suggest(format!("did you mean `{near}`?")),
        None => fault.suggest("check the path"),
    }
}

fn says(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "there is no such file or folder"),
        (io::ErrorKind::PermissionDenied, "cannot be read: permission denied"),
        (io::ErrorKind::IsADirectory, "is a folder, not a file"),
    ];
    let said = known.into_iter().find(|(kind, _)| *kind == error.kind()).map(|(_, text)| text.to_owned());
    said.unwrap_or_else(|| format!("cannot be read: {error}"))
}

/// The path beside a missing one that is most like it.
fn sibling(path: &Path) -> Option<String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wanted = path.file_name()?.to_string_lossy();
    let entries = fs::read_dir(parent).ok()?.filter_map(Result::ok);
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let near = nearest(&wanted, names.iter().map(String::as_str))?;
    Some(name_of(&path.with_file_name(near)))
}

/// What kind of file a person gave to a command that takes any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Rule,
    Pipeline,
    Config,
}

/// Tells by the keys of the first document, or by the path where it cannot be parsed.
pub(super) fn kind_of(file: &File) -> FileKind {
    const OF_CONFIG: [&str; 9] =
        ["data", "http", "journal", "networks", "time", "response", "collect", "geoip", "retention"];
    let has = |root: &document::Node, keys: &[&str]| keys.iter().any(|key| root.get(key).is_some());
    let root = document::parse(&file.path, &file.text).ok().and_then(|documents| documents.into_iter().next());
    match root.map(|document| document.root) {
        Some(root) if has(&root, &["decoders", "dataset", "samples", "logins"]) => FileKind::Pipeline,
        Some(root) if has(&root, &["detection", "correlation", "logsource", "title"]) => FileKind::Rule,
        Some(root) if has(&root, &OF_CONFIG) => FileKind::Config,
        Some(_) | None if file.path.ends_with("sekisho.yaml") => FileKind::Config,
        Some(_) | None if file.path.split(['/', '\\']).any(|part| part == "pipelines") => FileKind::Pipeline,
        Some(_) | None => FileKind::Rule,
    }
}

impl Loaded {
    /// Takes files of any kind: pipelines and rules besides the built-in ones, where they stand in for those of the
    /// same name or id; and a configuration. Returns the paths of all.
    pub(super) fn take_any(&mut self, paths: &[PathBuf]) -> Vec<String> {
        let ours = built_in();
        let given: Vec<File> = paths.iter().flat_map(|path| self.read_all(path)).collect();
        let names: Vec<String> = given.iter().map(|file| file.path.clone()).collect();
        let (mut rules, mut pipelines) = (Vec::new(), Vec::new());
        for file in given {
            match kind_of(&file) {
                FileKind::Rule => rules.push(file),
                FileKind::Pipeline => pipelines.push(file),
                FileKind::Config => self.take_config(Path::new(&file.path), &file.text),
            }
        }
        self.files.rules = beside(ours.rules, rules);
        self.files.pipelines = beside(ours.pipelines, pipelines);
        names
    }
}

/// Built-in files whose names and ids no given file uses, then the given ones.
fn beside(ours: Vec<File>, given: Vec<File>) -> Vec<File> {
    let words = |file: &File| {
        let documents = document::parse(&file.path, &file.text).unwrap_or_default();
        let word = |root: &document::Node, key: &str| root.get(key).and_then(|node| node.text()).map(str::to_owned);
        documents.iter().flat_map(|d| [word(&d.root, "id"), word(&d.root, "name")]).flatten().collect::<Vec<_>>()
    };
    let taken: std::collections::BTreeSet<String> = given.iter().flat_map(words).collect();
    let kept = ours.into_iter().filter(|file| words(file).iter().all(|word| !taken.contains(word)));
    kept.chain(given).collect()
}
