//! What a backup consists of: a text file with the length and checksum of every other file.
//!
//! `geminga-backup 1`, then a line `file CRC32C BYTES PATH` for each file, then `crc32c` over all
//! lines before. The ledgers' cookie is the last file, so that copying in this order leaves a storage
//! only when all is there.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use geminga_checksum::Sum;
use geminga_env::{Disk, File, disk::OpenMode};

use super::GoOn;
use crate::data_dir::DataDir;

const NAME: &str = "backup";
const HEAD: &str = "geminga-backup ";
const VERSION: u32 = 1;
const BUFFER_BYTES: usize = 1 << 20;

/// The files of a backup.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) files: Vec<Listed>,
}

/// One file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Below the backup's directory.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

impl Manifest {
    /// Reads every file that was written.
    pub(crate) fn of(disk: &dyn Disk, dir: &DataDir, go_on: &mut GoOn) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for directory in [dir.metadata(), dir.journal(), dir.ledgers()] {
            for path in disk.list(&directory)? {
                let file = disk.open(&path, OpenMode::Read)?;
                let (bytes, crc) = read_through(&*file, &mut |_, _| {
                    if go_on(0) { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
                })
                .with_context(|| format!("{} could not be read again", path.display()))?;
                let path = path.strip_prefix(dir.path()).context("a file elsewhere")?.to_owned();
                files.push(Listed { path, bytes, crc });
            }
        }
        let is_last = |path: &Path| path.ends_with("ledgers/cookie");
        files.sort_by_key(|listed| (is_last(&listed.path), listed.path.clone()));
        Ok(Self { files })
    }

    fn encode(&self) -> String {
        let mut text = format!("{HEAD}{VERSION}\n");
        for Listed { path, bytes, crc } in &self.files {
            text.push_str(&format!("file {crc:08x} {bytes} {}\n", path.display()));
        }
        let crc = Sum::of(text.as_bytes()).crc();
        text.push_str(&format!("crc32c {crc:08x}\n"));
        text
    }

    fn decode(text: &str) -> anyhow::Result<Self> {
        let version = text.strip_prefix(HEAD).and_then(|rest| rest.lines().next());
        match version.and_then(|version| version.parse().ok()) {
            Some(VERSION) => {}
            Some(newer) if VERSION < newer => {
                bail!("it has version {newer}; use a newer version of Geminga")
            }
            _ => bail!("it is damaged"),
        }
        let mut files = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("file ")) {
            let mut parts = line.splitn(3, ' ');
            let mut part = || parts.next().context("a line is cut off");
            let crc = u32::from_str_radix(part()?, 16).context("a checksum is none")?;
            let bytes = part()?.parse().context("a length is none")?;
            files.push(Listed { crc, bytes, path: PathBuf::from(part()?) });
        }
        let manifest = Self { files };
        // A path that leads out of the directory could not have been written by us.
        let is_inside = |listed: &Listed| {
            listed.path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        if manifest.encode() != text || !manifest.files.iter().all(is_inside) {
            bail!("it is damaged");
        }
        Ok(manifest)
    }

    /// Writes it, durably, after all that it lists.
    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Path) -> anyhow::Result<()> {
        let unfinished = dir.join("backup.new");
        let file = disk.open(&unfinished, OpenMode::CreateNew)?;
        file.write_at(self.encode().as_bytes(), 0)?;
        file.sync_data()?;
        disk.rename(&unfinished, &dir.join(NAME))?;
        Ok(disk.sync_dir(dir)?)
    }

    /// Reads that of a backup.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(NAME);
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("{} is missing: this is no backup, or not a finished one", path.display())
            }
            Err(error) => return Err(error).context(path.display().to_string()),
        };
        let mut bytes = Vec::new();
        read_through(&*file, &mut |_, part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        let text = String::from_utf8(bytes).ok().context("it is damaged");
        text.and_then(|text| Self::decode(&text)).with_context(|| path.display().to_string())
    }
}

/// Reads a file from begin to end; returns its length and checksum.
pub(super) fn read_through(
    file: &dyn File,
    take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<(u64, u32)> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut offset, mut sum) = (0, Sum::EMPTY);
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            return Ok((offset, sum.crc()));
        }
        take(offset, &buffer[..read])?;
        sum = sum.append(&buffer[..read]);
        offset += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_every_flipped_bit_is_found() {
        let listed = |path: &str, bytes, crc| Listed { path: path.into(), bytes, crc };
        let files = vec![listed("metadata/metadata.redb", 7, 1), listed("a b", 0, u32::MAX)];
        let text = Manifest { files }.encode();
        assert_eq!(Manifest::decode(&text).unwrap().encode(), text);
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let is_found =
                String::from_utf8(bytes).map_or(true, |it| Manifest::decode(&it).is_err());
            assert!(is_found, "bit {bit}");
        }
        let outside = Manifest { files: vec![listed("../etc/passwd", 0, 0)] };
        assert!(Manifest::decode(&outside.encode()).is_err());
    }
}
