//! Scripts for the cases, then random histories against invariants that need no model of the slots:
//! a world that counts what it was told.

use std::collections::BTreeSet;

use geminga_wire::proto::ServerError;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

type TestSlots = Slots<u32, u32>;

const ID: u64 = 7;

/// One line for each step.
fn told(steps: Steps<u32, u32>) -> Vec<String> {
    let line = |step| match step {
        Step::Open(order, _) => format!("open {order}"),
        Step::Close(handle) => format!("close {handle}"),
        Step::AnswerOpen(handle, requests) => format!("opened {handle} {requests:?}"),
        Step::AnswerAgain(handle, request) => format!("open {handle} [{request}]"),
        Step::AnswerRefused(refusal, requests) => format!("{:?} {requests:?}", refusal.code),
        Step::AnswerCancelled(requests) => format!("cancelled {requests:?}"),
        Step::AnswerClosed(requests) => format!("closed {requests:?}"),
        Step::AnswerTooMany(request) => format!("too many {request}"),
    };
    steps.into_iter().map(line).collect()
}

fn refused() -> Result<u32, Refusal> {
    Err(Refusal::new(ServerError::ConsumerBusy, "busy"))
}

#[test]
fn open_and_close() {
    let mut slots = TestSlots::new();
    assert_eq!(told(slots.open(ID, 1, 10)), ["open 10"]);
    assert!(slots.get(ID).is_none());
    assert_eq!(told(slots.opened(ID, Ok(100))), ["opened 100 [1]"]);
    assert_eq!(slots.get(ID).map(|handle| **handle), Some(100));
    assert_eq!(told(slots.close(ID, 2)), ["close 100"]);
    assert!(slots.is_closing(ID));
    assert_eq!(told(slots.closed(ID)), ["closed [2]"]);
    assert_eq!(told(slots.close(ID, 3)), ["closed [3]"]);
}

#[test]
fn a_repeated_request_is_answered_by_the_same_opening() {
    let mut slots = TestSlots::new();
    assert_eq!(told(slots.open(ID, 1, 10)), ["open 10"]);
    assert!(slots.open(ID, 2, 10).is_empty());
    assert_eq!(told(slots.opened(ID, Ok(100))), ["opened 100 [1, 2]"]);
    assert_eq!(told(slots.open(ID, 3, 10)), ["open 100 [3]"]);
}

#[test]
fn close_while_opening_leaves_nothing_open() {
    let mut slots = TestSlots::new();
    slots.open(ID, 1, 10);
    assert!(slots.close(ID, 2).is_empty());
    assert_eq!(told(slots.opened(ID, Ok(100))), ["cancelled [1]", "close 100"]);
    assert_eq!(told(slots.closed(ID)), ["closed [2]"]);
    assert!(slots.by_id.is_empty());
}

#[test]
fn reopening_waits_until_the_first_is_closed() {
    let mut slots = TestSlots::new();
    slots.open(ID, 1, 10);
    slots.close(ID, 2);
    assert!(slots.open(ID, 3, 11).is_empty());
    assert_eq!(told(slots.opened(ID, Ok(100))), ["cancelled [1]", "close 100"]);
    assert_eq!(told(slots.closed(ID)), ["closed [2]", "open 11"]);
    assert_eq!(told(slots.opened(ID, Ok(101))), ["opened 101 [3]"]);
}

#[test]
fn an_opening_that_has_not_begun_is_cancelled_by_close() {
    let mut slots = TestSlots::new();
    slots.open(ID, 1, 10);
    slots.close(ID, 2);
    slots.open(ID, 3, 11);
    assert_eq!(told(slots.close(ID, 4)), ["cancelled [3]"]);
    assert_eq!(told(slots.opened(ID, refused())), ["ConsumerBusy [1]", "closed [2, 4]"]);
    assert!(slots.by_id.is_empty());
}

#[test]
fn a_close_need_not_wait_for_a_slow_opening() {
    let mut slots = TestSlots::new();
    slots.open(ID, 1, 10);
    slots.close(ID, 2);
    assert!(slots.give_up_waiting(ID, 2));
    assert!(!slots.give_up_waiting(ID, 2));
    assert_eq!(told(slots.opened(ID, Ok(100))), ["cancelled [1]", "close 100"]);
    assert_eq!(told(slots.closed(ID)), ["closed []"]);
}

#[test]
fn what_the_topic_closes_is_closed_once() {
    let mut slots = TestSlots::new();
    assert!(slots.drop_open(ID).is_none());
    slots.open(ID, 1, 10);
    assert!(slots.drop_open(ID).is_none());
    assert_eq!(told(slots.opened(ID, Ok(100))), ["cancelled [1]", "close 100"]);
    assert!(slots.open(ID, 2, 11).is_empty());
    assert_eq!(told(slots.closed(ID)), ["closed []", "open 11"]);
    slots.opened(ID, Ok(101));
    assert_eq!(slots.drop_open(ID).map(|handle| *handle), Some(101));
    assert!(slots.drop_open(ID).is_none());
}

