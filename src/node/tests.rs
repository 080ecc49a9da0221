//! The stages over a simulated disk: whatever fails and whenever, the end is that of a run without faults. I/O.
//!
//! `SEKISHO_SEED=n` runs one seed, `SEKISHO_SEEDS=n` that many.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::catalog::{Catalog, CatalogText, Files, KeepExtras, built_in};
use crate::config::Config;
use crate::event::outcome::Level;
use crate::event::{Command, Entry, HOUR, Input, MINUTE, Order, Pack, SECOND, SIGNALS, Signal, Tally, Time};
use crate::fold::{Batch, Examiner, Folded, Folder, Ingest, RawRecord, Sightings, signals};
use crate::journal::embedded::{Embedded, Fault, Settings, SimulatedDisk};
use crate::journal::{Commit, Journal, JournalError, NewRecord, Records};

use super::NodeError;
use super::catalogs::Catalogs;
use super::decide::Decider;
use super::ingest::Ingester;
use super::mutants::{self, Mutant};
use super::outputs::{self, Outputs};

/// Seeds of the suite.
const SEEDS: u64 = 10_000;
/// Seeds within which each mistake must be found.
const MUTANT_SEEDS: u64 = 1_000;
/// Starts of the process within one seed.
const LIVES: u64 = 3;
const START: i64 = 1_795_435_507_000;
pub(super) const SOONER: Duration = Duration::ZERO;

/// Every pipeline and a few rules: enough for blocks, small enough for ten thousand starts.
pub(super) static CATALOG: LazyLock<(Arc<Catalog>, CatalogText)> = LazyLock::new(|| {
    let all = built_in();
    let named = |path: &str, names: &[&str]| names.iter().any(|name| path.ends_with(&format!("/{name}.yml")));
    let rules =
        ["failed_login", "successful_login", "guessing_one_account", "web_request", "request_flood", "error_share"];
    let files = Files {
        pipelines: all.pipelines,
        rules: all.rules.into_iter().filter(|file| named(&file.path, &rules)).collect(),
        ..Files::default()
    };
    let config = Config::default();
    let catalog = Catalog::build(&config, &files, KeepExtras::Named).unwrap_or_else(|faults| panic!("{faults}"));
    (Arc::new(catalog), CatalogText::of(&config, &files))
});

pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 27)) >> 8) % limit
    }
}

