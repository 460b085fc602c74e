//! Which ledgers a cursor's log is in: the key's own field names the last of them, and properties,
//! which Pulsar keeps and does not read, those before. `docs/formats/cursor-log.md` has their form.

use geminga_types::LedgerId;

use super::{
    InvalidValue, damaged,
    managed_ledger::{LongProperty, ManagedCursorInfo},
};

const CONTINUES: &str = "geminga.continues.";
const KIND: &str = "cursor property";
const NO_LEDGER: i64 = -1;

/// The ledgers of the log, in the order of reading. Empty: the key itself holds the state.
///
/// # Errors
///
/// If the properties are damaged.
pub fn ledgers(info: &ManagedCursorInfo) -> Result<Vec<LedgerId>, InvalidValue> {
    let mut ledgers = Vec::new();
    for LongProperty { name, value } in &info.properties {
        let Some(place) = name.strip_prefix(CONTINUES) else { continue };
        if place.parse() != Ok(ledgers.len()) || *value < 0 {
            return Err(damaged(KIND, format!("{name} is {value} at place {}", ledgers.len())));
        }
        ledgers.push(LedgerId(*value));
    }
    if 0 <= info.cursors_ledger_id {
        ledgers.push(LedgerId(info.cursors_ledger_id));
    } else if !ledgers.is_empty() {
        return Err(damaged(KIND, format!("{CONTINUES}0 without a ledger that continues it")));
    }
    Ok(ledgers)
}

/// States that the log is in these ledgers.
pub fn set_ledgers(info: &mut ManagedCursorInfo, ledgers: &[LedgerId]) {
    info.properties.retain(|property| !property.name.starts_with(CONTINUES));
    let (last, before) = match ledgers.split_last() {
        Some((last, before)) => (last.0, before),
        None => (NO_LEDGER, [].as_slice()),
    };
    info.cursors_ledger_id = last;
    let property = |(place, ledger_id): (usize, &LedgerId)| LongProperty {
        name: format!("{CONTINUES}{place}"),
        value: ledger_id.0,
    };
    info.properties.extend(before.iter().enumerate().map(property));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, value: i64) -> LongProperty {
        LongProperty { name: name.to_owned(), value }
    }

    #[test]
    fn a_log_is_in_the_ledgers_that_were_set() {
        let mut info = ManagedCursorInfo { cursors_ledger_id: -1, ..Default::default() };
        info.properties.push(property("other", 5));
        for ids in [&[][..], &[3], &[3, 9, 4], &[8]] {
            let expected: Vec<_> = ids.iter().copied().map(LedgerId).collect();
            set_ledgers(&mut info, &expected);
            assert_eq!(ledgers(&info).unwrap(), expected);
            assert_eq!(info.properties[0], property("other", 5));
            assert_eq!(info.properties.len(), ids.len().max(1));
        }
    }

    #[test]
    fn what_cannot_be_is_damaged() {
        let wrong: [(i64, &[(&str, i64)]); 4] = [
            (-1, &[("geminga.continues.0", 1)]),
            (7, &[("geminga.continues.1", 1)]),
            (7, &[("geminga.continues.0", -1)]),
            (7, &[("geminga.continues.x", 1)]),
        ];
        for (cursors_ledger_id, properties) in wrong {
            let properties = properties.iter().map(|&(name, value)| property(name, value));
            let properties = properties.collect();
            let info = ManagedCursorInfo { cursors_ledger_id, properties, ..Default::default() };
            assert!(ledgers(&info).is_err(), "{info:?}");
        }
    }
}
