//! Name, version, system and device of a user agent, as the uap-core tables call them. Pure.
//!
//! Only for reading: `sekisho decode` and the index ask for it, detection does not. Deliberately small: the families
//! that most traffic has, `Other` for the rest.

use crate::event::{Event, Scalar, Text};

use super::agent::AGENT_BYTES_MAX;

/// How a family is told: the token before its version, its name, and the most numbers its version has.
struct Family {
    token: &'static str,
    name: &'static str,
    numbers: usize,
}

/// In order: those that imitate others come before the imitated.
const FAMILIES: &[Family] = &[
    family("Googlebot/", "Googlebot", 2),
    family("bingbot/", "bingbot", 2),
    family("YandexBot/", "YandexBot", 2),
    family("Baiduspider/", "Baiduspider", 2),
    family("DuckDuckBot/", "DuckDuckBot", 2),
    family("Applebot/", "Applebot", 2),
    family("AhrefsBot/", "AhrefsBot", 2),
    family("SemrushBot/", "SemrushBot", 2),
    family("MJ12bot/", "MJ12bot", 3),
    family("GPTBot/", "GPTBot", 2),
    family("Twitterbot/", "Twitterbot", 2),
    family("facebookexternalhit/", "FacebookBot", 2),
    family("Facebot ", "Facebot", 2),
    family("UptimeRobot/", "UptimeRobot", 2),
    family("Edg/", "Edge", 3),
    family("Edge/", "Edge", 3),
    family("OPR/", "Opera", 3),
    family("SamsungBrowser/", "Samsung Internet", 2),
    family("YaBrowser/", "Yandex Browser", 3),
    family("CriOS/", "Chrome Mobile iOS", 3),
    family("FxiOS/", "Firefox iOS", 2),
    family("Firefox/", "Firefox", 3),
    family("HeadlessChrome/", "HeadlessChrome", 3),
    family("Chrome/", "Chrome", 3),
    family("MSIE ", "IE", 2),
    family("Debian APT-HTTP/", "Debian APT-HTTP", 3),
    family("curl/", "curl", 3),
    family("Wget/", "Wget", 3),
    family("python-requests/", "Python Requests", 3),
    family("Go-http-client/", "Go-http-client", 2),
    family("okhttp/", "okhttp", 3),
    family("Java/", "Java", 3),
];

/// How a system is told, for those without a version of their own in the text.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows NT 10.0", "Windows 10"),
    ("Windows NT 6.3", "Windows 8.1"),
    ("Windows NT 6.2", "Windows 8"),
    ("Windows NT 6.1", "Windows 7"),
    ("Windows NT 6.0", "Windows Vista"),
    ("Windows NT 5.1", "Windows XP"),
    ("Debian", "Debian"),
    ("Ubuntu", "Ubuntu"),
    ("Fedora", "Fedora"),
    ("Linux", "Linux"),
];

/// Systems whose version follows the token.
const VERSIONED_SYSTEMS: &[(&str, &str)] = &[
    ("CPU iPhone OS ", "iOS"),
    ("CPU OS ", "iOS"),
    ("Mac OS X ", "Mac OS X"),
    ("Android ", "Android"),
    ("CrOS x86_64 ", "Chrome OS"),
];

/// Adds `user_agent.name`, `.version`, `.os.name`, `.os.version`, `.os.full` and `.device.name` to the extras of an
/// event that has a user agent.
pub fn describe_agent(event: &mut Event<'_>) {
    let Some(text) = event.text(Text::UserAgent) else {
        return;
    };
    let text = &text[..text.floor_char_boundary(AGENT_BYTES_MAX)];
    let (name, version) = browser(text);
    add(event, "user_agent.name", name.to_owned());
    if !version.is_empty() {
        add(event, "user_agent.version", version);
    }
    if let Some((system, version)) = system(text) {
        if !version.is_empty() {
            add(event, "user_agent.os.full", format!("{system} {version}"));
            add(event, "user_agent.os.version", version);
        }
        add(event, "user_agent.os.name", system.to_owned());
    }
    add(event, "user_agent.device.name", device(text).to_owned());
}

fn add(event: &mut Event<'_>, name: &'static str, value: String) {
    let value = event.arena().alloc_str(&value);
    event.add_extra(name, Scalar::Text(value));
}

const fn family(token: &'static str, name: &'static str, numbers: usize) -> Family {
    Family { token, name, numbers }
}

