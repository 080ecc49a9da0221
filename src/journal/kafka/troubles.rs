//! What goes wrong between this process and the brokers, in words for whoever runs it. I/O only through the given closure.
//!
//! librdkafka tells of each fault many times: one message a minute says what it is, the rest is counted. Deliberately
//! without any effect on what is done: clients try again by themselves.

use std::collections::BTreeMap;
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

use crate::event::{MINUTE, SECOND, Time};

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
    /// When what was told, by its advice.
    told_at: BTreeMap<&'static str, Time>,
    /// What is wrong now; taken back once something works.
    now: Option<String>,
    /// That we were refused, which no waiting mends.
    refused: Option<String>,
    /// What a stage cannot go on for, and since when nobody said so again.
    stands: Option<(Time, String)>,
}

/// A stage that cannot go on says so again sooner than this.
const STANDS_FOR: i64 = 30 * SECOND;
/// What is told of a stage that cannot go on is told beside whatever else is.
const STANDS: &str = "stands";

impl Troubles {
    pub fn new(clock: Clock, tell: Tell) -> Troubles {
        Troubles { clock, tell, count: AtomicU64::new(0), last: Mutex::default() }
    }

    /// Something went wrong; of each kind at most one is told a minute.
    pub fn note(&self, code: Option<RDKafkaErrorCode>, why: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let text = explained(code, why);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // What follows from a fault says less than the fault.
        if code.is_some() || last.now.is_none() {
            last.now = Some(text.clone());
        }
        if matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)) {
            last.refused = Some(text.clone());
        }
        let due = last.is_due(advice(code).unwrap_or_default(), (self.clock)());
        drop(last);
        if due {
            (self.tell)(&text);
        }
    }

    /// A stage cannot go on, and will say so again as long as it cannot.
    pub fn stand(&self, why: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let (text, now) = (explained(None, why), (self.clock)());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.stands = Some((now, text.clone()));
        let due = last.is_due(STANDS, now);
        drop(last);
        if due {
            (self.tell)(&text);
        }
    }

    /// Something worked.
    pub fn clear(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.now, last.refused) = (None, None);
    }

    /// Why the brokers refused us, where they did.
    pub fn refused(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }

    /// What is wrong now, if anything.
    pub fn now(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = last.stands.as_ref().filter(|(since, _)| (self.clock)().since(*since) < STANDS_FOR);
        stands.map(|(_, text)| text.clone()).or_else(|| last.now.clone())
    }

    /// Faults so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Last {
    /// Whether this kind was not told within the last minute; that no broker answers follows from whatever else was.
    fn is_due(&mut self, kind: &'static str, now: Time) -> bool {
        let lately = |told: Option<&Time>| told.is_some_and(|told| now.since(*told) < MINUTE);
        let told =
            lately(self.told_at.get(kind)) || kind == AWAY && self.told_at.values().any(|told| lately(Some(told)));
        if !told {
            self.told_at.insert(kind, now);
        }
        !told
    }
}

const AWAY: &str = "no broker answers: is `brokers` right, are they up, and is it a TLS port, which needs `tls: {}`? It is \
                    tried again";

/// What a fault may mean (sheet §1.12: librdkafka alone says little).
fn advice(code: Option<RDKafkaErrorCode>) -> Option<&'static str> {
    Some(match code {
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => AWAY,
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
            "user, password or mechanism is wrong: see `sasl`"
        }
        Some(RDKafkaErrorCode::SSL) => {
            "the certificate is not believed, or ours is refused: see `tls.ca` and `tls.certificate`"
        }
        Some(RDKafkaErrorCode::Resolve) => "the name of a broker is not known: see `brokers`",
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ) => "this user may not: the README lists the rights that are needed",
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            "a topic is missing: `sekisho topics create` makes them"
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            "a topic takes no records so large: `sekisho topics check` says which, and what to set"
        }
        Some(_) | None => return None,
    })
}

/// A fault with what it may mean.
pub(super) fn explained(code: Option<RDKafkaErrorCode>, why: &str) -> String {
    advice(code).map_or_else(|| format!("Kafka: {why}"), |advice| format!("Kafka: {why}\n  = {advice}"))
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
                let why = format!("{}/{}: {error}", message.topic(), message.partition());
                let advice = advice(error.rdkafka_error_code());
                delivered.fault = Some(advice.map_or_else(|| why.clone(), |advice| format!("{why}\n  = {advice}")));
            }
        }
    }
}
