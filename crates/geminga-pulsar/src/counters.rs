//! What is counted over all connections, and the limits on their number.
//!
//! # Invariants
//!
//! 1. What is in use is given back by dropping its guard, never by hand.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use geminga_env::{Instant, Latencies, LatencyFigures};

use crate::Options;

/// Counters of the front door; cheap to share.
#[derive(Debug, Default)]
pub struct Counters {
    open: Mutex<Open>,
    lookups: AtomicUsize,
    created: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    connected: AtomicU64,
    not_connected: AtomicU64,
    malformed: AtomicU64,
    checksum_errors: AtomicU64,
    lookups_refused: AtomicU64,
    lookup_times: Latencies,
    lookups_failed: AtomicU64,
    paused: AtomicU64,
}

/// Connections open now.
#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// Which of the limits on connections is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitReached {
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
}

/// One connection's place among the open ones; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Admitted {
    counters: Arc<Counters>,
    address: IpAddr,
}

/// One lookup in progress; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Lookup(Arc<Counters>);

impl Counters {
    /// All counters, by their metric's name; sorted.
    #[must_use]
    pub fn metrics(&self) -> Vec<(&'static str, u64)> {
        let open = u64::try_from(self.lock().total).unwrap_or(u64::MAX);
        let lookups = self.lookups.load(Ordering::Relaxed);
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("geminga_pulsar_checksum_errors_total", counted(&self.checksum_errors)),
            ("geminga_pulsar_lookups_refused_total", counted(&self.lookups_refused)),
            ("geminga_pulsar_malformed_total", counted(&self.malformed)),
            ("geminga_pulsar_paused_total", counted(&self.paused)),
            ("pulsar_active_connections", open),
            ("pulsar_broker_lookup_failures_total", counted(&self.lookups_failed)),
            ("pulsar_broker_lookup_pending_requests", u64::try_from(lookups).unwrap_or(u64::MAX)),
            ("pulsar_broker_throttled_connections", counted(&self.refused)),
            ("pulsar_connection_closed_total_count", counted(&self.closed)),
            ("pulsar_connection_create_fail_count", counted(&self.not_connected)),
            ("pulsar_connection_create_success_count", counted(&self.connected)),
            ("pulsar_connection_created_total_count", counted(&self.created)),
        ]
    }

    /// Lookups that found their topic, by how long that took.
    #[must_use]
    pub fn lookups(&self, now: Instant) -> LatencyFigures {
        self.lookup_times.figures(now)
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lock().total
    }

    /// Takes a place for a connection from `address`.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        options: &Options,
    ) -> Result<Admitted, LimitReached> {
        self.created.fetch_add(1, Ordering::Relaxed);
        let mut open = self.lock();
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        let limits = [
            ("brokerMaxConnections", options.connections_max, open.total),
            ("brokerMaxConnectionsPerIp", options.connections_per_address_max, of_address),
            (
                "memoryLimitMb's share for connections",
                options.connections_in_memory_max,
                open.total,
            ),
        ];
        let refused = limits.into_iter().find(|(_, limit, value)| *limit != 0 && limit <= value);
        if let Some((what, limit, _)) = refused {
            drop(open);
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.closed.fetch_add(1, Ordering::Relaxed);
            return Err(LimitReached { what, limit });
        }
        open.total += 1;
        *open.by_address.entry(address).or_default() += 1;
        Ok(Admitted { counters: Arc::clone(self), address })
    }

    /// Begins a lookup, unless `max` are in progress.
    pub(crate) fn begin_lookup(self: &Arc<Self>, max: usize) -> Option<Lookup> {
        if max <= self.lookups.fetch_add(1, Ordering::Relaxed) {
            self.lookups.fetch_sub(1, Ordering::Relaxed);
            self.lookups_refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Lookup(Arc::clone(self)))
    }

    /// What became of a lookup, and how long it took.
    pub(crate) fn note_lookup(&self, now: Instant, took: Duration, is_found: bool) {
        if is_found {
            self.lookup_times.note(now, took);
        } else {
            self.lookups_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_handshake(&self, is_connected: bool) {
        let counter = if is_connected { &self.connected } else { &self.not_connected };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_checksum_error(&self) {
        self.checksum_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_paused(&self) {
        self.paused.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.counters.lock();
        open.total -= 1;
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
        drop(open);
        self.counters.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.0.lookups.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn places_are_limited_in_all_and_per_address_and_come_back() {
        let counters = Arc::new(Counters::default());
        let options =
            Options { connections_max: 3, connections_per_address_max: 2, ..Options::default() };
        let first = counters.admit(HERE, &options).unwrap();
        let _second = counters.admit(HERE, &options).unwrap();
        let refused = counters.admit(HERE, &options).unwrap_err();
        assert_eq!(refused, LimitReached { what: "brokerMaxConnectionsPerIp", limit: 2 });
        let _third = counters.admit(THERE, &options).unwrap();
        let refused = counters.admit(THERE, &options).unwrap_err();
        assert_eq!(refused, LimitReached { what: "brokerMaxConnections", limit: 3 });
        drop(first);
        let _fourth = counters.admit(HERE, &options).unwrap();
        assert!(counters.metrics().contains(&("pulsar_active_connections", 3)));
        assert!(counters.metrics().contains(&("pulsar_broker_throttled_connections", 2)));
    }

    #[test]
    fn memory_is_a_limit_too() {
        let counters = Arc::new(Counters::default());
        let options = Options { connections_in_memory_max: 1, ..Options::default() };
        let first = counters.admit(HERE, &options).unwrap();
        let refused = counters.admit(THERE, &options).unwrap_err();
        assert_eq!((refused.what, refused.limit), ("memoryLimitMb's share for connections", 1));
        drop(first);
        counters.admit(THERE, &options).unwrap();
    }

    #[test]
    fn zero_is_no_limit() {
        let counters = Arc::new(Counters::default());
        let options = Options::default();
        let open: Vec<_> = (0..100).map(|_| counters.admit(HERE, &options).unwrap()).collect();
        drop(open);
        assert!(counters.lock().by_address.is_empty());
        assert!(counters.metrics().contains(&("pulsar_active_connections", 0)));
    }

    #[test]
    fn lookups_end_when_dropped() {
        let counters = Arc::new(Counters::default());
        let first = counters.begin_lookup(1).unwrap();
        assert!(counters.begin_lookup(1).is_none());
        drop(first);
        assert!(counters.begin_lookup(1).is_some());
    }

    #[test]
    fn metrics_are_sorted() {
        assert!(Counters::default().metrics().is_sorted());
    }
}
