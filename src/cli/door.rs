//! The way to a running node: where its API is, with which key, and what its answers mean. I/O.
//!
//! Requests block, one at a time. The key comes from the environment or a file, never from the command line, which
//! everybody on the machine can read. Deliberately without TLS: the API has none, and whoever is elsewhere comes through
//! a tunnel or a reverse proxy on this machine.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::CliError;
use super::load::Loaded;
use super::output::{Lines, visible};

/// Items asked for at a time: the most that the API gives.
const PAGE_ITEMS: u64 = 1_000;
/// An answer ends with the item that reaches 4 MiB; a status or an alert is smaller by far.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// A key has some 85 characters.
const KEY_BYTES_MAX: u64 = 4 << 10;
/// A machine that is there answers sooner.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The API gives up a request after 30 s itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Characters of a query that are shown on each side of what is wrong.
const QUERY_AROUND: usize = 40;

/// How a command finds the node.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Node")]
pub(super) struct Door {
    /// The node's API; otherwise --config, then SEKISHO_URL, then http://127.0.0.1:7070
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The node's configuration, which says where its API is
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file that holds the API key; otherwise SEKISHO_KEY
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// A node that answers.
pub(super) struct Node {
    agent: Agent,
    base: String,
    key: Option<String>,
}

/// One page of a list, whatever its items are.
#[derive(Deserialize)]
struct Page {
    #[serde(alias = "hits", alias = "events", alias = "alerts", alias = "blocks", alias = "networks")]
    items: Vec<Box<RawValue>>,
    next: Option<String>,
    total: Option<u64>,
}

/// What became of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub shown: u64,
    /// How many there are, where the API counts them.
    pub total: Option<u64>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// The shape of the API's errors.
#[derive(Deserialize)]
struct Refusal {
    error: Refused,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    message: String,
    hint: Option<String>,
    at: Option<At>,
}

#[derive(Clone, Copy, Deserialize)]
struct At {
    character: usize,
    length: usize,
}

impl Door {
    /// The node behind it. Nothing is asked yet.
    ///
    /// # Errors
    /// An address that is none, a configuration or a key that cannot be read.
    pub fn open(&self) -> Result<Node, CliError> {
        Ok(Node { agent: agent(), base: self.base()?, key: self.key()? })
    }

    fn base(&self) -> Result<String, CliError> {
        let listen = |config: Option<&Path>| {
            Ok::<_, CliError>(format!("http://{}", reachable(Loaded::settings_of(config)?.http.listen)))
        };
        let written = match (&self.url, &self.config) {
            (Some(url), _) => url.clone(),
            (None, Some(config)) => listen(Some(config))?,
            (None, None) => match std::env::var("SEKISHO_URL").ok().filter(|url| !url.is_empty()) {
                Some(url) => url,
                None => listen(None)?,
            },
        };
        base_of(&written)
    }

    fn key(&self) -> Result<Option<String>, CliError> {
        let written = match &self.key_file {
            Some(path) => Some(read_key(path)?),
            None => std::env::var("SEKISHO_KEY").ok(),
        };
        let key = written.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(CliError::fault(
                "the API key holds characters that no key has\n  = `sekisho keys add` makes one",
            ));
        }
        Ok(key)
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A key must not go to a proxy that the environment names for other programs.
        .proxy(None)
        .user_agent(concat!("sekisho/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_global(Some(ANSWER_WITHIN));
    config.build().new_agent()
}

/// A node that listens everywhere is reached at this machine's own address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}

fn base_of(written: &str) -> Result<String, CliError> {
    let wrong = |what: &str| {
        CliError::usage(format!("{written:?} is no address of a node: {what}\n  = write it as http://127.0.0.1:7070"))
    };
    if written.starts_with("https://") {
        return Err(wrong("the API has no TLS; come through a tunnel, or a reverse proxy on this machine"));
    }
    let base = written.trim_end_matches('/');
    let uri: ureq::http::Uri = base.parse().map_err(|_| wrong("it cannot be read"))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it does not begin with http:// and a host"));
    }
    if uri.query().is_some() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("it has more than a host, a port and a path"));
    }
    Ok(base.to_owned())
}

