//! The repository checks its own style: what no lint knows (design §5, style "Guards that work").
#![expect(clippy::disallowed_methods, reason = "tests read files and run programs")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that may not touch the world.
const PURE: &[&str] =
    &["event", "document", "decode", "enrich", "detect", "respond", "config", "catalog", "fold", "demo"];
/// Words that only the rooms of the world may say.
const WORLDLY: &[&str] = &[
    "tokio",
    "rdkafka",
    "tantivy",
    "tracing",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "SystemTime",
    "Instant::now",
    "std::thread",
    "Mutex",
    "RwLock",
    "async fn",
    "static mut",
    "rand::",
    "std::env",
    "std::process",
];
/// Rooms of the second group: they speak through `event` and `document` alone.
const NEIGHBOURS: &[&str] = &["decode", "enrich", "detect", "respond", "config"];
/// Which rooms a room may import, besides itself. `main` and `lib` are free.
const FLOORS: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("document", &["event"]),
    ("decode", &["event", "document"]),
    ("enrich", &["event", "document"]),
    ("detect", &["event", "document"]),
    ("respond", &["event", "document"]),
    ("config", &["event", "document"]),
    ("index", &["event"]),
    ("catalog", &["event", "document", "decode", "enrich", "detect", "respond", "config"]),
    ("fold", &["event", "document", "decode", "enrich", "detect", "respond", "config", "catalog"]),
    ("demo", &["event"]),
    ("journal", &["event"]),
    ("api", &["event", "document", "config", "journal"]),
    (
        "node",
        &[
            "event", "document", "decode", "enrich", "detect", "respond", "config", "catalog", "fold", "journal",
            "index", "collect", "api",
        ],
    ),
    ("collect", &["event", "config", "catalog", "journal"]),
    ("replay", &["event", "document", "decode", "enrich", "detect", "respond", "config", "catalog", "fold"]),
];
/// The rooms that may be asynchronous: elsewhere a function runs to its end once it was called.
const ASYNCHRONOUS: &[&str] = &["api"];
/// Lines of a source file, tests apart (style, row 14).
const FILE_LINES_MAX: usize = 500;
/// Lines of a function (TigerStyle; clippy checks it too, this covers tests).
const BANNED_MODULES: &[&str] = &["utils", "util", "common", "helpers", "types", "manager", "misc"];

struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// The room: the first folder (or file) under `src`.
    fn room(&self) -> String {
        let inside = self.path.strip_prefix(root().join("src")).expect("a file of src");
        let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    }

    /// Code without comments and tests.
    fn code(&self) -> String {
        let body = self.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let bare = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        body.lines().map(bare).collect::<Vec<_>>().join("\n")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_under(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<File> {
    let mut paths = Vec::new();
    files_under(&root().join("src"), "rs", &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "the sources are not where they should be");
    paths.into_iter().map(|path| File { text: fs::read_to_string(&path).expect("a source file"), path }).collect()
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_its_band() {
    let without = |file: &File| {
        let head: String = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let band = ["Pure", "I/O"].iter().any(|band| head.contains(band));
        (!band).then(|| format!("{}: the module doc must name its band, Pure or I/O", file.path.display()))
    };
    report(sources().iter().filter(|file| file.room() != "lib").filter_map(without).collect());
}

#[test]
fn pure_rooms_do_not_touch_the_world() {
    let mut faults = Vec::new();
    for file in sources().iter().filter(|file| PURE.contains(&file.room().as_str())) {
        let code = file.code();
        for word in WORLDLY.iter().filter(|word| code.contains(**word)) {
            faults.push(format!("{}: a pure room says `{word}`", file.path.display()));
        }
    }
    report(faults);
}

#[test]
fn imports_point_down_and_never_sideways() {
    let mut faults = Vec::new();
    for file in sources() {
        let room = file.room();
        let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == room) else { continue };
        let code = file.code();
        for other in FLOORS.iter().map(|(name, _)| *name).chain(["cli"]) {
            let named = code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{other};"));
            if named && other != room && !allowed.contains(&other) {
                faults.push(format!("{}: `{room}` imports `{other}`", file.path.display()));
            }
        }
    }
    report(faults);
    assert!(NEIGHBOURS.iter().all(|room| root().join("src").join(room).is_dir()));
}

#[test]
fn only_the_edges_are_asynchronous() {
    let mut faults = Vec::new();
    for file in sources().iter().filter(|file| !ASYNCHRONOUS.contains(&file.room().as_str())) {
        let code = file.code();
        for word in ["tokio::", "async fn", "async move"].iter().filter(|word| code.contains(**word)) {
            faults.push(format!("{}: says `{word}`", file.path.display()));
        }
    }
    report(faults);
}

#[test]
fn files_stay_small() {
    let too_long = |file: &File| {
        let lines = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", file.path.display()))
    };
    report(sources().iter().filter_map(too_long).collect());
}

#[test]
fn modules_have_names_that_say_something() {
    let banned = |file: &File| {
        let stem = file.path.file_stem()?.to_string_lossy().into_owned();
        let folder = file.path.parent()?.file_name()?.to_string_lossy().into_owned();
        let bad = |name: &str| BANNED_MODULES.contains(&name);
        (bad(&stem) || bad(&folder)).then(|| format!("{}: name what it does", file.path.display()))
    };
    report(sources().iter().filter_map(banned).collect());
}

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    for file in sources() {
        for (number, line) in file.text.lines().enumerate() {
            let marks = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!("{}:{}: {}", file.path.display(), number + 1, line.trim()));
            }
        }
    }
    report(faults);
}

#[test]
fn every_scenario_folder_is_whole() {
    let scenarios = root().join("tests/scenarios");
    let folders: Vec<PathBuf> =
        fs::read_dir(&scenarios).expect("tests/scenarios").flatten().map(|e| e.path()).collect();
    let lacking = |folder: &PathBuf| {
        let has = |name: &str| folder.join(name).is_file();
        (!has("scenario.yml")).then(|| format!("{}: no scenario.yml", folder.display()))
    };
    report(folders.iter().filter(|path| path.is_dir()).filter_map(lacking).collect());
}
