//! What operators order, and what became of it. I/O.
//!
//! An order is a record of `sekisho.signals` like everything else that changes what decide knows; its answer is a record too.
//! Whoever orders waits for it some seconds, and is told where to look if it takes longer: the order stands either way.
//! Deliberately without a way to change anything at once.

use std::sync::Arc;

use axum::extract::{RawPathParams, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::event::{Answer, AnswerResult, Command, Entry, Input, Order, Position, SIGNALS, Time};
use crate::journal::{Commit, NewRecord, Records};

use super::access::Caller;
use super::answer::json_of;
use super::fault::ApiFault;
use super::routes::segment;
use super::state::{Api, blocking};

/// An answer as others read it.
#[derive(Serialize)]
struct Told<'a> {
    command: &'a Position,
    /// `done`, `refused` or `pending`.
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    /// How many blocks ended by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Writes an order into the journal and tells what became of it.
pub(super) async fn issue(api: &Arc<Api>, caller: &Caller, order: Order) -> Result<Response, ApiFault> {
    let command = Entry::Command(Command { by: caller.name.clone(), order }).encode();
    let log = api.services.log.clone();
    // Before the order is written, so that no change is missed.
    let mut changes = api.services.projection.changes();
    let offset = blocking(move || {
        let mut records = Records::default();
        records.push(NewRecord { value: &command, ..NewRecord::default() });
        let input = Input { topic: SIGNALS.to_owned(), partition: 0 };
        let committed = log.append(Commit { appends: vec![(input, records)], ..Commit::default() })?;
        committed.firsts.first().copied().ok_or_else(|| ApiFault::unavailable("the journal gave the order no place"))
    })
    .await?;
    let answered = async {
        loop {
            if let Some(told) = told(api, offset) {
                return told;
            }
            if changes.changed().await.is_err() {
                return pending(offset);
            }
        }
    };
    Ok(tokio::time::timeout(api.patience.command, answered).await.unwrap_or_else(|_| pending(offset)))
}

/// What became of the command at this offset, where that is known.
fn told(api: &Api, offset: u64) -> Option<Response> {
    let view = api.services.projection.view();
    let answer = view.answers.of(offset)?;
    let Answer { command, at, by, result, .. } = answer;
    let (word, lifted, reason, status) = match result {
        AnswerResult::Done { lifted } => ("done", Some(*lifted), None, StatusCode::OK),
        AnswerResult::Refused { reason } => ("refused", None, Some(reason.as_str()), StatusCode::CONFLICT),
    };
    let told = Told { command, result: word, at: Some(*at), by: Some(by), lifted, reason, hint: None };
    if status == StatusCode::CONFLICT {
        let message = format!("the order was refused: {}", reason.unwrap_or_default());
        let fault = ApiFault::new(status, "refused", message);
        return Some(fault.hint(format!("it is in the book at {SIGNALS}/0/{offset}")).into_response());
    }
    Some(json_of(status, &told))
}

fn pending(offset: u64) -> Response {
    let command = &Position { topic: SIGNALS.to_owned(), partition: 0, offset, item: None };
    let hint = Some(format!("the order stands; GET /api/v1/commands/{offset} tells what became of it"));
    let told = Told { command, result: "pending", at: None, by: None, lifted: None, reason: None, hint };
    json_of(StatusCode::ACCEPTED, &told)
}

pub(super) async fn command(State(api): State<Arc<Api>>, path: RawPathParams) -> Response {
    let Ok(offset) = segment(&path, "offset").parse::<u64>() else {
        return ApiFault::bad_request("the position of a command is a whole number").into_response();
    };
    if let Some(told) = told(&api, offset) {
        return told;
    }
    let log = api.services.log.clone();
    let input = Input { topic: SIGNALS.to_owned(), partition: 0 };
    let end = blocking(move || Ok(log.offsets(&input)?.end)).await;
    match end {
        Ok(end) if offset < end => pending(offset),
        Ok(_) => ApiFault::not_found("nothing was ever ordered at this position").into_response(),
        Err(fault) => fault.into_response(),
    }
}
