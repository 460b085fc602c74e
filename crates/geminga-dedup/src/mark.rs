//! How far the messages of a producer name are stored.

use crate::{Chunk, Sequence};

/// The highest sequence id, and how much of its message there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) sequence_id: u64,
    /// The last part, of a message of which not all parts are there.
    pub(crate) partial: Option<Partial>,
}

/// A part, of which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) chunk_id: u32,
    pub(crate) message: u64,
}

/// How an entry lies to a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// All of it is behind the mark.
    Behind,
    /// All of it is at or before the mark.
    Covered,
    /// A batch of which the first messages are covered, and the last ones are not.
    Across,
}

impl Mark {
    /// The mark once `sequence` is there too.
    pub(crate) fn after(sequence: &Sequence) -> Self {
        let partial = sequence.chunk.filter(|chunk| !chunk.is_last());
        let partial = partial.map(|Chunk { id, message, .. }| Partial { chunk_id: id, message });
        Self { sequence_id: sequence.last, partial }
    }

    /// The highest sequence id of which the whole message is there.
    pub(crate) const fn complete(&self) -> Option<u64> {
        if self.partial.is_some() {
            self.sequence_id.checked_sub(1)
        } else {
            Some(self.sequence_id)
        }
    }

    pub(crate) fn side_of(&self, sequence: &Sequence) -> Side {
        if self.complete().is_some_and(|complete| sequence.last <= complete) {
            return Side::Covered;
        }
        if self.complete().is_some_and(|complete| sequence.first <= complete) {
            return Side::Across;
        }
        match (&self.partial, &sequence.chunk) {
            (Some(partial), Some(chunk))
                if sequence.last == self.sequence_id
                    && partial.message == chunk.message
                    && chunk.id <= partial.chunk_id =>
            {
                Side::Covered
            }
            _ => Side::Behind,
        }
    }
}

/// The same of a mark that may not be there yet.
pub(crate) fn side_of(mark: Option<&Mark>, sequence: &Sequence) -> Side {
    mark.map_or(Side::Behind, |mark| mark.side_of(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(sequence_id: u64, id: u32, uuid: &[u8]) -> Sequence {
        let chunk = Some(Chunk::new(id, 3, uuid, 10));
        Sequence { chunk, ..Sequence::of(sequence_id) }
    }

    #[test]
    fn sequence_ids_up_to_the_mark_are_covered() {
        let mark = Mark::after(&Sequence::batch(3, 7));
        assert_eq!(mark.side_of(&Sequence::of(7)), Side::Covered);
        assert_eq!(mark.side_of(&Sequence::batch(0, 7)), Side::Covered);
        assert_eq!(mark.side_of(&Sequence::batch(7, 8)), Side::Across);
        assert_eq!(mark.side_of(&Sequence::of(8)), Side::Behind);
        assert_eq!(mark.side_of(&Sequence::batch(100, 200)), Side::Behind);
        assert_eq!(side_of(None, &Sequence::of(0)), Side::Behind);
    }

    #[test]
    fn parts_are_covered_up_to_the_last_one_of_their_own_message() {
        let mark = Mark::after(&part(5, 1, b"a"));
        assert_eq!(mark.side_of(&part(5, 0, b"a")), Side::Covered);
        assert_eq!(mark.side_of(&part(5, 1, b"a")), Side::Covered);
        assert_eq!(mark.side_of(&part(5, 2, b"a")), Side::Behind);
        assert_eq!(mark.side_of(&part(4, 2, b"a")), Side::Covered);
        // The client began again, and cut the message in another way.
        assert_eq!(mark.side_of(&part(5, 0, b"b")), Side::Behind);
        assert_eq!(mark.side_of(&Sequence::of(5)), Side::Behind);
        assert_eq!(mark.side_of(&Sequence::of(4)), Side::Covered);
        let mark = Mark::after(&part(5, 2, b"a"));
        assert_eq!(mark.side_of(&part(5, 0, b"b")), Side::Covered);
        assert_eq!(mark.side_of(&Sequence::of(5)), Side::Covered);
    }

    #[test]
    fn half_a_message_is_not_its_sequence_id() {
        assert_eq!(Mark::after(&part(5, 1, b"a")).complete(), Some(4));
        assert_eq!(Mark::after(&part(0, 1, b"a")).complete(), None);
        assert_eq!(Mark::after(&part(5, 2, b"a")).complete(), Some(5));
    }
}
