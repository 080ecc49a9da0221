//! The walk of one object along the field map: what is mapped goes to its fields, what is wanted to extras, the rest
//! is passed over. Pure.
//!
//! It recurses at most [`super::reader::DEPTH_MAX`] levels. Deliberately without conversions: those are in
//! [`super::convert`].

use std::collections::BTreeMap;

use super::convert::{self, Found};
use super::map::{FieldMap, Leaf, Moment};
use super::reader::{Broken, Mends, Raw, Reader, Value};
use crate::decode::Context;
use crate::event::{EXTRAS_MAX, Event, Field, FlawKind, Number, Scalar, Time};

/// A dotted name longer than this is no field anybody searches for, and repeating it for each child would make an
/// item grow with the square of its length.
const NAME_BYTES_MAX: usize = 512;
/// Values of one list; the rest is dropped with a flaw, as with fields.
const LIST_MAX: usize = EXTRAS_MAX;
/// Leaves whose repetition is noticed: more than any map of ours has.
const LEAVES_SEEN_MAX: usize = 1_024;

/// When what an object tells began and ended, where it says so in fields of their own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) start: Option<Time>,
    pub(super) end: Option<Time>,
}

/// Reads `item` along `map` into `event`; `None` where it is no object that has what the map requires.
pub(super) fn walk<'a>(map: &FieldMap, item: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> Option<Times> {
    let reader = Reader::object(item, event.arena())?;
    let mut walk = Walk {
        map,
        reader,
        event,
        context,
        seen: [0; LEAVES_SEEN_MAX / 64],
        name: String::from(if map.keeps_all() { map.prefix() } else { "" }),
        gathered: BTreeMap::new(),
        times: Times::default(),
        inside_lists: 0,
        members: false,
        required: !map.requires(),
    };
    let read = walk.object(Some(map.root()));
    let whole = read.is_ok() && walk.reader.finished();
    let fits = whole && walk.required && (walk.members || !walk.reader.mends.repaired);
    note_repeated_extras(walk.event, map.keeps_all());
    note(walk.reader.mends, walk.event);
    fits.then_some(walk.times)
}

/// The duration between two moments, where the event has none.
pub(super) fn set_duration(event: &mut Event<'_>, times: Times) {
    let (Some(start), Some(end)) = (times.start, times.end) else { return };
    if event.number(Number::EventDuration).is_none() && end >= start {
        event.set_number(Number::EventDuration, end.since(start).saturating_mul(1_000_000));
    }
}

/// Writes what was mended into the event's flaws.
pub(super) fn note(mends: Mends, event: &mut Event<'_>) {
    let flaws = [
        (mends.repaired, FlawKind::Repaired),
        (mends.invalid_utf8, FlawKind::InvalidUtf8),
        (mends.bad_escape, FlawKind::BadEscape),
        (mends.too_deep, FlawKind::TooDeep),
    ];
    flaws.into_iter().filter(|(found, _)| *found).for_each(|(_, kind)| event.add_flaw("event.original", kind));
}

/// Keys outside the map that occur twice are only known once all are read.
fn note_repeated_extras(event: &mut Event<'_>, keep_all: bool) {
    if !keep_all || event.extras().len() < 2 {
        return;
    }
    let mut names: Vec<&str> = event.extras().iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        event.add_flaw(pair[0], FlawKind::DuplicateKey);
    }
}

struct Walk<'w, 'a, 'c> {
    map: &'w FieldMap,
    reader: Reader<'a>,
    event: &'w mut Event<'a>,
    context: &'w Context<'c>,
    /// One bit per leaf that gave a value.
    seen: [u64; LEAVES_SEEN_MAX / 64],
    /// The dotted name of where the walk stands; only kept where unmapped keys are.
    name: String,
    /// Values of objects inside lists, by name: together they are one list per name.
    gathered: BTreeMap<&'a str, Vec<Scalar<'a>>>,
    times: Times,
    inside_lists: u32,
    members: bool,
    required: bool,
}

