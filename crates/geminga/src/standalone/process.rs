//! The process as its admin door sees it: what the disk and the clients' door are doing, backups.

mod figures;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use geminga_admin::{LatencyMetric, Metric, Process};
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
        let mut metrics = figures::of_storage(&self.storage);
        if let Ok(free) = self.env.disk.available_bytes(self.data_dir.path()) {
            metrics.push(metric("geminga_disk_free_bytes", "", figures::count(free)));
        }
        let counters = self.counters.metrics().into_iter();
        metrics.extend(counters.map(|(name, value)| metric(name, "", figures::count(value))));
        metrics.extend(figures::of_process(&*self.env.disk));
        metrics
    }

    fn latencies(&self) -> Vec<LatencyMetric> {
        let mut latencies = figures::latencies_of_storage(&self.storage);
        let figures = self.counters.lookups(self.env.clock.now());
        latencies.push(LatencyMetric { name: "pulsar_broker_lookup", labels: "", figures });
        latencies
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

const fn metric(name: &'static str, labels: &'static str, value: f64) -> Metric {
    Metric { name, labels, value }
}
