//! Which messages of a batch are not acked yet.
//!
//! Bit `i % 64` of word `i / 64` stands for message `i`: 1 is *not acked*. Words beyond the last
//! are 0, as in Java's `BitSet`, so a set may be shorter than its batch. An *absent* set means
//! something else (the whole entry is meant) and is the caller's to tell apart.

use smallvec::SmallVec;

/// An ack set; batches of up to 256 messages need no allocation.
pub type AckWords = SmallVec<[i64; 4]>;

/// The set in which none of `messages` messages is acked: allocates a bit for each.
///
/// A count from the network is bounded where it comes in, by
/// [`MESSAGES_IN_BATCH_MAX`](crate::entry::MESSAGES_IN_BATCH_MAX).
#[must_use]
pub fn full(messages: u32) -> AckWords {
    let mut words = AckWords::from_elem(-1, (messages / 64) as usize);
    if !messages.is_multiple_of(64) {
        words.push(((1_u64 << (messages % 64)) - 1).cast_signed());
    }
    words
}

/// Leaves in `set` what is unacked in `other` too; a word that `other` does not have is 0.
pub fn and(set: &mut AckWords, other: &[i64]) {
    set.truncate(other.len());
    for (word, other) in set.iter_mut().zip(other) {
        *word &= other;
    }
    trim(set);
}

/// Notes that message `index` is acked.
pub fn clear(set: &mut AckWords, index: u32) {
    if let Some(word) = set.get_mut((index / 64) as usize) {
        *word &= !(1 << (index % 64));
    }
    trim(set);
}

/// Notes that the messages up to and including `index` are acked.
pub fn clear_through(set: &mut AckWords, index: u32) {
    let last = (index / 64) as usize;
    for word in set.iter_mut().take(last) {
        *word = 0;
    }
    if let Some(word) = set.get_mut(last) {
        *word &= (-1_i64).unbounded_shl(index % 64 + 1);
    }
    trim(set);
}

/// Whether message `index` is not acked yet.
#[must_use]
pub fn is_set(set: &[i64], index: u32) -> bool {
    set.get((index / 64) as usize).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

/// Whether all is acked.
#[must_use]
pub fn is_empty(set: &[i64]) -> bool {
    set.iter().all(|word| *word == 0)
}

/// How many messages are not acked yet.
#[must_use]
pub fn count(set: &[i64]) -> u32 {
    set.iter().map(|word| word.count_ones()).sum()
}

/// Drops the words at the end that say nothing.
fn trim(set: &mut AckWords) {
    while set.last() == Some(&0) {
        set.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn members(set: &[i64]) -> Vec<u32> {
        (0..400).filter(|index| is_set(set, *index)).collect()
    }

    #[test]
    fn full_sets_hold_exactly_the_batch() {
        for messages in [0, 1, 2, 63, 64, 65, 127, 128, 129, 300] {
            let set = full(messages);
            assert_eq!(members(&set), (0..messages).collect::<Vec<_>>());
            assert_eq!(count(&set), messages);
            assert_eq!(is_empty(&set), messages == 0);
        }
    }

    #[test]
    fn indexes_beyond_the_set_are_acked() {
        let mut set = full(3);
        clear(&mut set, u32::MAX);
        assert_eq!(members(&set), [0, 1, 2]);
        clear_through(&mut set, 1);
        assert_eq!(members(&set), [2]);
        clear_through(&mut set, u32::MAX);
        assert!(set.is_empty());
        assert!(!is_set(&set, u32::MAX));
    }

    proptest! {
        #[test]
        fn agrees_with_sets(
            messages in 1_u32..300,
            acked in btree_set(0_u32..300, 0..20),
            also in btree_set(0_u32..300, 0..20),
            through in 0_u32..300,
        ) {
            let without = |gone: &std::collections::BTreeSet<u32>| {
                let mut set = full(messages);
                gone.iter().for_each(|index| clear(&mut set, *index));
                set
            };
            let mut set = without(&acked);
            and(&mut set, &without(&also));
            let mut left: Vec<u32> =
                (0..messages).filter(|index| !acked.contains(index) && !also.contains(index)).collect();
            prop_assert_eq!(members(&set), left.clone());
            clear_through(&mut set, through);
            left.retain(|index| through < *index);
            prop_assert_eq!(members(&set), left.clone());
            prop_assert_eq!(is_empty(&set), left.is_empty());
            prop_assert_eq!(set.last().copied().unwrap_or(1) == 0, false);
        }
    }
}
