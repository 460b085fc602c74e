//! What a broker offers about schemas: to producers and consumers as they come, and to administrators.

use geminga_types::TopicName;

use super::{Schema, SchemaPolicies, SchemaVersion, StoredSchema, registry::Updates};
use crate::{Broker, SchemaError, SchemaStrategy, namespace};

impl Broker {
    /// The version of a producer's schema, which is stored if the topic lacks it; `None` for none.
    pub(crate) async fn schema_of_producer(
        &self,
        topic: &TopicName,
        schema: Option<Schema>,
    ) -> Result<Option<SchemaVersion>, SchemaError> {
        let policies = self.schema_policies(topic).await?;
        match schema {
            Some(schema) => {
                let updates = Updates::ByPolicy;
                self.schema_registry().put(topic, schema, policies, updates).await.map(Some)
            }
            None if policies.is_validated => {
                self.schema_registry().refuse_if_any(topic).await.map(|()| None)
            }
            None => Ok(None),
        }
    }

    /// Whether a consumer may come with a schema. It becomes the topic's if that has none and is idle.
    pub(crate) async fn check_schema_of_consumer(
        &self,
        topic: &TopicName,
        schema: Schema,
        is_idle: bool,
    ) -> Result<(), SchemaError> {
        let policies = self.schema_policies(topic).await?;
        self.schema_registry().check_consumer(topic, schema, policies, is_idle).await
    }

    /// A schema of a topic: the version asked for, or the latest.
    ///
    /// # Errors
    ///
    /// See [`SchemaError`].
    pub async fn schema(
        &self,
        topic: &TopicName,
        version: Option<SchemaVersion>,
    ) -> Result<StoredSchema, SchemaError> {
        self.schema_registry().get(topic, version).await
    }

    /// All versions of a topic's schema, oldest first.
    ///
    /// # Errors
    ///
    /// See [`SchemaError`].
    pub async fn schemas(&self, topic: &TopicName) -> Result<Vec<StoredSchema>, SchemaError> {
        self.schema_registry().all(topic).await
    }

    /// Stores a schema for a client, unless the topic has it; returns its version.
    ///
    /// # Errors
    ///
    /// See [`SchemaError`]; also if there is no such topic.
    pub async fn put_schema(
        &self,
        topic: &TopicName,
        schema: Schema,
    ) -> Result<SchemaVersion, SchemaError> {
        let is_known = self.is_known(topic).await;
        if !is_known.map_err(|error| SchemaError::Unavailable(error.to_string()))? {
            return Err(SchemaError::NotFound(topic.clone()));
        }
        let policies = self.schema_policies(topic).await?;
        self.schema_registry().put(topic, schema, policies, Updates::ByPolicy).await
    }

    /// Stores a schema for an administrator, unless the topic has it; returns its version. The topic need
    /// not exist, and its schema may be one that changes by no client.
    ///
    /// # Errors
    ///
    /// See [`SchemaError`].
    pub async fn post_schema(
        &self,
        topic: &TopicName,
        schema: Schema,
    ) -> Result<SchemaVersion, SchemaError> {
        let policies = self.schema_policies(topic).await?;
        self.schema_registry().put(topic, schema, policies, Updates::Always).await
    }

    /// By which strategy a topic's schemas are compared.
    ///
    /// # Errors
    ///
    /// If the store is away.
    pub async fn schema_strategy(&self, topic: &TopicName) -> Result<SchemaStrategy, SchemaError> {
        Ok(self.schema_policies(topic).await?.strategy)
    }

    /// Whether a schema could be stored now; nothing is.
    ///
    /// # Errors
    ///
    /// [`SchemaError::Incompatible`] or [`SchemaError::Invalid`] if it could not.
    pub async fn check_schema(&self, topic: &TopicName, schema: Schema) -> Result<(), SchemaError> {
        let policies = self.schema_policies(topic).await?;
        self.schema_registry().check(topic, schema, policies).await
    }

    /// The version that a schema has on a topic, if it has one.
    ///
    /// # Errors
    ///
    /// If the store is away.
    pub async fn schema_version_of(
        &self,
        topic: &TopicName,
        schema: Schema,
    ) -> Result<Option<SchemaVersion>, SchemaError> {
        self.schema_registry().version_of(topic, schema).await
    }

    /// Deletes all versions of a topic's schema; their numbers stay taken, unless `force`. Returns the
    /// number of the deletion, or of what was the last version; `None` if there was nothing.
    ///
    /// # Errors
    ///
    /// If the store is away.
    pub async fn delete_schema(
        &self,
        topic: &TopicName,
        force: bool,
    ) -> Result<Option<SchemaVersion>, SchemaError> {
        self.schema_registry().delete(topic, force).await
    }

    async fn schema_policies(&self, topic: &TopicName) -> Result<SchemaPolicies, SchemaError> {
        let policies = namespace::policies(self.deps(), topic.namespace()).await?;
        let own = self.loader().own_policies(topic).await?;
        let (policies, own) = (policies.unwrap_or_default(), own.unwrap_or_default());
        Ok(SchemaPolicies::of(self.live_options().schema, &policies, &own, topic))
    }
}
