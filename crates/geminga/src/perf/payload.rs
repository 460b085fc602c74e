//! What messages carry: bytes that don't compress, and, where that is measured, when they were due.

use anyhow::Result;
use bytes::{BufMut as _, Bytes, BytesMut};
use geminga_env::Random;

use super::check;

/// Which run, and when the message was due.
const HEAD_LEN: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct Payload {
    template: Bytes,
    /// Tells messages of this run from others'.
    run: Option<u64>,
}

impl Payload {
    pub(super) fn opaque(size: usize) -> Self {
        Self { template: noise(size), run: None }
    }

    pub(super) fn with_due_time(size: usize, random: &dyn Random) -> Result<Self> {
        check(HEAD_LEN <= size, "--size: the times to measure take 16 bytes")?;
        Ok(Self { template: noise(size), run: Some(random.next_u64()) })
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.template.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn write(&self, due: u64) -> Bytes {
        let Some(run) = self.run else { return self.template.clone() };
        let mut payload = BytesMut::with_capacity(self.template.len());
        payload.put_u64(run);
        payload.put_u64(due);
        payload.put_slice(&self.template[HEAD_LEN..]);
        payload.freeze()
    }

    /// When a message was due, if it is one of this run.
    pub(super) fn read(&self, payload: &[u8]) -> Option<u64> {
        let (run, rest) = payload.split_first_chunk()?;
        let (due, _) = rest.split_first_chunk()?;
        (Some(u64::from_be_bytes(*run)) == self.run).then(|| u64::from_be_bytes(*due))
    }
}

/// The same for each run, so that runs can be compared.
fn noise(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = (0..size).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    bytes.collect()
}
