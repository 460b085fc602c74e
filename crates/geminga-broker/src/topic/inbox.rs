//! What comes back to a topic from the journal's thread and from connections' writers.
//!
//! Both call from where nothing may wait, so this is no channel: a leaf lock around what has come
//! in, and one notification for all of it. It is bounded by what the topic itself has in flight:
//! one result for each add, one wake for each consumer whose connection was full.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use geminga_bookie_api::{AddEntry, AddError, AddSink, BookieId};
use geminga_types::{EntryId, LedgerId};
use tokio::sync::Notify;

pub(super) type Added = (LedgerId, EntryId, Result<(), AddError>);

/// The inbox; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    arrived: Mutex<Arrived>,
    notify: Notify,
}

/// Everything that has come in since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// What bookies stored, in order for each.
    pub(super) added: Vec<(BookieId, Vec<Added>)>,
    /// Consumers whose connections have room again.
    pub(super) writable: BTreeSet<u64>,
}

impl Inbox {
    /// Waits until something has come in. Cancel safe.
    pub(super) async fn arrived(&self) {
        self.0.notify.notified().await;
    }

    pub(super) fn take(&self) -> Arrived {
        std::mem::take(&mut self.0.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put_writable(&self, consumer: u64) {
        let mut arrived = self.0.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.writable.insert(consumer);
        drop(arrived);
        self.0.notify.notify_one();
    }

    /// Answers adds for a bookie that nobody knows.
    pub(super) fn refuse(&self, bookie: &BookieId, entries: &[AddEntry]) {
        let refusal = |entry: &AddEntry| {
            let error = AddError::Failed(format!("bookie {bookie} is not known"));
            (entry.ledger_id, entry.entry_id, Err(error))
        };
        self.0.on_added(bookie, entries.iter().map(refusal).collect());
    }

    /// Itself, as bookies call it.
    pub(super) fn sink(&self) -> Arc<dyn AddSink> {
        Arc::clone(&self.0) as Arc<dyn AddSink>
    }
}

impl AddSink for Shared {
    fn on_added(&self, bookie: &BookieId, results: Vec<Added>) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.added.push((bookie.clone(), results));
        drop(arrived);
        self.notify.notify_one();
    }
}
