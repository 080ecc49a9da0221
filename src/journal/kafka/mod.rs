//! The journal on a Kafka cluster: several processes share it, and transactions make each stage exactly-once. I/O.
//!
//! Files, in the order of their use: [`settings`] how clients are made, [`troubles`] what goes wrong in words, [`reader`]
//! records in batches, [`writer`](self) transactions, [`topics`] what the topics must be and `ids` what tells one from its
//! forerunner, `feed` reads by position, `marks` small keyed values, [`starts`] where reading began, `stage` the owner of a
//! group's partitions. It follows the sheet on Kafka and state, whose
//! rules were learned on a real broker. Deliberately without clustering of our own: who works which partition is the
//! consumer groups' business, and who may still write is the brokers'.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use crate::event::{Input, MINUTE, Time};
use crate::journal::{Commit, Committed, Fetched, Journal, JournalError, Mark, Records, Subscription};

mod feed;
mod ids;
mod marks;
pub mod mutants;
pub mod reader;
pub mod rebalance;
pub mod settings;
mod stage;
pub mod starts;
mod tokens;
pub mod topics;
pub mod troubles;
mod watch;
mod writer;

pub use settings::{Begin, Settings, features};
pub use stage::KafkaStage;

use feed::Feeds;
use marks::Marks;
use tokens::Tokens;
use troubles::{Context, Delivered, Troubles};
use writer::{Append, Failed, Writer};

/// Our own topics begin so.
pub(super) use crate::event::OWN_TOPICS as OWN;
/// The topic of marks, one partition, compacted.
pub const MARKS: &str = "sekisho.marks";
/// The header of a record that anybody may have sent.
pub(super) const SPOOFABLE: &CStr = c"sekisho-spoofable";
/// How long a question to the brokers may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the number of a topic's partitions is believed: it seldom grows.
const COUNT_FOR: Duration = Duration::from_secs(30);
/// How long the id of a topic is: a second of another's records may be indexed before it is told.
const ID_FOR: Duration = Duration::from_secs(1);
/// Events of a client that only asks, between two questions: a fault of each broker, and a token that is asked for.
const EVENTS_MAX: usize = 64;
/// How long the list of all topics is believed.
const NAMES_FOR: Duration = Duration::from_secs(5);
/// Clocks may differ so much: a producer's time that is further off is replaced (design §7), a broker's is told.
pub(super) const SKEW: i64 = 5 * MINUTE;
/// Nobody tells of other processes' commits: whoever waits for one looks so often.
const LOOK: Duration = Duration::from_millis(50);

/// A cluster, open for this process. Clones are handles of the same.
#[derive(Clone)]
pub struct Kafka(Arc<Shared>);

struct Shared {
    settings: Settings,
    troubles: Arc<Troubles>,
    /// Asks about topics and offsets, and reads nothing.
    asker: BaseConsumer<Context>,
    tokens: Mutex<Tokens>,
    counts: Mutex<BTreeMap<String, (Instant, u32)>>,
    names: Mutex<Option<(Instant, Vec<String>)>>,
    ids: Mutex<BTreeMap<String, (Instant, Option<String>)>>,
    /// Records of partitions that were not ours any more.
    strays: AtomicU64,
    feeds: Mutex<Feeds>,
    door: Mutex<Writer>,
    /// The number of the next transaction of the door, never one of an earlier start.
    numbers: AtomicU64,
    marks: Mutex<Marks>,
    commits: Mutex<Newest>,
    news: Condvar,
}

/// The newest commit of this process.
#[derive(Clone, Copy, Default)]
struct Newest {
    sequence: u64,
    appended_at: Time,
}

impl Kafka {
    /// Opens a cluster. The brokers need not answer yet.
    ///
    /// # Errors
    /// [`JournalError::Refused`] where the settings cannot work.
    pub fn open(settings: Settings) -> Result<Kafka, JournalError> {
        settings.check()?;
        let troubles = Arc::new(Troubles::new(Arc::clone(&settings.clock), Arc::clone(&settings.tell)));
        let context = Context::new(Arc::clone(&troubles), settings.token_file.clone());
        let asker = settings.reader().create_with_context(context);
        let asker = asker.map_err(|error| unusable(&error))?;
        let tokens = Mutex::new(Tokens::new(&settings));
        let door = Mutex::new(Writer::new(&settings, "door", &troubles));
        // A thousand transactions a millisecond are more than any door takes.
        let numbers = AtomicU64::new(u64::try_from((settings.clock)().0).unwrap_or(0).saturating_mul(1_000));
        Ok(Kafka(Arc::new(Shared {
            settings,
            troubles,
            asker,
            tokens,
            counts: Mutex::default(),
            names: Mutex::default(),
            ids: Mutex::default(),
            strays: AtomicU64::new(0),
            feeds: Mutex::default(),
            door,
            numbers,
            marks: Mutex::default(),
            commits: Mutex::default(),
            news: Condvar::new(),
        })))
    }

