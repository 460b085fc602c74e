//! What clients are told of where this broker is.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::bail;
use geminga_broker::{Advertised, Listener};

use crate::config::Config;

/// The URLs, with the ports that were really bound.
pub(crate) fn advertised(
    config: &Config,
    broker: SocketAddr,
    web: SocketAddr,
) -> anyhow::Result<Advertised> {
    let host = match config.advertised_address.as_str() {
        "" => "localhost",
        host => host,
    };
    Ok(Advertised {
        broker_url: format!("pulsar://{host}:{}", broker.port()),
        broker_url_tls: None,
        http_url: format!("http://{host}:{}", web.port()),
        http_url_tls: None,
        listeners: listeners(&config.advertised_listeners)?,
    })
}

/// `name:pulsar://host:port,name:pulsar+ssl://host:port,…`, two URLs of one name are one listener.
fn listeners(text: &str) -> anyhow::Result<BTreeMap<String, Listener>> {
    let mut listeners: BTreeMap<String, Listener> = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((name, url)) = part.split_once(':') else {
            bail!("advertisedListeners: expected name:pulsar://host:port, found {part:?}");
        };
        let listener = listeners.entry(name.trim().to_owned()).or_default();
        let slot = if url.starts_with("pulsar://") {
            &mut listener.url
        } else if url.starts_with("pulsar+ssl://") {
            &mut listener.url_tls
        } else {
            bail!(
                "advertisedListeners: {name}: expected pulsar://host:port or \
                 pulsar+ssl://host:port, found {url:?}"
            );
        };
        if slot.replace(url.to_owned()).is_some() {
            bail!("advertisedListeners: {name} has two URLs of one scheme");
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_have_a_plain_and_a_tls_url() {
        let found = listeners("a:pulsar://h:1, a:pulsar+ssl://h:2,b:pulsar://i:3").unwrap();
        let url = |text: &str| Some(text.to_owned());
        let both = Listener { url: url("pulsar://h:1"), url_tls: url("pulsar+ssl://h:2") };
        assert_eq!(found["a"], both);
        assert_eq!(found["b"], Listener { url: url("pulsar://i:3"), url_tls: None });
        for bad in ["a", "a:http://h:1", "a:pulsar://h:1,a:pulsar://h:2"] {
            assert!(listeners(bad).is_err(), "{bad}");
        }
    }
}
