//! redb on a file of the env's disk.
//!
//! redb's header names the file's length, and it gives up on a file that is shorter. So the file
//! grows durably, and with its space reserved, before redb writes a header that says so.

use std::{io, sync::Arc};

use geminga_env::File;
use redb::StorageBackend;

#[derive(Debug)]
pub(crate) struct Backend(pub(crate) Arc<dyn File>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.read_at(out, offset)? == out.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.0.len()? {
            self.0.allocate(len)?;
            self.0.sync_data()
        } else {
            self.0.set_len(len)
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}
