//! What tells a topic from an earlier one of the same name: the id that the brokers gave it. I/O.
//!
//! A topic that was deleted and made anew looks like one that goes on, as soon as it is longer than our place in it (sheet
//! §1.8). So the id is kept beside each committed place, and compared before anything is read on.

#![expect(unsafe_code, reason = "rdkafka has no call for it")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::reader::{check, milliseconds};
use crate::journal::JournalError;

/// What stands for no id (KIP-516: the zero UUID).
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The ids of these topics, as base64; those that are not there, or are not to be seen by us, are left out.
///
/// # Errors
/// [`JournalError::Undone`] where the brokers do not answer.
pub(super) fn ids(
    client: NonNull<sys::rd_kafka_t>,
    topics: &BTreeSet<&str>,
    timeout: Duration,
) -> Result<BTreeMap<String, String>, JournalError> {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the client lives; names are copied; each thing that is made is destroyed once, the event last.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client.as_ptr());
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = sys::rd_kafka_AdminOptions_new(client.as_ptr(), kind);
        let milliseconds = milliseconds(timeout);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, milliseconds, std::ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(client.as_ptr(), collection, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, milliseconds);
        let found = read(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_queue_destroy(queue);
        found
    }
}

/// # Safety
/// The event must be whole, or null where none came.
unsafe fn read(event: *mut sys::rd_kafka_event_t) -> Result<BTreeMap<String, String>, JournalError> {
    if event.is_null() {
        return Err(JournalError::Undone { why: "the brokers did not describe the topics in time".to_owned() });
    }
    let mut found = BTreeMap::new();
    // SAFETY: the caller's word; what is lent lives as long as the event, and is copied.
    unsafe {
        check(sys::rd_kafka_event_error(event), "ids of topics")?;
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for index in 0..if topics.is_null() { 0 } else { count } {
            let topic = *topics.add(index);
            let fault = sys::rd_kafka_TopicDescription_error(topic);
            let code = if fault.is_null() { 0 } else { sys::rd_kafka_error_code(fault) as i32 };
            if code != 0 {
                continue;
            }
            let id = sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic));
            let name = sys::rd_kafka_TopicDescription_name(topic);
            if !id.is_null() && !name.is_null() {
                let text = |text| CStr::from_ptr(text).to_string_lossy().into_owned();
                // Brokers before 2.8 give zeros.
                if text(id) != NO_ID {
                    found.insert(text(name), text(id));
                }
            }
        }
    }
    Ok(found)
}
