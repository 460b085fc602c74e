//! The bare frame forwarder: what a delivery must cost. It reads frames from one socket, looks at
//! each, and writes them to another.

use std::{
    io::{Read as _, Write as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    clock::{now, thread_cpu},
    frame,
    loopback::{drain, pair},
    spread::real,
};

/// Frames of `size` bytes per second, and per second of the forwarder's processor.
pub(crate) fn forward(size: u32, time: Duration) -> Result<Value> {
    let (mut source, mut input) = pair()?;
    let (mut output, sink) = pair()?;
    let reader = thread::spawn(move || drain(sink));
    let forwarder = thread::spawn(move || -> Result<(u64, Duration)> {
        let mut buffer = vec![0; 256 * 1024];
        let (mut filled, mut all) = (0, 0);
        let before = thread_cpu();
        loop {
            let read = input.read(&mut buffer[filled..]).context("reading")?;
            if read == 0 {
                return Ok((all, thread_cpu() - before));
            }
            filled += read;
            let (count, end) = frame::whole(&buffer[..filled]);
            output.write_all(&buffer[..end]).context("writing")?;
            buffer.copy_within(end..filled, 0);
            (filled, all) = (filled - end, all + count);
        }
    });
    let frames = frame::frames((64 * 1024 / usize::try_from(size)?).max(1), size);
    let began = now();
    while began.elapsed() < time {
        source.write_all(&frames).context("sending")?;
    }
    drop(source);
    let forwarded = forwarder.join().map_err(|_| anyhow::anyhow!("the forwarder failed"))?;
    let (count, cpu) = forwarded?;
    let took = began.elapsed();
    _ = reader.join();
    Ok(json!({
        "frame_bytes": size,
        "frames_per_second": real(count) / took.as_secs_f64(),
        "frames_per_cpu_second": real(count) / cpu.as_secs_f64().max(f64::MIN_POSITIVE),
    }))
}
