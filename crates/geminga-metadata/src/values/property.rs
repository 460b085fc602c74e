//! Properties that Geminga keeps in a managed ledger's key: texts of a version and fields, with one
//! space between.

use geminga_types::{EntryId, LedgerId, Position};

use super::{
    InvalidValue,
    managed_ledger::{KeyValue, ManagedLedgerInfo},
};

const VERSION: &str = "1";

/// The fields of a property behind its version.
pub(super) fn fields<'a>(
    info: &'a ManagedLedgerInfo,
    kind: &'static str,
    key: &str,
) -> Result<Option<Vec<&'a str>>, InvalidValue> {
    let Some(property) = info.properties.iter().find(|property| property.key == key) else {
        return Ok(None);
    };
    let mut fields = property.value.split(' ');
    match fields.next() {
        Some(VERSION) => Ok(Some(fields.collect())),
        version => {
            let format = version.unwrap_or_default().to_owned();
            Err(InvalidValue::UnknownFormat { kind, format })
        }
    }
}

/// Sets a property to its fields, or removes it.
pub(super) fn set(info: &mut ManagedLedgerInfo, key: &str, fields: Option<String>) {
    info.properties.retain(|property| property.key != key);
    info.properties.extend(
        fields.map(|value| KeyValue { key: key.to_owned(), value: format!("{VERSION} {value}") }),
    );
}

/// A position as `ledger:entry`.
pub(super) fn pair(
    Position { ledger_id: LedgerId(ledger), entry_id: EntryId(entry) }: Position,
) -> String {
    format!("{ledger}:{entry}")
}

/// Reads what [`pair`] writes.
pub(super) fn parse_pair(text: &str) -> Option<Position> {
    let (ledger, entry) = text.split_once(':')?;
    Some(Position::new(ledger.parse().ok()?, entry.parse().ok()?))
}