    /// What is wrong between this process and the brokers now, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.0.troubles.now()
    }

    /// A fault that a stage meets, and will meet again as long as nobody mends it.
    pub fn note(&self, error: &JournalError) {
        self.0.troubles.stand(&error.to_string());
    }

    /// What the group of a stage has committed in one input, whoever is its member now.
    ///
    /// # Errors
    /// [`JournalError::Undone`] where the brokers do not answer.
    pub fn committed(&self, stage: &str, input: &Input) -> Result<Option<u64>, JournalError> {
        let mut config = self.0.settings.member(stage);
        config.remove("group.instance.id");
        let context = Context::new(Arc::clone(&self.0.troubles), self.0.settings.token_file.clone());
        let asker: BaseConsumer<Context> = config.create_with_context(context).map_err(|error| undone(&error))?;
        ready(&asker, &mut Tokens::new(&self.0.settings))?;
        let mut list = TopicPartitionList::new();
        list.add_partition(&input.topic, i32::try_from(input.partition).unwrap_or(i32::MAX));
        let found = asker.committed_offsets(list, ANSWER).map_err(|error| told(&error))?;
        Ok(found.elements().first().and_then(|element| reader::offset_of(element.offset())))
    }

    /// Faults so far.
    pub fn troubles(&self) -> u64 {
        self.0.troubles.count()
    }

    /// Records that came for partitions that were another's by then: dropped here, and read by whoever has them.
    pub fn strays(&self) -> u64 {
        self.0.strays.load(Ordering::Relaxed)
    }

    /// The time of this process's last commit.
    pub fn appended_at(&self) -> Time {
        held(&self.0.commits).appended_at
    }
}

impl Shared {
    /// Who asks, with a token that is good.
    fn asker(&self) -> Result<&BaseConsumer<Context>, JournalError> {
        ready(&self.asker, &mut held(&self.tokens))?;
        Ok(&self.asker)
    }

    /// How many partitions a topic has; 0 where it is not there.
    fn count(&self, topic: &str) -> Result<u32, JournalError> {
        if let Some((asked, count)) = held(&self.counts).get(topic)
            && asked.elapsed() < COUNT_FOR
            && *count > 0
        {
            return Ok(*count);
        }
        let metadata = self.asker()?.fetch_metadata(Some(topic), ANSWER).map_err(|error| undone(&error))?;
        self.troubles.clear();
        let found = metadata.topics().iter().find(|known| known.name() == topic);
        let count = found.map_or(0, |found| u32::try_from(found.partitions().len()).unwrap_or_default());
        held(&self.counts).insert(topic.to_owned(), (now(), count));
        Ok(count)
    }

    fn range(&self, input: &Input) -> Result<Range<u64>, JournalError> {
        Ok(self.ranges(std::slice::from_ref(input))?.into_iter().next().unwrap_or_default())
    }

    /// The offsets of partitions, from the log's start to what is committed: two questions, however many they are.
    fn ranges(&self, inputs: &[Input]) -> Result<Vec<Range<u64>>, JournalError> {
        let starts = self.places(inputs, Offset::Beginning)?;
        let ends = self.places(inputs, Offset::End)?;
        let range = |(start, end): (Option<u64>, Option<u64>)| {
            let start = start.unwrap_or_default();
            start..end.unwrap_or_default().max(start)
        };
        Ok(starts.into_iter().zip(ends).map(range).collect())
    }

