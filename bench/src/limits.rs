//! All limits, one after the other.

use std::{hint::black_box, path::Path, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    Drive,
    clock::now,
    disk,
    drive::drive,
    forward, group_commit, loopback,
    spread::{Spread, real},
};

const MB: f64 = 1e6;
const GB: f64 = 1e9;
/// Of the file that is written over and over.
const PREPARED_MIB: usize = 256;

pub(crate) fn measure(dir: &Path, seconds: u64) -> Result<Value> {
    std::fs::create_dir_all(dir)?;
    let time = Duration::from_secs(seconds);
    let small =
        |prepared| Ok::<_, anyhow::Error>(disk::write_and_sync(dir, 4_096, prepared, time)?.0);
    let large = |prepared| {
        Ok::<_, anyhow::Error>(rate(&disk::write_and_sync(dir, 1 << 20, prepared, time)?))
    };
    let (loopback, loopback_per_cpu) = loopback::throughput(time)?;
    let port = group_commit::start(dir)?;
    let driven = |in_flight| drive(&Drive { port, size: 1_024, in_flight, seconds });
    let limits = json!({
        "fdatasync_4k_appended_ms": small(None)?.to_json(),
        "fdatasync_4k_preallocated_ms": small(Some(PREPARED_MIB))?.to_json(),
        "durable_1m_appended_mb_per_second": large(None)?,
        "durable_1m_preallocated_mb_per_second": large(Some(PREPARED_MIB))?,
        "crc32c_1k_gb_per_second": checksum(1_024, time),
        "crc32c_64k_gb_per_second": checksum(65_536, time),
        "loopback_gb_per_second": loopback / GB,
        "loopback_gb_per_cpu_second": loopback_per_cpu / GB,
        "group_commit_1_in_flight": driven(1)?.to_json(),
        "group_commit_1000_in_flight": driven(1_000)?.to_json(),
        "forwarder_1k": forward::forward(1_024, time)?,
        "forwarder_64k": forward::forward(65_536, time)?,
    });
    std::fs::remove_file(dir.join("group-commit"))?;
    Ok(limits)
}

/// What a publish and a delivery of large entries are seen beside.
pub(crate) fn moving(dir: &Path, seconds: u64) -> Result<Value> {
    std::fs::create_dir_all(dir)?;
    let time = Duration::from_secs(seconds);
    let (_, loopback) = loopback::throughput(time)?;
    Ok(json!({
        "appended_mb_per_second": rate(&disk::write_and_sync(dir, 1 << 20, None, time)?),
        "rewritten_mb_per_second":
            rate(&disk::write_and_sync(dir, 1 << 20, Some(PREPARED_MIB), time)?),
        "loopback_mb_per_cpu_second": loopback / MB,
        "forwarder_1k": forward::forward(1_024, time)?,
        "forwarder_64k": forward::forward(65_536, time)?,
    }))
}

/// Megabytes per second, written in pieces of 1 MiB.
fn rate((spread, took): &(Spread, Duration)) -> f64 {
    real(spread.count() << 20) / took.as_secs_f64() / MB
}

fn checksum(piece: usize, time: Duration) -> f64 {
    let data = vec![0x5a_u8; 1 << 20];
    let (began, mut rounds) = (now(), 0);
    while began.elapsed() < time / 3 {
        data.chunks(piece).for_each(|piece| _ = black_box(crc32c::crc32c(piece)));
        rounds += 1;
    }
    real(rounds << 20) / began.elapsed().as_secs_f64() / GB
}
