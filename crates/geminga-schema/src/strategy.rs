//! Which schemas may follow each other.

use std::{fmt, str::FromStr};

/// A compatibility strategy, by Pulsar's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Nothing may change.
    AlwaysIncompatible,
    /// Everything may, the kind too.
    AlwaysCompatible,
    /// What the version before wrote can be read by the new one.
    Backward,
    /// What the new one writes can be read by the version before.
    Forward,
    /// Both.
    Full,
    /// As `Backward`, for all versions before.
    BackwardTransitive,
    /// As `Forward`, for all versions before.
    ForwardTransitive,
    /// As `Full`, for all versions before.
    FullTransitive,
}

/// A name that is no strategy's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no compatibility strategy: expected ALWAYS_INCOMPATIBLE, ALWAYS_COMPATIBLE, BACKWARD, \
     FORWARD, FULL, BACKWARD_TRANSITIVE, FORWARD_TRANSITIVE or FULL_TRANSITIVE"
)]
pub struct UnknownStrategy(pub String);

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AlwaysIncompatible,
        Self::AlwaysCompatible,
        Self::Backward,
        Self::Forward,
        Self::Full,
        Self::BackwardTransitive,
        Self::ForwardTransitive,
        Self::FullTransitive,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlwaysIncompatible => "ALWAYS_INCOMPATIBLE",
            Self::AlwaysCompatible => "ALWAYS_COMPATIBLE",
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
            Self::Full => "FULL",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// The name of the older policy `schema_auto_update_compatibility_strategy`.
    #[must_use]
    pub const fn as_auto_update(self) -> &'static str {
        match self {
            Self::AlwaysIncompatible => "AutoUpdateDisabled",
            Self::AlwaysCompatible => "AlwaysCompatible",
            Self::Backward => "Backward",
            Self::Forward => "Forward",
            Self::Full => "Full",
            Self::BackwardTransitive => "BackwardTransitive",
            Self::ForwardTransitive => "ForwardTransitive",
            Self::FullTransitive => "FullTransitive",
        }
    }

    /// The strategy that the older policy of that name means.
    #[must_use]
    pub fn from_auto_update(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_auto_update() == name)
    }

    /// Whether all versions count, or the last one alone.
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// Whether a new schema must read what an old one wrote.
    pub(crate) const fn looks_back(self) -> bool {
        matches!(
            self,
            Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive
        )
    }

    /// Whether an old schema must read what a new one writes.
    pub(crate) const fn looks_forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.as_str() == name);
        found.ok_or_else(|| UnknownStrategy(name.to_owned()))
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_lead_back() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
            assert_eq!(Strategy::from_auto_update(strategy.as_auto_update()), Some(strategy));
        }
        assert_eq!("UNDEFINED".parse::<Strategy>(), Err(UnknownStrategy("UNDEFINED".to_owned())));
        assert_eq!(Strategy::from_auto_update("FULL"), None);
    }
}
