//! What must hold among rules: names, what correlations count, order, examples. Pure.
//!
//! A rule by itself is checked by [`crate::detect::sigma`]; here only what one file cannot know.

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Body, Correlation, Rule, sigma};
use crate::document::Faults;
use crate::event::{Address, EntityKind, Field, Text};

use super::place::Sources;
use super::{File, Maker, advise, pipeline};

/// Reads all files; in the order of the rules' ids.
pub(super) fn read_all(files: &[File], sources: &mut Sources, faults: &mut Faults) -> Vec<Rule> {
    let mut rules = Vec::new();
    for file in files {
        sources.add(file);
        for document in pipeline::documents(file, faults) {
            match sigma::parse(&document, faults) {
                Some(rule) => rules.push(rule),
                None => sources.add_broken(&document.root),
            }
        }
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| a.path.cmp(&b.path)));
    rules
}

/// Checks the rules together; `pipelines` are the names that examples may use.
pub(super) fn check(rules: &[Rule], pipelines: &[&str], sources: &Sources, faults: &mut Faults) {
    let mut checker = Checker { rules, by_name: BTreeMap::new(), pipelines, sources, faults };
    checker.names();
    for rule in rules {
        if let Body::Correlation(correlation) = &rule.body {
            checker.counted(rule, correlation);
            checker.grouped(rule, correlation);
        }
        checker.after(rule);
        checker.examples(rule);
    }
}

struct Checker<'c> {
    rules: &'c [Rule],
    by_name: BTreeMap<&'c str, &'c Rule>,
    pipelines: &'c [&'c str],
    sources: &'c Sources,
    faults: &'c mut Faults,
}

impl<'c> Checker<'c> {
    /// Ids and names share one space: a correlation may use either.
    fn names(&mut self) {
        for rule in self.rules {
            let words: BTreeSet<&str> = BTreeSet::from([rule.id.as_str(), rule.name.as_str()]);
            for word in words {
                // The first keeps its name, so that those who count it are not at fault as well.
                let Some(other) = self.by_name.get(word).copied() else {
                    self.by_name.insert(word, rule);
                    continue;
                };
                let what = if word == rule.id { "id" } else { "name" };
                let message = format!("two rules have the {what} `{word}`; the other is {}:{}", other.path, other.line);
                let advice = format!("give one of them another {what}, or remove it");
                self.faults.push(self.sources.fault(rule, word, message).suggest(advice));
            }
        }
    }

    /// The rules a correlation counts exist and are plain ones.
    fn counted(&mut self, rule: &Rule, correlation: &Correlation) {
        for name in &correlation.rules {
            match self.by_name.get(name.as_str()).map(|counted| &counted.body) {
                Some(Body::Detection(_)) => {}
                Some(Body::Correlation(_)) => {
                    let message = format!("`{name}` is a correlation; a correlation counts plain rules only");
                    let advice = "name the rules that it counts, or use `sekisho: after:` for what comes second";
                    self.faults.push(self.sources.fault(rule, name, message).suggest(advice));
                }
                None => self.unknown_rule(rule, name),
            }
        }
    }

    /// A rule that is there and has faults of its own is not missing as well.
    fn unknown_rule(&mut self, rule: &Rule, name: &str) {
        if self.sources.is_broken(name) {
            return;
        }
        let fault = self.sources.fault(rule, name, format!("there is no rule `{name}`"));
        let others = self.rules.iter().filter(|other| other.id != rule.id).map(|other| other.name.as_str());
        self.faults.push(advise(fault, name, others, "rules"));
    }

    /// What is grouped by is one value, and names the entity that the response is about.
    fn grouped(&mut self, rule: &Rule, correlation: &Correlation) {
        for field in &correlation.group_by {
            let many =
                matches!(field, Field::Category | Field::Type | Field::Tags | Field::Timestamp | Field::Original);
            if many {
                let message = format!("`{field}` cannot be grouped by: it is a list, or different in every event");
                self.faults.push(self.sources.fault(rule, "group-by", message));
            }
        }
        let entity = rule.sekisho.entity;
        let wanted = names_entity(entity);
        if !wanted.is_empty() && !wanted.iter().any(|field| correlation.group_by.contains(field)) {
            let message = format!("the entity is a {}, but `group-by` does not hold {}", entity.word(), wanted[0]);
            let advice = format!("add {} to `group-by`, or name another entity", wanted[0]);
            self.faults.push(self.sources.fault(rule, "entity", message).suggest(advice));
        }
    }

