//! The group-by values of a key. Pure.
//!
//! Nearly every key has one value, and that is a client: it stands in the entry itself, so that a look-up reads no
//! further memory.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::event::Value;

/// Values in the order of the rule's group-by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Value>", into = "Vec<Value>")]
pub enum Group {
    One([Value; 1]),
    Other(Box<[Value]>),
}

impl Deref for Group {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        match self {
            Group::One(value) => value,
            Group::Other(values) => values,
        }
    }
}

impl From<Vec<Value>> for Group {
    fn from(values: Vec<Value>) -> Self {
        match <[Value; 1]>::try_from(values) {
            Ok(value) => Group::One(value),
            Err(values) => Group::Other(values.into()),
        }
    }
}

impl From<&[Value]> for Group {
    fn from(values: &[Value]) -> Self {
        match values {
            [value] => Group::One([value.clone()]),
            values => Group::Other(values.into()),
        }
    }
}

impl From<Group> for Vec<Value> {
    fn from(group: Group) -> Self {
        match group {
            Group::One([value]) => vec![value],
            Group::Other(values) => values.into(),
        }
    }
}
