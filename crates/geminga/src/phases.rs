//! Appends the beginnings and ends of phases to a file, so that a crash test can tell which of them a
//! kill fell into. Lines are `B name` and `E name`; the page cache keeps them through a kill.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use geminga_bookie_storage::{StorageEvent, Trace};
use geminga_broker::PhaseHook;
use geminga_env::{Env, File, disk::OpenMode};

/// The trace file.
#[derive(Clone, Debug)]
pub(crate) struct Phases(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    file: Box<dyn File>,
    end: u64,
}

impl Phases {
    /// Opens the file; none when `path` is empty.
    pub(crate) fn open(env: &Env, path: &str) -> anyhow::Result<Option<Self>> {
        if path.is_empty() {
            return Ok(None);
        }
        let opened = env.disk.open(Path::new(path), OpenMode::CreateOrOpen);
        let file = opened.with_context(|| format!("phaseTraceFile={path}"))?;
        let end = file.len()?;
        Ok(Some(Self(Arc::new(Mutex::new(Lines { file, end })))))
    }

    fn note(&self, phase: &str, begins: bool) {
        let line = format!("{} {phase}\n", if begins { 'B' } else { 'E' });
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = lines.end;
        if lines.file.write_at(line.as_bytes(), end).is_ok() {
            lines.end += line.len() as u64;
        }
    }

    /// The hook of the bookie's storage.
    pub(crate) fn of_storage(&self) -> Trace {
        let phases = self.clone();
        Trace(Arc::new(move |event| {
            let (phase, begins) = match event {
                StorageEvent::Begin(phase) => (phase, true),
                StorageEvent::End(phase) => (phase, false),
            };
            phases.note(&format!("{phase:?}").to_ascii_lowercase(), begins);
        }))
    }

    /// The hook of the broker.
    pub(crate) fn of_broker(&self) -> PhaseHook {
        let phases = self.clone();
        PhaseHook(Arc::new(move |phase, begins| phases.note(phase, begins)))
    }
}
