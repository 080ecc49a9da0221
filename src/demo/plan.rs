//! When each actor begins, for how long, and how fast. Pure data.
//!
//! Speeds are those of the real tools: hydra makes about 40 ssh tries a minute, a form guesser 20 a second, a content
//! scanner 50, a load tool 400. Logins are attacked early: what an outage casts doubt on are the two minutes before it.

use crate::event::{SECOND, Time};

use super::cast;
use super::random::Random;
use super::stage::Day;
use super::task::{Act, Steady, Task};
use super::visit::Arrivals;
use super::web::{OFFICE_PEOPLE, OFFICE_STEPS_EACH};

/// One row of the plan: when in thousandths of the day, who, how often, with which pauses in milliseconds.
type Row = (i64, Act, &'static str, u32, (i64, i64));

const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const BINGBOT: &str = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)";

/// Until the day ends.
const ALWAYS: u32 = u32::MAX;

const ROWS: &[Row] = &[
    (0, Act::Monitor, cast::MONITOR, ALWAYS, (4_950, 5_050)),
    (0, Act::Poll, cast::POLLER, ALWAYS, (230, 270)),
    (0, Act::Sensor, "", ALWAYS, (300, 900)),
    (2, Act::Crawl { agent: GOOGLEBOT, dead: 4 }, cast::SEARCH_CRAWLER, ALWAYS, (600, 1_400)),
    (3, Act::Crawl { agent: BINGBOT, dead: 12 }, cast::LINK_CRAWLER, ALWAYS, (700, 1_500)),
    (30, Act::OddSearch, cast::ODD_VISITOR, 32, (4_000, 12_000)),
    (60, Act::SshGuess, cast::SSH_GUESSER, 80, (1_400, 1_600)),
    (90, Act::FormGuess, cast::FORM_GUESSER, 900, (45, 55)),
    (110, Act::PasswordSpray, cast::PASSWORD_SPRAYER, 140, (500, 800)),
    (200, Act::Forgetful, cast::FORGETFUL, 12, (8_000, 20_000)),
    (260, Act::SshSpray, cast::SSH_SPRAYER, 60, (700, 1_100)),
    (300, Act::SshTypo, cast::SSH_TYPO, 3, (6_000, 12_000)),
    (320, Act::ScanContent, cast::CONTENT_SCANNER, 780, (15, 25)),
    (380, Act::Sqlmap, cast::SQLMAP, 60, (120, 220)),
    (420, Act::Inject, cast::INJECTOR, 50, (300, 700)),
    (450, Act::Script, cast::SCRIPTER, 40, (300, 700)),
    (480, Act::Traverse, cast::TRAVERSER, 60, (300, 700)),
    (520, Act::Exploit, cast::EXPLOITER, 6, (1_500, 2_500)),
    (560, Act::SpeakTls, cast::TLS_TALKER, 120, (150, 250)),
    (610, Act::Flood, cast::FLOODER, 8_000, (2, 3)),
];

/// When the stuffing and the crowd begin, in thousandths of the day.
const STUFFING: i64 = 150;
const CROWD: i64 = 880;

/// Every actor with the instant of its first step.
pub(super) fn opening(day: Day, random: &Random) -> Vec<(Time, Task)> {
    let mut opening = vec![(day.start, Task::Arrivals(Arrivals { random: random.fork(0) }))];
    let mut add = |at: Time, act: Act, client: &str, steps: u32, pause: (i64, i64)| {
        let random = random.fork(opening.len() as u64);
        let client = client.to_owned();
        opening.push((at, Task::Steady(Steady { act, client, random, step: 0, steps, pause })));
    };
    for (thousandths, act, client, steps, pause) in ROWS {
        add(day.at(*thousandths), *act, client, *steps, *pause);
    }
    let office = office_pause(day);
    add(day.at(10), Act::Office, cast::OFFICE, OFFICE_PEOPLE * OFFICE_STEPS_EACH, (office * 4 / 5, office * 6 / 5));
    for (number, (user, client)) in (1..).zip(cast::SSH_USERS) {
        add(day.start.plus(number * 7 * SECOND), Act::SshKey { user }, client, ALWAYS, (25 * SECOND, 70 * SECOND));
    }
    let mut spread = random.fork(u64::MAX);
    for number in 0..cast::STUFFERS {
        let at = day.at(STUFFING).plus(spread.between(0, 4 * SECOND));
        let first = number as u32 * 24;
        add(at, Act::Stuff { first }, &cast::stuffer(number), 24, (2 * SECOND, 4_500));
    }
    for number in 0..cast::CROWD {
        let at = day.at(CROWD).plus(spread.between(0, 40 * SECOND));
        let steps = spread.between(3, 7) as u32;
        add(at, Act::Crowd, &cast::of_the_crowd(number), steps, (2 * SECOND, 8 * SECOND));
    }
    opening
}

/// The office is busy for most of the day.
fn office_pause(day: Day) -> i64 {
    day.at(900).since(day.start) / i64::from(OFFICE_PEOPLE * OFFICE_STEPS_EACH)
}
