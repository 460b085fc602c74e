//! What the clients of one life share.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use geminga_env::sim::World;
use tokio_util::sync::CancellationToken;

use crate::{link::Link, model::Model};

#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) world: World,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) stop: CancellationToken,
    pub(crate) broker: String,
    /// The last number of this client's address.
    pub(crate) host: u8,
}

/// Where a client is.
pub(crate) const fn host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

impl Clients {
    pub(crate) fn at(&self, host: u8) -> Self {
        Self { host, ..self.clone() }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Duration {
        self.world.clock().elapsed()
    }

    pub(crate) async fn connect(&self) -> io::Result<Link> {
        Link::open(&self.world.net().at(host(self.host)), &self.broker).await
    }
}
