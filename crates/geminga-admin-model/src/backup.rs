//! Backups of a node's data directory. Geminga's own: Pulsar has none.

use serde::{Deserialize, Serialize};

/// What to back up, and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupRequest {
    /// The data directory, so that no other node answers by mistake; absolute.
    pub data_dir: String,
    /// A directory on the node's machine that is empty or not there; absolute.
    pub to: String,
}

/// How far the last backup is; the names are those of Pulsar's long-running processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupStatus {
    /// `NOT_RUN`, `RUNNING`, `SUCCESS` or `ERROR`.
    pub status: String,
    /// Why it failed.
    pub last_error: String,
    /// Where to.
    pub to: String,
    /// Bytes copied.
    pub bytes: u64,
}
