//! A metadata store in memory that fails on command and in bad weather.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use geminga_env::BoxFuture;
use geminga_metadata::{
    Expected, Lifetime, MetadataError, MetadataStore, Page, Version, Versioned, Watch,
};
use tokio::{sync::mpsc, time::timeout};

use crate::bookie::Weather;

/// What happens to a put, in order of the puts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Not made, unavailable.
    Unmade,
    /// Made, and answered as unavailable.
    Made,
    /// Another writer puts this first.
    Before(Bytes),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) values: BTreeMap<String, (Bytes, i64)>,
    sequences: BTreeMap<String, u64>,
    pub(crate) faults: VecDeque<Fault>,
    /// Whether every read is followed by another's write of the same value.
    pub(crate) is_busy: bool,
    pub(crate) puts: usize,
    pub(crate) gets: usize,
}

#[derive(Debug)]
pub(crate) struct FakeStore {
    weather: Arc<Weather>,
    state: Mutex<State>,
}

impl FakeStore {
    pub(crate) fn new(weather: Arc<Weather>) -> Self {
        Self { weather, state: Mutex::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// A store gives its calls a deadline.
async fn in_time(call: impl Future<Output = bool>) -> bool {
    timeout(Duration::from_secs(10), call).await.unwrap_or(false)
}

fn unavailable<T>() -> Result<T, MetadataError> {
    Err(MetadataError::Unavailable("connection loss".to_owned()))
}

impl State {
    fn put(
        &mut self,
        path: &str,
        value: Bytes,
        expected: Expected,
    ) -> Result<Version, MetadataError> {
        self.puts += 1;
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        if fault == Fault::Unmade {
            return unavailable();
        }
        if let Fault::Before(other) = &fault {
            let version = self.values.get(path).map_or(0, |(_, version)| version + 1);
            self.values.insert(path.to_owned(), (other.clone(), version));
        }
        let found = self.values.get(path).map(|(_, version)| *version);
        let next = match (expected, found) {
            (Expected::At(_), None) => {
                return Err(MetadataError::NotFound { path: path.to_owned() });
            }
            (Expected::Any, found) => found.map_or(0, |version| version + 1),
            (Expected::Absent, None) => 0,
            (Expected::At(version), Some(found)) if version.0 == found => found + 1,
            _ => return Err(MetadataError::Conflict { path: path.to_owned() }),
        };
        self.values.insert(path.to_owned(), (value, next));
        if fault == Fault::Made { unavailable() } else { Ok(Version(next)) }
    }
}

impl MetadataStore for FakeStore {
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
        Box::pin(async move {
            if !in_time(self.weather.request()).await {
                return unavailable();
            }
            let mut state = self.state();
            state.gets += 1;
            let found = state.values.get(path).cloned();
            if state.is_busy
                && let Some((_, version)) = state.values.get_mut(path)
            {
                *version += 1;
            }
            Ok(found.map(|(value, version)| Versioned { value, version: Version(version) }))
        })
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        _: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>> {
        Box::pin(async move {
            if !in_time(self.weather.request()).await {
                return unavailable();
            }
            let result = self.state().put(path, value, expected);
            if in_time(self.weather.answer()).await { result } else { unavailable() }
        })
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        _: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(async move {
            let found = self.state().values.remove(path);
            found.map(|_| ()).ok_or_else(|| MetadataError::NotFound { path: path.to_owned() })
        })
    }

    fn children<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>> {
        Box::pin(async { Ok(Page { names: Vec::new(), more: false }) })
    }

    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>> {
        Box::pin(async move {
            let mut state = self.state();
            let next = state.sequences.entry(path.to_owned()).or_default();
            *next += 1;
            Ok(*next - 1)
        })
    }

    fn watch(&self, _: &str) -> Watch {
        mpsc::channel(1).1
    }
}
