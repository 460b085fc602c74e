//! Whether a schema may follow those before it, and whether a consumer may come with one.

use crate::{Definition, Kind, Strategy, avro, content::Content, key_value, limits};

/// Why a schema does not go with those that there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incompatible(String);

/// How much of the work that a check may take is done, and how deep it is.
#[derive(Debug, Default)]
pub struct Steps {
    done: usize,
    depth: usize,
}

/// Who reads what, of an old version and a new one.
#[derive(Clone, Copy)]
enum Reading {
    /// The new one reads what the old one wrote.
    Old,
    /// The old one reads what the new one writes.
    New,
}

impl Incompatible {
    pub(crate) fn new(reason: String) -> Self {
        Self(limits::shortened(reason))
    }

    pub(crate) fn inside(self, part: &str) -> Self {
        Self::new(format!("its {part}: {}", self.0))
    }
}

impl Steps {
    /// One step.
    pub(crate) fn count(&mut self) -> Result<(), String> {
        if limits::STEPS_MAX <= self.done {
            return Err(format!("comparing takes more than {} steps", limits::STEPS_MAX));
        }
        self.done += 1;
        Ok(())
    }

    /// So many steps.
    pub(crate) fn count_all(&mut self, steps: usize) -> Result<(), String> {
        self.done = self.done.saturating_add(steps);
        self.count()
    }

    /// One step, one level deeper.
    pub(crate) fn enter(&mut self) -> Result<(), String> {
        if limits::DEPTH_MAX <= self.depth {
            return Err(too_deep());
        }
        self.count()?;
        self.depth += 1;
        Ok(())
    }

    /// Back from it, if it was entered.
    pub(crate) const fn leave(&mut self) {
        self.depth -= 1;
    }
}

pub(crate) fn too_deep() -> String {
    format!("types are nested more than {} deep", limits::DEPTH_MAX)
}

/// Checks whether `new` may be the next version after `existing`, oldest first.
///
/// # Errors
///
/// Why not: the version that it does not go with, and the field.
pub fn check_next(
    strategy: Strategy,
    existing: &[Definition<'_>],
    new: &Definition<'_>,
) -> Result<(), Incompatible> {
    if strategy == Strategy::AlwaysCompatible {
        return Ok(());
    }
    let counted = if strategy.is_transitive() { existing } else { last(existing) };
    check_against(strategy, existing.len() - counted.len(), counted, new)
}

/// Checks whether a consumer may come with `wanted`, which is not stored. It reads what there is, so
/// that the strategies that look at the last version ask no more than that it can.
///
/// # Errors
///
/// Why not.
pub fn check_consumer(
    strategy: Strategy,
    existing: &[Definition<'_>],
    wanted: &Definition<'_>,
) -> Result<(), Incompatible> {
    let latest = last(existing);
    match strategy {
        Strategy::AlwaysCompatible => Ok(()),
        Strategy::Backward | Strategy::Forward | Strategy::ForwardTransitive | Strategy::Full => {
            check_against(Strategy::Backward, existing.len() - latest.len(), latest, wanted)
        }
        // Where nothing may change, the topic's own schema is fine.
        Strategy::AlwaysIncompatible if wanted.find_same(latest).is_some() => Ok(()),
        Strategy::AlwaysIncompatible | Strategy::BackwardTransitive | Strategy::FullTransitive => {
            check_against(strategy, 0, existing, wanted)
        }
    }
}

fn last<'all, 'data>(existing: &'all [Definition<'data>]) -> &'all [Definition<'data>] {
    &existing[existing.len().saturating_sub(1)..]
}

fn check_against(
    strategy: Strategy,
    first: usize,
    existing: &[Definition<'_>],
    new: &Definition<'_>,
) -> Result<(), Incompatible> {
    let numbered: Vec<_> = (first..).zip(existing).collect();
    if let Some((_, other)) = numbered.iter().find(|(_, other)| other.kind != new.kind) {
        return Err(Incompatible::new(format!(
            "exists schema type {}, new schema type {}",
            other.kind, new.kind
        )));
    }
    let differing: Vec<_> =
        numbered.into_iter().filter(|(_, other)| !other.is_identical(new)).collect();
    check_kind_alike(strategy, &differing, new, &mut Steps::default())
}

/// The same for versions that are all of the kind of the new one.
pub(crate) fn check_kind_alike(
    strategy: Strategy,
    existing: &[(usize, &Definition<'_>)],
    new: &Definition<'_>,
    steps: &mut Steps,
) -> Result<(), Incompatible> {
    match new.kind {
        _ if existing.is_empty() => Ok(()),
        Kind::EXTERNAL => Ok(()),
        Kind::KEY_VALUE => key_value::check_next(strategy, existing, new, steps),
        _ if strategy == Strategy::AlwaysIncompatible => check_unchanged(existing, new),
        _ => {
            let read = Content::read(new).map_err(Incompatible::new)?;
            existing.iter().try_for_each(|(version, old)| {
                let Ok(old) = Content::read(old) else { return Ok(()) };
                check_pair(strategy, &old, &read, steps).map_err(|why| {
                    Incompatible::new(format!("version {version}, {strategy}: {why}"))
                })
            })
        }
    }
}

fn check_unchanged(
    existing: &[(usize, &Definition<'_>)],
    new: &Definition<'_>,
) -> Result<(), Incompatible> {
    match existing.iter().find(|(_, old)| old.data != new.data) {
        None => Ok(()),
        Some((version, _)) => {
            let strategy = Strategy::AlwaysIncompatible;
            Err(Incompatible::new(format!("version {version}, {strategy}: nothing may change")))
        }
    }
}

fn check_pair(
    strategy: Strategy,
    old: &Content,
    new: &Content,
    steps: &mut Steps,
) -> Result<(), String> {
    match (old, new) {
        (Content::Avro(old), Content::Avro(new)) => {
            if strategy.looks_back() {
                avro::can_read(old, new, steps).map_err(|why| Reading::Old.explain(&why))?;
            }
            if strategy.looks_forward() {
                avro::can_read(new, old, steps).map_err(|why| Reading::New.explain(&why))?;
            }
            Ok(())
        }
        (Content::LegacyJson { id: old }, Content::LegacyJson { id: new }) if old != new => {
            Err("the \"id\" of the class is another".to_owned())
        }
        (Content::Native { root: old }, Content::Native { root: new }) if old != new => {
            Err(format!("the root message may not change, from {old} to {new}"))
        }
        // Definitions of JSON in the two forms may follow each other.
        _ => Ok(()),
    }
}

impl Reading {
    fn explain(self, why: &str) -> String {
        match self {
            Self::Old => format!("the new schema can't read what the old one wrote, {why}"),
            Self::New => format!("the old schema can't read what the new one writes, {why}"),
        }
    }
}
