//! The index of a topic's last message: a property of the managed ledger's key, as Pulsar has it.

use super::{
    InvalidValue, damaged,
    managed_ledger::{KeyValue, ManagedLedgerInfo},
};

const INDEX: &str = "index";

/// The index of the last message that had one before the key was written; `None`: there was none.
///
/// # Errors
///
/// If the property is no number from −1 (none) to 2⁶³ − 1.
pub fn last_index(info: &ManagedLedgerInfo) -> Result<Option<u64>, InvalidValue> {
    let Some(property) = info.properties.iter().find(|property| property.key == INDEX) else {
        return Ok(None);
    };
    match property.value.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(index) if 0 <= index => Ok(Some(index.unsigned_abs())),
        _ => Err(damaged("message index", format!("{INDEX} is {:?}", property.value))),
    }
}

/// States the index.
pub fn set_last_index(info: &mut ManagedLedgerInfo, index: u64) {
    info.properties.retain(|property| property.key != INDEX);
    info.properties.push(KeyValue { key: INDEX.to_owned(), value: index.to_string() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts_and_others_stay() {
        let other = KeyValue { key: "other".to_owned(), value: "x".to_owned() };
        let mut info = ManagedLedgerInfo { properties: vec![other.clone()], ..Default::default() };
        assert_eq!(last_index(&info).unwrap(), None);
        for number in [0, 7, i64::MAX.unsigned_abs()] {
            set_last_index(&mut info, number);
            assert_eq!(last_index(&info).unwrap(), Some(number));
        }
        let expected = KeyValue { key: "index".to_owned(), value: i64::MAX.to_string() };
        assert_eq!(info.properties, [other, expected]);
    }

    #[test]
    fn what_pulsar_writes_before_the_first_message_is_none_and_the_rest_is_damaged() {
        for (value, is_fine) in
            [("-1", true), ("-2", false), ("", false), ("9223372036854775808", false)]
        {
            let property = KeyValue { key: "index".to_owned(), value: value.to_owned() };
            let info = ManagedLedgerInfo { properties: vec![property], ..Default::default() };
            assert_eq!(last_index(&info).ok(), is_fine.then_some(None), "{value:?}");
        }
    }
}
