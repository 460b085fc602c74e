//! Which consumer of a `Key_Shared` subscription has which key.
//!
//! A key's hash is a slot in `0..65536`. Automatic: each consumer has 100 points on the ring of
//! slots, derived from its name, and a slot belongs to the next point; so a consumer that comes or
//! goes moves only its own share, and one that comes back under its name gets the same. Or each
//! consumer has one range, and who comes gets half of the largest. Sticky: the consumers name their
//! slots; a slot that nobody named belongs to nobody.

use std::{collections::BTreeMap, ops::RangeInclusive};

use geminga_types::KEY_SLOTS;

use crate::{AttachError, AutoSplit, ConsumerKey, KeySharedMode};

/// The slots and their owners.
#[derive(Debug)]
pub(crate) enum Slots {
    /// Points on the ring, ascending; where two consumers share one, the lower key has it.
    Ring {
        /// Points of each consumer.
        each: u32,
        points: Vec<(u32, ConsumerKey)>,
    },
    /// Last slot → owner of what lies behind the range before; the last of them ends with the slots.
    Halves(BTreeMap<u32, ConsumerKey>),
    /// First slot → last slot and owner.
    Sticky(BTreeMap<u32, (u32, ConsumerKey)>),
}

impl Slots {
    /// Nobody's slots, to be divided the way `mode` is.
    pub(crate) const fn new(mode: &KeySharedMode, auto_split: AutoSplit) -> Self {
        match (mode, auto_split) {
            (KeySharedMode::AutoSplit, AutoSplit::Ring(each)) => {
                Self::Ring { each, points: Vec::new() }
            }
            (KeySharedMode::AutoSplit, AutoSplit::Halves) => Self::Halves(BTreeMap::new()),
            (KeySharedMode::Sticky(_), _) => Self::Sticky(BTreeMap::new()),
        }
    }

    pub(crate) const fn is_of(&self, mode: &KeySharedMode) -> bool {
        matches!(self, Self::Sticky(_)) == matches!(mode, KeySharedMode::Sticky(_))
    }

    /// Gives a consumer its slots. `name` is unique among those attached.
    ///
    /// # Errors
    ///
    /// [`AttachError::Assign`] if it names no slots, or some that are taken or do not exist; or if
    /// there are no more to be divided.
    pub(crate) fn add(
        &mut self,
        key: ConsumerKey,
        name: &str,
        mode: &KeySharedMode,
    ) -> Result<(), AttachError> {
        match (self, mode) {
            (Self::Sticky(owners), KeySharedMode::Sticky(ranges)) => {
                let mut claimed = owners.clone();
                if ranges.is_empty() {
                    return Err(AttachError::Assign(
                        "Ranges for KeyShared policy must not be empty.".to_owned(),
                    ));
                }
                for range in ranges {
                    claim(&mut claimed, range, key)?;
                }
                *owners = claimed;
            }
            (Self::Ring { each, points }, _) => {
                points.extend((0..*each).map(|point| (slot_of_point(name, point), key)));
                points.sort_unstable();
                points.dedup();
            }
            (Self::Halves(owners), _) => halve(owners, key)?,
            (Self::Sticky(_), KeySharedMode::AutoSplit) => {}
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: ConsumerKey) {
        match self {
            Self::Ring { points, .. } => points.retain(|&(_, owner)| owner != key),
            Self::Halves(owners) => {
                owners.retain(|_, &mut owner| owner != key);
                // What was behind it takes its slots; if nothing was, what was before it.
                if let Some((last, owner)) = owners.pop_last() {
                    owners.insert(last.max(KEY_SLOTS - 1), owner);
                }
            }
            Self::Sticky(owners) => owners.retain(|_, &mut (_, owner)| owner != key),
        }
    }

    /// The consumer that has `slot`, if somebody has.
    pub(crate) fn owner(&self, slot: u32) -> Option<ConsumerKey> {
        match self {
            Self::Ring { points, .. } => {
                let next = points.partition_point(|&(point, _)| point < slot);
                points.get(next).or_else(|| points.first()).map(|&(_, owner)| owner)
            }
            Self::Halves(owners) => owners.range(slot..).next().map(|(_, &owner)| owner),
            Self::Sticky(owners) => {
                let (_, &(last, owner)) = owners.range(..=slot).next_back()?;
                (slot <= last).then_some(owner)
            }
        }
    }
}

/// Gives a consumer the lower half of the largest range, or all slots if it is the first.
fn halve(owners: &mut BTreeMap<u32, ConsumerKey>, key: ConsumerKey) -> Result<(), AttachError> {
    let mut first = 0;
    let mut largest = None;
    for &last in owners.keys() {
        if largest.is_none_or(|(_, size)| size < last - first) {
            largest = Some((first, last - first));
        }
        first = last + 1;
    }
    match largest {
        None => _ = owners.insert(KEY_SLOTS - 1, key),
        Some((first, size)) if 0 < size => _ = owners.insert(first + size / 2, key),
        Some(_) => {
            let count = owners.len();
            return Err(AttachError::Assign(format!(
                "No more range can assigned to new consumer, assigned consumers {count}."
            )));
        }
    }
    Ok(())
}

fn claim(
    owners: &mut BTreeMap<u32, (u32, ConsumerKey)>,
    range: &RangeInclusive<u32>,
    key: ConsumerKey,
) -> Result<(), AttachError> {
    let (first, last) = (*range.start(), *range.end());
    if last < first || KEY_SLOTS <= last {
        let text = format!("Key range [{first}, {last}] is not within [0, {}].", KEY_SLOTS - 1);
        return Err(AttachError::Assign(text));
    }
    let below = owners.range(..=last).next_back();
    if let Some((&taken, &(until, owner))) = below
        && first <= until
    {
        let text = format!(
            "Range conflict with consumer {}: [{first}, {last}] overlaps [{taken}, {until}].",
            owner.0
        );
        return Err(AttachError::Assign(text));
    }
    owners.insert(first, (last, key));
    Ok(())
}

/// FNV-1a over name and point, its bits mixed by `SplitMix64`'s finish.
pub(crate) fn slot_of_point(name: &str, point: u32) -> u32 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = name.bytes().chain([0]).chain(point.to_be_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325, fnv);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let [high, low, ..] = (hash ^ (hash >> 31)).to_be_bytes();
    u32::from(u16::from_be_bytes([high, low]))
}

/// Whether a slot is that of a message in chunks: those lie behind the slots of keys.
pub(crate) const fn is_chunk(slot: u32) -> bool {
    KEY_SLOTS <= slot
}

#[cfg(test)]
mod tests;
