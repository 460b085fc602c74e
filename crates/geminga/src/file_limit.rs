//! The limit on open files: each connection and each open ledger file takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Below this a busy server may run out.
const WANTED: u64 = 65_536;

/// Raises the soft limit as far as the hard one allows.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => debug!(from = ?limit.current, to = ?limit.maximum, "raised the open file limit"),
        Err(error) => warn!(%error, "the limit on open files could not be raised"),
    }
    if let Some(now) = getrlimit(Resource::Nofile).current
        && now < WANTED
    {
        warn!("at most {now} files may be open (ulimit -n); {WANTED} or more are wanted");
    }
}
