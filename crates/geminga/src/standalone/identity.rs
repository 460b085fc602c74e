//! Whether the metadata store and the bookie's directories belong together.
//!
//! The store's instance id is the bookie's own id, written at the first start. A store that lost its
//! newest ledger ids would give them out again, over entries that are there: it is refused as well.

use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use geminga_bookie_api::Bookie as _;
use geminga_bookie_storage::Storage;
use geminga_metadata::{Decision, MetadataStore as _, paths, update};
use geminga_metadata_embedded::EmbeddedStore;

/// Refuses a store that is not this bookie's, or is older than its ledgers.
pub(super) async fn check(
    store: &EmbeddedStore,
    storage: &Storage,
    data_dir: &Path,
) -> anyhow::Result<()> {
    let ours = storage.id().0.to_string();
    let found = store.get(paths::LEDGER_INSTANCE_ID).await?;
    let found = found.map(|found| String::from_utf8_lossy(&found.value).into_owned());
    if let Some(theirs) = found.filter(|theirs| *theirs != ours) {
        bail!(
            "data directory {0}: {0}/metadata belongs to a bookie with the id {theirs}, and \
             {0}/bookkeeper is of {ours}; put back the directory that belongs to the other",
            data_dir.display()
        );
    }
    if let Some(newest) = storage.newest_ledger() {
        let next = store.first_unreserved(paths::LEDGER_IDS)?;
        if i64::try_from(next).is_ok_and(|next| next <= newest.0) {
            bail!(
                "data directory {0}: {0}/metadata is missing or older than {0}/bookkeeper: it would \
                 give out ledger {next} next, and there are ledgers up to {newest}; put back the \
                 newest copy of it",
                data_dir.display()
            );
        }
    }
    update(store, paths::LEDGER_INSTANCE_ID, |current| match current {
        Some(_) => Decision::Leave(()),
        None => Decision::Write(Bytes::from(ours.clone()), ()),
    })
    .await
    .context("the metadata store's instance id")
}
