//! The bare group-commit server: what a durable message must cost on this machine.
//!
//! A thread for each connection reads frames; one thread takes all that waits, appends it to a file
//! whose blocks were written before, syncs once, and answers each frame with eight bytes.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result};

use crate::{disk, frame};

/// Bytes of the answer to a frame.
pub(crate) const RECEIPT_LEN: usize = 8;
const FILE_MIB: usize = 256;
const READ_MAX: usize = 256 * 1024;
/// What waits for the disk at most.
const WAITING_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Who sent how many frames, in order.
    owed: Vec<(Arc<TcpStream>, u64)>,
}

/// Starts the server; its port.
pub(crate) fn start(dir: &Path) -> Result<u16> {
    let file = disk::preallocated(&dir.join("group-commit"), FILE_MIB)?;
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    let port = listener.local_addr()?.port();
    let shared = Arc::new(Shared::default());
    let committer = Arc::clone(&shared);
    thread::spawn(move || commit(&committer, &file));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read(&shared, stream));
        }
    });
    Ok(port)
}

fn read(shared: &Shared, stream: TcpStream) {
    _ = stream.set_nodelay(true);
    let stream = Arc::new(stream);
    let mut buffer = vec![0; READ_MAX];
    let mut filled = 0;
    loop {
        match (&*stream).read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return, // The peer is gone.
            Ok(count) => filled += count,
        }
        let (frames, end) = frame::whole(&buffer[..filled]);
        if frames == 0 {
            continue;
        }
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while WAITING_MAX < waiting.bytes.len() {
            waiting = shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.bytes.extend_from_slice(&buffer[..end]);
        waiting.owed.push((Arc::clone(&stream), frames));
        drop(waiting);
        shared.changed.notify_all();
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}

fn commit(shared: &Shared, file: &std::fs::File) {
    let length = FILE_MIB << 20;
    let (mut bytes, mut owed, mut at) = (Vec::new(), Vec::new(), 0);
    loop {
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.owed.is_empty() {
            waiting = shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut bytes, &mut waiting.bytes);
        std::mem::swap(&mut owed, &mut waiting.owed);
        drop(waiting);
        shared.changed.notify_all();
        if length < at + bytes.len() {
            at = 0;
        }
        let offset = u64::try_from(at).expect("a file's length");
        file.write_all_at(&bytes, offset).expect("a bench's disk takes what is written");
        file.sync_data().expect("a bench's disk syncs");
        at += bytes.len();
        bytes.clear();
        for (stream, frames) in owed.drain(..) {
            let receipts = vec![0; RECEIPT_LEN * usize::try_from(frames).expect("a buffer's")];
            _ = (&*stream).write_all(&receipts); // Its reader notices that it is gone.
        }
    }
}
