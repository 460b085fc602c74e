//! What the metadata store keeps of a ledger.

use std::collections::BTreeMap;

use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LedgerState {
    Open,
    InRecovery,
    Closed { last_entry: i64, length: i64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerMetadata {
    pub(crate) ensemble_size: u32,
    pub(crate) write_quorum: u32,
    pub(crate) ack_quorum: u32,
    pub(crate) state: LedgerState,
    pub(crate) ensembles: Vec<(i64, Vec<String>)>,
    pub(crate) password: Bytes,
    pub(crate) created_ms: u64,
    pub(crate) custom_metadata: BTreeMap<String, Bytes>,
}

pub(crate) fn path(id: i64) -> String {
    format!("/ledgers/{:02}/{:04}/L{:04}", id / 100_000_000, id / 10_000 % 10_000, id % 10_000)
}

pub(crate) const ID_GENERATOR: &str = "/ledgers/idgen";

impl LedgerMetadata {
    pub(crate) fn encode(&self) -> Bytes {
        let (state, last, length) = match self.state {
            LedgerState::Open => (0, -1, 0),
            LedgerState::InRecovery => (1, -1, 0),
            LedgerState::Closed { last_entry, length } => (2, last_entry, length),
        };
        let bookies = self.ensembles[0].1.join(",");
        let (e, w, a) = (self.ensemble_size, self.write_quorum, self.ack_quorum);
        Bytes::from(format!("{e} {w} {a} {state} {last} {length} {bookies}"))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parts = text.split(' ');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (e, w, a) = (number()?, number()?, number()?);
        let (state, last_entry, length) = (number()?, number()?, number()?);
        let bookies = parts.next()?.split(',').map(String::from).collect();
        Some(Self {
            ensemble_size: u32::try_from(e).ok()?,
            write_quorum: u32::try_from(w).ok()?,
            ack_quorum: u32::try_from(a).ok()?,
            state: match state {
                0 => LedgerState::Open,
                1 => LedgerState::InRecovery,
                _ => LedgerState::Closed { last_entry, length },
            },
            ensembles: vec![(0, bookies)],
            password: Bytes::new(),
            created_ms: 0,
            custom_metadata: BTreeMap::new(),
        })
    }
}
