//! Holds a loop to a rate.

use std::time::Duration;

use geminga_env::{Env, Instant};

/// Spaces events evenly; without a rate they come as fast as they can.
#[derive(Debug)]
pub(super) struct Pace {
    next: Option<(Instant, Duration)>,
}

impl Pace {
    /// So many events per second; 0 for no limit.
    pub(super) fn new(env: &Env, per_second: f64) -> Self {
        let interval = (0.0 < per_second).then(|| Duration::try_from_secs_f64(per_second.recip()));
        let interval = interval.and_then(Result::ok);
        Self { next: interval.map(|interval| (env.clock.now(), interval)) }
    }

    /// Waits for the next event's turn; one that is late does not make up for it.
    pub(super) async fn turn(&mut self, env: &Env) {
        if let Some((at, interval)) = &mut self.next {
            tokio::time::sleep_until(*at).await;
            *at = (*at).max(env.clock.now()) + *interval;
        }
    }
}

/// Reads a rate: a number, 0 or more.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    let smallest = 1e-6;
    if rate == 0.0 || (rate.is_finite() && smallest <= rate) {
        Ok(rate)
    } else {
        Err("expected a number, 0 or more".to_owned())
    }
}
