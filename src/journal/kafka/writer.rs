//! Transactions: everything of a commit, or nothing. I/O.
//!
//! Follows the outcome table of the Kafka sheet (§1.5): nothing is ever guessed. What failed before the commit was asked
//! for is undone; a commit whose answer is not known is left to whoever can look it up, after a new producer of the same
//! name has ended it one way or the other. Deliberately without retries of a whole transaction: that is the runner's.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::journal::{JournalError, Records};

use super::now;
use super::reader::{Fault, Membership, Reader};
use super::settings::{Settings, TRANSACTION_TIMEOUT};
use super::troubles::{Context, Delivered, Troubles, explained};

/// How long one request of a transaction may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a new producer may take to end what its forerunner left: the broker looks for dead transactions every 10 s.
const TAKE_OVER: Duration = Duration::from_secs(60);
/// How much longer than it was told to librdkafka may take to give up.
const SLACK: Duration = Duration::from_secs(2);
/// Between two looks whether everything was delivered.
const LOOK: Duration = Duration::from_micros(200);

/// Records for one partition of a topic.
pub(super) struct Append<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub records: &'a Records,
}

/// Why a transaction is not known to be committed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing of it is there.
    Undone(String),
    /// It was asked for and not answered. A new producer has ended it since: look what is committed.
    Unknown(String, Delivered),
    /// Somebody else has the name.
    Fenced(String),
}

/// A producer of transactions, made anew where it is of no more use.
pub(super) struct Writer {
    settings: Settings,
    name: String,
    troubles: Arc<Troubles>,
    producer: Option<Producing>,
}

/// A producer, which whoever puts offsets into its transaction may have for longer than we wait.
type Producing = Arc<ThreadedProducer<Context>>;

impl Writer {
    pub fn new(settings: &Settings, name: &str, troubles: &Arc<Troubles>) -> Writer {
        Writer { settings: settings.clone(), name: name.to_owned(), troubles: Arc::clone(troubles), producer: None }
    }

    /// Takes the name over: ends what a forerunner left open, and fences it.
    pub fn take_over(&mut self) -> Result<(), JournalError> {
        self.ready().map(drop).map_err(|why| JournalError::Undone { why })
    }

    /// Writes all appends and the group's offsets, all or nothing.
    pub fn write(
        &mut self,
        appends: &[Append<'_>],
        offsets: Option<(&Reader, &TopicPartitionList)>,
    ) -> Result<Delivered, Failed> {
        let producer = self.ready().map_err(Failed::Undone)?;
        let began = now();
        producer.context().begin(appends.len());
        let done = prepared(producer, appends, offsets);
        let delivered = producer.context().delivered();
        if let Err(fault) = done {
            return Err(self.give_up(fault, began, delivered.fault));
        }
        let committed = loop {
            match producer.commit_transaction(REQUEST) {
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && began.elapsed() < TRANSACTION_TIMEOUT => {}
                other => break other,
            }
        };
        match committed.map_err(fault_of) {
            Ok(()) => Ok(delivered),
            Err(fault) if fault.requires_abort || fault.code == Some(RDKafkaErrorCode::Fenced) => {
                Err(self.give_up(fault, began, delivered.fault))
            }
            Err(fault) => {
                self.producer = None;
                let why = told(&fault, delivered.fault.clone());
                match self.ready() {
                    Ok(_) => Err(Failed::Unknown(why, delivered)),
                    Err(more) => Err(Failed::Undone(format!("{why}; {more}"))),
                }
            }
        }
    }

    /// Takes back what was not asked to be committed.
    fn give_up(&mut self, fault: Fault, began: Instant, delivered: Option<String>) -> Failed {
        let why = told(&fault, delivered);
        let fenced = matches!(fault.code, Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced));
        // The broker ends a slow transaction of our own with the same answer (rule 22): only a young one was taken over.
        if fenced && began.elapsed() < TRANSACTION_TIMEOUT {
            self.producer = None;
            return Failed::Fenced(why);
        }
        let abort = |producer: &Producing| !fault.fatal && producer.abort_transaction(REQUEST).is_ok();
        if !self.producer.as_ref().is_some_and(abort) {
            // The next producer of the name aborts it: nobody ever asked for its commit.
            self.producer = None;
        }
        Failed::Undone(why)
    }

    /// The producer, made and initialised where there is none.
    fn ready(&mut self) -> Result<&Producing, String> {
        if self.producer.is_none() {
            self.producer = Some(Arc::new(self.made()?));
        }
        self.producer.as_ref().ok_or_else(|| "no producer".to_owned())
    }

