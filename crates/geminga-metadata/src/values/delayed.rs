//! What a managed ledger's key says of the index of its delayed entries: two of its properties, which
//! Pulsar keeps and does not read. `docs/formats/delayed-delivery.md` has their form.

use geminga_types::{LedgerId, Position};

use super::{
    InvalidValue, damaged,
    managed_ledger::ManagedLedgerInfo,
    property::{self, pair, parse_pair},
};

const DELAYED: &str = "geminga.delayed";
const DELAYING: &str = "geminga.delaying";
const KIND: &str = "delayed delivery property";

/// A ledger that lists delayed entries of the topic in the order of their times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayedBucket {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Entries in the ledger.
    pub entries: u64,
    /// Delayed entries of the topic that it lists.
    pub records: u64,
    /// The earliest of their times, in milliseconds of wall time.
    pub due_min: u64,
    /// The parts of the topic, by first and last entry, of which it lists every delayed entry.
    /// Ascending; at least one.
    pub ranges: Vec<(Position, Position)>,
}

/// The buckets of a topic, in the order of what they cover.
///
/// # Errors
///
/// If the property is damaged, or from a newer release.
pub fn buckets(info: &ManagedLedgerInfo) -> Result<Vec<DelayedBucket>, InvalidValue> {
    let Some(fields) = property::fields(info, KIND, DELAYED)? else { return Ok(Vec::new()) };
    let wrong = || damaged(KIND, format!("{DELAYED} is {:?}", fields.join(" ")));
    let buckets = fields.iter().map(|field| bucket(field)).collect::<Option<Vec<_>>>();
    let buckets = buckets.filter(|buckets| !buckets.is_empty()).ok_or_else(wrong)?;
    if !ascend(&buckets) {
        return Err(wrong());
    }
    Ok(buckets)
}

/// Whether each covers what lies behind all that the one before covers.
fn ascend(buckets: &[DelayedBucket]) -> bool {
    let ranges = buckets.iter().flat_map(|bucket| &bucket.ranges);
    ranges.is_sorted_by(|before, after| before.1 < after.0)
}

fn bucket(field: &str) -> Option<DelayedBucket> {
    let mut parts = field.split('/');
    let ledger_id = LedgerId(parts.next()?.parse().ok()?);
    let entries = parts.next()?.parse().ok()?;
    let records = parts.next()?.parse().ok()?;
    let due_min = parts.next()?.parse().ok()?;
    let range = |text: &str| {
        let (first, last) = text.split_once('-')?;
        let range = (parse_pair(first)?, parse_pair(last)?);
        (range.0 <= range.1).then_some(range)
    };
    let ranges = parts.next()?.split('+').map(range).collect::<Option<Vec<_>>>()?;
    if parts.next().is_some() {
        return None;
    }
    Some(DelayedBucket { ledger_id, entries, records, due_min, ranges })
}

/// Changes what [`buckets`] reads.
///
/// # Errors
///
/// If the buckets overlap or interleave, so that they could not be read again; nothing has changed.
pub fn set_buckets(
    info: &mut ManagedLedgerInfo,
    buckets: &[DelayedBucket],
) -> Result<(), InvalidValue> {
    if !ascend(buckets) {
        return Err(damaged(KIND, "buckets do not follow one another".to_owned()));
    }
    let range = |&(first, last): &(Position, Position)| format!("{}-{}", pair(first), pair(last));
    let field = |bucket: &DelayedBucket| {
        let DelayedBucket { ledger_id, entries, records, due_min, ranges } = bucket;
        let ranges: Vec<String> = ranges.iter().map(range).collect();
        format!("{ledger_id}/{entries}/{records}/{due_min}/{}", ranges.join("+"))
    };
    let fields: Vec<String> = buckets.iter().map(field).collect();
    property::set(info, DELAYED, (!fields.is_empty()).then(|| fields.join(" ")));
    Ok(())
}

