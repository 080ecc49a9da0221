//! Events and queries from a seed: few values, so that queries find some of them. Pure.

use std::net::IpAddr;

use bumpalo::Bump;

use crate::event::{Address, Event, FlawKind, Input, Number, Place, Scalar, Text, Time};
use crate::index::Entry;
use crate::index::schema::TEXT_BYTES_MAX;

/// Numbers from a seed (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// An event that owns what it is made of.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) input: Input,
    pub(super) place: Place,
    pub(super) appended_at: Time,
    occurred_at: Option<Time>,
    texts: Vec<(Text, String)>,
    numbers: Vec<(Number, i64)>,
    addresses: Vec<(Address, IpAddr)>,
    extras: Vec<(&'static str, Scalar<'static>)>,
    flaws: Vec<(&'static str, FlawKind)>,
    tags: Vec<&'static str>,
    arrival: Vec<FlawKind>,
    is_web: bool,
    pub(super) raw: Vec<u8>,
}

pub(super) const TARGETS: &[&str] = &[
    "/",
    "/admin/login.php",
    "/wp-admin?user=root",
    "/a/b?x=1%20OR%201",
    "/Admin",
    "/é/関所",
    "/..%2f..%2fetc/passwd",
];
const AGENTS: &[&str] = &["Mozilla/5.0 (X11; Linux)", "curl/8.5.0", "sqlmap/1.8#stable", ""];
const MESSAGES: &[&str] = &["Failed password for root from 203.0.113.9 port 4711 ssh2", "Accepted publickey for alice"];
const USERS: &[&str] = &["root", "alice", "bob smith"];
pub(super) const ADDRESSES: &[&str] =
    &["203.0.113.9", "203.0.113.77", "198.51.100.1", "2001:db8::1", "2001:db8:1::2", "10.0.0.1"];
