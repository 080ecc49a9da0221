//! A catalog as the text it is built from: what `sekisho.catalogs` holds, so that a journal judges again by itself. Pure.
//!
//! GeoIP databases stand in it by their hash: what was looked up in them is written into the signals. Deliberately
//! without what only this process needs, as paths, listeners and secrets.

use serde::{Deserialize, Serialize};

use crate::config::{self, Config};
use crate::document::{Fault, Faults};
use crate::event::CatalogHash;

use super::{Catalog, File, Files, GeoDatabase, KeepExtras, Maker};

/// The topic of catalogs, by their hash.
pub const CATALOGS: &str = "sekisho.catalogs";

/// The files of a catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogText {
    /// The sections of `sekisho.yaml` that judge.
    config: String,
    pipelines: Vec<FileText>,
    rules: Vec<FileText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asn: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileText {
    path: String,
    text: String,
    /// Whether it travels in the binary.
    built_in: bool,
}

impl CatalogText {
    /// What a catalog was built from.
    pub fn of(config: &Config, files: &Files) -> CatalogText {
        let digest = |database: &Option<GeoDatabase>| database.as_ref().map(GeoDatabase::digest);
        CatalogText {
            config: config.judging_yaml(),
            pipelines: files.pipelines.iter().map(FileText::of).collect(),
            rules: files.rules.iter().map(FileText::of).collect(),
            country: digest(&files.country),
            asn: digest(&files.asn),
        }
    }

    /// The text as a record's bytes.
    ///
    /// # Errors
    /// Never for what [`CatalogText::of`] gives.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// The catalog of a record.
    ///
    /// # Errors
    /// Where the bytes are none, where this version finds faults in the files, and where it would give the catalog
    /// another name: then it judges otherwise than the version that wrote it.
    pub fn build(bytes: &[u8], name: CatalogHash) -> Result<Catalog, Faults> {
        let text: CatalogText = serde_json::from_slice(bytes)
            .map_err(|error| one(Fault::of_file(CATALOGS, format!("the record holds no catalog: {error}"))))?;
        let config = config::parse("sekisho.yaml", &text.config, &|_| None)?;
        let catalog = Catalog::build(&config, &text.files(), KeepExtras::Named)?;
        if catalog.hash != name {
            let fault = Fault::of_file(CATALOGS, format!("catalog {name} is another one to this version"));
            return Err(one(
                fault.suggest("this version judges otherwise: replay the journal with the one that wrote it")
            ));
        }
        Ok(catalog)
    }

    fn files(self) -> Files {
        let database = |digest: Option<String>| digest.map(GeoDatabase::Digest);
        Files {
            pipelines: self.pipelines.into_iter().map(FileText::file).collect(),
            rules: self.rules.into_iter().map(FileText::file).collect(),
            country: database(self.country),
            asn: database(self.asn),
        }
    }
}

impl FileText {
    fn of(file: &File) -> FileText {
        FileText { path: file.path.clone(), text: file.text.clone(), built_in: file.maker == Maker::Sekisho }
    }

    fn file(self) -> File {
        let maker = if self.built_in { Maker::Sekisho } else { Maker::User };
        File { path: self.path, text: self.text, maker }
    }
}

fn one(fault: Fault) -> Faults {
    let mut faults = Faults::default();
    faults.push(fault);
    faults
}

#[cfg(test)]
mod tests {
    use super::super::built_in;
    use super::*;

    #[test]
    fn a_catalog_comes_back_from_its_text_under_its_name() {
        let yaml = "networks: { own: [192.0.2.0/24] }\nresponse: { budget: { share: 2.5% } }\n\
                    rules: { level: { guessing_per_client: observe } }\n";
        let config = config::parse("sekisho.yaml", yaml, &|_| None).expect("a configuration");
        let files = Files { country: Some(GeoDatabase::Digest("ab".to_owned())), ..built_in() };
        let catalog = Catalog::build(&config, &files, KeepExtras::All).expect("a catalog");
        let bytes = CatalogText::of(&config, &files).encode().expect("a record");
        let again = CatalogText::build(&bytes, catalog.hash).expect("the same catalog");
        assert_eq!(again.hash, catalog.hash);
        assert!(CatalogText::build(&bytes, CatalogHash([7; 32])).is_err());
        assert!(CatalogText::build(b"{", catalog.hash).is_err());
    }
}
