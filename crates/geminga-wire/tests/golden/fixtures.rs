//! Where the golden frames lie.

use std::{fs, path::PathBuf};

use crate::CLIENTS;

/// One frame of one client.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) client: &'static str,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The bytes of `{client}-{name}.bin`.
pub(crate) fn fixture(client: &str, name: &str) -> Vec<u8> {
    let path = folder().join(format!("{client}-{name}.bin"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All of them, in the order of their names.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for file in fs::read_dir(folder()).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let Some(stem) = file.strip_suffix(".bin") else { continue };
        let named = CLIENTS.iter().find_map(|client| {
            let name = stem.strip_prefix(client)?.strip_prefix('-')?;
            Some((*client, name.to_owned()))
        });
        let (client, name) = named.unwrap_or_else(|| panic!("{file}: of no known client"));
        let bytes = fixture(client, &name);
        fixtures.push(Fixture { client, name, bytes });
    }
    fixtures.sort_by(|a, b| (a.client, &a.name).cmp(&(b.client, &b.name)));
    assert!(50 < fixtures.len(), "the fixtures are gone");
    fixtures
}
