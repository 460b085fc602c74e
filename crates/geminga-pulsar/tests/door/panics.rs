//! A panic on this side.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use geminga_env::{Random, sim::World};
use geminga_wire::proto::{CommandProducer, CommandSubscribe, command_subscribe::SubType};

use crate::{
    client::{producer, subscribe},
    server::Server,
};

/// Random numbers that panic when they are asked for.
#[derive(Debug)]
struct Trap {
    inner: Arc<dyn Random>,
    is_set: AtomicBool,
}

impl Random for Trap {
    fn next_u64(&self) -> u64 {
        assert!(!self.is_set.load(Ordering::Relaxed), "a test made this panic");
        self.inner.next_u64()
    }
}

/// Goal: a panic of a reader ends its connection, wholly. Method: a consumer without a name gets a
/// random one.
#[tokio::test(start_paused = true)]
async fn a_reader_that_panics_closes_its_connection_and_what_is_open_on_it() {
    let mut env = World::new(1).env();
    env.disk.create_dir_all("/data".as_ref()).unwrap();
    let trap = Arc::new(Trap { inner: Arc::clone(&env.random), is_set: AtomicBool::new(false) });
    env.random = Arc::<Trap>::clone(&trap);
    let server = Server::start_in(env, "/data".as_ref(), |_| {}).await;
    let named = |request_id| CommandProducer {
        producer_name: Some("me".to_owned()),
        ..producer("t", 1, request_id)
    };
    let mut client = server.connect().await;
    client.send(named(1)).await;
    client.producer_success(1).await;
    client.subscribe("t", 1, SubType::Exclusive).await;
    trap.is_set.store(true, Ordering::Relaxed);
    let nameless =
        CommandSubscribe { consumer_name: None, ..subscribe("t", 2, 3, SubType::Exclusive) };
    client.send(nameless).await;
    client.closed().await;
    trap.is_set.store(false, Ordering::Relaxed);
    server.until_nobody_is_connected().await;
    let mut other = server.connect().await;
    other.send(named(1)).await;
    other.producer_success(1).await;
    other.subscribe("t", 1, SubType::Exclusive).await;
}
