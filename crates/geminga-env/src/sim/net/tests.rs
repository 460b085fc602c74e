use std::{net::IpAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};

use super::*;
use crate::sim::World;

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

async fn connected(world: &World) -> (Stream, Stream, Box<dyn Listener>) {
    let mut listener = world.net().listen(local(0)).await.unwrap();
    let address = listener.local_address().to_string();
    let net = world.env().net;
    let (near, far) = tokio::join!(net.dial(&address), listener.accept());
    (near.unwrap(), far.unwrap().0, listener)
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_after_a_latency() {
    let world = World::new(1);
    let (mut near, mut far, _listener) = connected(&world).await;
    world.net().set_latency(Duration::from_millis(5), Duration::from_millis(9));
    let (mut slow_near, mut slow_far, _listener) = connected(&world).await;
    let before = world.clock().elapsed();
    slow_near.write_all(b"late").await.unwrap();
    let mut late = [0; 4];
    slow_far.read_exact(&mut late).await.unwrap();
    assert!(world.clock().elapsed() - before >= Duration::from_millis(5));

    let sent: Vec<u8> = (0..300_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let write = async {
        near.write_all(&sent).await.unwrap();
        near.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, outcome) = tokio::join!(write, far.read_to_end(&mut received));
    outcome.unwrap();
    assert_eq!(received, sent);
    // The other direction is still open.
    far.write_all(b"bye").await.unwrap();
    drop(far);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"bye");
    assert_eq!(near.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_a_slow_reader() {
    let world = World::new(2);
    let (mut near, mut far, _listener) = connected(&world).await;
    let filled = timeout(Duration::from_secs(1), near.write_all(&[1; 100_000])).await;
    assert!(filled.is_err(), "the buffer has no bound");
    let mut some = vec![0; 64 * 1024];
    far.read_exact(&mut some).await.unwrap();
    near.write_all(&[1; 10]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ports_are_picked_taken_and_freed() {
    let world = World::new(3);
    let net = world.env().net;
    let listener = net.listen(local(6650)).await.unwrap();
    let busy = net.listen("0.0.0.0:6650".parse().unwrap()).await.unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    drop(listener);
    drop(net.listen(local(6650)).await.unwrap());
    let refused = net.dial("127.0.0.1:6650").await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let unknown = net.dial("nowhere:6650").await.map(drop).unwrap_err();
    assert_eq!(unknown.kind(), io::ErrorKind::NotFound);

    let wild = net.listen("0.0.0.0:0".parse().unwrap()).await.unwrap();
    assert_ne!(wild.local_address().port(), 0);
    net.dial(&format!("localhost:{}", wild.local_address().port())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reset_wakes_both_ends() {
    let world = World::new(4);
    let (mut near, mut far, _listener) = connected(&world).await;
    near.write_all(b"lost").await.unwrap();
    let reset = async { world.net().reset_all() };
    let mut byte = [0];
    let (outcome, ()) = tokio::join!(near.read(&mut byte), reset);
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(far.read(&mut byte).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(far.write(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn what_crosses_a_partition_waits() {
    let world = World::new(5);
    let other: IpAddr = "10.0.0.2".parse().unwrap();
    let here: IpAddr = "127.0.0.1".parse().unwrap();
    world.net().add_host("second", other);
    let mut listener = world.net().at(other).listen(SocketAddr::new(other, 80)).await.unwrap();
    let (near, far) = tokio::join!(world.net().dial("second:80"), listener.accept());
    let (mut near, (mut far, peer)) = (near.unwrap(), far.unwrap());
    assert_eq!(peer.ip(), here);

    world.net().partition(here, other);
    near.write_all(b"held").await.unwrap();
    let mut bytes = [0; 4];
    assert!(timeout(Duration::from_secs(60), far.read_exact(&mut bytes)).await.is_err());
    assert!(timeout(Duration::from_secs(60), world.net().dial("second:80")).await.is_err());
    let heal = async { world.net().heal(here, other) };
    let (read, dialled, ()) =
        tokio::join!(far.read_exact(&mut bytes), world.net().dial("second:80"), heal);
    read.unwrap();
    dialled.unwrap();
    assert_eq!(&bytes, b"held");
}

async fn busy_world(seed: u64) -> (u64, Duration) {
    let world = World::new(seed);
    let mut tasks = JoinSet::new();
    for client in 0..4_u8 {
        let (mut near, mut far, listener) = connected(&world).await;
        tasks.spawn(async move {
            for _ in 0..20 {
                near.write_all(&[client; 100]).await.unwrap();
                let mut echo = [0; 100];
                near.read_exact(&mut echo).await.unwrap();
            }
            drop(listener);
        });
        tasks.spawn(async move {
            let mut bytes = [0; 64];
            while let Ok(count @ 1..) = far.read(&mut bytes).await {
                if far.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
        });
    }
    tasks.join_all().await;
    (world.event_hash(), world.clock().elapsed())
}

#[test]
fn a_seed_gives_one_run() {
    let run = |seed| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(busy_world(seed))
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
        assert_ne!(run(seed).0, run(seed + 1).0, "seed {seed}");
    }
}
