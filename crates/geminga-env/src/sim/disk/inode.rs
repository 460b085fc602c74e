//! One file's bytes: what programs see, what is surely on the platter, and what lies between.
//!
//! A sector on the platter is always some moment of the page cache: of the unsynced changes that
//! touch a sector, a crash keeps the first few, and every sector chooses for itself.

use std::{collections::BTreeMap, ops::Range, path::PathBuf};

use rand::Rng;

const SECTOR: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Inode {
    /// The last name it had, for fault plans.
    pub(super) path: PathBuf,
    pub(super) live: Vec<u8>,
    pub(super) handles: usize,
    pub(super) linked: bool,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Every length since the last sync, oldest first.
    lengths: Vec<usize>,
}

#[derive(Debug)]
enum Change {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    /// The file was cut here; what comes back beyond is zeros.
    Cut {
        from: usize,
    },
}

/// How much of what is unsynced a crash keeps.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    Everything,
    Mixed,
}

impl Inode {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, linked: true, ..Self::default() }
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let change = Change::Write { offset, bytes: bytes.to_vec() };
        change.apply(&mut self.live);
        self.pending.push(change);
        self.note_length();
    }

    pub(super) fn set_len(&mut self, len: usize) {
        if len < self.live.len() {
            self.pending.push(Change::Cut { from: len });
        }
        resize(&mut self.live, len);
        self.note_length();
    }

    fn note_length(&mut self) {
        let last = self.lengths.last().copied().unwrap_or(self.durable.len());
        if last != self.live.len() {
            self.lengths.push(self.live.len());
        }
    }

    /// Everything written so far is on the platter.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
        self.lengths.clear();
        resize(&mut self.durable, self.live.len());
    }

    /// A sync failed: some of it is on the platter, and no later sync brings the rest.
    pub(super) fn fail_sync(&mut self, rng: &mut impl Rng) {
        self.durable = self.surviving(rng);
        self.pending.clear();
        self.lengths.clear();
    }

    /// Power loss.
    pub(super) fn crash(&mut self, rng: &mut impl Rng) {
        self.fail_sync(rng);
        self.live = self.durable.clone();
        self.handles = 0;
    }

    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        for content in [&mut self.live, &mut self.durable] {
            if let Some(byte) = content.get_mut(offset) {
                *byte ^= mask;
            }
        }
    }

    fn surviving(&self, rng: &mut impl Rng) -> Vec<u8> {
        let fate = match rng.random_range(0..4) {
            0 => Fate::Nothing,
            1 => Fate::Everything,
            _ => Fate::Mixed,
        };
        match fate {
            Fate::Nothing => self.durable.clone(),
            Fate::Everything => {
                let mut content = self.durable.clone();
                for change in &self.pending {
                    change.apply(&mut content);
                }
                resize(&mut content, self.live.len());
                content
            }
            Fate::Mixed => self.mixed(rng),
        }
    }

    fn mixed(&self, rng: &mut impl Rng) -> Vec<u8> {
        let extent =
            self.pending.iter().map(Change::end).max().unwrap_or(0).max(self.durable.len());
        let mut content = self.durable.clone();
        resize(&mut content, extent);
        let mut touched: BTreeMap<usize, Vec<&Change>> = BTreeMap::new();
        for change in &self.pending {
            let range = change.range(extent);
            if !range.is_empty() {
                for sector in range.start / SECTOR..=(range.end - 1) / SECTOR {
                    touched.entry(sector).or_default().push(change);
                }
            }
        }
        for (sector, changes) in touched {
            let kept = rng.random_range(0..=changes.len());
            let bounds = sector * SECTOR..((sector + 1) * SECTOR).min(extent);
            for change in &changes[..kept] {
                change.apply_within(&mut content, bounds.clone());
            }
        }
        let pick = rng.random_range(0..=self.lengths.len());
        let len = if pick == 0 { self.durable.len() } else { self.lengths[pick - 1] };
        resize(&mut content, len);
        content
    }
}

impl Change {
    const fn end(&self) -> usize {
        match self {
            Self::Write { offset, bytes } => *offset + bytes.len(),
            Self::Cut { .. } => 0,
        }
    }

    fn range(&self, extent: usize) -> Range<usize> {
        match self {
            Self::Write { offset, .. } => *offset..self.end(),
            Self::Cut { from } => *from..extent.max(*from),
        }
    }

    fn apply(&self, content: &mut Vec<u8>) {
        let end = self.end();
        if content.len() < end {
            resize(content, end);
        }
        let whole = 0..content.len();
        self.apply_within(content, whole);
    }

    fn apply_within(&self, content: &mut [u8], bounds: Range<usize>) {
        let range = self.range(content.len());
        let start = range.start.max(bounds.start);
        let end = range.end.min(bounds.end);
        if start >= end {
            return;
        }
        match self {
            Self::Write { offset, bytes } => {
                content[start..end].copy_from_slice(&bytes[start - offset..end - offset]);
            }
            Self::Cut { .. } => content[start..end].fill(0),
        }
    }
}

/// `Vec::resize` goes byte by byte in debug builds, which are what runs the seeds.
fn resize(content: &mut Vec<u8>, len: usize) {
    match len.checked_sub(content.len()) {
        Some(growth) => content.extend_from_slice(&vec![0; growth]),
        None => content.truncate(len),
    }
}
