//! Enrichment against recorded data with known answers: mmdb files, sound and damaged, and user agents. Test.

#![expect(clippy::disallowed_methods, reason = "reads the folder of recorded data")]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail like the test")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bumpalo::Bump;
use ipnet::IpNet;
use sekisho::demo::Generator;
use sekisho::enrich::{EnrichError, Enricher, Settings, describe_agent};
use sekisho::event::{Address, Client, Event, Number, Scalar, Standing, Text};

fn folder(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("SEKISHO_DATA").map(PathBuf::from);
    let data = data.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let folder = data.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("not run: {} is not there", folder.display());
    None
}

fn bytes(path: &Path) -> Arc<[u8]> {
    std::fs::read(path).unwrap().into()
}

/// Country, AS number and organization of an address.
fn place(enricher: &Enricher, address: IpAddr) -> (Option<String>, Option<i64>, Option<String>) {
    let arena = Bump::new();
    let mut event = Event::new(b"", &arena);
    event.set_address(Address::SourceIp, address);
    let mut cache = enricher.cache();
    enricher.enrich(&mut event, &mut cache).unwrap();
    let text = |field| event.text(field).map(str::to_owned);
    let first = (text(Text::ClientCountry), event.number(Number::ClientAsNumber), text(Text::ClientAsOrganization));
    let mut again = Event::new(b"", &arena);
    again.set_address(Address::SourceIp, address);
    enricher.enrich(&mut again, &mut cache).unwrap();
    assert_eq!(again.text(Text::ClientAsOrganization).map(str::to_owned), first.2, "a hit says what a miss said");
    first
}

/// The networks of a source file with their records; nested networks are left to the narrower one.
fn known_answers(path: &Path) -> Vec<(IpNet, serde_json::Value)> {
    let rows: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(&bytes(path)).unwrap();
    let rows: Vec<(IpNet, serde_json::Value)> =
        rows.into_iter().flatten().map(|(net, record)| (net.parse().unwrap(), record)).collect();
    let nets: Vec<IpNet> = rows.iter().map(|(net, _)| net.trunc()).collect();
    let covered = |net: &IpNet| nets.iter().any(|other| *other != net.trunc() && net.contains(other));
    rows.into_iter().filter(|(net, _)| !covered(net)).collect()
}

fn check_country(folder: &Path, source: &str, database: &str) {
    let country = Some(bytes(&folder.join("test-data").join(database)));
    let enricher = Enricher::new(Settings { country, ..Settings::default() }).unwrap();
    let answers = known_answers(&folder.join("source-data").join(source));
    let mut known = 0;
    for (net, record) in &answers {
        let expected = record.pointer("/country/iso_code").and_then(|code| code.as_str()).map(str::to_owned);
        known += usize::from(expected.is_some());
        for address in [net.network(), net.broadcast()] {
            assert_eq!(place(&enricher, address).0, expected, "{database} {address}");
        }
    }
    assert!(known > 100, "{database}: {known} of {} networks have a country", answers.len());
}

#[test]
fn countries_are_those_of_the_source_files() {
    let Some(folder) = folder("maxmind") else { return };
    check_country(&folder, "GeoLite2-Country-Test.json", "GeoLite2-Country-Test.mmdb");
    check_country(&folder, "GeoLite2-City-Test.json", "GeoLite2-City-Test.mmdb");
}

#[test]
fn country_databases_of_all_products_open() {
    let Some(folder) = folder("maxmind") else { return };
    for name in
        ["GeoIP2-Country-Test", "GeoIP2-City-Test", "GeoIP2-Enterprise-Test", "GeoIP2-Precision-Enterprise-Test"]
    {
        let country = Some(bytes(&folder.join(format!("test-data/{name}.mmdb"))));
        let enricher = Enricher::new(Settings { country, ..Settings::default() }).unwrap();
        for (address, code) in [("81.2.69.160", "GB"), ("89.160.20.112", "SE"), ("175.16.199.20", "CN")] {
            assert_eq!(place(&enricher, address.parse().unwrap()).0.as_deref(), Some(code), "{name} {address}");
        }
    }
}

#[test]
fn systems_are_those_of_the_source_file() {
    let Some(folder) = folder("maxmind") else { return };
    let asn = Some(bytes(&folder.join("test-data/GeoLite2-ASN-Test.mmdb")));
    let enricher = Enricher::new(Settings { asn, ..Settings::default() }).unwrap();
    let answers = known_answers(&folder.join("source-data/GeoLite2-ASN-Test.json"));
    for (net, record) in &answers {
        let number = record["autonomous_system_number"].as_i64();
        let organization = record["autonomous_system_organization"].as_str().map(str::to_owned);
        assert_eq!(place(&enricher, net.network()), (None, number, organization), "{net}");
    }
    assert!(answers.len() > 200);
}

