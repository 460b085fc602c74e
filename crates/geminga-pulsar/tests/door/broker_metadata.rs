//! Who gets what the broker noted of entries.

use bytes::Bytes;
use geminga_broker::BrokerMetadataOptions;
use geminga_wire::{
    entry::{BrokerMeta, EntryHeader, encode_broker_entry_metadata},
    proto::{
        Body, BrokerEntryMetadata, CommandSubscribe, FeatureFlags, command_subscribe::SubType,
    },
};

use crate::{
    client::{Client, entry, send_entry, subscribe},
    server::Server,
};

async fn start(is_exposed: bool) -> Server {
    let note = |broker: &mut geminga_broker::Options| {
        broker.broker_metadata = BrokerMetadataOptions { timestamp: true, index: true };
    };
    Server::with_broker(|door| door.exposes_broker_metadata = is_exposed, note).await
}

async fn connect(server: &Server, understands: bool) -> Client {
    let mut client = server.dial().await;
    let features = FeatureFlags {
        supports_broker_entry_metadata: Some(understands),
        ..FeatureFlags::default()
    };
    client.connect_with(Some(features)).await;
    client
}

async fn attach(reader: &mut Client, subscription: &str) {
    let request_id = reader.request_id();
    let subscription = subscription.to_owned();
    let subscribe = subscribe("t", 1, request_id, SubType::Exclusive);
    reader.send(CommandSubscribe { subscription, ..subscribe }).await;
    reader.success(request_id).await;
}

fn noted(entry: &Bytes) -> (BrokerMeta, Bytes) {
    let header = EntryHeader::check(entry).unwrap().header;
    (BrokerMeta::parse(entry).unwrap(), entry.slice(header.start..))
}

#[tokio::test(start_paused = true)]
async fn who_understands_it_gets_it_where_that_is_allowed() {
    // Small ones are copied with their heads, large ones are not.
    let payloads = [vec![1; 10], vec![2; 5_000], vec![3; 60_000]];
    for is_exposed in [false, true] {
        let server = start(is_exposed).await;
        let mut producer = connect(&server, true).await;
        producer.open_producer("t", 1).await;
        let mut readers = [connect(&server, false).await, connect(&server, true).await];
        for (reader, name) in readers.iter_mut().zip(["a", "b"]) {
            attach(reader, name).await;
        }
        for (sequence_id, payload) in (0..).zip(&payloads) {
            producer.publish(1, sequence_id, payload).await;
        }
        // First from the tail cache, then as it is stored.
        for pass in 0..2 {
            if pass == 1 {
                server.broker.unload_topic(&"t".parse().unwrap()).await.unwrap();
                for (reader, name) in readers.iter_mut().zip(["a", "b"]) {
                    assert!(matches!(reader.body().await, Body::CloseConsumer(_)));
                    attach(reader, name).await;
                }
            }
            for (reader, understands) in readers.iter_mut().zip([false, true]) {
                reader.flow(1, 100).await;
                for (index, payload) in (0..).zip(&payloads) {
                    let (_, found) = reader.message().await;
                    let (noted, sent) = noted(&found);
                    assert_eq!(sent, entry(index, payload));
                    let expected = (is_exposed && understands).then_some(index);
                    assert_eq!(
                        (noted.index, noted.timestamp.is_some()),
                        (expected, expected.is_some())
                    );
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_that_the_broker_noted_is_not_kept() {
    let server = start(true).await;
    let mut client = connect(&server, true).await;
    client.open_producer("t", 1).await;
    client.subscribe("t", 1, SubType::Exclusive).await;
    client.flow(1, 10).await;
    let mut forged = bytes::BytesMut::new();
    let lie = BrokerEntryMetadata { broker_timestamp: Some(1), index: Some(1_000) };
    encode_broker_entry_metadata(&lie, &mut forged);
    forged.extend_from_slice(&entry(0, b"m"));
    client.write(&send_entry(1, 0, &forged.freeze())).await;
    client.receipt().await;
    let (_, found) = client.message().await;
    let (noted, sent) = noted(&found);
    assert_eq!((noted.index, sent), (Some(0), entry(0, b"m")));
    assert!(noted.timestamp > Some(1));
}
