//! What comes back to a topic from the journal's thread, from connections' writers and from work that
//! it started (`A`).
//!
//! They call from where nothing may wait, so this is no channel: a leaf lock around what has come
//! in, and one notification for all of it. It is bounded by what the topic itself has in flight:
//! one result for each add, one wake for each consumer whose connection was full, one answer for
//! each work.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use geminga_bookie_api::{AddEntry, AddError, AddSink, BookieId};
use geminga_types::{EntryId, LedgerId};
use tokio::sync::Notify;

pub(super) type Added = (LedgerId, EntryId, Result<(), AddError>);

/// The inbox; clones are the same one.
#[derive(Debug)]
pub(super) struct Inbox<A>(Arc<Shared<A>>);

#[derive(Debug)]
struct Shared<A> {
    arrived: Mutex<Arrived<A>>,
    notify: Notify,
}

/// Everything that has come in since it was last taken.
#[derive(Debug)]
pub(super) struct Arrived<A> {
    /// What bookies stored, in order for each.
    pub(super) added: Vec<(BookieId, Vec<Added>)>,
    /// Consumers whose connections have room again.
    pub(super) writable: BTreeSet<u64>,
    /// Answers of work, in the order in which it ended.
    pub(super) answers: Vec<A>,
}

impl<A> Default for Arrived<A> {
    fn default() -> Self {
        Self { added: Vec::new(), writable: BTreeSet::new(), answers: Vec::new() }
    }
}

impl<A> Default for Inbox<A> {
    fn default() -> Self {
        Self(Arc::new(Shared { arrived: Mutex::default(), notify: Notify::new() }))
    }
}

impl<A> Clone for Inbox<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: fmt::Debug + Send + 'static> Inbox<A> {
    /// Waits until something has come in. Cancel safe.
    pub(super) async fn arrived(&self) {
        self.0.notify.notified().await;
    }

    pub(super) fn take(&self) -> Arrived<A> {
        std::mem::take(&mut self.0.lock())
    }

    pub(super) fn put_writable(&self, consumer: u64) {
        self.0.lock().writable.insert(consumer);
        self.0.notify.notify_one();
    }

    pub(super) fn put_answer(&self, answer: A) {
        self.0.lock().answers.push(answer);
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

impl<A> Shared<A> {
    fn lock(&self) -> MutexGuard<'_, Arrived<A>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: fmt::Debug + Send> AddSink for Shared<A> {
    fn on_added(&self, bookie: &BookieId, results: Vec<Added>) {
        self.lock().added.push((bookie.clone(), results));
        self.notify.notify_one();
    }
}