/// A machine that can stop anywhere, and the time.
pub(super) struct World {
    disk: SimulatedDisk,
    now: Arc<AtomicI64>,
    pub(super) random: Random,
    pub(super) snapshots: tempfile::TempDir,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        World {
            disk: SimulatedDisk::new(seed),
            now: Arc::new(AtomicI64::new(START)),
            random: Random(seed),
            snapshots: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(super) fn open(&self) -> Result<Arc<Embedded>, JournalError> {
        let now = Arc::clone(&self.now);
        let clock = Arc::new(move || Time(now.load(Ordering::Relaxed)));
        Embedded::open_on(Arc::new(self.disk.clone()), clock, Settings::small()).map(Arc::new)
    }

    pub(super) fn pass(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Lines of an office and a guesser, some of them late or garbled.
    pub(super) fn lines(&mut self) -> (Input, Records) {
        let mut records = Records::default();
        let topic = ["nginx", "login"][self.random.below(2) as usize];
        for _ in 0..1 + self.random.below(12) {
            let line = self.line(topic);
            records.push(NewRecord { key: None, value: line.as_bytes(), spoofable: self.random.below(9) == 0 });
        }
        (Input { topic: topic.to_owned(), partition: self.random.below(2) as u32 }, records)
    }

    fn line(&mut self, topic: &str) -> String {
        let behind = [0, 0, 0, 500, 7_000, 700_000][self.random.below(6) as usize];
        let at = Time(self.now.load(Ordering::Relaxed) - behind);
        let client = format!("81.2.69.{}", 1 + self.random.below(3));
        if topic == "login" {
            let outcome = ["failure", "failure", "failure", "success"][self.random.below(4) as usize];
            return format!(r#"{{"time":"{at}","client_ip":"{client}","user":"ann","outcome":"{outcome}"}}"#);
        }
        if self.random.below(20) == 0 {
            return "no access line at all".to_owned();
        }
        let status = [200, 200, 401, 500][self.random.below(4) as usize];
        let iso = at.to_string();
        format!(
            r#"{{"time":"{iso}","remote_addr":"{client}","request_method":"GET","request_uri":"/","status":{status}}}"#
        )
    }

    fn order(&mut self) -> Entry {
        let target = format!("81.2.69.{}/32", 1 + self.random.below(4)).parse().expect("a network");
        let order = match self.random.below(4) {
            0 => {
                let reason = "by hand".to_owned();
                Order::Block { target, level: Level::Block, ttl: MINUTE, reason, import: false }
            }
            1 => Order::Lift { target },
            2 => Order::Allow { networks: vec![target], reason: String::new() },
            _ => Order::Disallow { networks: vec![target] },
        };
        Entry::Command(Command { by: "shift".to_owned(), order })
    }
}

pub(super) fn append(journal: &Embedded, input: Input, records: Records) -> Result<(), NodeError> {
    journal.append(Commit { appends: vec![(input, records)], ..Commit::default() })?;
    Ok(())
}

/// One life of the process: a few dozen steps, or until something fails.
fn live(world: &mut World) -> Result<(), NodeError> {
    let (catalog, text) = &*CATALOG;
    // Full disks are not waited for: the process ends instead.
    let stop = AtomicBool::new(true);
    let journal = world.open()?;
    let (mut decider, _) = Decider::start(&journal, catalog, world.snapshots.path())?;
    let mut ingester = Ingester::start(&*journal, Arc::clone(catalog), text)?;
    for _ in 0..world.random.below(60) {
        let passed = world.random.below(400) as i64;
        world.pass(passed);
        let step = world.random.below(12);
        match step {
            0..5 => {
                let (input, records) = world.lines();
                append(&journal, input, records)?;
            }
            5..7 => drop(ingester.step(SOONER, &stop)?),
            7 => ingester.tick(&stop)?,
            8..10 => {
                let stepped = decider.step(SOONER, &stop);
                if stepped.is_err() && mutants::has(Mutant::SnapshotAhead) {
                    decider.snapshot(world.snapshots.path()).expect("a snapshot");
                }
                stepped?;
            }
            10 => {
                let mut records = Records::default();
                let order = world.order().encode();
                records.push(NewRecord { key: None, value: &order, spoofable: false });
                append(&journal, signals(), records)?;
            }
            _ if world.random.below(4) == 0 => world.pass(HOUR),
            _ => decider.snapshot(world.snapshots.path()).expect("a snapshot"),
        }
    }
    Ok(())
}

/// A last life without faults: everything is folded.
fn settle(world: &World) -> Arc<Embedded> {
    let (catalog, text) = &*CATALOG;
    let stop = AtomicBool::new(true);
    let journal = world.open().expect("the log opens");
    let (mut decider, restored) = Decider::start(&journal, catalog, world.snapshots.path()).expect("decide starts");
    assert!(!restored.blind);
    let mut ingester = Ingester::start(&*journal, Arc::clone(catalog), text).expect("ingest starts");
    world.pass(20 * SECOND);
    while ingester.step(SOONER, &stop).expect("ingest") > 0 {}
    ingester.tick(&stop).expect("a tick");
    ingester.tick(&stop).expect("a tick");
    let end = |journal: &Embedded| journal.partitions(SIGNALS).expect("offsets")[0].1.end;
    while decider.folder().next() < end(&journal) {
        decider.step(SOONER, &stop).expect("decide");
    }
    journal
}

/// Every record of a partition.
fn all(journal: &Embedded, input: &Input) -> Vec<(u64, Time, Vec<u8>, bool)> {
    let mut found: Vec<(u64, Time, Vec<u8>, bool)> = Vec::new();
    loop {
        let next = found.last().map_or(0, |(offset, ..)| offset + 1);
        let blocks = journal.read(input, next, 1 << 20).expect("records");
        if blocks.is_empty() {
            return found;
        }
        let records = blocks.iter().flat_map(|block| block.iter());
        found
            .extend(records.map(|record| (record.offset, record.appended_at, record.value.to_vec(), record.spoofable)));
    }
}

fn entries(journal: &Embedded) -> Vec<(u64, Time, Entry)> {
    let records = all(journal, &signals()).into_iter();
    records.map(|(offset, at, value, _)| (offset, at, Entry::decode(&value).expect("an entry"))).collect()
}

/// What left is what folding the records of `sekisho.signals` once gives, byte for byte (laws 1, 2, 4 and 10).
fn check_outcomes(journal: &Arc<Embedded>) {
    let mut folder = Folder::new(Arc::clone(&CATALOG.0), 0, 7);
    let mut catalogs = Catalogs::new(Arc::clone(journal), &CATALOG.0);
    let expected = World::new(0).open().expect("an empty log");
    for (offset, at, entry) in entries(journal) {
        let mut folded = Folded::default();
        folder.fold((offset, at), entry, &mut |name| catalogs.get(name), &mut folded).expect("it folds");
        let appends: Vec<_> = Outputs::of(&folded).appends().collect();
        if !appends.is_empty() {
            expected.append(Commit { appends, ..Commit::default() }).expect("there is room");
        }
    }
    for topic in [outputs::ALERTS, outputs::BLOCKS, outputs::INCIDENTS, outputs::ANSWERS] {
        let input = Input { topic: topic.to_owned(), partition: 0 };
        let values =
            |journal: &Embedded| all(journal, &input).into_iter().map(|(.., value, _)| value).collect::<Vec<_>>();
        assert_eq!(values(journal), values(&expected), "{topic}");
    }
}

/// Packs tile each input without gap or overlap, and hold the signals and sums of the input folded at once (law 3).
fn check_packs(journal: &Embedded) {
    let mut packs: BTreeMap<Input, Vec<Pack>> = BTreeMap::new();
    for (_, _, entry) in entries(journal) {
        if let Entry::Pack(pack) = entry {
            packs.entry(pack.input.clone()).or_default().push(pack);
        }
    }
    for topic in ["nginx", "login"] {
        for (input, range) in journal.partitions(topic).expect("offsets") {
            let packs = packs.remove(&input).unwrap_or_default();
            let mut next = 0;
            for pack in &packs {
                assert_eq!(pack.from, next, "{input:?}: a gap or an overlap");
                next = pack.to;
            }
            assert_eq!(next, range.end, "{input:?}: not all of it was judged");
            assert_eq!(sums(packs), sums(refolded(journal, &input)), "{input:?}");
        }
    }
}

/// Signals in offset order, and tallies added up.
fn sums(packs: Vec<Pack>) -> (Vec<Signal>, Vec<Tally>) {
    let mut whole = Batch::default();
    let Some(first) = packs.first() else { return Default::default() };
    let (input, catalog) = (first.input.clone(), first.catalog);
    packs.into_iter().filter(|pack| pack.from < pack.to).for_each(|pack| whole.push_pack(Default::default(), pack));
    let packs = whole.take_packs(&[input], catalog);
    packs.into_iter().map(|pack| (pack.signals, pack.tallies)).next().unwrap_or_default()
}

fn refolded(journal: &Embedded, input: &Input) -> Vec<Pack> {
    let catalog = &CATALOG.0;
    let pipeline = catalog.pipeline_named(&input.topic).expect("a pipeline");
    let mut examiner = Examiner::new(Arc::clone(catalog), pipeline);
    let mut ingest = Ingest::new(Arc::clone(catalog), vec![(input.clone(), pipeline)]);
    let (mut batch, mut sightings) = (Batch::default(), Sightings::default());
    for (offset, at, value, spoofable) in all(journal, input) {
        sightings.clear();
        examiner.examine(RawRecord { offset, bytes: &value, spoofable }, at, &mut sightings);
        (0..sightings.items.len()).for_each(|index| ingest.place(0, (&sightings, index), at, &mut batch));
    }
    batch.take_packs(std::slice::from_ref(input), catalog.hash)
}

/// Runs a seed and gives a hash of everything the disk was asked for.
fn run(seed: u64) -> u64 {
    let (world, journal) = lived(seed);
    check_packs(&journal);
    check_outcomes(&journal);
    world.disk.trace()
}

/// Some lives with faults and a last one without.
fn lived(seed: u64) -> (World, Arc<Embedded>) {
    let mut world = World::new(seed);
    for _ in 0..LIVES {
        match world.random.below(4) {
            0 => world.disk.plan(Fault::Sync(world.random.below(150))),
            1 => world.disk.plan(Fault::TornWrite(world.random.below(150))),
            2 => world.disk.set_capacity(world.disk.used() + world.random.below(300_000)),
            _ => {}
        }
        world.disk.plan(Fault::Crash(world.random.below(500)));
        match live(&mut world) {
            Ok(())
            | Err(NodeError::Journal(
                JournalError::Io { .. } | JournalError::Full { .. } | JournalError::Unreadable { .. },
            )) => {}
            Err(error) => panic!("no reason for this: {error}"),
        }
        world.disk.crash();
        if world.random.below(3) == 0 {
            world.disk.revive()
        } else {
            world.disk.restart()
        }
        world.disk.set_capacity(u64::MAX);
    }
    let journal = settle(&world);
    (world, journal)
}

fn run_named(seed: u64) -> u64 {
    let outcome = std::panic::catch_unwind(|| run(seed));
    outcome.unwrap_or_else(|_| panic!("SEKISHO_SEED={seed} fails; the same seed gives the same run"))
}

fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the seed of a failure is given by hand")]
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_fails_each_record_is_judged_once() {
    if let Some(seed) = setting("SEKISHO_SEED") {
        run(seed);
        return;
    }
    (0..setting("SEKISHO_SEEDS").unwrap_or(SEEDS)).for_each(|seed| {
        run_named(seed);
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let traces: Vec<u64> = (0..50).map(run_named).collect();
    assert_eq!(traces, (0..50).map(run_named).collect::<Vec<_>>());
}

#[test]
fn the_lines_of_the_simulation_lead_to_blocks() {
    let mut outcomes = 0;
    for seed in 0..20 {
        let mut world = World::new(seed);
        live(&mut world).expect("nothing fails");
        let journal = settle(&world);
        let input = Input { topic: outputs::BLOCKS.to_owned(), partition: 0 };
        outcomes += all(&journal, &input).len();
    }
    assert!(outcomes > 20, "{outcomes}");
}

#[test]
fn deleting_every_snapshot_loses_nothing() {
    let mut world = World::new(5);
    live(&mut world).expect("nothing fails");
    settle(&world);
    let journal = world.open().expect("the log opens");
    let start = |folder: &Path| Decider::start(&journal, &CATALOG.0, folder).expect("decide starts");
    let (with, by_snapshot) = start(world.snapshots.path());
    let (without, by_records) = start(Path::new("nowhere"));
    assert!(by_snapshot.from >= by_records.from);
    assert!(with.folder().save() == without.folder().save(), "a snapshot is a cache");
}

/// The simulation finds each of the mistakes that a runner of stages could well make.
#[test]
fn deliberate_faults_of_the_stages_are_found() {
    let found = |mutant| {
        // Only what the checks see counts: a mutant that panics by itself proves nothing.
        let fails = |seed: &u64| {
            let (_world, journal) = mutants::with(mutant, || lived(*seed));
            let checked = AssertUnwindSafe(|| {
                check_packs(&journal);
                check_outcomes(&journal);
            });
            std::panic::catch_unwind(checked).is_err()
        };
        let seed = (0..MUTANT_SEEDS).find(fails);
        println!("{mutant:?}: SEKISHO_SEED={seed:?}");
        seed.is_some()
    };
    for mutant in [
        Mutant::PositionsFirst,
        Mutant::PositionsLast,
        Mutant::FailureIgnored,
        Mutant::SnapshotAhead,
        Mutant::WallClock,
        Mutant::HashOrder,
    ] {
        assert!(found(mutant), "{mutant:?} goes unnoticed");
    }
}
