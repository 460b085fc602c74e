use super::*;

const A: ConsumerKey = ConsumerKey(1);
const B: ConsumerKey = ConsumerKey(2);

fn dispatch(kind: Kind) -> Dispatch {
    let mut dispatch = Dispatch::new(&Options::default());
    for key in [A, B] {
        let info = ConsumerInfo {
            name: format!("c{}", key.0).as_str().into(),
            priority: 0,
            kind,
            key_shared: None,
        };
        let attached = dispatch.attach(key, info);
        assert_eq!(attached.is_ok(), kind != Kind::Exclusive || key == A);
    }
    dispatch
}

/// Publishes messages of `messages`; returns who got them, 0 for nobody.
fn publish(dispatch: &mut Dispatch, messages: u32, times: u32) -> Vec<u64> {
    let message = |index| Message { messages, key_hash: index * 6000, payload: index };
    let consumer = |index| {
        let delivery = dispatch.publish(message(index))?;
        assert_eq!((delivery.payload, delivery.messages), (index, messages.max(1)));
        Some(delivery.consumer.0)
    };
    (0..times).map(consumer).map(|key| key.unwrap_or(0)).collect()
}

#[test]
fn what_nobody_can_take_is_dropped_and_counted() {
    let mut dispatch = dispatch(Kind::Exclusive);
    assert!(!dispatch.is_empty());
    assert_eq!(publish(&mut dispatch, 3, 1), [0]);
    dispatch.flow(A, 4);
    assert_eq!(publish(&mut dispatch, 3, 3), [1, 1, 0]);
    assert_eq!((dispatch.dropped_messages(), dispatch.permits(A)), (6, Some(-2)));
    dispatch.flow(A, 100);
    dispatch.set_writable(A, false);
    assert_eq!(publish(&mut dispatch, 0, 1), [0]);
    dispatch.set_writable(A, true);
    assert_eq!(publish(&mut dispatch, 0, 1), [1]);
    assert_eq!((dispatch.dropped_messages(), dispatch.permits(A)), (7, Some(97)));
    dispatch.detach(A);
    assert_eq!(publish(&mut dispatch, 1, 1), [0]);
    assert!(dispatch.is_empty());
    assert_eq!((dispatch.kind(), dispatch.active(), dispatch.permits(A)), (None, None, None));
}

#[test]
fn failover_sends_to_the_active_one_only() {
    let mut dispatch = dispatch(Kind::Failover);
    assert_eq!(dispatch.poll_active_changed(), Some((A, true)));
    assert_eq!(dispatch.poll_active_changed(), Some((B, false)));
    assert_eq!(dispatch.poll_active_changed(), None);
    dispatch.flow(B, 100);
    assert_eq!(publish(&mut dispatch, 1, 1), [0]);
    dispatch.detach(A);
    assert_eq!(dispatch.poll_active_changed(), Some((B, true)));
    assert_eq!(publish(&mut dispatch, 1, 1), [2]);
    assert_eq!((dispatch.kind(), dispatch.active()), (Some(Kind::Failover), Some(B)));
}

#[test]
fn shared_takes_turns_and_keys_stay_where_they_are() {
    let mut shared = dispatch(Kind::Shared);
    shared.flow(A, 2);
    shared.flow(B, 3);
    assert_eq!(publish(&mut shared, 1, 6), [1, 2, 1, 2, 2, 0]);
    let mut by_key = dispatch(Kind::KeyShared);
    by_key.flow(A, 100);
    by_key.flow(B, 100);
    let first = publish(&mut by_key, 1, 10);
    assert!(first.contains(&1) && first.contains(&2), "{first:?}");
    assert_eq!(publish(&mut by_key, 1, 10), first);
}
