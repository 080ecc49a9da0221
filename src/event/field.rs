//! The ECS fields that have a slot of their own, by type, with their dotted names. Pure.
//!
//! Names are those of ECS 9 and, under `sekisho.`, ours (schema sheet §3.2). Everything else travels in
//! [`super::Event::extras`].

use std::fmt;

/// Fields whose value is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Text {
    Message,
    EventKind,
    EventAction,
    EventOutcome,
    EventReason,
    EventCode,
    EventModule,
    EventDataset,
    EventProvider,
    SourceAddress,
    SourceDomain,
    ClientCountry,
    ClientAsOrganization,
    DestinationAddress,
    DestinationDomain,
    UrlOriginal,
    UrlPath,
    UrlQuery,
    UrlScheme,
    UrlDomain,
    UrlExtension,
    HttpVersion,
    HttpMethod,
    HttpReferrer,
    HttpRequestId,
    HttpRequestMime,
    HttpRequestBody,
    HttpCookie,
    UserAgent,
    UserAgentClass,
    UserName,
    UserTarget,
    NetworkTransport,
    NetworkProtocol,
    NetworkCommunityId,
    HostName,
    ObserverProduct,
    ServiceName,
    ProcessName,
    LogLevel,
    SyslogAppname,
    RuleId,
    RuleName,
    RuleCategory,
    TlsVersion,
    TlsServerName,
    XForwardedFor,
    ClientMethod,
    /// What the event says of a login attempt: `success` or `failure` (see [`super::Login`]).
    Login,
}

/// Fields whose value is a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Number {
    /// Nanoseconds.
    EventDuration,
    EventSeverity,
    SourcePort,
    SourceBytes,
    ClientAsNumber,
    DestinationPort,
    DestinationBytes,
    UrlPort,
    HttpRequestBytes,
    HttpResponseBytes,
    HttpResponseBodyBytes,
    HttpStatus,
    NetworkBytes,
    ProcessPid,
    SyslogPriority,
    SyslogFacility,
    SyslogSeverity,
    /// The WAF's own anomaly score for the transaction (OWASP CRS: inbound total).
    WafScore,
}

/// Fields whose value is an IP address, canonical: IPv4-mapped IPv6 is unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Address {
    /// The direct peer of the server that wrote the line.
    SourceIp,
    /// The visitor, resolved through trusted proxies. Rules and blocks use this one alone.
    ClientIp,
    DestinationIp,
    ForwardedIp,
}

/// Any field: a slot by its type, or a name that has no slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    Text(Text),
    Number(Number),
    Address(Address),
    /// Dotted name of a field without a slot, looked up in the event's extras.
    Extra(String),
    /// `@timestamp`
    Timestamp,
    /// `event.original`: the raw line, as far as it is UTF-8.
    Original,
    /// `event.category`, a list.
    Category,
    /// `event.type`, a list.
    Type,
    /// `tags`, a list.
    Tags,
}

/// How many text slots an event has.
pub const TEXTS: usize = TEXT_NAMES.len();
/// How many number slots an event has.
pub const NUMBERS: usize = NUMBER_NAMES.len();
/// How many address slots an event has.
pub const ADDRESSES: usize = ADDRESS_NAMES.len();

/// Text slots in the order of [`Text`], with their ECS names.
pub const TEXT_NAMES: &[(Text, &str)] = &[
    (Text::Message, "message"),
    (Text::EventKind, "event.kind"),
    (Text::EventAction, "event.action"),
    (Text::EventOutcome, "event.outcome"),
    (Text::EventReason, "event.reason"),
    (Text::EventCode, "event.code"),
    (Text::EventModule, "event.module"),
    (Text::EventDataset, "event.dataset"),
    (Text::EventProvider, "event.provider"),
    (Text::SourceAddress, "source.address"),
    (Text::SourceDomain, "source.domain"),
    (Text::ClientCountry, "client.geo.country_iso_code"),
    (Text::ClientAsOrganization, "client.as.organization.name"),
    (Text::DestinationAddress, "destination.address"),
    (Text::DestinationDomain, "destination.domain"),
    (Text::UrlOriginal, "url.original"),
    (Text::UrlPath, "url.path"),
    (Text::UrlQuery, "url.query"),
    (Text::UrlScheme, "url.scheme"),
    (Text::UrlDomain, "url.domain"),
    (Text::UrlExtension, "url.extension"),
    (Text::HttpVersion, "http.version"),
    (Text::HttpMethod, "http.request.method"),
    (Text::HttpReferrer, "http.request.referrer"),
    (Text::HttpRequestId, "http.request.id"),
    (Text::HttpRequestMime, "http.request.mime_type"),
    (Text::HttpRequestBody, "http.request.body.content"),
    (Text::HttpCookie, "sekisho.http.cookie"),
    (Text::UserAgent, "user_agent.original"),
    (Text::UserAgentClass, "sekisho.user_agent.class"),
    (Text::UserName, "user.name"),
    (Text::UserTarget, "user.target.name"),
    (Text::NetworkTransport, "network.transport"),
    (Text::NetworkProtocol, "network.protocol"),
    (Text::NetworkCommunityId, "network.community_id"),
    (Text::HostName, "host.hostname"),
    (Text::ObserverProduct, "observer.product"),
    (Text::ServiceName, "service.name"),
    (Text::ProcessName, "process.name"),
    (Text::LogLevel, "log.level"),
    (Text::SyslogAppname, "log.syslog.appname"),
    (Text::RuleId, "rule.id"),
    (Text::RuleName, "rule.name"),
    (Text::RuleCategory, "rule.category"),
    (Text::TlsVersion, "tls.version"),
    (Text::TlsServerName, "tls.client.server_name"),
    (Text::XForwardedFor, "sekisho.http.x_forwarded_for"),
    (Text::ClientMethod, "sekisho.client.method"),
    (Text::Login, "sekisho.login"),
];