impl<'a> Walk<'_, 'a, '_> {
    fn object(&mut self, node: Option<usize>) -> Result<(), Broken> {
        while let Some(key) = self.reader.key()? {
            let value = self.reader.value()?;
            self.members = true;
            let (name, brief) = self.reader.name(key);
            let child = node.and_then(|node| self.map.child(node, &brief, name));
            match (child, self.map.keeps_all()) {
                (_, true) => self.named(child, key, value)?,
                (Some(_), false) => self.value(child, value)?,
                (None, false) => self.reader.skip(value)?,
            }
        }
        Ok(())
    }

    /// A member where unmapped keys are kept, so that names matter.
    fn named(&mut self, child: Option<usize>, key: Raw, value: Value) -> Result<(), Broken> {
        let key = self.reader.text(key);
        let mark = self.name.len();
        if mark + key.len() >= NAME_BYTES_MAX {
            self.event.add_flaw("event.original", FlawKind::TooManyFields);
            return self.reader.skip(value);
        }
        if mark > self.map.prefix().len() {
            self.name.push('.');
        }
        self.name.push_str(key);
        let read = self.value(child, value);
        self.name.truncate(mark);
        read
    }

    #[inline(always)]
    fn value(&mut self, node: Option<usize>, value: Value) -> Result<(), Broken> {
        let present = !matches!(value, Value::Null | Value::Absent);
        self.required |= present && node.is_some_and(|node| self.map.node(node).required);
        match value {
            Value::Object => self.object(node),
            Value::Array => self.list(node),
            Value::Text(raw) => {
                let text = self.reader.text(raw);
                self.found(node, Found::Text(text));
                Ok(())
            }
            Value::Number(raw) => {
                let written = self.reader.text(raw);
                self.found(node, Found::Number(written));
                Ok(())
            }
            Value::True | Value::False => {
                self.found(node, Found::Bool(value == Value::True));
                Ok(())
            }
            Value::Null | Value::Absent => Ok(()),
        }
    }

