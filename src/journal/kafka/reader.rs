//! Records in batches out of librdkafka's own queue: with its rebalances the only unsafe code of this room. I/O.
//!
//! `rd_kafka_consume_batch_queue` costs 0.30 CPU seconds a million records where the crate's `poll` costs 0.51, and works
//! only with a consumer that has a rebalance callback of its own (sheet §1.7). So this is a consumer made of the raw
//! bindings: the callback assigns at explicit offsets, from what the group committed, and keeps what changed until it is
//! asked for. It runs only within [`Reader::poll`] and `Drop`, on the thread that owns the reader.
//! Deliberately without splitting queues and without background threads of ours.

#![expect(unsafe_code, reason = "librdkafka's batch interface has no safe wrapper")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::rebalance::{Change, Rebalances, rebalance};
use super::settings::Settings;
use super::starts::Starts;
use super::tokens::Tokens;
use super::troubles::{Context, Troubles};
use crate::event::Input;
use crate::journal::JournalError;

/// Records of one call: some hundred kilobytes of lines.
const BATCH: usize = 2_000;
/// After these a consumer gives nothing any more (sheet §1.6, §1.8).
const USELESS: [RDKafkaErrorCode; 4] = [
    RDKafkaErrorCode::Fatal,
    RDKafkaErrorCode::AutoOffsetReset,
    RDKafkaErrorCode::PollExceeded,
    RDKafkaErrorCode::FencedInstanceId,
];
/// How long the brokers may take to answer what a rebalance asks.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// A record as it lies in librdkafka's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub partition: u32,
    pub offset: u64,
    /// Milliseconds; `None` where the broker gave none.
    pub timestamp: Option<i64>,
    /// Whether the broker stamped it, and not its producer.
    pub stamped: bool,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// Whether it only says that its key is to be forgotten.
    pub tombstone: bool,
    /// Whether it says of itself that anybody may have sent it.
    pub spoofable: bool,
}

