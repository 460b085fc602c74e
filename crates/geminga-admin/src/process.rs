//! What the process has beside the broker, as far as an operator wants to know it here.

use std::fmt;

use geminga_admin_model::{BackupRequest, BackupStatus};
use geminga_env::LatencyFigures;

/// Other parts of the process: the door for clients, the storage.
pub trait Process: fmt::Debug + Send + Sync {
    /// Why new messages are refused, if they are: the disk is full.
    fn refuses_messages(&self) -> Option<String>;

    /// Their metrics.
    fn metrics(&self) -> Vec<Metric>;

    /// How long things take there.
    fn latencies(&self) -> Vec<LatencyMetric>;

    /// Begins a backup, which goes on by itself.
    ///
    /// # Errors
    ///
    /// Why not, in words for the operator; nothing was begun.
    fn start_backup(&self, request: &BackupRequest) -> Result<(), String>;

    /// How far the last backup is.
    fn backup_status(&self) -> BackupStatus;
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// As Prometheus has it; [`FAMILIES`](crate::metrics::FAMILIES) has its family.
    pub name: &'static str,
    /// `name="value",…`, or nothing.
    pub labels: &'static str,
    /// The number.
    pub value: f64,
}

/// How long something takes: a summary in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyMetric {
    /// As Prometheus has it; [`FAMILIES`](crate::metrics::FAMILIES) has its family.
    pub name: &'static str,
    /// `name="value",…`, or nothing.
    pub labels: &'static str,
    /// The numbers.
    pub figures: LatencyFigures,
}