const EXTRA_VALUES: &[(&str, Scalar<'static>)] = &[
    ("suricata.flow_id", Scalar::Integer(5)),
    ("suricata.flow_id", Scalar::Integer(-7)),
    ("suricata.flow_id", Scalar::Text("5")),
    ("score", Scalar::Float(1.5)),
    ("score", Scalar::Float(2.0)),
    ("score", Scalar::Integer(2)),
    ("flag", Scalar::Bool(true)),
    ("flag", Scalar::Text("true")),
    ("list", Scalar::List(&[Scalar::Text("a"), Scalar::Integer(3), Scalar::Text("b")])),
    ("list", Scalar::List(&[])),
    ("odd\\na.me", Scalar::Text("x y")),
    ("user_agent.name", Scalar::Text("Firefox")),
    ("empty", Scalar::Text("")),
];
const WEB: &[&str] = &["web", "network"];
const ACCESS: &[&str] = &["access"];

impl Sample {
    /// Event number `number` of a seed's events.
    pub(super) fn new(random: &mut Random, number: u64, input: Input, offset: u64, item: Option<u32>) -> Self {
        let appended_at = Time(1_795_392_000_000 + number as i64 * 1_000);
        let skew = random.below(7) as i64 * 500;
        let mut sample = Sample {
            input,
            place: Place { offset, item },
            appended_at,
            occurred_at: (!random.one_in(8)).then(|| appended_at.plus(-skew)),
            texts: Vec::new(),
            numbers: Vec::new(),
            addresses: Vec::new(),
            extras: Vec::new(),
            flaws: Vec::new(),
            tags: Vec::new(),
            arrival: if random.one_in(6) { vec![FlawKind::Late] } else { Vec::new() },
            is_web: !random.one_in(3),
            raw: format!("line {number} ").into_bytes(),
        };
        sample.fill(random);
        sample
    }

    fn fill(&mut self, random: &mut Random) {
        let target = *random.pick(TARGETS);
        if self.is_web {
            self.texts.push((Text::UrlOriginal, target.to_owned()));
            self.texts.push((Text::UrlPath, target.split('?').next().unwrap_or_default().to_owned()));
            self.texts.push((Text::UserAgent, (*random.pick(AGENTS)).to_owned()));
            self.texts.push((Text::HttpMethod, (*random.pick(&["GET", "POST"])).to_owned()));
            self.numbers.push((Number::HttpStatus, *random.pick(&[200, 301, 404, 500, 503])));
            self.numbers.push((Number::HttpResponseBytes, random.below(5) as i64 * 100));
        } else {
            self.texts.push((Text::Message, (*random.pick(MESSAGES)).to_owned()));
            self.texts.push((Text::UserName, (*random.pick(USERS)).to_owned()));
        }
        if random.one_in(40) {
            let long = format!("{}tail", "long ".repeat(TEXT_BYTES_MAX / 5 + 10));
            self.texts.push((Text::HttpReferrer, long));
        }
        let client: IpAddr = random.pick(ADDRESSES).parse().unwrap();
        self.addresses.push((Address::ClientIp, client));
        if random.one_in(3) {
            self.addresses.push((Address::SourceIp, random.pick(ADDRESSES).parse().unwrap()));
        }
        for _ in 0..random.below(4) {
            self.extras.push(*random.pick(EXTRA_VALUES));
        }
        if random.one_in(4) {
            self.flaws.push(("url.path", FlawKind::InvalidUtf8));
            self.flaws.push(("@timestamp", FlawKind::NoTime));
        }
        if random.one_in(5) {
            self.tags.extend(["scanner", "tor"]);
        }
        self.raw.extend_from_slice(target.as_bytes());
        if random.one_in(9) {
            self.raw.extend_from_slice(b"\xff\xfe\n");
        }
    }

    /// Lends the event at its place.
    pub(super) fn with_entry<R>(&self, work: impl FnOnce(&Entry<'_>) -> R) -> R {
        let arena = Bump::new();
        let mut event = Event::new(&self.raw, &arena);
        event.occurred_at = self.occurred_at;
        self.texts.iter().for_each(|(slot, text)| event.set_text(*slot, text));
        self.numbers.iter().for_each(|(slot, number)| event.set_number(*slot, *number));
        self.addresses.iter().for_each(|(slot, address)| event.set_address(*slot, *address));
        self.extras.iter().for_each(|(name, value)| event.add_extra(name, *value));
        self.flaws.iter().for_each(|(field, kind)| event.add_flaw(field, *kind));
        self.tags.iter().for_each(|tag| event.add_tag(tag));
        if self.is_web {
            event.categories = WEB;
            event.types = ACCESS;
        }
        work(&Entry {
            event: &event,
            input: &self.input,
            place: self.place,
            pipeline: if self.is_web { "nginx" } else { "sshd" },
            appended_at: self.appended_at,
            arrival: &self.arrival,
        })
    }
}

/// So many events of three inputs, in the order of the journal; some records hold two.
pub(super) fn samples(random: &mut Random, count: u64) -> Vec<Sample> {
    let mut next = [0u64; 3];
    let mut samples = Vec::new();
    let mut number = 0;
    while number < count {
        let which = random.below(3);
        let input = Input { topic: ["logs.nginx", "logs.sshd"][which / 2].to_owned(), partition: which as u32 % 2 };
        let offset = next[which];
        next[which] += 1;
        let items = if random.one_in(5) { 2 } else { 1 };
        for item in 0..items {
            let item = (items > 1).then_some(item);
            samples.push(Sample::new(random, number, input.clone(), offset, item));
            number += 1;
        }
    }
    samples
}

/// Conditions of which some fit some events.
const CONDITIONS: &[&str] = &[
    "*",
    "admin",
    "Root",
    "wp-admin",
    "\"failed password\"",
    "\"or 1\"",
    "adm*",
    "curl",
    "sql*ap",
    "関所",
    "client.ip:203.0.113.9",
    "client.ip:203.0.113.0/24",
    "client.ip:2001:db8::/32",
    "client.ip:[198.51.100.0 TO 203.0.113.50]",
    "source.ip:10.0.0.0/8",
    "related.ip:10.0.0.1",
    "related.user:root",
    "http.response.status_code:404",
    "http.response.status_code:>=500",
    "http.response.status_code:(301 OR 404)",
    "http.response.bytes:[100 TO 300}",
    "http.response.bytes:<0",
    "url.path:/admin/login.php",
    "url.path:*dmin*",
    "url.path:/?",
    "url.original:*x=1*",
    "url.path:[/a TO /b]",
    "user.name:\"bob smith\"",
    "user_agent.original:Mozilla*",
    "_exists_:user.name",
    "_exists_:score",
    "_exists_:list",
    "_exists_:empty",
    "_exists_:tags",
    "url.path:*",
    "tags:tor",
    "event.category:web",
    "event.type:access",
    "sekisho.flaws.kind:late",
    "sekisho.flaws.field:url.path",
    "sekisho.pipeline:nginx",
    "suricata.flow_id:5",
    "suricata.flow_id:<0",
    "score:[1.5 TO 2]",
    "score:2",
    "score:{1.5 TO *}",
    "flag:true",
    "list:3",
    "list:b",
    "odd\\\\na.me:x*",
    "user_agent.name:F?refox",
    "event.original:*wp-admin*",
    "http.request.referrer:*tail",
    "@timestamp:>=2026-11-23T00:00:20Z",
    "@timestamp:2026-11-23",
    "sekisho.appended_at:<2026-11-23T00:00:30Z",
];

/// A query of up to `depth` levels.
pub(super) fn query(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.one_in(3) {
        return (*random.pick(CONDITIONS)).to_owned();
    }
    let (left, right) = (query(random, depth - 1), query(random, depth - 1));
    match random.below(6) {
        0 => format!("({left} OR {right})"),
        1 => format!("NOT ({left})"),
        2 => format!("-({left}) {right}"),
        3 => format!("{left} {right}"),
        4 => format!("({left} AND NOT ({right}))"),
        _ => format!("{left} AND {right}"),
    }
}
