//! Who may produce: everyone, or one at a time, under an epoch that only rises.

use std::{collections::VecDeque, time::Duration};

use geminga_broker::{AccessMode, Outgoing, ProduceError, Producer, ProducerRequest};
use geminga_env::sim::Seeds;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    bookie::Adds,
    client::Client,
    store::Writes,
    world::{World, is_pending, soon, topic},
};

const MODES: [AccessMode; 4] = [
    AccessMode::Shared,
    AccessMode::Exclusive,
    AccessMode::WaitForExclusive,
    AccessMode::ExclusiveWithFencing,
];

async fn open(
    client: &Client,
    access_mode: AccessMode,
    topic_epoch: Option<u64>,
) -> Result<Producer, ProduceError> {
    let request = ProducerRequest { access_mode, topic_epoch, ..client.producer_request(1) };
    client.try_produce("t", request).await
}

fn is_fenced(result: &Result<Producer, ProduceError>) -> bool {
    matches!(result, Err(ProduceError::Fenced(_)))
}

fn is_busy(result: &Result<Producer, ProduceError>) -> bool {
    matches!(result, Err(ProduceError::Busy(_)))
}

#[tokio::test(start_paused = true)]
async fn nobody_else_gets_in_while_one_has_exclusive_access() {
    let world = World::new().await;
    let (mut one, two) = (world.client(), world.client());
    let shared = open(&two, AccessMode::Shared, None).await.unwrap();
    assert_eq!(shared.topic_epoch(), None);
    assert!(is_fenced(&open(&one, AccessMode::Exclusive, None).await));
    shared.close().await;
    let producer = open(&one, AccessMode::Exclusive, None).await.unwrap();
    assert_eq!((producer.topic_epoch(), producer.is_ready()), (Some(0), true));
    one.publish(&producer, 0..3).await;
    assert!(is_busy(&open(&two, AccessMode::Shared, None).await));
    let other = open(&two, AccessMode::Exclusive, None).await;
    assert!(other.unwrap_err().to_string().contains(producer.name()), "the holder is named");
    producer.close().await;
    let producer = open(&two, AccessMode::Exclusive, None).await.unwrap();
    assert_eq!(producer.topic_epoch(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_in_when_the_others_have_left() {
    let world = World::new().await;
    let (one, mut two, mut three) = (world.client(), world.client(), world.client());
    let shared = open(&one, AccessMode::Shared, None).await.unwrap();
    let second = open(&two, AccessMode::WaitForExclusive, None).await.unwrap();
    let third = open(&three, AccessMode::WaitForExclusive, None).await.unwrap();
    assert!(!second.is_ready() && !third.is_ready());
    assert!(is_busy(&open(&one, AccessMode::Shared, None).await), "it would go before them");
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    assert_eq!(stats.publishers.len(), 1);
    shared.close().await;
    let Outgoing::ProducerReady { topic_epoch, .. } = two.next().await else { panic!("ready") };
    assert_eq!(topic_epoch, Some(0));
    two.publish(&second, 0..2).await;
    three.quiet().await;
    second.close().await;
    let Outgoing::ProducerReady { topic_epoch, .. } = three.next().await else { panic!("ready") };
    assert_eq!(topic_epoch, Some(1));
}

#[tokio::test(start_paused = true)]
async fn fencing_closes_all_and_refuses_who_waits() {
    let world = World::new().await;
    let (mut one, mut two, mut three) = (world.client(), world.client(), world.client());
    let first = open(&one, AccessMode::Exclusive, None).await.unwrap();
    let waiting = open(&two, AccessMode::WaitForExclusive, None).await.unwrap();
    let fencing = open(&three, AccessMode::ExclusiveWithFencing, None).await.unwrap();
    assert_eq!(fencing.topic_epoch(), Some(1));
    assert!(matches!(one.next().await, Outgoing::ProducerClosed { .. }));
    let Outgoing::ProducerRefused { error: ProduceError::Fenced(_), .. } = two.next().await else {
        panic!("refused")
    };
    first.publish(vec![crate::client::publish(9)]).await.unwrap();
    one.quiet().await;
    three.publish(&fencing, 0..2).await;
    // Who was fenced out comes back with the epoch it had, and has no effect.
    for mode in [AccessMode::Exclusive, AccessMode::ExclusiveWithFencing] {
        assert!(is_fenced(&open(&one, mode, Some(0)).await), "{mode:?}");
    }
    three.publish(&fencing, 2..4).await;
    waiting.close().await;
    fencing.close().await;
    assert!(is_fenced(&open(&one, AccessMode::WaitForExclusive, Some(0)).await));
}

/// Goal: a client whose connection is gone before we know it, and a restart, do not cost access.
#[tokio::test(start_paused = true)]
async fn the_holder_comes_back_with_its_epoch() {
    let world = World::new().await;
    let (mut one, again) = (world.client(), world.client());
    let request = |client: &Client, topic_epoch| ProducerRequest {
        access_mode: AccessMode::Exclusive,
        name: Some("p".to_owned()),
        is_name_user_provided: true,
        topic_epoch,
        ..client.producer_request(1)
    };
    one.try_produce("t", request(&one, None)).await.unwrap();
    assert!(is_fenced(&again.try_produce("t", request(&again, None)).await), "a stranger");
    let back = again.try_produce("t", request(&again, Some(0))).await.unwrap();
    assert_eq!(back.topic_epoch(), Some(0));
    assert!(matches!(one.next().await, Outgoing::ProducerClosed { .. }));

    let world = world.crash(|_| {}).await;
    let (client, other) = (world.client(), world.client());
    let back = client.try_produce("t", request(&client, Some(0))).await.unwrap();
    assert_eq!(back.topic_epoch(), Some(0));
    back.close().await;
    let next = open(&other, AccessMode::Exclusive, None).await.unwrap();
    assert_eq!(next.topic_epoch(), Some(1), "the epoch was stored");
    next.close().await;
    world.broker.unload_topic(&topic("t")).await.unwrap();
    assert!(is_fenced(&client.try_produce("t", request(&client, Some(0))).await));
}

/// Goal: a standby does not cost the holder its access when its connection is lost for a moment.
#[tokio::test(start_paused = true)]
async fn the_holder_comes_back_before_those_that_wait() {
    for mode in [AccessMode::Exclusive, AccessMode::WaitForExclusive] {
        let world = World::new().await;
        let (one, again, mut standby) = (world.client(), world.client(), world.client());
        let request = |client: &Client, topic_epoch| ProducerRequest {
            access_mode: mode,
            name: Some("p".to_owned()),
            topic_epoch,
            ..client.producer_request(1)
        };
        let first = one.try_produce("t", request(&one, None)).await.unwrap();
        let waiting = open(&standby, AccessMode::WaitForExclusive, None).await.unwrap();
        let back = again.try_produce("t", request(&again, Some(0))).await.unwrap();
        assert_eq!((back.topic_epoch(), back.is_ready()), (Some(0), true));
        first.close().await;
        standby.quiet().await;
        back.close().await;
        assert!(matches!(standby.next().await, Outgoing::ProducerReady { .. }));
        waiting.close().await;
    }
}

/// Goal: what the one before has sent is stored, or never will be, when the next one gets in.
#[tokio::test(start_paused = true)]
async fn nobody_gets_in_while_messages_of_the_one_before_are_on_their_way() {
    let world = World::new().await;
    let (mut one, two) = (world.client(), world.client());
    let first = open(&one, AccessMode::Exclusive, None).await.unwrap();
    one.publish(&first, 0..2).await;
    world.bookie.set_adds(Adds::Held);
    first.publish(vec![crate::client::publish(2)]).await.unwrap();
    let mut fencing = Box::pin(open(&two, AccessMode::ExclusiveWithFencing, None));
    is_pending(&mut fencing).await;
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    assert!(stats.publishers.is_empty(), "the one before is out at once");
    world.bookie.release();
    let second = fencing.await.unwrap();
    assert_eq!(second.topic_epoch(), Some(1));
}

/// Goal: a client whose connection is lost again and again does not fence itself out.
#[tokio::test(start_paused = true)]
async fn the_holder_comes_back_twice_while_its_messages_are_on_their_way() {
    for mode in [AccessMode::Exclusive, AccessMode::WaitForExclusive] {
        let world = World::new().await;
        let mut one = world.client();
        let (two, three) = (world.client(), world.client());
        let request = |client: &Client, topic_epoch| ProducerRequest {
            access_mode: mode,
            name: Some("p".to_owned()),
            topic_epoch,
            ..client.producer_request(1)
        };
        let first = one.try_produce("t", request(&one, None)).await.unwrap();
        one.publish(&first, 0..2).await;
        world.bookie.set_adds(Adds::Held);
        first.publish(vec![crate::client::publish(2)]).await.unwrap();
        let mut second = Box::pin(two.try_produce("t", request(&two, Some(0))));
        is_pending(&mut second).await;
        let mut third = Box::pin(three.try_produce("t", request(&three, Some(0))));
        is_pending(&mut third).await;
        assert!(second.await.is_err(), "nobody waits for the first try");
        world.bookie.release();
        let producer = third.await.unwrap();
        assert_eq!((producer.topic_epoch(), producer.is_ready()), (Some(0), true));
    }
}

/// Goal: the same where nothing is stored.
#[tokio::test(start_paused = true)]
async fn the_holder_of_a_topic_that_stores_nothing_comes_back() {
    let world = World::new().await;
    let (one, two, three) = (world.client(), world.client(), world.client());
    let open = async |client: &Client, topic_epoch| {
        let request = ProducerRequest {
            access_mode: AccessMode::Exclusive,
            name: Some("p".to_owned()),
            topic_epoch,
            ..client.producer_request(1)
        };
        let opened = client.try_produce("non-persistent://public/default/n", request);
        soon(opened).await.unwrap()
    };
    let first = open(&one, None).await;
    assert_eq!(first.topic_epoch(), Some(0));
    let back = open(&two, Some(0)).await;
    assert_eq!(back.topic_epoch(), Some(0));
    back.close().await;
    let again = open(&three, Some(0)).await;
    assert_eq!(again.topic_epoch(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_is_not_stored_gives_no_access() {
    let world = World::new().await;
    let (one, two) = (world.client(), world.client());
    open(&one, AccessMode::Shared, None).await.unwrap().close().await;
    world.store.set_writes("/managed-ledgers/", Writes::Refused);
    let refused = open(&one, AccessMode::Exclusive, None).await;
    assert!(matches!(refused, Err(ProduceError::Topic(_))), "{refused:?}");
    let shared = open(&two, AccessMode::Shared, None).await.unwrap();
    // Who takes over and does not get there leaves those that wait in their places.
    let mut three = world.client();
    let waiting = open(&three, AccessMode::WaitForExclusive, None).await.unwrap();
    let refused = open(&one, AccessMode::ExclusiveWithFencing, None).await;
    assert!(matches!(refused, Err(ProduceError::Topic(_))), "{refused:?}");
    world.store.set_writes("", Writes::Made);
    // It is told to come back, or is in.
    match three.next_within(Duration::from_secs(60)).await {
        Outgoing::ProducerReady { .. } | Outgoing::ProducerClosed { .. } => waiting.close().await,
        other => panic!("{other:?}"),
    }
    shared.close().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let opened = open(&one, AccessMode::Exclusive, None).await.unwrap();
    assert!(opened.topic_epoch().is_some());
    let far = open(&two, AccessMode::ExclusiveWithFencing, Some(u64::MAX)).await;
    assert!(matches!(far, Err(ProduceError::NotAllowed(_))), "{far:?}");
}

/// What a naive reader of the rules would expect.
#[derive(Debug, Default)]
struct Model {
    epoch: Option<u64>,
    /// Who is open, with whether it has exclusive access.
    open: Vec<(usize, bool)>,
    /// With the epoch that each says it had.
    waiting: VecDeque<(usize, Option<u64>)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Open(Option<u64>),
    Waits,
    Fenced,
    Busy,
}

impl Model {
    fn open(&mut self, who: usize, mode: AccessMode, epoch: Option<u64>) -> Expected {
        let has_exclusive = self.open.iter().any(|(_, exclusive)| *exclusive);
        let is_taken = has_exclusive || !self.waiting.is_empty();
        let is_stale = epoch.is_some() && epoch < self.epoch;
        match mode {
            AccessMode::Shared if is_taken => Expected::Busy,
            AccessMode::Shared => {
                self.open.push((who, false));
                Expected::Open(None)
            }
            AccessMode::WaitForExclusive if is_stale => Expected::Fenced,
            AccessMode::WaitForExclusive if is_taken || !self.open.is_empty() => {
                self.waiting.push_back((who, epoch));
                Expected::Waits
            }
            AccessMode::Exclusive if is_taken || !self.open.is_empty() => Expected::Fenced,
            _ if is_stale => Expected::Fenced,
            _ => {
                self.open.clear();
                self.waiting.clear();
                self.enter(who, epoch)
            }
        }
    }

    fn enter(&mut self, who: usize, epoch: Option<u64>) -> Expected {
        self.epoch = epoch.or_else(|| Some(self.epoch.map_or(0, |last| last + 1)));
        self.open.push((who, true));
        Expected::Open(self.epoch)
    }

    /// Returns who gets in by that.
    fn close(&mut self, who: usize) -> Option<usize> {
        self.open.retain(|(open, _)| *open != who);
        self.waiting.retain(|(waiting, _)| *waiting != who);
        while self.open.is_empty() {
            let (next, epoch) = self.waiting.pop_front()?;
            if epoch.is_none() || self.epoch <= epoch {
                self.enter(next, epoch);
                return Some(next);
            }
        }
        None
    }
}

async fn play(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new().await;
    let mut model = Model::default();
    let mut clients: Vec<Client> = (0..5).map(|_| world.client()).collect();
    let mut handles: Vec<Option<Producer>> = (0..5).map(|_| None).collect();
    for _ in 0..rng.random_range(5..40) {
        let who = rng.random_range(0..clients.len());
        let was_open: Vec<usize> = model.open.iter().map(|(who, _)| *who).collect();
        let was_waiting: Vec<usize> = model.waiting.iter().map(|(who, _)| *who).collect();
        let mut ready = None;
        if let Some(handle) = handles[who].take() {
            handle.close().await;
            ready = model.close(who);
        } else {
            let mode = MODES[rng.random_range(0..4)];
            let epoch = model.epoch.filter(|_| rng.random_range(0..3) == 0);
            let epoch = epoch.map(|epoch| epoch.saturating_sub(rng.random_range(0..2)));
            let opened = open(&clients[who], mode, epoch).await;
            let found = match &opened {
                Ok(producer) if producer.is_ready() => Expected::Open(producer.topic_epoch()),
                Ok(_) => Expected::Waits,
                Err(ProduceError::Fenced(_)) => Expected::Fenced,
                Err(ProduceError::Busy(_)) => Expected::Busy,
                Err(error) => panic!("seed {seed}: {error}"),
            };
            assert_eq!(found, model.open(who, mode, epoch), "seed {seed}: {mode:?} {model:?}");
            handles[who] = opened.ok();
        }
        for (other, client) in clients.iter_mut().enumerate() {
            let is_open = model.open.iter().any(|(open, _)| *open == other);
            match client.told().await {
                Some(Outgoing::ProducerReady { topic_epoch, .. }) => {
                    assert_eq!((Some(other), topic_epoch), (ready, model.epoch), "seed {seed}");
                }
                Some(Outgoing::ProducerClosed { .. }) => {
                    assert!(was_open.contains(&other) && !is_open, "seed {seed}");
                    handles[other] = None;
                }
                Some(Outgoing::ProducerRefused { .. }) => {
                    assert!(was_waiting.contains(&other) && !is_open, "seed {seed}");
                    handles[other] = None;
                }
                Some(told) => panic!("seed {seed}: {told:?}"),
                None => {
                    assert_ne!(ready, Some(other), "seed {seed}: it was not told");
                    let waits = model.waiting.iter().any(|(waiting, _)| *waiting == other);
                    let stays = is_open || waits;
                    assert_eq!(stays, handles[other].is_some(), "seed {seed}: client {other}");
                }
            }
        }
        let stats = world.broker.topic_stats(&topic("t")).await;
        let open = stats.map_or(0, |stats| stats.publishers.len());
        assert_eq!(open, model.open.len(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn access_is_as_in_a_naive_model() {
    let seeds = Seeds::of("access", 60);
    for seed in seeds.range() {
        play(seed).await;
    }
    seeds.passed(format_args!("access modes"));
}
