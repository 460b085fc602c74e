//! A world from its seed: lives of a server, each on its own runtime, on one disk.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use geminga::{
    config::Config,
    standalone::{self, Standalone},
};
use geminga_env::sim::World;
use geminga_wire::proto::command_subscribe::{InitialPosition, SubType};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clients::{Clients, host},
    consumer::{self, Consumer, Kind, Manner},
    drain,
    model::{Counts, Model, SubId, WITNESS},
    operator, producer,
};

const fn kind(topic: usize, name: &'static str, sub_type: SubType) -> Kind {
    Kind { id: SubId { topic, name }, sub_type, initial: InitialPosition::Earliest }
}

/// The subscriptions that erratic consumers use.
pub(crate) const KINDS: [Kind; 8] = [
    kind(0, "exclusive", SubType::Exclusive),
    kind(0, "shared", SubType::Shared),
    kind(0, "failover", SubType::Failover),
    Kind { initial: InitialPosition::Latest, ..kind(0, "late", SubType::Shared) },
    kind(0, "keyed", SubType::KeyShared),
    kind(1, "keyed", SubType::KeyShared),
    kind(1, "exclusive", SubType::Exclusive),
    kind(1, "shared", SubType::Shared),
];

const BROKER: &str = "127.0.0.1:6650";
const INTERCEPTORS: &str = "org.apache.pulsar.common.intercept.AppendBrokerTimestampMetadataInterceptor,\
     org.apache.pulsar.common.intercept.AppendIndexMetadataInterceptor";
const HOSTS: u8 = 6;
/// For a start, a stop, a disconnect: in simulated time.
const BOUND: Duration = Duration::from_secs(60);

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The power goes between two steps of the server.
    PowerLoss,
    /// The power goes in the middle of a change to the disk.
    PowerCut,
    Shutdown,
    /// Faults end, everything is read, and the server is stopped.
    Drain,
}

/// Runs a world: its event hash, what was done, what was wrong. If `lies`, its disk says that it has
/// synced and has not.
pub(crate) fn run(seed: u64, lies: bool) -> (u64, Counts, Vec<String>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let model = Arc::new(Mutex::new(Model::default()));
    let mut world: Option<World> = None;
    let mut elapsed = Duration::ZERO;
    let mut hash = 0;
    let last = rng.random_range(1..=2);
    for life in 0..=last {
        let end = match rng.random_range(0..5) {
            _ if life == last => End::Drain,
            0..2 => End::PowerLoss,
            2..4 => End::PowerCut,
            _ => End::Shutdown,
        };
        // In some worlds never, in some always, in some in each life anew.
        let is_noting = match seed % 4 {
            0 => false,
            1 => true,
            _ => rng.random_bool(0.6),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let world = world.get_or_insert_with(|| World::new(seed));
            world.disk().ignore_syncs(lies);
            world.clock().rebase(elapsed);
            live(world, &model, end, is_noting, &mut rng).await;
            (elapsed, hash) = (world.clock().elapsed(), world.event_hash());
        });
        // With its tasks, which stand for the process.
        drop(runtime);
        if !model.lock().unwrap().violations.is_empty() {
            break;
        }
    }
    let mut model = model.lock().unwrap();
    (hash, model.counts, std::mem::take(&mut model.violations))
}

/// One life of the server and its clients.
async fn live(
    world: &World,
    model: &Arc<Mutex<Model>>,
    end: End,
    is_noting: bool,
    rng: &mut StdRng,
) {
    model.lock().unwrap().restarted();
    let clients = Clients {
        world: world.clone(),
        model: Arc::clone(model),
        stop: CancellationToken::new(),
        broker: BROKER.to_owned(),
        host: 1,
    };
    world.net().set_latency(
        Duration::from_micros(50),
        Duration::from_micros(rng.random_range(100..5_000)),
    );
    let is_cut_early = end == End::PowerCut && rng.random_ratio(1, 4);
    if is_cut_early {
        world.disk().cut_power_after(rng.random_range(0..60));
    }
    let config = config(is_noting);
    let starting = standalone::start(world.env(), &config, Path::new("/data"));
    let server = match timeout(BOUND, starting).await {
        Ok(Ok(server)) => server,
        Ok(Err(_)) if world.disk().power_is_off() => {
            clients.model().counts.failed_starts += 1;
            return lose_power(&clients);
        }
        Ok(Err(error)) => return clients.model().violate(format!("not started: {error:#}")),
        Err(_) => return clients.model().violate("not started in time"),
    };
    if !is_cut_early {
        prepare(&clients).await;
    }
    let tasks = start_clients(&clients, rng);
    if end == End::PowerCut && !is_cut_early {
        world.disk().cut_power_after(rng.random_range(1_u64..400));
    }
    let length = Duration::from_micros(rng.random_range(30_000..160_000));
    suffer(&clients, &server, length, rng).await;
    match end {
        End::PowerLoss | End::PowerCut => lose_power(&clients),
        End::Shutdown => stop(&clients, server, tasks).await,
        End::Drain => {
            clients.stop.cancel();
            tasks.close();
            if timeout(BOUND, tasks.wait()).await.is_err() {
                clients.model().violate("the clients did not stop");
            }
            operator::check_all(&clients).await;
            drain::run(&clients, rng).await;
            stop(&clients, server, tasks).await;
        }
    }
}

