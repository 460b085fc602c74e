//! What a process uses, as the system counts it: Linux's `/proc`.

use std::{fs, time::Duration};

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    /// Bytes, now.
    pub(super) rss: u64,
}

/// Nothing, where it can't be known.
pub(super) fn usage(pid: u32) -> Usage {
    usage_of(pid).unwrap_or_default()
}

pub(super) fn usage_of(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let cpu = cpu_of(&stat, rustix::param::clock_ticks_per_second())?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage { cpu, rss: rss_of(&status)? })
}

/// User and system time: the 14th and 15th field; the second, a name in brackets, may have spaces.
fn cpu_of(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks.saturating_mul(1_000) / ticks_per_second.max(1)))
}

fn rss_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1_024))
}

/// The process that listens on a service URL's port, when that is on this machine and ours to see.
pub(super) fn listener_on(url: &str) -> Option<u32> {
    let address = url.strip_prefix("pulsar://")?.trim_end_matches('/');
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "6650"));
    if !["localhost", "127.0.0.1", "[::1]"].contains(&host) {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| listening_inode(&fs::read_to_string(table).ok()?, port))?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| holds(*pid, &wanted))
}

/// Of a table's rows: local address is the 2nd field, state the 4th (0A listens), inode the 10th.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == "0A";
        if is_it { fields.get(9)?.parse().ok() } else { None }
    })
}

fn holds(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.any(|link| link.as_os_str() == socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_they_are() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 150 0 0 20 0 4 0 99 1 2";
        assert_eq!(cpu_of(stat, 100), Some(Duration::from_secs(4)));
        assert_eq!(cpu_of("7 (a", 100), None);
        assert_eq!(rss_of("Name:\tx\nVmRSS:\t    12 kB\n"), Some(12 * 1_024));
        let table = "  sl  local_address rem_address   st tx rx tr tm retrnsmt uid timeout inode\n\
             0: 0100007F:19FA 00000000:0000 01 0:0 0:0 0 0 0 11 1\n\
             1: 0100007F:19FA 00000000:0000 0A 0:0 0:0 0 0 0 12 1\n";
        let table = table.replace("0:0 0:0 0", "00000000:00000000 00:00000000 00000000");
        assert_eq!(listening_inode(&table, 6650), Some(12));
        assert_eq!(listening_inode(&table, 6651), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_find_ourselves() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = listener_on(&format!("pulsar://localhost:{port}"));
        assert_eq!(found, Some(std::process::id()));
        assert!(0 < usage(std::process::id()).rss);
        assert_eq!(listener_on("pulsar://elsewhere:6650"), None);
    }
}
