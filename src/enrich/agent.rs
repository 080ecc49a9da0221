//! The class of a user agent: what it says it is, and nothing about whether that is true. Pure.
//!
//! A scanner that calls itself a browser is a `browser` here; finding it out is the work of rules. A declared crawler is
//! a claim, not a proof (security sheet §4.2).

use daachorse::DoubleArrayAhoCorasick;

/// Only this much of a user agent is looked at: real ones stay under 512 bytes, and names come early.
pub const AGENT_BYTES_MAX: usize = 1_024;

/// Tokens by class.
const TOKENS: &str = include_str!("agents.tsv");

/// The class of a user agent, the most telling first: where several fit, the smallest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AgentClass {
    /// A scanner, fuzzer or password tool.
    Tool,
    /// An uptime probe or health check.
    Monitor,
    /// A search engine, archive, preview or research crawler that says so.
    Crawler,
    /// A client library or command line program.
    Library,
    Browser,
    /// A text that is none of these.
    Other,
    /// A web request without a user agent.
    Empty,
}

/// All tokens in one automaton.
pub(super) struct Agents {
    tokens: DoubleArrayAhoCorasick<u8>,
}

/// The classes that tokens stand for, by the automaton's values.
const CLASSES: [AgentClass; 5] =
    [AgentClass::Tool, AgentClass::Monitor, AgentClass::Crawler, AgentClass::Library, AgentClass::Browser];

impl Agents {
    pub(super) fn new() -> Self {
        let rows = TOKENS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
        let class = |name: &str| CLASSES.iter().position(|class| class.name() == name);
        let tokens = rows.filter_map(|(name, token)| Some((token, class(name)? as u8)));
        let tokens = DoubleArrayAhoCorasick::with_values(tokens)
            .expect("the table that travels inside the binary holds distinct tokens, as its test says");
        Agents { tokens }
    }

    /// The class of a text, in time linear in the first [`AGENT_BYTES_MAX`] bytes.
    pub(super) fn class(&self, text: &str) -> AgentClass {
        let lower = text.as_bytes()[..text.len().min(AGENT_BYTES_MAX)].to_ascii_lowercase();
        if lower.is_empty() {
            return AgentClass::Empty;
        }
        let matches = self.tokens.find_overlapping_iter(&lower);
        let best = matches.map(|found| found.value()).min();
        best.map_or(AgentClass::Other, |value| CLASSES[usize::from(value)])
    }
}

impl AgentClass {
    /// The value of `sekisho.user_agent.class`.
    pub(super) fn name(self) -> &'static str {
        match self {
            AgentClass::Tool => "tool",
            AgentClass::Monitor => "monitor",
            AgentClass::Crawler => "crawler",
            AgentClass::Library => "library",
            AgentClass::Browser => "browser",
            AgentClass::Other => "other",
            AgentClass::Empty => "empty",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_lower_case_distinct_and_of_known_classes() {
        let rows: Vec<&str> = TOKENS.lines().filter(|line| !line.starts_with('#')).collect();
        let mut tokens = std::collections::BTreeSet::new();
        for row in &rows {
            let (class, token) = row.split_once('\t').unwrap();
            assert!(CLASSES.iter().any(|known| known.name() == class), "{row}");
            assert!(token.len() >= 4 && token == token.to_ascii_lowercase() && tokens.insert(token), "{row}");
        }
        assert!(rows.len() > 200);
    }

    #[test]
    fn agents_are_what_they_say() {
        let agents = Agents::new();
        let cases = [
            (
                "browser",
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
            ),
            (
                "browser",
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
            ),
            ("browser", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"),
            (
                "browser",
                "Mozilla/5.0 (Linux; Android 14; Cubot X) AppleWebKit/537.36 Chrome/124.0.0.0 Mobile Safari/537.36",
            ),
            ("library", "curl/8.5.0"),
            ("library", "python-requests/2.31.0"),
            ("library", "Go-http-client/1.1"),
            ("library", "python-httpx/0.27.0"),
            ("library", "Debian APT-HTTP/1.3 (1.6.3)"),
            ("library", "Wget/1.13.4 (linux-gnu)"),
            ("tool", "sqlmap/1.7.2#stable (https://sqlmap.org)"),
            ("tool", "Mozilla/5.00 (Nikto/2.1.6) (Evasions:None)"),
            ("tool", "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)"),
            ("tool", "Fuzz Faster U Fool v1.1.0"),
            ("tool", "Mozilla/5.0 (Hydra)"),
            ("tool", "gobuster/3.5"),
            ("tool", "httpx - Open-source project (github.com/projectdiscovery/httpx)"),
            ("tool", "WPScan v3.8.22"),
            ("crawler", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
            ("crawler", "Mozilla/5.0 (compatible; SomethingBot; +https://example.com)"),
            ("crawler", "facebookexternalhit/1.1"),
            ("monitor", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"),
            ("monitor", "kube-probe/1.29"),
            ("other", "Amazon CloudFront"),
            ("other", "日本"),
            ("empty", ""),
        ];
        for (class, text) in cases {
            assert_eq!(agents.class(text).name(), class, "{text}");
        }
    }

    #[test]
    fn what_stands_beyond_the_limit_is_not_looked_at() {
        let agents = Agents::new();
        let padded = format!("Mozilla/5.0 {} sqlmap/1.7", "é".repeat(AGENT_BYTES_MAX));
        assert_eq!(agents.class(&padded), AgentClass::Browser);
    }
}
