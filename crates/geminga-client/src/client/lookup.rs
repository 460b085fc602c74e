//! Who serves a topic: PARTITIONED_METADATA, and LOOKUP with its redirects.

use geminga_types::TopicName;
use geminga_wire::proto::{
    Body, CommandLookupTopic, CommandLookupTopicResponse, CommandPartitionedTopicMetadata,
    command_lookup_topic_response::LookupType as Lookup,
    command_partitioned_topic_metadata_response::LookupType as Metadata,
};

use super::Shared;
use crate::{
    ClientError, Refusal,
    connection::Connection,
    route::{Route, parse_broker_url},
};

const REDIRECTS_MAX: u32 = 20;

impl Shared {
    /// The first host of the service URL that answers.
    pub(super) async fn service_connection(&self) -> Result<Connection, ClientError> {
        let mut failure = ClientError::Closed; // A service URL has a host.
        for address in &self.service {
            match self.pool.get(&Route::to(address.clone())).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub(super) async fn partitions(&self, topic: &TopicName) -> Result<u32, ClientError> {
        const OPERATION: &str = "partition metadata";
        if topic.partition().is_some() {
            return Ok(0);
        }
        let connection = self.service_connection().await?;
        let request = |request_id| {
            CommandPartitionedTopicMetadata {
                topic: topic.to_string(),
                request_id,
                metadata_auto_creation_enabled: Some(true),
                ..CommandPartitionedTopicMetadata::default()
            }
            .into()
        };
        let answer = match connection.request(OPERATION, request).await? {
            Body::PartitionMetadataResponse(answer) => answer,
            other => return Err(connection.unexpected(&other)),
        };
        if answer.response() == Metadata::Failed || answer.error.is_some() {
            let refusal = Refusal::new(answer.error.unwrap_or_default(), answer.message());
            return Err(ClientError::Refused { operation: OPERATION, refusal });
        }
        Ok(answer.partitions())
    }

    /// The connection to the broker that serves a topic.
    pub(crate) async fn connection_to(&self, topic: &str) -> Result<Connection, ClientError> {
        let mut connection = self.service_connection().await?;
        let mut authoritative = false;
        for _ in 0..REDIRECTS_MAX {
            let answer = self.look_up(&connection, topic, authoritative).await?;
            let route = route_of(&answer, connection.address())?;
            let next = self.pool.get(&route).await?;
            if answer.response() == Lookup::Connect {
                return Ok(next);
            }
            connection = next;
            authoritative = answer.authoritative();
        }
        let topic = topic.to_owned();
        Err(ClientError::TooManyRedirects { topic, redirects: REDIRECTS_MAX })
    }

    async fn look_up(
        &self,
        connection: &Connection,
        topic: &str,
        authoritative: bool,
    ) -> Result<CommandLookupTopicResponse, ClientError> {
        const OPERATION: &str = "look-up";
        let request = |request_id| {
            CommandLookupTopic {
                topic: topic.to_owned(),
                request_id,
                authoritative: Some(authoritative),
                advertised_listener_name: self.options.listener_name.clone(),
                ..CommandLookupTopic::default()
            }
            .into()
        };
        let answer = match connection.request(OPERATION, request).await? {
            Body::LookupTopicResponse(answer) => answer,
            other => return Err(connection.unexpected(&other)),
        };
        if answer.response == Some(Lookup::Failed as i32) || answer.error.is_some() {
            let refusal = Refusal::new(answer.error.unwrap_or_default(), answer.message());
            return Err(ClientError::Refused { operation: OPERATION, refusal });
        }
        Ok(answer)
    }
}

fn route_of(answer: &CommandLookupTopicResponse, asked: &str) -> Result<Route, ClientError> {
    let broker = parse_broker_url(answer.broker_service_url()).map_err(|error| {
        let what = format!("its look-up answered no broker that can be used: {error}");
        ClientError::Protocol { address: asked.to_owned(), what }
    })?;
    let is_proxied = answer.proxy_through_service_url() && answer.response() == Lookup::Connect;
    Ok(if is_proxied {
        Route { address: asked.to_owned(), proxy_to: Some(broker) }
    } else {
        Route::to(broker)
    })
}
