//! Message ids on the wire.
//!
//! Ledger and entry ids are signed in Pulsar but unsigned on the wire: −1 arrives as `u64::MAX`.

use geminga_types::Position;

use crate::proto::MessageIdData;

/// The position of ids as the wire holds them.
#[must_use]
pub const fn position_of(ledger_id: u64, entry_id: u64) -> Position {
    Position::new(ledger_id.cast_signed(), entry_id.cast_signed())
}

impl From<Position> for MessageIdData {
    /// The id of a whole entry: no partition, no batch index.
    fn from(position: Position) -> Self {
        Self {
            ledger_id: position.ledger_id.0.cast_unsigned(),
            entry_id: position.entry_id.0.cast_unsigned(),
            ..Self::default()
        }
    }
}

impl MessageIdData {
    /// The entry that the id names.
    #[must_use]
    pub const fn position(&self) -> Position {
        position_of(self.ledger_id, self.entry_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_and_latest_are_unsigned_on_the_wire() {
        let earliest = MessageIdData::from(Position::EARLIEST);
        assert_eq!((earliest.ledger_id, earliest.entry_id), (u64::MAX, u64::MAX));
        let latest = MessageIdData::from(Position::LATEST);
        assert_eq!(latest.ledger_id, u64::MAX / 2);
        for position in [Position::EARLIEST, Position::LATEST, Position::new(7, 0)] {
            assert_eq!(MessageIdData::from(position).position(), position);
        }
        assert_eq!((earliest.partition(), earliest.batch_index()), (-1, -1));
    }
}
