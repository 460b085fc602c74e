//! One connection per broker, opened when it is first needed and again after it was lost.
//!
//! # Invariants
//!
//! 1. At most one attempt per broker is under way; when it fails, the next caller makes a new one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use geminga_env::Env;
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ClientError,
    connection::{Connection, Settings},
    route::Route,
};

#[derive(Debug)]
pub(super) struct Pool {
    env: Env,
    settings: Settings,
    slots: Mutex<BTreeMap<Route, Arc<OnceCell<Connection>>>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Pool {
    pub(super) fn new(env: Env, settings: Settings) -> Self {
        Self {
            env,
            settings,
            slots: Mutex::new(BTreeMap::new()),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

    /// The connection to a broker.
    pub(super) async fn get(&self, route: &Route) -> Result<Connection, ClientError> {
        let slot = self.slot(route);
        let open = || {
            let shutdown = self.shutdown.clone();
            Connection::open(&self.env, route, &self.settings, &self.tasks, shutdown)
        };
        slot.get_or_try_init(open).await.cloned()
    }

    pub(super) async fn close(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn slot(&self, route: &Route) -> Arc<OnceCell<Connection>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(route.clone()).or_default();
        if slot.get().is_some_and(Connection::is_closed) {
            *slot = Arc::default();
        }
        Arc::clone(slot)
    }
}
