//! The process as its admin door sees it: what the disk and the clients' door are doing, backups.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use geminga_admin::{Metric, MetricKind, Process};
use geminga_admin_model::{BackupRequest, BackupStatus};
use geminga_bookie_storage::Storage;
use geminga_env::Env;
use geminga_metadata_embedded::EmbeddedStore;
use geminga_pulsar::Counters;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{backup::back_up, data_dir::DataDir};

/// A standalone.
#[derive(Debug)]
pub(super) struct StandaloneProcess {
    env: Env,
    data_dir: DataDir,
    storage: Storage,
    store: Arc<EmbeddedStore>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    backup: Arc<Mutex<BackupStatus>>,
}

const RUNNING: &str = "RUNNING";

impl StandaloneProcess {
    /// Backups run on `tasks` and end at `shutdown`.
    pub(super) fn new(
        env: Env,
        data_dir: DataDir,
        (storage, store, counters): (Storage, Arc<EmbeddedStore>, Arc<Counters>),
        (tasks, shutdown): (TaskTracker, CancellationToken),
    ) -> Self {
        let backup = BackupStatus { status: "NOT_RUN".to_owned(), ..BackupStatus::default() };
        let backup = Arc::new(Mutex::new(backup));
        Self { env, data_dir, storage, store, counters, tasks, shutdown, backup }
    }
}

fn lock(status: &Mutex<BackupStatus>) -> MutexGuard<'_, BackupStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process for StandaloneProcess {
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
            gauge("geminga_bookie_entry_logs", stats.entry_logs),
            gauge("geminga_bookie_journal_files", stats.journal_files),
            counter("geminga_bookie_scrub_passes_total", stats.scrub_passes),
            counter("geminga_bookie_scrub_entries_total", stats.scrub_entries),
            counter("geminga_bookie_scrub_bytes_total", stats.scrub_bytes),
            gauge("geminga_bookie_scrub_damages", stats.scrub_damages),
        ];
        if let Ok(free) = self.env.disk.available_bytes(self.data_dir.path()) {
            metrics.push(gauge("geminga_disk_free_bytes", free));
        }
        metrics.extend(self.counters.metrics().into_iter().map(|(name, value)| {
            let only_grows = name.ends_with("_total") || name.ends_with("_count");
            let kind = if only_grows { MetricKind::Counter } else { MetricKind::Gauge };
            Metric { name, kind, value }
        }));
        metrics
    }

    fn start_backup(&self, request: &BackupRequest) -> Result<(), String> {
        let canonical = |path: &str| PathBuf::from(path).canonicalize().ok();
        let ours = self.data_dir.path().display().to_string();
        if canonical(&request.data_dir).is_none()
            || canonical(&request.data_dir) != canonical(&ours)
        {
            return Err(format!(
                "this server keeps its data in {ours}, not in {}",
                request.data_dir
            ));
        }
        let to = PathBuf::from(&request.to);
        if !to.is_absolute() {
            return Err(format!("{}: expected an absolute path", request.to));
        }
        let mut status = lock(&self.backup);
        if status.status == RUNNING {
            return Err(format!("a backup to {} is running", status.to));
        }
        *status = BackupStatus {
            status: RUNNING.to_owned(),
            to: request.to.clone(),
            ..BackupStatus::default()
        };
        drop(status);
        let (env, status) = (self.env.clone(), Arc::clone(&self.backup));
        let parts = (self.storage.clone(), Arc::clone(&self.store));
        let (counted, shutdown) = (Arc::clone(&self.backup), self.shutdown.clone());
        self.tasks.spawn(async move {
            let go_on = Box::new(move |bytes| {
                lock(&counted).bytes += bytes;
                !shutdown.is_cancelled()
            });
            let done = back_up(&env, parts, DataDir::new(&to), go_on).await;
            let mut status = lock(&status);
            match done {
                Ok(()) => {
                    info!(to = status.to, bytes = status.bytes, "backup written");
                    "SUCCESS".clone_into(&mut status.status);
                }
                Err(error) => {
                    warn!(to = status.to, "no backup: {error:#}");
                    "ERROR".clone_into(&mut status.status);
                    status.last_error = format!("{error:#}");
                }
            }
        });
        Ok(())
    }

    fn backup_status(&self) -> BackupStatus {
        lock(&self.backup).clone()
    }
}

const fn gauge(name: &'static str, value: u64) -> Metric {
    Metric { name, kind: MetricKind::Gauge, value }
}

const fn counter(name: &'static str, value: u64) -> Metric {
    Metric { name, kind: MetricKind::Counter, value }
}
