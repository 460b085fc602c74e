//! Threads for work that blocks: the journal's, the metadata store's, reads from files.
//!
//! In a simulated world there are none: a worker is a task, blocking work runs where it was asked
//! for, and the same machines run under both.

use std::{
    fmt, io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use tokio::sync::Notify;

/// Whether a worker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Wait for the next ring.
    Continue,
    /// The worker is done; its thread or task ends.
    Stop,
}

/// Wakes a worker. Rings while it works are merged into one.
#[derive(Clone, Default)]
pub struct Bell(Arc<BellState>);

#[derive(Default)]
struct BellState {
    rung: Mutex<bool>,
    for_thread: Condvar,
    for_task: Notify,
}

/// Starts workers and runs blocking work.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    simulated: bool,
}

impl Bell {
    /// A bell that nobody has rung.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the worker, now or when it next waits. Never blocks.
    pub fn ring(&self) {
        let was_rung = std::mem::replace(
            &mut *self.0.rung.lock().unwrap_or_else(PoisonError::into_inner),
            true,
        );
        if !was_rung {
            self.0.for_thread.notify_one();
            self.0.for_task.notify_one();
        }
    }

    fn take(&self) -> bool {
        std::mem::take(&mut *self.0.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait(&self) {
        let mut rung = self.0.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !std::mem::take(&mut *rung) {
            rung = self.0.for_thread.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

impl Workers {
    /// Real threads.
    #[must_use]
    pub const fn threads() -> Self {
        Self { simulated: false }
    }

    /// Tasks on the current runtime: for simulated worlds.
    #[must_use]
    pub const fn tasks() -> Self {
        Self { simulated: true }
    }

    /// Runs `work` each time `bell` rings, until it says [`Control::Stop`].
    ///
    /// One worker per bell. If `work` panics on a thread the process ends: nobody could answer those
    /// who wait for the worker.
    ///
    /// On a thread named `name`, or in a simulated world on a task, where `work` is called once per
    /// ring after a yield, so that other tasks run between.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn spawn(
        &self,
        name: &str,
        bell: Bell,
        mut work: impl FnMut() -> Control + Send + 'static,
    ) -> io::Result<()> {
        if self.simulated {
            #[expect(
                clippy::disallowed_methods,
                reason = "stands for a thread, which has no owner"
            )]
            tokio::spawn(async move {
                loop {
                    bell.0.for_task.notified().await;
                    // A stored ring answers without waiting: let others run all the same.
                    tokio::task::yield_now().await;
                    if bell.take() && work() == Control::Stop {
                        return;
                    }
                }
            });
            return Ok(());
        }
        let worker = name.to_owned();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let run = AssertUnwindSafe(|| {
                loop {
                    bell.wait();
                    if work() == Control::Stop {
                        return;
                    }
                }
            });
            if panic::catch_unwind(run).is_err() {
                // Those who wait for this worker would wait for ever.
                tracing::error!(worker, "a worker panicked; the process ends");
                std::process::abort();
            }
        })?;
        Ok(())
    }

    /// Runs work that blocks for a bounded time, such as a read from a file.
    ///
    /// # Panics
    ///
    /// Passes on a panic of `work`.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if self.simulated {
            tokio::task::yield_now().await;
            return work();
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                // The runtime is shutting down; nobody will read the answer.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
