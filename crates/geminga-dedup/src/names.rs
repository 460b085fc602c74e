//! What is kept by producer name: found by one look-up, bounded, and who was not heard of longest goes.
//!
//! # Invariants
//!
//! 1. `by_name` names exactly the slots that are taken; a slot stays with its name while the name has
//!    something in flight.
//! 2. `changed` lists each slot whose `is_changed` is set, once, and maybe some that were given up.

use std::{collections::HashMap, sync::Arc};

use geminga_env::Instant;

/// Bytes of names, on the average, when there are as many as there may be.
const NAME_BYTES_MEAN: usize = 256;

/// Something kept for a name.
pub(crate) trait Kept: Default {
    /// Whether the fate of something is open, so that it must stay.
    fn is_in_flight(&self) -> bool;
    /// Whether there is nothing that is worth to be stored.
    fn is_blank(&self) -> bool;
}

#[derive(Debug)]
pub(crate) struct Names<T> {
    by_name: HashMap<Arc<[u8]>, u32>,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<u32>,
    changed: Vec<u32>,
    /// Names that were stored and are to be stored no more.
    gone: Vec<Arc<[u8]>>,
    name_bytes: usize,
    names_max: usize,
}

#[derive(Debug)]
struct Slot<T> {
    name: Arc<[u8]>,
    kept: T,
    heard_of: Instant,
    is_changed: bool,
}

impl<T: Kept> Names<T> {
    pub(crate) fn new(names_max: usize) -> Self {
        Self {
            by_name: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            name_bytes: 0,
            names_max: names_max.max(1),
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

    /// The slot of `name`, made if there is none, and heard of now.
    pub(crate) fn enter(&mut self, name: &[u8], now: Instant) -> u32 {
        if let Some(&slot) = self.by_name.get(name) {
            if let Some(Some(taken)) = self.slots.get_mut(slot as usize) {
                taken.heard_of = now;
            }
            return slot;
        }
        self.make_room(name.len());
        let name: Arc<[u8]> = Arc::from(name);
        self.name_bytes += name.len();
        let taken =
            Slot { name: Arc::clone(&name), kept: T::default(), heard_of: now, is_changed: false };
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
        if let Some(Some(taken)) = self.slots.get_mut(slot as usize)
            && !taken.is_changed
        {
            taken.is_changed = true;
            self.changed.push(slot);
        }
    }

    /// Takes out what is to be stored: each name with what is kept, or without it if it is gone.
    pub(crate) fn take_changes(&mut self, mut note: impl FnMut(&[u8], Option<&T>)) {
        // First those that are gone: a name may have come back since.
        std::mem::take(&mut self.gone).iter().for_each(|name| note(name, None));
        for slot in std::mem::take(&mut self.changed) {
            if let Some(Some(taken)) = self.slots.get_mut(slot as usize)
                && taken.is_changed
            {
                taken.is_changed = false;
                note(&taken.name, Some(&taken.kept));
            }
        }
    }

    /// Goes through all that is worth to be stored; then nothing is changed.
    pub(crate) fn take_all(&mut self, mut note: impl FnMut(&[u8], &T)) {
        self.gone.clear();
        self.changed.clear();
        for taken in self.slots.iter_mut().flatten() {
            taken.is_changed = false;
            if !taken.kept.is_blank() {
                note(&taken.name, &taken.kept);
            }
        }
    }

    /// Notes that a name is stored that is to be stored no more.
    pub(crate) fn drop_stored(&mut self, name: &[u8]) {
        self.gone.push(Arc::from(name));
    }

    /// Forgets names that were not heard of since `before`, unless they are `open`.
    pub(crate) fn forget(&mut self, before: Instant, is_open: impl Fn(&[u8]) -> bool) {
        let is_over = |slot: &Slot<T>| slot.heard_of < before && !is_open(&slot.name);
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(is_over) {
                self.give_up(slot);
            }
        }
    }

    /// Forgets all names.
    pub(crate) fn clear(&mut self) {
        for taken in self.slots.drain(..).flatten() {
            if !taken.kept.is_blank() {
                self.gone.push(taken.name);
            }
        }
        self.by_name.clear();
        self.free.clear();
        self.changed.clear();
        self.name_bytes = 0;
    }

    /// Makes room for one more name; a sixteenth of them goes at once, so that this is rare.
    fn make_room(&mut self, bytes: usize) {
        let is_full = self.names_max <= self.by_name.len()
            || self.names_max * NAME_BYTES_MEAN < self.name_bytes + bytes;
        if !is_full {
            return;
        }
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
            self.by_name.remove(&taken.name);
            self.free.extend(u32::try_from(slot));
            if !taken.kept.is_blank() {
                self.gone.push(taken.name);
            }
        }
    }
}