    /// What a rule comes after exists, concludes about the same kind of entity, and does not come after it in turn.
    fn after(&mut self, rule: &Rule) {
        let Some(name) = &rule.sekisho.after else { return };
        let Some(first) = self.by_name.get(name.as_str()).copied() else { return self.unknown_rule(rule, name) };
        if first.sekisho.entity != rule.sekisho.entity {
            let (ours, theirs) = (rule.sekisho.entity.word(), first.sekisho.entity.word());
            let message = format!("`{name}` is about a {theirs}, this rule about a {ours}: they never meet");
            self.faults.push(self.sources.fault(rule, name, message));
        }
        self.same_key(rule, first);
        let (mut next, mut steps) = (Some(first), 0);
        while let Some(current) = next {
            if current.id == rule.id || steps > self.rules.len() {
                let message = format!("`{}` comes after itself by way of `{name}`", rule.name);
                return self.faults.push(self.sources.fault(rule, name, message));
            }
            next = current.sekisho.after.as_ref().and_then(|name| self.by_name.get(name.as_str()).copied());
            steps += 1;
        }
    }

    /// A finding is found again by its group, which must be the first values of the group of what comes after it.
    fn same_key(&mut self, rule: &Rule, first: &Rule) {
        let Body::Correlation(correlation) = &rule.body else { return };
        let name = &first.name;
        let (message, advice) = match &first.body {
            Body::Detection(_) => (
                format!("`after` waits for `{name}`, which is a plain rule; it can wait for a correlation only"),
                format!("write a correlation that counts `{name}`, and name that"),
            ),
            Body::Correlation(awaited) if correlation.group_by.starts_with(&awaited.group_by) => return,
            Body::Correlation(awaited) => (
                format!(
                    "`after` waits for `{name}`, which groups by {}; its group-by must be the first fields of this rule's",
                    words(&awaited.group_by)
                ),
                format!("this rule groups by {}: change one of the two", words(&correlation.group_by)),
            ),
        };
        let word = rule.sekisho.after.as_deref().unwrap_or_default();
        self.faults.push(self.sources.fault(rule, word, message).suggest(advice));
    }

    /// Examples name pipelines that exist; a rule of ours has both kinds.
    fn examples(&mut self, rule: &Rule) {
        let examples = &rule.sekisho.examples;
        let steps = examples.fires.iter().chain(&examples.quiet).flat_map(|example| &example.steps);
        let used: BTreeSet<&str> = steps.map(|step| step.pipeline.as_str()).collect();
        for name in used.into_iter().filter(|name| !self.pipelines.contains(name)) {
            let fault = self.sources.fault(rule, name, format!("there is no pipeline `{name}`"));
            self.faults.push(advise(fault, name, self.pipelines.iter().copied(), "pipelines"));
        }
        let ours = self.sources.maker(&rule.path) == Maker::Sekisho;
        if ours && (examples.fires.is_empty() || examples.quiet.is_empty()) {
            let message =
                format!("built-in rule `{}` needs examples that fire and examples that stay quiet", rule.name);
            self.faults.push(self.sources.fault(rule, "examples", message));
        }
    }
}

/// Fields as a rule file writes them.
fn words(fields: &[Field]) -> String {
    let words: Vec<String> = fields.iter().map(Field::to_string).collect();
    if words.is_empty() { "nothing".to_owned() } else { format!("[{}]", words.join(", ")) }
}

/// The fields of which a correlation about such an entity groups by at least one.
fn names_entity(kind: EntityKind) -> Vec<Field> {
    match kind {
        EntityKind::Client => vec![Field::Address(Address::ClientIp), Field::Address(Address::SourceIp)],
        EntityKind::User => vec![Field::Text(Text::UserName), Field::Text(Text::UserTarget)],
        EntityKind::Service => vec![Field::Text(Text::ServiceName)],
        EntityKind::Network | EntityKind::Asn | EntityKind::Country | EntityKind::Host | EntityKind::Global => {
            Vec::new()
        }
    }
}
