//! A disk in memory that forgets what was not synced, and fails as planned.
//!
//! Paths are taken as absolute; only `/` exists, durably, at first. A file's name, its length and its
//! bytes become durable separately: the name with [`Disk::sync_dir`] on its directory, and a
//! directory's own name with that of its parent.
//!
//! # Invariants
//!
//! 1. What was synced before a crash is there after it, unless a switch was set to lie.
//! 2. After a crash every handle and lock of before is dead: its calls fail, it holds nothing.

mod faults;
mod inode;
mod names;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{RngCore, SeedableRng, rngs::StdRng};

use self::{
    faults::{Faults, io_error, power_is_off},
    inode::Inode,
    names::{Names, Node},
};
use super::{SimClock, events::Events};
use crate::disk::{Disk, File, Lock, OpenMode};

/// The simulated disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    events: Events,
}

/// What a disk has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of [`File::read_at`].
    pub reads: u64,
    /// Calls of [`File::write_at`].
    pub writes: u64,
    /// Bytes that those wrote.
    pub bytes_written: u64,
    /// Calls of [`File::sync_data`].
    pub syncs: u64,
    /// Calls of [`Disk::sync_dir`].
    pub dir_syncs: u64,
}

#[derive(Debug)]
struct State {
    names: Names,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// Counts crashes; a handle of an earlier life is dead.
    life: u64,
    locks: BTreeSet<PathBuf>,
    used_bytes: u64,
    faults: Faults,
    counters: Counters,
    rng: StdRng,
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    life: u64,
    writable: bool,
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    life: u64,
}

const NO_QUOTA_BYTES: u64 = 1 << 40;
const FILE_BYTES_MAX: u64 = 1 << 32;

