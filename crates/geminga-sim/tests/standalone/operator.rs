//! An operator at the admin API: creates, deletes, unloads, and looks at stats.
//!
//! What a 204 said must be so afterwards, also after a power loss. What had no answer may be so or not.

use std::{io, time::Duration};

use geminga_env::net::Net as _;
use rand::{Rng as _, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};

use crate::clients::{Clients, host};

const WEB: &str = "127.0.0.1:8080";
const PATIENCE: Duration = Duration::from_secs(5);
/// Topics that only the operator uses.
const OWN: u8 = 4;
/// Those that the clients use.
const SHARED: [&str; 2] = ["kept", "trimmed"];

/// Makes requests until the clients are to stop.
pub(crate) async fn run(clients: Clients, mut rng: StdRng) {
    while !clients.stop.is_cancelled() {
        let own = rng.random_range(0..OWN);
        let shared = SHARED[rng.random_range(0..SHARED.len())];
        match rng.random_range(0..10) {
            0..2 => unload(&clients, shared).await,
            2 => look(&clients, &format!("{}/stats", path(shared))).await,
            3 => look(&clients, "/metrics").await,
            4..6 => create(&clients, own).await,
            6..8 => delete(&clients, own).await,
            _ => check(&clients, own).await,
        }
        sleep(Duration::from_micros(rng.random_range(500..20_000))).await;
    }
}

/// After the last fault every own topic is there or not, as was answered.
pub(crate) async fn check_all(clients: &Clients) {
    for own in 0..OWN {
        check(clients, own).await;
    }
}

async fn unload(clients: &Clients, topic: &str) {
    match ask(clients, "PUT", &format!("{}/unload", path(topic))).await {
        Some(204) => clients.model().counts.unloads += 1,
        Some(404 | 503) | None => {}
        Some(status) => clients.model().violate(format!("unload of {topic}: {status}")),
    }
}

async fn look(clients: &Clients, path: &str) {
    match ask(clients, "GET", path).await {
        Some(200 | 404 | 503) | None => {}
        Some(status) => clients.model().violate(format!("GET {path}: {status}")),
    }
}

/// Whether an own topic exists. From now on it may be otherwise, unless it is `after` already: this
/// life may end before the answer.
fn before_change(clients: &Clients, own: u8, after: bool) -> Option<bool> {
    let mut model = clients.model();
    let known = model.made.entry(own).or_insert(Some(false));
    let before = *known;
    if before != Some(after) {
        *known = None;
    }
    before
}

async fn create(clients: &Clients, own: u8) {
    let before = before_change(clients, own, true);
    let answer = ask(clients, "PUT", &own_path(own)).await;
    let after = match (answer, before) {
        (Some(204), Some(false) | None) => {
            clients.model().counts.creations += 1;
            Some(true)
        }
        (Some(409), Some(true) | None) => Some(true),
        // The topic was there, whatever became of the request.
        (Some(503) | None, Some(true)) => Some(true),
        (Some(503) | None, _) => None,
        (Some(status), before) => {
            return clients.model().violate(format!("create {own}: {status}, was {before:?}"));
        }
    };
    clients.model().made.insert(own, after);
}

async fn delete(clients: &Clients, own: u8) {
    let before = before_change(clients, own, false);
    let answer = ask(clients, "DELETE", &own_path(own)).await;
    let after = match (answer, before) {
        (Some(204), Some(true) | None) => {
            clients.model().counts.deletions += 1;
            Some(false)
        }
        (Some(404), Some(false) | None) => Some(false),
        (Some(503) | None, Some(false)) => Some(false),
        (Some(503) | None, _) => None,
        (Some(status), before) => {
            return clients.model().violate(format!("delete {own}: {status}, was {before:?}"));
        }
    };
    clients.model().made.insert(own, after);
}

async fn check(clients: &Clients, own: u8) {
    let before = clients.model().made.get(&own).copied().unwrap_or(Some(false));
    let after = match (ask(clients, "GET", &format!("{}/stats", own_path(own))).await, before) {
        (Some(200), Some(true) | None) => Some(true),
        (Some(404), Some(false) | None) => Some(false),
        (Some(503) | None, before) => before,
        (Some(status), before) => {
            return clients.model().violate(format!("stats of {own}: {status}, was {before:?}"));
        }
    };
    clients.model().made.insert(own, after);
}

fn path(topic: &str) -> String {
    format!("/admin/v2/persistent/public/default/{topic}")
}

fn own_path(own: u8) -> String {
    path(&format!("own-{own}"))
}

/// The status of the answer, if one came.
async fn ask(clients: &Clients, method: &str, path: &str) -> Option<u16> {
    let answer = timeout(PATIENCE, talk(clients, method, path)).await.ok()?.ok()?;
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let mut model = clients.model();
    model.counts.requests += 1;
    // The simulated world's date, and not the machine's.
    if !answer.contains("date: Tue, 01 Jan 2030 ") || status.is_none() {
        model.violate(format!("{method} {path}: {answer}"));
    }
    status
}

async fn talk(clients: &Clients, method: &str, path: &str) -> io::Result<String> {
    let mut stream = clients.world.net().at(host(clients.host)).dial(WEB).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.windows(4).any(|end| end == b"\r\n\r\n") {
        Ok(String::from_utf8_lossy(&answer).into_owned())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