    /// The offset at a place, or of the first record of a time or later.
    fn places(&self, inputs: &[Input], which: Offset) -> Result<Vec<Option<u64>>, JournalError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(inputs.len());
        for Input { topic, partition } in inputs {
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            list.add_partition_offset(topic, partition, which).map_err(|error| undone(&error))?;
        }
        let found = self.asker()?.offsets_for_times(list, ANSWER).map_err(|error| undone(&error))?;
        let one = |element: TopicPartitionListElem<'_>| {
            element.error().map_err(|error| undone(&error))?;
            Ok(reader::offset_of(element.offset()))
        };
        found.elements().into_iter().map(one).collect()
    }

    /// The ids of topics that are there.
    fn ids(&self, topics: &BTreeSet<&str>, timeout: Duration) -> Result<BTreeMap<String, String>, JournalError> {
        let client = NonNull::new(self.asker()?.client().native_ptr());
        client.map_or(Ok(BTreeMap::new()), |client| ids::ids(client, topics, timeout))
    }

    /// Every topic but the brokers' own, as it was asked at most so long ago.
    fn names(&self, age: Duration) -> Result<Vec<String>, JournalError> {
        let mut known = held(&self.names);
        if let Some((asked, names)) = &*known
            && asked.elapsed() < age
        {
            return Ok(names.clone());
        }
        let metadata = self.asker()?.fetch_metadata(None, ANSWER).map_err(|error| undone(&error))?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with("__")).collect();
        names.sort();
        *known = Some((now(), names.clone()));
        Ok(names)
    }

    fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        let end = || {
            let there = self.range(input)?;
            if from < there.start {
                return Err(JournalError::Trimmed { input: input.clone(), from, start: there.start });
            }
            Ok(there.end)
        };
        held(&self.feeds).read((&self.settings, &self.troubles), (input, from, bytes), &end)
    }

    /// What a commit appends, with the partitions that the topics have: those that collect number theirs freely.
    fn appends<'a>(&self, appends: &'a [(Input, Records)]) -> Result<Vec<Append<'a>>, JournalError> {
        let one = |(Input { topic, partition }, records): &'a (Input, Records)| {
            let count = self.count(topic)?;
            if count == 0 {
                let why = format!("the topic {topic} is not there: `sekisho topics create` makes it");
                return Err(JournalError::Refused { why });
            }
            let partition = i32::try_from(partition % count).unwrap_or_default();
            Ok(Append { topic, partition, records })
        };
        appends.iter().filter(|(_, records)| !records.is_empty()).map(one).collect()
    }

    /// What a commit of these appends became.
    fn note_committed(&self, appends: &[(Input, Records)], delivered: &Delivered) -> Committed {
        let clock = (self.settings.clock)();
        let now = delivered.appended_at.map_or(clock, Time);
        if now.since(clock).abs() > SKEW {
            self.troubles.warn(&skewed(now.since(clock)));
        }
        let mut newest = held(&self.commits);
        newest.sequence += 1;
        newest.appended_at = newest.appended_at.max(now);
        let Newest { sequence, appended_at } = *newest;
        drop(newest);
        self.news.notify_all();
        let mut firsts = delivered.firsts.iter().copied();
        let one = |(_, records): &(Input, Records)| {
            if records.is_empty() { 0 } else { firsts.next().flatten().unwrap_or_default() }
        };
        Committed { appended_at, firsts: appends.iter().map(one).collect(), sequence }
    }

    fn append(&self, commit: Commit) -> Result<Committed, JournalError> {
        if !commit.positions.is_empty() || !commit.notes.is_empty() {
            let why = "positions belong to a stage, and this commit has none".to_owned();
            return Err(JournalError::Refused { why });
        }
        let Commit { mut appends, mut marks, .. } = commit;
        let given = appends.len();
        let mut door = held(&self.door);
        // A number of its own tells afterwards whether a transaction without an answer is there.
        let number = self.numbers.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec();
        marks.push(Mark { key: format!("door/{}", self.settings.instance), value: Some(number), expires_at: None });
        appends.push((marks::input(), marks::records(&marks)));
        let delivered = match door.write(&self.appends(&appends)?, None) {
            Ok(delivered) => delivered,
            Err(Failed::Unknown(why, delivered)) => {
                if !self.is_marked(marks.last())? {
                    return Err(JournalError::Undone { why });
                }
                delivered
            }
            Err(Failed::Undone(why)) => return Err(JournalError::Undone { why }),
            Err(Failed::Fenced(why)) => return Err(JournalError::Fenced { stage: format!("door: {why}") }),
        };
        drop(door);
        marks.iter().for_each(|mark| held(&self.marks).set(mark));
        let mut committed = self.note_committed(&appends, &delivered);
        committed.firsts.truncate(given);
        Ok(committed)
    }

    /// Whether the brokers hold a mark with this value.
    fn is_marked(&self, mark: Option<&Mark>) -> Result<bool, JournalError> {
        let marks = self.marked()?;
        Ok(mark.is_some_and(|mark| marks.get(&mark.key, (self.settings.clock)()) == mark.value))
    }

    /// Reads what other processes have marked since.
    fn marked(&self) -> Result<MutexGuard<'_, Marks>, JournalError> {
        let end = self.range(&marks::input())?;
        let mut marks = held(&self.marks);
        while marks.next() < end.end {
            let from = marks.next().max(end.start);
            let blocks = self.read(&marks::input(), from, marks::READ_BYTES)?;
            if blocks.is_empty() {
                break;
            }
            marks.read(&blocks);
        }
        Ok(marks)
    }
}