/// Family and version; both as uap-core joins them.
fn browser(text: &str) -> (&'static str, String) {
    let known = FAMILIES.iter().find_map(|family| Some((family, after(text, family.token)?)));
    let mobile = text.contains("Mobile");
    match known {
        Some((family, rest)) if family.name == "Firefox" => firefox(rest, family.numbers),
        Some((family, rest)) if family.name == "Chrome" && mobile => ("Chrome Mobile", numbers(rest, family.numbers)),
        Some((family, rest)) => (family.name, numbers(rest, family.numbers)),
        None => match after(text, "Version/").filter(|_| text.contains("Safari/")) {
            Some(rest) if mobile => ("Mobile Safari", numbers(rest, 3)),
            Some(rest) => ("Safari", numbers(rest, 3)),
            None => after(text, "Trident/7.0; rv:").map_or(("Other", String::new()), |rest| ("IE", numbers(rest, 2))),
        },
    }
}

/// Firefox names its channel by a letter after the numbers: `15.0a2` is an alpha.
fn firefox(rest: &str, count: usize) -> (&'static str, String) {
    let version = numbers(rest, count);
    let suffix = rest.get(version.len()..).unwrap_or_default();
    let end = suffix.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(suffix.len());
    match suffix.as_bytes().first() {
        Some(b'a') => ("Firefox Alpha", format!("{version}.{}", &suffix[..end])),
        Some(b'b') => ("Firefox Beta", format!("{version}.{}", &suffix[..end])),
        Some(_) | None => ("Firefox", version),
    }
}

fn system(text: &str) -> Option<(&'static str, String)> {
    let versioned = VERSIONED_SYSTEMS.iter().find_map(|(token, name)| Some((*name, numbers(after(text, token)?, 3))));
    versioned.or_else(|| SYSTEMS.iter().find(|(token, _)| text.contains(token)).map(|(_, name)| (*name, String::new())))
}

fn device(text: &str) -> &'static str {
    let lower = text.to_ascii_lowercase();
    if ["bot", "crawler", "spider", "facebookexternalhit"].iter().any(|token| lower.contains(token)) {
        return "Spider";
    }
    match ["iPhone", "iPad", "Macintosh"].iter().find(|token| text.contains(**token)) {
        Some(&"Macintosh") | None => "Other",
        Some(name) => name,
    }
}

fn after<'a>(text: &'a str, token: &str) -> Option<&'a str> {
    text.split_once(token).map(|(_, rest)| rest)
}

/// The leading numbers of a version, at most `count`, joined with dots; systems of Apple write underscores.
fn numbers(text: &str, count: usize) -> String {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let parts = text[..end].split(['.', '_']).take_while(|part| !part.is_empty());
    parts.take(count).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bumpalo::Bump;

    fn described(agent: &str) -> String {
        let arena = Bump::new();
        let mut event = Event::new(b"", &arena);
        event.set_text(Text::UserAgent, arena.alloc_str(agent));
        describe_agent(&mut event);
        let part = |name: &str| match event.extra(&format!("user_agent.{name}")) {
            Some(Scalar::Text(text)) => text.to_owned(),
            other => format!("{other:?}"),
        };
        ["name", "version", "os.name", "os.version", "os.full", "device.name"].map(part).join("|")
    }

    #[test]
    fn agents_are_described_as_uap_core_does() {
        let cases = [
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.12; rv:49.0) Gecko/20100101 Firefox/49.0",
                "Firefox|49.0|Mac OS X|10.12|Mac OS X 10.12|Other",
            ),
            (
                "Mozilla/5.0 (Windows NT 6.1; rv:15.0) Gecko/20120716 Firefox/15.0a2",
                "Firefox Alpha|15.0.a2|Windows 7|None|None|Other",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.102 Safari/537.36",
                "Chrome|70.0.3538|Mac OS X|10.14.0|Mac OS X 10.14.0|Other",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
                "Mobile Safari|17.4|iOS|17.4|iOS 17.4|iPhone",
            ),
            ("Amazon CloudFront", "Other|None|None|None|None|Other"),
            (
                "Mozilla/5.0 (compatible; Facebot 1.0; https://developers.facebook.com/)",
                "Facebot|1.0|None|None|None|Spider",
            ),
            ("curl/7.58.0", "curl|7.58.0|None|None|None|Other"),
            ("Debian APT-HTTP/1.3 (1.6.3ubuntu0.1)", "Debian APT-HTTP|1.3|Debian|None|None|Other"),
        ];
        for (agent, expected) in cases {
            assert_eq!(described(agent), expected, "{agent}");
        }
    }
}
