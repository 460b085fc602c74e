//! Dead letters: who dies, what the publisher gets, what its answers do.

use super::*;
use crate::{Chunk, DeadLetterOptions};

const DYING: DeadLetterOptions = DeadLetterOptions::new(1);

fn rig(dead_letters: DeadLetterOptions, kind: Kind, count: u64) -> Rig {
    let options = Options { dead_letters: Some(dead_letters), ..Options::default() };
    let rig = Rig::new(options, count).with(kind, &[A]);
    rig.flow(A, 1_000)
}

impl Rig {
    fn flow(mut self, key: ConsumerKey, permits: u32) -> Self {
        self.sub.flow(key, permits);
        self
    }

    fn nack(&mut self, ordinals: &[u64]) {
        let ordinals: Vec<_> = ordinals.iter().copied().map(Ordinal).collect();
        self.sub.redeliver(A, Some(&ordinals), None);
    }

    /// Delivers and gives back until nothing of `ordinals` comes any more.
    fn kill(&mut self, ordinals: &[u64]) {
        for _ in 0..=DYING.redeliveries_max {
            self.poll();
            self.nack(ordinals);
        }
    }

    /// The publisher has stored `stored` and failed; the wait after that has passed.
    fn fail(&mut self, stored: &[u64]) {
        let stored: Vec<_> = stored.iter().map(|&at| ack(at)).collect();
        self.sub.on_dead_letters(&stored, true);
        assert_eq!(self.published(), []);
        self.now += 1_000;
    }

    fn published(&mut self) -> Vec<(u64, u32)> {
        self.poll();
        let letters = std::mem::take(&mut self.letters);
        letters.into_iter().map(|letter| (letter.ordinal.0, letter.messages)).collect()
    }
}

#[test]
fn what_is_given_back_too_often_goes_to_the_publisher_and_is_acked_when_stored() {
    let mut rig = rig(DYING, Kind::Shared, 3);
    assert_eq!(rig.counts(), [(0, 0), (1, 0), (2, 0)]);
    rig.nack(&[1]);
    assert_eq!(rig.counts(), [(1, 1)]);
    rig.nack(&[1]);
    assert_eq!(rig.counts(), []);
    let [letter] = &rig.letters[..] else { panic!("{:?}", rig.letters) };
    // One more than were asked for says that it may be published.
    assert_eq!((letter.ordinal, letter.redelivery_count, letter.messages), (Ordinal(1), 3, 1));
    assert_eq!(rig.sub.stats().dead_letter_entries, 1);
    assert_eq!(rig.sub.unacked_messages(), 2);
    let change = rig.sub.on_dead_letters(&[ack(1)], false);
    assert_eq!(change.acked, [range(1, 2)]);
    assert_eq!(rig.counts(), []);
    assert_eq!(rig.sub.stats().dead_letter_entries, 0);
}

#[test]
fn no_permits_are_needed_and_none_taken() {
    let mut rig = rig(DYING, Kind::Shared, 2);
    rig.kill(&[0]);
    let permits = rig.sub.stats().consumers[0].permits;
    rig.sub.set_writable(A, false);
    assert_eq!(rig.published(), [(0, 1)]);
    assert_eq!(rig.sub.stats().consumers[0].permits, permits);
}

#[test]
fn a_failure_is_tried_again_after_a_longer_and_longer_wait() {
    let mut rig = rig(DYING, Kind::Shared, 2);
    rig.kill(&[0, 1]);
    for wait in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        assert_eq!(rig.published(), [(0, 1), (1, 1)]);
        assert!(rig.sub.on_dead_letters(&[], true).is_empty());
        assert_eq!(rig.published(), []);
        assert_eq!(rig.sub.next_timeout(), Some(rig.now + wait));
        rig.now += wait;
    }
    assert_eq!(rig.published(), [(0, 1), (1, 1)]);
    rig.fail(&[0]);
    assert_eq!(rig.published(), [(1, 1)]);
}