/// What a call of [`Reader::poll`] meets.
#[derive(Clone, Copy, Debug)]
pub enum Met<'a> {
    Record(Message<'a>),
    /// The end of a partition, for now: the offset that comes next.
    End(&'a str, u32, u64),
}

/// A consumer.
pub struct Reader {
    client: NonNull<sys::rd_kafka_t>,
    queue: NonNull<sys::rd_kafka_queue_t>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    /// Lives as long as the client, which holds a pointer to it.
    rebalances: Box<Rebalances>,
    troubles: Arc<Troubles>,
    tokens: Tokens,
}

// SAFETY: librdkafka's handles may be used from any thread; the cell is touched by the thread that has the reader alone.
unsafe impl Send for Reader {}

impl Reader {
    /// A consumer that reads nothing yet. `starts` says where partitions begin that its group never committed.
    ///
    /// # Errors
    /// Where the settings are none that librdkafka takes.
    pub fn new(
        (settings, config): (&Settings, &ClientConfig),
        starts: Starts,
        troubles: Arc<Troubles>,
    ) -> Result<Reader, JournalError> {
        let native = config.create_native_config().map_err(|error| refused(&error.to_string()))?;
        let group = config.get("group.id").unwrap_or_default().to_owned();
        let rebalances = Box::new(Rebalances::new(group, starts));
        let mut text: [c_char; 512] = [0; 512];
        // SAFETY: the duplicate belongs to the new client, or is destroyed where there is none. The opaque outlives it.
        let client = unsafe {
            let conf = sys::rd_kafka_conf_dup(native.ptr());
            sys::rd_kafka_conf_set_opaque(conf, std::ptr::from_ref(&*rebalances).cast_mut().cast());
            sys::rd_kafka_conf_set_rebalance_cb(conf, Some(rebalance));
            let kind = sys::rd_kafka_type_t::RD_KAFKA_CONSUMER;
            let client = sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len());
            if client.is_null() {
                sys::rd_kafka_conf_destroy(conf);
            }
            client
        };
        // SAFETY: librdkafka ends the text with a zero.
        let why = || unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned();
        let client = NonNull::new(client).ok_or_else(|| refused(&why()))?;
        // SAFETY: the client is new and whole.
        let queue = unsafe {
            sys::rd_kafka_poll_set_consumer(client.as_ptr());
            sys::rd_kafka_queue_get_consumer(client.as_ptr())
        };
        let queue = NonNull::new(queue).ok_or_else(|| refused("the consumer has no queue"))?;
        let (messages, tokens) = (Vec::with_capacity(BATCH), Tokens::new(settings));
        let mut reader = Reader { client, queue, messages, rebalances, troubles, tokens };
        reader.tokens.renew(client)?;
        Ok(reader)
    }

    /// Joins its group for these topics.
    ///
    /// # Errors
    /// Where librdkafka refuses them.
    pub fn subscribe(&mut self, topics: &[String]) -> Result<(), JournalError> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_partition(topic, -1);
        }
        // SAFETY: both pointers are of living values; the list is copied.
        check(unsafe { sys::rd_kafka_subscribe(self.client.as_ptr(), list.ptr()) }, "subscribe")
    }

    /// Reads these partitions from these offsets on, and no others any more.
    ///
    /// # Errors
    /// Where librdkafka refuses them.
    pub fn assign(&mut self, places: &[(Input, u64)]) -> Result<(), JournalError> {
        let list = list_of(places);
        // SAFETY: as above.
        check(unsafe { sys::rd_kafka_assign(self.client.as_ptr(), list.ptr()) }, "assign")
    }

    /// Goes on at these offsets in partitions that it reads.
    ///
    /// # Errors
    /// Where one of them is not read, or the brokers do not answer.
    pub fn seek(&mut self, places: &[(Input, u64)]) -> Result<(), JournalError> {
        let list = list_of(places);
        // SAFETY: as above; the error belongs to us.
        taken(unsafe { sys::rd_kafka_seek_partitions(self.client.as_ptr(), list.ptr(), milliseconds(ANSWER)) })
            .map_err(|fault| refused(&fault.text))?;
        for element in list.elements() {
            element.error().map_err(|error| refused(&format!("{}: {error}", element.topic())))?;
        }
        Ok(())
    }

    /// Gives what there is to `each`, waiting for it up to `timeout`; at most some thousand records. How many it was.
    ///
    /// # Errors
    /// [`JournalError::Undone`] where the consumer is of no more use and a new one must be made.
    pub fn poll(&mut self, timeout: Duration, each: &mut dyn FnMut(Met<'_>)) -> Result<usize, JournalError> {
        self.tokens.renew(self.client)?;
        // A call waits until it has as many as it asks for: one is waited for, and the others are taken if they are there.
        if self.take(timeout, 1) > 0 {
            let known = self.rebalances.changes.borrow().len();
            self.take(Duration::ZERO, BATCH - 1);
            self.drop_outdated(known);
        }
        let (mut records, mut broken, mut topic) = (0, None, Topic::default());
        for message in &self.messages {
            // SAFETY: librdkafka gave it, and it is given back below.
            let raw = unsafe { &**message };
            match code_of(raw.err) {
                None => {
                    records += 1;
                    each(Met::Record(seen(*message, raw, topic.of(raw))));
                }
                Some(RDKafkaErrorCode::PartitionEOF) => {
                    let next = u64::try_from(raw.offset).unwrap_or_default();
                    each(Met::End(topic.of(raw), partition_of(raw), next));
                }
                Some(code) => broken = note(&self.troubles, code, raw).or(broken),
            }
        }
        // All at the end: as long as one message of a topic is held, the topic's name is where it was.
        for message in self.messages.drain(..) {
            // SAFETY: it is not used any more.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
        if records > 0 {
            self.troubles.clear();
        }
        let fault = self.rebalances.fault.borrow_mut().take();
        broken.or(fault).map_or(Ok(records), |why| Err(JournalError::Undone { why }))
    }

    /// Drops the first message where its partition was taken away after it came: of the messages of one call librdkafka
    /// drops those itself, and this one is of a call of its own. What was given back since may begin before it.
    fn drop_outdated(&mut self, known: usize) {
        let Some(first) = self.messages.first().copied() else { return };
        // SAFETY: librdkafka gave it, and it is given back where the messages are drained, or below.
        let raw = unsafe { &*first };
        let (topic, partition) = (Topic::default().of(raw), partition_of(raw));
        let is_its = |input: &Input| input.partition == partition && input.topic == topic;
        let away = |change: &Change| matches!(change, Change::Revoked(inputs) if inputs.iter().any(is_its));
        if self.rebalances.changes.borrow().iter().skip(known).any(away) {
            self.messages.remove(0);
            // SAFETY: it is not used any more.
            unsafe { sys::rd_kafka_message_destroy(first) };
        }
    }

    /// Takes up to so many messages out of the queue, waiting until there are so many or the time is up.
    fn take(&mut self, timeout: Duration, most: usize) -> usize {
        let have = self.messages.len();
        let most = most.min(self.messages.capacity() - have);
        // SAFETY: the buffer has room for as many pointers as are asked for behind those it has; only what is given is kept.
        unsafe {
            let room = self.messages.as_mut_ptr().add(have);
            let queue = self.queue.as_ptr();
            let count = sys::rd_kafka_consume_batch_queue(queue, milliseconds(timeout), room, most);
            let count = usize::try_from(count).unwrap_or(0).min(most);
            self.messages.set_len(have + count);
            count
        }
    }

    /// What rebalances did since the last call.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut *self.rebalances.changes.borrow_mut())
    }

    /// What proves to a transaction that its offsets are of a member of the group.
    pub fn membership(&self) -> Membership {
        // SAFETY: the consumer lives; the metadata is a copy.
        Membership(unsafe { sys::rd_kafka_consumer_group_metadata(self.client.as_ptr()) })
    }

    /// What the group has committed of these partitions: offset and note; transactions that are open are waited for.
    ///
    /// # Errors
    /// Where the brokers do not answer.
    pub fn committed(&self, inputs: &[Input]) -> Result<Vec<Option<(u64, String)>>, JournalError> {
        let list = list_of(&inputs.iter().map(|input| (input.clone(), 0)).collect::<Vec<_>>());
        ask_committed(self.client.as_ptr(), &list)?;
        let one = |element: &TopicPartitionListElem<'_>| {
            offset_of(element.offset()).map(|offset| (offset, element.metadata().to_owned()))
        };
        Ok(list.elements().iter().map(one).collect())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Without closing it, which would serve rebalances once more, and may wait for them without end (librdkafka issue
        // 4884). A static member does not leave its group in any case, and nothing is committed by itself.
        // SAFETY: nothing is used afterwards.
        unsafe {
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            sys::rd_kafka_destroy_flags(self.client.as_ptr(), sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// What librdkafka says of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: Option<RDKafkaErrorCode>,
    pub fatal: bool,
    pub retriable: bool,
    pub requires_abort: bool,
    pub text: String,
}

/// Takes over what librdkafka gives as an error; null is none.
pub(super) fn taken(error: *mut sys::rd_kafka_error_t) -> Result<(), Fault> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: it is an error that belongs to us, and is destroyed once; the text is copied before.
    unsafe {
        let fault = Fault {
            code: code_of(sys::rd_kafka_error_code(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            text: CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
        };
        sys::rd_kafka_error_destroy(error);
        Err(fault)
    }
}

pub(super) fn ask_committed(client: *mut sys::rd_kafka_t, list: &TopicPartitionList) -> Result<(), JournalError> {
    // SAFETY: both are alive; the answer is written into the list.
    check(unsafe { sys::rd_kafka_committed(client, list.ptr(), milliseconds(ANSWER)) }, "committed offsets")?;
    // One that could not be told is not one that was never committed: that would be read from where it began.
    let untold = |element: &TopicPartitionListElem<'_>| {
        let told = element.error();
        told.map_err(|error| {
            refused(&format!("committed offset of {}/{}: {error}", element.topic(), element.partition()))
        })
    };
    list.elements().iter().try_for_each(untold)
}

pub(super) fn list_of(places: &[(Input, u64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (Input { topic, partition }, next) in places {
        let offset = Offset::Offset(i64::try_from(*next).unwrap_or(i64::MAX));
        // An offset that is none is refused by the call that gets the list.
        drop(list.add_partition_offset(topic, i32::try_from(*partition).unwrap_or(i32::MAX), offset));
    }
    list
}

pub(super) fn offset_of(offset: Offset) -> Option<u64> {
    match offset {
        Offset::Offset(offset) => u64::try_from(offset).ok(),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
    }
}

/// The topic of the message before, which is that of the next one nearly always: its name is not measured again.
#[derive(Default)]
struct Topic<'a> {
    of: Option<NonNull<sys::rd_kafka_topic_t>>,
    name: &'a str,
}

impl<'a> Topic<'a> {
    fn of(&mut self, raw: &'a sys::rd_kafka_message_t) -> &'a str {
        let of = NonNull::new(raw.rkt);
        if of != self.of {
            // SAFETY: the topic and its name live as long as the message, which is not given back before `'a` ends.
            let name = of.map(|of| unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(of.as_ptr())) });
            (self.of, self.name) = (of, name.and_then(|name| name.to_str().ok()).unwrap_or_default());
        }
        self.name
    }
}

fn partition_of(raw: &sys::rd_kafka_message_t) -> u32 {
    u32::try_from(raw.partition).unwrap_or_default()
}

fn seen<'a>(message: *mut sys::rd_kafka_message_t, raw: &'a sys::rd_kafka_message_t, topic: &'a str) -> Message<'a> {
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is whole, and its bytes live until it is destroyed.
    let (time, key, value, spoofable) = unsafe {
        let time = sys::rd_kafka_message_timestamp(message, &raw mut kind);
        let mut headers = std::ptr::null_mut();
        let has_headers = sys::rd_kafka_message_headers(message, &raw mut headers);
        let spoofable = code_of(has_headers).is_none() && has_spoofable(headers);
        (time, bytes(raw.key, raw.key_len), bytes(raw.payload, raw.len), spoofable)
    };
    let stamped = kind == sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
    let offset = u64::try_from(raw.offset).unwrap_or_default();
    let timestamp = (time >= 0).then_some(time);
    let (tombstone, value) = (value.is_none(), value.unwrap_or_default());
    let partition = partition_of(raw);
    Message { topic, partition, offset, timestamp, stamped, key, value, tombstone, spoofable }
}

/// # Safety
/// The headers must be whole.
unsafe fn has_spoofable(headers: *mut sys::rd_kafka_headers_t) -> bool {
    let (mut value, mut size) = (std::ptr::null(), 0);
    // SAFETY: the caller's word; the name ends with a zero.
    let code =
        unsafe { sys::rd_kafka_header_get_last(headers, super::SPOOFABLE.as_ptr(), &raw mut value, &raw mut size) };
    code_of(code).is_none()
}

/// # Safety
/// Where it is not null, so many bytes must be there.
unsafe fn bytes<'a>(start: *mut c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's word.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) })
}

