//! What every actor meets: the length of the day, the outage, and the pens of the servers. Pure.

use crate::event::{SECOND, Time};

use super::line::{Line, Request, asctime, combined, json, syslog};
use super::random::Random;
use super::site::HOST;

/// The day itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    pub(super) start: Time,
    pub(super) end: Time,
}

/// How long the backend is down.
const OUTAGE: i64 = 40 * SECOND;
/// Of a hundred requests in the outage this many fail: caches answer the rest.
const OUTAGE_PERCENT: u64 = 92;

impl Day {
    /// The instant after this many thousandths of the day.
    pub(super) fn at(self, thousandths: i64) -> Time {
        self.start.plus(self.end.since(self.start) * thousandths / 1_000)
    }

    /// Whether the backend is down.
    pub(super) fn outage(self, time: Time) -> bool {
        let began = self.at(700);
        time >= began && time < began.plus(OUTAGE)
    }
}

/// One instant of one actor: writes what the servers log.
pub(super) struct Stage<'a> {
    pub(super) day: Day,
    pub(super) at: Time,
    pub(super) random: &'a mut Random,
    pub(super) lines: &'a mut Vec<Line>,
}

/// What a WAF rule says of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct WafRule {
    pub(super) id: &'static str,
    pub(super) message: &'static str,
    pub(super) file: &'static str,
    pub(super) tag: &'static str,
}

/// What an IDS signature says of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub(super) id: u32,
    pub(super) text: &'static str,
    pub(super) category: &'static str,
    pub(super) severity: u8,
}

impl Stage<'_> {
    fn push(&mut self, pipeline: &'static str, line: String) {
        self.lines.push(Line { pipeline, time: self.at, line });
    }

    /// A request to the web server; in the outage most get a 5xx instead of their answer. Says what was answered.
    pub(super) fn request(&mut self, request: Request<'_>) -> u16 {
        let mut request = request;
        if request.status != 400 && self.day.outage(self.at) && self.random.percent(OUTAGE_PERCENT) {
            request.status = self.random.pick(&[500, 500, 502, 503]);
            request.bytes = 559;
        }
        self.push("nginx", combined(self.at, request));
        request.status
    }

    /// An attempt on the login page, as the web server and the application log it.
    pub(super) fn login(&mut self, client: &str, user: &str, agent: &str, right: bool) {
        let referrer = format!("https://{HOST}/login");
        let (status, bytes) = if right { (302, 0) } else { (401, 412) };
        let line = "POST /login HTTP/1.1";
        let answered = self.request(Request { client, line, status, bytes, referrer: &referrer, agent });
        let (level, outcome, reason) = match answered {
            302 => ("INFO", "success", ""),
            401 => ("WARN", "failure", "bad_password"),
            _ => ("ERROR", "failure", "backend_unavailable"),
        };
        let line = format!(
            "{{\"timestamp\":\"{}\",\"level\":\"{level}\",\"logger\":\"app.auth\",\"event\":\"login\",\"outcome\":\
             \"{outcome}\",\"user\":{},\"client_ip\":\"{client}\",\"reason\":\"{reason}\",\"user_agent\":{},\
             \"request_id\":\"{:016x}\"}}",
            self.at,
            json(user),
            json(agent),
            self.random.next()
        );
        self.push("login", line);
    }

    /// A line of sshd or of PAM within it.
    pub(super) fn ssh(&mut self, process: u64, message: &str) {
        let line = syslog(self.at, self.random.next(), &format!("sshd[{process}]"), message);
        self.push("sshd", line);
    }

    /// ModSecurity's audit record of a request that one rule and the score rule named.
    pub(super) fn waf(&mut self, client: &str, target: &str, agent: &str, rule: WafRule) {
        let evaluation = WafRule {
            id: "949110",
            message: "Inbound Anomaly Score Exceeded (Total Score: 15)",
            file: "REQUEST-949-BLOCKING-EVALUATION.conf",
            tag: "attack-generic",
        };
        let messages = [rule, evaluation].map(|rule| waf_message(&rule)).join(",");
        let line = format!(
            "{{\"transaction\":{{\"client_ip\":\"{client}\",\"time_stamp\":\"{}\",\"server_id\":\"b1946ac92492d2347c6235b4\",\
             \"client_port\":{},\"host_ip\":\"10.0.0.5\",\"host_port\":443,\"unique_id\":\"{:016x}\",\"request\":{{\
             \"method\":\"GET\",\"http_version\":1.1,\"uri\":{},\"headers\":{{\"Host\":\"{HOST}\",\"User-Agent\":{}}}}},\
             \"response\":{{\"http_code\":403,\"headers\":{{\"Server\":\"nginx\"}}}},\"producer\":{{\"modsecurity\":\
             \"ModSecurity v3.0.12 (Linux)\",\"connector\":\"ModSecurity-nginx v1.0.3\",\"secrules_engine\":\"Enabled\",\
             \"components\":[\"OWASP_CRS/4.7.0\"]}},\"messages\":[{messages}]}}}}",
            asctime(self.at),
            self.random.between(32_768, 60_999),
            self.random.next(),
            json(target),
            json(agent),
        );
        self.push("modsecurity", line);
    }

    /// Suricata's alert about a flow of this client to the web server.
    pub(super) fn ids(&mut self, client: &str, signature: Signature) {
        let Signature { id, text, category, severity } = signature;
        let tail = format!(
            "\"alert\":{{\"action\":\"allowed\",\"gid\":1,\"signature_id\":{id},\"rev\":3,\"signature\":{},\"category\":\
             {},\"severity\":{severity}}},\"direction\":\"to_server\",\"app_proto\":\"http\"",
            json(text),
            json(category)
        );
        self.flow("alert", client, &tail);
    }

    /// Suricata's note of a TLS handshake.
    pub(super) fn tls(&mut self, client: &str) {
        self.flow("tls", client, &format!("\"tls\":{{\"sni\":\"{HOST}\",\"version\":\"TLS 1.3\"}}"));
    }

    fn flow(&mut self, kind: &str, client: &str, tail: &str) {
        let time = self.at.to_string();
        let time = time.strip_suffix('Z').unwrap_or(&time);
        let flow = self.random.next() >> 12;
        let port = self.random.between(32_768, 60_999);
        let line = format!(
            "{{\"timestamp\":\"{time}000+0000\",\"flow_id\":{flow},\"in_iface\":\"eth0\",\"event_type\":\"{kind}\",\
             \"src_ip\":\"{client}\",\"src_port\":{port},\"dest_ip\":\"10.0.0.5\",\"dest_port\":443,\"proto\":\"TCP\",{tail}}}"
        );
        self.push("suricata", line);
    }
}

fn waf_message(rule: &WafRule) -> String {
    let WafRule { id, message, file, tag } = rule;
    format!(
        "{{\"message\":{},\"details\":{{\"match\":\"\",\"reference\":\"\",\"ruleId\":\"{id}\",\"file\":\
         \"/usr/share/modsecurity-crs/rules/{file}\",\"lineNumber\":\"66\",\"data\":\"\",\"severity\":\"2\",\"ver\":\
         \"OWASP_CRS/4.7.0\",\"rev\":\"\",\"tags\":[\"OWASP_CRS\",\"{tag}\",\"paranoia-level/1\"],\"maturity\":\"0\",\
         \"accuracy\":\"0\"}}}}",
        json(message)
    )
}
