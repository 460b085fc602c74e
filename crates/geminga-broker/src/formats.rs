//! In which form a cluster keeps what Apache Pulsar keeps in ledgers and topics: cursors, policies,
//! schemas, deduplication. Recorded once per cluster, so that brokers that would not understand
//! each other's state do not share it.
//!
//! # Invariants
//!
//! 1. A broker serves nothing before every kind is recorded in the form that it keeps.
//! 2. A record is never changed.

use geminga_ledger::Deps;
use geminga_metadata::paths;
use serde::{Deserialize, Serialize};

use crate::{StartError, namespace::record};

/// The kinds of state that have a form of ours: a log, or metadata, where Pulsar has ledgers and
/// topics.
const KINDS: [&str; 4] = ["cursors", "policies", "schemas", "dedup"];

/// The form of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    form: String,
    version: u32,
}

/// Records the forms that this broker keeps where none is recorded.
///
/// # Errors
///
/// If the cluster keeps another form of something, or something that is not known here.
pub(crate) async fn ensure(deps: &Deps) -> Result<(), StartError> {
    for kind in record::children(deps, paths::FORMATS).await? {
        if !KINDS.contains(&kind.as_str()) {
            return Err(StartError::UnknownFormat { key: paths::formats(&kind) });
        }
    }
    let ours = Format { form: "geminga".to_owned(), version: 1 };
    for kind in KINDS {
        let key = paths::formats(kind);
        let found = record::change::<Format, StartError>(deps, &key, |found| {
            Ok(found.is_none().then(|| ours.clone()))
        })
        .await?;
        let found = found.unwrap_or_else(|| ours.clone());
        if found != ours {
            let Format { form, version } = found;
            return Err(StartError::OtherFormat { kind, key, form, version });
        }
    }
    Ok(())
}
