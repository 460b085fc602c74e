//! Deduplication that is switched on and off, and given up where it cannot be read.

use std::time::Duration;

use geminga_broker::{
    AccessMode, Outgoing, ProduceError, ProducerRequest, Sequence, SubscribeError, TopicError,
    admin::Policies,
};
use geminga_metadata::{
    Expected, Lifetime, MetadataStore as _,
    values::managed_ledger::{decode_cursor, encode},
};

use crate::{
    bookie::Adds,
    deduplicating::{
        CURSOR, KNOWN, NONE, enabled, has_cursor, kept, known, open, receipts, send, stored_ids,
        until_cursor,
    },
    store::Writes,
    world::{World, is_pending, soon, topic},
};

async fn set_policy(world: &World, is_enabled: Option<bool>) {
    let change = |policies: &mut Policies| {
        policies.deduplication_enabled = is_enabled;
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
    // The broker follows the records.
    let mut is_so = false;
    for _ in 0..1_000 {
        let expected =
            is_enabled.unwrap_or_else(|| world.broker.options().deduplication.is_enabled);
        is_so = world.broker.topic_stats(&topic("t")).await.unwrap().is_deduplicating == expected;
        if is_so {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(is_so, "the policy reaches the topic");
}

/// What cannot be read is given up, by an operator or since nobody wants it; then the topic begins anew.
async fn given_up(world: World, is_deleted: bool) -> World {
    let world = if is_deleted {
        world.broker.delete_subscription(&topic("t"), "pulsar.dedup", false).await.unwrap();
        world
    } else {
        world.crash(kept).await
    };
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1]).await, NONE);
    world
}

#[tokio::test(start_paused = true)]
async fn the_policy_switches_it_on_and_off_at_once() {
    let world = World::with(kept).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1, 1]).await, NONE);
    set_policy(&world, Some(true)).await;
    assert_eq!(known(&mut client, &producer, [2, 2, 1]).await, [2, 1]);
    until_cursor(&world, true).await;
    // It is remembered over an unload.
    world.broker.unload_topic(&topic("t")).await.unwrap();
    assert!(matches!(client.next().await, Outgoing::ProducerClosed { .. }));
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), 2);
    set_policy(&world, Some(false)).await;
    assert_eq!(known(&mut client, &producer, [2]).await, NONE);
    until_cursor(&world, false).await;
    set_policy(&world, Some(true)).await;
    // What was known before was forgotten.
    assert_eq!(known(&mut client, &producer, [0, 0, 1]).await, [0]);
    until_cursor(&world, true).await;
    set_policy(&world, None).await;
    assert_eq!(known(&mut client, &producer, [1]).await, NONE);
    assert_eq!(stored_ids(&world).await, [0, 1, 1, 2, 2, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn switched_off_while_the_topic_is_not_loaded_its_records_go() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1]).await, NONE);
    until_cursor(&world, true).await;
    let world = world.crash(kept).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), -1);
    assert_eq!(known(&mut client, &producer, [0]).await, NONE);
    until_cursor(&world, false).await;
}

/// Goal: a producer is opened only once a load would know of it, and is not kept waiting for ever.
#[tokio::test(start_paused = true)]
async fn a_producer_opens_once_the_cursor_is_made() {
    let world = World::with(enabled).await;
    world.store.set_writes("pulsar.dedup", Writes::Refused);
    let client = world.client();
    let mut opening = Box::pin(open(&client, "p"));
    is_pending(&mut opening).await;
    let refused = opening.await;
    assert!(
        matches!(refused, Err(ProduceError::Topic(TopicError::Unavailable { .. }))),
        "{refused:?}"
    );
    let mut opening = Box::pin(open(&client, "p"));
    is_pending(&mut opening).await;
    assert!(!has_cursor(&world).await);
    world.store.set_writes("", Writes::Made);
    let producer = soon(opening).await.unwrap();
    assert!(has_cursor(&world).await);
    send(&producer, [0]).await;
    let world = world.crash(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    let stored = usize::try_from(producer.last_sequence_id() + 1).unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1]).await.len(), stored);
}

