//! A metadata store whose writes a test holds back, or spoils.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use geminga_env::BoxFuture;
use geminga_metadata::{
    Expected, Lifetime, MemoryStore, MetadataError, MetadataStore, Page, Version, Versioned, Watch,
};
use tokio::sync::watch;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    Made,
    /// Not made until this is changed.
    Held,
    /// Never made, nor answered.
    Lost,
    /// Not made: the store is away.
    Refused,
    /// The task that writes panics.
    Panicking,
}

#[derive(Debug)]
pub(crate) struct FakeStore {
    inner: Arc<MemoryStore>,
    /// Writes of keys that contain this.
    rule: watch::Sender<(String, Writes)>,
    held: Mutex<usize>,
    /// How many writes are made before all others are lost, if that is so.
    left: Mutex<Option<usize>>,
}

impl FakeStore {
    pub(crate) fn new() -> Self {
        let (rule, _) = watch::channel((String::new(), Writes::Made));
        Self {
            inner: Arc::new(MemoryStore::new()),
            rule,
            held: Mutex::default(),
            left: Mutex::default(),
        }
    }

    /// Another way to what is stored, with its own rule.
    pub(crate) fn another(&self) -> Self {
        let (rule, _) = watch::channel((String::new(), Writes::Made));
        Self {
            inner: Arc::clone(&self.inner),
            rule,
            held: Mutex::default(),
            left: Mutex::default(),
        }
    }

    /// What becomes of writes of keys that contain `part`; others are made.
    pub(crate) fn set_writes(&self, part: &str, writes: Writes) {
        self.rule.send_replace((part.to_owned(), writes));
    }

    /// So many writes more are made; what comes then is lost.
    pub(crate) fn lose_after(&self, writes: usize) {
        *self.left.lock().unwrap() = Some(writes);
    }

    fn counted(&self) -> bool {
        match &mut *self.left.lock().unwrap() {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    /// How many writes were ever held.
    pub(crate) fn held(&self) -> usize {
        *self.held.lock().unwrap()
    }

    /// The value of a key.
    pub(crate) async fn value(&self, path: &str) -> Option<Bytes> {
        self.inner.get(path).await.unwrap().map(|found| found.value)
    }

    fn rule_of(&self, path: &str) -> Writes {
        let rule = self.rule.borrow();
        if path.contains(&rule.0) { rule.1 } else { Writes::Made }
    }

    async fn wait(&self, path: &str) -> Result<(), MetadataError> {
        let mut changes = self.rule.subscribe();
        let mut is_noted = false;
        loop {
            match self.rule_of(path) {
                Writes::Made if self.counted() => return Ok(()),
                Writes::Made => return std::future::pending().await,
                Writes::Refused => {
                    return Err(MetadataError::Unavailable("as the test says".to_owned()));
                }
                Writes::Lost => return std::future::pending().await,
                Writes::Panicking => panic!("a test made this write panic"),
                Writes::Held => {
                    if !is_noted {
                        *self.held.lock().unwrap() += 1;
                        is_noted = true;
                    }
                    changes.changed().await.unwrap();
                }
            }
        }
    }
}

impl MetadataStore for FakeStore {
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
            self.wait(path).await?;
            self.inner.put(path, value, expected, lifetime).await
        })
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(async move {
            self.wait(path).await?;
            self.inner.delete(path, expected).await
        })
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
