//! Producers that wait for exclusive access, and those whose turn came before they were told to
//! wait.
//!
//! A topic opens such a producer and, maybe at once, says that it is ready. The first is answered
//! by a request's task, the second by the writer: here they meet, so that the client gets
//! PRODUCER_SUCCESS with `producer_ready` false first and true second.

use std::{collections::BTreeMap, sync::Mutex};

use super::lock;

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<u64, Turn>>);

#[derive(Debug)]
enum Turn {
    /// The client was told to wait, as the answer to these requests.
    Waiting(Vec<u64>),
    /// It is ready, and the client was not yet told to wait.
    Early(Ready),
}

/// What the topic said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// The request that opened the producer.
    pub(super) request_id: u64,
    pub(super) topic_epoch: Option<u64>,
}

impl Turns {
    /// The client was told to wait, as the answer to `requests`. Returns what it is to be told at
    /// once.
    pub(super) fn told_to_wait(&self, producer_id: u64, requests: &[u64]) -> Option<Ready> {
        let mut turns = lock(&self.0);
        match turns.remove(&producer_id) {
            Some(Turn::Early(ready)) if requests.contains(&ready.request_id) => Some(ready),
            _ => {
                turns.insert(producer_id, Turn::Waiting(requests.to_vec()));
                None
            }
        }
    }

    /// The topic says that it is ready. Returns the requests to tell it to now.
    pub(super) fn is_ready(&self, producer_id: u64, ready: Ready) -> Vec<u64> {
        let mut turns = lock(&self.0);
        match turns.remove(&producer_id) {
            Some(Turn::Waiting(requests)) => requests,
            _ => {
                turns.insert(producer_id, Turn::Early(ready));
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

    /// The topic does not let it in. Returns the requests to tell that to.
    pub(super) fn refuse(&self, producer_id: u64) -> Vec<u64> {
        match lock(&self.0).remove(&producer_id) {
            Some(Turn::Waiting(requests)) => requests,
            Some(Turn::Early(_)) | None => Vec::new(),
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

    const READY: Ready = Ready { request_id: 5, topic_epoch: Some(2) };

    #[test]
    fn first_wait_then_ready_whichever_comes_first() {
        let turns = Turns::default();
        assert_eq!(turns.told_to_wait(1, &[5]), None);
        assert!(turns.waits_too(1, 6));
        assert_eq!(turns.is_ready(1, READY), [5, 6]);
        assert!(!turns.waits_too(1, 7));

        assert!(turns.is_ready(2, READY).is_empty());
        assert_eq!(turns.told_to_wait(2, &[5, 6]), Some(READY));
        assert!(!turns.waits_too(2, 7));
    }

    #[test]
    fn whoever_waits_is_told_of_a_refusal_once() {
        let turns = Turns::default();
        assert_eq!(turns.told_to_wait(1, &[5]), None);
        assert!(turns.waits_too(1, 6));
        assert_eq!(turns.refuse(1), [5, 6]);
        assert!(turns.refuse(1).is_empty());
        assert!(!turns.waits_too(1, 7));
    }

    #[test]
    fn what_a_closed_producer_was_told_does_not_count() {
        let turns = Turns::default();
        assert!(turns.is_ready(1, READY).is_empty());
        assert_eq!(turns.told_to_wait(1, &[6]), None);
        turns.forget(1);
        assert!(turns.is_ready(1, READY).is_empty());
    }
}
