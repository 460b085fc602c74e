//! CONNECT, keep-alive, and what comes before and instead of them.

use std::time::Duration;

use geminga_wire::{
    frame::Command,
    proto::{
        Body, CommandConnect, CommandLookupTopic, CommandPing, CommandPong, FeatureFlags,
        ServerError,
    },
};

use crate::server::{MAX_MESSAGE_SIZE, Server};

fn connect(protocol_version: i32) -> CommandConnect {
    CommandConnect {
        client_version: "Test".to_owned(),
        protocol_version: Some(protocol_version),
        ..CommandConnect::default()
    }
}

#[tokio::test(start_paused = true)]
async fn connected_says_what_clients_rely_on() {
    let server = Server::start().await;
    let connected = server.dial().await.connect().await;
    assert_eq!(connected.protocol_version(), 21);
    assert_eq!(connected.max_message_size(), i32::try_from(MAX_MESSAGE_SIZE).unwrap());
    let features = connected.feature_flags.unwrap();
    assert!(features.supports_partial_producer());
    assert!(features.supports_get_partitioned_metadata_without_auto_creation());
    assert!(features.supports_topic_watchers());
    assert!(!features.supports_scalable_topics());
    assert!(!features.supports_auth_refresh());
    assert!(!features.supports_broker_entry_metadata());
}

#[tokio::test(start_paused = true)]
async fn the_lower_protocol_version_is_spoken() {
    let server = Server::start().await;
    for (client, spoken) in [(0, 0), (12, 12), (21, 21), (99, 21)] {
        let Body::Connected(connected) = server.dial().await.ask(connect(client)).await else {
            panic!("expected CONNECTED")
        };
        assert_eq!(connected.protocol_version(), spoken);
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_are_accepted_and_ignored() {
    let server = Server::start().await;
    let connect = CommandConnect {
        auth_method_name: Some("token".to_owned()),
        auth_data: Some(b"not even a token"[..].into()),
        feature_flags: Some(FeatureFlags {
            supports_auth_refresh: Some(true),
            supports_scalable_topics: Some(true),
            ..FeatureFlags::default()
        }),
        ..connect(21)
    };
    assert!(matches!(server.dial().await.ask(connect).await, Body::Connected(_)));
}

#[tokio::test(start_paused = true)]
async fn a_command_before_connect_is_refused() {
    let server = Server::start().await;
    let mut client = server.dial().await;
    let lookup = CommandLookupTopic { topic: "t".to_owned(), ..CommandLookupTopic::default() };
    client.send(lookup).await;
    assert_eq!(client.error_code().await, ServerError::NotAllowedError);
    client.closed().await;
    server.until_nobody_is_connected().await;
    assert_eq!(server.metric("pulsar_connection_create_fail_count"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_connect_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(connect(21)).await;
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_disconnected() {
    let server = Server::start().await;
    let start = server.env.clock.now();
    let mut client = server.dial().await;
    client.closed_within(Duration::from_secs(20)).await;
    let waited = server.env.clock.now() - start;
    assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn who_dribbles_is_disconnected_too() {
    let server = Server::start().await;
    let mut client = server.dial().await;
    let bytes = crate::client::frame(connect(21));
    for byte in bytes.iter().take(bytes.len() - 1) {
        client.try_write(&[*byte]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(CommandPing::default()).await;
    assert!(matches!(client.next().await.command, Command::Pong));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_pinged_and_then_given_up() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let start = server.env.clock.now();
    let ping = client.next_within(Duration::from_secs(40)).await.unwrap();
    assert!(matches!(ping.command, Command::Ping));
    let waited = server.env.clock.now() - start;
    assert!((Duration::from_secs(30)..Duration::from_secs(31)).contains(&waited), "{waited:?}");
    client.closed_within(Duration::from_secs(40)).await;
    let waited = server.env.clock.now() - start;
    assert!((Duration::from_secs(60)..Duration::from_secs(61)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for _ in 0..5 {
        let ping = client.next_within(Duration::from_secs(61)).await.unwrap();
        assert!(matches!(ping.command, Command::Ping));
        client.send(CommandPong::default()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_every_connection() {
    let server = Server::start().await;
    let mut connected = server.connect().await;
    let mut silent = server.dial().await;
    server.broker.shutdown().await;
    server.shutdown.cancel();
    connected.closed().await;
    silent.closed().await;
    server.tasks.close();
    tokio::time::timeout(Duration::from_secs(5), server.tasks.wait()).await.unwrap();
}