/// Number slots in the order of [`Number`], with their ECS names.
pub const NUMBER_NAMES: &[(Number, &str)] = &[
    (Number::EventDuration, "event.duration"),
    (Number::EventSeverity, "event.severity"),
    (Number::SourcePort, "source.port"),
    (Number::SourceBytes, "source.bytes"),
    (Number::ClientAsNumber, "client.as.number"),
    (Number::DestinationPort, "destination.port"),
    (Number::DestinationBytes, "destination.bytes"),
    (Number::UrlPort, "url.port"),
    (Number::HttpRequestBytes, "http.request.bytes"),
    (Number::HttpResponseBytes, "http.response.bytes"),
    (Number::HttpResponseBodyBytes, "http.response.body.bytes"),
    (Number::HttpStatus, "http.response.status_code"),
    (Number::NetworkBytes, "network.bytes"),
    (Number::ProcessPid, "process.pid"),
    (Number::SyslogPriority, "log.syslog.priority"),
    (Number::SyslogFacility, "log.syslog.facility.code"),
    (Number::SyslogSeverity, "log.syslog.severity.code"),
    (Number::WafScore, "sekisho.waf.score"),
];

/// Address slots in the order of [`Address`], with their ECS names.
pub const ADDRESS_NAMES: &[(Address, &str)] = &[
    (Address::SourceIp, "source.ip"),
    (Address::ClientIp, "client.ip"),
    (Address::DestinationIp, "destination.ip"),
    (Address::ForwardedIp, "network.forwarded_ip"),
];

impl Text {
    /// The ECS name.
    pub fn name(self) -> &'static str {
        TEXT_NAMES[self as usize].1
    }
}

impl Number {
    /// The ECS name.
    pub fn name(self) -> &'static str {
        NUMBER_NAMES[self as usize].1
    }
}

impl Address {
    /// The ECS name.
    pub fn name(self) -> &'static str {
        ADDRESS_NAMES[self as usize].1
    }
}

impl Field {
    /// The field of a dotted ECS name; a name without a slot is an extra.
    pub fn of(name: &str) -> Field {
        let text = TEXT_NAMES.iter().find(|(_, n)| *n == name).map(|(f, _)| Field::Text(*f));
        let number = || NUMBER_NAMES.iter().find(|(_, n)| *n == name).map(|(f, _)| Field::Number(*f));
        let address = || ADDRESS_NAMES.iter().find(|(_, n)| *n == name).map(|(f, _)| Field::Address(*f));
        text.or_else(number).or_else(address).unwrap_or_else(|| match name {
            "@timestamp" => Field::Timestamp,
            "event.original" => Field::Original,
            "event.category" => Field::Category,
            "event.type" => Field::Type,
            "tags" => Field::Tags,
            _ => Field::Extra(name.to_owned()),
        })
    }

    /// The dotted ECS name.
    pub fn name(&self) -> &str {
        match self {
            Field::Text(field) => field.name(),
            Field::Number(field) => field.name(),
            Field::Address(field) => field.name(),
            Field::Extra(name) => name,
            Field::Timestamp => "@timestamp",
            Field::Original => "event.original",
            Field::Category => "event.category",
            Field::Type => "event.type",
            Field::Tags => "tags",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_the_order_of_their_enums() {
        assert!(TEXT_NAMES.iter().enumerate().all(|(i, (f, _))| *f as usize == i));
        assert!(NUMBER_NAMES.iter().enumerate().all(|(i, (f, _))| *f as usize == i));
        assert!(ADDRESS_NAMES.iter().enumerate().all(|(i, (f, _))| *f as usize == i));
    }

    #[test]
    fn a_name_gives_its_field_and_back() {
        let names = TEXT_NAMES.iter().map(|(_, n)| *n).chain(NUMBER_NAMES.iter().map(|(_, n)| *n));
        for name in names.chain(ADDRESS_NAMES.iter().map(|(_, n)| *n)).chain(["a.b", "tags", "@timestamp"]) {
            assert_eq!(Field::of(name).name(), name);
        }
    }
}
