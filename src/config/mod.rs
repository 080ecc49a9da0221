//! Text → Config that cannot be invalid; every fault at once, with file, line and "did you mean". Pure.
//!
//! `sekisho.yaml` is read here and nowhere else. What it says of rules and pipelines by name is checked by the catalog,
//! which knows them. Deliberately without I/O: the paths inside are texts, and the environment is an argument.

mod kafka;
mod origin;
mod read;
mod show;
mod substitute;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::document::{Faults, Node};
use crate::event::outcome::Level;
use crate::event::{DAY, HOUR, MINUTE, SECOND, Time};

pub use origin::{Origin, Spot};
pub use show::Setting;

use origin::Written;

/// A whole configuration. [`Config::default`] is that of a missing file.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the journal, the index and the snapshots.
    pub data: String,
    pub http: Http,
    pub journal: Journal,
    pub networks: Networks,
    pub time: TimeSettings,
    pub response: Response,
    pub rules: Tuning,
    pub collect: Vec<Collect>,
    pub geoip: GeoIp,
    pub retention: Retention,
    written: Written,
}

/// The one port of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub listen: SocketAddr,
}

/// Where records come from and go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Journal {
    /// Our own, under [`Config::data`].
    Embedded,
    Kafka(Kafka),
}

/// A Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    pub brokers: Vec<String>,
    /// Where a topic that was never read begins.
    pub start: KafkaStart,
    /// `tls`, `sasl` and `properties`, in the Kafka client's names.
    pub properties: Vec<(String, String)>,
    /// The file that holds the token of OAUTHBEARER.
    pub token_file: Option<String>,
    /// The section as it was written.
    pub raw: Node,
}

/// Where a partition of Kafka begins that this installation never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaStart {
    Beginning,
    End,
    /// At the first record of this time or later.
    At(Time),
}

/// Where reading begins when there is no position yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Beginning,
    End,
}

/// Networks with a standing of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// Ours: never blocked.
    pub own: Vec<IpNet>,
    /// Others that are never blocked.
    pub protected: Vec<IpNet>,
    /// Whose forwarded address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Special-purpose ranges that count as internet addresses.
    pub ordinary: Vec<IpNet>,
}

/// How the times of events are judged (design §7), all in milliseconds. `lateness < grace < past` always holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSettings {
    /// An event claimed further behind the journal's time enters no window.
    pub past: i64,
    /// A claim further ahead of the journal's time is replaced by it.
    pub future: i64,
    /// How far an event may lie behind its input before it is out of order.
    pub lateness: i64,
    /// How far an event may lie behind its input before it is late.
    pub grace: i64,
    /// After this long without an event an input no longer holds stream time back.
    pub idle: i64,
    /// A trigger this far behind the journal's time does not block.
    pub stale: i64,
}

/// What may leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// The ceiling for all rules.
    pub level: Level,
    /// Decide and record everything, publish no block.
    pub shadow: bool,
    pub budget: Budget,
    /// How long rules leave a target alone after an operator's lift, in milliseconds.
    pub hold: i64,
}

/// How many blocks there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// New blocks per minute.
    pub per_minute: u64,
    /// Blocks at a time.
    pub active: u64,
    /// The part of known clients that may be blocked per hour, 0 to 1.
    pub share: f64,
}

/// Changes to rules that are not one's own, by name or id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    pub disable: Vec<Mention>,
    pub level: Vec<(Mention, Level)>,
}

/// A rule or pipeline that the file names, and where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    pub name: String,
    pub spot: Spot,
}

/// One input of the embedded journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collect {
    pub source: CollectSource,
    pub pipeline: Mention,
}

/// Where collected lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectSource {
    /// Files by a pattern; files that appear later are read whole.
    File { pattern: String, from: Start },
    /// A syslog listener, UDP and TCP.
    Syslog(SocketAddr),
}

/// The paths of GeoIP databases, relative ones from the folder of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeoIp {
    pub country: Option<String>,
    pub asn: Option<String>,
}

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub journal: Keep,
    pub index: Keep,
}

