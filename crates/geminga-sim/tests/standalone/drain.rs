//! After the last fault: everything that is owed comes, and soon.

use std::{collections::BTreeMap, time::Duration};

use geminga_types::Position;
use geminga_wire::proto::command_subscribe::{InitialPosition, SubType};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::{sleep, timeout};

use crate::{
    clients::Clients,
    consumer::{Consumer, Kind, Manner},
    life::KINDS,
    model::{SubId, TOPICS, WITNESS},
    producer,
};

/// In simulated time; a healthy server needs far less.
const BOUND: Duration = Duration::from_secs(60);
/// A server that owes nothing is silent for so long.
const SILENCE: Duration = Duration::from_millis(500);

/// Publishes a little more and reads everything that is owed.
pub(crate) async fn run(clients: &Clients, rng: &mut StdRng) {
    for topic in 0..TOPICS.len() {
        if producer::session(clients, topic, 3, rng).await.is_err() {
            clients.model().violate(format!("topic {topic}: no receipts after the last fault"));
        }
    }
    let witness = Kind {
        id: SubId { topic: 0, name: WITNESS },
        sub_type: SubType::Exclusive,
        initial: InitialPosition::Earliest,
    };
    for (kind, manner) in
        KINDS.iter().map(|kind| (*kind, Manner::Diligent)).chain([(witness, Manner::Witness)])
    {
        let owed = clients.model().owed(kind.id);
        let reading = read(clients, kind, manner, owed);
        if timeout(BOUND, reading).await.is_err() {
            clients.model().violate(format!("{:?} stalled after the last fault", kind.id));
        }
    }
    clients.model().check_chain(0);
}

/// Reads until nothing is owed and nothing more comes.
async fn read(clients: &Clients, kind: Kind, manner: Manner, mut owed: BTreeMap<Position, u64>) {
    loop {
        // The server may not have noticed yet that the consumer before is gone.
        let rng = StdRng::seed_from_u64(0);
        let Ok(mut consumer) = Consumer::open(clients, kind, manner, rng).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        loop {
            match consumer.step(SILENCE).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    clients.model().violate(format!("{:?}: {error} while draining", kind.id));
                    return;
                }
            }
        }
        owed.retain(|position, mask| {
            *mask &= !consumer.seen(*position);
            *mask != 0
        });
        if !owed.is_empty() {
            clients.model().violate(format!("{:?} never got {owed:?}", kind.id));
        }
        return;
    }
}
