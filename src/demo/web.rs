//! Acts on the web site that are no probes: people, programs, and those who try passwords. Pure.

use super::line::Request;
use super::site::{BROWSERS, DEAD_LINKS, HOST, ODD_SEARCHES, PAGES};
use super::stage::Stage;

/// Steps of the office that belong to one of its people: a login and then some pages.
pub(super) const OFFICE_STEPS_EACH: u32 = 8;
/// How many people work there.
pub(super) const OFFICE_PEOPLE: u32 = 30;
/// Those of them who mistype, and how often before they get it right.
const OFFICE_TYPOS: [(u32, u32); 5] = [(3, 1), (9, 2), (14, 1), (21, 1), (27, 1)];

/// Users whom guessers know by name; the rest is made up from a number.
const USERS: [&str; 12] =
    ["james", "maria", "wei", "fatima", "olu", "sofia", "ivan", "yuki", "noah", "lena", "omar", "chloe"];

/// One person after the other logs in and looks at a few pages, all behind one address.
pub(super) fn office(stage: &mut Stage<'_>, client: &str, step: u32) {
    let (person, phase) = (step / OFFICE_STEPS_EACH, step % OFFICE_STEPS_EACH);
    let agent = BROWSERS[person as usize % 6];
    let wrong = OFFICE_TYPOS.iter().find(|(who, _)| *who == person).map_or(0, |(_, times)| *times);
    if phase <= wrong {
        stage.login(client, &format!("employee{person:02}"), agent, phase == wrong);
    } else {
        page(stage, client, agent);
    }
}

/// Three wrong passwords, the right one, then pages.
pub(super) fn forgetful(stage: &mut Stage<'_>, client: &str, step: u32) {
    match step {
        0..=2 => stage.login(client, "customer4711", BROWSERS[2], false),
        3 => stage.login(client, "customer4711", BROWSERS[2], true),
        _ => page(stage, client, BROWSERS[2]),
    }
}

/// A search whose words a careless rule would take for an attack.
pub(super) fn odd_search(stage: &mut Stage<'_>, client: &str, step: u32) {
    let words = ODD_SEARCHES[step as usize % ODD_SEARCHES.len()];
    get(stage, client, &format!("/search?q={words}"), 200, BROWSERS[3]);
}

/// Follows links, some of them dead.
pub(super) fn crawl(stage: &mut Stage<'_>, client: &str, agent: &str, dead: u64) {
    if stage.random.percent(dead) {
        let target = stage.random.pick(DEAD_LINKS);
        get(stage, client, target, 404, agent);
    } else {
        page(stage, client, agent);
    }
}

/// The uptime probe.
pub(super) fn monitor(stage: &mut Stage<'_>, client: &str) {
    let agent = "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)";
    get(stage, client, "/health", 200, agent);
}

/// A partner's program asks for stock.
pub(super) fn poll(stage: &mut Stage<'_>, client: &str) {
    let target = format!("/api/v1/stock?sku={}", stage.random.between(1_000, 1_400));
    get(stage, client, &target, 200, "okhttp/4.12.0");
}

/// One of the crowd: the page that was mentioned, then around it.
pub(super) fn crowd(stage: &mut Stage<'_>, client: &str, step: u32) {
    let agent = BROWSERS[client.len() * 5 % BROWSERS.len()];
    if step == 0 {
        let line = "GET /blog/spring-catalogue HTTP/2.0";
        let referrer = "https://news.example.org/item?id=2041";
        stage.request(Request { client, line, status: 200, bytes: 18_211, referrer, agent });
    } else {
        page(stage, client, agent);
    }
}

/// A password tool on one account, with a browser's name.
pub(super) fn guess(stage: &mut Stage<'_>, client: &str) {
    stage.login(client, "admin", BROWSERS[6], false);
}

/// One try for each user.
pub(super) fn spray(stage: &mut Stage<'_>, client: &str, step: u32) {
    stage.login(client, &user(step), BROWSERS[0], false);
}

/// Leaked pairs, of which one in two hundred still fits.
pub(super) fn stuff(stage: &mut Stage<'_>, client: &str, pair: u32) {
    let right = pair % 200 == 199;
    stage.login(client, &format!("{}@mail.example", user(pair)), BROWSERS[4], right);
}

fn user(number: u32) -> String {
    format!("{}{}", USERS[number as usize % USERS.len()], number / 12)
}

fn page(stage: &mut Stage<'_>, client: &str, agent: &str) {
    let target = stage.random.pick(PAGES);
    get(stage, client, target, 200, agent);
}

/// A plain request with an answer of a fitting size.
pub(super) fn get(stage: &mut Stage<'_>, client: &str, target: &str, status: u16, agent: &str) {
    let line = format!("GET {target} HTTP/1.1");
    let bytes = if status == 200 { 2_000 + stage.random.below(20_000) } else { 153 };
    let referrer = format!("https://{HOST}/");
    let referrer = if agent.contains("Gecko") { referrer.as_str() } else { "-" };
    stage.request(Request { client, line: &line, status, bytes, referrer, agent });
}
