//! Whether data can be kept in the data directory: its file system, its space, whether it is writable.

use std::path::{Path, PathBuf};

use geminga_env::{Env, disk::OpenMode};

use super::{Finding, Machine};
use crate::config::Config;

/// So many times the least space is little.
const LITTLE: u64 = 8;
const MIB: u64 = 1 << 20;

pub(super) fn check(
    env: &Env,
    machine: &Machine,
    config: &Config,
    data_dir: &Path,
) -> Vec<Finding> {
    let directory = existing(data_dir);
    vec![
        writable(env, data_dir, &directory),
        file_system(&machine.mounts, &directory),
        space(env, config, &directory),
    ]
}

/// The directory, or the nearest one above it that exists.
pub(super) fn existing(data_dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let found = absolute.ancestors().find_map(|path| path.canonicalize().ok());
    found.unwrap_or(absolute)
}

fn writable(env: &Env, data_dir: &Path, directory: &Path) -> Finding {
    let name = "data directory";
    let (wanted, path) = (data_dir.display(), directory.join(super::sync::FILE));
    let tried = env.disk.open(&path, OpenMode::CreateOrOpen);
    match tried.and_then(|_| env.disk.remove_file(&path)) {
        Ok(()) if data_dir.is_dir() => Finding::ok(name, format!("{wanted} is writable")),
        Ok(()) => Finding::ok(name, format!("{wanted} does not exist yet, and can be created")),
        Err(error) => {
            let found = format!("{} is not writable: {error}", directory.display());
            let change = "give the user of the server the right to write there, or name another \
                          directory with --data-dir";
            Finding::problem(name, found, change)
        }
    }
}

/// Which file system it is, by the mount that reaches furthest.
fn file_system(mounts: &str, directory: &Path) -> Finding {
    let name = "file system";
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        // The kernel writes blanks as octal numbers.
        let at = PathBuf::from(at.replace("\\040", " "));
        directory.starts_with(&at).then(|| (at, kind.to_owned(), options.to_owned()))
    };
    // Of several at one place the last one counts.
    let found = mounts.lines().filter_map(mount).max_by_key(|(at, ..)| at.components().count());
    let Some((at, kind, options)) = found else {
        return Finding::warning(name, "it could not be told which one it is", "see `df -T`");
    };
    let place = format!("{kind} at {}", at.display());
    if options.split(',').any(|option| option == "ro") {
        return Finding::problem(name, format!("{place} is read-only"), "mount it to be written");
    }
    let unsafe_option =
        options.split(',').find(|option| matches!(*option, "nobarrier" | "barrier=0"));
    if let Some(option) = unsafe_option {
        let found = format!("{place} is mounted with {option}: a sync does not reach the disk");
        return Finding::problem(name, found, format!("mount it without {option}"));
    }
    match kind.as_str() {
        "tmpfs" | "ramfs" => Finding::warning(
            name,
            format!("{place} is memory: a restart of the machine loses all messages"),
            "name a directory on a disk with --data-dir",
        ),
        "overlay" | "aufs" => Finding::warning(
            name,
            format!("{place} is a container's own layer: it goes with the container, and is slow"),
            "mount a volume, and name it with --data-dir",
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "fuse.sshfs" => Finding::warning(
            name,
            format!("{place} is over the network: locks and syncs depend on the server"),
            "use a disk of this machine",
        ),
        _ => Finding::ok(name, place),
    }
}

fn space(env: &Env, config: &Config, directory: &Path) -> Finding {
    let name = "disk space";
    let free = match env.disk.available_bytes(directory) {
        Ok(free) => free,
        Err(error) => {
            let found = format!("free space could not be told: {error}");
            return Finding::warning(name, found, "see `df`");
        }
    };
    space_of(free, config.min_usable_size_for_entry_log_creation)
}

fn space_of(free: u64, least: u64) -> Finding {
    let name = "disk space";
    let found = format!("{} MiB free, at least {} MiB are needed", free / MIB, least / MIB);
    if free <= least {
        return Finding::problem(
            name,
            format!("{found}: publishes are refused"),
            "free space, or lower minUsableSizeForEntryLogCreation",
        );
    }
    if free < least.saturating_mul(LITTLE) {
        let change = "make room: below the least, publishes are refused";
        return Finding::warning(name, found, change);
    }
    Finding::ok(name, found)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn the_mount_that_reaches_furthest_says_what_it_is() {
        let mounts = "/dev/a / ext4 rw,relatime 0 0\n\
                      tmpfs /tmp tmpfs rw 0 0\n\
                      /dev/b /data xfs ro,noatime 0 0\n\
                      /dev/c /fast ext4 rw,nobarrier 0 0\n\
                      srv:/x /my\\040net nfs4 rw 0 0\n\
                      overlay /o overlay rw 0 0\n";
        for (directory, state, part) in [
            ("/home/x", State::Ok, "ext4 at /"),
            ("/tmp/x", State::Warning, "memory"),
            ("/tmpfoo", State::Ok, "ext4 at /"),
            ("/data", State::Problem, "read-only"),
            ("/fast/x", State::Problem, "nobarrier"),
            ("/my net/x", State::Warning, "network"),
            ("/o/x", State::Warning, "container"),
        ] {
            let finding = file_system(mounts, Path::new(directory));
            assert_eq!(finding.state, state, "{directory}: {finding:?}");
            assert!(finding.found.contains(part), "{directory}: {finding:?}");
        }
        assert_eq!(file_system("", Path::new("/x")).state, State::Warning);
    }

    #[test]
    fn space_is_a_problem_where_publishes_are_refused() {
        for (free, state) in
            [(99, State::Problem), (100, State::Problem), (799, State::Warning), (800, State::Ok)]
        {
            assert_eq!(space_of(free, 100).state, state, "{free}");
        }
    }
}
