//! What is kept by producer name: found by one look-up, bounded, and who was not heard of longest goes.
//!
//! # Invariants
//!
//! 1. `by_name` names exactly the slots that are taken; a slot stays with its name while the name has
//!    something in flight.
//! 2. `changed` lists each slot whose `is_changed` is set, once, and maybe some that were given up.
//! 3. A name that may be in the records, and has no slot, is in `gone`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use geminga_env::Instant;

/// Bytes of names, on the average, when there are as many as there may be.
const NAME_BYTES_MEAN: usize = 256;

/// Something kept for a name.
pub(crate) trait Kept: Default {
    /// Whether the fate of something is open, so that it must stay.
    fn is_in_flight(&self) -> bool;
    /// Whether there is nothing that is worth to be stored.
    fn is_blank(&self) -> bool;
    /// How many items it has, that count for the bound of all names together.
    fn items(&self) -> usize;
}

#[derive(Debug)]
pub(crate) struct Names<T> {
    by_name: HashMap<Arc<[u8]>, u32>,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<u32>,
    changed: Vec<u32>,
    /// Names that are forgotten, until that is durable, each with the changes that say so.
    gone: BTreeMap<Arc<[u8]>, Option<u64>>,
    /// Whether no changes say so of some.
    has_news_of_gone: bool,
    name_bytes: usize,
    names_max: usize,
    items: usize,
    items_max: usize,
}

#[derive(Debug)]
struct Slot<T> {
    name: Arc<[u8]>,
    kept: T,
    heard_of: Instant,
    is_changed: bool,
    /// As they were counted last.
    items: usize,
}

