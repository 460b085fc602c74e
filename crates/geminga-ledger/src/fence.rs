//! Fences the newest ensemble of a ledger: afterwards its writer can confirm nothing more.
//!
//! A writer confirms what an ack quorum has stored. Once every write set has so many fenced bookies
//! that the rest is no ack quorum, nothing that the fenced ones do not have will ever be confirmed.
//! So absence is only ever taken from a [`Fenced`], and in it only from a bookie that is itself
//! fenced: an unfenced one may say "no entry" now and store it a moment later.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use geminga_bookie_api::{BookieId, ReadError};
use geminga_types::{BookieIndex, EntryId, LedgerId};

use crate::{
    Deps, call,
    envelope::{self, Opened},
    quorum::Quorums,
    record::Record,
    recover::RecoverError,
};

/// An ensemble whose writer is shut out.
#[derive(Debug)]
pub(crate) struct Fenced<'a> {
    deps: &'a Deps,
    ledger_id: LedgerId,
    quorums: Quorums,
    ensemble: &'a [BookieId],
    /// Which bookies have said that they are fenced. [`Quorums::covers`] holds for them.
    fenced: u64,
    last_add_confirmed: EntryId,
}

/// What one bookie says of an entry.
enum Answer {
    Present(Opened),
    Absent,
    Damaged(String),
    Unknown(String),
}

/// Fences bookies until the writer is shut out. Those that answer later are fenced all the same.
pub(crate) async fn fence<'a>(
    deps: &'a Deps,
    ledger_id: LedgerId,
    record: &'a Record,
) -> Result<Fenced<'a>, RecoverError> {
    let quorums = record.quorums;
    let (_, ensemble) = record.last_ensemble();
    let mut fenced = 0;
    let mut last_add_confirmed = EntryId::NONE;
    let mut reasons = Vec::new();
    let mut calls: FuturesUnordered<_> = indexed(ensemble)
        .map(|(index, id)| async move { (index, id, call::fence(deps, id, ledger_id).await) })
        .collect();
    while let Some((index, id, answer)) = calls.next().await {
        match answer {
            Ok(answer) => {
                fenced |= index.bit();
                last_add_confirmed = last_add_confirmed.max(answer.last_add_confirmed);
            }
            Err(error) => reasons.push(format!("bookie {id}: {error}")),
        }
        if quorums.covers(fenced) {
            return Ok(Fenced { deps, ledger_id, quorums, ensemble, fenced, last_add_confirmed });
        }
    }
    Err(RecoverError::Unavailable { ledger_id, reason: reasons.join("; ") })
}

impl Fenced<'_> {
    pub(crate) const fn ledger_id(&self) -> LedgerId {
        self.ledger_id
    }

    pub(crate) const fn quorums(&self) -> Quorums {
        self.quorums
    }

    pub(crate) const fn ensemble(&self) -> &[BookieId] {
        self.ensemble
    }

    /// The highest LAC that the fenced bookies have seen: a lower bound of the writer's.
    pub(crate) const fn last_add_confirmed(&self) -> EntryId {
        self.last_add_confirmed
    }

    /// Looks for an entry of this ensemble. `None`: proven never confirmed, and never to be.
    pub(crate) async fn look_for(
        &mut self,
        entry_id: EntryId,
    ) -> Result<Option<Opened>, RecoverError> {
        let (deps, ledger_id, ensemble) = (self.deps, self.ledger_id, self.ensemble);
        let mut calls: FuturesUnordered<_> = self
            .quorums
            .write_set(entry_id)
            .map(|index| {
                let is_fenced = self.fenced & index.bit() != 0;
                let id = &ensemble[index.get()];
                async move { (index, ask(deps, id, (ledger_id, entry_id), is_fenced).await) }
            })
            .collect();
        let mut absent = 0_u64;
        let (mut damaged, mut unknown) = (None, None);
        while let Some((index, (is_fenced, answer))) = calls.next().await {
            if is_fenced {
                self.fenced |= index.bit();
            }
            let reason = |reason| Some(format!("bookie {}: {reason}", ensemble[index.get()]));
            match answer {
                Answer::Present(opened) => return Ok(Some(opened)),
                Answer::Absent => absent |= index.bit(),
                Answer::Damaged(what) => damaged = reason(what),
                Answer::Unknown(what) => unknown = reason(what),
            }
            if self.quorums.excludes_ack_quorum(absent.count_ones()) {
                return Ok(None);
            }
        }
        Err(match (unknown, damaged) {
            (None, Some(reason)) => RecoverError::Corrupt { ledger_id, entry_id, reason },
            (reason, _) => {
                RecoverError::Unavailable { ledger_id, reason: reason.unwrap_or_default() }
            }
        })
    }
}

/// Asks one bookie for an entry, fencing it first if it is not known to be fenced.
async fn ask(
    deps: &Deps,
    id: &BookieId,
    (ledger_id, entry_id): (LedgerId, EntryId),
    is_fenced: bool,
) -> (bool, Answer) {
    let is_fenced = is_fenced || call::fence(deps, id, ledger_id).await.is_ok();
    let stored = call::read(deps, id, ledger_id, (entry_id, entry_id), 1).await;
    let answer = match stored.as_ref().map(|stored| stored.first()) {
        Ok(Some(stored)) => match envelope::open(ledger_id, entry_id, &stored.bytes) {
            Ok(opened) => Answer::Present(opened),
            Err(damage) => Answer::Damaged(damage.to_string()),
        },
        Ok(None) => Answer::Unknown("answered without the entry".to_owned()),
        Err(ReadError::NoEntry(..) | ReadError::NoLedger(_)) if is_fenced => Answer::Absent,
        Err(error) => Answer::Unknown(error.to_string()),
    };
    (is_fenced, answer)
}

fn indexed(ensemble: &[BookieId]) -> impl Iterator<Item = (BookieIndex, &BookieId)> {
    let index = |index: usize| u8::try_from(index).ok().and_then(BookieIndex::new);
    ensemble
        .iter()
        .enumerate()
        .map(move |(at, id)| (index(at).expect("checked: an ensemble has at most 64 bookies"), id))
}
