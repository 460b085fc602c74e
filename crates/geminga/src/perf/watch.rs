//! Watches the server and ourselves from outside while it is measured.

use std::{sync::Arc, time::Duration};

use super::{
    process::{self, Usage},
    run::Run,
};

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) seconds: f64,
    pub(super) client: Process,
    pub(super) server: Option<(u32, Process)>,
}

/// A process while it was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) peak_rss: u64,
}

/// Watches from the end of the warm-up to the stop, which it brings about when it is time.
pub(super) async fn watch(run: Arc<Run>, server: Option<u32>) -> Watched {
    let window = run.window().await;
    tokio::select! {
        biased;
        () = run.stopped() => {}
        () = tokio::time::sleep_until(run.instant(window.from)) => {}
    }
    let own = std::process::id();
    let first = (run.now(), process::usage(own), server.and_then(process::usage_of));
    let mut peaks = (0, 0);
    loop {
        let now = (process::usage(own), server.and_then(process::usage_of));
        peaks.0 = peaks.0.max(now.0.rss);
        peaks.1 = peaks.1.max(now.1.map_or(0, |usage| usage.rss));
        let next = run.now().saturating_add(super::run::nanos(EVERY));
        let is_last = window.to.is_some_and(|to| to <= next);
        let next = window.to.map_or(next, |to| to.min(next));
        tokio::select! {
            biased;
            () = run.stopped() => break,
            () = tokio::time::sleep_until(run.instant(next)) => {}
        }
        if is_last {
            break;
        }
    }
    let last = (run.now(), process::usage(own), server.and_then(process::usage_of));
    run.stop();
    let spent = |first: Usage, last: Usage, peak: u64| Process {
        cpu_seconds: (last.cpu.saturating_sub(first.cpu)).as_secs_f64(),
        peak_rss: peak.max(last.rss),
    };
    let pair = server.zip(first.2.zip(last.2));
    Watched {
        seconds: Duration::from_nanos(last.0.saturating_sub(first.0)).as_secs_f64(),
        client: spent(first.1, last.1, peaks.0),
        server: pair.map(|(pid, (first, last))| (pid, spent(first, last, peaks.1))),
    }
}