    fn made(&self) -> Result<ThreadedProducer<Context>, String> {
        let context = Context::new(Arc::clone(&self.troubles), self.settings.token_file.clone());
        let config = self.settings.producer(&self.name);
        let producer: ThreadedProducer<Context> =
            config.create_with_context(context).map_err(|error| error.to_string())?;
        let began = now();
        loop {
            match producer.init_transactions(REQUEST) {
                Ok(()) => return Ok(producer),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && began.elapsed() < TAKE_OVER => {
                    self.troubles.note(Some(error.code()), &format!("{}: {error}", self.name));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Everything up to the commit itself.
fn prepared(
    producer: &Producing,
    appends: &[Append<'_>],
    offsets: Option<(&Reader, &TopicPartitionList)>,
) -> Result<(), Fault> {
    let deadline = now() + TRANSACTION_TIMEOUT;
    producer.begin_transaction().map_err(fault_of)?;
    for (which, append) in appends.iter().enumerate() {
        for (record, last) in append.records.iter() {
            let fresh = || {
                let mut fresh = BaseRecord::with_opaque_to(append.topic, which).partition(append.partition);
                fresh.key = record.key;
                fresh
            };
            let mut sent = fresh().payload(record.value);
            if record.spoofable {
                sent = sent.headers(spoofable());
            }
            send(producer, sent, deadline)?;
            if last {
                // Without a value: compaction forgets the key.
                send(producer, fresh(), deadline)?;
            }
        }
    }
    // Before the offsets, not only before the commit: else each transaction takes 100 ms (rule 3).
    while producer.in_flight_count() > 0 {
        if now() >= deadline {
            return Err(late("the brokers did not take everything in time"));
        }
        std::thread::sleep(LOOK);
    }
    if let Some(fault) = producer.context().delivered().fault {
        return Err(late(&reason(producer).map_or(fault.clone(), |why| format!("{why}; {fault}"))));
    }
    match offsets {
        Some((reader, list)) if list.count() > 0 => send_offsets(producer, reader.membership(), list.clone()),
        Some(_) | None => Ok(()),
    }
}

/// On a thread of its own: librdkafka (2.12 to 2.14, its issues 5456 and 5511) waits without end for a coordinator that
/// left the cluster. What is not done in time is left alone with its producer; the next one of the name fences it.
fn send_offsets(producer: &Producing, member: Membership, list: TopicPartitionList) -> Result<(), Fault> {
    let (answer, answered) = channel();
    let producer = Arc::clone(producer);
    let sent = move || {
        // Nobody may wait for it any more.
        drop(answer.send(member.send_offsets(producer.client(), &list, REQUEST)));
    };
    let started = Builder::new().name("offsets".to_owned()).spawn(sent);
    started.map_err(|error| late(&format!("no thread can be started: {error}")))?;
    let left_alone = || Fault {
        fatal: true,
        ..late("the group's coordinator did not take the offsets in time, and librdkafka waits on")
    };
    answered.recv_timeout(REQUEST + SLACK).unwrap_or_else(|_| Err(left_alone()))
}

/// Why the transaction that is open can only be taken back, where librdkafka knows: what was sent only says that it was
/// not. To begin another is refused in any case, and with the reason.
fn reason(producer: &ThreadedProducer<Context>) -> Option<String> {
    let refused = producer.begin_transaction().err()?;
    let code = refused.rdkafka_error_code()?;
    (code != RDKafkaErrorCode::State).then(|| explained(Some(code), &refused.to_string()))
}

fn send(
    producer: &ThreadedProducer<Context>,
    record: BaseRecord<'_, [u8], [u8], usize>,
    deadline: Instant,
) -> Result<(), Fault> {
    let mut record = record;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if now() < deadline => {
                record = back;
                std::thread::sleep(LOOK);
            }
            // A record that cannot be sent must not be left out of its transaction (rule 4).
            Err((error, _)) => return Err(fault_of(error)),
        }
    }
}

fn spoofable() -> OwnedHeaders {
    let key = super::SPOOFABLE.to_str().unwrap_or_default();
    OwnedHeaders::new().insert(Header { key, value: Some("1") })
}

fn fault_of(error: KafkaError) -> Fault {
    let text = error.to_string();
    let code = error.rdkafka_error_code();
    if let KafkaError::Transaction(error) = error {
        let (fatal, retriable, requires_abort) = (error.is_fatal(), error.is_retriable(), error.txn_requires_abort());
        return Fault { code: Some(error.code()), fatal, retriable, requires_abort, text };
    }
    Fault { code, fatal: false, retriable: false, requires_abort: false, text }
}

fn late(why: &str) -> Fault {
    Fault { code: None, fatal: false, retriable: false, requires_abort: true, text: why.to_owned() }
}

/// A fault with what the deliveries said: often only they say why.
fn told(fault: &Fault, delivered: Option<String>) -> String {
    match delivered {
        Some(why) if why != fault.text => format!("{}; {why}", fault.text),
        Some(_) | None => fault.text.clone(),
    }
}
