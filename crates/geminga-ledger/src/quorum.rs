//! Which bookies of an ensemble get an entry, and how many make certain: BookKeeper's round robin.

use geminga_types::{BookieIndex, EntryId};

/// E, Qw and Qa of one ledger: 1 ≤ Qa ≤ Qw ≤ E ≤ 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quorums {
    ensemble: u32,
    write: u32,
    ack: u32,
}

impl Quorums {
    /// `None` unless 1 ≤ Qa ≤ Qw ≤ E ≤ 64.
    pub(crate) const fn new(ensemble: u32, write: u32, ack: u32) -> Option<Self> {
        if 1 <= ack && ack <= write && write <= ensemble && ensemble <= 64 {
            Some(Self { ensemble, write, ack })
        } else {
            None
        }
    }

    pub(crate) const fn ensemble_size(self) -> u32 {
        self.ensemble
    }

    pub(crate) const fn ack(self) -> u32 {
        self.ack
    }

    pub(crate) const fn write(self) -> u32 {
        self.write
    }

    /// The bookies that get `entry_id`, in order.
    pub(crate) fn write_set(self, entry_id: EntryId) -> impl Iterator<Item = BookieIndex> + Clone {
        let first = entry_id.0.rem_euclid(i64::from(self.ensemble));
        (0..i64::from(self.write)).map(move |turn| {
            let index = (first + turn) % i64::from(self.ensemble);
            let index = u8::try_from(index).ok().and_then(BookieIndex::new);
            index.expect("an ensemble has at most 64 bookies")
        })
    }

    /// The same as a set.
    pub(crate) fn write_set_bits(self, entry_id: EntryId) -> u64 {
        self.write_set(entry_id).fold(0, |bits, bookie| bits | bookie.bit())
    }

    /// Whether the bookies of a write set other than `certain` are too few for an ack quorum: then
    /// what none of `certain` has, or will take, is not and will not be confirmed.
    pub(crate) const fn excludes_ack_quorum(self, certain: u32) -> bool {
        self.write.saturating_sub(certain) < self.ack
    }

    /// Whether that holds in every write set of the ensemble for the bookies in `certain`.
    pub(crate) fn covers(self, certain: u64) -> bool {
        (0..i64::from(self.ensemble)).all(|first| {
            let certain = certain & self.write_set_bits(EntryId(first));
            self.excludes_ack_quorum(certain.count_ones())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes(quorums: Quorums, entry_id: i64) -> Vec<usize> {
        quorums.write_set(EntryId(entry_id)).map(BookieIndex::get).collect()
    }

    #[test]
    fn refuses_quorums_that_would_confirm_nothing_or_never() {
        assert!(Quorums::new(1, 1, 1).is_some());
        assert!(Quorums::new(64, 64, 64).is_some());
        assert!(Quorums::new(3, 2, 1).is_some());
        assert!(Quorums::new(1, 1, 0).is_none());
        assert!(Quorums::new(2, 1, 2).is_none());
        assert!(Quorums::new(2, 3, 2).is_none());
        assert!(Quorums::new(65, 2, 2).is_none());
    }

    #[test]
    fn the_write_set_goes_round() {
        let striped = Quorums::new(3, 2, 2).unwrap();
        assert_eq!(indexes(striped, 0), [0, 1]);
        assert_eq!(indexes(striped, 1), [1, 2]);
        assert_eq!(indexes(striped, 2), [2, 0]);
        assert_eq!(indexes(striped, 3), [0, 1]);
        assert_eq!(striped.write_set_bits(EntryId(2)), 0b101);
        assert_eq!(indexes(Quorums::new(1, 1, 1).unwrap(), i64::MAX), [0]);
    }

    #[test]
    fn coverage_leaves_no_room_for_an_ack_quorum() {
        let covers = |e, w, a, certain| Quorums::new(e, w, a).unwrap().covers(certain);
        assert!(!covers(1, 1, 1, 0b0));
        assert!(covers(1, 1, 1, 0b1));
        assert!(covers(3, 3, 3, 0b001));
        assert!(!covers(3, 3, 3, 0b000));
        assert!(!covers(3, 3, 2, 0b100));
        assert!(covers(3, 3, 2, 0b101));
        assert!(!covers(3, 3, 1, 0b011));
        assert!(covers(3, 3, 1, 0b111));
        // Striped: {0,1} {1,2} {2,0} each need one.
        assert!(!covers(3, 2, 2, 0b001));
        assert!(covers(3, 2, 2, 0b011));
    }
}
