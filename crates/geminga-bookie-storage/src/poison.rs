//! What happens after a failed write or sync: nothing more.
//!
//! After a failed `fsync` the kernel may have dropped the dirty pages and marked them clean, so a
//! second one proves nothing (Rebello et al., "Can Applications Recover from fsync Failures?",
//! USENIX ATC 2020). The storage then fails everything, and the process stops.

use tokio::sync::watch;
use tracing::error;

/// Whether the storage has failed for good, and why.
#[derive(Debug)]
pub(crate) struct Poison(watch::Sender<Option<String>>);

impl Poison {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Fails the storage. The first reason stays.
    pub(crate) fn set(&self, reason: &str) {
        let is_first = self.0.send_if_modified(|state| {
            let is_first = state.is_none();
            state.get_or_insert_with(|| reason.to_owned());
            is_first
        });
        if is_first {
            error!(reason, "the storage failed and must be restarted");
        }
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.0.subscribe()
    }
}
