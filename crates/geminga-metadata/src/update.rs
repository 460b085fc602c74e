//! Read, decide, write; again when somebody was faster or the answer was lost.

use std::time::Duration;

use bytes::Bytes;

use crate::{Expected, Lifetime, MetadataError, MetadataStore, Versioned};

/// What to do with a key, and what to tell the caller when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<T> {
    /// Write these bytes.
    Write(Bytes, T),
    /// Delete it.
    Delete(T),
    /// It is well as it is.
    Leave(T),
}

const CONFLICTS_MAX: u32 = 100;
const OUTAGES_MAX: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Reads a key, lets `decide` look at it, and writes what it decided, if nobody has written since.
///
/// After a conflict or an outage it reads again and asks `decide` again. When the answer to a write
/// was lost and the key then holds exactly the bytes written, the write counts as made. So `decide`
/// must write bytes that another writer would not write by chance, or not mind: names and settings
/// are safe, a counter is not (use a sequence).
///
/// # Errors
///
/// The last [`MetadataError`] once it has tried often enough: `Conflict`, or `Unavailable`, after
/// which the data may or may not be written. Others at once.
///
/// # Cancel safety
///
/// When dropped, the write may have been made.
pub async fn update<T>(
    store: &dyn MetadataStore,
    path: &str,
    mut decide: impl FnMut(Option<&Versioned>) -> Decision<T>,
) -> Result<T, MetadataError> {
    let (mut conflicts, mut outages) = (0, 0);
    let mut unanswered: Option<(Written, T)> = None;
    loop {
        let error = match store.get(path).await {
            Ok(current) => {
                if let Some((written, answer)) = unanswered.take()
                    && written.is_seen_in(current.as_ref())
                {
                    return Ok(answer);
                }
                let (written, answer) = match decide(current.as_ref()) {
                    Decision::Leave(answer) => return Ok(answer),
                    Decision::Write(bytes, answer) => (Written::Bytes(bytes), answer),
                    Decision::Delete(answer) if current.is_none() => return Ok(answer),
                    Decision::Delete(answer) => (Written::Nothing, answer),
                };
                match written.write(store, path, current.as_ref()).await {
                    Ok(()) => return Ok(answer),
                    Err(error) => {
                        if matches!(error, MetadataError::Unavailable(_)) {
                            unanswered = Some((written, answer));
                        }
                        error
                    }
                }
            }
            Err(error) => error,
        };
        match error {
            // A delete whose key is gone: somebody was faster.
            MetadataError::Conflict { .. } | MetadataError::NotFound { .. }
                if conflicts < CONFLICTS_MAX =>
            {
                conflicts += 1;
            }
            MetadataError::Unavailable(_) if outages < OUTAGES_MAX => {
                tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(outages)).await;
                outages += 1;
            }
            error => return Err(error),
        }
    }
}

/// What a write leaves behind.
enum Written {
    Bytes(Bytes),
    Nothing,
}

impl Written {
    fn is_seen_in(&self, current: Option<&Versioned>) -> bool {
        match self {
            Self::Bytes(bytes) => current.is_some_and(|current| current.value == *bytes),
            Self::Nothing => current.is_none(),
        }
    }

    async fn write(
        &self,
        store: &dyn MetadataStore,
        path: &str,
        current: Option<&Versioned>,
    ) -> Result<(), MetadataError> {
        let expected = current.map_or(Expected::Absent, |current| Expected::At(current.version));
        match self {
            Self::Bytes(bytes) => {
                let write = store.put(path, bytes.clone(), expected, Lifetime::Persistent);
                write.await.map(|_| ())
            }
            Self::Nothing => store.delete(path, expected).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use geminga_env::BoxFuture;

    use super::*;
    use crate::{MemoryStore, Page, Version, Watch};

    /// Answers the planned calls of a write with an outage, after making it or not.
    #[derive(Debug, Default)]
    struct Lossy {
        inner: MemoryStore,
        lost_answers: AtomicU32,
        lost_writes: AtomicU32,
        expected: Mutex<Vec<Expected>>,
    }

    fn take(left: &AtomicU32) -> bool {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    impl MetadataStore for Lossy {
        fn get<'a>(
            &'a self,
            path: &'a str,
        ) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
            self.inner.get(path)
        }

        fn put<'a>(
            &'a self,
            path: &'a str,
            value: Bytes,
            expected: Expected,
            lifetime: Lifetime,
        ) -> BoxFuture<'a, Result<Version, MetadataError>> {
            Box::pin(async move {
                self.expected.lock().unwrap().push(expected);
                let outage = Err(MetadataError::Unavailable("test".to_owned()));
                if take(&self.lost_writes) {
                    return outage;
                }
                let answer = self.inner.put(path, value, expected, lifetime).await;
                if take(&self.lost_answers) { outage } else { answer }
            })
        }

        fn delete<'a>(
            &'a self,
            path: &'a str,
            expected: Expected,
        ) -> BoxFuture<'a, Result<(), MetadataError>> {
            self.inner.delete(path, expected)
        }

        fn children<'a>(
            &'a self,
            path: &'a str,
            after: Option<&'a str>,
            limit: usize,
        ) -> BoxFuture<'a, Result<Page, MetadataError>> {
            self.inner.children(path, after, limit)
        }

        fn next_in_sequence<'a>(
            &'a self,
            path: &'a str,
        ) -> BoxFuture<'a, Result<u64, MetadataError>> {
            self.inner.next_in_sequence(path)
        }

        fn watch(&self, prefix: &str) -> Watch {
            self.inner.watch(prefix)
        }
    }

    /// "Create it unless it exists": tells whether it did.
    async fn create(store: &Lossy) -> Result<bool, MetadataError> {
        update(store, "/a", |found| match found {
            Some(_) => Decision::Leave(false),
            None => Decision::Write(Bytes::from_static(b"mine"), true),
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_whose_answer_was_lost_counts_as_made() {
        let store = Lossy { lost_answers: AtomicU32::new(1), ..Lossy::default() };
        assert_eq!(create(&store).await, Ok(true));
        assert_eq!(create(&store).await, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_write_is_made_again() {
        let store = Lossy { lost_writes: AtomicU32::new(3), ..Lossy::default() };
        assert_eq!(create(&store).await, Ok(true));
        assert_eq!(*store.expected.lock().unwrap(), [Expected::Absent; 4]);
        assert_eq!(store.get("/a").await.unwrap().unwrap().value, "mine");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_without_end_is_told() {
        let store = Lossy { lost_writes: AtomicU32::new(u32::MAX), ..Lossy::default() };
        assert!(matches!(create(&store).await, Err(MetadataError::Unavailable(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_decided_anew() {
        let store = Arc::new(Lossy::default());
        let mut seen = Vec::new();
        let outcome = update(store.as_ref(), "/a", |found| {
            seen.push(found.map(|found| found.value.clone()));
            if seen.len() == 1 {
                let sneak = store.inner.put(
                    "/a",
                    Bytes::from_static(b"theirs"),
                    Expected::Any,
                    Lifetime::Persistent,
                );
                futures_util::FutureExt::now_or_never(sneak).unwrap().unwrap();
            }
            Decision::Delete(())
        });
        outcome.await.unwrap();
        // The first decision saw nothing, so there was nothing to delete.
        assert_eq!(seen, [None]);
        update(store.as_ref(), "/a", |found| match found {
            Some(_) => Decision::Delete(()),
            None => Decision::Leave(()),
        })
        .await
        .unwrap();
        assert_eq!(store.get("/a").await.unwrap(), None);
    }
}
