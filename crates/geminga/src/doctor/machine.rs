//! What the system says of itself.

use std::fs::read_to_string;

use rustix::process::{Resource, getrlimit};

/// The files and limits that are looked at; what could not be read is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// `/proc/self/mounts`.
    pub(super) mounts: String,
    /// `/proc/meminfo`.
    pub(super) memory: String,
    /// The control group's limit, in either version's form.
    pub(super) memory_limit: String,
    /// Most files that may be made open; `None` for no limit.
    pub(super) open_files_max: Option<u64>,
    /// `tsc`, `kvm-clock`, `hpet`.
    pub(super) clock_source: String,
    /// Whether somebody keeps the clock right, as far as that can be told.
    pub(super) is_synchronized: Option<bool>,
}

impl Machine {
    pub(super) fn read() -> Self {
        let read = |path: &str| read_to_string(path).unwrap_or_default();
        let clock_source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        Self {
            mounts: read("/proc/self/mounts"),
            memory: read("/proc/meminfo"),
            memory_limit: memory_limit(&read("/proc/self/cgroup")),
            open_files_max: getrlimit(Resource::Nofile).maximum,
            clock_source: read(clock_source).trim().to_owned(),
            is_synchronized: is_synchronized(),
        }
    }

    /// Bytes that the process may have: the machine's, or the control group's if that is less.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let total = self.memory.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let total: u64 = total.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        let total = total.saturating_mul(1_024);
        // No number, or one beyond all memory, is no limit.
        Some(self.memory_limit.trim().parse().unwrap_or(u64::MAX).min(total))
    }
}

/// The limit of the control group that this process is in; version 2 has one line `0::/path`.
fn memory_limit(groups: &str) -> String {
    let path = |line: &str| match line.splitn(3, ':').collect::<Vec<_>>()[..] {
        ["0", "", path] => Some(format!("/sys/fs/cgroup{path}/memory.max")),
        [_, "memory", path] => Some(format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes")),
        _ => None,
    };
    let own = groups.lines().filter_map(path);
    // In a container the path is that of the host, and what is seen begins at the group itself.
    let roots = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let mut all = own.chain(roots.map(str::to_owned));
    all.find_map(|path| read_to_string(path).ok()).unwrap_or_default()
}

/// Whether a time service keeps the clock right. The kernel's own word, adjtimex, needs a call for which
/// there is no safe wrapper here, so the system's services are asked.
fn is_synchronized() -> Option<bool> {
    if std::path::Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    let mut command = std::process::Command::new("timedatectl");
    let output = command.args(["show", "-p", "NTPSynchronized", "--value"]).output().ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
