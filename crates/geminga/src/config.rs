//! The configuration: Pulsar's keys, typed, with Pulsar's defaults.
//!
//! Sources, later ones win: defaults, `--config FILE`, environment `GEMINGA_KEY`, `--set KEY=VALUE`.
//! A bad value stops the start; an unknown key is a warning that names the closest known one; a key
//! of Pulsar's that Geminga does not use yet is named in one line at the start.

mod keys;
mod properties;
mod setting;

pub use keys::{Config, KEYS, Key};
pub use properties::parse as parse_properties;

/// Every key of Pulsar's `ServiceConfiguration` and BookKeeper's `ServerConfiguration`, one a line.
/// Source: the classes of Pulsar 4.0.6 and BookKeeper 4.17.2.
const PULSAR_KEYS: &str = include_str!("config/pulsar_keys.txt");

/// Why a configuration was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that does not parse.
    #[error("{source_name}: {key}={value}: expected {expected}")]
    BadValue {
        /// Where it was set.
        source_name: String,
        /// Which.
        key: String,
        /// To what.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A line that is no `key=value`.
    #[error("{0}")]
    BadLine(String),
}

/// What was said about a configuration while it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Unknown keys, each with the closest known one.
    pub unknown: Vec<(String, String)>,
    /// Keys of Pulsar's that have no effect here yet.
    pub unused: Vec<String>,
}

impl Config {
    /// Applies settings in order. `source_name` is for messages.
    ///
    /// # Errors
    ///
    /// [`ConfigError::BadValue`]; settings before it have been applied.
    pub fn apply(
        &mut self,
        source_name: &str,
        settings: &[(String, String)],
        remarks: &mut Remarks,
    ) -> Result<(), ConfigError> {
        for (key, value) in settings {
            match self.set(key, value) {
                Some(Ok(())) => {}
                Some(Err(expected)) => {
                    return Err(ConfigError::BadValue {
                        source_name: source_name.to_owned(),
                        key: key.clone(),
                        value: value.clone(),
                        expected,
                    });
                }
                None if PULSAR_KEYS.lines().any(|known| known == key) => {
                    remarks.unused.push(key.clone());
                }
                None => remarks.unknown.push((key.clone(), closest(key))),
            }
        }
        Ok(())
    }
}

/// The known key with the smallest edit distance.
fn closest(key: &str) -> String {
    let ours = KEYS.iter().map(|known| known.key);
    let all = ours.chain(PULSAR_KEYS.lines());
    all.min_by_key(|known| distance(key, known)).unwrap_or_default().to_owned()
}

/// Levenshtein's distance, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The reference page, generated from the struct.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Generated from the `Config` struct by `geminga config-reference`; do not edit.\n\n\
         Keys are Pulsar's. Sources, later ones win: the defaults below, `--config FILE` (properties \
         format), environment `GEMINGA_KEY=VALUE`, `--set KEY=VALUE`.\n\n\
         | key | type | default | what |\n|---|---|---|---|\n",
    );
    for known in KEYS {
        let default = if known.default.is_empty() { "" } else { &format!("`{}`", known.default) };
        let doc = known.doc.trim();
        page.push_str(&format!("| `{}` | {} | {default} | {doc} |\n", known.key, known.kind));
    }
    page
}

#[cfg(test)]
mod tests;
