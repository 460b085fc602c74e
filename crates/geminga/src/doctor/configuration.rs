//! Whether the configuration is one with which a server starts, and which of its keys do nothing.

use super::Finding;
use crate::{
    config::{Config, Remarks},
    standalone,
};

const NAME: &str = "configuration";

pub(super) fn check(config: &anyhow::Result<(Config, Remarks)>) -> Vec<Finding> {
    let (config, remarks) = match config {
        Ok(read) => read,
        Err(error) => {
            return vec![Finding::problem(NAME, format!("{error:#}"), "correct this setting")];
        }
    };
    let mut findings = Vec::new();
    if let Err(error) = standalone::check(config) {
        findings.push(Finding::problem(NAME, format!("{error:#}"), "correct this setting"));
    }
    for (key, closest) in &remarks.unknown {
        let change = match closest {
            Some(closest) => format!("write {closest}, if that is meant, or remove it"),
            None => "remove it".to_owned(),
        };
        findings.push(Finding::warning(NAME, format!("{key} is no key of Pulsar's"), change));
    }
    if !remarks.unused.is_empty() {
        let found = format!("without effect here: {}", remarks.unused.join(", "));
        findings.push(Finding::warning(NAME, found, "do not count on these keys"));
    }
    if !config.journal_sync_data {
        findings.push(Finding::warning(
            NAME,
            "journalSyncData=false: receipts do not wait for the disk",
            "set journalSyncData=true, unless a power failure may lose messages",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(NAME, "all keys are known, and their values fit"));
    }
    findings
}
