//! Asks a server's admin API.

use std::time::Duration;

use anyhow::{Context as _, bail};
use geminga_admin_model::Reason;
use geminga_env::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Longest time for one answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Sends a request and returns the body of a successful answer.
///
/// # Errors
///
/// If nobody answers at `url`, or what the server refuses with.
pub(crate) async fn ask(
    env: &Env,
    url: &str,
    (method, path): (&str, &str),
    body: &str,
) -> anyhow::Result<Vec<u8>> {
    let exchange = exchange(env, url, (method, path), body);
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
    let answer = answer.context("no answer in time").flatten();
    let answer = answer.with_context(|| format!("no server answers at {url}"))?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.context("the server's answer is cut off")?);
    let body = &body[4..];
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') {
        return Ok(body.to_owned());
    }
    match serde_json::from_slice::<Reason>(body) {
        Ok(Reason { reason }) => bail!("{reason}"),
        Err(_) => bail!("the server answered {status}"),
    }
}

async fn exchange(
    env: &Env,
    url: &str,
    (method, path): (&str, &str),
    body: &str,
) -> anyhow::Result<Vec<u8>> {
    let host = url.strip_prefix("http://").context("expected an http:// URL")?;
    let host = host.trim_end_matches('/');
    let mut stream = env.net.dial(host).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}