impl<T: Kept> Names<T> {
    pub(crate) fn new(names_max: usize, items_max: usize) -> Self {
        Self {
            by_name: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            changed: Vec::new(),
            gone: BTreeMap::new(),
            has_news_of_gone: false,
            name_bytes: 0,
            names_max: names_max.max(1),
            items: 0,
            items_max,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&T> {
        let slot = *self.by_name.get(name)?;
        self.slots.get(slot as usize)?.as_ref().map(|slot| &slot.kept)
    }

    pub(crate) fn at(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut().map(|slot| &mut slot.kept)
    }

    /// Notes that somebody has the name now. Returns its slot, if there is one.
    pub(crate) fn hear_of(&mut self, name: &[u8], now: Instant) -> Option<u32> {
        let slot = *self.by_name.get(name)?;
        if let Some(Some(taken)) = self.slots.get_mut(slot as usize) {
            taken.heard_of = now;
        }
        Some(slot)
    }

    /// The slot of `name`, made if there is none, and heard of now.
    pub(crate) fn enter(&mut self, name: &[u8], now: Instant) -> u32 {
        if let Some(slot) = self.hear_of(name, now) {
            return slot;
        }
        self.make_room(name.len());
        let name: Arc<[u8]> = Arc::from(name);
        self.name_bytes += name.len();
        let taken = Slot {
            name: Arc::clone(&name),
            kept: T::default(),
            heard_of: now,
            is_changed: false,
            items: 0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 slots fit in memory")
        });
        self.slots[slot as usize] = Some(taken);
        self.by_name.insert(name, slot);
        slot
    }

    /// Notes that what is kept in a slot is to be stored again.
    pub(crate) fn change(&mut self, slot: u32) {
        let Some(Some(taken)) = self.slots.get_mut(slot as usize) else { return };
        let items = taken.kept.items();
        self.items = self.items - taken.items + items;
        taken.items = items;
        if !taken.is_changed {
            taken.is_changed = true;
            self.changed.push(slot);
        }
        if self.items_max < self.items {
            self.give_up_some();
        }
    }

    /// Whether names are forgotten, and no changes say so.
    pub(crate) const fn has_news_of_gone(&self) -> bool {
        self.has_news_of_gone
    }

    /// Whether the name, of which nothing is known here, may still be in the records.
    pub(crate) fn is_going(&self, name: &[u8]) -> bool {
        self.gone.contains_key(name) || self.names_max <= self.gone.len()
    }

    /// Takes out what is to be stored, as changes of that `number`: each name with what is kept, or
    /// without it if it is gone.
    pub(crate) fn take_changes(&mut self, number: u64, mut note: impl FnMut(&[u8], Option<&T>)) {
        // First those that are gone: a name may have come back since.
        if std::mem::take(&mut self.has_news_of_gone) {
            for (name, said_by) in self.gone.iter_mut().filter(|(_, said_by)| said_by.is_none()) {
                *said_by = Some(number);
                note(name, None);
            }
        }
        for slot in std::mem::take(&mut self.changed) {
            if let Some(Some(taken)) = self.slots.get_mut(slot as usize)
                && taken.is_changed
            {
                taken.is_changed = false;
                note(&taken.name, Some(&taken.kept));
            }
        }
    }

    /// Notes that all changes up to that number are durable.
    pub(crate) fn on_durable(&mut self, number: u64) {
        if !self.gone.is_empty() {
            self.gone.retain(|_, said_by| said_by.is_none_or(|said_by| number < said_by));
        }
    }

    /// Notes that there are no records any more.
    pub(crate) fn on_records_gone(&mut self) {
        self.gone.clear();
        self.has_news_of_gone = false;
    }

    /// Nobody knows whether those that are gone were said to be.
    pub(crate) fn on_writes_lost(&mut self) {
        self.gone.values_mut().for_each(|said_by| *said_by = None);
        self.has_news_of_gone = !self.gone.is_empty();
    }

    /// Goes through all that is worth to be stored.
    pub(crate) fn each(&self, mut note: impl FnMut(&[u8], &T)) {
        for taken in self.slots.iter().flatten().filter(|taken| !taken.kept.is_blank()) {
            note(&taken.name, &taken.kept);
        }
    }

    /// Forgets names that nobody has had since `before`; of those that are `open` somebody has now.
    pub(crate) fn forget(
        &mut self,
        before: Instant,
        now: Instant,
        is_open: impl Fn(&[u8]) -> bool,
    ) {
        for slot in 0..self.slots.len() {
            let Some(taken) = &mut self.slots[slot] else { continue };
            if is_open(&taken.name) {
                taken.heard_of = now;
            } else if taken.heard_of < before {
                self.give_up(slot);
            }
        }
    }

    /// Forgets all names.
    pub(crate) fn clear(&mut self) {
        for taken in std::mem::take(&mut self.slots).into_iter().flatten() {
            self.note_gone(taken);
        }
        self.by_name.clear();
        self.free.clear();
        self.changed.clear();
        (self.name_bytes, self.items) = (0, 0);
    }

    /// Makes room for one more name; a sixteenth of them goes at once, so that this is rare.
    fn make_room(&mut self, bytes: usize) {
        let is_full = self.names_max <= self.by_name.len()
            || self.names_max * NAME_BYTES_MEAN < self.name_bytes + bytes;
        if is_full {
            self.give_up_some();
        }
    }

    fn give_up_some(&mut self) {
        let taken = self.slots.iter().enumerate();
        let idle = taken.filter_map(|(at, slot)| {
            slot.as_ref().filter(|slot| !slot.kept.is_in_flight()).map(|slot| (slot.heard_of, at))
        });
        let mut idle: Vec<(Instant, usize)> = idle.collect();
        idle.sort_unstable();
        for &(_, slot) in idle.iter().take(self.by_name.len() / 16 + 1) {
            self.give_up(slot);
        }
    }

    fn give_up(&mut self, slot: usize) {
        if self.slots[slot].as_ref().is_none_or(|taken| taken.kept.is_in_flight()) {
            return;
        }
        if let Some(taken) = self.slots[slot].take() {
            self.name_bytes -= taken.name.len();
            self.items -= taken.items;
            self.by_name.remove(&taken.name);
            self.free.extend(u32::try_from(slot));
            self.note_gone(taken);
        }
    }

    fn note_gone(&mut self, taken: Slot<T>) {
        if !taken.kept.is_blank() {
            self.gone.insert(taken.name, None);
            self.has_news_of_gone = true;
        }
    }
}

#[cfg(test)]
mod tests;
