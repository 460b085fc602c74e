//! The tree of names: what programs see, what is surely on the platter, and what lies between.
//!
//! Each change to a directory waits until that directory is synced; a crash keeps any subset of the
//! waiting ones. A rename inside one directory is one change. A name whose directory did not survive
//! is gone too.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use rand::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(u64),
}

type Entry = (PathBuf, Option<Node>);

#[derive(Debug)]
pub(super) struct Names {
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// Unsynced changes, oldest first; the entries of one are kept or lost together.
    pending: Vec<Vec<Entry>>,
}

impl Names {
    /// A tree with a durable root.
    pub(super) fn new() -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Directory)]);
        Self { live: root.clone(), durable: root, pending: Vec::new() }
    }

    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        self.live.get(path).copied()
    }

    /// Fails unless the directory that would hold `path` exists.
    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().and_then(|parent| self.get(parent)) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Makes one change of one or more names.
    pub(super) fn set(&mut self, entries: Vec<Entry>) {
        for (path, node) in &entries {
            set(&mut self.live, path, *node);
        }
        self.pending.push(entries);
    }

    /// The children of a directory, sorted.
    pub(super) fn children(&self, directory: &Path) -> Vec<PathBuf> {
        let inside = self.live.range(directory.to_path_buf()..);
        inside
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(directory))
            .filter(|path| path.parent() == Some(directory))
            .cloned()
            .collect()
    }

    pub(super) fn sync(&mut self, directory: &Path) {
        for entries in &mut self.pending {
            entries.retain(|(path, node)| {
                let here = path.parent() == Some(directory);
                if here {
                    set(&mut self.durable, path, *node);
                }
                !here
            });
        }
        self.pending.retain(|entries| !entries.is_empty());
    }

    /// Syncs every directory.
    pub(super) fn sync_all(&mut self) {
        self.pending.clear();
        self.durable = self.live.clone();
    }

    /// Power loss.
    pub(super) fn crash(&mut self, rng: &mut impl Rng) {
        let keep_per_cent = [0, 50, 100][rng.random_range(0..3)];
        for entries in std::mem::take(&mut self.pending) {
            if rng.random_range(0..100) < keep_per_cent {
                for (path, node) in entries {
                    set(&mut self.durable, &path, node);
                }
            }
        }
        let mut kept: BTreeMap<PathBuf, Node> = BTreeMap::new();
        for (path, node) in std::mem::take(&mut self.durable) {
            let reachable = match path.parent() {
                Some(parent) => kept.get(parent) == Some(&Node::Directory),
                None => true,
            };
            if reachable {
                kept.insert(path, node);
            }
        }
        self.live = kept.clone();
        self.durable = kept;
    }

    /// Every file with a name.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.live.iter().filter_map(|(path, node)| match node {
            Node::File(inode) => Some((path.as_path(), *inode)),
            Node::Directory => None,
        })
    }

    /// Every file that some name leads to, or may lead to after a crash.
    pub(super) fn referenced(&self) -> BTreeSet<u64> {
        let waiting = self.pending.iter().flatten().filter_map(|(_, node)| *node);
        let nodes = self.live.values().chain(self.durable.values()).copied().chain(waiting);
        nodes
            .filter_map(|node| match node {
                Node::File(inode) => Some(inode),
                Node::Directory => None,
            })
            .collect()
    }
}

fn set(names: &mut BTreeMap<PathBuf, Node>, path: &Path, node: Option<Node>) {
    match node {
        Some(node) => names.insert(path.to_path_buf(), node),
        None => names.remove(path),
    };
}
