//! The part of JSON Schema (draft 2020-12) that our schemas use; a keyword beyond it is a fault of the schema.
//!
//! `Validator::ordered` asks for one thing more that the standard cannot say: keys in the order of `properties`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;

use super::json::Json;

pub struct Validator {
    pub root: Json,
    ordered: bool,
    patterns: RefCell<BTreeMap<String, Regex>>,
}

impl Validator {
    pub fn new(text: &str, ordered: bool) -> Validator {
        let root = Json::read(text);
        assert_eq!(root.get("$schema").and_then(Json::text), Some("https://json-schema.org/draft/2020-12/schema"));
        Validator { root, ordered, patterns: RefCell::default() }
    }

    /// What does not fit, each with its place.
    pub fn faults(&self, value: &Json) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.root, value, "", &mut faults);
        faults
    }

    /// The schema that a `$ref` stands for.
    pub fn resolved<'s>(&'s self, schema: &'s Json) -> &'s Json {
        match schema.get("$ref").and_then(Json::text) {
            Some(name) => self.root.at(name.strip_prefix("#/").expect("a reference into this file")),
            None => schema,
        }
    }

    fn fits(&self, schema: &Json, value: &Json, at: &str) -> bool {
        let mut faults = Vec::new();
        self.check(schema, value, at, &mut faults);
        faults.is_empty()
    }

    fn check(&self, schema: &Json, value: &Json, at: &str, faults: &mut Vec<String>) {
        match schema {
            Json::Bool(true) => return,
            Json::Bool(false) => return faults.push(format!("{at}: must not be there")),
            Json::Map(_) => {}
            Json::Null | Json::Number(_) | Json::Text(_) | Json::List(_) => panic!("{at}: no schema: {schema:?}"),
        }
        for (keyword, argument) in schema.entries() {
            let fits = self.keyword(schema, (keyword, argument), (value, at), faults);
            if !fits {
                faults.push(format!("{at}: {value:?} does not fit {keyword} {argument:?}"));
            }
        }
        if self.ordered && schema.get("additionalProperties") == Some(&Json::Bool(false)) {
            order(schema, value, at, faults);
        }
    }

    fn keyword(
        &self,
        schema: &Json,
        (keyword, argument): (&str, &Json),
        (value, at): (&Json, &str),
        faults: &mut Vec<String>,
    ) -> bool {
        let length = value.text().map(|text| text.chars().count() as f64);
        let (items, entries) = (value.items().len() as f64, value.entries().len() as f64);
        let limit = argument.number().unwrap_or_default();
        let of_list = |fits: bool| !matches!(value, Json::List(_)) || fits;
        let of_map = |fits: bool| !matches!(value, Json::Map(_)) || fits;
        match keyword {
            "$schema" | "title" | "description" | "$defs" => true,
            "$ref" => {
                self.check(self.resolved(schema), value, at, faults);
                true
            }
            "type" => is_type(argument, value),
            "const" => argument == value,
            "enum" => argument.items().contains(value),
            "minimum" => value.number().is_none_or(|number| number >= limit),
            "maximum" => value.number().is_none_or(|number| number <= limit),
            "minLength" => length.is_none_or(|length| length >= limit),
            "maxLength" => length.is_none_or(|length| length <= limit),
            "pattern" => value.text().is_none_or(|text| self.matches(argument.text().expect("a pattern"), text)),
            "minItems" => of_list(items >= limit),
            "maxItems" => of_list(items <= limit),
            "uniqueItems" => value.items().iter().enumerate().all(|(n, item)| !value.items()[..n].contains(item)),
            "minProperties" => of_map(entries >= limit),
            "required" => of_map(argument.items().iter().all(|key| key.text().is_some_and(|k| value.get(k).is_some()))),
            "oneOf" => argument.items().iter().filter(|one| self.fits(one, value, at)).count() == 1,
            "anyOf" => argument.items().iter().any(|one| self.fits(one, value, at)),
            "items" => {
                let each = value.items().iter().enumerate();
                each.for_each(|(n, item)| self.check(argument, item, &format!("{at}/{n}"), faults));
                true
            }
            "prefixItems" => {
                let each = argument.items().iter().zip(value.items()).enumerate();
                each.for_each(|(n, (schema, item))| self.check(schema, item, &format!("{at}/{n}"), faults));
                true
            }
            "properties" => {
                let each = value.entries().iter().filter_map(|(key, value)| Some((key, argument.get(key)?, value)));
                each.for_each(|(key, schema, value)| self.check(schema, value, &format!("{at}/{key}"), faults));
                true
            }
            "additionalProperties" => {
                let named = |key: &str| schema.get("properties").is_some_and(|known| known.get(key).is_some());
                let others = value.entries().iter().filter(|(key, _)| !named(key));
                others.for_each(|(key, value)| self.check(argument, value, &format!("{at}/{key}"), faults));
                true
            }
            other => panic!("{at}: the validator does not know the keyword `{other}`"),
        }
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self.patterns.borrow_mut();
        let compiled = || Regex::new(pattern).unwrap_or_else(|error| panic!("{error}"));
        patterns.entry(pattern.to_owned()).or_insert_with(compiled).is_match(text)
    }
}

fn order(schema: &Json, value: &Json, at: &str, faults: &mut Vec<String>) {
    let Some(properties) = schema.get("properties") else { return };
    let place = |key: &String| properties.entries().iter().position(|(known, _)| known == key);
    let places: Vec<usize> = value.entries().iter().filter_map(|(key, _)| place(key)).collect();
    if !places.is_sorted() {
        faults.push(format!("{at}: keys are not in the order of the schema: {value:?}"));
    }
}

fn is_type(argument: &Json, value: &Json) -> bool {
    let is = |word: &str| match word {
        "null" => *value == Json::Null,
        "boolean" => matches!(value, Json::Bool(_)),
        "number" => matches!(value, Json::Number(_)),
        "integer" => value.number().is_some_and(|number| number.fract() == 0.0),
        "string" => matches!(value, Json::Text(_)),
        "array" => matches!(value, Json::List(_)),
        "object" => matches!(value, Json::Map(_)),
        other => panic!("there is no type `{other}`"),
    };
    argument.text().is_some_and(is) || argument.items().iter().filter_map(Json::text).any(is)
}
