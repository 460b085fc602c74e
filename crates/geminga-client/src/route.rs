//! Where brokers are: `pulsar://host:port`, as a service URL (several hosts) or of one broker.

use crate::ClientError;

const SCHEME: &str = "pulsar://";
const SCHEME_TLS: &str = "pulsar+ssl://";
const PORT: u16 = 6650;

/// How to reach a broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    /// What to dial: `host:port`.
    pub(crate) address: String,
    /// The broker behind a proxy at that address.
    pub(crate) proxy_to: Option<String>,
}

impl Route {
    pub(crate) const fn to(address: String) -> Self {
        Self { address, proxy_to: None }
    }
}

/// The addresses in a service URL, at least one: `pulsar://host[:port][,host[:port]…][/]`.
pub(crate) fn parse_service_url(url: &str) -> Result<Vec<String>, ClientError> {
    let invalid = |reason| ClientError::InvalidServiceUrl { url: url.to_owned(), reason };
    if url.starts_with(SCHEME_TLS) {
        return Err(invalid("TLS is not supported by this client; use pulsar://host:port"));
    }
    let hosts = url.strip_prefix(SCHEME).ok_or_else(|| invalid("expected pulsar://host:port"))?;
    let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
    hosts.split(',').map(|host| address_of(host.trim()).map_err(invalid)).collect()
}

/// The address of the one broker in `url`.
pub(crate) fn parse_broker_url(url: &str) -> Result<String, ClientError> {
    let mut addresses = parse_service_url(url)?;
    match (addresses.pop(), addresses.is_empty()) {
        (Some(address), true) => Ok(address),
        _ => {
            let reason = "expected one host";
            Err(ClientError::InvalidServiceUrl { url: url.to_owned(), reason })
        }
    }
}

fn address_of(host: &str) -> Result<String, &'static str> {
    let is_bare_v6 = host.starts_with('[') && host.ends_with(']');
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !is_bare_v6 => (name, port.parse().map_err(|_| "invalid port")?),
        _ => (host, PORT),
    };
    let is_name = |c: char| c.is_alphanumeric() || "-._".contains(c);
    let is_v6 = name.len() > 2 && name.starts_with('[') && name.ends_with(']');
    if name.is_empty() {
        Err("the host is missing")
    } else if port == 0 {
        Err("invalid port")
    } else if is_v6 || name.chars().all(is_name) {
        Ok(format!("{name}:{port}"))
    } else {
        Err("invalid host")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_urls_name_one_or_more_hosts() {
        let parsed = |url| parse_service_url(url).unwrap();
        assert_eq!(parsed("pulsar://localhost:6650"), ["localhost:6650"]);
        assert_eq!(parsed("pulsar://localhost/"), ["localhost:6650"]);
        assert_eq!(parsed("pulsar://a:1,b, c_d.e:3"), ["a:1", "b:6650", "c_d.e:3"]);
        assert_eq!(parsed("pulsar://[::1]:7,[fe80::1]"), ["[::1]:7", "[fe80::1]:6650"]);
    }

    #[test]
    fn others_are_refused() {
        let refused = [
            "",
            "localhost:6650",
            "http://localhost:8080",
            "pulsar+ssl://localhost:6651",
            "pulsar://",
            "pulsar://:6650",
            "pulsar://a:0",
            "pulsar://a:66500",
            "pulsar://a:x",
            "pulsar://a/b",
            "pulsar://a,",
            "pulsar://[]:1",
            "pulsar://a b",
        ];
        for url in refused {
            assert!(parse_service_url(url).is_err(), "{url:?}");
        }
        assert!(parse_broker_url("pulsar://a,b").is_err());
        assert_eq!(parse_broker_url("pulsar://a:1").unwrap(), "a:1");
    }
}