#[test]
fn what_is_said_of_an_earlier_incarnation_has_no_effect() {
    let mut slots = TestSlots::new();
    slots.open(ID, 1, 10);
    let first = ClientKey { id: ID, incarnation: slots.incarnation(ID).unwrap() };
    slots.opened(ID, Ok(100));
    assert!(slots.get_as(first).is_some());
    slots.close(ID, 2);
    assert!(slots.get_as(first).is_none());
    slots.closed(ID);
    slots.open(ID, 3, 11);
    assert!(slots.drop_open_as(first).is_none());
    assert_eq!(told(slots.opened(ID, Ok(101))), ["opened 101 [3]"]);
    assert!(slots.get_as(first).is_none());
    assert!(slots.drop_open_as(first).is_none());
    let second = ClientKey { id: ID, incarnation: slots.incarnation(ID).unwrap() };
    assert_eq!(slots.drop_open_as(second).map(|handle| *handle), Some(101));
}

#[test]
fn requests_for_one_opening_are_bounded() {
    let mut slots = TestSlots::new();
    slots.open(ID, 0, 10);
    for request in 1..JOINED_MAX as u64 {
        assert!(slots.open(ID, request, 10).is_empty());
    }
    assert_eq!(told(slots.open(ID, 99, 10)), ["too many 99"]);
}

#[test]
fn at_the_end_everything_is_closed() {
    let mut slots = TestSlots::new();
    for id in 0..4 {
        slots.open(id, id, 10);
    }
    slots.opened(0, Ok(100));
    slots.opened(1, Ok(101));
    slots.close(2, 20);
    slots.open(2, 21, 11);
    let open: Vec<_> = slots.end().into_iter().map(|(id, handle)| (id, *handle)).collect();
    assert_eq!(open, [(0, 100), (1, 101)]);
    assert!(slots.open(9, 30, 10).is_empty());
    assert_eq!(told(slots.opened(2, Ok(102))), ["cancelled [2]", "close 102"]);
    assert_eq!(told(slots.closed(2)), ["closed [20]"]);
    assert_eq!(told(slots.opened(3, Ok(103))), ["cancelled [3]", "close 103"]);
    for id in [0, 1, 3] {
        slots.closed(id);
    }
    assert!(slots.by_id.is_empty());
}

/// What the broker and the client know.
#[derive(Default)]
struct World {
    opening: bool,
    open: BTreeSet<u32>,
    closing: Option<u32>,
    handles: u32,
    unanswered: BTreeSet<u64>,
}

impl World {
    fn carry_out(&mut self, steps: Steps<u32, u32>, seed: u64) {
        for step in steps {
            match step {
                Step::Open(..) => {
                    assert!(!self.opening && self.closing.is_none(), "seed {seed}: two at a time");
                    assert!(self.open.is_empty(), "seed {seed}: opened over an open one");
                    self.opening = true;
                }
                Step::Close(handle) => {
                    assert!(self.open.contains(&handle), "seed {seed}: {handle} is not open");
                    assert_eq!(self.closing.replace(*handle), None, "seed {seed}");
                }
                Step::AnswerOpen(handle, requests) => {
                    assert!(self.open.contains(&handle), "seed {seed}: {handle} is not open");
                    self.answer(&requests, seed);
                }
                Step::AnswerAgain(handle, request) => {
                    assert!(self.open.contains(&handle), "seed {seed}: {handle} is not open");
                    self.answer(&[request], seed);
                }
                Step::AnswerRefused(_, requests)
                | Step::AnswerCancelled(requests)
                | Step::AnswerClosed(requests) => self.answer(&requests, seed),
                Step::AnswerTooMany(request) => self.answer(&[request], seed),
            }
        }
    }

    fn answer(&mut self, requests: &[u64], seed: u64) {
        for request in requests {
            assert!(self.unanswered.remove(request), "seed {seed}: {request} answered twice");
        }
    }

    /// Lets the broker finish something, if it has something to do.
    fn work(&mut self, slots: &mut TestSlots, succeeds: bool, seed: u64) -> bool {
        let steps = if let Some(handle) = self.closing.take() {
            self.open.remove(&handle);
            slots.closed(ID)
        } else if self.opening {
            self.opening = false;
            let result = if succeeds {
                self.handles += 1;
                self.open.insert(self.handles);
                Ok(self.handles)
            } else {
                refused()
            };
            slots.opened(ID, result)
        } else {
            return false;
        };
        self.carry_out(steps, seed);
        true
    }
}

#[test]
fn random_histories_answer_everything_and_leave_nothing_open() {
    for seed in 0..1_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut slots = TestSlots::new();
        let mut world = World::default();
        for request in 0..60_u64 {
            match rng.random_range(0..6) {
                0 | 1 => {
                    world.unanswered.insert(request);
                    let steps = slots.open(ID, request, 1);
                    world.carry_out(steps, seed);
                }
                2 => {
                    world.unanswered.insert(request);
                    let steps = slots.close(ID, request);
                    world.carry_out(steps, seed);
                }
                3 => {
                    if let Some(handle) = slots.drop_open(ID) {
                        world.carry_out(vec![Step::Close(handle)], seed);
                    }
                }
                _ => {
                    let succeeds = rng.random_bool(0.8);
                    world.work(&mut slots, succeeds, seed);
                }
            }
        }
        if rng.random_bool(0.5) {
            while world.work(&mut slots, true, seed) {}
            assert!(world.unanswered.is_empty(), "seed {seed}: {:?}", world.unanswered);
        }
        for (_, handle) in slots.end() {
            world.carry_out(vec![Step::Close(handle)], seed);
        }
        while world.work(&mut slots, true, seed) {}
        assert!(world.open.is_empty(), "seed {seed}: left open {:?}", world.open);
        assert!(slots.by_id.is_empty(), "seed {seed}");
    }
}
