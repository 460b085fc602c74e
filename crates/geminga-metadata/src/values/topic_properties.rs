//! What users noted about a topic, and when it was created: properties of the managed ledger's key.
//!
//! The first are where Pulsar has them, as they are. Pulsar knows the second from its metadata store, which
//! not every store does; here it is a property of our own.

use std::collections::BTreeMap;

use super::{
    InvalidValue, damaged,
    managed_ledger::{KeyValue, ManagedLedgerInfo},
    property, topic_epoch,
};

const CREATED: &str = "geminga.created";
/// What brokers keep under names that begin so, they keep for themselves.
const OWN: &str = "geminga.";

/// Whether a property of that name is the brokers' own, and no user's.
#[must_use]
pub fn is_own(key: &str) -> bool {
    key.starts_with(OWN) || key == topic_epoch::EPOCH
}

/// What users noted.
#[must_use]
pub fn properties(info: &ManagedLedgerInfo) -> BTreeMap<String, String> {
    let users = info.properties.iter().filter(|property| !is_own(&property.key));
    users.map(|property| (property.key.clone(), property.value.clone())).collect()
}

/// Notes a property, instead of one of that name; nothing removes it.
pub fn set_property(info: &mut ManagedLedgerInfo, key: &str, value: Option<&str>) {
    info.properties.retain(|property| property.key != key);
    let value = value.map(|value| KeyValue { key: key.to_owned(), value: value.to_owned() });
    info.properties.extend(value);
}

/// When the topic was created, in wall-clock milliseconds; `None`: nobody knows.
///
/// # Errors
///
/// If the property is damaged, or from a newer release.
pub fn created(info: &ManagedLedgerInfo) -> Result<Option<u64>, InvalidValue> {
    let kind = "creation time";
    let Some(fields) = property::fields(info, kind, CREATED)? else { return Ok(None) };
    let time = match fields.as_slice() {
        [time] => time.parse().ok(),
        _ => None,
    };
    time.map(Some).ok_or_else(|| damaged(kind, format!("{CREATED} is {:?}", fields.join(" "))))
}

/// States when the topic was created.
pub fn set_created(info: &mut ManagedLedgerInfo, time: u64) {
    property::set(info, CREATED, Some(time.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_see_what_users_noted() {
        let mut info = ManagedLedgerInfo::default();
        set_created(&mut info, 1_234);
        topic_epoch::set_epoch(&mut info, 3);
        for (key, value) in [("b", "1"), ("a", "x y"), ("b", "2"), ("c", "")] {
            set_property(&mut info, key, Some(value));
        }
        set_property(&mut info, "c", None);
        let found: Vec<_> = properties(&info).into_iter().collect();
        let expected = [("a", "x y"), ("b", "2")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(found, expected);
        assert_eq!(created(&info).unwrap(), Some(1_234));
        assert!(is_own(CREATED) && is_own(topic_epoch::EPOCH) && !is_own("a"));
    }

    #[test]
    fn the_time_of_a_released_version_is_read_and_a_newer_one_is_refused() {
        let with = |value: &str| {
            let mut info = ManagedLedgerInfo::default();
            set_property(&mut info, CREATED, Some(value));
            created(&info)
        };
        assert_eq!(with("1 5").unwrap(), Some(5));
        assert_eq!(created(&ManagedLedgerInfo::default()).unwrap(), None);
        for wrong in ["", "5", "1", "1 x", "1 5 6", "2 5"] {
            assert!(with(wrong).is_err(), "{wrong:?}");
        }
    }
}
