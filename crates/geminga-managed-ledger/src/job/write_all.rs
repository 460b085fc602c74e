//! Writes some entries to a ledger and waits until all are confirmed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use geminga_bookie_api::{AddError, AddSink, BookieId};
use geminga_checksum::Sum;
use geminga_ledger::{Deps, Writer};
use geminga_types::{EntryId, LedgerId};
use tokio::{sync::Notify, time::timeout};
use tracing::warn;

use super::JobError;

const DEADLINE: Duration = Duration::from_secs(30);

type Answer = (LedgerId, EntryId, Result<(), AddError>);

/// Collects what bookies answer. Bounded by what was sent to them.
#[derive(Debug, Default)]
struct Answers {
    arrived: Mutex<Vec<(BookieId, Vec<Answer>)>>,
    bell: Notify,
}

impl AddSink for Answers {
    fn on_added(&self, bookie: &BookieId, results: Vec<Answer>) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.push((bookie.clone(), results));
        drop(arrived);
        self.bell.notify_one();
    }
}

impl Answers {
    fn take(&self) -> Vec<(BookieId, Vec<Answer>)> {
        std::mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Appends `bodies` to a ledger that nothing else is written to meanwhile.
pub(crate) async fn write_all(
    deps: &Deps,
    writer: &mut Writer,
    bodies: Vec<Bytes>,
) -> Result<(), JobError> {
    let written = timeout(DEADLINE, write(deps, writer, bodies.into())).await;
    written.unwrap_or_else(|_| Err(JobError::Failed("bookies do not answer".to_owned())))
}

async fn write(
    deps: &Deps,
    writer: &mut Writer,
    mut bodies: VecDeque<Bytes>,
) -> Result<(), JobError> {
    let answers = Arc::new(Answers::default());
    loop {
        while writer.has_room()
            && let Some(body) = bodies.pop_front()
        {
            let sum = Sum::of(&body);
            writer.add(body, sum);
        }
        send(deps, writer, &answers);
        while writer.poll_confirmed().is_some() {}
        match writer.failure() {
            Some(AddError::Fenced(_)) => return Err(JobError::Fenced),
            Some(error) => return Err(JobError::failed(error)),
            None if bodies.is_empty() && writer.in_flight() == 0 => return Ok(()),
            // Confirmed entries made room.
            None if !bodies.is_empty() && writer.has_room() => continue,
            None => {}
        }
        answers.bell.notified().await;
        for (bookie, results) in answers.take() {
            for (_, entry_id, result) in results {
                answer(writer, &bookie, entry_id, result);
            }
        }
    }
}

fn send(deps: &Deps, writer: &mut Writer, answers: &Arc<Answers>) {
    while let Some((id, entries)) = writer.poll_send() {
        if let Some(bookie) = deps.bookies.get(&id) {
            bookie.add(entries, Arc::<Answers>::clone(answers));
        } else {
            for entry in entries {
                let unknown = AddError::Failed(format!("bookie {id} is not known"));
                answer(writer, &id, entry.entry_id, Err(unknown));
            }
        }
    }
}

fn answer(writer: &mut Writer, bookie: &BookieId, entry_id: EntryId, result: Result<(), AddError>) {
    if let Err(error) = writer.on_added(bookie, entry_id, result) {
        warn!(%error, %bookie, ledger_id = writer.ledger_id().0, entry_id = entry_id.0);
    }
}
