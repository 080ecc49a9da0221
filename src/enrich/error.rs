//! What can be wrong with the files that enrichment looks addresses up in. Pure data.

use std::fmt;

/// Which of the configured databases is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Country,
    Asn,
}

/// Why an enricher cannot be built. The caller adds the file's path and the line of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrichError {
    /// The bytes are no MaxMind DB, or one whose tree or data is damaged.
    #[error("{database} is not a usable MaxMind DB file: {detail}")]
    Corrupt { database: Database, detail: String },
    /// A sound file that holds something else.
    #[error("{database} is of type \"{kind}\", whose records hold no {}", .database.wanted())]
    WrongKind { database: Database, kind: String },
}

impl Database {
    fn wanted(self) -> &'static str {
        match self {
            Database::Country => "country code (City, Country, Enterprise, DB-IP and IPinfo files do)",
            Database::Asn => "AS number (ASN, ISP, Enterprise, DB-IP and IPinfo files do)",
        }
    }
}

/// As the configuration calls it.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Database::Country => "the geoip country database",
            Database::Asn => "the geoip asn database",
        })
    }
}
