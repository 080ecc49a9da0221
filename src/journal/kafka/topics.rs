//! What the topics of a cluster must be, made and checked: `sekisho topics`. I/O.
//!
//! Deliberately without changing a topic that is there: what is wrong with it is said, with what to do, and whoever runs
//! the cluster decides.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::event::{DAY, HOUR, topic_fits};
use crate::journal::JournalError;

use super::settings::{RECORD_BYTES_MAX, Settings};
use super::tokens::Tokens;
use super::troubles::{Context, Troubles, explained};
use super::{hear, now, ready, unusable};

/// How long the brokers may take to make or describe topics.
const ANSWER: Duration = Duration::from_secs(30);
/// Brokers that are there answer within this: why one refuses us comes to be known after up to ten seconds.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// One question of that: between two it is seen whether we were refused.
const QUESTION: Duration = Duration::from_secs(2);
/// How often it is asked whether what was made is known.
const LOOK: Duration = Duration::from_millis(100);
/// Copies of each record, where there are as many brokers.
const COPIES: usize = 3;
/// How long packs are kept at least: a restore goes back to the last hourly state, an audit further.
const SIGNALS_FOR: i64 = 7 * DAY;
/// A state must outlive any stop that somebody plans.
const STATES_FOR: i64 = 30 * DAY;
const OUTPUTS_FOR: i64 = 90 * DAY;
/// Packs have 512 KiB at most, lines 256 KiB, and what leaves is smaller; it is a little less than Kafka's default.
const SMALL_BYTES_MAX: usize = 1_000_000;
/// A record that claims to be of later is refused by the broker: it would hold back or move time.
const AHEAD_MAX: i64 = HOUR;

/// What is done with old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Deleted after so many milliseconds.
    After(i64),
    /// The newest of each key is kept.
    Compact,
}

/// What a topic must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// Names and patterns that serve as well: one topic of them is enough, and all that are there are checked.
    pub others: Vec<String>,
    pub partitions: u32,
    /// Whether it must have exactly so many.
    pub exactly: bool,
    pub cleanup: Cleanup,
    /// Whether records may be larger than Kafka's default.
    pub large: bool,
}

/// What is wrong with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub topic: String,
    /// Whether Sekisho cannot work with it; otherwise it is advice.
    pub fault: bool,
    pub what: String,
    pub advice: String,
}

/// What became of a topic that was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    Created,
    /// It was there; it is checked instead.
    Existed,
    Failed(String),
}

/// Our own topics, and those of pipelines, given with the topics that each reads, with so many partitions.
pub fn needed<'a>(pipelines: impl IntoIterator<Item = (&'a str, &'a [String])>, partitions: u32) -> Vec<Topic> {
    let own = |name: &str, cleanup, large| Topic {
        name: format!("sekisho.{name}"),
        others: Vec::new(),
        partitions: 1,
        exactly: true,
        cleanup,
        large,
    };
    let raw = |(name, others): (&str, &[String])| Topic {
        name: name.to_owned(),
        others: others.to_vec(),
        partitions,
        exactly: false,
        cleanup: Cleanup::After(SIGNALS_FOR),
        large: false,
    };
    let mut topics = vec![
        own("signals", Cleanup::After(SIGNALS_FOR), false),
        own("catalogs", Cleanup::Compact, true),
        own("state", Cleanup::After(STATES_FOR), true),
        own("marks", Cleanup::Compact, false),
        own("alerts", Cleanup::After(OUTPUTS_FOR), false),
        own("blocks", Cleanup::Compact, false),
        own("incidents", Cleanup::Compact, false),
        own("answers", Cleanup::After(SIGNALS_FOR), false),
        own("dead-letters", Cleanup::After(STATES_FOR), false),
    ];
    topics.extend(pipelines.into_iter().map(raw));
    topics
}

