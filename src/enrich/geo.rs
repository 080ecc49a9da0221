//! Country and AS of an address, from the bytes of mmdb files. Pure.
//!
//! The layout is told by probing records, not by the file's name: MaxMind City, Country, ASN, ISP and Enterprise, DB-IP,
//! IPinfo Lite and IPinfo's older free files. Deliberately without cities and coordinates: no rule asks for them.

use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

use super::error::{Database, EnrichError};

/// Records looked at to tell a layout. Real files show it in the first; test files begin with ranges that hold nothing.
const PROBES_MAX: usize = 4_096;

/// The configured databases.
#[derive(Debug)]
pub(super) struct Geo {
    country: Option<Source>,
    asn: Option<Source>,
}

/// What the databases say of one address; small, so that caches can hold many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    country: Option<CountryCode>,
    /// Zero where unknown: AS 0 is reserved (RFC 7607).
    as_number: u32,
    /// Where in the ASN file the organization's name stands.
    organization_start: u32,
    organization_length: u16,
}

/// Two capital letters, as their place in [`CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CountryCode(u16);

/// All pairs of letters one after the other, so that a code is a text that lives for ever.
static CODES: [u8; 26 * 26 * 2] = codes();

#[derive(Debug)]
struct Source {
    bytes: Arc<[u8]>,
    reader: Reader<Arc<[u8]>>,
    layout: Layout,
}

/// How the records of a file are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// MaxMind and DB-IP: `country.iso_code`, `autonomous_system_number`, or the latter under `traits`.
    Nested,
    /// IPinfo: `country_code` (or a `country` of two letters), `asn: "AS15169"`.
    Flat,
}

#[derive(Deserialize)]
struct Nested<'a> {
    #[serde(borrow)]
    country: Option<NestedCountry<'a>>,
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
    #[serde(borrow)]
    traits: Option<Traits<'a>>,
}

#[derive(Deserialize)]
struct NestedCountry<'a> {
    #[serde(borrow)]
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Traits<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
}

#[derive(Deserialize)]
struct Flat<'a> {
    #[serde(borrow)]
    country_code: Option<&'a str>,
    #[serde(borrow)]
    country: Option<&'a str>,
    #[serde(borrow)]
    asn: Option<&'a str>,
    #[serde(borrow)]
    as_name: Option<&'a str>,
    #[serde(borrow)]
    name: Option<&'a str>,
}

/// One record, whatever its layout.
#[derive(Default)]
struct Answer<'a> {
    country: Option<CountryCode>,
    as_number: Option<u32>,
    organization: Option<&'a str>,
}

impl Geo {
    pub(super) fn new(country: Option<Arc<[u8]>>, asn: Option<Arc<[u8]>>) -> Result<Self, EnrichError> {
        let open = |bytes: Option<Arc<[u8]>>, database| bytes.map(|bytes| Source::new(bytes, database)).transpose();
        Ok(Geo { country: open(country, Database::Country)?, asn: open(asn, Database::Asn)? })
    }

    /// What is known of an address. A record that does not decode is as good as none.
    pub(super) fn place(&self, address: IpAddr) -> Place {
        let country = self.country.as_ref().and_then(|source| source.answer(address)).and_then(|answer| answer.country);
        let mut place = Place { country, ..Place::default() };
        if let Some(source) = &self.asn
            && let Some(answer) = source.answer(address)
        {
            place.as_number = answer.as_number.unwrap_or(0);
            if let Some((start, length)) = answer.organization.and_then(|name| source.span(name)) {
                (place.organization_start, place.organization_length) = (start, length);
            }
        }
        place
    }

    /// The name of the organization that a place's AS belongs to.
    pub(super) fn organization(&self, place: Place) -> Option<&str> {
        let start = place.organization_start as usize;
        let range = start..start + place.organization_length as usize;
        let bytes = self.asn.as_ref()?.bytes.get(range)?;
        std::str::from_utf8(bytes).ok().filter(|name| !name.is_empty())
    }
}