fn read_key(path: &Path) -> Result<String, CliError> {
    use std::io::Read;
    let fault = |why: String| CliError::fault(format!("failed to read the key in {}: {why}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| fault(error.to_string()))?;
    file.take(KEY_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| fault(error.to_string()))?;
    let fits = text.len() as u64 <= KEY_BYTES_MAX;
    if fits { Ok(text) } else { Err(fault(format!("it has more than {KEY_BYTES_MAX} bytes, and a key has 85"))) }
}

impl Node {
    /// A node of this process, which listens on this machine and knows no keys.
    pub fn own(address: SocketAddr) -> Node {
        Node { agent: agent(), base: format!("http://{address}"), key: None }
    }

    /// What is at a path, which begins with `/`.
    ///
    /// # Errors
    /// No node there, or what it says.
    pub fn get<T: DeserializeOwned>(&self, path: &str, parameters: &[(&str, &str)]) -> Result<T, CliError> {
        let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let separator = if pairs.is_empty() { "" } else { "?" };
        let request = self.agent.get(format!("{}{path}{separator}{}", self.base, pairs.join("&")));
        let request = self.with_key(request);
        let query = parameters.iter().find(|(name, _)| *name == "query").map(|(_, query)| *query);
        self.answer(request.call(), query)
    }

    /// Sends an order, and gives its answer.
    ///
    /// # Errors
    /// As [`Node::get`].
    pub fn post(&self, path: &str, order: &Value) -> Result<Value, CliError> {
        let request = self.agent.post(format!("{}{path}", self.base)).content_type("application/json");
        let request = self.with_key(request);
        self.answer(request.send(order.to_string()), None)
    }

    /// Hands lines over, and returns once they are durable.
    ///
    /// # Errors
    /// As [`Node::get`].
    pub fn feed(&self, pipeline: &str, lines: String) -> Result<Value, CliError> {
        let request = self.agent.post(format!("{}/api/v1/ingest/{}", self.base, encoded(pipeline)));
        let request = self.with_key(request.content_type("text/plain"));
        self.answer(request.send(lines), None)
    }

    /// The stream of outcomes from the first one on, as server-sent events; it ends with the node.
    ///
    /// # Errors
    /// No node there, or another program.
    pub fn stream(&self) -> Result<impl BufRead + Send + use<>, CliError> {
        let request = self.agent.get(format!("{}/api/v1/stream?since=0-0", self.base));
        let request = self.with_key(request).config().timeout_global(None).build();
        let response = request.call().map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.stranger(response.status().as_u16()));
        }
        Ok(BufReader::new(response.into_body().into_reader()))
    }

    /// Takes something away, and gives the answer.
    ///
    /// # Errors
    /// As [`Node::get`].
    pub fn delete(&self, path: &str) -> Result<Value, CliError> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        let request = self.with_key(request);
        self.answer(request.call(), None)
    }

    /// Gives `visit` the items of a list, page by page, until there are no more or it has taken `limit` of them: it says
    /// of each whether it did. `cursor` is the parameter that takes what `next` says.
    ///
    /// # Errors
    /// As [`Node::get`], and those of `visit`.
    pub fn each(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        (limit, cursor): (u64, &str),
        visit: &mut dyn FnMut(&RawValue) -> Result<bool, CliError>,
    ) -> Result<Ended, CliError> {
        let mut ended = Ended { shown: 0, total: None, more: false };
        let mut next: Option<String> = None;
        loop {
            let size = (limit - ended.shown).min(PAGE_ITEMS).to_string();
            let mut asked = [parameters, &[("limit", size.as_str())]].concat();
            asked.extend(next.as_deref().map(|next| (cursor, next)));
            let page: Page = self.get(path, &asked)?;
            ended.total = ended.total.or(page.total);
            for item in &page.items {
                ended.shown += u64::from(visit(item)?);
            }
            ended.more = page.next.is_some() || ended.total.is_some_and(|total| total > ended.shown);
            // A `next` that stays the same would never end.
            if page.next.is_none() || page.next == next || ended.shown >= limit {
                return Ok(ended);
            }
            next = page.next;
        }
    }

    fn with_key<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    fn answer<T: DeserializeOwned>(
        &self,
        answered: Result<Response<Body>, ureq::Error>,
        query: Option<&str>,
    ) -> Result<T, CliError> {
        let mut response = answered.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = read.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| self.stranger(status.as_u16()));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(refusal.error.told(status.as_u16(), query)),
            Err(_) => Err(self.stranger(status.as_u16())),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> CliError {
        let text = error.to_string();
        let why = text.strip_prefix("io: ").unwrap_or(&text);
        let hint = "start one with `sekisho run`, or say where it is with --url, --config or SEKISHO_URL";
        CliError::environment(format!("no node answers at {}: {why}\n  = {hint}", self.base))
    }

    fn stranger(&self, status: u16) -> CliError {
        let base = &self.base;
        CliError::environment(format!(
            "{base} answered with status {status} and no words of a node\n  = another program may listen there; say where \
             the node is with --url, --config or SEKISHO_URL"
        ))
    }
}