/// The ledger in which a bucket is being written, or was when that was cut short.
///
/// # Errors
///
/// If the property is damaged, or from a newer release.
pub fn indexing(info: &ManagedLedgerInfo) -> Result<Option<LedgerId>, InvalidValue> {
    let Some(fields) = property::fields(info, KIND, DELAYING)? else { return Ok(None) };
    let ledger_id = match fields.as_slice() {
        [ledger_id] => ledger_id.parse().ok().map(LedgerId),
        _ => None,
    };
    let wrong = || damaged(KIND, format!("{DELAYING} is {:?}", fields.join(" ")));
    ledger_id.map(Some).ok_or_else(wrong)
}

/// Changes what [`indexing`] reads.
pub fn set_indexing(info: &mut ManagedLedgerInfo, ledger_id: Option<LedgerId>) {
    property::set(info, DELAYING, ledger_id.map(|ledger_id| ledger_id.to_string()));
}

/// The ledgers that these properties name.
///
/// # Errors
///
/// If one is damaged, or from a newer release.
pub fn ledgers(info: &ManagedLedgerInfo) -> Result<Vec<LedgerId>, InvalidValue> {
    let buckets = buckets(info)?.into_iter().map(|bucket| bucket.ledger_id);
    Ok(buckets.chain(indexing(info)?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::managed_ledger::KeyValue;

    fn sample() -> Vec<DelayedBucket> {
        let at = Position::new;
        let one = DelayedBucket {
            ledger_id: LedgerId(17),
            entries: 4,
            records: 3,
            due_min: 250,
            ranges: vec![(at(8, 0), at(8, 99)), (at(9, 10), at(11, 4))],
        };
        let other = DelayedBucket {
            ledger_id: LedgerId(12),
            ranges: vec![(at(11, 5), at(11, 5))],
            ..one.clone()
        };
        vec![one, other]
    }

    fn with(key: &str, value: &str) -> ManagedLedgerInfo {
        let property = KeyValue { key: key.to_owned(), value: value.to_owned() };
        ManagedLedgerInfo { properties: vec![property], ..ManagedLedgerInfo::default() }
    }

    #[test]
    fn the_form_of_a_released_version_is_read_and_written() {
        let text = "1 17/4/3/250/8:0-8:99+9:10-11:4 12/4/3/250/11:5-11:5";
        let mut info = with(DELAYED, text);
        assert_eq!(buckets(&info), Ok(sample()));
        set_buckets(&mut info, &sample()).unwrap();
        assert_eq!(info, with(DELAYED, text));
        assert_eq!(ledgers(&info), Ok(vec![LedgerId(17), LedgerId(12)]));
        set_buckets(&mut info, &[]).unwrap();
        assert_eq!(info, ManagedLedgerInfo::default());
        let mut info = with(DELAYING, "1 12");
        assert_eq!(indexing(&info), Ok(Some(LedgerId(12))));
        assert_eq!(ledgers(&info), Ok(vec![LedgerId(12)]));
        set_indexing(&mut info, None);
        assert_eq!(info, ManagedLedgerInfo::default());
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let at = Position::new;
        let mut info = ManagedLedgerInfo::default();
        set_buckets(&mut info, &sample()).unwrap();
        let before = info.clone();
        let mut wrong = sample();
        wrong[1].ranges = vec![(at(9, 0), at(9, 5))];
        assert!(set_buckets(&mut info, &wrong).is_err(), "between the parts of another");
        wrong[1].ranges = vec![(at(11, 4), at(11, 5))];
        assert!(set_buckets(&mut info, &wrong).is_err(), "covered twice");
        assert_eq!(info, before);
    }

    #[test]
    fn what_is_damaged_or_newer_is_an_error() {
        let wrong =
            ["", "1", "2 17/4/3/250/8:0-8:99", "1 ", "1 17/4/3/250", "1 17/4/3/250/8:0-8:9/"];
        let more = ["1 x/4/3/250/8:0-8:9", "1 17/4/3/250/8:9-8:0", "1 17/4/3/250/8:0-8:9+8:9-8:10"];
        for text in wrong.iter().chain(&more) {
            assert!(buckets(&with(DELAYED, text)).is_err(), "{text:?}");
        }
        assert!(indexing(&with(DELAYING, "1 a")).is_err());
        assert!(indexing(&with(DELAYING, "2 3")).is_err());
    }
}
