//! What the admin door tells of the bookie and of the clients' door.

use std::{path::PathBuf, sync::Arc};

use geminga_admin::{Metric, MetricKind, Process};
use geminga_bookie_storage::Storage;
use geminga_env::Disk;
use geminga_pulsar::Counters;

#[derive(Debug)]
pub(super) struct Others {
    pub(super) storage: Storage,
    pub(super) counters: Arc<Counters>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
}

impl Process for Others {
    fn refuses_messages(&self) -> Option<String> {
        self.storage.read_only()
    }

    fn metrics(&self) -> Vec<Metric> {
        let stats = self.storage.stats();
        let mut metrics = vec![
            gauge("bookie_SERVER_STATUS", u64::from(self.storage.read_only().is_none())),
            gauge("bookie_ledgers_count", stats.ledgers),
            gauge("bookie_write_cache_size", stats.write_cache_bytes),
            counter("geminga_bookie_adds_total", stats.adds),
            counter("geminga_bookie_add_bytes_total", stats.add_bytes),
            counter("geminga_bookie_journal_groups_total", stats.groups),
            counter("geminga_bookie_journal_syncs_total", stats.syncs),
            counter("geminga_bookie_flushes_total", stats.flushes),
            counter("geminga_bookie_compactions_total", stats.compactions),
            counter("geminga_bookie_reads_total", stats.reads),
            gauge("geminga_bookie_entry_log_bytes", stats.entry_log_bytes),
            gauge("geminga_bookie_entry_log_live_bytes", stats.entry_log_live_bytes),
            gauge("geminga_bookie_journal_files", stats.journal_files),
        ];
        if let Ok(free) = self.disk.available_bytes(&self.directory) {
            metrics.push(gauge("geminga_disk_free_bytes", free));
        }
        metrics.extend(self.counters.metrics().into_iter().map(|(name, value)| {
            let only_grows = name.ends_with("_total") || name.ends_with("_count");
            let kind = if only_grows { MetricKind::Counter } else { MetricKind::Gauge };
            Metric { name, kind, value }
        }));
        metrics
    }
}

const fn gauge(name: &'static str, value: u64) -> Metric {
    Metric { name, kind: MetricKind::Gauge, value }
}

const fn counter(name: &'static str, value: u64) -> Metric {
    Metric { name, kind: MetricKind::Counter, value }
}