#[test]
fn the_wrong_product_is_named() {
    let Some(folder) = folder("maxmind") else { return };
    let country = Some(bytes(&folder.join("test-data/GeoIP2-Domain-Test.mmdb")));
    let error = Enricher::new(Settings { country, ..Settings::default() }).err().unwrap();
    assert!(matches!(&error, EnrichError::WrongKind { kind, .. } if kind == "GeoIP2-Domain"), "{error}");
    assert!(error.to_string().contains("hold no country code"), "{error}");
}

/// Every file, sound or damaged, as either database: an error with a reason, or look-ups that end.
#[test]
fn damaged_files_are_refused_or_harmless() {
    let Some(folder) = folder("maxmind") else { return };
    let mut refused = 0;
    let mut files = 0;
    for sub in ["test-data", "bad-data/libmaxminddb", "bad-data/maxminddb-golang", "bad-data/maxminddb-python"] {
        for entry in std::fs::read_dir(folder.join(sub)).unwrap() {
            let file = bytes(&entry.unwrap().path());
            files += 1;
            for (country, asn) in [(Some(file.clone()), None), (None, Some(file))] {
                match Enricher::new(Settings { country, asn, ..Settings::default() }) {
                    Err(error) => {
                        assert!(error.to_string().starts_with("the geoip "), "{error}");
                        refused += usize::from(sub.starts_with("bad-data"));
                    }
                    Ok(enricher) => sweep(&enricher),
                }
            }
        }
    }
    assert_eq!((files, refused), (61, 42), "all files of bad-data are refused under both uses");
}

#[test]
fn a_file_cut_anywhere_is_refused_or_harmless() {
    let Some(folder) = folder("maxmind") else { return };
    let whole = bytes(&folder.join("test-data/GeoLite2-ASN-Test.mmdb"));
    for length in (0..whole.len()).step_by(97) {
        for part in [&whole[..length], &whole[length..]] {
            if let Ok(enricher) = Enricher::new(Settings { asn: Some(part.into()), ..Settings::default() }) {
                sweep(&enricher);
            }
        }
    }
}

fn sweep(enricher: &Enricher) {
    for bits in (0..=u32::MAX).step_by(16_777_259) {
        place(enricher, std::net::Ipv4Addr::from(bits).into());
        place(enricher, std::net::Ipv6Addr::from(u128::from(bits) << 96 | 1).into());
    }
}

#[test]
fn everybody_in_the_demo_can_be_held_to_account() {
    let enricher = Enricher::new(Settings::default()).unwrap();
    let mut cache = enricher.cache();
    let networks = Generator::actors().into_iter().flat_map(|actor| actor.addresses);
    for address in networks.flat_map(|net| [net.network(), net.broadcast()]) {
        let arena = Bump::new();
        let mut event = Event::new(b"", &arena);
        event.set_address(Address::SourceIp, address);
        let client = enricher.enrich(&mut event, &mut cache);
        assert_eq!(client, Some(Client { address, standing: Standing::Attributed }));
    }
}

/// `(original, field, expected)` of every agent that the oracle describes.
fn described_agents(folder: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(folder.join("pairs.jsonl")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines() {
        let pair: serde_json::Value = serde_json::from_str(line).unwrap();
        let dataset = pair["dataset"].as_str().unwrap();
        if !["nginx.access", "apache.access", "suricata.eve"].contains(&dataset) {
            continue;
        }
        let mut flat = std::collections::BTreeMap::new();
        flatten("", &pair["expected"], &mut flat);
        let Some(original) = flat.get("user_agent.original").filter(|original| *original != "-").cloned() else {
            continue;
        };
        let asserted = flat.into_iter().filter(|(name, _)| name.starts_with("user_agent."));
        rows.extend(asserted.map(|(name, value)| (original.clone(), name, value)));
    }
    rows.retain(|(_, name, _)| name != "user_agent.original");
    rows
}

fn flatten(prefix: &str, value: &serde_json::Value, into: &mut std::collections::BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                flatten(&if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, value, into);
            }
        }
        serde_json::Value::String(text) => {
            into.insert(prefix.to_owned(), text.clone());
        }
        serde_json::Value::Null => {}
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::Array(_) => {
            into.insert(prefix.to_owned(), value.to_string());
        }
    }
}

#[test]
fn agents_are_described_as_the_oracle_says() {
    let Some(folder) = folder("ecs_oracle") else { return };
    let rows = described_agents(&folder);
    assert!(rows.len() > 20, "{} assertions", rows.len());
    for (original, name, expected) in rows {
        let arena = Bump::new();
        let mut event = Event::new(b"", &arena);
        event.set_text(Text::UserAgent, arena.alloc_str(&original));
        describe_agent(&mut event);
        assert_eq!(event.extra(&name), Some(Scalar::Text(&expected)), "{name} of {original}");
    }
}
