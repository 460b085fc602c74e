//! Storage that is slow when a test says so.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use geminga_bookie::LocalBookies;
use geminga_bookie_api::{
    AddEntry, AddError, AddSink, Bookie, BookieId, Bookies, FenceAnswer, ReadError, StoredEntry,
};
use geminga_env::BoxFuture;
use geminga_metadata::{
    Expected, Lifetime, MemoryStore, MetadataError, MetadataStore, Page, Version, Versioned, Watch,
};
use geminga_types::{EntryId, LedgerId};
use tokio::sync::watch;

/// A local bookie that holds back entries that end with some bytes.
#[derive(Clone, Debug)]
pub(crate) struct HeldBookie {
    id: BookieId,
    inner: Arc<dyn Bookie>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    ending: Option<&'static [u8]>,
    held: Vec<(Vec<AddEntry>, Arc<dyn AddSink>)>,
}

impl HeldBookie {
    pub(crate) fn new(bookies: LocalBookies) -> Self {
        let id = bookies.choose(1).unwrap().remove(0);
        let inner = bookies.get(&id).unwrap();
        Self { id, inner, state: Arc::default() }
    }

    /// Holds back entries that end with `ending`.
    pub(crate) fn hold(&self, ending: &'static [u8]) {
        self.state().ending = Some(ending);
    }

    /// Stores what is held, and holds nothing more.
    pub(crate) fn release(&self) {
        self.state().ending = None;
        let held = std::mem::take(&mut self.state().held);
        for (entries, sink) in held {
            self.inner.add(entries, sink);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Bookie for HeldBookie {
    fn id(&self) -> &BookieId {
        &self.id
    }

    fn add(&self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>) {
        let mut state = self.state();
        if let Some(ending) = state.ending
            && entries.iter().any(|entry| entry.body.ends_with(ending))
        {
            state.held.push((entries, sink));
        } else {
            drop(state);
            self.inner.add(entries, sink);
        }
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, ReadError>> {
        self.inner.read(ledger_id, first, last, bytes_max)
    }

    fn fence(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<FenceAnswer, ReadError>> {
        self.inner.fence(ledger_id)
    }

    fn delete(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<(), AddError>> {
        self.inner.delete(ledger_id)
    }
}

impl Bookies for HeldBookie {
    fn choose(&self, ensemble_size: usize) -> Result<Vec<BookieId>, usize> {
        if ensemble_size == 1 { Ok(vec![self.id.clone()]) } else { Err(1) }
    }

    fn get(&self, id: &BookieId) -> Option<Arc<dyn Bookie>> {
        (*id == self.id).then(|| Arc::new(self.clone()) as Arc<dyn Bookie>)
    }
}

/// A store that holds back writes of keys that contain some text.
#[derive(Debug)]
pub(crate) struct HeldStore {
    inner: Arc<MemoryStore>,
    part: watch::Sender<Option<&'static str>>,
}

impl HeldStore {
    pub(crate) fn over(inner: Arc<MemoryStore>) -> Self {
        Self { inner, part: watch::channel(None).0 }
    }

    /// Holds back writes of keys that contain `part`; `None` lets all go on.
    pub(crate) fn hold(&self, part: Option<&'static str>) {
        self.part.send_replace(part);
    }
}

impl MetadataStore for HeldStore {
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
        self.inner.get(path)
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        lifetime: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>> {
        Box::pin(async move {
            let mut part = self.part.subscribe();
            let is_free = |part: &Option<&str>| part.is_none_or(|part| !path.contains(part));
            part.wait_for(is_free).await.unwrap();
            self.inner.put(path, value, expected, lifetime).await
        })
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        self.inner.delete(path, expected)
    }

    fn children<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>> {
        self.inner.children(path, after, limit)
    }

    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>> {
        self.inner.next_in_sequence(path)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }
}
