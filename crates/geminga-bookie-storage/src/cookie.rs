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

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use geminga_env::{Disk as _, disk::OpenMode, sim::SimDisk};

    use super::*;

    #[test]
    fn a_cookie_is_as_documented_and_any_damage_is_seen() {
        let disk = SimDisk::new(1);
        let directory = Directory::new(Arc::new(disk.clone()), "/".into(), true);
        assert_eq!(Cookie::read(&directory).unwrap(), None);
        let cookie = Cookie { uuid: "746ec93b-7dbe-4101-aad1-e9664ff5a086".to_owned() };
        cookie.write(&directory).unwrap();
        assert_eq!(Cookie::read(&directory).unwrap(), Some(cookie.clone()));
        let text = "geminga-bookie-storage 1\nuuid 746ec93b-7dbe-4101-aad1-e9664ff5a086\n\
                    crc32c 99b0d2d0\n";
        assert_eq!(cookie.encode(), text);
        for bit in 0..text.len() as u64 * 8 {
            disk.flip(Path::new("/cookie"), bit / 8, 1 << (bit % 8)).unwrap();
            assert!(Cookie::read(&directory).is_err(), "bit {bit}");
            disk.flip(Path::new("/cookie"), bit / 8, 1 << (bit % 8)).unwrap();
        }
        let newer = text.replace("storage 1", "storage 2");
        let file = disk.open(Path::new("/cookie"), OpenMode::ReadWrite).unwrap();
        file.write_at(newer.as_bytes(), 0).unwrap();
        assert!(matches!(Cookie::read(&directory), Err(OpenError::Newer { found: 2, .. })));
    }
}
