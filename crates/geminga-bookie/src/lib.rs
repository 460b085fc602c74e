//! The bookie: its storage behind the interface that ledger clients use.
//!
//! [`LocalBookies`] is the whole cluster of a standalone server: one bookie, in this process.

use std::sync::Arc;

use geminga_bookie_api::{Bookie, BookieId, Bookies};
use geminga_bookie_storage::Storage;

/// One bookie in this process, chosen for every ledger.
#[derive(Clone, Debug)]
pub struct LocalBookies {
    storage: Storage,
}

impl LocalBookies {
    /// A cluster of this one.
    #[must_use]
    pub const fn new(storage: Storage) -> Self {
        Self { storage }
    }

    /// The bookie's storage.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }
}

impl Bookies for LocalBookies {
    fn choose(&self, ensemble_size: usize) -> Result<Vec<BookieId>, usize> {
        match ensemble_size {
            0 => Ok(Vec::new()),
            1 => Ok(vec![self.storage.id().clone()]),
            _ => Err(1),
        }
    }

    fn get(&self, id: &BookieId) -> Option<Arc<dyn Bookie>> {
        (id == self.storage.id()).then(|| Arc::new(self.storage.clone()) as Arc<dyn Bookie>)
    }
}

#[cfg(test)]
mod tests {
    use geminga_bookie_storage::Options;
    use geminga_env::Env;

    use super::*;

    #[tokio::test]
    async fn the_one_bookie_is_chosen_for_every_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            journal_file_bytes: 64 << 10,
            min_free_bytes: 0,
            ..Options::new(dir.path(), dir.path())
        };
        let storage = Storage::open(Env::system(), options).await.unwrap();
        let bookies = LocalBookies::new(storage);
        let chosen = bookies.choose(1).unwrap();
        assert_eq!(bookies.get(&chosen[0]).unwrap().id(), &chosen[0]);
        assert_eq!(bookies.choose(2), Err(1));
        assert!(bookies.get(&BookieId("another".into())).is_none());
        bookies.storage().close().await.unwrap();
    }
}
