//! The stream of a demo's node, read by a thread of its own: outcomes as they are committed. I/O.
//!
//! Deliberately without going on after a fault: a story with a gap is none.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::event::Outcome;

use super::super::CliError;

/// Outcomes that wait to be told: as many as a day has at most, all of which the story holds anyway.
pub(super) struct News(Receiver<Result<Outcome, String>>);

impl News {
    /// Reads a stream until it ends.
    pub fn of(stream: impl BufRead + Send + 'static) -> News {
        let (sender, receiver) = channel();
        std::thread::spawn(move || read(stream, &sender));
        News(receiver)
    }

    /// The next outcome that came within so long; `None` where there was none.
    ///
    /// # Errors
    /// Where the stream has ended or has a gap.
    pub fn next(&self, within: Duration) -> Result<Option<Outcome>, CliError> {
        use std::sync::mpsc::RecvTimeoutError;
        let fault = |why: &str| CliError::environment(format!("the node's stream has ended: {why}"));
        match self.0.recv_timeout(within) {
            Ok(Ok(outcome)) => Ok(Some(outcome)),
            Ok(Err(why)) => Err(fault(&why)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(fault("a part of the node ended by itself")),
        }
    }
}

/// Reads server-sent events: `event` and `data` lines, each event ended by an empty one.
fn read(stream: impl BufRead, sender: &Sender<Result<Outcome, String>>) {
    let mut word = String::new();
    for line in stream.lines().map_while(Result::ok) {
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut word);
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let Some(heard) = outcome_of(&word, data) else { continue };
        if sender.send(heard).is_err() {
            return;
        }
    }
}

/// What an event says; `None` for greetings.
fn outcome_of(word: &str, data: &str) -> Option<Result<Outcome, String>> {
    let outcome = match word {
        "alert" => serde_json::from_str(data).map(|alert| Outcome::Alert(Box::new(alert))),
        "block" => serde_json::from_str(data).map(|block| Outcome::Block(Box::new(block))),
        "lift" => serde_json::from_str(data).map(Outcome::Lift),
        "gap" | "overrun" | "fault" => return Some(Err(data.to_owned())),
        _ => return None,
    };
    Some(outcome.map_err(|error| format!("it cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_are_passed_and_gaps_are_told() {
        let stream = "retry: 2000\nid: 0-0\nevent: hello\ndata: {\"message\":\"x\"}\n\n:\n\nid: 1-0\nevent: alert\ndata: {}\n\n\
                      id: 1-1\nevent: gap\ndata: {\"message\":\"gone\"}\n\n";
        let news = News::of(stream.as_bytes());
        let wait = Duration::from_secs(60);
        assert!(news.next(wait).unwrap_err().message.contains("cannot be read"));
        assert!(news.next(wait).unwrap_err().message.contains("gone"));
        assert!(news.next(wait).unwrap_err().message.contains("by itself"));
    }
}
