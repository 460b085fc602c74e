//! Asks for a backup: the running server through its admin API, or, where none runs, the data
//! directory itself.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use geminga_admin_model::{BackupRequest, BackupStatus};
use geminga_bookie_storage::{OpenError, Options, Storage};
use geminga_env::Env;

use crate::{admin_client::AdminClient, backup::back_up, data_dir::DataDir};

const PATH: &str = "/admin/v2/geminga/backup";
/// Longest time for one answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "data/standalone")]
    data_dir: PathBuf,
    /// Where to: a directory that is empty or not there, on the server's machine.
    #[arg(long, value_name = "DIR")]
    pub(super) to: PathBuf,
    /// The admin API of the server that has the data directory open, if one has.
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080")]
    admin_url: String,
}

impl Backup {
    /// Returns how many bytes of entries and index were copied.
    pub(super) async fn run(&self, env: &Env) -> anyhow::Result<u64> {
        let data_dir = DataDir::new(&self.data_dir);
        if !env.disk.exists(&data_dir.ledgers())? {
            bail!("{} is no data directory", self.data_dir.display());
        }
        let options =
            Options { min_free_bytes: 0, ..Options::new(data_dir.journal(), data_dir.ledgers()) };
        match Storage::open(env.clone(), options).await {
            Ok(storage) => self.of_stopped(env, &data_dir, storage).await,
            Err(OpenError::InUse(_)) => self.of_running(env).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Nobody serves it, so we recover it as a server would, and copy.
    async fn of_stopped(
        &self,
        env: &Env,
        data_dir: &DataDir,
        storage: Storage,
    ) -> anyhow::Result<u64> {
        let store = Arc::new({
            let options = geminga_metadata_embedded::Options::default();
            geminga_metadata_embedded::open(env, &data_dir.metadata(), &options)?
        });
        let copied = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&copied);
        let go_on = Box::new(move |bytes| {
            counted.fetch_add(bytes, Relaxed);
            true
        });
        let parts = (storage.clone(), Arc::clone(&store));
        let done = back_up(env, parts, DataDir::new(&self.to), go_on).await;
        store.close().await;
        storage.close().await?;
        done.map(|()| copied.load(Relaxed))
    }

    async fn of_running(&self, env: &Env) -> anyhow::Result<u64> {
        let text = |path: &Path| {
            let path = std::path::absolute(path)?;
            path.to_str().map(ToOwned::to_owned).context("a path that is no text")
        };
        let request = BackupRequest { data_dir: text(&self.data_dir)?, to: text(&self.to)? };
        self.ask(env, "POST", &serde_json::to_string(&request)?).await?;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let status: BackupStatus = serde_json::from_slice(&self.ask(env, "GET", "").await?)
                .context("the server's answer is no status")?;
            match status.status.as_str() {
                "RUNNING" => {}
                "SUCCESS" if status.to == request.to => return Ok(status.bytes),
                _ => bail!("no backup: {}", status.last_error),
            }
        }
    }

    /// Sends a request and returns the body of a successful answer.
    async fn ask(&self, env: &Env, method: &str, body: &str) -> anyhow::Result<Vec<u8>> {
        let client = AdminClient::new(env, &self.admin_url, ANSWER_TIMEOUT);
        let answer = client.ask(method, PATH, body).await.map(|answer| answer.body);
        answer.with_context(|| {
            let dir = self.data_dir.display();
            format!("a server has {dir} open; name its admin API with --admin-url")
        })
    }
}
