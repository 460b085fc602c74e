use super::*;

fn fresh() -> Acks {
    let state = AckState::before(Ordinal(0));
    Acks::new(state, Ordinal(0), Ordinal(100))
}

/// Acks parts of entry 5; returns what remains, or `None` once it is acked.
fn remains(steps: &[(&[i64], Option<u32>)]) -> Option<Vec<i64>> {
    let mut acks = fresh();
    for &(set, batch_size) in steps {
        acks.ack(Ordinal(5), Some(set), batch_size, &mut AckChange::default());
    }
    assert!(!acks.is_acked(Ordinal(5)) || acks.partial(Ordinal(5)).is_none());
    (!acks.is_acked(Ordinal(5)))
        .then(|| acks.partial(Ordinal(5)).map(<[i64]>::to_vec).unwrap_or_default())
}

#[test]
fn ack_sets_of_one_entry_are_and_ed() {
    assert_eq!(remains(&[(&[0b1110], None)]), Some(vec![0b1110]));
    assert_eq!(remains(&[(&[0b1110], None), (&[0b0111], None)]), Some(vec![0b0110]));
    assert_eq!(remains(&[(&[0b1110], None), (&[0b0001], None)]), None);
    assert_eq!(remains(&[(&[-1, 1], None), (&[0, -1], None)]), Some(vec![0, 1]));
    assert_eq!(remains(&[(&[-1, 1], None), (&[-1], None)]), Some(vec![-1]));
    assert_eq!(remains(&[(&[1], None), (&[-1, -1], None)]), Some(vec![1]));
}

#[test]
fn the_last_bit_acks_the_entry_and_a_batch_ends_where_it_ends() {
    assert_eq!(remains(&[(&[0], None)]), None);
    assert_eq!(remains(&[(&[], None)]), None);
    assert_eq!(remains(&[(&[0b1000], Some(3))]), None);
    assert_eq!(remains(&[(&[0b1100], Some(3))]), Some(vec![0b100]));
    assert_eq!(remains(&[(&[0, 1], Some(64))]), None);
    assert_eq!(remains(&[(&[0, 3], Some(65))]), Some(vec![0, 1]));
    assert_eq!(remains(&[(&[i64::MIN], Some(64))]), Some(vec![i64::MIN]));
    assert_eq!(remains(&[(&[i64::MIN], Some(63))]), None);
}

#[test]
fn what_acks_nothing_changes_nothing() {
    let mut acks = fresh();
    let mut change = AckChange::default();
    acks.ack(Ordinal(5), Some(&[0b111]), Some(3), &mut change);
    assert!(change.is_empty());
    acks.ack(Ordinal(5), Some(&[0b110]), Some(3), &mut change);
    assert_eq!(change.partial.len(), 1);
    acks.ack(Ordinal(5), Some(&[0b110]), Some(3), &mut change);
    acks.ack(Ordinal(5), Some(&[0b111]), Some(3), &mut change);
    assert_eq!(change.partial.len(), 1);
    assert_eq!(acks.partial(Ordinal(4)), None);
}

#[test]
fn an_absurd_ack_set_is_ignored() {
    let longest = vec![1; ACK_SET_WORDS_MAX];
    assert_eq!(remains(&[(&longest, None)]), Some(longest.clone()));
    let mut acks = fresh();
    acks.ack(Ordinal(0), Some(&vec![0; ACK_SET_WORDS_MAX + 1]), None, &mut AckChange::default());
    assert!(!acks.is_acked(Ordinal(0)));
}

#[test]
fn a_change_is_tidy_however_the_acks_came() {
    let mut acks = fresh();
    let mut change = AckChange::default();
    for at in [7, 3, 9, 8, 2] {
        acks.ack(Ordinal(at), None, None, &mut change);
    }
    for (at, set) in [(6, 0b11), (5, 0b111), (6, 0b01), (5, 0)] {
        acks.ack(Ordinal(at), Some(&[set]), None, &mut change);
    }
    let change = change.tidied(&acks);
    let range = |start, end| Ordinal(start)..Ordinal(end);
    assert_eq!(change.acked, [range(2, 4), range(5, 6), range(7, 10)]);
    assert_eq!(change.partial, [(Ordinal(6), [0b01].into())]);
    assert_eq!(change.mark_delete, None);
}

#[test]
fn a_range_takes_the_partial_sets_in_it() {
    let mut acks = fresh();
    for at in [4, 5, 8] {
        acks.ack(Ordinal(at), Some(&[1]), None, &mut AckChange::default());
    }
    let mut change = AckChange::default();
    acks.ack_range(Ordinal(0)..Ordinal(8), &mut change);
    assert_eq!(acks.partial_from(Ordinal(0)).collect::<Vec<_>>(), [(Ordinal(8), [1].into())]);
    assert_eq!(change.mark_delete, Some(Ordinal(8)));
    assert_eq!((acks.backlog(Ordinal(10)), acks.unacked_before(Ordinal(9))), (2, 1));
}

#[test]
fn messages_left_are_counted_within_the_batch() {
    assert_eq!(count(&[0b1011], 3), 2);
    assert_eq!(count(&[-1, -1], 70), 70);
    assert_eq!(count(&[-1], 70), 64);
    assert_eq!(count(&[-1, -1], u32::MAX), 128);
}
