//! Says on the terminal that something takes long, and how far it is. Scripts see nothing of it.

use std::{
    future::Future,
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use geminga_env::Env;

/// What is faster needs no word.
const QUIET: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_secs(1);

/// Writes to stderr, if that is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    what: String,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), what: "waiting".to_owned() }
    }

    /// Says what is being done from now on.
    pub(super) fn now(&mut self, what: String) {
        self.what = what;
    }

    /// Waits, and says so when it takes long.
    pub(super) async fn during<T>(&self, env: &Env, work: impl Future<Output = T>) -> T {
        if !self.is_shown {
            return work.await;
        }
        let began = env.clock.now();
        let mut at = began + QUIET;
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    if began + QUIET < at {
                        self.write("\r\x1b[K");
                    }
                    return done;
                }
                () = tokio::time::sleep_until(at) => {
                    let seconds = env.clock.now().duration_since(began).as_secs();
                    self.write(&format!("\r\x1b[K{}: {seconds} s", self.what));
                    at += EVERY;
                }
            }
        }
    }

    fn write(&self, text: &str) {
        let mut terminal = std::io::stderr();
        // That nobody can read it is no reason to fail.
        _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
    }
}
