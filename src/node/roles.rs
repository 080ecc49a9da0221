//! Which stages a process runs: all of them, or some where a cluster is shared. Pure.

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    pub ingest: bool,
    pub decide: bool,
    pub index: bool,
    pub api: bool,
}

impl Roles {
    /// Everything.
    pub const ALL: Roles = Roles { ingest: true, decide: true, index: true, api: true };
}

impl Default for Roles {
    fn default() -> Roles {
        Roles::ALL
    }
}

impl std::str::FromStr for Roles {
    type Err = String;

    /// Words with commas between them, as `ingest,decide`.
    fn from_str(text: &str) -> Result<Roles, String> {
        let mut roles = Roles { ingest: false, decide: false, index: false, api: false };
        for word in text.split(',').map(str::trim) {
            let role = match word {
                "ingest" => &mut roles.ingest,
                "decide" => &mut roles.decide,
                "index" => &mut roles.index,
                "api" => &mut roles.api,
                other => {
                    return Err(format!("`{other}` is no role: ingest, decide, index, api, with commas between them"));
                }
            };
            *role = true;
        }
        Ok(roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_with_commas() {
        assert_eq!("ingest, decide,index,api".parse(), Ok(Roles::ALL));
        assert_eq!("decide".parse(), Ok(Roles { ingest: false, decide: true, index: false, api: false }));
        assert!(["", "all", "ingest;api"].iter().all(|text| text.parse::<Roles>().is_err()));
    }
}