#[test]
fn one_batch_is_out_at_a_time() {
    let mut rig = rig(DYING, Kind::Shared, 3);
    rig.kill(&[2]);
    assert_eq!(rig.published(), [(2, 1)]);
    rig.kill(&[0, 1]);
    assert_eq!(rig.published(), []);
    assert!(rig.sub.has_dead_letters_out());
    rig.sub.on_dead_letters(&[ack(2)], false);
    assert_eq!(rig.published(), [(0, 1), (1, 1)]);
}

/// Goal: who recognises duplicates by the last few messages is never asked to look further back.
#[test]
fn no_more_is_handed_out_than_can_be_remembered_until_acks_are_durable() {
    let mut rig = rig(DeadLetterOptions { messages_max: 3, ..DYING }, Kind::Shared, 10);
    rig.kill(&[0, 1, 2, 3, 4]);
    assert_eq!(rig.published(), [(0, 1), (1, 1), (2, 1)]);
    rig.fail(&[0, 1]);
    assert_eq!(rig.published(), [(2, 1)]);
    rig.sub.on_dead_letters(&[ack(2)], false);
    assert_eq!(rig.published(), []);
    assert_eq!(rig.sub.take_settling(), 3);
    assert_eq!(rig.published(), []);
    rig.sub.on_dead_letters_durable(2);
    assert_eq!(rig.published(), [(3, 1), (4, 1)]);
    rig.ack(&[3, 4]);
    rig.sub.on_dead_letters(&[ack(3), ack(4)], false);
    assert_eq!((rig.sub.take_settling(), rig.sub.take_settling()), (2, 0));
}

#[test]
fn a_batch_that_is_too_large_to_be_remembered_goes_in_parts() {
    let mut rig = rig(DeadLetterOptions { messages_max: 4, ..DYING }, Kind::Shared, 0);
    rig.publish(|entry| entry.messages = 6);
    rig.poll();
    rig.sub.ack_individual(None, &[ack_set(0, &[0b11_1110], Some(6))]);
    rig.kill(&[0]);
    assert_eq!(rig.published(), [(0, 4)]);
    let change = rig.sub.on_dead_letters(&[ack_set(0, &[0b10_0000], Some(6))], false);
    assert_eq!(change.partial, [(Ordinal(0), [0b10_0000].into())]);
    assert_eq!(rig.published(), []);
    assert_eq!(rig.sub.take_settling(), 4);
    rig.sub.on_dead_letters_durable(4);
    rig.poll();
    assert_eq!(rig.letters[0].ack_set.as_deref(), Some(&[0b10_0000][..]));
    assert_eq!(rig.published(), [(0, 1)]);
    let change = rig.sub.on_dead_letters(&[ack(0)], false);
    assert_eq!(change.mark_delete, Some(Ordinal(1)));
}

#[test]
fn the_key_of_a_dead_letter_waits_and_the_others_go_on() {
    let mut rig = rig(DYING, Kind::KeyShared, 0);
    for key in [1, 2, 1, 2] {
        rig.publish(|entry| entry.key_hash = key);
    }
    rig.poll();
    rig.kill(&[0]);
    assert_eq!(rig.published(), [(0, 1)]);
    for key in [1, 2] {
        rig.publish(|entry| entry.key_hash = key);
    }
    assert_eq!(rig.got(), [(1, 5)]);
    let [draining] = &rig.sub.explain().draining[..] else { panic!("{:?}", rig.sub.explain()) };
    assert_eq!((draining.slot, draining.holder, draining.held), (1, None, Ordinal(0)));
    rig.fail(&[]);
    assert_eq!(rig.got(), []);
    rig.sub.on_dead_letters(&[ack(0)], false);
    assert_eq!(rig.got(), [(1, 4)]);
}

#[test]
fn after_a_restart_it_is_met_again() {
    let options = Options { dead_letters: Some(DYING), ..Options::default() };
    let mut start = AckState::before(Ordinal(0));
    start.redelivery_counts = vec![(Ordinal(1), 2), (Ordinal(2), 1)];
    let mut rig = Rig::new(options.clone(), 3);
    rig.sub = Subscription::new(options, start, Ordinal(0), Ordinal(3));
    assert_eq!(rig.got(), []);
    let mut rig = rig.with(Kind::Shared, &[A]).flow(A, 10);
    assert_eq!(rig.counts(), [(0, 0), (2, 1)]);
    assert_eq!(rig.published(), [(1, 1)]);
}