impl SimDisk {
    /// An empty disk outside of a world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_events(seed, Events::new(Arc::new(SimClock::new())))
    }

    pub(super) fn with_events(seed: u64, events: Events) -> Self {
        let state = State {
            names: Names::new(),
            inodes: BTreeMap::new(),
            next_inode: 0,
            life: 0,
            locks: BTreeSet::new(),
            used_bytes: 0,
            faults: Faults::default(),
            counters: Counters::default(),
            rng: StdRng::seed_from_u64(seed),
        };
        Self { state: Arc::new(Mutex::new(state)), events }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loses power and comes back: unsynced writes survive in any subset of sectors, unsynced
    /// lengths and names may survive or vanish, handles and locks are dead. Planned faults stay,
    /// except a power cut.
    pub fn crash(&self, rng: &mut impl RngCore) {
        let mut rng = StdRng::seed_from_u64(rng.next_u64());
        let mut guard = self.state();
        let state = &mut *guard;
        state.names.crash(&mut rng);
        for inode in state.inodes.values_mut() {
            inode.crash(&mut rng);
        }
        state.life += 1;
        state.locks.clear();
        state.faults.restore_power();
        state.collect();
        state.relink();
        state.used_bytes = state.inodes.values().map(|inode| inode.live.len() as u64).sum();
        self.events.record("crash", &[], &[state.life, state.used_bytes]);
    }

    /// Cuts the power during the change that follows `changes` more (writes, syncs, new lengths and
    /// names). It and all calls after it fail, until [`Self::crash`].
    pub fn cut_power_after(&self, changes: u64) {
        self.state().faults.plan_power_cut(changes);
    }

    /// Whether a planned power cut has come.
    #[must_use]
    pub fn power_is_off(&self) -> bool {
        self.state().faults.power_is_off()
    }

    /// Makes a directory and its parents, durably: a test's starting point.
    ///
    /// # Errors
    ///
    /// If a file is in the way.
    pub fn create_durable_dir(&self, path: &Path) -> io::Result<()> {
        self.create_dir_all(path)?;
        self.state().names.sync_all();
        Ok(())
    }

    /// Fails the `nth` (from 1) sync from now of a file or directory that `matches`, with EIO. What
    /// it should have synced may be lost for good.
    pub fn fail_sync(&self, nth: u64, matches: impl Fn(&Path) -> bool + Send + 'static) {
        self.state().faults.plan_sync(nth, false, Box::new(matches));
    }

    /// Fails the `nth` (from 1) such sync and every one after it.
    pub fn fail_syncs_from(&self, nth: u64, matches: impl Fn(&Path) -> bool + Send + 'static) {
        self.state().faults.plan_sync(nth, true, Box::new(matches));
    }

    /// Stops the `nth` (from 1) write from now to a file that `matches` after `kept_bytes`, with EIO.
    pub fn tear_write(
        &self,
        nth: u64,
        kept_bytes: usize,
        matches: impl Fn(&Path) -> bool + Send + 'static,
    ) {
        self.state().faults.plan_torn_write(nth, kept_bytes, Box::new(matches));
    }

    /// Fails every read of a file that `matches`, with EIO.
    pub fn fail_reads(&self, matches: impl Fn(&Path) -> bool + Send + 'static) {
        self.state().faults.plan_reads(Box::new(matches));
    }

    /// Limits the sum of all files' lengths; growth beyond it is `StorageFull`. `None`: no limit.
    pub fn set_quota(&self, bytes: Option<u64>) {
        self.state().faults.quota = bytes;
    }

    /// Refuses every growth of a file that `matches`, with `StorageFull`, whatever the quota.
    pub fn refuse_growth(&self, matches: impl Fn(&Path) -> bool + Send + 'static) {
        self.state().faults.plan_full(Box::new(matches));
    }

    /// Makes [`File::sync_data`] do nothing and say that it did.
    pub fn ignore_syncs(&self, ignore: bool) {
        self.state().faults.ignore_syncs = ignore;
    }

    /// Makes [`Disk::sync_dir`] do nothing and say that it did.
    pub fn ignore_dir_syncs(&self, ignore: bool) {
        self.state().faults.ignore_dir_syncs = ignore;
    }

    /// Forgets all planned faults, the quota and the lies.
    pub fn heal(&self) {
        self.state().faults = Faults::default();
    }

    /// Flips the bits of `mask` in one byte, on the platter too.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such file or byte.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let path = normal(path);
        let mut state = self.state();
        let Some(Node::File(inode)) = state.names.get(&path) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let inode = state.inode(inode)?;
        let offset = position(offset)?;
        if offset >= inode.live.len() {
            return Err(io::ErrorKind::NotFound.into());
        }
        inode.flip(offset, mask);
        Ok(())
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state().counters
    }

    /// The sum of all files' lengths.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes
    }

    fn record(&self, kind: &str, path: &Path, bytes: &[u8], number: u64) {
        self.events.record(kind, &[path.as_os_str().as_bytes(), bytes], &[number]);
    }
}

impl State {
    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes room for `growth` more bytes.
    fn check_quota(&self, growth: u64) -> io::Result<()> {
        match self.faults.quota {
            Some(quota) if self.used_bytes.saturating_add(growth) > quota => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn create(&mut self, path: &Path) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::new(path.to_path_buf()));
        self.names.set(vec![(path.to_path_buf(), Some(Node::File(inode)))]);
        inode
    }

