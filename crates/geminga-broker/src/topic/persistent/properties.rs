//! What users noted about the topic, and its truncation.

use std::collections::BTreeMap;

use super::{super::Reply, Topic};
use crate::AdminError;

/// A truncation waits for what deduplication knows to be stored: until then it needs the entries.
#[derive(Debug, Default)]
pub(super) struct Truncation {
    waiting: Vec<Reply<Result<(), AdminError>>>,
    /// Who is answered once the managed ledger is done.
    running: Vec<Reply<Result<(), AdminError>>>,
}

impl Truncation {
    pub(super) const fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}

impl Topic {
    pub(super) fn properties(&self) -> BTreeMap<String, String> {
        self.ledger.properties().clone()
    }

    pub(super) fn change_properties(
        &mut self,
        changes: Vec<(String, Option<String>)>,
        reply: Reply<Result<(), AdminError>>,
    ) {
        self.ledger.change_properties(changes);
        self.noting.push_back(reply);
    }

    /// Answers who changed properties. False: there was nobody to answer.
    pub(super) fn settle_properties(&mut self) -> bool {
        let mut has_any = false;
        while let Some(outcome) = self.ledger.poll_properties() {
            has_any = true;
            let outcome = outcome.map_err(|reason| {
                AdminError::Unavailable(format!("Properties of topic {}: {reason}", self.name))
            });
            if let Some(reply) = self.noting.pop_front() {
                _ = reply.send(outcome);
            }
        }
        has_any
    }

    /// Lets go of all that is stored now and that no cursor needs.
    pub(super) fn truncate(&mut self, reply: Reply<Result<(), AdminError>>) {
        if !self.is_serving() {
            _ = reply.send(Err(AdminError::Unavailable(self.closing().to_string())));
            return;
        }
        self.store_records();
        self.truncation.waiting.push(reply);
    }

    /// Moves truncations on. False: none did.
    pub(super) fn settle_truncation(&mut self) -> bool {
        if self.truncation.is_quiet() || !self.is_serving() {
            return false;
        }
        let mut has_any = false;
        if !self.truncation.running.is_empty() && self.ledger.is_truncated() {
            has_any = true;
            self.truncation.running.drain(..).for_each(|reply| _ = reply.send(Ok(())));
        }
        let is_quiet = self.deduplication.as_ref().is_none_or(|it| it.is_quiet());
        if !self.truncation.waiting.is_empty() && self.truncation.running.is_empty() && is_quiet {
            has_any = true;
            self.ledger.truncate(self.slowest());
            self.truncation.running = std::mem::take(&mut self.truncation.waiting);
        }
        has_any
    }
}
