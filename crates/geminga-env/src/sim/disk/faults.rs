//! What is planned to go wrong.

use std::{fmt, io, path::Path};

type Predicate = Box<dyn Fn(&Path) -> bool + Send>;

#[derive(Default)]
pub(super) struct Faults {
    syncs: Vec<SyncFault>,
    torn_writes: Vec<TornWrite>,
    reads: Vec<Predicate>,
    growth: Vec<Predicate>,
    pub(super) quota: Option<u64>,
    pub(super) ignore_syncs: bool,
    pub(super) ignore_dir_syncs: bool,
    /// Changes to the disk until the power goes.
    changes_left: Option<u64>,
    power_is_off: bool,
}

struct SyncFault {
    matches: Predicate,
    /// Matching syncs to come, the failing one included.
    countdown: u64,
    /// Whether all later ones fail too.
    lasting: bool,
}

struct TornWrite {
    matches: Predicate,
    countdown: u64,
    kept_bytes: usize,
}

impl Faults {
    pub(super) fn plan_sync(&mut self, nth: u64, lasting: bool, matches: Predicate) {
        self.syncs.push(SyncFault { matches, countdown: nth.max(1), lasting });
    }

    pub(super) fn plan_torn_write(&mut self, nth: u64, kept_bytes: usize, matches: Predicate) {
        self.torn_writes.push(TornWrite { matches, countdown: nth.max(1), kept_bytes });
    }

    pub(super) fn plan_reads(&mut self, matches: Predicate) {
        self.reads.push(matches);
    }

    pub(super) fn plan_full(&mut self, matches: Predicate) {
        self.growth.push(matches);
    }

    /// Whether a file may not grow.
    pub(super) fn is_full(&self, path: &Path) -> bool {
        self.growth.iter().any(|matches| matches(path))
    }

    pub(super) fn plan_power_cut(&mut self, changes: u64) {
        self.changes_left = Some(changes);
    }

    pub(super) fn restore_power(&mut self) {
        self.changes_left = None;
        self.power_is_off = false;
    }

    pub(super) const fn power_is_off(&self) -> bool {
        self.power_is_off
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.power_is_off { Err(power_is_off()) } else { Ok(()) }
    }

    /// Counts a change. `true`: the power goes during this one.
    pub(super) fn cut_now(&mut self) -> bool {
        if let Some(left) = &mut self.changes_left {
            if *left == 0 {
                self.power_is_off = true;
            } else {
                *left -= 1;
            }
        }
        self.power_is_off
    }

    pub(super) fn check_read(&self, path: &Path) -> io::Result<()> {
        if self.reads.iter().any(|matches| matches(path)) { Err(io_error()) } else { Ok(()) }
    }

    pub(super) fn sync_fails(&mut self, path: &Path) -> bool {
        let mut fails = false;
        for fault in &mut self.syncs {
            if fault.countdown == 0 || !(fault.matches)(path) {
                continue;
            }
            if fault.countdown > 1 {
                fault.countdown -= 1;
                continue;
            }
            fails = true;
            if !fault.lasting {
                fault.countdown = 0;
            }
        }
        fails
    }

    /// How many bytes of a write still go through, if it is to be torn.
    pub(super) fn torn(&mut self, path: &Path) -> Option<usize> {
        let mut kept = None;
        for fault in &mut self.torn_writes {
            if fault.countdown > 0 && (fault.matches)(path) {
                fault.countdown -= 1;
                if fault.countdown == 0 {
                    kept = Some(fault.kept_bytes);
                }
            }
        }
        kept
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("quota", &self.quota).finish_non_exhaustive()
    }
}

/// EIO.
pub(super) fn io_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

pub(super) fn power_is_off() -> io::Error {
    io::Error::other("the simulated machine has lost power")
}