    /// The file lost its name: its space is free, its bytes are for those who hold it open.
    fn unlink(&mut self, inode: u64) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.linked = false;
            self.used_bytes = self.used_bytes.saturating_sub(inode.live.len() as u64);
        }
    }

    fn resize(&mut self, inode: u64, len: u64) -> io::Result<()> {
        let target = position(len)?;
        let file = self.inode(inode)?;
        let (old, linked, path) = (file.live.len() as u64, file.linked, file.path.clone());
        if old < len && self.faults.is_full(&path) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if linked {
            self.check_quota(len.saturating_sub(old))?;
        }
        self.inode(inode)?.set_len(target);
        self.note_size(linked, old, len);
        Ok(())
    }

    const fn note_size(&mut self, linked: bool, old: u64, new: u64) {
        if linked {
            self.used_bytes = self.used_bytes.saturating_sub(old).saturating_add(new);
        }
    }

    /// Drops the bytes of files that neither a name nor a handle leads to.
    fn collect(&mut self) {
        let referenced = self.names.referenced();
        self.inodes.retain(|inode, file| file.handles > 0 || referenced.contains(inode));
    }

    /// After a crash, files are what the surviving names say.
    fn relink(&mut self) {
        for (path, inode) in self.names.files() {
            if let Some(file) = self.inodes.get_mut(&inode) {
                file.linked = true;
                file.path = path.to_path_buf();
            }
        }
    }

    /// Makes one change of names; an error if the power goes with it.
    fn change_names(&mut self, entries: Vec<(PathBuf, Option<Node>)>) -> io::Result<()> {
        let cut = self.faults.cut_now();
        self.names.set(entries);
        if cut { Err(power_is_off()) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let path = normal(path);
        let mut state = self.state();
        state.faults.check_power()?;
        state.names.check_parent(&path)?;
        let inode = match (state.names.get(&path), mode) {
            (Some(Node::Directory), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (Some(Node::File(inode)), _) => inode,
            (None, OpenMode::CreateNew | OpenMode::CreateOrOpen) => {
                let cut = state.faults.cut_now();
                let inode = state.create(&path);
                self.record("create", &path, &[], inode);
                if cut {
                    return Err(power_is_off());
                }
                inode
            }
            (None, OpenMode::Read | OpenMode::ReadWrite) => {
                return Err(io::ErrorKind::NotFound.into());
            }
        };
        let file = state.inode(inode)?;
        file.handles += 1;
        let life = state.life;
        drop(state);
        let writable = mode != OpenMode::Read;
        Ok(Box::new(SimFile { disk: self.clone(), inode, life, writable }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut state = self.state();
        state.faults.check_power()?;
        let mut missing = Vec::new();
        for ancestor in path.ancestors() {
            match state.names.get(ancestor) {
                Some(Node::Directory) => break,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => missing.push(ancestor.to_path_buf()),
            }
        }
        for directory in missing.into_iter().rev() {
            self.record("mkdir", &directory, &[], 0);
            state.change_names(vec![(directory, Some(Node::Directory))])?;
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut state = self.state();
        state.faults.check_power()?;
        match state.names.get(&path) {
            Some(Node::File(inode)) => {
                self.record("remove", &path, &[], inode);
                state.unlink(inode);
                state.change_names(vec![(path, None)])
            }
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        let mut state = self.state();
        state.faults.check_power()?;
        state.names.check_parent(&to)?;
        let inode = match state.names.get(&from) {
            Some(Node::File(inode)) => inode,
            Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        match state.names.get(&to) {
            Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(same)) if same == inode => return Ok(()),
            Some(Node::File(replaced)) => state.unlink(replaced),
            None => {}
        }
        self.record("rename", &from, to.as_os_str().as_bytes(), inode);
        state.inode(inode)?.path = to.clone();
        state.change_names(vec![(from, None), (to, Some(Node::File(inode)))])
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut state = self.state();
        state.faults.check_power()?;
        match state.names.get(&path) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        state.counters.dir_syncs += 1;
        self.record("sync dir", &path, &[], 0);
        if state.faults.cut_now() {
            return Err(power_is_off());
        }
        if state.faults.sync_fails(&path) {
            return Err(io_error());
        }
        if !state.faults.ignore_dir_syncs {
            state.names.sync(&path);
            state.collect();
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let asked = path;
        let path = normal(path);
        let state = self.state();
        state.faults.check_power()?;
        match state.names.get(&path) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        let children = state.names.children(&path);
        Ok(children.into_iter().filter_map(|child| Some(asked.join(child.file_name()?))).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state();
        state.faults.check_power()?;
        Ok(state.names.get(&normal(path)).is_some())
    }

    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state();
        state.faults.check_power()?;
        Ok(state.faults.quota.unwrap_or(NO_QUOTA_BYTES).saturating_sub(state.used_bytes))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        drop(self.open(path, OpenMode::CreateOrOpen)?);
        let path = normal(path);
        let mut state = self.state();
        if !state.locks.insert(path.clone()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: self.clone(), path, life: state.life }))
    }
}

impl SimFile {
    /// The disk, if this handle is of its current life and the power is on.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.life != self.life {
            return Err(power_is_off());
        }
        state.faults.check_power()?;
        Ok(state)
    }

    fn state_for_writing(&self) -> io::Result<MutexGuard<'_, State>> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.state()
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut guard = self.state()?;
        let state = &mut *guard;
        state.counters.reads += 1;
        let Some(file) = state.inodes.get(&self.inode) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        state.faults.check_read(&file.path)?;
        let rest = position(offset).ok().and_then(|offset| file.live.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut guard = self.state_for_writing()?;
        let state = &mut *guard;
        let start = position(offset)?;
        position(offset.saturating_add(bytes.len() as u64))?;
        let path = state.inode(self.inode)?.path.clone();
        self.disk.record("write", &path, bytes, offset);
        let cut = state.faults.cut_now();
        let torn = state.faults.torn(&path);
        let mut bytes = &bytes[..torn.unwrap_or(usize::MAX).min(bytes.len())];
        let refuses_growth = state.faults.is_full(&path);
        let (quota, used) = (state.faults.quota, state.used_bytes);
        let file = state.inode(self.inode)?;
        let (old, linked) = (file.live.len(), file.linked);
        let end = start + bytes.len();
        let mut full = false;
        if refuses_growth && old < end {
            full = true;
            bytes = &bytes[..old.saturating_sub(start).min(bytes.len())];
        }
        if let Some(quota) = quota.filter(|_| linked) {
            let room = usize::try_from(quota.saturating_sub(used)).unwrap_or(usize::MAX);
            if end.saturating_sub(old) > room {
                full = true;
                bytes = &bytes[..old.saturating_add(room).saturating_sub(start).min(bytes.len())];
            }
        }
        file.write(bytes, start);
        let new = file.live.len() as u64;
        state.note_size(linked, old as u64, new);
        state.counters.writes += 1;
        state.counters.bytes_written += bytes.len() as u64;
        match (cut, full, torn) {
            (true, _, _) => Err(power_is_off()),
            (_, true, _) => Err(io::ErrorKind::StorageFull.into()),
            (_, _, Some(_)) => Err(io_error()),
            (false, false, None) => Ok(()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.inode(self.inode)?.live.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state_for_writing()?;
        let path = state.inode(self.inode)?.path.clone();
        self.disk.record("set length", &path, &[], len);
        let cut = state.faults.cut_now();
        state.resize(self.inode, len)?;
        if cut { Err(power_is_off()) } else { Ok(()) }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.len()? < len { self.set_len(len) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut guard = self.state()?;
        let state = &mut *guard;
        let path = state.inode(self.inode)?.path.clone();
        state.counters.syncs += 1;
        self.disk.record("sync", &path, &[], 0);
        if state.faults.cut_now() {
            return Err(power_is_off());
        }
        let fails = state.faults.sync_fails(&path);
        let Some(file) = state.inodes.get_mut(&self.inode) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if fails {
            file.fail_sync(&mut state.rng);
            return Err(io_error());
        }
        if !state.faults.ignore_syncs {
            file.sync();
        }
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life
            && let Some(file) = state.inodes.get_mut(&self.inode)
        {
            file.handles = file.handles.saturating_sub(1);
            if file.handles == 0 && !file.linked {
                state.collect();
            }
        }
    }
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

/// An absolute path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

fn position(offset: u64) -> io::Result<usize> {
    match usize::try_from(offset) {
        Ok(position) if offset <= FILE_BYTES_MAX => Ok(position),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}
