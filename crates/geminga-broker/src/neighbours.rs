//! The other brokers of the cluster, as this one needs them: who serves a topic, and a way to publish
//! there. A standalone has none.

use std::{fmt, sync::Arc};

use geminga_env::BoxFuture;
use geminga_types::TopicName;

use crate::{Advertised, ProduceError, PublisherRequest, TopicError, TopicPublisher};

/// The other brokers.
pub trait Neighbours: fmt::Debug + Send + Sync {
    /// How clients reach the broker that serves `topic`, or partition; `None`: it is this one.
    ///
    /// Whoever changes the answer revokes this broker's ownership too.
    fn owner(&self, topic: &TopicName) -> Option<Arc<Advertised>>;

    /// Opens a publisher to a topic, or partition, that another broker serves.
    fn open<'a>(
        &'a self,
        topic: &'a TopicName,
        request: PublisherRequest,
    ) -> BoxFuture<'a, Result<Box<dyn TopicPublisher>, ProduceError>>;
}

/// There are none: everything is this broker's.
#[derive(Debug)]
pub(crate) struct Alone;

impl Neighbours for Alone {
    fn owner(&self, _: &TopicName) -> Option<Arc<Advertised>> {
        None
    }

    fn open<'a>(
        &'a self,
        topic: &'a TopicName,
        _: PublisherRequest,
    ) -> BoxFuture<'a, Result<Box<dyn TopicPublisher>, ProduceError>> {
        Box::pin(async { Err(TopicError::NotOwned(topic.clone()).into()) })
    }
}
