//! Who waits for a budget, and who is next.

use std::{cmp::Reverse, collections::BTreeMap};

use tokio::sync::oneshot;

/// One in so many is who waits longest.
const FAIR_TURN: u32 = 16;

/// By priority and arrival.
pub(super) type Place = (Reverse<i32>, u64);

/// A line of takers.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// How many were served while others waited.
    served: u32,
    arrived: u64,
    places: BTreeMap<Place, Taker>,
    /// The same by arrival alone.
    by_arrival: BTreeMap<u64, Reverse<i32>>,
}

#[derive(Debug)]
struct Taker {
    bytes: usize,
    call: oneshot::Sender<()>,
}

impl Line {
    pub(super) fn enter(
        &mut self,
        priority: i32,
        bytes: usize,
        call: oneshot::Sender<()>,
    ) -> Place {
        let place = (Reverse(priority), self.arrived);
        self.arrived += 1;
        self.places.insert(place, Taker { bytes, call });
        self.by_arrival.insert(place.1, place.0);
        place
    }

    /// Whether it was still there.
    pub(super) fn leave(&mut self, place: Place) -> bool {
        self.remove(place).is_some()
    }

    /// Who is next, and what it needs. The same until it is called or leaves, or a higher priority comes.
    pub(super) fn next(&self) -> Option<(Place, usize)> {
        let next = match self.served % FAIR_TURN {
            0 if self.served != 0 => {
                self.by_arrival.first_key_value().map(|(&arrived, &priority)| (priority, arrived))
            }
            _ => self.places.first_key_value().map(|(place, _)| *place),
        };
        next.and_then(|place| Some((place, self.places.get(&place)?.bytes)))
    }

    pub(super) fn call(&mut self, place: Place) {
        self.served = self.served.wrapping_add(1);
        if let Some(taker) = self.remove(place) {
            _ = taker.call.send(()); // Who goes away leaves the line first.
        }
    }

    fn remove(&mut self, place: Place) -> Option<Taker> {
        self.by_arrival.remove(&place.1);
        self.places.remove(&place)
    }
}