#[test]
fn what_is_out_when_the_last_consumer_leaves_is_not_handed_out_again() {
    let mut rig = rig(DYING, Kind::Shared, 3);
    rig.kill(&[1]);
    assert_eq!(rig.published(), [(1, 1)]);
    rig.sub.detach(A);
    let mut rig = rig.with(Kind::Shared, &[B]).flow(B, 10);
    assert_eq!(rig.got(), [(2, 0), (2, 2)]);
    assert_eq!(rig.published(), []);
    rig.fail(&[]);
    assert_eq!(rig.published(), [(1, 1)]);
    rig.sub.on_dead_letters(&[ack(1)], false);
    assert_eq!(rig.sub.backlog(), 2);
}

#[test]
fn a_seek_makes_them_live_again_whatever_the_publisher_says_later() {
    let mut rig = rig(DYING, Kind::Shared, 2);
    rig.kill(&[0]);
    assert_eq!(rig.published(), [(0, 1)]);
    rig.sub.reset(Ordinal(0));
    assert_eq!(rig.counts(), [(0, 0), (1, 0)]);
    assert!(rig.sub.on_dead_letters(&[ack(0)], false).is_empty());
    assert_eq!(rig.sub.backlog(), 2);
}

#[test]
fn one_past_its_time_is_acked() {
    let options = DeadLetterOptions { messages_max: 1, ..DYING };
    let mut rig = rig(options, Kind::Shared, 2);
    rig.kill(&[0, 1]);
    assert_eq!(rig.published(), [(0, 1)]);
    rig.fail(&[]);
    rig.sub.set_ttl(Some(1_500));
    assert_eq!(rig.published(), []);
    assert_eq!(rig.own.last().unwrap().acked, [range(0, 1)]);
}

#[test]
fn only_shared_consumers_may_come() {
    let mut rig = rig(DYING, Kind::Shared, 0);
    rig.sub.detach(A);
    for kind in [Kind::Exclusive, Kind::Failover] {
        assert_eq!(rig.sub.attach(B, info("b", kind, 0)), Err(AttachError::NotShared));
    }
    assert_eq!(rig.sub.attach(B, info("b", Kind::KeyShared, 0)), Ok(()));
}

#[test]
fn it_tells_what_becomes_of_them() {
    let mut rig = rig(DYING, Kind::Shared, 1);
    rig.kill(&[0]);
    rig.poll();
    let explained = rig.sub.explain();
    assert_eq!(explained.state, crate::explain::State::DeadLetters);
    let dead = explained.dead_letters.unwrap();
    assert_eq!((dead.out_entries, dead.waiting_entries, dead.unsettled_messages), (1, 0, 1));
    rig.sub.on_dead_letters(&[], true);
    rig.poll();
    let dead = rig.sub.explain().dead_letters.unwrap();
    assert_eq!((dead.out_entries, dead.waiting_entries), (0, 1));
    assert_eq!(dead.retry_at, Some(rig.now + 1_000));
}

/// Ten entries, `counts` of which were asked for again so often before they were loaded.
fn loaded(dead_letters: DeadLetterOptions, counts: &[(u64, u32)]) -> Rig {
    let options = Options { dead_letters: Some(dead_letters), ..Options::default() };
    let mut start = AckState::before(Ordinal(0));
    start.redelivery_counts = counts.iter().map(|&(at, count)| (Ordinal(at), count)).collect();
    let mut rig = Rig::new(options.clone(), 10);
    rig.sub = Subscription::new(options, start, Ordinal(0), Ordinal(10));
    rig.with(Kind::Shared, &[A]).flow(A, 100)
}

const ONE_AT_A_TIME: DeadLetterOptions = DeadLetterOptions { messages_max: 1, ..DYING };

/// Goal: what may have been published is published again before anything else is, or who recognises
/// duplicates may have forgotten it.
#[test]
fn after_a_load_what_may_have_been_published_comes_first() {
    let mut rig = loaded(ONE_AT_A_TIME, &[(1, 2), (3, 3)]);
    assert_eq!(rig.published(), [(3, 1)]);
    rig.sub.on_dead_letters(&[ack(3)], false);
    let settling = rig.sub.take_settling();
    rig.sub.on_dead_letters_durable(settling);
    assert_eq!(rig.published(), [(1, 1)]);
}

