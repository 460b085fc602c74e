//! When a run begins, what of it is measured, and when it ends.
//!
//! Before the start everything is prepared; then comes the warm-up, then what is measured, until the
//! stop; then what is on its way may still arrive, until the finish.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use geminga_env::{Env, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::options::Length;

#[derive(Debug)]
pub(super) struct Run {
    pub(super) env: Env,
    epoch: Instant,
    length: Length,
    start: OnceLock<u64>,
    started: CancellationToken,
    stop: CancellationToken,
    finish: CancellationToken,
    received: AtomicU64,
    more_received: Notify,
}

/// What of a run is measured: nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) from: u64,
    pub(super) to: Option<u64>,
}

impl Window {
    /// Whether a message that was due then counts.
    pub(super) fn holds(&self, due: u64) -> bool {
        self.from <= due && self.to.is_none_or(|to| due < to)
    }
}

impl Run {
    pub(super) fn new(env: Env, length: Length) -> Self {
        Self {
            epoch: env.clock.now(),
            env,
            length,
            start: OnceLock::new(),
            started: CancellationToken::new(),
            stop: CancellationToken::new(),
            finish: CancellationToken::new(),
            received: AtomicU64::new(0),
            more_received: Notify::new(),
        }
    }

    /// Nanoseconds since the epoch.
    pub(super) fn now(&self) -> u64 {
        nanos(self.env.clock.now() - self.epoch)
    }

    /// A time since the epoch as others know it.
    pub(super) fn instant(&self, at: u64) -> Instant {
        self.epoch + Duration::from_nanos(at)
    }

    /// Messages in all, if that is limited.
    pub(super) const fn messages_max(&self) -> Option<u64> {
        match self.length.messages {
            0 => None,
            messages => Some(messages),
        }
    }

    /// Begins, unless it has begun.
    pub(super) fn start(&self) -> Window {
        let start = *self.start.get_or_init(|| self.now());
        self.started.cancel();
        self.window_from(start)
    }

    /// What is measured, once it has begun.
    pub(super) async fn window(&self) -> Window {
        self.started.cancelled().await;
        self.start()
    }

    fn window_from(&self, start: u64) -> Window {
        let from = start.saturating_add(nanos(self.length.warm_up()));
        let to = self.length.measured().map(|measured| from.saturating_add(nanos(measured)));
        Window { start, from, to }
    }

    /// Nothing more is sent, or counted.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Nothing more is waited for.
    pub(super) fn finish(&self) {
        self.finish.cancel();
    }

    pub(super) async fn finished(&self) {
        self.finish.cancelled().await;
    }

    /// Messages came; whether there are as many as were asked for.
    pub(super) fn on_received(&self, messages: u64) -> bool {
        let all = self.received.fetch_add(messages, Ordering::Relaxed) + messages;
        self.more_received.notify_one();
        self.messages_max().is_some_and(|max| max <= all)
    }

    /// Waits for so many messages; for one who waits.
    pub(super) async fn received_at_least(&self, wanted: u64) {
        while self.received.load(Ordering::Relaxed) < wanted {
            self.more_received.notified().await;
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
