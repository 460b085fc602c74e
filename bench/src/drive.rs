//! Loads a bare group-commit server the way `geminga perf produce` loads a real one: so many messages
//! in flight, and each answer lets the next go.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    Drive,
    clock::now,
    frame,
    group_commit::RECEIPT_LEN,
    spread::{Spread, real},
};

#[derive(Debug)]
pub(crate) struct Driven {
    latency: Spread,
    took: Duration,
}

impl Driven {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "messages_per_second": real(self.latency.count()) / self.took.as_secs_f64(),
            "latency_ms": self.latency.to_json(),
        })
    }
}

pub(crate) fn drive(options: &Drive) -> Result<Driven> {
    let mut stream = TcpStream::connect(("127.0.0.1", options.port)).context("connecting")?;
    stream.set_nodelay(true)?;
    let window = usize::try_from(options.in_flight)?;
    let frames = frame::frames(window, options.size);
    let frame_len = frames.len() / window.max(1);
    let mut answers = vec![0; 64 * 1024];
    let mut latency = Spread::new();
    let mut sent: VecDeque<(Instant, usize)> = VecDeque::new();
    let (mut in_flight, mut partial) = (0, 0);
    let began = now();
    let time = Duration::from_secs(options.seconds);
    loop {
        let is_over = time <= began.elapsed();
        if !is_over && in_flight < window {
            let count = window - in_flight;
            sent.push_back((now(), count));
            stream.write_all(&frames[..count * frame_len]).context("sending")?;
            in_flight = window;
        }
        if in_flight == 0 {
            break;
        }
        let read = stream.read(&mut answers).context("receiving")?;
        if read == 0 {
            bail!("the server is gone");
        }
        let mut count = (partial + read) / RECEIPT_LEN;
        partial = (partial + read) % RECEIPT_LEN;
        in_flight -= count;
        let at = now();
        while 0 < count {
            let Some((since, left)) = sent.front_mut() else { bail!("too many receipts") };
            let now = count.min(*left);
            (0..now).for_each(|_| latency.record(at - *since));
            (count, *left) = (count - now, *left - now);
            if *left == 0 {
                sent.pop_front();
            }
        }
    }
    Ok(Driven { latency, took: began.elapsed() })
}
