//! The laws of `lib.rs` as properties over generated logs. A failing case prints its seed and shrinks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sekisho::catalog::{Catalog, File, Files, KeepExtras, Maker, PipelineIndex, built_in};
use sekisho::config::Config;
use sekisho::detect::window::{Arrival, InputIndex, Table};
use sekisho::detect::{BUCKETS, Comparison, Plan, PlanKind, Plans};
use sekisho::event::outcome::Block;
use sekisho::event::{
    Client, EntityKind, Field, Input, Outcome, Pack, Place, RuleIndex, ServiceIndex, Span, Standing, Time, Value,
};
use sekisho::fold::{Batch, Decide, DecideSnapshot, Examiner, Ingest, RawRecord, Sightings};

const START: i64 = 1_795_435_507_000;

/// Rules with thresholds so low that short logs meet them.
const RULES: &str = "
title: failed
name: failed
logsource: { category: authentication }
detection: { s: { sekisho.login: failure }, condition: s }
---
title: missing
name: missing
logsource: { category: webserver }
detection: { s: { http.response.status_code: 404 }, condition: s }
---
title: any request
name: request
logsource: { category: webserver }
detection: { s: { 'http.response.status_code|gte': 100 }, condition: s }
---
title: guessing
name: guessing
correlation: { type: event_count, rules: [failed], group-by: [client.ip], timespan: 20s, condition: { gte: 3 } }
sekisho: { severity: major, entity: client, about_failures: true, response: { level: block, ttl: 1m, because: low } }
---
title: accounts
name: accounts
correlation: { type: value_count, rules: [failed], group-by: [service.name], timespan: 17s, condition: { gte: 5, field: user.name } }
sekisho: { severity: major, entity: service, response: { level: block, ttl: 1m, because: low } }
---
title: succeeded
name: succeeded
logsource: { category: authentication }
detection: { s: { sekisho.login: success }, condition: s }
---
title: guessed
name: guessed
correlation: { type: event_count, rules: [succeeded], group-by: [client.ip], timespan: 40s, condition: { gte: 1 } }
sekisho: { severity: critical, entity: client, after: guessing, response: { level: block, ttl: 3m, because: low } }
---
title: scan
name: scan
correlation: { type: value_count, rules: [missing], group-by: [client.ip], timespan: 30s, condition: { gte: 3, field: url.path } }
sekisho: { severity: major, entity: client, response: { level: block, ttl: 2m, because: low } }
---
title: flood
name: flood
correlation: { type: event_count, rules: [request], group-by: [client.ip], timespan: 16s, condition: { gte: 6 } }
sekisho: { severity: major, entity: client, measure: requests, response: { level: block, ttl: 1m, because: low } }
---
title: errors
name: errors
correlation: { type: value_avg, rules: [request], group-by: [service.name], timespan: 16s, condition: { gte: 0.3, field: http.response.status_code } }
sekisho: { severity: major, entity: service, measure: error_share, events_min: 4, response: { level: alert, ttl: 1m, because: low } }
";

fn catalog() -> Arc<Catalog> {
    let rules = File { path: "laws.yml".to_owned(), text: RULES.to_owned(), maker: Maker::User };
    let files = Files { rules: vec![rules], ..built_in() };
    let built = Catalog::build(&Config::default(), &files, KeepExtras::Named);
    Arc::new(built.unwrap_or_else(|faults| panic!("{:#?}", faults.list)))
}

/// A line of a generated log: when it arrives, which input, and what it says happened when.
#[derive(Clone, Debug)]
struct Line {
    input: usize,
    claimed: Time,
    appended_at: Time,
    text: String,
}

#[derive(Clone, Debug)]
struct Draft {
    step: i64,
    lag: i64,
    input: usize,
    client: u8,
    what: u8,
    path: u8,
}

fn draft() -> impl Strategy<Value = Draft> {
    // Mostly at once; some late by seconds, some by more than the lateness, a few by hours, a few from the future.
    let lag = prop_oneof![6 => Just(0i64), 2 => 0..5_000i64, 1 => 5_000..700_000i64, 1 => -400_000..100_000_000i64];
    let client = prop_oneof![3 => 0..3u8, 1 => 0..14u8];
    (0..4_000i64, lag, 0..3usize, client, 0..6u8, 0..5u8).prop_map(|(step, lag, input, client, what, path)| Draft {
        step,
        lag,
        input,
        client,
        what,
        path,
    })
}

