//! Suricata's EVE: its event types with their ECS names. Pure.
//!
//! Names follow the ECS mapping that Filebeat made known; what has no ECS name keeps its own under `suricata.eve.`.
//! Deliberately without computed fields such as a community id: only what the record says.

use super::map::{self, FieldMap};
use super::walk::{self, Times};
use crate::decode::{Context, Keep, Target, Unit};
use crate::event::{Event, Field, Number, Scalar, Text};

/// EVE path → ECS field. A path may have several; of two paths to one field the first wins.
const FIELDS: &[(&str, &str)] = &[
    ("timestamp", "@timestamp"),
    ("src_ip", "source.address"),
    ("src_port", "source.port"),
    ("dest_ip", "destination.address"),
    ("dest_port", "destination.port"),
    ("proto", "network.transport"),
    ("app_proto", "network.protocol"),
    ("community_id", "network.community_id"),
    ("host", "host.hostname"),
    ("alert.action", "event.action"),
    ("event_type", "event.action"),
    ("event_type", "suricata.eve.event_type"),
    ("alert.severity", "event.severity"),
    ("alert.signature_id", "rule.id"),
    ("alert.signature_id", "suricata.eve.alert.signature_id"),
    ("alert.signature", "rule.name"),
    ("alert.signature", "suricata.eve.alert.signature"),
    ("alert.category", "rule.category"),
    ("alert.category", "message"),
    ("alert.category", "suricata.eve.alert.category"),
    ("anomaly.event", "event.reason"),
    ("anomaly.event", "suricata.eve.anomaly.event"),
    ("http.hostname", "url.domain"),
    ("http.hostname", "destination.domain"),
    ("http.url", "url.original"),
    ("http.http_user_agent", "user_agent.original"),
    ("http.http_method", "http.request.method"),
    ("http.http_refer", "http.request.referrer"),
    ("http.protocol", "http.version"),
    ("http.protocol", "suricata.eve.http.protocol"),
    ("http.status", "http.response.status_code"),
    ("http.length", "http.response.body.bytes"),
    ("http.xff", "sekisho.http.x_forwarded_for"),
    ("flow.bytes_toserver", "source.bytes"),
    ("flow.bytes_toclient", "destination.bytes"),
    ("flow.pkts_toserver", "source.packets"),
    ("flow.pkts_toclient", "destination.packets"),
    ("flow.start", "event.start"),
    ("flow.end", "event.end"),
    ("tls.version", "tls.version"),
    ("tls.version", "suricata.eve.tls.version"),
    ("tls.sni", "tls.client.server_name"),
    ("tls.sni", "destination.domain"),
    ("tls.subject", "tls.server.subject"),
    ("tls.issuerdn", "tls.server.issuer"),
    ("tls.fingerprint", "tls.server.hash.sha1"),
    ("tls.ja3.hash", "tls.client.ja3"),
    ("tls.ja3s.hash", "tls.server.ja3s"),
    ("dns.id", "dns.id"),
    ("dns.type", "dns.type"),
    ("dns.rrname", "dns.question.name"),
    ("dns.queries.rrname", "dns.question.name"),
    ("dns.rrtype", "dns.question.type"),
    ("dns.queries.rrtype", "dns.question.type"),
    ("dns.rcode", "dns.response_code"),
    ("fileinfo.filename", "file.path"),
    ("fileinfo.size", "file.size"),
    ("fileinfo.md5", "file.hash.md5"),
    ("fileinfo.sha1", "file.hash.sha1"),
    ("fileinfo.sha256", "file.hash.sha256"),
];

/// Decodes EVE records.
#[derive(Debug)]
pub struct SuricataDecoder {
    map: FieldMap,
    keep_end: bool,
    keep_packets: bool,
}

impl SuricataDecoder {
    /// Compiles the map for what is kept.
    pub fn new(keep: &Keep) -> SuricataDecoder {
        let mut wanted = keep.clone();
        if let Keep::Named(names) = &mut wanted
            && names.contains("network.packets")
        {
            names.extend(["source.packets", "destination.packets"].map(str::to_owned));
        }
        let target = |name: &str| Target { field: Field::of(name), unit: Unit::AsIs, values: Vec::new() };
        let fields: Vec<_> = FIELDS.iter().map(|(path, name)| ((*path).to_owned(), target(name))).collect();
        let mut map = FieldMap::new(&fields, Some("suricata.eve"), &wanted);
        map.require("event_type");
        let (keep_end, keep_packets) = (map::keeps(keep, "event.end"), map::keeps(keep, "network.packets"));
        SuricataDecoder { map, keep_end, keep_packets }
    }

    /// Fills the event; `false` where the item is no EVE record.
    pub fn decode<'a>(&self, item: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        let Some(times) = walk::walk(&self.map, item, context, event) else { return false };
        if event.occurred_at.is_none() && event.text(Text::SourceAddress).is_none() {
            return false;
        }
        classify(event);
        lower(event, Text::NetworkTransport);
        if event.text(Text::NetworkProtocol) == Some("failed") {
            event.clear_text(Text::NetworkProtocol);
        }
        self.set_times(event, times);
        self.set_totals(event);
        true
    }

    /// A record is written when what it tells is over, so without an end of its own that is its time.
    fn set_times<'a>(&self, event: &mut Event<'a>, mut times: Times) {
        if let (Some(_), None, Some(end)) = (times.start, times.end, event.occurred_at) {
            times.end = Some(end);
            if self.keep_end {
                let text = event.arena().alloc_str(&end.to_string());
                event.add_extra("event.end", Scalar::Text(text));
            }
        }
        walk::set_duration(event, times);
    }

    fn set_totals(&self, event: &mut Event<'_>) {
        let bytes = (event.number(Number::SourceBytes), event.number(Number::DestinationBytes));
        if let (Some(there), Some(back)) = bytes {
            event.set_number(Number::NetworkBytes, there.saturating_add(back));
        }
        if !self.keep_packets {
            return;
        }
        let packets = (event.extra("source.packets"), event.extra("destination.packets"));
        if let (Some(Scalar::Integer(there)), Some(Scalar::Integer(back))) = packets {
            event.add_extra("network.packets", Scalar::Integer(there.saturating_add(back)));
        }
    }
}

