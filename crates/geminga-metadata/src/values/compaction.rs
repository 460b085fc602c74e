//! What a managed ledger's key says of topic compaction: two of its properties, which Pulsar keeps
//! and does not read. `docs/formats/topic-compaction.md` has their form.

use geminga_types::{LedgerId, Position};

use super::{
    InvalidValue, damaged,
    managed_ledger::ManagedLedgerInfo,
    property::{self, pair, parse_pair},
};

const COMPACTED: &str = "geminga.compacted";
const COMPACTING: &str = "geminga.compacting";
const KIND: &str = "compaction property";

/// The ledger that holds a topic's last message of each key, up to a horizon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactedLedger {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// The last entry of the topic that was looked at: behind it the topic's own ledgers count.
    pub horizon: Position,
    /// Entries in the ledger.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where the last message in it lay: its entry, and its index in a batch or -1.
    pub last: Option<(Position, i32)>,
    /// The topic's ledgers of which it has entries, each with how many the ledger had, ascending.
    pub spans: Vec<(LedgerId, u64)>,
}

/// The ledger that holds the compacted topic, if there is one.
///
/// # Errors
///
/// If the property is damaged, or from a newer release.
pub fn compacted(info: &ManagedLedgerInfo) -> Result<Option<CompactedLedger>, InvalidValue> {
    let Some(fields) = property::fields(info, KIND, COMPACTED)? else { return Ok(None) };
    let wrong = || damaged(KIND, format!("{COMPACTED} is {:?}", fields.join(" ")));
    let [ledger_id, horizon, entries, bytes, last, spans] = fields.as_slice() else {
        return Err(wrong());
    };
    let message = |text: &str| {
        let (at, index) = text.rsplit_once(':')?;
        Some((parse_pair(at)?, index.parse().ok()?))
    };
    let span = |text: &str| {
        let (ledger, entries) = text.split_once(':')?;
        Some((LedgerId(ledger.parse().ok()?), entries.parse().ok()?))
    };
    let parsed = || {
        Some(CompactedLedger {
            ledger_id: LedgerId(ledger_id.parse().ok()?),
            horizon: parse_pair(horizon)?,
            entries: entries.parse().ok()?,
            bytes: bytes.parse().ok()?,
            last: if *last == "-" { None } else { Some(message(last)?) },
            spans: match *spans {
                "-" => Vec::new(),
                spans => spans.split(',').map(span).collect::<Option<_>>()?,
            },
        })
    };
    let is_ascending = |found: &CompactedLedger| found.spans.is_sorted_by(|a, b| a.0 < b.0);
    parsed().filter(is_ascending).map(Some).ok_or_else(wrong)
}

/// Changes what [`compacted`] reads.
pub fn set_compacted(info: &mut ManagedLedgerInfo, compacted: &CompactedLedger) {
    let CompactedLedger { ledger_id, horizon, entries, bytes, last, spans } = compacted;
    let message = |(at, index): (Position, i32)| format!("{}:{index}", pair(at));
    let last = last.map_or_else(|| "-".to_owned(), message);
    let spans: Vec<String> = spans.iter().map(|(id, entries)| format!("{id}:{entries}")).collect();
    let spans = if spans.is_empty() { "-".to_owned() } else { spans.join(",") };
    let horizon = pair(*horizon);
    let text = format!("{ledger_id} {horizon} {entries} {bytes} {last} {spans}");
    property::set(info, COMPACTED, Some(text));
}

/// The ledger that a compaction writes, or wrote when it was cut short.
///
/// # Errors
///
/// If the property is damaged, or from a newer release.
pub fn compacting(info: &ManagedLedgerInfo) -> Result<Option<LedgerId>, InvalidValue> {
    let Some(fields) = property::fields(info, KIND, COMPACTING)? else { return Ok(None) };
    let ledger_id = match fields.as_slice() {
        [ledger_id] => ledger_id.parse().ok().map(LedgerId),
        _ => None,
    };
    let wrong = || damaged(KIND, format!("{COMPACTING} is {:?}", fields.join(" ")));
    ledger_id.map(Some).ok_or_else(wrong)
}

