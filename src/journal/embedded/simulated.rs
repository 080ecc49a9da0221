//! A disk in memory that does what disks do at their worst, from a seed. I/O.
//!
//! What is not synced is kept apart from what is. At a crash each sector of each unsynced write, each change of length and
//! each change of a name is lost or kept for itself. Every action of the log is counted, so that a crash can be asked for
//! at any one of them. Deliberately without time, and with one thread in mind; the journal over it is the `memory`
//! journal of simulations.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile};

/// What is written as one or not at all.
const SECTOR: usize = 512;

/// What goes wrong, and at which action from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops before the action after this many.
    Crash(u64),
    /// A sync fails, and what was written since the last one may be lost though it reads well.
    Sync(u64),
    /// A write fails in its middle or at its end: no space was there after all.
    TornWrite(u64),
}

/// The disk; clones are the same one. Give the journal [`super::Settings::small`]: space is memory here.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<World>>);

struct World {
    random: u64,
    files: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    next_file: u64,
    capacity: u64,
    crashed: bool,
    faults: Vec<(u64, Fault)>,
    actions: u64,
    trace: u64,
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

/// What was done to a file and not synced.
enum Change {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone)]
enum NameChange {
    Set(String, u64),
    Move(String, String),
    Remove(String),
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(World {
            random: seed ^ 0x9E37_79B9_7F4A_7C15,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            next_file: 1,
            capacity: u64::MAX,
            crashed: false,
            faults: Vec::new(),
            actions: 0,
            trace: 0xCBF2_9CE4_8422_2325,
        })))
    }

    /// Plans a fault; the action it counts from is the next one.
    pub fn plan(&self, fault: Fault) {
        let mut world = self.world();
        let (Fault::Crash(after) | Fault::Sync(after) | Fault::TornWrite(after)) = fault;
        let at = world.actions.saturating_add(after);
        world.faults.push((at, fault));
    }

    /// Forgets planned faults.
    pub fn heal(&self) {
        self.world().faults.clear();
    }

    /// How many bytes fit on it in all.
    pub fn set_capacity(&self, bytes: u64) {
        self.world().capacity = bytes;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// The machine stops now.
    pub fn crash(&self) {
        self.world().crashed = true;
    }

    /// Whether it stopped.
    pub fn is_crashed(&self) -> bool {
        self.world().crashed
    }

    /// The machine starts again: what was not synced is there in part, or not.
    pub fn restart(&self) {
        let mut world = self.world();
        let world = &mut *world;
        for content in world.files.values_mut() {
            content.settle(&mut world.random);
        }
        let mut names = std::mem::take(&mut world.durable_names);
        for change in world.name_changes.drain(..) {
            if coin(&mut world.random) {
                change.apply(&mut names);
            }
        }
        world.durable_names = names.clone();
        world.names = names;
        let named: Vec<u64> = world.names.values().copied().collect();
        world.files.retain(|file, _| named.contains(file));
        world.crashed = false;
        world.faults.clear();
    }

    /// The process starts again and the machine never stopped: what was written is there, and still not synced.
    pub fn revive(&self) {
        let mut world = self.world();
        world.crashed = false;
        world.faults.clear();
    }

    /// A hash of everything that was done to it, in order: equal for equal runs.
    pub fn trace(&self) -> u64 {
        self.world().trace
    }

    /// How many actions were taken.
    pub fn actions(&self) -> u64 {
        self.world().actions
    }

    /// A file's bytes, for tests that damage them.
    pub fn bytes_of(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        let file = world.names.get(name)?;
        world.files.get(file).map(|content| content.now.clone())
    }

    /// Puts durable bytes in place of a file's.
    pub fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let mut world = self.world();
        let file = world.file(name);
        let content = Content { durable: bytes.clone(), now: bytes, changes: Vec::new() };
        world.files.insert(file, content);
        world.durable_names.insert(name.to_owned(), file);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no thread panics while it holds the simulated disk")
    }
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn coin(state: &mut u64) -> bool {
    random(state) & 1 == 0
}

impl World {
    /// Counts an action, and what is planned for it.
    fn act(&mut self, what: &str, number: u64) -> io::Result<Option<Fault>> {
        if self.crashed {
            return Err(io::Error::other("the simulated machine has stopped"));
        }
        for byte in what.bytes().chain(number.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        let now = self.actions;
        self.actions += 1;
        let planned = self.faults.iter().position(|(at, fault)| *at <= now && fault.concerns(what));
        let planned = planned.map(|index| self.faults.remove(index).1);
        if let Some(Fault::Crash(_)) = planned {
            self.crashed = true;
            // A write that the machine stops in has reached the disk in part.
            return if what == "write" { Ok(planned) } else { Err(io::Error::other("the simulated machine stops")) };
        }
        Ok(planned)
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(file)).map(|content| content.now.len() as u64).sum()
    }

