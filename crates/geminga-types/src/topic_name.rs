//! Names of tenants, namespaces and topics, parsed as Pulsar's clients write them.

use std::{fmt, str::FromStr, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What survives Java's `URLEncoder` unchanged; Pulsar encodes topic names in metadata paths so.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_');

const PARTITION_INFIX: &str = "-partition-";

/// Whether a topic's messages are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// `persistent://`: stored in ledgers.
    Persistent,
    /// `non-persistent://`: handed to whoever is connected.
    NonPersistent,
}

/// `tenant/namespace`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceName {
    full: Arc<str>,
    tenant_len: usize,
}

/// `persistent://tenant/namespace/topic`, with `-partition-N` when it is a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName {
    domain: Domain,
    namespace: NamespaceName,
    local: Arc<str>,
}

/// Why a text is not a name. The message goes to the client as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not `tenant/namespace`.
    #[error("Invalid namespace format. expected <tenant>/<namespace>, got: {0:?}")]
    Namespace(String),
    /// Not one of the accepted topic forms.
    #[error(
        "Invalid topic name {0:?}: expected <topic>, <tenant>/<namespace>/<topic> or \
         persistent://<tenant>/<namespace>/<topic> (or non-persistent://)"
    )]
    Topic(String),
    /// The form with a cluster in it, which Pulsar dropped.
    #[error(
        "Invalid topic name {given:?}: V1 topic names (with a cluster) are no longer supported. \
         Please use the V2 format: {v2:?}"
    )]
    V1 {
        /// What was asked for.
        given: String,
        /// The same without the cluster.
        v2: String,
    },
    /// A name that could not be stored under.
    #[error("Invalid {kind} name: {bytes} bytes when encoded, the limit is {NAME_BYTES_MAX}")]
    TooLong {
        /// Of what.
        kind: &'static str,
        /// Its length, as the metadata store would hold it.
        bytes: usize,
    },
    /// A name that would break lines of logs and of lists.
    #[error("Invalid {kind} name {name:?}: it has a control character")]
    Control {
        /// Of what.
        kind: &'static str,
        /// What was given.
        name: String,
    },
}

/// Longest name of a topic or a subscription, in bytes, encoded: with the others of its path it must
/// fit into a key of the metadata store.
pub const NAME_BYTES_MAX: usize = 1_536;

/// Whether a subscription can have this name.
///
/// # Errors
///
/// If it is too long or has control characters.
pub fn check_subscription_name(name: &str) -> Result<(), InvalidName> {
    check("subscription", name)
}

fn check(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    if name.contains(char::is_control) {
        // Of a long one, the beginning tells enough.
        let name = name.chars().take(256).collect();
        return Err(InvalidName::Control { kind, name });
    }
    let bytes = encode(name).len();
    if NAME_BYTES_MAX < bytes {
        return Err(InvalidName::TooLong { kind, bytes });
    }
    Ok(())
}

impl Domain {
    /// `persistent` or `non-persistent`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Persistent => "persistent",
            Self::NonPersistent => "non-persistent",
        }
    }
}

impl NamespaceName {
    /// Joins a tenant and a namespace.
    ///
    /// # Errors
    ///
    /// If either is not made of Pulsar's name characters (letters, digits and `-=:._%`).
    pub fn new(tenant: &str, local: &str) -> Result<Self, InvalidName> {
        if is_entity_name(tenant) && is_entity_name(local) {
            let full = Arc::from(format!("{tenant}/{local}"));
            Ok(Self { full, tenant_len: tenant.len() })
        } else {
            Err(InvalidName::Namespace(format!("{tenant}/{local}")))
        }
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.full[..self.tenant_len]
    }

    /// The namespace without its tenant.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.full[self.tenant_len + 1..]
    }

    /// `tenant/namespace`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }
}

impl TopicName {
    /// Joins the parts; `local` is taken as it is, decoded.
    ///
    /// # Errors
    ///
    /// If `local` is empty or too long, or has control characters.
    pub fn new(domain: Domain, namespace: NamespaceName, local: &str) -> Result<Self, InvalidName> {
        if local.is_empty() {
            return Err(InvalidName::Topic(format!("{domain}://{namespace}/")));
        }
        check("topic", local)?;
        Ok(Self { domain, namespace, local: Arc::from(local) })
    }

    /// Whether its messages are stored.
    #[must_use]
    pub const fn domain(&self) -> Domain {
        self.domain
    }

    /// The namespace it lives in.
    #[must_use]
    pub const fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    /// The last part, with `-partition-N` if it is a partition; decoded.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The last part as metadata paths hold it: encoded as Java's `URLEncoder` does.
    #[must_use]
    pub fn encoded_local(&self) -> String {
        encode(&self.local)
    }

    /// Which partition this is, or `None` for a topic that is not one.
    #[must_use]
    pub fn partition(&self) -> Option<u32> {
        let (_, digits) = self.local.rsplit_once(PARTITION_INFIX)?;
        let is_canonical = digits == "0" || !digits.starts_with(['0', '+']);
        digits.parse().ok().filter(|_| is_canonical)
    }

    /// The partitioned topic a partition belongs to; itself when it is not a partition.
    #[must_use]
    pub fn without_partition(&self) -> Self {
        match self.partition() {
            Some(_) => {
                let at = self.local.rfind(PARTITION_INFIX).unwrap_or(self.local.len());
                Self { local: Arc::from(&self.local[..at]), ..self.clone() }
            }
            None => self.clone(),
        }
    }

    /// The name of partition `index` of this topic.
    #[must_use]
    pub fn with_partition(&self, index: u32) -> Self {
        let local = format!("{}{PARTITION_INFIX}{index}", self.local);
        Self { local: Arc::from(local), ..self.clone() }
    }
}

/// Encodes a name for a metadata path, as Java's `URLEncoder` does (space becomes `+`).
#[must_use]
pub(crate) fn encode(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string().replace("%20", "+")
}

fn is_entity_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-=:._%".contains(c);
    !name.is_empty() && name != "." && name != ".." && name.chars().all(is_allowed)
}

impl FromStr for NamespaceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('/') {
            Some((tenant, local)) if !local.contains('/') => Self::new(tenant, local),
            _ => Err(InvalidName::Namespace(text.to_owned())),
        }
    }
}

impl FromStr for TopicName {
    type Err = InvalidName;

    /// Parses `topic`, `tenant/ns/topic` and the full form with its domain.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::Topic(text.to_owned());
        let (domain, rest) = match text.split_once("://") {
            None => (Domain::Persistent, text),
            Some(("persistent", rest)) => (Domain::Persistent, rest),
            Some(("non-persistent", rest)) => (Domain::NonPersistent, rest),
            Some(_) => return Err(invalid()),
        };
        let is_short = !text.contains("://");
        let parts: Vec<&str> = rest.splitn(4, '/').collect();
        let (tenant, namespace, local) = match *parts.as_slice() {
            [local] if is_short => ("public", "default", local),
            [tenant, namespace, local] => (tenant, namespace, local),
            [tenant, _cluster, namespace, local] => {
                let v2 = format!("{domain}://{tenant}/{namespace}/{local}");
                return Err(InvalidName::V1 { given: text.to_owned(), v2 });
            }
            _ => return Err(invalid()),
        };
        let namespace = NamespaceName::new(tenant, namespace)?;
        Self::new(domain, namespace, local).map_err(|error| match error {
            InvalidName::Topic(_) => invalid(),
            other => other,
        })
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.domain, self.namespace, self.local)
    }
}

#[cfg(test)]
mod tests;
