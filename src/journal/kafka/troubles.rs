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
use super::tokens;

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
    /// Why we do not come to the brokers at all: everything else follows from it.
    cut_off: Option<String>,
    /// That they refused us, which no waiting mends.
    refused: bool,
    /// What a stage cannot go on for, and since when nobody said so again.
    stands: Option<(Time, String)>,
}

/// A stage that cannot go on says so again sooner than this.
const STANDS_FOR: i64 = 30 * SECOND;
/// What is told of a stage that cannot go on is told beside whatever else is.
const STANDS: &str = "stands";
const WARNS: &str = "warns";

impl Troubles {
    pub fn new(clock: Clock, tell: Tell) -> Troubles {
        Troubles { clock, tell, count: AtomicU64::new(0), last: Mutex::default() }
    }

    /// Something went wrong; of each kind at most one is told a minute.
    pub fn note(&self, code: Option<RDKafkaErrorCode>, why: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let text = explained(code, why);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL));
        let away = matches!(advice(code), Some(AWAY)) || code == Some(RDKafkaErrorCode::Resolve);
        if refused || away && !last.refused {
            (last.cut_off, last.refused) = (Some(text.clone()), refused);
        } else if code.is_some() || last.now.is_none() {
            // What follows from a fault says less than the fault.
            last.now = Some(text.clone());
        }
        let due = last.is_due(advice(code).unwrap_or_default(), refused || away, (self.clock)());
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
        let due = last.is_due(STANDS, false, now);
        drop(last);
        if due {
            (self.tell)(&text);
        }
    }

    /// Something somebody should mend, which keeps nobody from going on; told at most once a minute.
    pub fn warn(&self, text: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_due(WARNS, true, (self.clock)());
        drop(last);
        if due {
            (self.tell)(text);
        }
    }

    /// Something worked.
    pub fn clear(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.now, last.cut_off, last.refused) = (None, None, false);
    }

    /// Why the brokers refused us, where they did.
    pub fn refused(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.cut_off.clone().filter(|_| last.refused)
    }

    /// What is wrong now, if anything.
    pub fn now(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = last.stands.as_ref().filter(|(since, _)| (self.clock)().since(*since) < STANDS_FOR);
        last.cut_off.clone().or_else(|| stands.map(|(_, text)| text.clone())).or_else(|| last.now.clone())
    }

    /// Faults so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Last {
    /// Whether this kind was not told within the last minute, and does not follow from what was: that no broker answers
    /// from any refusal, and everything but that we are cut off from that.
    fn is_due(&mut self, kind: &'static str, cuts_off: bool, now: Time) -> bool {
        let lately = |told: Option<&Time>| told.is_some_and(|told| now.since(*told) < MINUTE);
        let any = self.told_at.values().any(|told| lately(Some(told)));
        let follows = any && (kind == AWAY || !cuts_off && self.cut_off.is_some());
        let due = !follows && !lately(self.told_at.get(kind));
        if due {
            self.told_at.insert(kind, now);
        }
        due
    }
}

const AWAY: &str = "no broker answers: is `brokers` right, are they up, is it a TLS port, which needs `tls: {}`, or one that asks for \
                    `tls.certificate`?";

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
    /// The first fault: where a record is refused, only this says why (sheet §1.5).
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
        let token = tokens::read(file)?;
        let lifetime_ms = (self.troubles.clock)().plus(tokens::TOKEN_MS).0;
        Ok(OAuthToken { token, principal_name: tokens::PRINCIPAL.to_owned(), lifetime_ms })
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
                // What follows, as that the others were not sent any more, says less.
                delivered.fault.get_or_insert(advice.map_or(why.clone(), |advice| format!("{why}\n  = {advice}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    #[test]
    fn what_follows_from_a_fault_is_not_told_beside_it() {
        let (now, said) = (Arc::new(AtomicI64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (clock, heard) = (Arc::clone(&now), Arc::clone(&said));
        let troubles = Troubles::new(
            Arc::new(move || Time(clock.load(Ordering::Relaxed))),
            Arc::new(move |text: &str| heard.lock().expect("no panic").push(text.to_owned())),
        );
        let count = || said.lock().expect("no panic").len();
        troubles.note(Some(RDKafkaErrorCode::Authentication), "wrong password");
        for _ in 0..5 {
            troubles.note(Some(RDKafkaErrorCode::AllBrokersDown), "down");
            troubles.note(None, "timed out");
            troubles.stand("not done");
        }
        assert_eq!(count(), 1);
        assert!(troubles.now().is_some_and(|why| why.contains("see `sasl`")), "{:?}", troubles.now());
        assert_eq!(troubles.now(), troubles.refused());
        now.store(MINUTE, Ordering::Relaxed);
        troubles.note(Some(RDKafkaErrorCode::AllBrokersDown), "down");
        assert_eq!(count(), 2, "again after a minute");
        troubles.stand("not done");
        troubles.clear();
        assert!(troubles.now().is_some_and(|why| why.contains("not done")), "it still stands");
        troubles.note(Some(RDKafkaErrorCode::UnknownTopic), "x");
        assert!(count() == 3 && troubles.now().is_some_and(|why| why.contains("not done")));
        now.store(MINUTE + STANDS_FOR, Ordering::Relaxed);
        assert!(troubles.now().is_some_and(|why| why.contains("topics create")), "nobody said again that it stands");
        assert_eq!(troubles.count(), 19);
    }
}