/// A log with its good and bad hours: stretches as they come, calm ones in which everybody succeeds, outages in which
/// nobody does, and attacks of a few.
fn day(stretches: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Draft>> {
    let stretch = (0..5u8, prop::collection::vec(draft(), 1..50), 0..14u8).prop_map(|(kind, mut drafts, from)| {
        for (number, draft) in drafts.iter_mut().enumerate() {
            let anybody = (from + number as u8) % 14;
            draft.input = if kind < 2 { draft.input / 2 } else { draft.input };
            match kind {
                0 => (draft.client, draft.what, draft.step) = (anybody, if draft.input == 0 { 5 } else { 0 }, 250),
                1 => {
                    let client = if draft.client == 0 { 0 } else { anybody };
                    (draft.client, draft.what, draft.step) = (client, 4 - 4 * u8::from(draft.input == 0), 250);
                }
                2 => (draft.client, draft.step) = (draft.client % 2, draft.step / 8),
                _ => {}
            }
        }
        drafts
    });
    prop::collection::vec(stretch, stretches).prop_map(|days| days.concat())
}

/// Every byte that leaves.
fn bytes(outcomes: &[Outcome]) -> String {
    let text = |outcome: &Outcome| match outcome {
        Outcome::Alert(alert) => serde_json::to_string(alert),
        Outcome::Block(block) => serde_json::to_string(block),
        Outcome::Lift(lift) => serde_json::to_string(lift),
        Outcome::Incident(incident) => serde_json::to_string(incident),
        Outcome::DeadLetter(letter) => serde_json::to_string(letter),
    };
    outcomes.iter().map(|outcome| text(outcome).expect("outcomes are data") + "\n").collect()
}

fn lines(drafts: &[Draft]) -> Vec<Line> {
    let mut now = START;
    let mut lines = Vec::new();
    for draft in drafts {
        now += draft.step;
        lines.push(draft.line(Time(now)));
    }
    lines
}

impl Draft {
    fn line(&self, now: Time) -> Line {
        let claimed = now.plus(-self.lag);
        let address = format!("89.160.20.{}", self.client + 1);
        let text = match (self.input, self.what) {
            (0, what) => {
                let outcome = if what < 4 { "failure" } else { "success" };
                format!(
                    r#"{{"timestamp":"{claimed}","event":"login","outcome":"{outcome}","user":"u{}","client_ip":"{address}"}}"#,
                    self.path
                )
            }
            (_, what) => {
                let status = [200, 200, 404, 404, 500, 302][usize::from(what)];
                format!(
                    r#"{{"time":"{claimed}","remote_addr":"{address}","request_method":"GET","request_uri":"/{}","status":{status},"body_bytes_sent":5,"request_time":0.1}}"#,
                    self.path
                )
            }
        };
        Line { input: self.input, claimed, appended_at: now, text }
    }
}

/// Both folds over three inputs.
struct Run {
    catalog: Arc<Catalog>,
    examiners: Vec<Examiner>,
    ingest: Ingest,
    decide: Decide,
    offsets: Vec<u64>,
    batch: Batch,
    out: Vec<Outcome>,
}

fn inputs(catalog: &Catalog) -> Vec<(Input, PipelineIndex)> {
    let of = |name: &str, partition| {
        let pipeline = catalog.pipeline_named(name).expect("a built-in pipeline");
        (Input { topic: name.to_owned(), partition }, pipeline)
    };
    vec![of("login", 0), of("nginx", 0), of("nginx", 1)]
}

impl Run {
    fn new(catalog: &Arc<Catalog>, seed: u64) -> Run {
        let inputs = inputs(catalog);
        let names = inputs.iter().map(|(input, _)| input.clone()).collect();
        Run {
            examiners: inputs.iter().map(|(_, pipeline)| Examiner::new(Arc::clone(catalog), *pipeline)).collect(),
            offsets: vec![0; inputs.len()],
            ingest: Ingest::new(Arc::clone(catalog), inputs),
            decide: Decide::new(Arc::clone(catalog), names, seed),
            batch: Batch::default(),
            out: Vec::new(),
            catalog: Arc::clone(catalog),
        }
    }

    fn examine(&mut self, line: &Line, offset: u64) -> Sightings {
        let mut sightings = Sightings::default();
        let record = RawRecord { offset, bytes: line.text.as_bytes(), spoofable: false };
        self.examiners[line.input].examine(record, line.appended_at, &mut sightings);
        assert_eq!(sightings.items.len(), 1);
        sightings
    }

    fn place(&mut self, line: &Line, offset: u64) {
        let sightings = self.examine(line, offset);
        self.ingest.place(line.input, (&sightings, 0), line.appended_at, &mut self.batch);
    }

    fn take(&mut self, line: &Line) {
        let offset = self.offsets[line.input];
        self.offsets[line.input] += 1;
        self.place(line, offset);
    }

    fn decide(&mut self) {
        self.decide.fold(&mut self.batch, &mut self.out);
    }

    fn state(&self) -> String {
        serde_json::to_string(&self.decide.save()).expect("a state is data")
    }
}

fn fold_all(catalog: &Arc<Catalog>, lines: &[Line], batch: usize, seed: u64) -> (Vec<Outcome>, String) {
    let mut run = Run::new(catalog, seed);
    for chunk in lines.chunks(batch.max(1)) {
        chunk.iter().for_each(|line| run.take(line));
        run.decide();
    }
    run.decide.finish(&mut run.out);
    let state = run.state();
    (run.out, state)
}

/// Folds the records of a receipt with a fold of its rule alone; says whether the rule concludes the same of the target.
fn derived(catalog: &Arc<Catalog>, lines: &[Line], block: &Block) -> bool {
    let (Some(receipt), Some(rule)) = (&block.receipt, &block.rule) else { return false };
    let index = catalog.rule_named(&rule.id).expect("a rule of the catalog");
    let mut run = Run::new(catalog, 0);
    let names: Vec<Input> = run.ingest.inputs().to_vec();
    run.decide = Decide::new_for_rule(Arc::clone(catalog), names.clone(), index);
    let mut part = Ingest::new(Arc::clone(catalog), inputs(catalog));
    for line in lines {
        let offset = run.offsets[line.input];
        run.offsets[line.input] += 1;
        let sightings = run.examine(line, offset);
        let (state, input) = (*run.ingest.state(line.input), &names[line.input]);
        let holds = |span: &Span| span.topic == input.topic && span.partition == input.partition;
        if receipt.spans.iter().any(|span| holds(span) && (span.from..span.to).contains(&offset)) {
            part.resume(line.input, state);
            part.place(line.input, (&sightings, 0), line.appended_at, &mut run.batch);
            run.decide();
        }
        run.ingest.pass(line.input, (&sightings, 0), line.appended_at);
    }
    run.decide.finish(&mut run.out);
    let target = block.target.split('/').next().unwrap_or_default();
    run.out.iter().any(|outcome| match outcome {
        Outcome::Alert(alert) => {
            let detail = &alert.sekisho;
            let about = detail.entity.value == target
                || alert.related.as_ref().is_some_and(|related| related.ip.iter().any(|ip| ip == target));
            alert.rule == *rule && about && detail.count == receipt.count && detail.window == receipt.window
        }
        Outcome::Block(_) | Outcome::Lift(_) | Outcome::Incident(_) | Outcome::DeadLetter(_) => false,
    })
}

/// How far behind the journal an attacker may claim to be: the ends of time, and the borders of what is believed.
fn nasty() -> impl Strategy<Value = Option<i64>> {
    let (hour, past, future, grace) = (3_600_000i64, 86_400_000i64, -300_000i64, 600_000i64);
    prop_oneof![
        4 => Just(None),
        1 => prop::sample::select(vec![i64::MAX, i64::MIN + 1, past, past + 1, future, future - 1, grace, grace + 1]).prop_map(Some),
        1 => (-9_999 * hour..9_999 * hour).prop_map(Some),
    ]
}

/// Arrival as the replay of files has it: an input's journal time is the largest time claimed there so far, and inputs
/// meet in its order.
fn in_merge_order(drafts: &[Draft]) -> Vec<Line> {
    let mut lines = lines(drafts);
    let mut newest = [Time::MIN; 3];
    for line in &mut lines {
        newest[line.input] = newest[line.input].max(line.claimed);
        line.appended_at = newest[line.input];
    }
    lines.sort_by_key(|line| (line.appended_at, line.input));
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// Laws 1 and 9: the same records give the same outcomes and the same state, whatever keeps the hash tables.
    #[test]
    fn replay_and_cause(drafts in day(0..7), seed in any::<u64>()) {
        let (catalog, lines) = (catalog(), lines(&drafts));
        let (one, other) = (fold_all(&catalog, &lines, 10, 0), fold_all(&catalog, &lines, 10, seed));
        prop_assert_eq!(bytes(&one.0), bytes(&other.0));
        prop_assert_eq!(one.1, other.1);
    }

    /// Law 9: no two things that leave have one id, but for a block and its extensions.
    #[test]
    fn ids(drafts in day(0..7)) {
        let (catalog, lines) = (catalog(), lines(&drafts));
        let (mut alerts, mut blocks) = (BTreeSet::new(), BTreeMap::new());
        for outcome in fold_all(&catalog, &lines, 10, 0).0 {
            match outcome {
                Outcome::Alert(alert) => prop_assert!(alerts.insert(alert.event.id.clone()), "{alert:?}"),
                Outcome::Block(block) => {
                    let ended = blocks.insert(block.id.clone(), false);
                    prop_assert!(ended != Some(true), "{block:?}");
                }
                Outcome::Lift(lift) => prop_assert_eq!(blocks.insert(lift.block, true), Some(false)),
                Outcome::Incident(_) | Outcome::DeadLetter(_) => {}
            }
        }
    }

    /// Law 9: the records of a block's receipt alone give the rule's verdict again.
    #[test]
    fn receipts(drafts in day(1..7)) {
        let catalog = catalog();
        let drafts: Vec<Draft> = drafts.into_iter().map(|draft| Draft { lag: draft.lag.max(0), ..draft }).collect();
        let lines = in_merge_order(&drafts);
        for outcome in fold_all(&catalog, &lines, 10, 0).0 {
            if let Outcome::Block(block) = outcome {
                prop_assert!(derived(&catalog, &lines, &block), "{block:#?}");
            }
        }
    }

    /// Law 2: fold half, write the state, read it, fold the rest = fold all.
    #[test]
    fn cut(drafts in day(1..7), cuts in prop::collection::btree_set(0..200usize, 1..5)) {
        let (catalog, lines) = (catalog(), lines(&drafts));
        let mut whole = Run::new(&catalog, 0);
        let mut halves = Run::new(&catalog, 0);
        for (number, line) in lines.iter().enumerate() {
            whole.take(line);
            whole.decide();
            if cuts.contains(&number) {
                let snapshot: DecideSnapshot = serde_json::from_str(&halves.state()).expect("what was written");
                halves.decide = Decide::restore(Arc::clone(&halves.catalog), snapshot, 7);
            }
            halves.take(line);
            halves.decide();
        }
        prop_assert_eq!(whole.state(), halves.state());
        prop_assert_eq!(bytes(&whole.out), bytes(&halves.out));
    }

    /// Law 3: how records are grouped into batches changes nothing.
    #[test]
    fn batch(drafts in day(0..7), size in 2..60usize) {
        let catalog = catalog();
        let drafts: Vec<Draft> = drafts.into_iter().map(|draft| Draft { lag: draft.lag.max(0), ..draft }).collect();
        let lines = in_merge_order(&drafts);
        prop_assert_eq!(bytes(&fold_all(&catalog, &lines, 1, 0).0), bytes(&fold_all(&catalog, &lines, size, 0).0));
    }

    /// Law 3 for packs: one input's records give the same outcomes however they are cut into packs.
    #[test]
    fn packs(drafts in prop::collection::vec(draft(), 0..150), size in 2..60usize) {
        let catalog = catalog();
        let drafts: Vec<Draft> =
            drafts.into_iter().map(|draft| Draft { input: 1, lag: draft.lag.max(0), ..draft }).collect();
        let lines = in_merge_order(&drafts);
        let mut run = Run::new(&catalog, 0);
        let inputs = run.ingest.inputs().to_vec();
        for chunk in lines.chunks(size) {
            chunk.iter().for_each(|line| run.take(line));
            for pack in run.batch.take_packs(&inputs, catalog.hash) {
                let mut carried = Batch::default();
                carried.push_pack(InputIndex(1), pack);
                run.decide.fold(&mut carried, &mut run.out);
            }
        }
        run.decide.finish(&mut run.out);
        prop_assert_eq!(run.out, fold_all(&catalog, &lines, 1, 0).0);
    }

    /// Law 4: a record at or below the known position changes nothing.
    #[test]
    fn repeat(drafts in prop::collection::vec(draft(), 1..100), again in prop::collection::vec(0..100usize, 1..30)) {
        let (catalog, lines) = (catalog(), lines(&drafts));
        let (plain, _) = fold_all(&catalog, &lines, 5, 0);
        let mut run = Run::new(&catalog, 0);
        for (number, line) in lines.iter().enumerate() {
            run.take(line);
            for earlier in again.iter().filter(|earlier| **earlier <= number) {
                let repeated = &lines[*earlier];
                let offset = lines[..*earlier].iter().filter(|other| other.input == repeated.input).count();
                run.place(repeated, offset as u64);
            }
            if number % 5 == 4 {
                run.decide();
            }
        }
        run.decide();
        run.decide.finish(&mut run.out);
        prop_assert_eq!(run.out, plain);
    }

    /// Law 7: no claim moves an input's time past the journal's by more than the stated skew, and none moves it back.
    #[test]
    fn clock(drafts in prop::collection::vec((draft(), nasty()), 0..150)) {
        let catalog = catalog();
        let drafts: Vec<Draft> =
            drafts.into_iter().map(|(draft, lag)| Draft { lag: lag.unwrap_or(draft.lag), ..draft }).collect();
        let mut run = Run::new(&catalog, 0);
        let mut before = [None; 3];
        let mut stream_before = None;
        let mut journal = Time::MIN;
        for line in &lines(&drafts) {
            run.take(line);
            let high = run.ingest.state(line.input).high;
            prop_assert!(high.is_none_or(|high| high.since(line.appended_at) <= catalog.time.future));
            prop_assert!(high >= before[line.input]);
            before[line.input] = high;
            run.decide();
            let stream = run.decide.stream();
            journal = journal.max(line.appended_at);
            prop_assert!(stream >= stream_before, "stream time never goes back");
            prop_assert!(stream.is_none_or(|stream| stream.since(journal) <= catalog.time.future));
            stream_before = stream;
        }
        run.decide.finish(&mut run.out);
    }

    /// Law 5: any bytes give exactly one event per item, and at least one item, in every built-in pipeline.
    #[test]
    fn total(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let catalog = catalog();
        for (number, _) in catalog.pipelines.iter().enumerate() {
            let mut examiner = Examiner::new(Arc::clone(&catalog), PipelineIndex(number));
            let mut sightings = Sightings::default();
            let record = RawRecord { offset: 0, bytes: &bytes, spoofable: false };
            examiner.examine(record, Time(START), &mut sightings);
            prop_assert_eq!(sightings.items.len(), sekisho::decode::items(&bytes).count().max(1));
        }
    }

    /// Windows equal a brute-force model over everything that ever arrived.
    #[test]
    fn windows(arrivals in prop::collection::vec((0..60_000i64, 0..3u8), 1..200), threshold in 1..12u64) {
        let plan = count_plan(threshold);
        let mut table = Table::new(100, 0);
        let mut seen: Vec<(i64, u8)> = Vec::new();
        let mut fired: [Option<u64>; 3] = [None; 3];
        for (time, key) in arrivals {
            let newest = seen.iter().filter(|(_, k)| *k == key).map(|(b, _)| *b).max();
            let bucket = time.div_euclid(plan.bucket());
            let ours = table.add(std::slice::from_ref(&plan), 0, &[Value::Number(i64::from(key))], &arrival(Time(time)));
            let ours = ours.filter(|(firing, _)| firing.number.is_some()).map(|(firing, _)| firing.count);
            if newest.is_some_and(|newest| bucket <= newest - BUCKETS as i64) {
                prop_assert_eq!(ours, None, "older than the window");
                continue;
            }
            if newest.is_some_and(|newest| bucket >= newest + BUCKETS as i64) {
                fired[usize::from(key)] = None;
            }
            seen.push((bucket, key));
            let newest = newest.map_or(bucket, |newest| newest.max(bucket));
            let inside = seen.iter().filter(|(b, k)| *k == key && *b > newest - BUCKETS as i64).count() as u64;
            let last = &mut fired[usize::from(key)];
            let fires = inside >= threshold && last.is_none_or(|last| inside >= last * 10);
            prop_assert_eq!(ours, fires.then_some(inside));
            if fires {
                *last = Some(inside);
            }
        }
    }
}

/// The generated days hold what the laws speak of: else they would hold over nothing.
#[test]
fn days_hold_blocks_outages_and_ends() {
    let catalog = catalog();
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for _ in 0..60 {
        let drafts = day(3..7).new_tree(&mut runner).expect("a day").current();
        for outcome in fold_all(&catalog, &lines(&drafts), 10, 0).0 {
            let what = match outcome {
                Outcome::Alert(alert) => {
                    let response = alert.sekisho.response;
                    format!("{:?} {}", response.result, response.reason.map_or(String::new(), |r| format!("{r:?}")))
                }
                Outcome::Block(block) => format!("block by {}", block.reason),
                Outcome::Lift(lift) => format!("lift {:?}", lift.cause),
                Outcome::Incident(_) | Outcome::DeadLetter(_) => continue,
            };
            *seen.entry(what).or_insert(0) += 1;
        }
    }
    let wanted = [
        "Extended ",
        "block by flood",
        "block by guessed",
        "block by guessing",
        "block by scan",
        "lift Expired",
        "lift Outage",
    ];
    let missing: Vec<_> = wanted.iter().filter(|what| !seen.contains_key(**what)).collect();
    assert!(missing.is_empty(), "{missing:?} of {seen:#?}");
}

/// A quiet input goes on with the journal's clock, and keeps its delay (design §7).
#[test]
fn quiet_packs_hold_nobody() {
    let catalog = catalog();
    let draft = Draft { step: 0, lag: 2_000, input: 1, client: 1, what: 0, path: 0 };
    for together in [true, false] {
        let mut run = Run::new(&catalog, 0);
        run.take(&draft.line(Time(START)));
        let inputs = run.ingest.inputs().to_vec();
        let first = run.batch.take_packs(&inputs, catalog.hash).remove(0);
        let appended_at = first.appended_at.plus(20_000);
        let quiet = Pack { from: first.to, appended_at, signals: Vec::new(), tallies: Vec::new(), ..first.clone() };
        let mut carried = Batch::default();
        carried.push_pack(InputIndex(1), first);
        if !together {
            run.decide.fold(&mut carried, &mut run.out);
        }
        carried.push_pack(InputIndex(1), quiet);
        run.decide.fold(&mut carried, &mut run.out);
        assert_eq!(run.decide.stream(), Some(Time(START + 18_000)), "together: {together}");
    }
}

/// Law 6: a flood of new keys stays at the cap, and attacks that were half detected before it are still found.
#[test]
fn bounded() {
    const KEYS: usize = 2_000;
    let plan = count_plan(10);
    let mut table = Table::new(KEYS, 0);
    let mut found = 0;
    let mut planted = |table: &mut Table, time: Time| {
        let fires = |key: i64| {
            let met = table.add(std::slice::from_ref(&plan), 0, &[Value::Number(key)], &arrival(time));
            met.is_some_and(|(firing, _)| firing.number.is_some())
        };
        found += (0..100i64).map(fires).filter(|fired| *fired).count();
    };
    (0..5).for_each(|_| planted(&mut table, Time(0)));
    for round in 0..6i64 {
        planted(&mut table, Time(round * 1_000));
        for flood in 0..20_000i64 {
            let key = Value::Number(1_000_000 + round * 20_000 + flood);
            let time = Time(round * 1_000 + flood / 20);
            table.add(std::slice::from_ref(&plan), 0, &[key], &arrival(time));
        }
    }
    let counters = table.counters();
    assert!(counters.keys as usize <= KEYS, "{counters:?}");
    assert!(counters.evicted > 100_000, "{counters:?}");
    assert!(found >= 99, "of 100 planted attacks {found} were found; {counters:?}");
}

fn count_plan(threshold: u64) -> Plan {
    Plan {
        rule: RuleIndex(0),
        kind: PlanKind::Events,
        group_by: vec![Field::of("user.name")],
        value: None,
        timespan: 16_000,
        condition: vec![(Comparison::AtLeast, threshold as f64)],
        events_min: 0,
        entity: EntityKind::Client,
        after: None,
    }
}

fn arrival(time: Time) -> Arrival<'static> {
    Arrival {
        input: InputIndex(0),
        time,
        count: 1,
        sum: 0,
        value: None,
        client: Some(Client { address: "89.160.20.1".parse().expect("an address"), standing: Standing::Attributed }),
        service: ServiceIndex(0),
        first: Place::default(),
        last: Place::default(),
        before: &[],
    }
}

#[test]
fn plain_rules_that_nobody_counts_alert_on_their_own() {
    let catalog = catalog();
    let plans: &Plans = &catalog.plans;
    assert_eq!(plans.list().len(), 6, "the four that are counted have no plan");
}