impl Refused {
    fn told(&self, status: u16, query: Option<&str>) -> CliError {
        let mut message = self.message.clone();
        if let (Some(at), Some(query)) = (self.at, query) {
            message.push_str(&pointed(query, at));
        }
        // What programs are told to send is not what people type.
        let keyless = "set SEKISHO_KEY or --key-file; `sekisho keys add NAME --role ROLE` makes a key";
        let hint = if self.code == "no_key" { Some(keyless) } else { self.hint.as_deref() };
        message.extend(hint.map(|hint| format!("\n  = {hint}")));
        // Too much at a time, or something that does not work there: the request may be right as it is.
        if status == 429 || status >= 500 { CliError::environment(message) } else { CliError::fault(message) }
    }
}

/// An item of a list, to be looked into.
///
/// # Errors
/// Where it is no JSON.
pub(super) fn read_item(item: &RawValue) -> Result<Value, CliError> {
    let read = serde_json::from_str(item.get());
    read.map_err(|error| CliError::environment(format!("the node sent something that cannot be read: {error}")))
}

/// The query with `^` below the characters that are meant; of a long one, what is around them.
fn pointed(query: &str, at: At) -> String {
    let characters: Vec<char> = query.chars().collect();
    let begin = at.character.min(characters.len());
    let end = (begin + at.length.max(1)).min(characters.len());
    let from = begin.saturating_sub(QUERY_AROUND);
    let to = (end.min(begin + QUERY_AROUND) + QUERY_AROUND).min(characters.len());
    // As it will be shown: a control character takes more than one place.
    let shown = |range: std::ops::Range<usize>| {
        let text: String = characters[range].iter().collect();
        visible(&text, Lines::Escaped).into_owned()
    };
    let (head, tail) = (if from > 0 { "…" } else { "" }, if to < characters.len() { "…" } else { "" });
    let (before, meant) = (shown(from..begin), shown(begin..end.min(to)));
    let indent = head.chars().count() + before.chars().count();
    let carets = "^".repeat(meant.chars().count().max(1));
    format!("\n  | {head}{}{tail}\n  | {:indent$}{carets}", shown(from..to), "")
}

/// Text as one part of a path, or one value of a query string.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_characters_that_are_meant_are_pointed_at() {
        let at = |character, length| At { character, length };
        assert_eq!(pointed("a:b AND c:d", at(8, 1)), "\n  | a:b AND c:d\n  |         ^");
        assert_eq!(pointed("a:(", at(3, 1)), "\n  | a:(\n  |    ^");
        assert_eq!(pointed("\u{1b}x", at(1, 1)), "\n  | \\u{1b}x\n  |       ^");
        let long = format!("{}!{}", "a".repeat(1_000), "b".repeat(1_000));
        let shown = pointed(&long, at(1_000, 1));
        assert_eq!(shown.lines().nth(1).map(|line| line.chars().count()), Some(4 + 1 + 40 + 1 + 40 + 1));
        let [query, carets] = [1, 2].map(|line| shown.lines().nth(line).unwrap().chars().collect::<Vec<_>>());
        assert_eq!(carets.iter().position(|c| *c == '^'), query.iter().position(|c| *c == '!'));
        // Whatever a node says, nothing panics.
        assert!(pointed("ab", at(usize::MAX, 1)).contains('^'));
        assert!(pointed("", at(0, 0)).contains('^'));
    }

    #[test]
    fn addresses_of_nodes() {
        assert_eq!(base_of("http://127.0.0.1:7070/").unwrap(), "http://127.0.0.1:7070");
        assert_eq!(base_of("http://[::1]:7070").unwrap(), "http://[::1]:7070");
        assert_eq!(base_of("http://log.example/sekisho/").unwrap(), "http://log.example/sekisho");
        for wrong in
            ["", "127.0.0.1:7070", "https://x", "http://", "http://a b", "http://u:p@h", "http://h/?q=1", "ftp://h"]
        {
            assert!(base_of(wrong).is_err(), "{wrong}");
        }
        let shown = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(
            [shown("0.0.0.0:1"), shown("[::]:1"), shown("192.0.2.1:1")],
            ["127.0.0.1:1", "[::1]:1", "192.0.2.1:1"]
        );
    }

    #[test]
    fn whatever_is_written_is_one_part() {
        assert_eq!(encoded("203.0.113.0/24"), "203.0.113.0%2F24");
        assert_eq!(encoded("a b&c=#?é"), "a%20b%26c%3D%23%3F%C3%A9");
    }
}
