//! Reads the journal after a stop: every group that the checkpoint does not cover, in order.
//!
//! # Invariants
//!
//! 1. What is replayed is durable: each file is synced before it is read, since a process that was
//!    killed leaves bytes that only memory holds.
//! 2. A bad group ends the journal, unless a whole group or file head after it says that it was
//!    durable: that is corruption, and stops the open.
//! 3. What was cut off stays cut off: files beyond the end are made blank before anything is served.

use std::path::Path;

use geminga_env::{File, disk::OpenMode};

use super::{
    JournalPosition,
    files::{self, Filled, Spare},
    format::{BLOCK_BYTES, BadHead, FILE_HEAD_BYTES, FileHead, VERSION},
    group::Group,
    reader::{Found, Reader, heads},
};
use crate::{
    directory::{self, Directory},
    error::OpenError,
    fields::align,
};

/// What was found.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// Where the journal goes on.
    pub(crate) next: JournalPosition,
    /// Files with groups that are not covered.
    pub(crate) filled: Vec<Filled>,
    /// Files that can be used again.
    pub(crate) spares: Vec<Spare>,
    /// Number for the next new file.
    pub(crate) next_number: u64,
    /// Groups that were replayed.
    pub(crate) groups: u64,
}

/// Takes a group and the place after it.
type Apply<'a> = dyn FnMut(Group, JournalPosition) -> Result<(), OpenError> + 'a;

/// What a replay may do to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Make durable what is read, and blank what was cut off.
    Recover,
    /// Only look, so nothing that is read is proven to be durable.
    Look,
}

/// Hands every group from `from` on to `apply`.
pub(crate) fn replay(
    directory: &Directory,
    from: JournalPosition,
    access: Access,
    apply: &mut Apply<'_>,
) -> Result<Replayed, OpenError> {
    let mut found = Listing::read(directory, from, access)?;
    let mut walk = Walk { from, expected: from.sequence, groups: 0 };
    let mut end = None;
    for at in 0..found.live.len() {
        let reader = &found.live[at];
        if reader.head.first_sequence > walk.expected {
            found.check_claims(at, &walk, end.as_ref())?;
            found.discard(at)?;
            break;
        }
        let limit = found.live.get(at + 1).map_or(u64::MAX, |next| next.head.first_sequence);
        let offset = walk.file(reader, limit, apply)?;
        end = Some((reader.path.clone(), offset));
        if limit > walk.expected {
            let claim = reader.durable_claim_after(offset);
            let claim = claim.map_err(|error| OpenError::io(&reader.path, error))?;
            if claim > Some(walk.expected) {
                return Err(lost_group(&reader.path, offset, walk.expected));
            }
        }
    }
    found.check_headless(&walk, end.as_ref())?;
    Ok(found.replayed(&walk))
}

fn lost_group(path: &Path, offset: u64, sequence: u64) -> OpenError {
    let what = format!("journal group {sequence}, which was durable, is damaged or missing");
    OpenError::corrupt(path, offset, what)
}

type End = (std::path::PathBuf, u64);

struct Walk {
    from: JournalPosition,
    /// Sequence of the next group to apply.
    expected: u64,
    groups: u64,
}

impl Walk {
    /// Replays one file up to `limit`; returns where its groups end.
    fn file(
        &mut self,
        reader: &Reader,
        limit: u64,
        apply: &mut Apply<'_>,
    ) -> Result<u64, OpenError> {
        let (mut offset, mut sequence) = (BLOCK_BYTES as u64, reader.head.first_sequence);
        if reader.head.generation == self.from.generation {
            (offset, sequence) = (self.from.offset, self.from.sequence);
        }
        while sequence < limit {
            match reader.at(offset).map_err(|error| OpenError::io(&reader.path, error))? {
                Found::Group(group) if group.head.sequence == sequence => {
                    offset += align(u64::from(group.head.length), BLOCK_BYTES);
                    if sequence >= self.expected {
                        self.groups += 1;
                        self.expected = sequence + 1;
                        let generation = reader.head.generation;
                        let place = JournalPosition { generation, offset, sequence: self.expected };
                        apply(*group, place)?;
                    }
                    sequence += 1;
                }
                Found::Newer => {
                    let (path, supported) = (reader.path.clone(), VERSION);
                    return Err(OpenError::Newer { path, found: VERSION + 1, supported });
                }
                Found::Group(_) | Found::Nothing => break,
            }
        }
        Ok(offset)
    }
}

/// The files of the journal directory.
struct Listing {
    /// With groups that may not be covered, by generation.
    live: Vec<Reader>,
    access: Access,
    spares: Vec<Spare>,
    /// With a damaged head, and the groups in them that a live file could hold.
    headless: Vec<(std::path::PathBuf, u64)>,
    next_number: u64,
    next_generation: u64,
}

