//! Closes a cursor's ledger, so that the next load need not recover it.

use std::sync::Arc;

use geminga_ledger::{Deps, Sealed};
use geminga_types::LedgerId;

use super::JobError;

#[derive(Debug)]
pub(crate) struct SealCursor {
    pub(crate) name: Arc<str>,
    pub(crate) ledger_id: LedgerId,
    pub(crate) sealed: Sealed,
}

#[derive(Debug)]
pub(crate) struct SealCursorDone {
    pub(crate) name: Arc<str>,
    pub(crate) result: Result<(), JobError>,
}

impl SealCursor {
    pub(crate) async fn run(self, deps: &Deps) -> SealCursorDone {
        let Sealed { last_entry, length } = self.sealed;
        let sealed = geminga_ledger::seal(deps, self.ledger_id, last_entry, length).await;
        SealCursorDone { name: self.name, result: sealed.map_err(JobError::from) }
    }
}
