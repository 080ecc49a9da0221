//! What an actor does next: one step at a time, each with its lines and the instant of the following one. Pure.

use crate::event::Time;

use super::line::Line;
use super::random::Random;
use super::stage::{Day, Stage};
use super::visit::{Arrivals, Visit};
use super::{probes, ssh, web};

/// Something that acts again and again.
pub(super) enum Task {
    /// Opens visits.
    Arrivals(Arrivals),
    Visit(Visit),
    Steady(Steady),
}

/// What a step leaves behind.
#[derive(Default)]
pub(super) struct Output {
    pub(super) lines: Vec<Line>,
    pub(super) opened: Vec<(Time, Task)>,
}

/// One client that repeats one act, step by step.
pub(super) struct Steady {
    pub(super) act: Act,
    pub(super) client: String,
    pub(super) random: Random,
    pub(super) step: u32,
    pub(super) steps: u32,
    /// Milliseconds between steps, from and to.
    pub(super) pause: (i64, i64),
}

/// Who does what; the acts themselves are in `web`, `ssh` and `probes`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Office,
    Forgetful,
    OddSearch,
    /// Of a hundred links this many are dead.
    Crawl {
        agent: &'static str,
        dead: u64,
    },
    Monitor,
    Poll,
    Crowd,
    Sensor,
    SshKey {
        user: &'static str,
    },
    SshTypo,
    SshGuess,
    SshSpray,
    FormGuess,
    PasswordSpray,
    Stuff {
        first: u32,
    },
    ScanContent,
    Sqlmap,
    Inject,
    Script,
    Traverse,
    Exploit,
    Flood,
    SpeakTls,
}

impl Task {
    /// Acts at `at`; the next instant, or `None` when done.
    pub(super) fn step(&mut self, day: Day, at: Time, output: &mut Output) -> Option<Time> {
        match self {
            Task::Arrivals(arrivals) => Some(arrivals.step(day, at, output)),
            Task::Visit(visit) => visit.step(day, at, output),
            Task::Steady(steady) => steady.step(day, at, output),
        }
    }
}

impl Steady {
    fn step(&mut self, day: Day, at: Time, output: &mut Output) -> Option<Time> {
        let mut stage = Stage { day, at, random: &mut self.random, lines: &mut output.lines };
        perform(self.act, &mut stage, &self.client, self.step);
        self.step += 1;
        (self.step < self.steps).then(|| at.plus(self.random.between(self.pause.0, self.pause.1)))
    }
}

fn perform(act: Act, stage: &mut Stage<'_>, client: &str, step: u32) {
    match act {
        Act::Office => web::office(stage, client, step),
        Act::Forgetful => web::forgetful(stage, client, step),
        Act::OddSearch => web::odd_search(stage, client, step),
        Act::Crawl { agent, dead } => web::crawl(stage, client, agent, dead),
        Act::Monitor => web::monitor(stage, client),
        Act::Poll => web::poll(stage, client),
        Act::Crowd => web::crowd(stage, client, step),
        Act::Sensor => probes::sensor(stage, step),
        Act::SshKey { user } => ssh::key(stage, client, user),
        Act::SshTypo => ssh::typo(stage, client, step),
        Act::SshGuess => ssh::guess(stage, client),
        Act::SshSpray => ssh::spray(stage, client, step),
        Act::FormGuess => web::guess(stage, client),
        Act::PasswordSpray => web::spray(stage, client, step),
        Act::Stuff { first } => web::stuff(stage, client, first + step),
        Act::ScanContent => probes::scan_content(stage, client, step),
        Act::Sqlmap => probes::sqlmap(stage, client, step),
        Act::Inject => probes::inject(stage, client, step),
        Act::Script => probes::script(stage, client, step),
        Act::Traverse => probes::traverse(stage, client, step),
        Act::Exploit => probes::exploit(stage, client),
        Act::Flood => probes::flood(stage, client),
        Act::SpeakTls => probes::speak_tls(stage, client),
    }
}
