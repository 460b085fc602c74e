//! What dispatch needs to know of the newest entries, so that they need not be parsed again.

use std::collections::VecDeque;

use geminga_subscription::Chunk;
use geminga_types::Ordinal;
use geminga_wire::entry::{BrokerMeta, EntryMeta};

use crate::producer::chunk_of;

/// How many entries are remembered; older ones are parsed when they are read.
const ENTRIES_MAX: usize = 8_192;

/// What dispatch needs to know of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) messages: u32,
    pub(super) key_hash: u32,
    pub(super) deliver_at: Option<u64>,
    pub(super) published_at: u64,
    pub(super) is_visible: bool,
    pub(super) chunk: Option<Chunk>,
}

/// The newest entries' metas, without gaps.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Ordinal of the first in `metas`.
    first: u64,
    metas: VecDeque<Meta>,
}

impl Tail {
    pub(super) fn push(&mut self, ordinal: Ordinal, meta: Meta) {
        if self.first + self.metas.len() as u64 != ordinal.0 {
            self.metas.clear();
            self.first = ordinal.0;
        }
        if self.metas.len() == ENTRIES_MAX {
            self.metas.pop_front();
            self.first += 1;
        }
        self.metas.push_back(meta);
    }

    /// Forgets all: what is read later is parsed again.
    pub(super) fn shrink(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get(&self, ordinal: Ordinal) -> Option<Meta> {
        let index = ordinal.0.checked_sub(self.first)?;
        self.metas.get(usize::try_from(index).ok()?).copied()
    }
}

impl Meta {
    /// The same for an entry whose front is in a piece of its own, or empty.
    pub(super) fn parse_with_front(front: &[u8], entry: &[u8]) -> Self {
        let meta = Self::parse(entry);
        match BrokerMeta::parse(front).ok().and_then(|noted| noted.timestamp) {
            Some(published_at) => Self { published_at, ..meta },
            None => meta,
        }
    }

    /// Reads it from an entry at rest; damaged metadata makes an entry that is handed out as it is.
    pub(super) fn parse(entry: &[u8]) -> Self {
        match EntryMeta::parse(entry) {
            Ok(meta) => Self {
                messages: meta.messages,
                key_hash: meta.key_hash(),
                deliver_at: meta.deliver_at.and_then(|at| u64::try_from(at).ok()),
                published_at: meta.published_at(),
                is_visible: meta.marker_type.is_none(),
                chunk: chunk_of(&meta),
            },
            // Who cannot tell when it was published does not let it go for its age.
            Err(_) => Self {
                messages: 1,
                key_hash: 0,
                deliver_at: None,
                published_at: u64::MAX,
                is_visible: true,
                chunk: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn meta(messages: u32) -> Meta {
        Meta {
            messages,
            key_hash: 0,
            deliver_at: None,
            published_at: 1,
            is_visible: true,
            chunk: None,
        }
    }

    #[test]
    fn remembers_the_newest_and_forgets_across_a_gap() {
        let mut tail = Tail::default();
        for ordinal in 5..5 + ENTRIES_MAX as u64 + 2 {
            tail.push(Ordinal(ordinal), meta(u32::try_from(ordinal).unwrap()));
        }
        assert_eq!(tail.get(Ordinal(6)), None);
        assert_eq!(tail.get(Ordinal(7)), Some(meta(7)));
        tail.push(Ordinal(100_000), meta(1));
        assert_eq!(tail.get(Ordinal(8)), None);
        assert_eq!(tail.get(Ordinal(100_000)), Some(meta(1)));
        assert_eq!(tail.get(Ordinal(100_001)), None);
    }
}
