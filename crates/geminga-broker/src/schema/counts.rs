//! What is done with schemas, by namespace, for metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use geminga_env::{Clock, Instant, Latencies, LatencyFigures};
use geminga_types::NamespaceName;

use crate::SchemaError;

/// Of how many namespaces is counted. Those that come later are not.
const NAMESPACES_MAX: usize = 1_000;

/// Which of the operations that take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Get,
    Put,
    Delete,
}

/// Counts of all namespaces.
#[derive(Debug, Default)]
pub(super) struct SchemaCounts(Mutex<BTreeMap<NamespaceName, Arc<OfNamespace>>>);

#[derive(Debug, Default)]
struct OfNamespace {
    done: [Latencies; 3],
    failed: [AtomicU64; 3],
    compatible: AtomicU64,
    incompatible: AtomicU64,
}

/// What was done with the schemas of a namespace's topics since the start.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaFigures {
    /// Whose.
    pub namespace: NamespaceName,
    /// Looked for, stored (or found to be stored) and deleted, by how long that took.
    pub done: [LatencyFigures; 3],
    /// How often each failed.
    pub failed: [u64; 3],
    /// Schemas that might follow those before them.
    pub compatible: u64,
    /// Schemas that might not, and those that a consumer could not read the topic with.
    pub incompatible: u64,
}

impl SchemaCounts {
    /// An operation that began at `began` is over.
    pub(super) fn note<T>(
        &self,
        namespace: &NamespaceName,
        operation: Operation,
        (began, clock): (Instant, &dyn Clock),
        result: &Result<T, SchemaError>,
    ) {
        let Some(counts) = self.of(namespace) else { return };
        match result {
            Ok(_) => {
                let now = clock.now();
                counts.done[operation as usize].note(now, now.saturating_duration_since(began));
            }
            // There is none: that is an answer.
            Err(SchemaError::NotFound(_)) => {}
            Err(_) => _ = counts.failed[operation as usize].fetch_add(1, Relaxed),
        }
    }

    /// A schema was compared with those that there are.
    pub(super) fn note_compared<T>(
        &self,
        namespace: &NamespaceName,
        result: &Result<T, SchemaError>,
    ) {
        let Some(counts) = self.of(namespace) else { return };
        match result {
            Ok(_) => _ = counts.compatible.fetch_add(1, Relaxed),
            Err(SchemaError::Incompatible(_)) => _ = counts.incompatible.fetch_add(1, Relaxed),
            Err(_) => {}
        }
    }

    /// By name.
    pub(super) fn figures(&self, now: Instant) -> Vec<SchemaFigures> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let figures = all.into_iter().map(|(namespace, counts)| SchemaFigures {
            namespace,
            done: counts.done.each_ref().map(|done| done.figures(now)),
            failed: counts.failed.each_ref().map(|failed| failed.load(Relaxed)),
            compatible: counts.compatible.load(Relaxed),
            incompatible: counts.incompatible.load(Relaxed),
        });
        figures.collect()
    }

    fn of(&self, namespace: &NamespaceName) -> Option<Arc<OfNamespace>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(namespace) {
            return Some(Arc::clone(found));
        }
        (all.len() < NAMESPACES_MAX).then(|| Arc::clone(all.entry(namespace.clone()).or_default()))
    }
}
