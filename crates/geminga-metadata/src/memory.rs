//! A store in memory, for tests and simulations.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use geminga_env::BoxFuture;

use crate::{
    Expected, Lifetime, MetadataError, MetadataStore, Page, Version, Versioned, Watch, Watchers,
    key,
};

/// A store in memory. Ephemeral keys live as long as it does.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    watchers: Watchers,
}

#[derive(Debug, Default)]
struct State {
    keys: BTreeMap<Vec<u8>, Versioned>,
    sequences: BTreeMap<Vec<u8>, u64>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(
        &self,
        path: &str,
        value: Bytes,
        expected: Expected,
    ) -> Result<Version, MetadataError> {
        let key = key::encode(path)?;
        key::check_value(path, &value)?;
        let mut state = self.state();
        let found = state.keys.get(&key).map(|found| found.version);
        let version = expected.next_version(path, found)?;
        state.keys.insert(key, Versioned { value, version });
        drop(state);
        self.watchers.changed(path);
        Ok(version)
    }

    fn remove(&self, path: &str, expected: Expected) -> Result<(), MetadataError> {
        let key = key::encode(path)?;
        let mut state = self.state();
        let found = state.keys.get(&key).map(|found| found.version);
        expected.check_delete(path, found)?;
        state.keys.remove(&key);
        drop(state);
        self.watchers.changed(path);
        Ok(())
    }
}

impl MetadataStore for MemoryStore {
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
        Box::pin(async move { Ok(self.state().keys.get(&key::encode(path)?).cloned()) })
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        _lifetime: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>> {
        Box::pin(async move { self.write(path, value, expected) })
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(async move { self.remove(path, expected) })
    }

    fn children<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>> {
        Box::pin(async move {
            let state = self.state();
            key::list_children(path, after, limit, |from| {
                let rest = (Bound::Included(from), Bound::Unbounded);
                Ok(state.keys.range::<[u8], _>(rest).next().map(|(key, _)| key.clone()))
            })
        })
    }

    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>> {
        Box::pin(async move {
            let key = key::encode(path)?;
            let mut state = self.state();
            let next = state.sequences.entry(key).or_default();
            let number = *next;
            *next += 1;
            Ok(number)
        })
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.watchers.watch(prefix)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::MemoryStore;
    use crate::{SharedStore, contract};

    #[tokio::test(start_paused = true)]
    async fn it_keeps_the_contract() {
        contract::run(|| async { Arc::new(MemoryStore::new()) as SharedStore }).await;
    }

    #[tokio::test(start_paused = true)]
    async fn its_users_get_by_under_the_adversary() {
        for seed in 0..100 {
            contract::run_adversary(Arc::new(MemoryStore::new()), seed).await;
        }
    }
}
