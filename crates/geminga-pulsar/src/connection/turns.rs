//! Producers that wait for exclusive access, and those whose turn came before they were told to
//! wait.
//!
//! A topic opens such a producer and, maybe at once, says that it is ready, or that it is refused. The
//! first is answered by a request's task, the second by the writer: here they meet, so that the client
//! gets PRODUCER_SUCCESS with `producer_ready` false first and the rest second.

use std::{collections::BTreeMap, sync::Mutex};

use super::lock;
use crate::errors::Refusal;

/// By producer id. An entry of an earlier producer of that id is told by its requests.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<u64, Turn>>);

#[derive(Debug)]
enum Turn {
    /// The client was told to wait, as the answer to these requests.
    Waiting(Vec<u64>),
    /// The topic has said what becomes of it, and the client was not yet told to wait.
    Early(u64, Said),
    /// It is in.
    In(Granted),
}

/// What the topic said of a producer that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It has access.
    Ready(Granted),
    /// It does not get it.
    Refused(Refusal),
}

/// What a producer with access is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) topic_epoch: Option<u64>,
    pub(super) last_sequence_id: i64,
}

impl Turns {
    /// The client was told to wait, as the answer to `requests`. Returns what it is to be told at
    /// once.
    pub(super) fn told_to_wait(&self, producer_id: u64, requests: &[u64]) -> Option<Said> {
        let mut turns = lock(&self.0);
        match turns.remove(&producer_id) {
            Some(Turn::Early(request_id, said)) if requests.contains(&request_id) => {
                if let Said::Ready(granted) = said {
                    turns.insert(producer_id, Turn::In(granted));
                }
                Some(said)
            }
            _ => {
                turns.insert(producer_id, Turn::Waiting(requests.to_vec()));
                None
            }
        }
    }

    /// The topic says this of the producer that `request_id` opened. Returns the requests to tell it to
    /// now.
    pub(super) fn say(&self, producer_id: u64, request_id: u64, said: Said) -> Vec<u64> {
        let mut turns = lock(&self.0);
        match turns.remove(&producer_id) {
            Some(Turn::Waiting(requests)) if requests.contains(&request_id) => {
                if let Said::Ready(granted) = said {
                    turns.insert(producer_id, Turn::In(granted));
                }
                requests
            }
            _ => {
                turns.insert(producer_id, Turn::Early(request_id, said));
                Vec::new()
            }
        }
    }

    /// A request is repeated. True: it waits as those before it.
    pub(super) fn waits_too(&self, producer_id: u64, request_id: u64) -> bool {
        match lock(&self.0).get_mut(&producer_id) {
            Some(Turn::Waiting(requests)) => {
                requests.push(request_id);
                true
            }
            _ => false,
        }
    }

    /// What a producer that waited was told when it got in.
    pub(super) fn granted(&self, producer_id: u64) -> Option<Granted> {
        match lock(&self.0).get(&producer_id) {
            Some(Turn::In(granted)) => Some(*granted),
            _ => None,
        }
    }

    /// The producer is closed.
    pub(super) fn forget(&self, producer_id: u64) {
        lock(&self.0).remove(&producer_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANTED: Granted = Granted { topic_epoch: Some(2), last_sequence_id: 7 };
    const READY: Said = Said::Ready(GRANTED);

    #[test]
    fn first_wait_then_ready_whichever_comes_first() {
        let turns = Turns::default();
        assert_eq!(turns.told_to_wait(1, &[5]), None);
        assert!(turns.waits_too(1, 6));
        assert_eq!(turns.granted(1), None);
        assert_eq!(turns.say(1, 5, READY), [5, 6]);
        assert!(!turns.waits_too(1, 7));
        assert_eq!(turns.granted(1), Some(GRANTED));

        assert!(turns.say(2, 5, READY).is_empty());
        assert_eq!(turns.told_to_wait(2, &[5, 6]), Some(READY));
        assert!(!turns.waits_too(2, 7));
        assert_eq!(turns.granted(2), Some(GRANTED));
    }

    #[test]
    fn a_refusal_is_told_once_whichever_comes_first() {
        let refused = Said::Refused(Refusal::not_allowed("no"));
        let turns = Turns::default();
        assert_eq!(turns.told_to_wait(1, &[5]), None);
        assert_eq!(turns.say(1, 5, refused.clone()), [5]);
        assert!(!turns.waits_too(1, 7));

        assert!(turns.say(2, 5, refused.clone()).is_empty());
        assert_eq!(turns.told_to_wait(2, &[5]), Some(refused));
        assert!(!turns.waits_too(2, 7));
    }

    #[test]
    fn what_an_earlier_producer_left_does_not_count() {
        let turns = Turns::default();
        assert!(turns.say(1, 5, READY).is_empty());
        assert_eq!(turns.told_to_wait(1, &[6]), None);
        turns.forget(1);
        assert_eq!(turns.told_to_wait(1, &[6]), None, "left by a close at the wrong moment");
        assert!(turns.say(1, 8, READY).is_empty());
        assert_eq!(turns.told_to_wait(1, &[8]), Some(READY));
    }
}
