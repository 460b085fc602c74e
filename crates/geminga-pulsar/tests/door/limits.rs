//! How many may be there at once.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use geminga_broker::admin::{Policies, ResourceGroup};
use geminga_env::{
    BoxFuture,
    net::{Listener, Stream},
};
use geminga_wire::proto::{Body, CommandLookupTopic, CommandPing, ServerError};
use tokio::sync::mpsc;

use crate::{
    client::{Client, frame, producer, send},
    server::Server,
};

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_are_told_and_closed() {
    for per_address in [false, true] {
        let server = Server::with(|options| {
            if per_address {
                options.connections_per_address_max = 2;
            } else {
                options.connections_max = 2;
            }
        })
        .await;
        let first = server.connect().await;
        let _second = server.connect().await;
        let mut third = server.dial().await;
        let error = third.error().await;
        assert_eq!((error.request_id, error.error()), (u64::MAX, ServerError::NotAllowedError));
        third.closed().await;
        drop(first);
        while server.metric("pulsar_active_connections") != 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.connect().await;
        assert_eq!(server.metric("pulsar_broker_throttled_connections"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn lookups_beyond_the_limit_are_refused() {
    let server = Server::with(|options| options.concurrent_lookups_max = 0).await;
    let mut client = server.connect().await;
    let lookup = CommandLookupTopic { topic: "t".to_owned(), ..CommandLookupTopic::default() };
    let Body::LookupTopicResponse(refused) = client.ask(lookup).await else { panic!() };
    assert_eq!(refused.error(), ServerError::TooManyRequests);
    assert_eq!(server.metric("geminga_pulsar_lookups_refused_total"), 1);
}

/// Goal: lookups are counted by what became of them, once each.
#[tokio::test(start_paused = true)]
async fn lookups_are_counted_by_their_end() {
    let server = Server::with(|_| {}).await;
    let mut client = server.connect().await;
    for (name, found, failed) in [("t", 1, 0), ("persistent://none/none/t", 1, 1), ("u", 2, 1)] {
        let lookup = CommandLookupTopic { topic: name.to_owned(), ..CommandLookupTopic::default() };
        let Body::LookupTopicResponse(_) = client.ask(lookup).await else { panic!() };
        let lookups = server.options.counters.lookups(server.env.clock.now());
        let counted = (lookups.count, server.metric("pulsar_broker_lookup_failures_total"));
        assert_eq!(counted, (found, failed), "{name}");
    }
}

/// Goal: topics beyond the limit of those that load at a time wait for their turn. Method: the store
/// holds back the records of two topics, which is as many as may load.
#[tokio::test(start_paused = true)]
async fn topic_loads_beyond_the_limit_wait_for_their_turn() {
    let two = |options: &mut geminga_broker::Options| options.limits.concurrent_topic_loads_max = 2;
    let server = Server::with_broker(|_| {}, two).await;
    let mut client = server.connect().await;
    server.store.hold(Some("slow"));
    for id in 1..3 {
        client.send(producer(&format!("slow-{id}"), id, id)).await;
    }
    client.send(producer("third", 3, 3)).await;
    client.quiet().await;
    server.store.hold(None);
    let mut opened = Vec::new();
    for _ in 0..3 {
        match client.body().await {
            Body::ProducerSuccess(success) => opened.push(success.request_id),
            other => panic!("expected PRODUCER_SUCCESS, got {other:?}"),
        }
    }
    opened.sort_unstable();
    assert_eq!(opened, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn topics_that_do_not_load_in_time_are_told_and_make_room() {
    let two = |options: &mut geminga_broker::Options| options.limits.concurrent_topic_loads_max = 2;
    let server = Server::with_broker(|options| options.keep_alive = Duration::ZERO, two).await;
    let mut client = server.connect().await;
    server.store.hold(Some("slow"));
    for id in 1..3 {
        client.send(producer(&format!("slow-{id}"), id, id)).await;
    }
    client.quiet().await;
    client.send(producer("third", 3, 3)).await;
    let mut refused = 0;
    while refused < 2 {
        let frame = client.next_within(Duration::from_secs(70)).await.unwrap();
        let geminga_wire::frame::Command::Other(body) = frame.command else { continue };
        match *body {
            Body::Error(error) => {
                assert_eq!(error.error(), ServerError::ServiceNotReady);
                assert!(error.message.contains("more than 60 s"), "{}", error.message);
                refused += 1;
            }
            other => panic!("expected ERROR, got {other:?}"),
        }
    }
    client.producer_success(3).await;
    server.store.hold(None);
    client.open_producer("slow-1", 1).await;
    client.publish(1, 0, b"m").await;
}

/// Goal: publishes beyond the buffer are slowed, on every connection, and none is lost. Method: the
/// bookie holds back what would free it.
#[tokio::test(start_paused = true)]
async fn a_full_publish_buffer_slows_and_loses_nothing() {
    let small = |options: &mut geminga_broker::Options| options.limits.publish_buffer_bytes = 5_000;
    let server = Server::with_broker(|_| {}, small).await;
    let mut clients = [server.connect().await, server.connect().await];
    for (client, topic) in clients.iter_mut().zip(["one", "two"]) {
        client.open_producer(topic, 1).await;
    }
    server.bookie.hold(b"m");
    for client in &mut clients {
        for sequence_id in 0..20 {
            client.write(&send(1, sequence_id, &[b'm'; 1_000])).await;
        }
    }
    for client in &mut clients {
        client.quiet().await;
    }
    assert!(server.broker.publish_budget().used() <= 5_000);
    assert!(2 <= server.metric("geminga_pulsar_paused_total"));
    server.bookie.release();
    for client in &mut clients {
        for sequence_id in 0..20 {
            let receipt = client.receipt().await;
            assert_eq!(receipt.sequence_id, sequence_id);
            assert_eq!(receipt.message_id.unwrap().entry_id, sequence_id);
        }
    }
    assert_eq!(server.broker.publish_budget().used(), 0);
}

/// Goal: with a full publish buffer, who is in the group of the higher priority goes first, whoever came
/// first, and the other is not forgotten. Method: room for one entry, which the bookie holds back until both
/// wait.
#[tokio::test(start_paused = true)]
async fn a_full_publish_buffer_is_first_for_the_higher_priority() {
    let small = |options: &mut geminga_broker::Options| options.limits.publish_buffer_bytes = 1_000;
    let server = Server::with_broker(|_| {}, small).await;
    for (name, priority) in [("low", -1), ("high", 1)] {
        let group = ResourceGroup { priority: Some(priority), ..ResourceGroup::default() };
        server.broker.set_resource_group(name, group).await.unwrap();
        let policies =
            Policies { resource_group_name: Some(name.to_owned()), ..Policies::default() };
        let namespace = format!("public/{name}").parse().unwrap();
        server.broker.create_namespace(&namespace, Some(policies)).await.unwrap();
    }
    let mut filler = server.connect().await;
    filler.open_producer("t", 1).await;
    server.bookie.hold(b"m");
    filler.write(&send(1, 0, &[b'm'; 1_000])).await;
    filler.quiet().await;
    let (mut low, mut high) = (server.connect().await, server.connect().await);
    for (client, name) in [(&mut low, "low"), (&mut high, "high")] {
        client.open_producer(&format!("persistent://public/{name}/t"), 1).await;
        for sequence_id in 0..10 {
            client.write(&send(1, sequence_id, &[b'm'; 1_000])).await;
        }
        client.quiet().await;
    }
    server.bookie.release();
    server.bookie.hold(b"m");
    filler.receipt().await;
    for _ in 0..10 {
        filler.quiet().await;
        server.bookie.release();
        server.bookie.hold(b"m");
    }
    filler.quiet().await;
    let of_low = "persistent://public/low/t".parse().unwrap();
    let stored = server.broker.topic_stats(&of_low).await.unwrap().messages_in;
    assert!(stored <= 1, "{stored} of the lower priority came before");
    server.bookie.release();
    for client in [&mut high, &mut low] {
        for sequence_id in 0..10 {
            assert_eq!(client.receipt().await.sequence_id, sequence_id);
        }
    }
    assert_eq!(server.broker.publish_budget().used(), 0);
}

/// Hands out streams with small buffers, and errors in between.
#[derive(Debug)]
pub(crate) struct Handing(mpsc::Receiver<io::Result<Stream>>);

impl Listener for Handing {
    fn local_address(&self) -> SocketAddr {
        "127.0.0.1:6650".parse().unwrap()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        Box::pin(async {
            match self.0.recv().await {
                Some(result) => result.map(|stream| (stream, "10.0.0.1:1000".parse().unwrap())),
                None => std::future::pending().await,
            }
        })
    }
}

/// Serves what is sent to it.
pub(crate) async fn handing(server: &Server) -> mpsc::Sender<io::Result<Stream>> {
    let (sender, receiver) = mpsc::channel(10);
    server.tasks.spawn(geminga_pulsar::serve(
        server.broker.clone(),
        Box::new(Handing(receiver)),
        Arc::clone(&server.options),
        server.tasks.clone(),
        server.shutdown.clone(),
    ));
    sender
}

#[tokio::test(start_paused = true)]
async fn failed_accepts_do_not_end_the_service() {
    let server = Server::start().await;
    let streams = handing(&server).await;
    for _ in 0..5 {
        // "Too many open files".
        streams.send(Err(io::Error::from_raw_os_error(24))).await.unwrap();
    }
    let (near, far) = tokio::io::duplex(4_096);
    streams.send(Ok(Box::new(far))).await.unwrap();
    Client::new(Box::new(near)).connect().await;
}

/// Goal: a client that asks and never reads is not read either, and is given up in time. Method:
/// its socket holds 1 KiB; how much of its requests the server takes shows in what it can write.
#[tokio::test(start_paused = true)]
async fn who_never_reads_is_not_read() {
    let server = Server::with(|options| options.outbox_high_water_bytes = 10_000).await;
    let streams = handing(&server).await;
    let (near, far) = tokio::io::duplex(1_024);
    streams.send(Ok(Box::new(far))).await.unwrap();
    let mut client = Client::new(Box::new(near));
    client.connect().await;
    let start = server.env.clock.now();
    let ping = frame(CommandPing::default());
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_secs(5), client.write(&ping)).await.is_ok() {
        taken += 1;
        assert!(taken < 10_000, "the server takes whatever comes");
    }
    assert!(100 < taken, "{taken}");
    server.until_nobody_is_connected().await;
    let waited = server.env.clock.now() - start;
    assert!((Duration::from_secs(30)..Duration::from_secs(70)).contains(&waited), "{waited:?}");
}