/// Kind, category and type. The action is Suricata's verdict for alerts and the event type for everything else.
fn classify(event: &mut Event<'_>) {
    let action = event.text(Text::EventAction).unwrap_or_default();
    let alert = action == "alert" || event.text(Text::RuleId).is_some();
    let (kind, categories, types): (_, &'static [&'static str], &'static [&'static str]) = match action {
        "blocked" | "dropped" | "reject" if alert => ("alert", &["intrusion_detection", "network"], &["denied"]),
        "allowed" if alert => ("alert", &["intrusion_detection", "network"], &["allowed"]),
        _ if alert => ("alert", &["intrusion_detection", "network"], &["info"]),
        "http" => ("event", &["network", "web"], &["access"]),
        "flow" | "netflow" => ("event", &["network"], &["connection"]),
        "anomaly" => ("event", &["network"], &["info"]),
        "stats" => ("metric", &["network"], &["info"]),
        _ => ("event", &["network"], &["protocol"]),
    };
    event.set_text(Text::EventKind, kind);
    event.categories = categories;
    event.types = types;
}

fn lower(event: &mut Event<'_>, field: Text) {
    if let Some(text) = event.text(field)
        && text.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        let known = ["tcp", "udp", "icmp", "sctp"].into_iter().find(|known| known.eq_ignore_ascii_case(text));
        let arena = event.arena();
        event.set_text(field, known.unwrap_or_else(|| arena.alloc_str(&text.to_ascii_lowercase())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Time;
    use bumpalo::Bump;
    use jiff::tz::TimeZone;

    #[track_caller]
    fn check(line: &str, expect: impl FnOnce(bool, &Event<'_>)) {
        let arena = Bump::new();
        let mut event = Event::new(line.as_bytes(), &arena);
        let context = Context { reference: Time(0), zone: &TimeZone::UTC };
        let fits = SuricataDecoder::new(&Keep::All).decode(line, &context, &mut event);
        expect(fits, &event);
    }

    #[test]
    fn each_event_type_has_its_names() {
        let head = r#""timestamp":"2026-08-21T10:00:00.123456+0000","src_ip":"203.0.113.9","proto":"TCP""#;
        check(
            &format!(r#"{{{head},"event_type":"dns","dns":{{"version":3,"queries":[{{"rrname":"a.example"}}]}}}}"#),
            |fits, event| {
                assert!(fits);
                assert_eq!(event.extra("dns.question.name"), Some(Scalar::Text("a.example")));
                assert_eq!((event.text(Text::NetworkTransport), event.types), (Some("tcp"), &["protocol"][..]));
            },
        );
        let tls = r#""tls":{"version":"TLS 1.2","sni":"shop.example"}"#;
        check(&format!(r#"{{{head},"event_type":"tls",{tls}}}"#), |_, event| {
            assert_eq!(
                (event.text(Text::TlsVersion), event.text(Text::TlsServerName)),
                (Some("1.2"), Some("shop.example"))
            );
        });
        let flow = r#""flow":{"start":"2026-08-21T09:59:00.000000+0000","end":"2026-08-21T09:59:01.500000+0000","bytes_toserver":1,"bytes_toclient":2}"#;
        check(&format!(r#"{{{head},"event_type":"flow","app_proto":"failed",{flow}}}"#), |_, event| {
            assert_eq!(event.number(Number::EventDuration), Some(1_500_000_000));
            assert_eq!(event.number(Number::NetworkBytes), Some(3));
            assert_eq!(event.text(Text::NetworkProtocol), None);
        });
        let alert = r#""alert":{"action":"blocked","signature_id":7,"signature":"s","category":"c","severity":1}"#;
        check(
            &format!(
                r#"{{{head},"event_type":"alert",{alert},"http":{{"xff":"198.51.100.1","protocol":"HTTP/1.1"}}}}"#
            ),
            |_, event| {
                assert_eq!((event.text(Text::EventKind), event.types), (Some("alert"), &["denied"][..]));
                assert_eq!((event.text(Text::RuleId), event.number(Number::EventSeverity)), (Some("7"), Some(1)));
                assert_eq!(
                    (event.text(Text::HttpVersion), event.text(Text::XForwardedFor)),
                    (Some("1.1"), Some("198.51.100.1"))
                );
            },
        );
        check(
            &format!(r#"{{{head},"event_type":"ssh","ssh":{{"client":{{"software_version":"x"}}}}}}"#),
            |_, event| {
                assert_eq!(event.extra("suricata.eve.ssh.client.software_version"), Some(Scalar::Text("x")));
            },
        );
    }

    #[test]
    fn what_is_no_record_does_not_fit() {
        check(r#"{"event_type":"http"}"#, |fits, _| assert!(!fits));
        check(r#"{"timestamp":"2026-08-21T10:00:00.123456+0000"}"#, |fits, _| assert!(!fits));
        check(
            &format!(r#"{{"src_ip":"203.0.113.9","event_type":"http","x":{}"#, "[".repeat(100_000)),
            |fits, event| {
                assert!(fits);
                assert_eq!(event.flaws().len(), 2);
            },
        );
    }
}