impl Place {
    /// ISO 3166-1 alpha-2.
    pub(super) fn country(self) -> Option<&'static str> {
        let start = usize::from(self.country?.0) * 2;
        std::str::from_utf8(&CODES[start..start + 2]).ok()
    }

    pub(super) fn as_number(self) -> Option<u32> {
        (self.as_number != 0).then_some(self.as_number)
    }
}

impl Source {
    fn new(bytes: Arc<[u8]>, database: Database) -> Result<Self, EnrichError> {
        let corrupt = |error: MaxMindDbError| EnrichError::Corrupt { database, detail: error.to_string() };
        let reader = Reader::from_source(bytes.clone()).map_err(corrupt)?;
        reader.verify().map_err(corrupt)?;
        match probe(&reader, database).map_err(corrupt)? {
            Some(layout) => Ok(Source { bytes, reader, layout }),
            None => Err(EnrichError::WrongKind { database, kind: reader.metadata().database_type.clone() }),
        }
    }

    fn answer(&self, address: IpAddr) -> Option<Answer<'_>> {
        let found = self.reader.lookup(address).ok()?;
        match self.layout {
            Layout::Nested => found.decode::<Nested<'_>>().ok().flatten().map(Answer::from_nested),
            Layout::Flat => found.decode::<Flat<'_>>().ok().flatten().map(Answer::from_flat),
        }
    }

    /// Where a text that borrows from this file stands in it.
    fn span(&self, text: &str) -> Option<(u32, u16)> {
        let start = (text.as_ptr() as usize).checked_sub(self.bytes.as_ptr() as usize)?;
        Some((u32::try_from(start).ok()?, u16::try_from(text.len()).ok()?))
    }
}

/// The layout under which a record answers what the database is for.
fn probe(reader: &Reader<Arc<[u8]>>, database: Database) -> Result<Option<Layout>, MaxMindDbError> {
    let answers = |answer: Answer<'_>| match database {
        Database::Country => answer.country.is_some(),
        Database::Asn => answer.as_number.is_some(),
    };
    for found in reader.networks(WithinOptions::default())?.take(PROBES_MAX) {
        let found = found?;
        if let Ok(Some(record)) = found.decode::<Nested<'_>>()
            && answers(Answer::from_nested(record))
        {
            return Ok(Some(Layout::Nested));
        }
        if let Ok(Some(record)) = found.decode::<Flat<'_>>()
            && answers(Answer::from_flat(record))
        {
            return Ok(Some(Layout::Flat));
        }
    }
    Ok(None)
}

impl<'a> Answer<'a> {
    fn from_nested(record: Nested<'a>) -> Self {
        let traits = record.traits.as_ref();
        Answer {
            country: record.country.and_then(|country| country.iso_code).and_then(country_code),
            as_number: record.autonomous_system_number.or(traits.and_then(|t| t.autonomous_system_number)),
            organization: record
                .autonomous_system_organization
                .or(traits.and_then(|t| t.autonomous_system_organization)),
        }
    }

    fn from_flat(record: Flat<'a>) -> Self {
        let digits = record.asn.map(|asn| asn.strip_prefix("AS").unwrap_or(asn));
        Answer {
            country: record.country_code.and_then(country_code).or(record.country.and_then(country_code)),
            as_number: digits.and_then(|digits| digits.parse().ok()),
            organization: record.as_name.or(record.name),
        }
    }
}

