//! GET_SCHEMA and GET_OR_CREATE_SCHEMA.

use std::sync::Arc;

use bytes::Bytes;
use geminga_broker::{SchemaVersion, StoredSchema};
use geminga_types::TopicName;
use geminga_wire::proto::{
    CommandGetOrCreateSchema, CommandGetOrCreateSchemaResponse, CommandGetSchema,
    CommandGetSchemaResponse, ServerError,
};

use super::{Connection, producers::refusal};
use crate::{errors::Refusal, schema};

impl Connection {
    pub(super) async fn on_get_schema(self: &Arc<Self>, command: CommandGetSchema) {
        let me = Arc::clone(self);
        self.start(async move {
            let request_id = command.request_id;
            me.answer(match me.schema(command).await {
                Ok(stored) => CommandGetSchemaResponse {
                    request_id,
                    schema_version: Some(bytes_of(stored.version)),
                    schema: Some(schema::to_wire(stored.schema)),
                    ..CommandGetSchemaResponse::default()
                },
                Err(refusal) => CommandGetSchemaResponse {
                    request_id,
                    error_code: Some(refusal.code.into()),
                    error_message: Some(refusal.message),
                    ..CommandGetSchemaResponse::default()
                },
            });
        })
        .await;
    }

    pub(super) async fn on_get_or_create_schema(
        self: &Arc<Self>,
        command: CommandGetOrCreateSchema,
    ) {
        let me = Arc::clone(self);
        self.start(async move {
            let request_id = command.request_id;
            me.answer(match me.put_schema(command).await {
                Ok(version) => CommandGetOrCreateSchemaResponse {
                    request_id,
                    schema_version: Some(version.map(bytes_of).unwrap_or_default()),
                    ..CommandGetOrCreateSchemaResponse::default()
                },
                Err(refusal) => CommandGetOrCreateSchemaResponse {
                    request_id,
                    error_code: Some(refusal.code.into()),
                    error_message: Some(refusal.message),
                    ..CommandGetOrCreateSchemaResponse::default()
                },
            });
        })
        .await;
    }

    async fn schema(&self, command: CommandGetSchema) -> Result<StoredSchema, Refusal> {
        let topic: TopicName = command.topic.parse().map_err(refusal)?;
        let version = command.schema_version.as_deref().map(version_of).transpose()?;
        self.door.broker.schema(&topic, version).await.map_err(refusal)
    }

    /// The version, or `None` for the kinds that mean no schema.
    async fn put_schema(
        &self,
        command: CommandGetOrCreateSchema,
    ) -> Result<Option<SchemaVersion>, Refusal> {
        let topic: TopicName = command.topic.parse().map_err(refusal)?;
        match schema::from_wire(Some(command.schema)) {
            Some(schema) => {
                self.door.broker.put_schema(&topic, schema).await.map(Some).map_err(refusal)
            }
            None => Ok(None),
        }
    }
}

fn bytes_of(version: SchemaVersion) -> Bytes {
    Bytes::copy_from_slice(&version.to_bytes())
}

fn version_of(bytes: &[u8]) -> Result<SchemaVersion, Refusal> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| {
        let message = format!("A schema version has 8 bytes, not {}", bytes.len());
        Refusal::new(ServerError::IncompatibleSchema, message)
    })?;
    Ok(SchemaVersion(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_eight_bytes() {
        assert_eq!(version_of(&bytes_of(SchemaVersion(258))), Ok(SchemaVersion(258)));
        assert_eq!(version_of(&[0; 8]), Ok(SchemaVersion(0)));
        assert_eq!(version_of(&[]).unwrap_err().code, ServerError::IncompatibleSchema);
        assert_eq!(version_of(&[0; 9]).unwrap_err().code, ServerError::IncompatibleSchema);
    }
}
