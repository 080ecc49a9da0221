//! What a pipeline file says about decoding, checked and typed. Pure data.

use std::collections::BTreeSet;

use crate::event::Field;

/// How the records of one pipeline become events.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pipeline's name: `sekisho.pipeline`.
    pub pipeline: String,
    /// `event.dataset`, for example `nginx.access`; the part before the dot is `event.module`.
    pub dataset: String,
    /// Tried in order; the first that fits an item wins.
    pub decoders: Vec<DecoderSettings>,
    /// For times without a zone of their own.
    pub zone: jiff::tz::TimeZone,
    /// What the time of a line says, for lines that also have a duration.
    pub stamp: Stamp,
    pub service: ServiceSettings,
    /// What a login looks like in a web log; the first route that fits decides.
    pub logins: Vec<LoginRoute>,
    /// Which fields without a slot are worth the time.
    pub keep: Keep,
}

/// One decoder of a pipeline.
#[derive(Clone, Debug)]
pub enum DecoderSettings {
    /// Combined, common, vhost- and host-prefixed access lines.
    Combined,
    /// JSON objects by a field map.
    Json(JsonSettings),
    /// Syslog frames (RFC 3164, RFC 5424, rsyslog's file format, `journalctl -o json`) with the messages of sshd, PAM,
    /// sudo and su.
    Syslog,
    /// ModSecurity's JSON audit log, version 2 and 3.
    Modsecurity,
    /// Suricata's EVE.
    Suricata,
}

/// A field map for JSON.
#[derive(Clone, Debug, Default)]
pub struct JsonSettings {
    /// Dotted path in the object → field. A path fits nested objects and dotted keys alike.
    pub fields: Vec<(String, Target)>,
    /// At least one of these paths must be there for the decoder to fit; empty: any object fits.
    pub requires: Vec<String>,
    /// Prefix under which unmapped keys are kept as extras; absent: they keep their own names.
    pub rest: Option<String>,
    /// Fields set on each event, unless the object set them.
    pub set: Vec<(Field, String)>,
}

/// Where a JSON value goes, and how it is read.
#[derive(Clone, Debug)]
pub struct Target {
    pub field: Field,
    pub unit: Unit,
    /// Values translated on the way, compared without case: for example `false` → `failure`.
    pub values: Vec<(String, String)>,
}

/// The unit of a number in a log, converted to the field's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As the field has it; for times: RFC 3339, or epoch seconds, milliseconds, microseconds or nanoseconds by size.
    AsIs,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Whether a line's time is the start or the end of what it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    Start,
    End,
}

/// Which service an event belongs to (design §8.2): known names only, anything else is the default, because the Host
/// header is the client's word.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    pub from: Option<Field>,
    pub known: BTreeSet<String>,
    pub default: String,
}

/// A login route of a web log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRoute {
    pub method: String,
    /// Compared with `url.path` as a whole; a trailing `*` stands for any rest, a leading `*` for any start.
    pub path: String,
    /// Statuses that mean failure.
    pub failure: Vec<u16>,
    /// Statuses that mean success.
    pub success: Vec<u16>,
}

/// Which fields without a slot are kept.
#[derive(Clone, Debug)]
pub enum Keep {
    /// All: for `sekisho decode` and the index.
    All,
    /// Those that rules ask for: for detection.
    Named(BTreeSet<String>),
}
