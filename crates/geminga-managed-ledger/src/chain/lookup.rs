//! Positions and ordinals of many entries, one after the other.

use geminga_types::{Ordinal, Position};

use super::{Chain, Span};

/// Answers as its [`Chain`] does, at once while the answers lie in one ledger.
#[derive(Debug)]
pub struct Lookup<'a> {
    chain: &'a Chain,
    /// The ledger of the last answer.
    span: Option<Span>,
}

impl<'a> Lookup<'a> {
    pub(super) const fn new(chain: &'a Chain) -> Self {
        Self { chain, span: None }
    }

    /// See [`Chain::ordinal_of`].
    pub fn ordinal_of(&mut self, position: Position) -> Ordinal {
        match self.span {
            Some(span) if span.ledger_id == position.ledger_id => {
                let entry = u64::try_from(position.entry_id.0).unwrap_or(0);
                span.first.plus(entry.min(span.entries))
            }
            _ => {
                let ordinal = self.chain.ordinal_of(position);
                let found = self.chain.named_span_of(ordinal).copied();
                self.span = found.filter(|span| span.ledger_id == position.ledger_id);
                ordinal
            }
        }
    }

    /// See [`Chain::position_of`].
    pub fn position_of(&mut self, ordinal: Ordinal) -> Option<Position> {
        let found = self.span.and_then(|span| span.position_of(ordinal));
        if found.is_some() {
            return found;
        }
        self.span = self.chain.named_span_of(ordinal).copied();
        self.span?.position_of(ordinal)
    }

    /// The ordinal of the entry at `position`, if it is stored.
    pub fn exact_ordinal(&mut self, position: Position) -> Option<Ordinal> {
        let ordinal = self.ordinal_of(position);
        (self.position_of(ordinal)? == position).then_some(ordinal)
    }

    /// The ordinal behind the entry at `position`, stored or not.
    pub fn next_after(&mut self, position: Position) -> Ordinal {
        match self.exact_ordinal(position) {
            Some(ordinal) => ordinal.plus(1),
            None => self.ordinal_of(position),
        }
    }
}