impl Listing {
    fn read(
        directory: &Directory,
        from: JournalPosition,
        access: Access,
    ) -> Result<Self, OpenError> {
        let mut listing = Self {
            live: Vec::new(),
            access,
            spares: Vec::new(),
            headless: Vec::new(),
            next_number: 0,
            next_generation: from.generation,
        };
        let names = directory.names().map_err(|error| OpenError::io(directory.path(), error))?;
        for name in names {
            if let Some(number) = files::number(&name) {
                listing.next_number = listing.next_number.max(number + 1);
                listing.file(directory, &name, number, from)?;
            }
        }
        listing.live.sort_by_key(|reader| reader.head.generation);
        for pair in listing.live.windows(2) {
            if pair[0].head.generation == pair[1].head.generation {
                let what = format!("two journal files have generation {}", pair[0].head.generation);
                return Err(OpenError::corrupt(&pair[1].path, 0, what));
            }
        }
        Ok(listing)
    }

    fn file(
        &mut self,
        directory: &Directory,
        name: &str,
        number: u64,
        from: JournalPosition,
    ) -> Result<(), OpenError> {
        let path = directory.join(name);
        let failed = |error| OpenError::io(&path, error);
        let file = match self.access {
            Access::Recover => directory.open(name, OpenMode::ReadWrite).map_err(failed)?,
            Access::Look => directory.open(name, OpenMode::Read).map_err(failed)?,
        };
        if self.access == Access::Recover {
            file.sync_data().map_err(failed)?;
        }
        let bytes = file.len().map_err(failed)?;
        let block = directory::read(&*file, 0, FILE_HEAD_BYTES).map_err(failed)?;
        let head = match FileHead::decode(&block) {
            Ok(head) => Some(head),
            Err(BadHead::Newer(found)) => {
                return Err(OpenError::Newer { path, found, supported: VERSION });
            }
            Err(BadHead::Damaged) => self.restore_head(&path, &*file, bytes, from)?,
        };
        match head {
            Some(head) if head.generation >= from.generation => {
                self.next_generation = self.next_generation.max(head.generation + 1);
                self.live.push(Reader { path, file, number, bytes, head });
            }
            _ => self.spares.push(Spare { number, bytes }),
        }
        Ok(())
    }

    /// A head from the groups that follow it; a file that was about to be used has none.
    fn restore_head(
        &mut self,
        path: &Path,
        file: &dyn File,
        bytes: u64,
        from: JournalPosition,
    ) -> Result<Option<FileHead>, OpenError> {
        let failed = |error| OpenError::io(path, error);
        for (offset, head) in heads(file, BLOCK_BYTES as u64, bytes).map_err(failed)? {
            let group =
                directory::read(file, offset, head.heads_bytes().min(1 << 24)).map_err(failed)?;
            if head.generation < from.generation || !head.is_sealed(&group) {
                continue;
            }
            if offset == BLOCK_BYTES as u64 {
                return Ok(Some(FileHead {
                    generation: head.generation,
                    salt: head.salt,
                    first_sequence: head.sequence,
                    durable_before: head.durable_before,
                }));
            }
            self.headless.push((path.to_owned(), head.durable_before));
        }
        Ok(None)
    }

    /// There is a gap before the file at `at`: fails if anything says that it was durable.
    fn check_claims(&self, at: usize, walk: &Walk, end: Option<&End>) -> Result<(), OpenError> {
        for reader in &self.live[at..] {
            let claim = reader.durable_claim_after(BLOCK_BYTES as u64);
            let claim = claim.map_err(|error| OpenError::io(&reader.path, error))?;
            if claim.max(Some(reader.head.durable_before)) > Some(walk.expected) {
                let (path, offset) =
                    end.map_or((reader.path.as_path(), 0), |(path, at)| (path.as_path(), *at));
                return Err(lost_group(path, offset, walk.expected));
            }
        }
        Ok(())
    }

    fn check_headless(&self, walk: &Walk, end: Option<&End>) -> Result<(), OpenError> {
        for (path, claim) in &self.headless {
            if *claim > walk.expected {
                let (path, offset) =
                    end.map_or((path.as_path(), 0), |(path, at)| (path.as_path(), *at));
                return Err(lost_group(path, offset, walk.expected));
            }
        }
        Ok(())
    }

    /// Makes the files from `at` on blank: they follow a group that never became durable.
    fn discard(&mut self, at: usize) -> Result<(), OpenError> {
        for reader in self.live.drain(at..) {
            let blank = [0; BLOCK_BYTES];
            let failed = |error| OpenError::io(&reader.path, error);
            if self.access == Access::Look {
                continue;
            }
            reader.file.write_at(&blank, 0).map_err(failed)?;
            // The group at the place of the first would bring the head back.
            reader.file.write_at(&blank, BLOCK_BYTES as u64).map_err(failed)?;
            reader.file.sync_data().map_err(failed)?;
            self.spares.push(Spare { number: reader.number, bytes: reader.bytes });
        }
        Ok(())
    }

    fn replayed(self, walk: &Walk) -> Replayed {
        let filled = self.live.iter().enumerate().map(|(at, reader)| {
            let end_sequence =
                self.live.get(at + 1).map_or(walk.expected, |next| next.head.first_sequence);
            Filled { number: reader.number, bytes: reader.bytes, end_sequence }
        });
        Replayed {
            next: JournalPosition {
                generation: self.next_generation,
                offset: BLOCK_BYTES as u64,
                sequence: walk.expected,
            },
            filled: filled.collect(),
            spares: self.spares,
            next_number: self.next_number,
            groups: walk.groups,
        }
    }
}

#[cfg(test)]
mod tests;
