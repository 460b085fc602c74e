//! The cookie: whose directory this is.
//!
//! A text file in the journal and the ledger directory, so that a person can read it. It is written
//! last when a storage is made, so a directory without one holds nothing that was confirmed.

use geminga_checksum::Sum;
use geminga_env::Random;

use crate::{
    directory::Directory,
    error::{OpenError, WriteError},
};

pub(crate) const NAME: &str = "cookie";
const VERSION: u32 = 1;

/// Identity of a bookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) uuid: String,
}

impl Cookie {
    /// A random identity.
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        Self { uuid }
    }

    fn encode(&self) -> String {
        let text = format!("geminga-bookie-storage {VERSION}\nuuid {}\n", self.uuid);
        let crc = Sum::of(text.as_bytes()).crc();
        format!("{text}crc32c {crc:08x}\n")
    }

    /// Reads the cookie of a directory; `None` when there is none.
    pub(crate) fn read(directory: &Directory) -> Result<Option<Self>, OpenError> {
        let path = directory.join(NAME);
        let bytes = directory.read_all(NAME).map_err(|error| OpenError::io(&path, error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let damaged = || OpenError::corrupt(&path, 0, "the cookie is damaged");
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix("geminga-bookie-storage "));
        let found = version.and_then(|version| version.parse().ok()).ok_or_else(damaged)?;
        if found > VERSION {
            return Err(OpenError::Newer { path, found, supported: VERSION });
        }
        let uuid = lines.next().and_then(|line| line.strip_prefix("uuid ")).ok_or_else(damaged)?;
        let cookie = Self { uuid: uuid.to_owned() };
        if cookie.encode() == text { Ok(Some(cookie)) } else { Err(damaged()) }
    }

    pub(crate) fn write(&self, directory: &Directory) -> Result<(), WriteError> {
        directory.replace(NAME, self.encode().as_bytes())
    }
}
