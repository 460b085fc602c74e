//! Lets go of everything that is stored, as far as nobody needs it.
//!
//! The open ledger is closed first: it is never trimmed. Unlike a trimming that follows retention, this
//! one takes the last ledger that has entries, too.

use std::collections::BTreeSet;

use geminga_types::{LedgerId, Ordinal};

use super::ManagedLedger;

impl ManagedLedger {
    /// Lets go of what is stored now and lies before `needed` (`None`: nobody needs anything), whatever
    /// retention says: ledger by ledger, so that what shares one with what is needed stays. Go on polling
    /// until [`Self::is_truncated`].
    pub fn truncate(&mut self, needed: Option<Ordinal>) {
        let end = self.end();
        self.truncating = Some(needed.map_or(end, |needed| needed.min(end)));
        if self.spans.has_open_entries()
            && let Some(open) = &mut self.ledgers.open
        {
            open.retire();
        }
    }

    /// Whether nothing of what was to go is left.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.truncating.is_none()
    }

    /// Closed ledgers that are to go now. Once there are none, and none is being closed, it is done.
    pub(super) fn truncation_due(&mut self) -> BTreeSet<LedgerId> {
        let Some(until) = self.truncating else { return BTreeSet::new() };
        let sealed = self.spans.sealed().iter();
        let due: BTreeSet<LedgerId> =
            sealed.take_while(|span| span.end() <= until).map(|span| span.ledger_id).collect();
        let is_closing = self.ledgers.is_closing_open();
        if due.is_empty() && !is_closing {
            self.truncating = None;
        }
        due
    }
}
