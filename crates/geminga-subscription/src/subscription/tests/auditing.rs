//! What was lost or miscounted is noticed, and found again.

use super::*;

/// Two entries at A, one that waits to go there again, three unread, on each kind that keeps lists.
fn rigs() -> impl Iterator<Item = Rig> {
    [Kind::Shared, Kind::KeyShared].into_iter().map(|kind| {
        let mut rig = Rig::new(Options::default(), 6).with(kind, &[A]);
        rig.sub.flow(A, 3);
        assert_eq!(rig.got(), ones(0..3));
        rig.sub.redeliver(A, Some(&[Ordinal(2)]), None);
        assert_eq!(rig.got(), []);
        assert!(rig.sub.audit(0) && rig.sub.audit(1));
        rig
    })
}

fn assert_noticed_and_repaired(mut rig: Rig) {
    assert!(!rig.sub.audit(0));
    rig.sub.repair();
    rig.sub.flow(A, 20);
    assert_eq!(rig.got(), ones(0..6));
    assert!(rig.sub.audit(0));
}

#[test]
fn an_entry_that_was_lost_is_found_again() {
    for mut rig in rigs() {
        rig.sub.pending.take_anywhere(Ordinal(1));
        assert_noticed_and_repaired(rig);
    }
    for mut rig in rigs() {
        let router = Router { members: &rig.sub.members, pending: &rig.sub.pending };
        assert!(rig.sub.queue.take_replay(Ordinal(2), router));
        assert_noticed_and_repaired(rig);
    }
}

#[test]
fn an_entry_in_two_states_is_put_right() {
    for mut rig in rigs() {
        rig.sub.wait_again(Ordinal(1), 1);
        assert_noticed_and_repaired(rig);
    }
}

#[test]
fn an_entry_in_the_wrong_lane_is_put_right() {
    let mut rig = rigs().nth(1).unwrap();
    rig.sub.queue.lanes.pop_first(A);
    assert_noticed_and_repaired(rig);
}

/// Goal: of a large span every part has its turn.
#[test]
fn each_part_is_audited_in_its_round() {
    let mut rig = Rig::new(Options { read_entries_max: 20_000, ..Options::default() }, 10_000)
        .with(Kind::Shared, &[A]);
    rig.sub.flow(A, 10_000);
    assert_eq!(rig.got().len(), 10_000);
    rig.sub.pending.take_anywhere(Ordinal(9_000));
    assert_eq!(
        (0..6).map(|round| rig.sub.audit(round)).collect::<Vec<_>>(),
        [true, true, false, true, true, false]
    );
}
