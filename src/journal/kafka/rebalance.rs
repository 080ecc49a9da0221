//! Who works which partition: what librdkafka calls within a poll when the group has decided. I/O.
//!
//! Partitions are assigned once, at explicit offsets (sheet §1.6, rule 17): where the group committed, or where its first
//! start began. A place that is not in the log any more, or is one in a topic that was made anew since, stops everything
//! and is never reset.

#![expect(unsafe_code, reason = "librdkafka calls back with pointers")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_void};
use std::ops::Range;
use std::ptr::NonNull;

use rdkafka::bindings as sys;

use super::ids::ids;
use super::mutants::{self, Mutant};
use super::reader::{ANSWER, ask_committed, check, list_of, milliseconds, offset_of, taken};
use super::starts::Starts;
use crate::event::Input;

/// A partition that was given to a member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    pub input: Input,
    /// Where it goes on.
    pub next: u64,
    /// Whether the group ever committed a position of it.
    pub committed: bool,
    /// What lies beside the committed offset.
    pub note: String,
    /// What tells its topic from others of the name; `None` where the brokers do not say.
    pub id: Option<String>,
}

/// What a rebalance did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Assigned(Vec<Assigned>),
    Revoked(Vec<Input>),
}

impl Change {
    /// The partitions that it is about.
    pub fn inputs(&self) -> Box<dyn Iterator<Item = &Input> + '_> {
        match self {
            Change::Assigned(given) => Box::new(given.iter().map(|given| &given.input)),
            Change::Revoked(inputs) => Box::new(inputs.iter()),
        }
    }
}

/// What a consumer's callback is lent, and what it leaves behind.
pub(super) struct Rebalances {
    group: String,
    starts: Starts,
    pub changes: RefCell<Vec<Change>>,
    /// What was given as a whole: what comes after it in its place takes it away, also where nobody says so.
    whole: RefCell<Vec<Input>>,
    /// A rebalance that could not be followed: the group must be joined anew.
    pub fault: RefCell<Option<String>>,
}

impl Rebalances {
    /// None yet.
    pub fn new(group: String, starts: Starts) -> Rebalances {
        Rebalances { group, starts, changes: RefCell::default(), whole: RefCell::default(), fault: RefCell::default() }
    }
}

/// Called by librdkafka within a poll or the closing.
///
/// # Safety
/// The opaque must be the [`Rebalances`] of the reader that polls.
pub(super) unsafe extern "C" fn rebalance(
    client: *mut sys::rd_kafka_t,
    code: sys::rd_kafka_resp_err_t,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the box of the reader that is polling; partitions are librdkafka's for this call.
    let (rebalances, inputs) = unsafe { (&*opaque.cast::<Rebalances>(), inputs_of(partitions)) };
    // SAFETY: the client lives; the text is static.
    let cooperative = unsafe { CStr::from_ptr(sys::rd_kafka_rebalance_protocol(client)) } == c"COOPERATIVE";
    let done = if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        assigned(client, &inputs, rebalances).and_then(|given| {
            let before = if cooperative { Vec::new() } else { rebalances.whole.replace(inputs.clone()) };
            if !before.is_empty() {
                rebalances.changes.borrow_mut().push(Change::Revoked(before));
            }
            let places: Vec<_> = given.iter().map(|given| (given.input.clone(), given.next)).collect();
            rebalances.changes.borrow_mut().push(Change::Assigned(given));
            let list = list_of(&places);
            // SAFETY: the list is copied, the error is ours.
            unsafe {
                if cooperative {
                    return taken(sys::rd_kafka_incremental_assign(client, list.ptr())).map_err(|fault| fault.text);
                }
                check(sys::rd_kafka_assign(client, list.ptr()), "assign").map_err(|error| error.to_string())
            }
        })
    } else {
        rebalances.whole.borrow_mut().clear();
        rebalances.changes.borrow_mut().push(Change::Revoked(inputs));
        // SAFETY: as above; no list at all takes everything away.
        unsafe {
            if cooperative {
                taken(sys::rd_kafka_incremental_unassign(client, partitions)).map_err(|fault| fault.text)
            } else {
                check(sys::rd_kafka_assign(client, std::ptr::null()), "unassign").map_err(|error| error.to_string())
            }
        }
    };
    if let Err(why) = done {
        *rebalances.fault.borrow_mut() = Some(why);
    }
}

