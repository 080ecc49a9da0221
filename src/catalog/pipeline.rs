//! Pipeline files → the settings of decoding and enrichment. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::decode::{DecoderSettings, Keep, LoginRoute, ServiceSettings, Settings, Stamp};
use crate::detect::LogSource;
use crate::document::{self, Document, Fault, Faults, Keys, Kind, Node, nearest};
use crate::enrich::ClientSource;
use crate::event::Field;

use super::place::Sources;
use super::{File, Sample, json_map, samples};

/// A name becomes a topic, a file name and a metric label: short, and without characters that any of them refuses.
const NAME_BYTES_MAX: usize = 64;

/// A pipeline as it was read, before networks and rules are known.
pub(super) struct Draft {
    pub(super) description: String,
    pub(super) topics: Vec<String>,
    pub(super) logsources: Vec<LogSource>,
    pub(super) samples: Vec<Sample>,
    pub(super) decoder: Settings,
    /// Where a proxy's word may stand, in the order they are tried.
    pub(super) client: Vec<ClientSource>,
    pub(super) document: Document,
}

/// Reads all files; those that cannot be read at all are only faults. In the order of their names.
pub(super) fn read_all(files: &[File], sources: &mut Sources, faults: &mut Faults) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        sources.add(file);
        for document in documents(file, faults) {
            let Some(draft) = read(document, faults) else { continue };
            let name = &draft.decoder.pipeline;
            if let Some(other) = first.insert(name.clone(), file.path.clone()) {
                let root = &draft.document.root;
                let message = format!("two pipelines have the name `{name}`; the other is {other}");
                let node = root.get("name").unwrap_or(root);
                faults.at_with(&draft.document.source, node, message, "give one of them another name");
                continue;
            }
            drafts.push(draft);
        }
    }
    drafts.sort_by(|a, b| a.decoder.pipeline.cmp(&b.decoder.pipeline));
    drafts
}

/// The documents of a file that hold something; one at least, or there is a fault.
pub(super) fn documents(file: &File, faults: &mut Faults) -> Vec<Document> {
    let documents = match document::parse(&file.path, &file.text) {
        Ok(documents) => documents,
        Err(fault) => {
            faults.push(fault);
            return Vec::new();
        }
    };
    let full: Vec<Document> = documents.into_iter().filter(|document| document.root.kind != Kind::Null).collect();
    if full.is_empty() {
        faults.push(Fault::of_file(&file.path, "the file is empty").suggest("write its content, or remove it"));
    }
    full
}

fn read(document: Document, faults: &mut Faults) -> Option<Draft> {
    let mut keys = Keys::of(&document.source, &document.root, "a pipeline", faults);
    keys.required("name");
    keys.required("dataset");
    keys.required("decoders");
    let name = keys.parsed("name", "a word of letters, digits, `-` and `_`", plain_name);
    let dataset = keys.parsed("dataset", "a dotted name such as nginx.access", dataset);
    let description = keys.text("description").unwrap_or_default().to_owned();
    let topics: Vec<String> = keys.texts("topics").into_iter().map(str::to_owned).collect();
    let logsources = list(&mut keys, "logsources", "an entry of `logsources`", logsource);
    let decoders = decoders(&mut keys);
    let zone = keys.parsed("zone", "a time zone such as UTC or Asia/Tokyo", |text| TimeZone::get(text).ok());
    let stamp = keys.word("time", &[("start", Stamp::Start), ("end", Stamp::End)]).unwrap_or(Stamp::End);
    let client = client(&mut keys);
    let service = service(&mut keys);
    let logins = list(&mut keys, "logins", "an entry of `logins`", login_routes).into_iter().flatten().collect();
    let samples = list(&mut keys, "samples", "a sample", samples::read).into_iter().flatten().collect();
    keys.finish();
    let (name, dataset) = (name?, dataset?);
    let service = service.unwrap_or_else(|| default_service(&name));
    Some(Draft {
        description,
        topics: if topics.is_empty() { vec![name.clone()] } else { topics },
        logsources,
        samples,
        client,
        decoder: Settings {
            pipeline: name,
            dataset,
            decoders,
            zone: zone.unwrap_or(TimeZone::UTC),
            stamp,
            service,
            logins,
            keep: Keep::All,
        },
        document,
    })
}

/// Reads each map of a list; a single map counts as a list of one.
fn list<T>(keys: &mut Keys<'_, '_>, key: &'static str, what: &str, read: impl Fn(&mut Keys<'_, '_>) -> T) -> Vec<T> {
    let Some(node) = keys.node_of(key) else { return Vec::new() };
    let source = keys.source();
    let mut values = Vec::new();
    for item in node.items() {
        let mut inner = Keys::of(&source, item, what, keys.faults);
        values.push(read(&mut inner));
        inner.finish();
    }
    values
}

fn plain_name(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(plain);
    fits.then(|| text.to_owned())
}

fn dataset(text: &str) -> Option<String> {
    text.split('.').all(|part| plain_name(part).is_some()).then(|| text.to_owned())
}

fn logsource(keys: &mut Keys<'_, '_>) -> LogSource {
    let mut part = |key| keys.text(key).map(str::to_owned);
    LogSource { category: part("category"), product: part("product"), service: part("service") }
}

