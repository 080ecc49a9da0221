//! Ordinary visitors: they arrive as the hour of the day has it, look at pages, load what belongs to them. Pure.

use crate::event::Time;

use super::cast::{VISITORS, visitor};
use super::line::Request;
use super::random::Random;
use super::site::{ASSETS, BROWSERS, DEAD_LINKS, HOST, PAGES};
use super::stage::{Day, Stage};
use super::task::{Output, Task};

/// The mean of milliseconds between two visits at a load of 100.
const PAUSE_MEAN: i64 = 125;
/// The load of each hour of the day, in percent: the office hours and the evening are busy.
const HOURS: [i64; 24] =
    [45, 40, 35, 35, 40, 50, 70, 90, 110, 125, 130, 130, 125, 125, 130, 130, 125, 120, 120, 130, 135, 125, 90, 60];

/// Opens visits for the whole day.
pub(super) struct Arrivals {
    pub(super) random: Random,
}

/// One visitor's way through the site.
pub(super) struct Visit {
    client: String,
    agent: &'static str,
    /// Whose password the visitor knows, where the visit needs one.
    user: Option<String>,
    random: Random,
    page: &'static str,
    pages_left: i64,
    assets_left: i64,
    first_asset: u64,
    /// Whether the browser has the site's files already.
    returning: bool,
}

impl Arrivals {
    pub(super) fn step(&mut self, day: Day, at: Time, output: &mut Output) -> Time {
        let visit = Visit::new(&mut self.random);
        output.opened.push((at, Task::Visit(visit)));
        let hour = at.since(day.start) * 24 / day.end.since(day.start).max(1);
        let load = HOURS[(hour.clamp(0, 23)) as usize];
        at.plus(self.random.between(1, 2 * PAUSE_MEAN) * 100 / load)
    }
}

impl Visit {
    fn new(random: &mut Random) -> Self {
        // The smaller of two draws: some visitors come often, most of them rarely.
        let number = random.below(VISITORS).min(random.below(VISITORS));
        let mut random = random.fork(number);
        let user = random.percent(8).then(|| format!("customer{number}"));
        Visit {
            client: visitor(number),
            agent: BROWSERS[(number % BROWSERS.len() as u64) as usize],
            user,
            page: random.pick(PAGES),
            pages_left: random.between(1, 8),
            assets_left: 0,
            first_asset: 0,
            returning: random.percent(40),
            random,
        }
    }

    pub(super) fn step(&mut self, day: Day, at: Time, output: &mut Output) -> Option<Time> {
        let mut random = self.random.clone();
        let mut stage = Stage { day, at, random: &mut random, lines: &mut output.lines };
        let pause = if self.assets_left > 0 { self.asset(&mut stage) } else { self.next_page(&mut stage) };
        self.random = random;
        pause.map(|pause| at.plus(pause))
    }

    /// Loads one file of the page; milliseconds to the next step.
    fn asset(&mut self, stage: &mut Stage<'_>) -> Option<i64> {
        self.assets_left -= 1;
        self.first_asset += 1;
        let asset = ASSETS[(self.first_asset % ASSETS.len() as u64) as usize];
        let answer = if self.returning { (304, 0) } else { (200, 900 + self.first_asset * 7_919 % 60_000) };
        let referrer = format!("https://{HOST}{}", self.page);
        self.get(stage, asset, answer, &referrer);
        Some(if self.assets_left > 0 { stage.random.between(15, 140) } else { self.thinking(stage)? })
    }

    /// Opens a page, or logs in where the visit needs it; milliseconds to the next step.
    fn next_page(&mut self, stage: &mut Stage<'_>) -> Option<i64> {
        self.pages_left -= 1;
        if let Some(user) = self.user.take() {
            let right = stage.random.percent(95);
            stage.login(&self.client, &user, self.agent, right);
            self.user = (!right).then_some(user);
            self.pages_left += 1;
            return Some(stage.random.between(3_000, 9_000));
        }
        let referrer = if self.first_asset == 0 { "-".to_owned() } else { format!("https://{HOST}{}", self.page) };
        if stage.random.percent(1) {
            let dead = stage.random.pick(DEAD_LINKS);
            self.get(stage, dead, (404, 153), &referrer);
            return self.thinking(stage);
        }
        self.page = stage.random.pick(PAGES);
        let bytes = 4_000 + stage.random.below(30_000);
        self.get(stage, self.page, (200, bytes), &referrer);
        self.assets_left = if self.first_asset == 0 { stage.random.between(4, 8) } else { stage.random.between(1, 4) };
        Some(stage.random.between(40, 300))
    }

    fn thinking(&self, stage: &mut Stage<'_>) -> Option<i64> {
        (self.pages_left > 0).then(|| stage.random.between(2_000, 20_000))
    }

    fn get(&self, stage: &mut Stage<'_>, target: &str, (status, bytes): (u16, u64), referrer: &str) {
        let line = format!("GET {target} HTTP/2.0");
        stage.request(Request { client: &self.client, line: &line, status, bytes, referrer, agent: self.agent });
    }
}