fn country_code(text: &str) -> Option<CountryCode> {
    match text.as_bytes() {
        [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Some(CountryCode(u16::from(a - b'A') * 26 + u16::from(b - b'A'))),
        _ => None,
    }
}

const fn codes() -> [u8; 26 * 26 * 2] {
    let mut codes = [0; 26 * 26 * 2];
    let mut index = 0;
    while index < 26 * 26 {
        codes[index * 2] = b'A' + (index / 26) as u8;
        codes[index * 2 + 1] = b'A' + (index % 26) as u8;
        index += 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back() {
        for code in ["AA", "GB", "JP", "ZZ"] {
            let place = Place { country: country_code(code), ..Place::default() };
            assert_eq!(place.country(), Some(code));
        }
        assert!(["", "G", "gb", "GBR", "日"].iter().all(|text| country_code(text).is_none()));
    }

    /// A text in the data format: type 2; from 29 bytes on the length stands in a byte of its own.
    fn text(value: &str) -> Vec<u8> {
        let length = value.len() as u8;
        let head = if length < 29 { vec![2 << 5 | length] } else { vec![2 << 5 | 29, length - 29] };
        [head, value.as_bytes().to_vec()].concat()
    }

    /// A map of encoded values: type 7.
    fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let pairs: Vec<Vec<u8>> = pairs.iter().flat_map(|(key, value)| [text(key), value.clone()]).collect();
        [vec![7 << 5 | (pairs.len() / 2) as u8], pairs.concat()].concat()
    }

    /// A whole IPv4 file of one node: the lower half of all addresses has this record, the upper half none.
    fn database(kind: &str, record: Vec<u8>) -> Arc<[u8]> {
        let short = |value: u8| vec![5 << 5 | 1, value];
        let metadata = map(&[
            ("binary_format_major_version", short(2)),
            ("binary_format_minor_version", short(0)),
            ("build_epoch", vec![1, 2, 1]),
            ("database_type", text(kind)),
            ("description", map(&[("en", text("test"))])),
            ("ip_version", short(4)),
            ("languages", vec![0, 4]),
            ("node_count", vec![6 << 5 | 1, 1]),
            ("record_size", short(24)),
        ]);
        let tree = [0, 0, 1 + 16, 0, 0, 1];
        [&tree[..], &[0; 16], &record, b"\xab\xcd\xefMaxMind.com", &metadata].concat().into()
    }

    #[test]
    fn flat_layouts_are_told_by_their_records() {
        let lite = map(&[
            ("country_code", text("JP")),
            ("country", text("Japan")),
            ("asn", text("AS2497")),
            ("as_name", text("IIJ")),
        ]);
        let older = map(&[("country", text("JP")), ("asn", text("AS2497")), ("name", text("IIJ"))]);
        let isp = map(&[
            ("country", map(&[("iso_code", text("JP"))])),
            (
                "traits",
                map(&[
                    ("autonomous_system_number", vec![6 << 5 | 2, 0x09, 0xc1]),
                    ("autonomous_system_organization", text("IIJ")),
                ]),
            ),
        ]);
        for (kind, record) in [("ipinfo lite", lite), ("ipinfo country_asn", older), ("DBIP-ISP", isp)] {
            let file = database(kind, record);
            let geo = Geo::new(Some(file.clone()), Some(file)).unwrap();
            let place = geo.place("8.8.8.8".parse().unwrap());
            assert_eq!(
                (place.country(), place.as_number(), geo.organization(place)),
                (Some("JP"), Some(2497), Some("IIJ")),
                "{kind}"
            );
            for nowhere in ["200.1.1.1", "2a00::1"] {
                let place = geo.place(nowhere.parse().unwrap());
                assert_eq!((place, geo.organization(place)), (Place::default(), None), "{kind} {nowhere}");
            }
        }
    }

    #[test]
    fn records_of_other_things_are_the_wrong_kind() {
        let file = database("domains", map(&[("domain", text("example.com"))]));
        let error = Geo::new(Some(file), None).unwrap_err();
        assert_eq!(error, EnrichError::WrongKind { database: Database::Country, kind: "domains".into() });
    }

    #[test]
    fn what_is_no_database_is_refused_by_name() {
        for bytes in [&b""[..], b"text", &[0xab; 5000]] {
            let error = Geo::new(None, Some(bytes.into())).unwrap_err();
            assert!(
                error.to_string().starts_with("the geoip asn database is not a usable MaxMind DB file: "),
                "{error}"
            );
        }
    }
}
