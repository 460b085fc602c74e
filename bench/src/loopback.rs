//! How much TCP moves between two threads of this machine.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    clock::{now, thread_cpu},
    spread::real,
};

/// Two ends of a connection.
pub(crate) fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    let near = TcpStream::connect(listener.local_addr()?).context("connecting")?;
    let (far, _) = listener.accept().context("accepting")?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Bytes written and read in pieces of 64 KiB: per second, and per second of the writer's processor.
pub(crate) fn throughput(time: Duration) -> Result<(f64, f64)> {
    let (mut near, far) = pair()?;
    let reader = thread::spawn(move || drain(far));
    let data = vec![0x5a; 64 * 1024];
    let (began, before) = (now(), thread_cpu());
    while began.elapsed() < time {
        near.write_all(&data).context("writing")?;
    }
    let cpu = thread_cpu() - before;
    drop(near);
    let read = real(reader.join().unwrap_or(0));
    let cpu_seconds = cpu.as_secs_f64().max(f64::MIN_POSITIVE);
    Ok((read / began.elapsed().as_secs_f64(), read / cpu_seconds))
}

/// Reads to the end; how many bytes there were.
pub(crate) fn drain(mut stream: TcpStream) -> u64 {
    let mut buffer = vec![0; 256 * 1024];
    let mut all = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return all,
            Ok(read) => all += u64::try_from(read).unwrap_or(0),
        }
    }
}
