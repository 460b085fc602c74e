//! Writes entries that recovery found to their whole write sets again, so that they are confirmed.

use std::sync::Arc;

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, AddSink, BookieId, ENVELOPE_HEAD_BYTES};
use geminga_checksum::Sum;
use geminga_types::{BookieIndex, EntryId, LedgerId};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Deps, call,
    envelope::Opened,
    fence::Fenced,
    recover::RecoverError,
    writer::{AddWindow, Failed},
};

type Results = Vec<(LedgerId, EntryId, Result<(), AddError>)>;

/// Carries the bookies' answers to the one who waits. Has room for one answer for each add.
#[derive(Debug)]
struct Answers(mpsc::Sender<(BookieId, Results)>);

impl AddSink for Answers {
    fn on_added(&self, bookie: &BookieId, results: Results) {
        if !results.is_empty() {
            _ = self.0.try_send((bookie.clone(), results)); // The waiter may have given up.
        }
    }
}

/// Stores consecutive entries, with the very bytes that were found, until all are confirmed.
pub(crate) async fn rewrite(
    deps: &Deps,
    fenced: &Fenced<'_>,
    entries: &[Opened],
) -> Result<(), RecoverError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let quorums = fenced.quorums();
    let mut window = AddWindow::new(quorums, first.head.entry_id, entries.len());
    let adds = entries.len().saturating_mul(fenced.ensemble().len());
    let (sender, mut answers) = mpsc::channel(adds);
    let sink: Arc<dyn AddSink> = Arc::new(Answers(sender));
    let mut outboxes = vec![Vec::new(); fenced.ensemble().len()];
    for opened in entries {
        let entry_id = window.add(Bytes::new(), Bytes::new());
        assert!(entry_id == opened.head.entry_id, "recovery reads forward without gaps");
        for bookie in quorums.write_set(entry_id) {
            outboxes[bookie.get()].push(recovery_add(opened));
        }
    }
    for (id, outbox) in fenced.ensemble().iter().zip(outboxes) {
        match call::client(deps, id) {
            _ if outbox.is_empty() => {}
            Ok(bookie) => bookie.add(outbox, Arc::clone(&sink)),
            Err(error) => {
                let error = AddError::Failed(error.to_string());
                let failed = |add: &AddEntry| (add.ledger_id, add.entry_id, Err(error.clone()));
                sink.on_added(id, outbox.iter().map(failed).collect());
            }
        }
    }
    drop(sink);
    while 0 < window.in_flight() {
        let answer = timeout(call::DEADLINE, answers.recv()).await.ok().flatten();
        let ledger_id = fenced.ledger_id();
        let unavailable = |reason| RecoverError::Unavailable { ledger_id, reason };
        let (id, results) =
            answer.ok_or_else(|| unavailable("bookies did not answer writes".to_owned()))?;
        for (_, entry_id, result) in results {
            note(&mut window, fenced, &id, entry_id, result).map_err(unavailable)?;
        }
        while window.poll_confirmed().is_some() {}
    }
    Ok(())
}

/// Notes one answer; why the entry cannot be stored, when it cannot.
fn note(
    window: &mut AddWindow,
    fenced: &Fenced<'_>,
    id: &BookieId,
    entry_id: EntryId,
    result: Result<(), AddError>,
) -> Result<(), String> {
    let index = fenced.ensemble().iter().position(|member| member == id);
    let index = index.and_then(|index| BookieIndex::new(u8::try_from(index).ok()?));
    let is_lost = match (index, &result) {
        (None, _) => return Ok(()),
        (Some(index), Ok(())) => window.on_stored(entry_id, index).map(|()| false),
        (Some(index), Err(_)) => window.on_failed(entry_id, index, Failed::Unknown),
    };
    match (is_lost, result) {
        (Ok(true), Err(error)) => Err(format!("bookie {id}: {error}")),
        _ => Ok(()),
    }
}

fn recovery_add(opened: &Opened) -> AddEntry {
    let mut head = [0; ENVELOPE_HEAD_BYTES];
    head.copy_from_slice(&opened.stored[..ENVELOPE_HEAD_BYTES]);
    AddEntry {
        ledger_id: opened.head.ledger_id,
        entry_id: opened.head.entry_id,
        head,
        front: Bytes::new(),
        body: opened.body(),
        sum: Sum::of(&opened.stored),
        is_recovery: true,
        // A topic that cannot be loaded cannot be trimmed either.
        may_use_reserve: true,
    }
}
