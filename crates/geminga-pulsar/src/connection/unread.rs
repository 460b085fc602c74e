//! While a connection is not read, since what it sends has to wait, its client's PINGs lie behind that.
//! It gets PONGs all the same, or it would take a slow server for a dead one.

use std::{future::Future, pin::pin, time::Duration};

use futures_util::poll;
use geminga_env::Instant;

use super::Connection;

/// Clients of Pulsar give up after twice their keep-alive interval, which is 30 s unless configured.
const PONG_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// What a reader notes of that.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// When the next PONG is due; `None` while everything that has come is read.
    pong_at: Option<Instant>,
}

impl Unread {
    /// Waits for `work`, which keeps the connection from being read.
    pub(super) async fn wait<T>(
        &mut self,
        connection: &Connection,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        if let std::task::Poll::Ready(done) = poll!(work.as_mut()) {
            return done;
        }
        let interval = interval(connection.options().keep_alive);
        loop {
            let pong_at = *self.pong_at.get_or_insert_with(|| connection.now() + interval);
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep_until(pong_at) => {
                    connection.answer_ping();
                    self.pong_at = Some(connection.now() + interval);
                }
            }
        }
    }

    /// Whether there may be something that has come and is not read.
    pub(super) const fn is_behind(&self) -> bool {
        self.pong_at.is_some()
    }

    /// Everything that has come is read.
    pub(super) const fn caught_up(&mut self) {
        self.pong_at = None;
    }
}

/// Who wants our PINGs more often wants PONGs more often.
fn interval(keep_alive: Duration) -> Duration {
    if keep_alive.is_zero() { PONG_INTERVAL_MAX } else { PONG_INTERVAL_MAX.min(keep_alive / 2) }
}
