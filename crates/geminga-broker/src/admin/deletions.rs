//! Deletions of tenants, namespaces and partitioned topics, as jobs that outlive who asked, and the broker.
//!
//! What is to go is recorded before any of it goes, and the record goes last. A broker that starts takes up
//! what it finds recorded; a job that fails is tried again, later and later. Every step may be repeated.
//!
//! # Invariants
//!
//! 1. While there is a record nothing of its name is created, and nothing in it.
//! 2. One job runs for a thing at a time; who asks again waits for that one.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use geminga_env::BoxFuture;
use geminga_metadata::{MetadataError, paths};
use geminga_types::{NamespaceName, TopicName};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{info, warn};

use super::unless_gone;
use crate::{AdminError, Broker, namespace::record};

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What is deleted, with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doomed {
    Tenant(String),
    Namespace(NamespaceName),
    PartitionedTopic(TopicName),
}

/// Its record.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    kind: String,
    name: String,
    /// When it was asked for, milliseconds since 1970.
    since: u64,
}

impl fmt::Display for Doomed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind} {name}")
    }
}

impl Doomed {
    pub(super) fn tenant(name: &str) -> Self {
        Self::Tenant(name.to_owned())
    }

    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Tenant(name) => ("tenant", name.clone()),
            Self::Namespace(name) => ("namespace", name.to_string()),
            Self::PartitionedTopic(name) => ("partitioned topic", name.to_string()),
        }
    }

    fn of(stored: &Stored) -> Option<Self> {
        match stored.kind.as_str() {
            "tenant" => Some(Self::tenant(&stored.name)),
            "namespace" => stored.name.parse().ok().map(Self::Namespace),
            "partitioned topic" => stored.name.parse().ok().map(Self::PartitionedTopic),
            _ => None,
        }
    }

    fn path(&self) -> String {
        paths::deletion(&self.to_string())
    }
}

/// How a job's first attempt ended; `None` until then.
type Outcome = Option<Result<(), AdminError>>;

/// The jobs that run on this broker.
#[derive(Debug, Default)]
pub(crate) struct Deletions(Mutex<BTreeMap<Doomed, watch::Receiver<Outcome>>>);

impl Deletions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Doomed, watch::Receiver<Outcome>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Takes up what was recorded and is not gone.
    pub(crate) async fn resume_deletions(&self) -> Result<(), MetadataError> {
        for name in record::children(self.deps(), paths::DELETIONS).await? {
            let path = format!("{}/{name}", paths::DELETIONS);
            let found = match record::read::<Stored>(self.deps(), &path).await {
                Ok(found) => found.and_then(|(stored, _)| Doomed::of(&stored)),
                Err(MetadataError::Corrupt(_)) => None,
                Err(error) => return Err(error),
            };
            match found {
                Some(doomed) => {
                    info!(%doomed, "a deletion goes on");
                    self.run_deletion(&doomed);
                }
                None => warn!(path, "what was to be deleted cannot be read, and stays"),
            }
        }
        Ok(())
    }

    /// Deletes something, or waits for the job that does. It goes on if nobody waits.
    ///
    /// # Errors
    ///
    /// Why the first attempt failed: others follow.
    pub(super) async fn delete_by_job(&self, doomed: &Doomed) -> Result<(), AdminError> {
        let running = self.running_deletion(doomed);
        let outcome = match running {
            Some(outcome) => outcome,
            None => {
                let (kind, name) = doomed.parts();
                let since = self.deps().env.clock.wall().0;
                let stored = Stored { kind: kind.to_owned(), name, since };
                record::create(self.deps(), &doomed.path(), &stored).await?;
                self.run_deletion(doomed)
            }
        };
        ended(doomed, outcome).await
    }

    /// Waits for a job that deletes this, if one runs. Returns whether one did.
    ///
    /// # Errors
    ///
    /// As [`Self::delete_by_job`].
    pub(super) async fn join_deletion(&self, doomed: &Doomed) -> Result<bool, AdminError> {
        let Some(outcome) = self.running_deletion(doomed) else { return Ok(false) };
        ended(doomed, outcome).await?;
        Ok(true)
    }

    /// Refuses while this is being deleted.
    ///
    /// # Errors
    ///
    /// If so.
    pub(super) async fn refuse_doomed(&self, doomed: &Doomed) -> Result<(), AdminError> {
        match record::read::<Stored>(self.deps(), &doomed.path()).await? {
            None => Ok(()),
            Some(_) => Err(AdminError::Conflict(format!("The {doomed} is being deleted"))),
        }
    }

    fn running_deletion(&self, doomed: &Doomed) -> Option<watch::Receiver<Outcome>> {
        self.deletions().lock().get(doomed).filter(|outcome| is_alive(outcome)).cloned()
    }

    fn run_deletion(&self, doomed: &Doomed) -> watch::Receiver<Outcome> {
        let mut running = self.deletions().lock();
        if let Some(outcome) = running.get(doomed).filter(|outcome| is_alive(outcome)) {
            return outcome.clone();
        }
        let (told, outcome) = watch::channel(None);
        running.insert(doomed.clone(), outcome.clone());
        let job: BoxFuture<'static, ()> =
            Box::pin(self.clone().carry_out_deletion(doomed.clone(), told));
        self.tasks().spawn(job);
        outcome
    }

    async fn carry_out_deletion(self, doomed: Doomed, told: watch::Sender<Outcome>) {
        let shutdown = self.shutdown_token().clone();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.delete_until_gone(&doomed, &told) => {}
        }
    }

    async fn delete_until_gone(&self, doomed: &Doomed, told: &watch::Sender<Outcome>) {
        let mut pause = RETRY_MIN;
        loop {
            let result = self.delete_once(doomed).await;
            let is_gone = result.is_ok();
            if let Err(error) = &result {
                warn!(%doomed, %error, seconds = pause.as_secs(), "a deletion failed, and is tried again");
            }
            if is_gone {
                // Before somebody is told: who then deletes another of that name does not join this job.
                self.deletions().lock().remove(doomed);
            }
            told.send_if_modified(|outcome| {
                let is_first = outcome.is_none();
                outcome.get_or_insert(result);
                is_first
            });
            if is_gone {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(RETRY_MAX);
        }
    }

    async fn delete_once(&self, doomed: &Doomed) -> Result<(), AdminError> {
        match doomed {
            Doomed::Tenant(name) => self.erase_tenant(name).await?,
            Doomed::Namespace(name) => self.erase_namespace(name).await?,
            Doomed::PartitionedTopic(name) => {
                unless_gone(self.erase_partitioned(name, true).await)?;
            }
        }
        record::delete_any(self.deps(), &doomed.path()).await?;
        Ok(())
    }
}

/// Whether somebody will still say how it ended.
fn is_alive(outcome: &watch::Receiver<Outcome>) -> bool {
    outcome.has_changed().is_ok()
}

async fn ended(doomed: &Doomed, mut outcome: watch::Receiver<Outcome>) -> Result<(), AdminError> {
    let stopped = || {
        AdminError::Unavailable(format!(
            "The broker stops; the {doomed} is deleted when it is back"
        ))
    };
    match outcome.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(stopped())),
        Err(_) => Err(stopped()),
    }
}