/// Whatever is reached first ends the keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Milliseconds.
    pub age: i64,
    pub bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: "/var/lib/sekisho".to_owned(),
            http: Http { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070) },
            journal: Journal::Embedded,
            networks: Networks::default(),
            time: TimeSettings::default(),
            response: Response::default(),
            rules: Tuning::default(),
            collect: Vec::new(),
            geoip: GeoIp::default(),
            retention: Retention::default(),
            written: Written::default(),
        }
    }
}

impl Default for TimeSettings {
    fn default() -> Self {
        TimeSettings {
            past: 24 * HOUR,
            future: 5 * MINUTE,
            lateness: 5 * SECOND,
            grace: 10 * MINUTE,
            idle: 30 * SECOND,
            stale: HOUR,
        }
    }
}

impl Default for Response {
    fn default() -> Self {
        let budget = Budget { per_minute: 60, active: 100_000, share: 0.01 };
        Response { level: Level::Block, shadow: false, budget, hold: 24 * HOUR }
    }
}

impl Default for Retention {
    fn default() -> Self {
        let journal = Keep { age: 7 * DAY, bytes: 20 << 30 };
        Retention { journal, index: Keep { age: 90 * DAY, bytes: 100 << 30 } }
    }
}

/// Reads a configuration. `environment` answers for `${NAME}` inside values.
///
/// # Errors
/// Everything that is wrong with the file, at once.
pub fn parse(path: &str, text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, Faults> {
    let mut faults = Faults::default();
    let config = match Written::of(path, text, environment, &mut faults) {
        Some(written) => read::config(written, &mut faults),
        None => Config::default(),
    };
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let environment = |name: &str| (name == "PORT").then(|| "9000".to_owned());
        parse("sekisho.yaml", text, &environment)
            .map_err(|faults| faults.list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    const WHOLE: &str = r#"
data: /srv/sekisho
http: { listen: "127.0.0.1:${PORT}" }
journal: { kafka: { brokers: ["a:9092"], start: beginning, sasl: { username: u, password: secret } } }
networks:
  own: [192.0.2.0/24, "2001:db8::/32"]
  protected: [198.51.100.7]
  trusted_proxies: [10.0.0.0/8]
  ordinary: [127.30.0.0/16]
time: { past: 100y, future: 1m, lateness: 2s, grace: 5m, idle: 10s, stale: 100y }
response: { level: alert, shadow: true, budget: { per_minute: 5, active: 10, share: 0.5% }, hold: 1h }
rules: { disable: [one], level: { two: observe } }
collect:
  - { file: "/var/log/nginx/*access.log", pipeline: nginx, from: beginning }
  - { syslog: 127.0.0.1:5514, pipeline: sshd }
geoip: { country: c.mmdb, asn: "${NONE:-a.mmdb}" }
retention: { journal: { age: 1d, bytes: 1GiB }, index: { age: 2d, bytes: 64KiB } }
"#;

    #[test]
    fn every_key_is_read() {
        let config = read(WHOLE).unwrap();
        assert_eq!(config.http.listen.port(), 9000);
        assert_eq!(config.networks.protected, ["198.51.100.7/32".parse().unwrap()]);
        assert_eq!(config.time.stale, 36_500 * DAY);
        assert_eq!(config.response.budget, Budget { per_minute: 5, active: 10, share: 0.005 });
        assert_eq!(config.rules.level[0].1, Level::Observe);
        assert_eq!(config.collect.len(), 2);
        assert_eq!(config.geoip.asn.as_deref(), Some("a.mmdb"));
        assert_eq!(config.retention.index, Keep { age: 2 * DAY, bytes: 65_536 });
        let Journal::Kafka(kafka) = &config.journal else { panic!("kafka was asked for") };
        assert_eq!((kafka.brokers.len(), kafka.start), (1, KafkaStart::Beginning));
        let property =
            |name: &str| kafka.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(property("security.protocol"), Some("sasl_plaintext"));
        assert_eq!((property("sasl.mechanism"), property("sasl.password")), (Some("SCRAM-SHA-512"), Some("secret")));
    }

    #[test]
    fn origins_tell_file_environment_and_default() {
        let config = read("http: { listen: \"127.0.0.1:${PORT}\" }\ndata: /x\n").unwrap();
        assert_eq!(config.origin("http.listen").to_string(), "environment");
        assert_eq!(config.origin("data").to_string(), "sekisho.yaml:2");
        assert_eq!(config.origin("time.past").to_string(), "default");
    }

    #[test]
    fn what_is_shown_reads_back_and_hides_secrets() {
        let shown = read(WHOLE).unwrap().to_yaml();
        assert!(!shown.contains("secret"), "{shown}");
        let again = read(&shown).unwrap_or_else(|faults| panic!("{faults}\n{shown}"));
        assert_eq!(again.to_yaml().lines().count(), shown.lines().count());
        assert_eq!(again.time, read(WHOLE).unwrap().time);
        assert_eq!(again.response, read(WHOLE).unwrap().response);
        assert_eq!(again.networks, read(WHOLE).unwrap().networks);
        let none = read("").unwrap().to_yaml();
        assert!(read(&none).is_ok(), "{none}");
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(read("# only a comment\n").unwrap().time, TimeSettings::default());
        assert_eq!(read("time:\n").unwrap().response, Response::default());
    }

    #[test]
    fn faults() {
        let cases: &[(&str, &str)] = &[
            ("netwoks: {}", "did you mean `networks`?"),
            ("time: { past: 0s }", "`past` must be longer than nothing"),
            ("time: { lateness: 20m }", "`lateness` must be shorter than `grace`"),
            ("time: { past: 5m }", "`grace` must be shorter than `past`"),
            ("time: { past: 1000y }", "at most 200y"),
            ("networks: { own: [0.0.0.0/0] }", "every address"),
            ("networks: { own: ['::/0'] }", "every address"),
            ("networks: { own: [192.0.2.7/24] }", "did you mean `192.0.2.0/24`"),
            ("networks: { own: [10.0.0.0/33, nonsense] }", "nonsense"),
            ("response: { budget: { share: 101% } }", "0% to 100%"),
            ("response: { budget: { share: 1 } }", "0% to 100%"),
            ("response: { budget: { per_minute: -1 } }", "`per_minute` must be a whole number"),
            ("response: { level: blok }", "did you mean `block`?"),
            ("rules: { level: { a: loud } }", "must be one of"),
            ("collect: [{ pipeline: nginx }]", "`file` or `syslog`"),
            ("collect: [{ file: a }]", "key `pipeline` is missing"),
            ("collect: [{ syslog: here, pipeline: sshd }]", "an address with a port"),
            ("data: ${MISSING}", "`MISSING` is not set"),
            ("data: ${MISSING", "is not closed"),
            ("journal: embeded", "did you mean `embedded`?"),
            ("journal: { kafka: {} }", "key `brokers` is missing"),
            ("journal: { kafka: { brokers: [a], properties: { auto.offset.reset: latest } } }", "`start` says where"),
            ("journal: { kafka: { brokers: [a], sasl: { mechanism: OAUTHBEARER } } }", "needs `token_file`"),
            ("journal: { kafka: { brokers: [a], tls: { cert: x } } }", "`cert`"),
            ("journal: { kafka: { brokers: [a], start: soon } }", "2026-11-30T09:00:00Z"),
            ("geoip: [a]", "must be a map"),
            ("a: 1\n---\nb: 1", "one document"),
            ("geoip: { asn: ${A} }", "quotes around it"),
            ("a: &x 1", "anchors are not allowed"),
        ];
        for (text, expected) in cases {
            let faults = read(text).expect_err(text);
            assert!(faults.contains(expected), "{text}\n{faults}");
        }
    }

    #[test]
    fn all_faults_at_once() {
        let faults =
            read("dta: x\ntime: { past: soon, idle: -1s }\nresponse: { shadow: perhaps }\n").expect_err("four");
        assert_eq!(faults.matches("sekisho.yaml:").count(), 4, "{faults}");
    }
}