/// Goal: what was sent while nobody judged says nothing about a name that has begun again since.
#[tokio::test(start_paused = true)]
async fn a_name_that_began_again_while_it_was_off_loses_nothing() {
    let world = World::with(kept).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, 100..105).await, NONE);
    producer.close().await;
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1]).await, NONE);
    // The same producer goes on, behind a restart that switches it on.
    let world = world.crash(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [2, 3, 3]).await, [3]);
    let world = world.crash(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), 3);
    assert_eq!(known(&mut client, &producer, [3, 4]).await, [3]);
}

/// Goal: off and on again forgets, even if it is on again before the records of before are gone; and
/// what could not be done is not tried without end.
#[tokio::test(start_paused = true)]
async fn off_and_on_again_begins_anew() {
    let world = World::with(kept).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    set_policy(&world, Some(true)).await;
    assert_eq!(known(&mut client, &producer, [7, 8]).await, NONE);
    until_cursor(&world, true).await;
    producer.close().await;
    world.store.set_writes("pulsar.dedup", Writes::Refused);
    set_policy(&world, Some(false)).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(has_cursor(&world).await);
    // What a load would do with a name that begins again must be certain first.
    let mut opening = Box::pin(open(&client, "p"));
    is_pending(&mut opening).await;
    set_policy(&world, Some(true)).await;
    is_pending(&mut opening).await;
    world.store.set_writes("", Writes::Made);
    let producer = soon(opening).await.unwrap();
    assert_eq!(producer.last_sequence_id(), -1);
    world.bookie.set_adds(Adds::Held);
    send(&producer, [0]).await;
    world.until("the append is on its way", || 0 < world.bookie.held()).await;
    world.bookie.set_adds(Adds::Stored);
    let world = world.crash(kept).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1, 1]).await, [1]);
    tokio::time::sleep(Duration::from_secs(600)).await;
}

/// Goal: what is on its way at a switch is not stored twice, and shares the fate of what it repeats.
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_at_a_switch_is_followed() {
    let world = World::with(kept).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0]).await, NONE);
    world.bookie.set_adds(Adds::Held);
    send(&producer, [1, 2]).await;
    set_policy(&world, Some(true)).await;
    producer.close().await;
    let mut opening = Box::pin(open(&client, "p"));
    is_pending(&mut opening).await;
    world.bookie.release();
    let producer = soon(opening).await.unwrap();
    assert_eq!(producer.last_sequence_id(), 2);
    assert_eq!(known(&mut client, &producer, [1, 2, 3]).await, [1, 2]);

    world.bookie.set_adds(Adds::Held);
    send(&producer, [4, 4]).await;
    let change = |policies: &mut Policies| {
        policies.deduplication_enabled = Some(false);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
    client.quiet().await;
    world.bookie.release();
    let answers = receipts(&mut client, 2).await;
    assert_eq!(answers.iter().filter(|receipt| receipt.position == KNOWN).count(), 1);
    assert_eq!(stored_ids(&world).await, [0, 1, 2, 3, 4]);
}

/// Goal: who waited for access is opened no earlier than anybody else would be: a load would judge it as
/// it was judged before.
#[tokio::test(start_paused = true)]
async fn who_waited_for_access_gets_in_once_the_switch_is_durable() {
    let world = World::with(kept).await;
    let (mut client, mut waiter) = (world.client(), world.client());
    open(&client, "p").await.unwrap().close().await;
    set_policy(&world, Some(true)).await;
    let producer = soon(open(&client, "p")).await.unwrap();
    assert_eq!(known(&mut client, &producer, [7, 8]).await, NONE);
    producer.close().await;
    let holder = client.producer_request(1);
    let holder = ProducerRequest { access_mode: AccessMode::Exclusive, ..holder };
    let holder = soon(client.try_produce("t", holder)).await.unwrap();
    let request = ProducerRequest {
        access_mode: AccessMode::WaitForExclusive,
        name: Some("p".to_owned()),
        ..waiter.producer_request(1)
    };
    let waiting = soon(waiter.try_produce("t", request)).await.unwrap();
    assert!(!waiting.is_ready());
    world.store.set_writes("pulsar.dedup", Writes::Refused);
    set_policy(&world, Some(false)).await;
    holder.close().await;
    waiter.quiet().await;
    // Nor is anybody answered who asks for it, but told to try again in time.
    let fencing = ProducerRequest {
        access_mode: AccessMode::ExclusiveWithFencing,
        name: Some("q".to_owned()),
        ..client.producer_request(2)
    };
    let refused = client.try_produce("t", fencing).await;
    let is_later = matches!(refused, Err(ProduceError::Topic(TopicError::Unavailable { .. })));
    assert!(is_later, "{refused:?}");
    world.store.set_writes("", Writes::Made);
    match waiter.next_within(Duration::from_secs(60)).await {
        Outgoing::ProducerReady { last_sequence_id, .. } => assert_eq!(last_sequence_id, -1),
        // It was fenced out, or is to come back.
        Outgoing::ProducerRefused { .. } | Outgoing::ProducerClosed { .. } => {}
        other => panic!("{other:?}"),
    }
}