/// Where each partition goes on: at what the group committed, else where its first start began.
fn assigned(
    client: *mut sys::rd_kafka_t,
    inputs: &[Input],
    Rebalances { group, starts, .. }: &Rebalances,
) -> Result<Vec<Assigned>, String> {
    let list = list_of(&inputs.iter().map(|input| (input.clone(), 0)).collect::<Vec<_>>());
    ask_committed(client, &list).map_err(|error| error.to_string())?;
    let topics: BTreeSet<&str> = inputs.iter().map(|input| input.topic.as_str()).collect();
    let there = NonNull::new(client).map_or(Ok(Default::default()), |client| ids(client, &topics, ANSWER));
    let there = there.map_err(|error| error.to_string())?;
    let mut given = Vec::with_capacity(inputs.len());
    for (input, element) in inputs.iter().zip(list.elements()) {
        let committed = offset_of(element.offset());
        let (known, note) = read(element.metadata());
        let start = starts.place(input);
        let known = if committed.is_some() { known } else { start.and_then(|_| starts.id(&input.topic)) };
        let id = there.get(&input.topic).cloned();
        let ignored = mutants::has(Mutant::IdIgnored);
        if known.is_some() && id.is_some() && known != id.as_deref() && !ignored {
            return Err(anew(&input.topic, group));
        }
        let next = match committed.or(start) {
            Some(next) => within(client, input, (next, group))?,
            None if mutants::has(Mutant::BeginsAtEnd) => watermarks(client, input)?.end,
            None => watermarks(client, input)?.start,
        };
        given.push(Assigned { input: input.clone(), next, committed: committed.is_some(), note: note.to_owned(), id });
    }
    Ok(given)
}

/// What a group keeps beside an offset: the topic's id and a note. Somebody else's offset has neither.
fn read(metadata: &str) -> (Option<&str>, &str) {
    metadata.split_once(':').map_or((None, metadata), |(id, note)| (Some(id).filter(|id| !id.is_empty()), note))
}

/// The same, to be kept.
pub(super) fn written(id: Option<&str>, note: &str) -> String {
    format!("{}:{note}", id.unwrap_or_default())
}

/// What is said of a topic that is not the one that was read.
pub(super) fn anew(topic: &str, group: &str) -> String {
    format!(
        "{topic} was deleted and made anew: it is not the topic that was read so far, and what of that was not read is lost\n  \
         = to read the new one: {}",
        reset(topic, group)
    )
}

fn reset(topic: &str, group: &str) -> String {
    format!(
        "stop every Sekisho, then `kafka-consumer-groups.sh --group {group} --topic {topic} --reset-offsets --to-earliest \
         --execute`, and start again"
    )
}

/// A position that lies in its log; others are never reset in silence (sheet §1.8).
fn within(client: *mut sys::rd_kafka_t, input: &Input, (next, group): (u64, &str)) -> Result<u64, String> {
    let there = watermarks(client, input)?;
    if there.contains(&next) || next == there.end {
        return Ok(next);
    }
    if mutants::has(Mutant::PlaceReset) {
        return Ok(there.start);
    }
    let Input { topic, partition } = input;
    Err(format!(
        "{topic}/{partition} goes on at {next}, but holds {}..{}: records were deleted before they were read, or the \
         topic was made anew\n  = to go on with what is there: {}",
        there.start,
        there.end,
        reset(topic, group)
    ))
}

fn watermarks(client: *mut sys::rd_kafka_t, input: &Input) -> Result<Range<u64>, String> {
    let topic = std::ffi::CString::new(input.topic.as_str()).map_err(|error| error.to_string())?;
    let (mut low, mut high) = (0, 0);
    let partition = i32::try_from(input.partition).unwrap_or(i32::MAX);
    // SAFETY: all pointers are of living values.
    let code = unsafe {
        let timeout = milliseconds(ANSWER);
        sys::rd_kafka_query_watermark_offsets(client, topic.as_ptr(), partition, &raw mut low, &raw mut high, timeout)
    };
    check(code, "offsets").map_err(|error| error.to_string())?;
    Ok(u64::try_from(low).unwrap_or(0)..u64::try_from(high).unwrap_or(0))
}

/// The partitions of a list that librdkafka lends.
///
/// # Safety
/// The list must be whole for as long as this takes.
unsafe fn inputs_of(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<Input> {
    // SAFETY: the caller's word; the list has as many elements as it counts, and none at all where it is empty.
    unsafe {
        if list.is_null() || (*list).elems.is_null() {
            return Vec::new();
        }
        let elements = std::slice::from_raw_parts((*list).elems, usize::try_from((*list).cnt).unwrap_or(0));
        let one = |element: &sys::rd_kafka_topic_partition_t| Input {
            topic: CStr::from_ptr(element.topic).to_string_lossy().into_owned(),
            partition: u32::try_from(element.partition).unwrap_or_default(),
        };
        elements.iter().map(one).collect()
    }
}
