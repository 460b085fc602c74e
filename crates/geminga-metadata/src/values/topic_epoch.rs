//! The epoch of a topic's exclusive producers: a property of the managed ledger's key, as Pulsar has it.

use super::{
    InvalidValue, damaged,
    managed_ledger::{KeyValue, ManagedLedgerInfo},
};

pub(super) const EPOCH: &str = "pulsar.topic.epoch";

/// The epoch; `None`: no exclusive producer has ever been open.
///
/// # Errors
///
/// If the property is no number.
pub fn epoch(info: &ManagedLedgerInfo) -> Result<Option<u64>, InvalidValue> {
    let Some(property) = info.properties.iter().find(|property| property.key == EPOCH) else {
        return Ok(None);
    };
    let wrong = |_| damaged("topic epoch", format!("{EPOCH} is {:?}", property.value));
    property.value.parse().map(Some).map_err(wrong)
}

/// States the epoch.
pub fn set_epoch(info: &mut ManagedLedgerInfo, epoch: u64) {
    info.properties.retain(|property| property.key != EPOCH);
    info.properties.push(KeyValue { key: EPOCH.to_owned(), value: epoch.to_string() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts_and_others_stay() {
        let other = KeyValue { key: "other".to_owned(), value: "x".to_owned() };
        let mut info = ManagedLedgerInfo { properties: vec![other.clone()], ..Default::default() };
        assert_eq!(epoch(&info).unwrap(), None);
        for number in [0, 7, u64::MAX] {
            set_epoch(&mut info, number);
            assert_eq!(epoch(&info).unwrap(), Some(number));
        }
        assert_eq!((info.properties.len(), &info.properties[0]), (2, &other));
        info.properties[1].value = "seven".to_owned();
        assert!(epoch(&info).is_err());
    }
}