impl Journal for Kafka {
    type Stage = KafkaStage;

    fn append(&self, commit: Commit) -> Result<Committed, JournalError> {
        self.0.append(commit)
    }

    fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        self.0.read(input, from, bytes)
    }

    fn partitions(&self, topic: &str) -> Result<Vec<(Input, Range<u64>)>, JournalError> {
        let inputs = (0..self.0.count(topic)?).map(|partition| Input { topic: topic.to_owned(), partition });
        let inputs: Vec<Input> = inputs.collect();
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let ranges = self.0.ranges(&inputs)?;
        Ok(inputs.into_iter().zip(ranges).collect())
    }

    fn topics(&self) -> Result<Vec<String>, JournalError> {
        self.0.names(NAMES_FOR)
    }

    fn topic_id(&self, topic: &str) -> Result<Option<String>, JournalError> {
        let lately = |(asked, _): &&(Instant, Option<String>)| asked.elapsed() < ID_FOR;
        if let Some((_, id)) = held(&self.0.ids).get(topic).filter(lately) {
            return Ok(id.clone());
        }
        let id = self.0.ids(&BTreeSet::from([topic]), ANSWER)?.remove(topic);
        held(&self.0.ids).insert(topic.to_owned(), (now(), id.clone()));
        Ok(id)
    }

    fn mark(&self, key: &str) -> Option<Vec<u8>> {
        let marks = self.0.marked().unwrap_or_else(|error| self.unmarked(&error));
        marks.get(key, (self.0.settings.clock)())
    }

    fn marks(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let marks = self.0.marked().unwrap_or_else(|error| self.unmarked(&error));
        marks.starting(prefix, (self.0.settings.clock)())
    }

    fn stage(&self, name: &str, subscription: Subscription) -> Result<KafkaStage, JournalError> {
        KafkaStage::new(Kafka(Arc::clone(&self.0)), name, subscription)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let newest = held(&self.0.commits);
        if newest.sequence > seen {
            return newest.sequence;
        }
        let waited = self.0.news.wait_timeout(newest, timeout.min(LOOK));
        let (newest, _) = waited.unwrap_or_else(PoisonError::into_inner);
        newest.sequence
    }
}

impl Kafka {
    /// What is known of marks where the brokers do not answer.
    fn unmarked(&self, error: &JournalError) -> MutexGuard<'_, Marks> {
        self.0.troubles.note(None, &error.to_string());
        held(&self.0.marks)
    }
}

/// Gives a client that asks its token, and has what went wrong told: nobody else polls it.
fn ready(asker: &BaseConsumer<Context>, tokens: &mut Tokens) -> Result<(), JournalError> {
    NonNull::new(asker.client().native_ptr()).map_or(Ok(()), |client| tokens.renew(client))?;
    hear(asker);
    Ok(())
}

/// Has the events of a client served. A poll that gives nothing may have served one, and says nothing of the next (sheet
/// §1.7): so there are as many polls as events can lie there.
fn hear(asker: &BaseConsumer<Context>) {
    for _ in 0..EVENTS_MAX {
        drop(asker.poll(Duration::ZERO));
    }
}

#[expect(clippy::disallowed_methods, reason = "how old an answer of the brokers is")]
fn now() -> Instant {
    Instant::now()
}

/// A fault for somebody who waits for the answer, with what it may mean.
fn told(error: &KafkaError) -> JournalError {
    JournalError::Undone { why: troubles::explained(error.rdkafka_error_code(), &error.to_string()) }
}

/// What is said of brokers whose clock is off by so many milliseconds.
fn skewed(by: i64) -> String {
    let (minutes, side) = (by.abs() / MINUTE, if by > 0 { "ahead of" } else { "behind" });
    format!(
        "Kafka: the brokers' clock is {minutes} min {side} this machine's: blocks end by theirs, and what lines claim is \
         judged against it, so that late or stale findings block nobody\n  = set both by NTP; nothing is lost"
    )
}

/// Settings that make no client.
fn unusable(error: &KafkaError) -> JournalError {
    let why = if let KafkaError::ClientConfig(_, why, name, value) = error {
        format!("`journal.kafka`: the Kafka client does not take `{name}: {value}`: {why}")
    } else {
        error.to_string()
    };
    JournalError::Refused { why }
}

fn undone(error: &KafkaError) -> JournalError {
    JournalError::Undone { why: error.to_string() }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
