//! Answer of `/lookup/v2/topic/…`.

use serde::{Deserialize, Serialize};

/// Which broker serves a topic. Every key is always written, null where there is nothing: a missing
/// `brokerUrlTls` is malformed to the C++ client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LookupData {
    /// `pulsar://…`.
    pub broker_url: Option<String>,
    /// `pulsar+ssl://…`.
    pub broker_url_tls: Option<String>,
    /// `http://…`.
    pub http_url: Option<String>,
    /// `https://…`.
    pub http_url_tls: Option<String>,
    /// The same as `brokerUrl`, for clients of old.
    pub native_url: Option<String>,
}
