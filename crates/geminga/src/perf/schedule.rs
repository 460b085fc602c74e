//! Decides which producer sends when; it does no I/O.
//!
//! # Invariants
//!
//! 1. No producer has more messages in flight than it may.
//! 2. At a rate, message `k` is due at its time whatever happened before; one that is held up keeps it.

use std::collections::VecDeque;

/// A message to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) lane: usize,
    pub(super) at: u64,
}

/// How fast: one every `interval` ns beginning at `first`, or as there is room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    Free,
    Every { first: f64, interval: f64 },
}

/// One producer's.
#[derive(Debug, Default)]
struct Lane {
    in_flight: u32,
    /// Due, but held up.
    late: VecDeque<u64>,
    is_ready: bool,
}

#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    in_flight_max: u32,
    lanes: Vec<Lane>,
    /// Lanes that have room for what is held up, or, without a pace, that have room.
    ready: VecDeque<usize>,
    /// Messages that were due so far, and may be in all.
    count: u64,
    count_max: Option<u64>,
    in_flight: u64,
    held_up: u64,
    is_stopped: bool,
}

/// Messages handed out at a time, and of one lane in turn.
const TURN_MAX: usize = 256;
const LANE_MAX: u32 = 128;

impl Schedule {
    pub(super) fn new(
        pace: Pace,
        lanes: usize,
        in_flight_max: u32,
        count_max: Option<u64>,
    ) -> Self {
        let is_ready = pace == Pace::Free;
        Self {
            pace,
            in_flight_max,
            lanes: (0..lanes).map(|_| Lane { is_ready, ..Lane::default() }).collect(),
            ready: if is_ready { (0..lanes).collect() } else { VecDeque::new() },
            count: 0,
            count_max,
            in_flight: 0,
            held_up: 0,
            is_stopped: false,
        }
    }

    /// Nothing new becomes due; what is in flight is.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Whether everything that will be sent is sent and answered.
    pub(super) fn is_done(&self) -> bool {
        self.in_flight == 0 && (self.is_stopped || (self.is_exhausted() && self.held_up == 0))
    }

    /// Messages that were due and could not be sent.
    pub(super) const fn held_up(&self) -> u64 {
        self.held_up
    }

    /// Whether there is more to send at once.
    pub(super) fn has_ready(&self) -> bool {
        let is_open = self.pace != Pace::Free || !self.is_exhausted();
        !self.is_stopped && is_open && !self.ready.is_empty()
    }

    /// When the next message is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        if self.is_stopped || self.is_exhausted() {
            return None;
        }
        match self.pace {
            Pace::Free => None,
            Pace::Every { first, interval } => Some(time_of(first, interval, self.count)),
        }
    }

    /// A message of a lane was answered.
    pub(super) fn answered(&mut self, index: usize) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        self.in_flight = self.in_flight.saturating_sub(1);
        let wants = self.pace == Pace::Free || !lane.late.is_empty();
        if wants && !lane.is_ready {
            lane.is_ready = true;
            self.ready.push_back(index);
        }
    }

    /// Appends what is to be sent now, some at a time.
    pub(super) fn take(&mut self, now: u64, out: &mut Vec<Due>) {
        if self.is_stopped {
            return;
        }
        while out.len() < TURN_MAX
            && let Some(index) = self.ready.pop_front()
        {
            self.take_lane(index, now, out);
            if self.pace == Pace::Free && self.is_exhausted() {
                return;
            }
        }
        while let Some(at) = self.next_due().filter(|at| *at <= now) {
            let index = usize::try_from(self.count).unwrap_or(usize::MAX) % self.lanes.len().max(1);
            self.count += 1;
            let Some(lane) = self.lanes.get_mut(index) else { return };
            if lane.late.is_empty() && lane.in_flight < self.in_flight_max {
                lane.in_flight += 1;
                self.in_flight += 1;
                out.push(Due { lane: index, at });
            } else {
                lane.late.push_back(at);
                self.held_up += 1;
            }
        }
    }

    fn take_lane(&mut self, index: usize, now: u64, out: &mut Vec<Due>) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let room = self.in_flight_max.saturating_sub(lane.in_flight).min(LANE_MAX);
        let mut taken = 0;
        while taken < room {
            let at = match self.pace {
                Pace::Free if self.count_max.is_some_and(|max| max <= self.count) => break,
                Pace::Free => {
                    self.count += 1;
                    now
                }
                Pace::Every { .. } => {
                    let Some(at) = lane.late.pop_front() else { break };
                    self.held_up -= 1;
                    at
                }
            };
            out.push(Due { lane: index, at });
            taken += 1;
        }
        lane.in_flight += taken;
        self.in_flight += u64::from(taken);
        let wants = self.pace == Pace::Free || !lane.late.is_empty();
        lane.is_ready = wants && lane.in_flight < self.in_flight_max;
        if lane.is_ready {
            self.ready.push_back(index);
        }
    }

    fn is_exhausted(&self) -> bool {
        self.count_max.is_some_and(|max| max <= self.count)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "times of a run are far below 2^52 ns, and not negative"
)]
fn time_of(first: f64, interval: f64, count: u64) -> u64 {
    interval.mul_add(count as f64, first) as u64
}

#[cfg(test)]
mod tests;