fn decoders(keys: &mut Keys<'_, '_>) -> Vec<DecoderSettings> {
    let Some(node) = keys.node_of("decoders") else { return Vec::new() };
    if node.items().is_empty() {
        keys.fault(node, "`decoders` must name at least one decoder");
    }
    node.items().iter().filter_map(|item| decoder(keys, item)).collect()
}

const DECODERS: [&str; 5] = ["combined", "json", "syslog", "modsecurity", "suricata"];

fn decoder(keys: &mut Keys<'_, '_>, item: &Node) -> Option<DecoderSettings> {
    if let Kind::Map(_) = &item.kind {
        let source = keys.source();
        let mut inner = Keys::of(&source, item, "a decoder", keys.faults);
        let json = inner.required("json").map(|node| json_map::read(&source, node, inner.faults));
        inner.finish();
        return json.map(DecoderSettings::Json);
    }
    match item.text() {
        Some("combined") => Some(DecoderSettings::Combined),
        Some("syslog") => Some(DecoderSettings::Syslog),
        Some("modsecurity") => Some(DecoderSettings::Modsecurity),
        Some("suricata") => Some(DecoderSettings::Suricata),
        Some("json") => Some(DecoderSettings::Json(Default::default())),
        other => {
            let given = other.unwrap_or_default();
            let message = format!("there is no decoder `{given}`; there are {}", DECODERS.join(", "));
            let source = keys.source();
            match nearest(given, DECODERS) {
                Some(near) => keys.faults.at_with(&source, item, message, format!("did you mean `{near}`?")),
                None => keys.fault(item, message),
            }
            None
        }
    }
}

fn client(keys: &mut Keys<'_, '_>) -> Vec<ClientSource> {
    let Some(node) = keys.node_of("client") else {
        return vec![ClientSource::XForwardedFor, ClientSource::Peer];
    };
    let mut sources = Vec::new();
    for item in node.items() {
        match item.text() {
            Some("x_forwarded_for") => sources.push(ClientSource::XForwardedFor),
            Some("source.address" | "source.ip") => sources.push(ClientSource::Peer),
            other => {
                let given = other.map_or_else(|| item.describe().to_owned(), |text| format!("`{text}`"));
                keys.fault(item, format!("`client` may hold x_forwarded_for and source.address, not {given}"));
            }
        }
    }
    sources
}

fn service(keys: &mut Keys<'_, '_>) -> Option<ServiceSettings> {
    let node = keys.node_of("service")?;
    let source = Arc::clone(&keys.source());
    let mut inner = Keys::of(&source, node, "`service`", keys.faults);
    let from = inner.text("from").map(Field::of);
    let known = inner.texts("known").into_iter().map(str::to_owned).collect();
    inner.required("default");
    let default = inner.text("default").map(str::to_owned);
    inner.finish();
    Some(ServiceSettings { from, known, default: default? })
}

fn default_service(name: &str) -> ServiceSettings {
    ServiceSettings { from: None, known: Default::default(), default: name.to_owned() }
}

/// One entry may name several requests with the same statuses.
fn login_routes(keys: &mut Keys<'_, '_>) -> Vec<LoginRoute> {
    let requests = keys.node_of("request").map(Node::items);
    let (failure, success) = (statuses(keys, "failure"), statuses(keys, "success"));
    if keys.node_of("failure").is_none() && keys.node_of("success").is_none() {
        keys.fault(keys.node(), "a login route needs statuses under `failure`, `success` or both");
    }
    if let Some(both) = failure.iter().find(|status| success.contains(status)) {
        keys.fault(keys.node(), format!("status {both} cannot mean both failure and success"));
    }
    let Some(requests) = requests else {
        keys.required("request");
        return Vec::new();
    };
    let mut routes = Vec::new();
    for item in requests {
        match item.text().and_then(request) {
            Some((method, path)) => {
                routes.push(LoginRoute { method, path, failure: failure.clone(), success: success.clone() });
            }
            None => keys.fault(item, "`request` must be a method and a path such as \"POST /login\""),
        }
    }
    routes
}

fn request(text: &str) -> Option<(String, String)> {
    let (method, path) = text.split_once(' ')?;
    let inner = path.strip_prefix('*').unwrap_or(path);
    let inner = inner.strip_suffix('*').unwrap_or(inner);
    let method_fits = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    let path_fits = (path.starts_with('/') || path.starts_with('*')) && !inner.contains(['*', ' ', '?']);
    (method_fits && path_fits && !inner.is_empty()).then(|| (method.to_owned(), path.to_owned()))
}

fn statuses(keys: &mut Keys<'_, '_>, key: &'static str) -> Vec<u16> {
    let Some(node) = keys.node_of(key) else { return Vec::new() };
    let mut statuses = Vec::new();
    for item in node.items() {
        match item.text().and_then(|text| text.parse().ok()).filter(|status| (100..=599).contains(status)) {
            Some(status) => statuses.push(status),
            None => keys.fault(item, format!("`{key}` must hold statuses from 100 to 599")),
        }
    }
    statuses
}
