//! Whether the server's ports are free, or it is a server of ours that has them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use geminga_env::Env;

use super::Finding;
use crate::{admin_client::AdminClient, config::Config};

const NAME: &str = "ports";
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn check(env: &Env, config: &Config) -> Vec<Finding> {
    // That it is no address was said of the configuration.
    let Ok(address) = config.bind_address.parse::<IpAddr>() else { return Vec::new() };
    let ports = [
        ("brokerServicePort", config.broker_service_port),
        ("webServicePort", config.web_service_port),
    ];
    let mut findings = Vec::new();
    let mut free = Vec::new();
    let mut taken = Vec::new();
    for (key, port) in ports {
        let address = SocketAddr::new(address, port);
        match env.net.listen(address).await {
            Ok(_) => free.push(port.to_string()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken.push((key, address)),
            Err(error) => {
                let found = format!("{key}: {address} cannot be bound: {error}");
                let change = "name an address of this machine with bindAddress, and a port that \
                              the user of the server may have";
                findings.push(Finding::problem(NAME, found, change));
            }
        }
    }
    if !taken.is_empty() {
        findings.extend(of_taken(taken, serves(env, config).await));
    }
    if !free.is_empty() {
        findings.push(Finding::ok(NAME, format!("free: {}", free.join(", "))));
    }
    findings
}

fn of_taken(taken: Vec<(&'static str, SocketAddr)>, is_ours: bool) -> Vec<Finding> {
    let each = taken.into_iter().map(|(key, address)| match is_ours {
        true => Finding::ok(NAME, format!("{key}: {address} is in use; a server works there")),
        false => {
            let found = format!("{key}: {address} is in use by another program");
            Finding::problem(NAME, found, format!("end that program, or choose another {key}"))
        }
    });
    each.collect()
}

/// Whether a server answers at the web port.
async fn serves(env: &Env, config: &Config) -> bool {
    let host = match config.bind_address.as_str() {
        "0.0.0.0" | "::" => "localhost",
        address => address,
    };
    let url = format!("http://{host}:{}", config.web_service_port);
    let client = AdminClient::new(env, &url, PATIENCE);
    client.ask("GET", "/admin/v2/brokers/version", "").await.is_ok()
}
