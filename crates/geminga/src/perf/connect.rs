//! Clients, producers and consumers of a run.

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use geminga_client::{Client, Consumer, Producer};
use geminga_env::Env;

use super::options::{Produce, Receiving, Topics};
use crate::client_command::connect;

/// Producers or consumers that are created at a time.
const AT_A_TIME: usize = 64;

/// So many connections.
pub(super) async fn clients(env: &Env, url: &str, connections: u32) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(connect(env, url, None).await?);
    }
    Ok(clients)
}

/// The producers of each client; no more clients than producers.
pub(super) async fn producers(clients: &[Client], options: &Produce) -> Result<Vec<Vec<Producer>>> {
    let each = options.sending.producers;
    let topics = options.topics.names();
    let topics = topics.iter().flat_map(|topic| (0..each).map(move |_| topic));
    let created = topics.zip((0..clients.len()).cycle()).map(|(topic, index)| async move {
        let producer = clients[index].producer(topic, options.sending.options()).await;
        Ok::<_, anyhow::Error>((index, producer.with_context(|| format!("topic {topic}"))?))
    });
    let created: Vec<_> = created.collect();
    let created: Vec<_> = stream::iter(created).buffered(AT_A_TIME).try_collect().await?;
    let mut by_client: Vec<Vec<Producer>> = clients.iter().map(|_| Vec::new()).collect();
    for (index, producer) in created {
        by_client[index].push(producer);
    }
    by_client.retain(|producers| !producers.is_empty());
    Ok(by_client)
}

/// All consumers of all subscriptions of all topics.
pub(super) async fn consumers(
    clients: &[Client],
    topics: &Topics,
    receiving: &Receiving,
) -> Result<Vec<Consumer>> {
    let (topics, subscriptions) = (topics.names(), receiving.names());
    let places = topics.iter().flat_map(|topic| {
        let subscriptions = subscriptions.iter();
        subscriptions.flat_map(move |name| (0..receiving.consumers).map(move |_| (topic, name)))
    });
    let created = places.zip(clients.iter().cycle()).map(|((topic, name), client)| async move {
        let consumer = client.subscribe(topic, name, receiving.options()).await;
        consumer.with_context(|| format!("topic {topic}, subscription {name}"))
    });
    let created: Vec<_> = created.collect();
    stream::iter(created).buffered(AT_A_TIME).try_collect().await
}
