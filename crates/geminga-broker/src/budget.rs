//! A named budget of bytes: admission before allocation, released by dropping the permit.
//!
//! While it is full, takers wait in a line: those of the highest priority first, among equals in the order in
//! which they came. Who waits longest is the next now and then whatever its priority, so that nobody starves.
//!
//! # Invariants
//!
//! 1. What is free and what is held are the limit together.
//! 2. Nobody takes at once while somebody waits.
//! 3. When nobody is at work, who is next needs more than is free.

mod line;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use line::{Line, Place};
use tokio::sync::oneshot;

/// A budget, shared by its users.
#[derive(Clone, Debug)]
pub struct Budget {
    name: &'static str,
    shared: Arc<Shared>,
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
pub struct BudgetPermit {
    from: Arc<Shared>,
    bytes: usize,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    free: AtomicUsize,
    /// How many are in line: each taker looks, without a lock.
    waiting: AtomicUsize,
    line: Mutex<Line>,
}

/// A place in line. Dropping it gives it up, with what it was given.
#[derive(Debug)]
struct Waiting<'a> {
    shared: &'a Shared,
    place: Place,
    bytes: usize,
    served: oneshot::Receiver<()>,
    is_over: bool,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(name: &'static str, limit: usize) -> Self {
        let (free, waiting) = (AtomicUsize::new(limit), AtomicUsize::new(0));
        let shared = Shared { limit, free, waiting, line: Mutex::default() };
        Self { name, shared: Arc::new(shared) }
    }

    /// Its name, as metrics show it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its size in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.shared.limit
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.limit.saturating_sub(self.shared.free.load(Ordering::Relaxed))
    }

    /// Takes `bytes`, waiting while the budget is full, with priority 0. More than the whole budget takes all
    /// of it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was taken.
    pub async fn take(&self, bytes: usize) -> BudgetPermit {
        self.take_with_priority(bytes, 0).await
    }

    /// Takes `bytes`, waiting while the budget is full; of those who wait the highest `priority` is served
    /// first. More than the whole budget takes all of it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was taken.
    pub async fn take_with_priority(&self, bytes: usize, priority: i32) -> BudgetPermit {
        let bytes = bytes.min(self.shared.limit);
        if self.shared.try_take(bytes) {
            return self.permit(bytes);
        }
        let mut waiting = self.shared.enter(bytes, priority);
        if (&mut waiting.served).await.is_err() {
            std::future::pending::<()>().await; // Who is in line is never forgotten.
        }
        waiting.is_over = true;
        self.permit(bytes)
    }

    /// Takes `bytes` if they are free now and nobody waits.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<BudgetPermit> {
        let bytes = bytes.min(self.shared.limit);
        self.shared.try_take(bytes).then(|| self.permit(bytes))
    }

    fn permit(&self, bytes: usize) -> BudgetPermit {
        BudgetPermit { from: Arc::clone(&self.shared), bytes }
    }
}

impl Shared {
    fn try_take(&self, bytes: usize) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.take_free(bytes)
    }

    fn take_free(&self, bytes: usize) -> bool {
        let order = Ordering::SeqCst;
        self.free.fetch_update(order, order, |free| free.checked_sub(bytes)).is_ok()
    }

    fn enter(&self, bytes: usize, priority: i32) -> Waiting<'_> {
        let (call, served) = oneshot::channel();
        let mut line = self.lock();
        let place = line.enter(priority, bytes, call);
        // Seen by who gives back from now on; what was given back before is seen here.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.serve(&mut line);
        Waiting { shared: self, place, bytes, served, is_over: false }
    }

    fn give_back(&self, bytes: usize) {
        self.free.fetch_add(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.serve(&mut self.lock());
        }
    }

    /// Gives those who are next what they wait for, as far as it goes.
    fn serve(&self, line: &mut Line) {
        while let Some((place, bytes)) = line.next() {
            if !self.take_free(bytes) {
                break;
            }
            line.call(place);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BudgetPermit {
    fn drop(&mut self) {
        self.from.give_back(self.bytes);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut line = self.shared.lock();
        if line.leave(self.place) {
            self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
        } else {
            self.shared.free.fetch_add(self.bytes, Ordering::SeqCst);
        }
        // Who was behind it may need less.
        self.shared.serve(&mut line);
    }
}

#[cfg(test)]
mod tests;