    fn file(&mut self, name: &str) -> u64 {
        if let Some(file) = self.names.get(name) {
            return *file;
        }
        let file = self.next_file;
        self.next_file += 1;
        self.names.insert(name.to_owned(), file);
        file
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn content(&mut self, file: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&file).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Fault {
    fn concerns(self, action: &str) -> bool {
        match self {
            Fault::Crash(_) => true,
            Fault::Sync(_) => action.starts_with("sync"),
            Fault::TornWrite(_) => action == "write",
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Set(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Move(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Content {
    fn write(bytes: &mut Vec<u8>, at: u64, written: &[u8]) {
        let (start, end) = (at as usize, at as usize + written.len());
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(written);
    }

    /// Makes everything durable.
    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            match change {
                Change::Length(length) => self.durable.resize(length as usize, 0),
                Change::Bytes(at, bytes) => Content::write(&mut self.durable, at, &bytes),
            }
        }
    }

    /// What a crash leaves.
    fn settle(&mut self, state: &mut u64) {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Length(length) if coin(state) => self.durable.resize(length as usize, 0),
                Change::Length(_) => {}
                Change::Bytes(at, bytes) => {
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        if coin(state) {
                            Content::write(&mut self.durable, at + (index * SECTOR) as u64, sector);
                        }
                    }
                }
            }
        }
        self.now = self.durable.clone();
    }
}

impl Disk for SimulatedDisk {
    fn title(&self, name: &str) -> String {
        name.to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.act("list", 0)?;
        Ok(world.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.act("create", name.len() as u64)?;
        let file = world.next_file;
        world.next_file += 1;
        world.files.insert(file, Content::default());
        world.change_name(NameChange::Set(name.to_owned(), file));
        Ok(Arc::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.act("open", 0)?;
        let file = *world.names.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.act("rename", to.len() as u64)?;
        world.change_name(NameChange::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.act("remove", name.len() as u64)?;
        world.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut world = self.world();
        if world.act("sync names", 0)?.is_some() {
            return Err(io::Error::other("the simulated sync failed"));
        }
        world.durable_names = world.names.clone();
        world.name_changes.clear();
        Ok(())
    }

    fn secret(&self) -> u64 {
        random(&mut self.world().random)
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: u64,
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.act("length", self.file)?;
        Ok(world.content(self.file)?.now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.act("read", at)?;
        let content = world.content(self.file)?;
        let end = (at as usize).saturating_add(buffer.len());
        let bytes = content.now.get(at as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let fault = world.act("write", at ^ u64::from(crc32c::crc32c(bytes)))?;
        let end = at + bytes.len() as u64;
        let length = world.content(self.file)?.now.len() as u64;
        if world.used() + end.saturating_sub(length) > world.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Often all of it: a group of frames may fail in a later one.
        let whole = fault.is_none() || random(&mut world.random) & 3 == 0;
        let kept = if whole { bytes.len() } else { random(&mut world.random) as usize % bytes.len().max(1) };
        let content = world.content(self.file)?;
        Content::write(&mut content.now, at, &bytes[..kept]);
        content.changes.push(Change::Bytes(at, bytes[..kept].to_vec()));
        match fault {
            None => Ok(()),
            Some(Fault::TornWrite(_)) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Crash(_) | Fault::Sync(_)) => Err(io::Error::other("the simulated machine stops")),
        }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.act("allocate", bytes)?;
        let length = world.content(self.file)?.now.len() as u64;
        if world.used() + bytes.saturating_sub(length) > world.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if bytes > length {
            let content = world.content(self.file)?;
            content.now.resize(bytes as usize, 0);
            content.changes.push(Change::Length(bytes));
        }
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.act("truncate", bytes)?;
        let content = world.content(self.file)?;
        content.now.truncate(bytes as usize);
        content.changes.push(Change::Length(content.now.len() as u64));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        if world.act("sync", self.file)?.is_some() {
            return Err(io::Error::other("the simulated sync failed"));
        }
        world.content(self.file)?.sync();
        Ok(())
    }
}
