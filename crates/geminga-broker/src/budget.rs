//! A named budget of bytes: admission before allocation, released by dropping the permit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A budget, shared by its users.
#[derive(Clone, Debug)]
pub struct Budget {
    name: &'static str,
    limit: usize,
    semaphore: Arc<Semaphore>,
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
pub struct BudgetPermit {
    _held: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(name: &'static str, limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { name, limit, semaphore: Arc::new(Semaphore::new(limit)) }
    }

    /// Its name, as metrics show it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.limit.saturating_sub(self.semaphore.available_permits())
    }

    /// Takes `bytes`, waiting while the budget is full. More than the whole budget takes all of it.
    pub async fn take(&self, bytes: usize) -> BudgetPermit {
        let bytes = u32::try_from(bytes.min(self.limit)).unwrap_or(u32::MAX);
        match Arc::clone(&self.semaphore).acquire_many_owned(bytes).await {
            Ok(held) => BudgetPermit { _held: held },
            Err(_) => std::future::pending().await, // A budget is never closed.
        }
    }

    /// Takes `bytes` if they are free now.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<BudgetPermit> {
        let bytes = u32::try_from(bytes.min(self.limit)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.semaphore).try_acquire_many_owned(bytes).ok()?;
        Some(BudgetPermit { _held: permit })
    }
}