#[test]
fn it_still_comes_first_when_its_reading_was_broken_off() {
    let mut rig = loaded(ONE_AT_A_TIME, &[(1, 2), (3, 3)]);
    let (id, ranges, _) = rig.read();
    assert_eq!(ranges, [range(3, 4)]);
    rig.answer(id, &ranges);
    rig.sub.detach(A);
    let mut rig = rig.with(Kind::Shared, &[B]).flow(B, 100);
    assert_eq!(rig.published(), [(3, 1)]);
}

#[test]
fn a_seek_or_an_ack_forgets_what_may_have_been_published() {
    let mut rig = loaded(DYING, &[(3, 3)]);
    rig.sub.reset(Ordinal(0));
    assert_eq!(rig.got(), ones(0..10));
    assert_eq!((rig.letters.len(), &rig.read), (0, &(0..10).collect()));
    let mut rig = loaded(DYING, &[(3, 3)]);
    rig.sub.ack_before(Ordinal(4));
    assert_eq!(rig.got(), ones(4..10));
    assert_eq!((rig.letters.len(), &rig.read), (0, &(4..10).collect()));
}

#[test]
fn what_failed_comes_before_what_died_since() {
    let mut rig = rig(DYING, Kind::Shared, 4);
    rig.kill(&[2]);
    assert_eq!(rig.published(), [(2, 1)]);
    rig.kill(&[0]);
    rig.fail(&[]);
    assert_eq!(rig.published(), [(2, 1)]);
    rig.sub.on_dead_letters(&[ack(2)], false);
    assert_eq!(rig.published(), [(0, 1)]);
}

/// Entry 1 has six messages, of which four are out; then entry 0 dies.
fn a_part_is_out() -> Rig {
    let options = DeadLetterOptions { messages_max: 4, ..DYING };
    let mut rig = rig(options, Kind::Shared, 1);
    rig.publish(|entry| entry.messages = 6);
    rig.poll();
    rig.kill(&[1]);
    assert_eq!(rig.published(), [(1, 4)]);
    rig.kill(&[0]);
    rig
}

#[test]
fn the_rest_of_a_batch_whose_part_was_stored_has_its_turn_like_the_others() {
    let mut rig = a_part_is_out();
    rig.sub.on_dead_letters(&[ack_set(1, &[0b11_0000], Some(6))], false);
    let settling = rig.sub.take_settling();
    rig.sub.on_dead_letters_durable(settling);
    assert_eq!(rig.published(), [(0, 1), (1, 2)]);
}

#[test]
fn a_part_that_was_stored_in_part_comes_before_what_died_since() {
    let mut rig = a_part_is_out();
    rig.sub.on_dead_letters(&[ack_set(1, &[0b11_1100], Some(6))], true);
    rig.poll();
    rig.now += 1_000;
    let settling = rig.sub.take_settling();
    assert_eq!(settling, 2);
    rig.sub.on_dead_letters_durable(settling);
    assert_eq!(rig.published(), [(1, 4)]);
}

/// Goal: what waits already is not sent either once an entry of its key has died before it.
#[test]
fn what_waits_behind_an_entry_that_dies_goes_on_waiting() {
    let mut rig = rig(DYING, Kind::KeyShared, 0);
    (0..2).for_each(|_| rig.publish(|entry| entry.key_hash = 7));
    rig.poll();
    rig.nack(&[0]);
    assert_eq!(rig.counts(), [(0, 1)]);
    rig.sub.set_writable(A, false);
    rig.nack(&[1]);
    rig.poll();
    rig.nack(&[0]);
    rig.sub.set_writable(A, true);
    assert_eq!(rig.got(), []);
    rig.sub.ack_before(Ordinal(1));
    assert_eq!(rig.got(), ones([1]), "an ack of it frees the key");
}