/// Goal: a key of the cursor that cannot be read at all can be given up as well.
#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_read_can_be_given_up() {
    for is_deleted in [true, false] {
        let world = World::with(enabled).await;
        let mut client = world.client();
        let producer = open(&client, "p").await.unwrap();
        assert_eq!(known(&mut client, &producer, [0, 1]).await, NONE);
        let world = world.crash(enabled).await;
        let damaged = bytes::Bytes::from_static(b"\xff\x01");
        let lifetime = Lifetime::Persistent;
        world.store.put(CURSOR, damaged, Expected::Any, lifetime).await.unwrap();
        assert!(open(&world.client(), "p").await.is_err());
        given_up(world, is_deleted).await;
    }
}

/// Goal: whoever deletes the cursor of a topic that is only away for a moment loses nothing.
#[tokio::test(start_paused = true)]
async fn what_can_be_read_is_not_given_up() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1]).await, NONE);
    let world = world.crash(enabled).await;
    world.store.set_writes("/managed-ledgers/", Writes::Refused);
    let deleted = world.broker.delete_subscription(&topic("t"), "pulsar.dedup", false).await;
    assert!(deleted.is_err(), "{deleted:?}");
    world.store.set_writes("", Writes::Made);
    let mut client = world.client();
    let producer = soon(open(&client, "p")).await.unwrap();
    assert_eq!(known(&mut client, &producer, [0, 1]).await, [0, 1]);
}

/// Goal: where what is known cannot be read, the topic is not loaded, and an operator can have it forgotten;
/// where nobody wants it, it is.
#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_read_can_be_given_up() {
    for is_deleted in [true, false] {
        let world = World::with(enabled).await;
        let mut client = world.client();
        let producer = open(&client, "p").await.unwrap();
        assert_eq!(known(&mut client, &producer, [0, 1]).await, NONE);
        let mut info = decode_cursor(world.store.value(CURSOR).await.unwrap()).unwrap();
        info.cursors_ledger_id = 999;
        let world = world.crash(enabled).await;
        let lifetime = Lifetime::Persistent;
        world.store.put(CURSOR, encode(&info), Expected::Any, lifetime).await.unwrap();
        let refused = open(&world.client(), "p").await;
        let Err(ProduceError::Topic(TopicError::Unreadable { reason, .. })) = refused else {
            panic!("{refused:?}")
        };
        assert!(reason.contains("delete the topic's subscription pulsar.dedup"), "{reason}");
        let world = given_up(world, is_deleted).await;
        assert_eq!(stored_ids(&world).await, [0, 1, 0, 1]);
        // Of a topic that is loaded it is not to be had.
        let deleted = world.broker.delete_subscription(&topic("t"), "pulsar.dedup", false).await;
        assert!(deleted.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn its_cursor_is_nobodys_subscription() {
    let world = World::with(enabled).await;
    let client = world.client();
    let producer = open(&client, "p").await.unwrap();
    send(&producer, [0]).await;
    until_cursor(&world, true).await;
    let refused = client.try_subscribe("t", client.subscribe_request(1, "pulsar.dedup")).await;
    assert!(matches!(refused, Err(SubscribeError::NotAllowed(_))), "{refused:?}");
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    assert!(stats.is_deduplicating && stats.subscriptions.is_empty());
    let long = "x".repeat(20_000);
    assert!(matches!(open(&client, &long).await, Err(ProduceError::NotAllowed(_))));
    assert_eq!(Sequence::of(1), Sequence::batch(1, 0));
}
