//! Reads one journal file, group by group.

use std::{io, path::PathBuf};

use bytes::Bytes;
use geminga_env::File;

use super::{
    format::{BLOCK_BYTES, FileHead, GROUP_HEAD_BYTES, GroupHead},
    group::{self, BadGroup, Group},
};
use crate::{directory, fields::align, fields::size};

/// A file with its head.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn File>,
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) head: FileHead,
}

/// What lies at an offset.
#[derive(Debug)]
pub(crate) enum Found {
    /// A whole group.
    Group(Box<Group>),
    /// No group of this generation.
    Nothing,
    /// A group of a newer version.
    Newer,
}

const SCAN_BYTES: usize = 1 << 20;

impl Reader {
    /// Reads what lies at `offset`.
    pub(crate) fn at(&self, offset: u64) -> io::Result<Found> {
        let Some(head) = self.head_at(offset)? else { return Ok(Found::Nothing) };
        let buffer = directory::read(&*self.file, offset, head.length as usize)?;
        if buffer.len() < head.length as usize {
            return Ok(Found::Nothing);
        }
        Ok(match group::decode(head, Bytes::from(buffer)) {
            Ok(group) => Found::Group(Box::new(group)),
            Err(BadGroup::Damaged) => Found::Nothing,
            Err(BadGroup::Newer) => Found::Newer,
        })
    }

    fn head_at(&self, offset: u64) -> io::Result<Option<GroupHead>> {
        if offset >= self.bytes {
            return Ok(None);
        }
        let bytes = directory::read(&*self.file, offset, GROUP_HEAD_BYTES)?;
        Ok(GroupHead::peek(&bytes).filter(|head| self.owns(head, offset)))
    }

    fn owns(&self, head: &GroupHead, offset: u64) -> bool {
        head.generation == self.head.generation
            && head.salt == self.head.salt
            && u64::from(head.length) <= self.bytes - offset
    }

    /// The highest `durable_before` of a whole group of this generation at or after `offset`.
    pub(crate) fn durable_claim_after(&self, offset: u64) -> io::Result<Option<u64>> {
        let mut claim = None;
        for (offset, head) in heads(&*self.file, offset, self.bytes)? {
            if self.owns(&head, offset)
                && let Found::Group(group) = self.at(offset)?
            {
                claim = claim.max(Some(group.head.durable_before));
            }
        }
        Ok(claim)
    }
}

/// Everything that may be the head of a group, from `offset` on.
pub(crate) fn heads(
    file: &dyn File,
    mut offset: u64,
    end: u64,
) -> io::Result<Vec<(u64, GroupHead)>> {
    let mut found = Vec::new();
    offset = align(offset, BLOCK_BYTES);
    while offset < end {
        let bytes = directory::read(file, offset, SCAN_BYTES.min(size(end - offset)))?;
        if bytes.is_empty() {
            break;
        }
        for (block, at) in bytes.chunks(BLOCK_BYTES).zip((offset..).step_by(BLOCK_BYTES)) {
            found.extend(GroupHead::peek(block).map(|head| (at, head)));
        }
        offset += SCAN_BYTES as u64;
    }
    Ok(found)
}