    fn list(&mut self, node: Option<usize>) -> Result<(), Broken> {
        let mut values = Vec::new();
        self.elements(node, &mut values)?;
        if !values.is_empty() {
            let values: &'a [Scalar<'a>] = self.reader.arena().alloc_slice_copy(&values);
            self.found(node, Found::List(values));
        }
        if self.inside_lists == 0 {
            self.flush();
        }
        Ok(())
    }

    /// Lists in lists are one list; objects in lists give one list per name.
    fn elements(&mut self, node: Option<usize>, values: &mut Vec<Scalar<'a>>) -> Result<(), Broken> {
        while self.reader.element()? {
            let value = self.reader.element_value()?;
            let found = match value {
                Value::Object => {
                    self.inside_lists += 1;
                    self.object(node)?;
                    self.inside_lists -= 1;
                    continue;
                }
                Value::Array => {
                    self.elements(node, values)?;
                    continue;
                }
                Value::Text(raw) => Found::Text(self.reader.text(raw)),
                Value::Number(raw) => Found::Number(self.reader.text(raw)),
                Value::True | Value::False => Found::Bool(value == Value::True),
                Value::Null | Value::Absent => continue,
            };
            match found.scalar() {
                Some(scalar) if values.len() < LIST_MAX => values.push(scalar),
                Some(_) => self.event.add_flaw("event.original", FlawKind::TooManyFields),
                None => {}
            }
        }
        Ok(())
    }

    fn found(&mut self, node: Option<usize>, found: Found<'a>) {
        let map = self.map;
        let leaves = node.map_or(&[][..], |node| &map.node(node).leaves);
        for (place, leaf) in leaves.iter().enumerate() {
            self.leaf(*leaf, found, place == 0);
        }
        if leaves.is_empty() && map.keeps_all() {
            self.unmapped(found);
        }
    }

    fn leaf(&mut self, index: usize, found: Found<'a>, first: bool) {
        let map = self.map;
        let leaf = map.leaf(index);
        if let (Some(slot), Found::Text(text)) = (leaf.plain, found)
            && !self.is_seen(index)
        {
            if !convert::is_absent(text) {
                self.event.set_text(slot, text);
                self.see(index);
            }
            return;
        }
        if self.is_seen(index) {
            if self.inside_lists > 0 && !matches!(leaf.target.field, Field::Extra(_)) {
                return;
            }
            if first && self.inside_lists == 0 {
                let name = self.reader.arena().alloc_str(&leaf.name);
                self.event.add_flaw(name, FlawKind::DuplicateKey);
            }
        }
        if leaf.before.iter().any(|before| self.is_seen(*before)) {
            return;
        }
        let given = match &leaf.target.field {
            Field::Extra(_) if leaf.moment.is_some() => self.moment(leaf, found),
            Field::Extra(name) => self.extra(self.reader.arena().alloc_str(name), found),
            Field::Text(_)
            | Field::Number(_)
            | Field::Address(_)
            | Field::Timestamp
            | Field::Original
            | Field::Category
            | Field::Type
            | Field::Tags => convert::assign(self.event, leaf, found, self.context),
        };
        if given {
            self.see(index);
        }
    }

    fn see(&mut self, leaf: usize) {
        if leaf < LEAVES_SEEN_MAX {
            self.seen[leaf / 64] |= 1 << (leaf % 64);
        }
    }

    /// A time in a field without a slot is written as all our times are.
    fn moment(&mut self, leaf: &Leaf, found: Found<'a>) -> bool {
        let arena = self.reader.arena();
        let Some(text) = found.text(arena) else { return false };
        let Some(time) = convert::timestamp(text, leaf.target.unit, self.context) else {
            self.event.add_flaw(arena.alloc_str(&leaf.name), FlawKind::NotATime);
            return false;
        };
        match leaf.moment {
            Some(Moment::Start) => self.times.start = Some(time),
            Some(Moment::End) => self.times.end = Some(time),
            None => {}
        }
        if leaf.kept {
            let text = arena.alloc_str(&time.to_string());
            self.event.add_extra(arena.alloc_str(&leaf.name), Scalar::Text(text));
        }
        true
    }

    fn is_seen(&self, leaf: usize) -> bool {
        leaf < LEAVES_SEEN_MAX && self.seen[leaf / 64] & (1 << (leaf % 64)) != 0
    }

    /// A name is only written into the arena where it is kept, or a wide object would cost its path per member.
    fn unmapped(&mut self, found: Found<'a>) {
        if let (true, Some(scalar)) = (self.inside_lists > 0, found.scalar())
            && let Some(values) = self.gathered.get_mut(self.name.as_str())
        {
            return gather(values, scalar);
        }
        if self.event.extras().len() + self.gathered.len() >= EXTRAS_MAX {
            return self.event.add_flaw("event.original", FlawKind::TooManyFields);
        }
        let name = self.reader.arena().alloc_str(&self.name);
        if self.map.prefix().is_empty() && !FieldMap::allows(name) {
            self.event.add_flaw(name, FlawKind::OutOfRange);
            return;
        }
        self.extra(name, found);
    }

    fn extra(&mut self, name: &'a str, found: Found<'a>) -> bool {
        let Some(scalar) = found.scalar() else {
            if matches!(found, Found::Number(_)) {
                self.event.add_flaw(name, FlawKind::OutOfRange);
            }
            return false;
        };
        if self.inside_lists == 0 {
            self.event.add_extra(name, scalar);
        } else if self.gathered.len() < EXTRAS_MAX || self.gathered.contains_key(name) {
            gather(self.gathered.entry(name).or_default(), scalar);
        } else {
            self.event.add_flaw(name, FlawKind::TooManyFields);
        }
        true
    }

    /// The values of the objects in the list that just ended; a single one needs no list.
    fn flush(&mut self) {
        for (name, values) in std::mem::take(&mut self.gathered) {
            let scalar = match values.as_slice() {
                [one] => *one,
                many => Scalar::List(self.reader.arena().alloc_slice_copy(many)),
            };
            self.event.add_extra(name, scalar);
        }
    }
}

fn gather<'a>(values: &mut Vec<Scalar<'a>>, scalar: Scalar<'a>) {
    let more = match &scalar {
        Scalar::List(list) => list,
        Scalar::Text(_) | Scalar::Integer(_) | Scalar::Float(_) | Scalar::Bool(_) => std::slice::from_ref(&scalar),
    };
    values.extend(more.iter().take(LIST_MAX.saturating_sub(values.len())));
}
