//! The configuration: Pulsar's keys, typed, with Pulsar's defaults.
//!
//! Sources, later ones win: defaults, `--config FILE`, environment `GEMINGA_KEY`, `--set KEY=VALUE`.
//! A bad value stops the start; an unknown key is a warning that names the closest known one; a key
//! of Pulsar's that Geminga does not use yet is named in one line at the start.

mod keys;
mod properties;
mod ranges;
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
        expected: String,
    },
    /// A line that is no `key=value`.
    #[error("{0}")]
    BadLine(String),
}

/// What was said about a configuration while it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Unknown keys, each with the closest known one, if one is close.
    pub unknown: Vec<(String, Option<String>)>,
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
            let set = match unprotected(key, value).or_else(|| ranges::refusal(key, value)) {
                Some(expected) => Some(Err(expected)),
                None => self.set(key, value).map(|set| set.map_err(str::to_owned)),
            };
            match set {
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

/// Keys that ask for protection which is not there yet: a server that looked protected and was open
/// would be worse than one that does not start.
const PROTECTION: [&str; 6] = [
    "authenticationEnabled",
    "authorizationEnabled",
    "tlsEnabled",
    "brokerServicePortTls",
    "webServicePortTls",
    "tlsEnabledWithKeyStore",
];

fn unprotected(key: &str, value: &str) -> Option<String> {
    let is_asked = PROTECTION.contains(&key) && !matches!(value, "" | "false");
    is_asked.then(|| "none or false: authentication and TLS are not there yet".to_owned())
}

/// Longest edit distance at which a key is worth naming.
const CLOSE: usize = 8;

/// The known key with the smallest edit distance, if that is small.
fn closest(key: &str) -> Option<String> {
    let ours = KEYS.iter().map(|known| known.key);
    let all = ours.chain(PULSAR_KEYS.lines());
    let (far, known) = all.map(|known| (distance(key, known), known)).min()?;
    (far <= CLOSE.min(key.len() / 2)).then(|| known.to_owned())
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
        let kind = ranges::of(known.key).map_or_else(
            || known.kind.to_owned(),
            |(least, most)| format!("a number from {least} to {most}"),
        );
        page.push_str(&format!("| `{}` | {kind} | {default} | {doc} |\n", known.key));
    }
    page
}

#[cfg(test)]
mod tests;