/// Changes what [`compacting`] reads.
pub fn set_compacting(info: &mut ManagedLedgerInfo, ledger_id: Option<LedgerId>) {
    property::set(info, COMPACTING, ledger_id.map(|ledger_id| ledger_id.to_string()));
}

/// The ledgers that these properties name.
///
/// # Errors
///
/// If one is damaged, or from a newer release.
pub fn ledgers(info: &ManagedLedgerInfo) -> Result<Vec<LedgerId>, InvalidValue> {
    let compacted = compacted(info)?.map(|compacted| compacted.ledger_id);
    Ok(compacted.into_iter().chain(compacting(info)?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::managed_ledger::KeyValue;

    fn sample() -> CompactedLedger {
        CompactedLedger {
            ledger_id: LedgerId(17),
            horizon: Position::new(9, 4),
            entries: 3,
            bytes: 250,
            last: Some((Position::new(9, 3), -1)),
            spans: vec![(LedgerId(8), 100), (LedgerId(9), 5)],
        }
    }

    fn with(key: &str, value: &str) -> ManagedLedgerInfo {
        let property = KeyValue { key: key.to_owned(), value: value.to_owned() };
        ManagedLedgerInfo { properties: vec![property], ..ManagedLedgerInfo::default() }
    }

    #[test]
    fn the_form_of_a_released_version_is_read_and_written() {
        let text = "1 17 9:4 3 250 9:3:-1 8:100,9:5";
        let mut info = with(COMPACTED, text);
        assert_eq!(compacted(&info), Ok(Some(sample())));
        set_compacted(&mut info, &sample());
        assert_eq!(info, with(COMPACTED, text));
        let none = CompactedLedger { last: None, spans: Vec::new(), ..sample() };
        set_compacted(&mut info, &none);
        assert_eq!(info, with(COMPACTED, "1 17 9:4 3 250 - -"));
        assert_eq!(compacted(&info), Ok(Some(none)));
        let mut info = with(COMPACTING, "1 12");
        assert_eq!(compacting(&info), Ok(Some(LedgerId(12))));
        set_compacting(&mut info, None);
        assert_eq!(info, ManagedLedgerInfo::default());
    }

    #[test]
    fn what_else_the_key_holds_stays() {
        let mut info = with("theirs", "x");
        assert_eq!((compacted(&info), compacting(&info)), (Ok(None), Ok(None)));
        set_compacting(&mut info, Some(LedgerId(3)));
        set_compacted(&mut info, &sample());
        set_compacted(&mut info, &sample());
        assert_eq!(ledgers(&info), Ok(vec![LedgerId(17), LedgerId(3)]));
        set_compacting(&mut info, None);
        assert_eq!(info.properties.len(), 2);
        assert_eq!(info.properties[0].key, "theirs");
    }

    #[test]
    fn what_is_damaged_or_newer_is_an_error() {
        for text in ["", "2 17 9:4 3 250 - -", "1", "1 17", "1 x 9:4 3 250 - -"] {
            assert!(compacted(&with(COMPACTED, text)).is_err(), "{text:?}");
        }
        let wrong = ["17 9 3 250 - -", "17 9:4 -3 250 - -", "17 9:4 3 250 9:3 -"];
        for text in wrong.iter().chain(&["17 9:4 3 250 - 8", "17 9:4 3 250 - 9:1,8:1"]) {
            assert!(compacted(&with(COMPACTED, &format!("1 {text}"))).is_err(), "{text:?}");
        }
        assert!(compacting(&with(COMPACTING, "1 a")).is_err());
        assert!(compacting(&with(COMPACTING, "2 3")).is_err());
    }
}