impl Topic {
    /// Those of the topics that are there which are this one, or serve as well.
    fn served_by<'a>(&self, there: &'a BTreeMap<String, u32>) -> impl Iterator<Item = (&'a str, u32)> {
        let is_it = |name: &str| name == self.name || self.others.iter().any(|other| topic_fits(other, name));
        there.iter().filter(move |(name, _)| is_it(name)).map(|(name, partitions)| (name.as_str(), *partitions))
    }

    /// The settings it is made with.
    fn settings(&self, copies: usize) -> Vec<(&'static str, String)> {
        let cleanup = match self.cleanup {
            Cleanup::After(_) => "delete",
            Cleanup::Compact => "compact",
        };
        let mut settings = vec![
            ("cleanup.policy", cleanup.to_owned()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("message.timestamp.after.max.ms", AHEAD_MAX.to_string()),
            ("min.insync.replicas", if copies >= COPIES { "2" } else { "1" }.to_owned()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        if let Cleanup::After(milliseconds) = self.cleanup {
            settings.push(("retention.ms", milliseconds.to_string()));
        }
        if self.large {
            settings.push(("max.message.bytes", RECORD_BYTES_MAX.to_string()));
        }
        settings
    }

    /// That it is not there: nothing can be done without our own.
    fn missing(&self) -> Finding {
        let (what, advice) = if self.exactly {
            ("it is not there".to_owned(), "`sekisho topics create` makes it".to_owned())
        } else {
            let others = self.others.iter().filter(|other| **other != self.name).map(String::as_str);
            let names: Vec<&str> = std::iter::once(self.name.as_str()).chain(others).collect();
            let what = format!("no topic of this pipeline is there: {}", names.join(", "));
            (what, "`sekisho topics create` makes one, unless nothing is to come here".to_owned())
        };
        Finding { topic: self.name.clone(), fault: self.exactly, what, advice }
    }

    /// What is wrong with one that is there.
    fn findings(&self, partitions: u32, settings: &BTreeMap<String, String>) -> Vec<Finding> {
        let finding =
            |fault: bool, what: String, advice: String| Finding { topic: self.name.clone(), fault, what, advice };
        if self.exactly && partitions != self.partitions {
            let wanted = self.partitions;
            let what = format!("it has {partitions} partitions and must have {wanted}: the order of all packs is one");
            let advice = "delete it while no process runs, then `sekisho topics create`".to_owned();
            // Whatever else is wrong with it ends with it.
            return vec![finding(true, what, advice)];
        }
        let mut found = Vec::new();
        let mut say = |fault: bool, what: String, advice: String| found.push(finding(fault, what, advice));
        let value = |name: &str| settings.get(name).map(String::as_str).unwrap_or_default();
        let number = |name: &str| value(name).parse::<i64>().ok();
        let set = |name: &str, wanted: &str| {
            format!(
                "kafka-configs.sh --alter --entity-type topics --entity-name {} --add-config {name}={wanted}",
                self.name
            )
        };
        match self.cleanup {
            Cleanup::Compact if value("cleanup.policy") != "compact" => {
                let what = format!(
                    "cleanup.policy is `{}`: what is kept by key would be deleted by age",
                    value("cleanup.policy")
                );
                say(true, what, set("cleanup.policy", "compact"));
            }
            Cleanup::After(wanted) if value("cleanup.policy") != "delete" => {
                let what = format!(
                    "cleanup.policy is `{}`: records of one key would be lost to each other",
                    value("cleanup.policy")
                );
                say(true, what, format!("{},retention.ms={wanted}", set("cleanup.policy", "delete")));
            }
            Cleanup::After(wanted) => {
                if let Some(kept) = number("retention.ms").filter(|kept| (0..wanted).contains(kept)) {
                    let what = format!("records are kept for {} h, {} h are needed", kept / HOUR, wanted / HOUR);
                    say(self.exactly, what, set("retention.ms", &wanted.to_string()));
                }
            }
            Cleanup::Compact => {}
        }
        if value("message.timestamp.type") != "LogAppendTime" {
            let what = "its times are what producers claim: one that is minutes off is replaced by ours".to_owned();
            say(false, what, set("message.timestamp.type", "LogAppendTime"));
        }
        if number("message.timestamp.after.max.ms").is_none_or(|ahead| ahead > AHEAD_MAX) {
            let what = "records that claim to be of far ahead are taken".to_owned();
            say(false, what, set("message.timestamp.after.max.ms", &AHEAD_MAX.to_string()));
        }
        let (bytes, what_not) = if self.large {
            (RECORD_BYTES_MAX, "a state or a catalog does")
        } else {
            (SMALL_BYTES_MAX, "packs and long lines do")
        };
        if number("max.message.bytes").map_or(self.large, |known| known < bytes as i64) {
            let what = format!("max.message.bytes is {}: {what_not} not fit", value("max.message.bytes"));
            say(true, what, set("max.message.bytes", &bytes.to_string()));
        }
        if value("unclean.leader.election.enable") == "true" {
            let what = "a broker that lacks records may become the leader: they are lost then".to_owned();
            say(false, what, set("unclean.leader.election.enable", "false"));
        }
        found
    }
}

/// Makes and describes topics.
pub struct Topics {
    admin: AdminClient<Context>,
    /// Asks what is there, and hears what is wrong; the other one does not.
    asker: BaseConsumer<Context>,
    troubles: Arc<Troubles>,
}

impl Topics {
    /// Speaks to a cluster.
    ///
    /// # Errors
    /// [`JournalError::Refused`] where the settings cannot work.
    pub fn new(settings: &Settings) -> Result<Topics, JournalError> {
        settings.check()?;
        let troubles = Arc::new(Troubles::new(Arc::clone(&settings.clock), Arc::clone(&settings.tell)));
        let context = || Context::new(Arc::clone(&troubles), settings.token_file.clone());
        let refused = |error: KafkaError| unusable(&error);
        let admin = AdminClient::from_config_and_context(&settings.admin(), context()).map_err(refused)?;
        let client = NonNull::new(admin.inner().native_ptr());
        client.map_or(Ok(()), |client| Tokens::new(settings).renew(client))?;
        let asker = settings.reader().create_with_context(context()).map_err(refused)?;
        ready(&asker, &mut Tokens::new(settings))?;
        Ok(Topics { admin, asker, troubles })
    }

    /// How many partitions each topic has, and how many brokers there are.
    fn there(&self) -> Result<(BTreeMap<String, u32>, usize), JournalError> {
        let deadline = now() + FIRST_ANSWER;
        let metadata = loop {
            let answer = self.asker.fetch_metadata(None, QUESTION);
            hear(&self.asker);
            match answer {
                Ok(metadata) => break metadata,
                // Why it was no answer is told elsewhere, and is the same next time.
                Err(_) if let Some(why) = self.troubles.refused() => return Err(JournalError::Undone { why }),
                Err(error) if now() >= deadline => return Err(failed(&error)),
                Err(_) => {}
            }
        };
        let count = |topic: &rdkafka::metadata::MetadataTopic| {
            (topic.name().to_owned(), u32::try_from(topic.partitions().len()).unwrap_or_default())
        };
        Ok((metadata.topics().iter().map(count).collect(), metadata.brokers().len()))
    }

    /// Makes those that are missing; with each, or with what serves as well, what became of it.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub fn create(&self, topics: &[Topic]) -> Result<Vec<(String, Made)>, JournalError> {
        let (there, brokers) = self.there()?;
        let copies = brokers.clamp(1, COPIES);
        let missing: Vec<_> = topics.iter().filter(|topic| topic.served_by(&there).next().is_none()).collect();
        let settings: Vec<_> = missing.iter().map(|topic| topic.settings(copies)).collect();
        let new: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(&settings)
            .map(|(topic, settings)| {
                let partitions = i32::try_from(topic.partitions).unwrap_or(1);
                let copies = TopicReplication::Fixed(i32::try_from(copies).unwrap_or(1));
                let new = NewTopic::new(&topic.name, partitions, copies);
                settings.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let made = if new.is_empty() {
            Vec::new()
        } else {
            wait(self.admin.create_topics(&new, &options)).map_err(|error| failed(&error))?
        };
        let told = |result: Result<String, (String, RDKafkaErrorCode)>| match result {
            Ok(name) => (name, Made::Created),
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => (name, Made::Existed),
            Err((name, code)) => (name, Made::Failed(code.to_string())),
        };
        let known = topics.iter().flat_map(|topic| topic.served_by(&there));
        let known = known.map(|(name, _)| (name.to_owned(), Made::Existed));
        let made: Vec<_> = known.chain(made.into_iter().map(told)).collect();
        self.await_all(&made)?;
        Ok(made)
    }

    /// Waits until every broker that is asked knows what was made: they hear of it shortly after.
    fn await_all(&self, made: &[(String, Made)]) -> Result<(), JournalError> {
        for _ in 0..ANSWER.as_millis() / LOOK.as_millis() {
            let (there, _) = self.there()?;
            let is_there = |(name, made): &(String, Made)| matches!(made, Made::Failed(_)) || there.contains_key(name);
            if made.iter().all(is_there) {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Err(JournalError::Undone { why: "the brokers made topics and do not list them".to_owned() })
    }

    /// What is wrong with them.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub fn check(&self, topics: &[Topic]) -> Result<Vec<Finding>, JournalError> {
        let (there, _) = self.there()?;
        let is = |topic: &Topic, name: &str| Topic { name: name.to_owned(), ..topic.clone() };
        let known: Vec<(Topic, u32)> = topics
            .iter()
            .flat_map(|topic| topic.served_by(&there).map(|(name, partitions)| (is(topic, name), partitions)))
            .collect();
        let specifiers: Vec<_> = known.iter().map(|(topic, _)| ResourceSpecifier::Topic(&topic.name)).collect();
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let described = if specifiers.is_empty() {
            Vec::new()
        } else {
            wait(self.admin.describe_configs(&specifiers, &options)).map_err(|error| failed(&error))?
        };
        let missing = topics.iter().filter(|topic| topic.served_by(&there).next().is_none());
        let mut found: Vec<Finding> = missing.map(Topic::missing).collect();
        for ((topic, partitions), described) in known.into_iter().zip(described) {
            match described {
                Ok(config) => {
                    let settings = config.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                    found.extend(topic.findings(partitions, &settings.collect()));
                }
                Err(code) => {
                    let what = format!("its settings cannot be read: {code}");
                    let advice = "give this user the right to describe its configuration".to_owned();
                    found.push(Finding { topic: topic.name.clone(), fault: false, what, advice });
                }
            }
        }
        Ok(found)
    }
}

/// A fault of the brokers, with what it may mean.
fn failed(error: &KafkaError) -> JournalError {
    JournalError::Undone { why: explained(error.rdkafka_error_code(), &error.to_string()) }
}

/// Waits for an answer on this thread: the admin client answers from one of its own.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(cleanup: Cleanup) -> Topic {
        Topic { name: "sekisho.x".to_owned(), others: Vec::new(), partitions: 1, exactly: true, cleanup, large: true }
    }

    #[test]
    fn what_is_made_passes_the_check() {
        for topic in needed([("nginx", &[][..])], 8) {
            let settings = topic.settings(3).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(topic.findings(topic.partitions, &settings), [], "{topic:?}");
        }
    }

    #[test]
    fn each_fault_of_a_topic_is_said_with_what_to_do() {
        let given =
            [("cleanup.policy", "delete"), ("max.message.bytes", "1048588"), ("message.timestamp.type", "CreateTime")];
        let settings = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let found = topic(Cleanup::Compact).findings(1, &settings);
        let faults: Vec<_> =
            found.iter().filter(|finding| finding.fault).map(|finding| finding.what.as_str()).collect();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("`delete`") && faults[1].contains("1048588"));
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|finding| !finding.advice.is_empty()));
        let found = topic(Cleanup::Compact).findings(3, &settings);
        assert!(found.len() == 1 && found[0].what.contains("3 partitions"), "what ends with the topic: {found:?}");
        let short = [("cleanup.policy", "delete"), ("retention.ms", "3600000"), ("max.message.bytes", "1048588")];
        let settings = short.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert!(topic(Cleanup::After(DAY)).findings(1, &settings)[0].what.contains("kept for 1 h, 24 h"));
    }
}
