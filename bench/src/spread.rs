//! How long something took, and how often it was done.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Spread {
    nanos: Histogram<u64>,
}

impl Spread {
    pub(crate) fn new() -> Self {
        let nanos = Histogram::new_with_bounds(1, 3_600_000_000_000, 3);
        Self { nanos: nanos.expect("the bounds are constants, and right") }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.saturating_record(nanos.max(1));
    }

    pub(crate) fn count(&self) -> u64 {
        self.nanos.len()
    }

    /// In milliseconds.
    pub(crate) fn to_json(&self) -> Value {
        let at = |quantile| millis(self.nanos.value_at_quantile(quantile));
        json!({
            "count": self.nanos.len(),
            "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
            "max": millis(self.nanos.max()),
        })
    }
}

fn millis(nanos: u64) -> f64 {
    real(nanos) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
pub(crate) const fn real(number: u64) -> f64 {
    number as f64
}