/// Goal: a new beginning forgets what was never handed out, for it is met again, and nothing else.
#[test]
fn who_begins_anew_keeps_what_was_handed_out() {
    let mut rig = rig(DYING, Kind::Shared, 3);
    rig.kill(&[2]);
    assert_eq!(rig.published(), [(2, 1)]);
    rig.kill(&[0]);
    assert_eq!(rig.sub.stats().dead_letter_entries, 2);
    rig.sub.detach(A);
    assert_eq!(rig.sub.stats().dead_letter_entries, 1);
    let change = rig.sub.on_dead_letters(&[ack(2)], false);
    assert_eq!(change.acked, [range(2, 3)]);
    let mut rig = rig.with(Kind::Shared, &[B]).flow(B, 10);
    assert_eq!(rig.published(), [(0, 1)]);
}

#[test]
fn what_was_read_for_a_second_try_when_all_left_is_tried_again() {
    let mut rig = rig(DYING, Kind::Shared, 2);
    rig.kill(&[1]);
    assert_eq!(rig.published(), [(1, 1)]);
    rig.fail(&[]);
    let (id, ranges, _) = rig.read();
    assert_eq!(ranges, [range(1, 2)]);
    rig.answer(id, &ranges);
    rig.sub.detach(A);
    let mut rig = rig.with(Kind::Shared, &[B]).flow(B, 10);
    assert_eq!(rig.published(), [(1, 1)]);
}

/// Two dead letters that have been read, and go to the publisher with the next poll.
fn two_are_read() -> Rig {
    let mut rig = rig(DYING, Kind::Shared, 3);
    rig.poll();
    rig.nack(&[0, 1]);
    rig.poll();
    rig.nack(&[0, 1]);
    let (id, ranges, _) = rig.read();
    rig.answer(id, &ranges);
    rig
}

#[test]
fn what_is_acked_before_it_is_handed_out_is_not_published() {
    let mut rig = two_are_read();
    rig.ack(&[1]);
    assert_eq!(rig.published(), [(0, 1)]);
    let mut rig = two_are_read();
    rig.sub.ack_before(Ordinal(1));
    assert_eq!(rig.published(), [(1, 1)]);
}

/// Goal: dead letters are not taken for parked entries, wherever they lie.
#[test]
fn dead_letters_are_not_counted_as_parked() {
    let mut rig = rig(DYING, Kind::Shared, 0);
    (0..9).for_each(|_| rig.publish(|entry| entry.deliver_at = Some(500_000)));
    rig.publish(|_| {});
    rig.indexed = vec![range(0, 9)];
    rig.sub.set_indexed(rig.indexed.clone().into());
    rig.kill(&[9]);
    assert_eq!(rig.published(), [(9, 1)]);
    rig.sub.detach(A);
    let mut rig = rig.with(Kind::Shared, &[B]).flow(B, 100);
    let (id, _, _) = rig.read();
    let parked = ParkedEntries { runs: vec![range(0, 5)], due_min: 500_000 };
    rig.sub.on_parking_read(id, Ok(vec![]), &parked);
    assert_eq!(rig.sub.stats().parked_entries, 5);
    let (id, _, _) = rig.read();
    let parked = ParkedEntries { runs: vec![range(5, 10)], due_min: 500_000 };
    rig.sub.on_parking_read(id, Ok(vec![]), &parked);
    assert_eq!(rig.sub.stats().parked_entries, 9);
}

/// Goal: on Shared a dead letter was a chunk of its message; on Key_Shared it holds back its key.
#[test]
fn a_chunk_that_died_on_shared_holds_back_its_key_on_key_shared() {
    let options = Options { dead_letters: Some(DYING), ..Options::default() };
    let mut rig = Rig::new(options, 0).with(Kind::Shared, &[A]).flow(A, 10);
    rig.publish(|entry| entry.chunk = Some(Chunk { message: 9, is_first: true }));
    rig.kill(&[0]);
    assert_eq!(rig.published(), [(0, 1)]);
    rig.sub.detach(A);
    let mut rig = rig.with(Kind::KeyShared, &[A]).flow(A, 10);
    rig.publish(|_| {});
    assert_eq!(rig.got(), []);
    rig.sub.on_dead_letters(&[ack(0)], false);
    assert_eq!(rig.got(), ones([1]));
}
