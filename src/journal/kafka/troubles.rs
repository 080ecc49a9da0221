//! What goes wrong between this process and the brokers, in words for whoever runs it. I/O only through the given closure.
//!
//! librdkafka tells of each fault many times: one message a minute says what it is, the rest is counted. Deliberately
//! without any effect on what is done: clients try again by themselves.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::event::{MINUTE, Time};

use super::settings::{Clock, Tell};

/// How long a token of OAUTHBEARER is believed before its file is read again.
const TOKEN_MS: i64 = 15 * MINUTE;

/// Faults, as they are told and counted.
pub struct Troubles {
    clock: Clock,
    tell: Tell,
    count: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    told_at: Option<Time>,
    /// What is wrong now; taken back once something works.
    now: Option<String>,
}

impl Troubles {
    pub fn new(clock: Clock, tell: Tell) -> Troubles {
        Troubles { clock, tell, count: AtomicU64::new(0), last: Mutex::default() }
    }

    /// Something went wrong; told at most once a minute.
    pub fn note(&self, code: Option<RDKafkaErrorCode>, why: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let text = explained(code, why);
        let now = (self.clock)();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.told_at.is_none_or(|told| now.since(told) >= MINUTE);
        // What follows from a fault says less than the fault.
        if code.is_some() || last.now.is_none() {
            last.now = Some(text.clone());
        }
        if due {
            last.told_at = Some(now);
            drop(last);
            (self.tell)(&text);
        }
    }

    /// Something worked.
    pub fn clear(&self) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).now = None;
    }

    /// What is wrong now, if anything.
    pub fn now(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).now.clone()
    }

    /// Faults so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// A fault with what it may mean (sheet §1.12: librdkafka alone says little).
pub(super) fn explained(code: Option<RDKafkaErrorCode>, why: &str) -> String {
    let advice = match code {
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
            "no broker answers: is `brokers` right, are they up, and is it a TLS port, which needs `tls: {}`? It is tried again"
        }
        Some(RDKafkaErrorCode::Authentication) => "user, password or mechanism is wrong: see `sasl`",
        Some(RDKafkaErrorCode::SSL) => {
            "the certificate is not believed, or ours is refused: see `tls.ca` and `tls.certificate`"
        }
        Some(RDKafkaErrorCode::Resolve) => "the name of a broker is not known: see `brokers`",
        Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => {
            "this user may not: `sekisho topics check` lists what is needed"
        }
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            "a topic is missing: `sekisho topics create` makes them"
        }
        Some(_) | None => return format!("Kafka: {why}"),
    };
    format!("Kafka: {why}\n  = {advice}")
}

/// The context of our clients: faults go to [`Troubles`], results of sends are kept for the commit.
pub struct Context {
    pub troubles: Arc<Troubles>,
    pub token_file: Option<PathBuf>,
    delivered: Mutex<Delivered>,
}

/// What became of what was sent since the last [`Context::begin`].
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// The offset of the first record of each append.
    pub firsts: Vec<Option<u64>>,
    /// The largest time that a broker gave a record.
    pub appended_at: Option<i64>,
    /// The last fault: where a record is refused, only this says why (sheet §1.5).
    pub fault: Option<String>,
}

impl Context {
    pub fn new(troubles: Arc<Troubles>, token_file: Option<PathBuf>) -> Context {
        Context { troubles, token_file, delivered: Mutex::default() }
    }

    /// So many appends are sent from now on.
    pub fn begin(&self, appends: usize) {
        let delivered = Delivered { firsts: vec![None; appends], ..Delivered::default() };
        *self.delivered.lock().unwrap_or_else(PoisonError::into_inner) = delivered;
    }

    /// What became of it.
    pub fn delivered(&self) -> Delivered {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.note(error.rdkafka_error_code(), reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let file = self.token_file.as_ref().ok_or("`sasl.token_file` is not set")?;
        let token = super::token(file)?;
        let lifetime_ms = (self.troubles.clock)().plus(TOKEN_MS).0;
        Ok(OAuthToken { token, principal_name: "sekisho".to_owned(), lifetime_ms })
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, append: usize) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                if let Some(first) = delivered.firsts.get_mut(append) {
                    let offset = u64::try_from(message.offset()).unwrap_or_default();
                    *first = Some(first.map_or(offset, |known| known.min(offset)));
                }
                delivered.appended_at = delivered.appended_at.max(message.timestamp().to_millis());
            }
            Err((error, message)) => {
                delivered.fault = Some(format!("{}/{}: {error}", message.topic(), message.partition()));
            }
        }
    }
}
