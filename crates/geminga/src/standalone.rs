//! Broker, bookie and metadata store in one process.
//!
//! The same parts as a cluster's, with E = Qw = Qa = 1 and the embedded store.

mod identity;
mod interceptors;
mod memory;
mod options;
mod process;
mod subscription_types;

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use geminga_bookie::LocalBookies;
use geminga_bookie_storage::Storage;
use geminga_broker::{Broker, Parts};
use geminga_env::{Env, net::Listener};
use geminga_metadata::SharedStore;
use geminga_metadata_embedded::EmbeddedStore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::process::StandaloneProcess;
use crate::{advertise::advertised, config::Config, data_dir::DataDir, phases::Phases};

/// A standalone that is ready.
#[derive(Debug)]
pub struct Standalone {
    broker: Broker,
    storage: Storage,
    store: Arc<EmbeddedStore>,
    doors: TaskTracker,
    doors_shutdown: CancellationToken,
    topics: TaskTracker,
    is_durable: bool,
}

/// Opens what is in `data_dir`, recovers it, and serves it.
///
/// # Errors
///
/// Every error is a sentence that says what is wrong and what to do: a port or directory in use, a
/// directory that is not writable, from a newer version, or damaged.
pub async fn start(env: Env, config: &Config, data_dir: &Path) -> anyhow::Result<Standalone> {
    let address = bind_address(config)?;
    let binary = SocketAddr::new(address, config.broker_service_port);
    let binary = listen(&env, binary, "brokerServicePort").await?;
    let web = SocketAddr::new(address, config.web_service_port);
    let web = listen(&env, web, "webServicePort").await?;
    let advertised = advertised(config, binary.local_address(), web.local_address())?;

    env.disk.create_dir_all(data_dir).with_context(|| {
        format!("data directory {} could not be created: is it writable?", data_dir.display())
    })?;
    let phases = Phases::open(&env, &config.phase_trace_file)?;
    let layout = DataDir::new(data_dir);
    let plan = memory::plan(config)?;
    let storage = options::storage(config, &plan, &layout);
    let storage = geminga_bookie_storage::Options {
        trace: phases.as_ref().map(Phases::of_storage),
        ..storage
    };
    let storage = Storage::open(env.clone(), storage).await?;
    let store = Arc::new(open_store(&env, config, layout.metadata()).await?);
    identity::check(&store, &storage, data_dir).await?;
    if !config.journal_sync_data {
        warn!(
            "journalSyncData=false: receipts do not wait for the disk, a power failure loses data"
        );
    }

    let bookies = Arc::new(LocalBookies::new(storage.clone()));
    let deps = geminga_ledger::Deps::new(env.clone(), Arc::clone(&store) as SharedStore, bookies);
    let topics = TaskTracker::new();
    let parts = Parts { ledger: deps, tasks: topics.clone(), shutdown: CancellationToken::new() };
    let broker = options::broker(config, &plan, advertised)?;
    let pulsar = Arc::new(options::pulsar(config, &plan));
    let memory_parts = options::memory_parts(&plan, &storage, &pulsar);
    let phases = phases.as_ref().map(Phases::of_broker);
    let broker =
        Broker::start(parts, geminga_broker::Options { phases, memory_parts, ..broker }).await?;
    let doors = TaskTracker::new();
    let doors_shutdown = CancellationToken::new();
    let (tasks, shutdown) = (doors.clone(), doors_shutdown.clone());
    let counters = Arc::clone(&pulsar.counters);
    doors.spawn(geminga_pulsar::serve(
        broker.clone(),
        binary,
        pulsar,
        tasks.clone(),
        shutdown.clone(),
    ));
    let process = StandaloneProcess::new(
        env.clone(),
        layout,
        (storage.clone(), Arc::clone(&store), counters),
        (doors.clone(), doors_shutdown.clone()),
    );
    let admin = geminga_admin::Options {
        metrics: options::metrics(config),
        process: Some(Arc::new(process)),
        ..Default::default()
    };
    let admin = Arc::new(admin);
    doors.spawn(geminga_admin::serve(broker.clone(), web, admin, tasks, shutdown));
    let is_durable = config.journal_sync_data;
    Ok(Standalone { broker, storage, store, doors, doors_shutdown, topics, is_durable })
}

/// Checks what a start checks of a configuration, beyond each value alone.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    bind_address(config)?;
    memory::plan(config)?;
    Ok(())
}

fn bind_address(config: &Config) -> anyhow::Result<IpAddr> {
    config.bind_address.parse().with_context(|| {
        format!("bindAddress={}: expected an IP address such as 127.0.0.1", config.bind_address)
    })
}

async fn listen(env: &Env, address: SocketAddr, key: &str) -> anyhow::Result<Box<dyn Listener>> {
    match env.net.listen(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{key}: {address} is in use by another process; choose another port, or 0")
        }
        Err(error) => Err(error).context(format!("{key}: {address} could not be bound")),
    }
}

async fn open_store(
    env: &Env,
    config: &Config,
    directory: PathBuf,
) -> anyhow::Result<EmbeddedStore> {
    let (world, options) = (env.clone(), options::metadata(config));
    let open = move || geminga_metadata_embedded::open(&world, &directory, &options);
    Ok(env.workers.blocking(open).await?)
}

impl Standalone {
    /// What clients are told to connect to.
    #[must_use]
    pub fn broker_url(&self) -> &str {
        &self.broker.options().advertised.broker_url
    }

    /// Where the admin REST API is.
    #[must_use]
    pub fn http_url(&self) -> &str {
        &self.broker.options().advertised.http_url
    }

    /// Whether receipts wait for the disk.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// The broker.
    #[must_use]
    pub const fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The bookie's storage.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Waits until storage has failed for good, and says why.
    pub async fn failed(&self) -> String {
        let (mut storage, mut store) = (self.storage.failed(), self.store.failed());
        tokio::select! {
            biased;
            Ok(reason) = storage.wait_for(Option::is_some) => reason.clone().unwrap_or_default(),
            Ok(reason) = store.wait_for(Option::is_some) => {
                reason.as_deref().unwrap_or_default().to_owned()
            }
            else => std::future::pending().await,
        }
    }

    /// Stops intake, drains, answers the waiters, syncs, leaves.
    pub async fn shutdown(self) {
        self.broker.shutdown().await;
        self.doors_shutdown.cancel();
        self.doors.close();
        self.doors.wait().await;
        self.topics.close();
        self.topics.wait().await;
        self.store.close().await;
        if let Err(error) = self.storage.close().await {
            warn!(%error, "storage was not closed cleanly; it recovers at the next start");
        }
        info!("stopped");
    }
}
