//! The alert that a finding becomes: an ECS document (outputs sheet). Pure.
//!
//! Deliberately without decisions: what became of the response is given.

use std::net::IpAddr;

use crate::event::outcome::{Alert, AlertDetail, AlertEvent, Ip, Name, Related, Response, Technique, Threat};
use crate::event::{Entity, Finding};

use super::ids::Id;
use super::settings::RuleSettings;
use super::text::{clean, message};

/// The alert of a finding.
pub(super) fn alert(rule: &RuleSettings, finding: &Finding, id: Id, incident: String, response: Response) -> Alert {
    Alert {
        timestamp: finding.time,
        event: AlertEvent {
            kind: "alert".to_owned(),
            id: id.to_string(),
            severity: rule.severity.number(),
            category: rule.category.clone(),
        },
        rule: rule.name.clone(),
        threat: threat(rule),
        client: finding.client.map(|client| Ip { ip: address(client.address) }),
        user: name(finding.user.as_deref()),
        service: name(finding.service.as_deref()),
        related: related(finding),
        message: message(rule, finding),
        sekisho: detail(rule, finding, incident, response),
    }
}

fn detail(rule: &RuleSettings, finding: &Finding, incident: String, response: Response) -> AlertDetail {
    AlertDetail {
        severity: rule.severity,
        entity: Entity { kind: finding.entity.kind, value: clean(&finding.entity.value) },
        window: finding.window,
        count: finding.count,
        evidence: finding.evidence.clone(),
        evidence_total: finding.evidence_total,
        spans: finding.spans.clone(),
        members_total: (!finding.members.is_empty()).then_some(finding.members_total),
        incident,
        response,
    }
}

fn threat(rule: &RuleSettings) -> Option<Threat> {
    let id = rule.techniques.clone();
    (!id.is_empty()).then_some(Threat { technique: Technique { id } })
}

/// A name that log text gave, absent where nothing harmless is left of it.
fn name(text: Option<&str>) -> Option<Name> {
    let name = clean(text?);
    (!name.is_empty()).then_some(Name { name })
}

/// Every address and account the alert is about, each once.
fn related(finding: &Finding) -> Option<Related> {
    let members = finding.members.iter().take(Finding::MEMBERS_MAX).map(|member| member.client.address);
    let ip = distinct(finding.client.map(|client| client.address).into_iter().chain(members).map(address));
    let users = finding.users.iter().take(Finding::USERS_MAX);
    let user = distinct(finding.user.iter().chain(users).map(|user| clean(user)));
    let related = Related { ip, user };
    (!related.ip.is_empty() || !related.user.is_empty()).then_some(related)
}

fn address(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// In order of first appearance; the lists are at most a hundred long.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct = Vec::new();
    for text in texts {
        if !text.is_empty() && !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}
