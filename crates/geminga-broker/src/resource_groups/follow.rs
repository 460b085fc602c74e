//! The groups in force are those of the metadata store, whoever has changed them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use geminga_ledger::Deps;
use geminga_metadata::{
    Change, MetadataError, Watch, paths,
    values::{policies::JsonValue as _, resource_group::ResourceGroup},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ResourceGroups;
use crate::namespace::record;

/// How long after a failed look at the groups the next one is.
const RETRY: Duration = Duration::from_secs(1);

impl ResourceGroups {
    /// Follows the store until the broker shuts down.
    pub(crate) async fn follow(
        self: Arc<Self>,
        deps: Deps,
        mut changes: Watch,
        shutdown: CancellationToken,
    ) {
        loop {
            if let Err(error) = self.refresh(&deps).await {
                warn!(%error, "resource groups could not be read");
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => continue,
                }
            }
            loop {
                let change = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    change = changes.recv() => change,
                };
                match change {
                    Some(Change::SessionLost) => {}
                    Some(_) => break,
                    None => return, // The store is gone, and with it the broker.
                }
            }
        }
    }

    /// Reads all groups. One that is damaged limits nothing until it is replaced or deleted.
    pub(crate) async fn refresh(&self, deps: &Deps) -> Result<(), MetadataError> {
        let mut wanted: BTreeMap<Arc<str>, ResourceGroup> = BTreeMap::new();
        for part in record::children(deps, paths::RESOURCE_GROUPS).await? {
            let Some(name) = paths::decode(&part) else { continue };
            let Some(found) = deps.metadata.get(&paths::resource_group(&name)).await? else {
                continue;
            };
            match ResourceGroup::decode(&found.value) {
                Ok(group) => _ = wanted.insert(name.into(), group),
                Err(error) => warn!(%name, %error, "a resource group is not in force"),
            }
        }
        self.set_all(wanted);
        Ok(())
    }
}
