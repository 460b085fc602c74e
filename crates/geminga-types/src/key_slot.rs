//! Where a key's hash falls on a Key_Shared subscription.

/// Into how many slots Key_Shared divides the hashes.
pub const KEY_SLOTS: u32 = 1 << 16;

/// The slot of a hash: from 1 on, since Pulsar's brokers use 0 for "not hashed yet".
#[must_use]
pub const fn key_slot(hash: u32) -> u32 {
    match hash % KEY_SLOTS {
        0 => 1,
        slot => slot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_in_slot_0() {
        assert_eq!(
            [0, 1, KEY_SLOTS - 1, KEY_SLOTS, KEY_SLOTS + 1].map(key_slot),
            [1, 1, 65_535, 1, 1]
        );
    }
}
