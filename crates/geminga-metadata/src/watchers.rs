//! Who watches what, for stores that see their own changes.
//!
//! # Invariants
//!
//! 1. A change is never lost. When fewer than [`RESERVED`] places are free, the last element of the
//!    channel is no path: it makes its receiver read everything again, now ([`Change::Everything`],
//!    [`Change::SessionRegained`]) or when it is followed by that ([`Change::SessionLost`]).
//! 2. Every [`Change::SessionLost`] has a place behind it for its [`Change::SessionRegained`].

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::{Change, Watch};

/// Changes that a channel holds one by one.
const CHANGES_MAX: usize = 128;
/// Places kept for `Everything` and for session changes.
const RESERVED: usize = 3;

/// The watchers of one store.
#[derive(Debug, Default)]
pub struct Watchers(Mutex<Vec<Watcher>>);

#[derive(Debug)]
struct Watcher {
    prefix: String,
    sender: mpsc::Sender<Change>,
}

impl Watchers {
    /// Nobody watches yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a watcher of keys that begin with `prefix`. It leaves by dropping its end.
    pub fn watch(&self, prefix: &str) -> Watch {
        let (sender, watch) = mpsc::channel(CHANGES_MAX + RESERVED);
        let watcher = Watcher { prefix: prefix.to_owned(), sender };
        self.with(|watchers| watchers.push(watcher));
        watch
    }

    /// Tells of a written or deleted key. Call it once the change can be read.
    pub fn changed(&self, path: &str) {
        self.with(|watchers| {
            for watcher in watchers.iter().filter(|watcher| path.starts_with(&watcher.prefix)) {
                watcher.send(Change::Path(path.to_owned()));
            }
        });
    }

    /// Tells everybody of the session or of [`Change::Everything`].
    pub fn everybody(&self, change: &Change) {
        self.with(|watchers| {
            for watcher in watchers {
                watcher.send(change.clone());
            }
        });
    }

    fn with(&self, visit: impl FnOnce(&mut Vec<Watcher>)) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| !watcher.sender.is_closed());
        visit(&mut watchers);
    }
}

impl Watcher {
    fn send(&self, change: Change) {
        // Only this side fills the channel, under the lock: meanwhile there can but be more room.
        let room = self.sender.capacity();
        let change = match change {
            Change::Path(_) if room > RESERVED => change,
            Change::Path(_) | Change::Everything if room == RESERVED => Change::Everything,
            Change::Everything if room > RESERVED => change,
            Change::SessionLost if room > 1 => change,
            Change::SessionRegained if room > 0 => change,
            // What is there already says it.
            _ => return,
        };
        // A receiver that is gone wants nothing.
        drop(self.sender.try_send(change));
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// What a receiver believes.
    struct Receiver {
        watch: Watch,
        has_session: bool,
        /// The last told path that it has not read since.
        unread: Option<String>,
    }

    impl Receiver {
        fn receive(&mut self) -> bool {
            match self.watch.try_recv() {
                Ok(Change::Path(path)) if self.unread.as_ref() != Some(&path) => {}
                Ok(Change::Path(_) | Change::Everything) => self.unread = None,
                Ok(Change::SessionLost) => self.has_session = false,
                Ok(Change::SessionRegained) => (self.has_session, self.unread) = (true, None),
                Err(_) => return false,
            }
            true
        }
    }

    /// Goal: whatever was told, a receiver that reads on ends up knowing it.
    /// Method: random telling and receiving; then all is received, and nothing may be unread.
    #[test]
    fn nothing_is_lost_however_slow_the_receiver() {
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let watchers = Watchers::new();
            let watch = watchers.watch("/");
            let mut receiver = Receiver { watch, has_session: true, unread: None };
            let mut has_session = true;
            for told in 0..rng.random_range(0..800) {
                match rng.random_range(0..20) {
                    0 => {
                        let change =
                            if has_session { Change::SessionLost } else { Change::SessionRegained };
                        has_session = !has_session;
                        watchers.everybody(&change);
                    }
                    1..4 => drop(receiver.receive()),
                    _ => {
                        let path = format!("/{told}");
                        watchers.changed(&path);
                        receiver.unread = Some(path);
                    }
                }
            }
            if !has_session {
                watchers.everybody(&Change::SessionRegained);
            }
            while receiver.receive() {}
            assert!(receiver.has_session, "seed {seed}: waits for a session that is there");
            assert_eq!(receiver.unread, None, "seed {seed}: missed a change");
        }
    }
}
