//! How many may be there at once.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use geminga_env::{
    BoxFuture,
    net::{Listener, Stream},
};
use geminga_wire::proto::{Body, CommandLookupTopic, CommandPing, ServerError};
use tokio::sync::mpsc;

use crate::{
    client::{Client, frame},
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

/// Hands out streams with small buffers, and errors in between.
#[derive(Debug)]
struct Handing(mpsc::Receiver<io::Result<Stream>>);

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
async fn handing(server: &Server) -> mpsc::Sender<io::Result<Stream>> {
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