/// A member of a group at one moment.
pub struct Membership(*mut sys::rd_kafka_consumer_group_metadata_t);

// SAFETY: it is a copy that belongs to nobody else, and nothing in it is of a thread.
unsafe impl Send for Membership {}

impl Membership {
    /// Puts the group's positions into a producer's transaction. It may take longer than `timeout`, even for ever.
    ///
    /// # Errors
    /// What librdkafka says of it.
    pub fn send_offsets(
        &self,
        producer: &Client<Context>,
        offsets: &TopicPartitionList,
        timeout: Duration,
    ) -> Result<(), Fault> {
        let (producer, timeout) = (producer.native_ptr(), milliseconds(timeout));
        // SAFETY: all three are borrowed for as long as this takes.
        unsafe { taken(sys::rd_kafka_send_offsets_to_transaction(producer, offsets.ptr(), self.0, timeout)) }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: it was given to be destroyed, and is once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0) }
    }
}

/// Counts a fault that came in a record's place; gives why the consumer is of no more use, where it is not.
fn note(troubles: &Troubles, code: RDKafkaErrorCode, raw: &sys::rd_kafka_message_t) -> Option<String> {
    // SAFETY: the text of a fault is its payload, or librdkafka's own for its code.
    let why = unsafe { bytes(raw.payload, raw.len) }.map(|text| String::from_utf8_lossy(text).into_owned());
    let (topic, partition) = (Topic::default().of(raw), partition_of(raw));
    // A name or a pattern that no topic has yet is no fault: one that appears later is found, and one that was read and is
    // gone is told by whoever watches the ids.
    if code == RDKafkaErrorCode::UnknownTopicOrPartition {
        return None;
    }
    let place = if topic.is_empty() { String::new() } else { format!("{topic}/{partition}: ") };
    let why = format!("{place}{}", why.unwrap_or_else(|| code.to_string()));
    troubles.note(Some(code), &why);
    USELESS.contains(&code).then_some(why)
}

fn code_of(code: sys::rd_kafka_resp_err_t) -> Option<RDKafkaErrorCode> {
    (code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

pub(super) fn check(code: sys::rd_kafka_resp_err_t, what: &str) -> Result<(), JournalError> {
    code_of(code).map_or(Ok(()), |code| Err(refused(&format!("{what}: {code}"))))
}

fn refused(why: &str) -> JournalError {
    JournalError::Undone { why: why.to_owned() }
}

pub(super) fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