fn lose_power(clients: &Clients) {
    clients.model().counts.crashes += 1;
    clients.world.lose_power();
}

async fn stop(clients: &Clients, server: Standalone, tasks: TaskTracker) {
    if timeout(BOUND, server.shutdown()).await.is_err() {
        clients.model().violate("the server did not stop");
    }
    clients.stop.cancel();
    tasks.close();
    if timeout(BOUND, tasks.wait()).await.is_err() {
        clients.model().violate("the clients did not stop after the server");
    }
}

/// Makes the subscription that keeps all of the first topic, if a life before did not.
async fn prepare(clients: &Clients) {
    let id = SubId { topic: 0, name: WITNESS };
    let initial = InitialPosition::Earliest;
    let witness = Kind { id, sub_type: SubType::Exclusive, initial };
    let rng = StdRng::seed_from_u64(0);
    if let Err(error) = Consumer::open(clients, witness, Manner::Witness, rng).await {
        clients.model().violate(format!("no witness: {error}"));
    }
}

fn start_clients(clients: &Clients, rng: &mut StdRng) -> TaskTracker {
    let tasks = TaskTracker::new();
    let mut host = (1..=HOSTS).cycle();
    let mut next = || clients.at(host.next().unwrap_or(1));
    for topic in [0, 0, 1] {
        tasks.spawn(producer::run(next(), topic, StdRng::seed_from_u64(rng.random())));
    }
    for kind in KINDS {
        let consumers = if kind.sub_type == SubType::Exclusive { 1 } else { 2 };
        for _ in 0..consumers {
            tasks.spawn(consumer::run(next(), kind, StdRng::seed_from_u64(rng.random())));
        }
    }
    tasks.spawn(operator::run(next(), StdRng::seed_from_u64(rng.random())));
    tasks
}

/// Lets the clients work for `length`, with faults of the net, or until the power is cut.
async fn suffer(clients: &Clients, server: &Standalone, length: Duration, rng: &mut StdRng) {
    let world = &clients.world;
    let until = clients.now() + length;
    let broker = BROKER.parse::<std::net::SocketAddr>().unwrap().ip();
    let mut parted = None;
    while clients.now() < until && !world.disk().power_is_off() {
        let pause = Duration::from_micros(rng.random_range(1_000..20_000));
        tokio::select! {
            biased;
            why = server.failed() => {
                if !world.disk().power_is_off() {
                    clients.model().violate(format!("the server gave up: {why}"));
                }
                break;
            }
            () = sleep(pause) => {}
        }
        let number = rng.random_range(1..=HOSTS);
        let victim = host(number);
        match rng.random_range(0..30) {
            0 => world.net().reset_where(|a, b| a.ip() == victim || b.ip() == victim),
            1 if parted.is_none() => {
                world.net().partition(broker, victim);
                parted = Some(number);
            }
            2..8 => {
                if let Some(number) = parted.take() {
                    heal(clients, broker, number);
                }
            }
            _ => {}
        }
    }
    if let Some(number) = parted {
        heal(clients, broker, number);
    }
}

fn heal(clients: &Clients, broker: IpAddr, number: u8) {
    clients.world.net().heal(broker, host(number));
    clients.model().healed.insert(number, clients.now());
}

/// Limits so small that ledgers and journals roll, and everything periodic happens often.
fn config(is_noting: bool) -> Config {
    let interceptors = if is_noting { INTERCEPTORS } else { "" };
    Config {
        broker_entry_metadata_interceptors: interceptors.to_owned(),
        exposing_broker_entry_metadata_to_client_enabled: true,
        managed_ledger_max_entries_per_ledger: 15,
        managed_ledger_min_ledger_rollover_time_minutes: 0,
        managed_ledger_cursor_max_entries_per_ledger: 12,
        retention_check_interval_in_seconds: 1,
        journal_max_size_mb: 1,
        db_storage_write_cache_max_size_mb: 1,
        flush_interval: 90,
        gc_wait_time: 200,
        log_size_limit: 1 << 20,
        minor_compaction_interval: 1,
        major_compaction_interval: 1,
        ..Config::default()
    }
}
