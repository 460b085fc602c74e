//! Asks a server's admin API.

use std::time::Duration;

use anyhow::{Context as _, bail};
use geminga_admin_model::Reason;
use geminga_env::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::exit::NoServer;

const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A server, and how long it may take for an answer.
#[derive(Debug)]
pub(crate) struct AdminClient {
    env: Env,
    url: String,
    timeout: Duration,
}

/// What a server answered to something that it did.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What a server refuses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (HTTP {status})")]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) reason: String,
}

impl AdminClient {
    pub(crate) fn new(env: &Env, url: &str, timeout: Duration) -> Self {
        Self { env: env.clone(), url: url.to_owned(), timeout }
    }

    /// Sends a request and returns the server's answer.
    ///
    /// # Errors
    ///
    /// [`NoServer`] if nobody answers in time, or what the server refuses with.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let host = self.url.strip_prefix("http://").with_context(|| {
            format!("{}: expected an http:// URL; there is no TLS yet", self.url)
        })?;
        let exchange = self.exchange(host.trim_end_matches('/'), (method, path), body);
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        let in_time = || format!("no answer within {} s", self.timeout.as_secs());
        let answer = answer.with_context(in_time).flatten();
        let no_server = || NoServer { url: self.url.clone(), option: "--admin-url" };
        read(&answer.with_context(no_server)?)
    }

    async fn exchange(
        &self,
        host: &str,
        (method, path): (&str, &str),
        body: &str,
    ) -> anyhow::Result<Vec<u8>> {
        let mut stream = self.env.net.dial(host).await?;
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
}

fn read(answer: &[u8]) -> anyhow::Result<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.context("the server's answer is cut off")?);
    let body = &body[4..];
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default();
    let status: u16 = status.parse().context("the server's answer is not HTTP")?;
    if (200..300).contains(&status) {
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        return Ok(Answer { headers: headers.collect(), body: body.to_owned() });
    }
    let reason = match serde_json::from_slice::<Reason>(body) {
        Ok(Reason { reason }) => reason,
        Err(_) => "refused without a reason".to_owned(),
    };
    bail!(Refused { status, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_headers_and_a_body() {
        let answer = read(b"HTTP/1.1 200 OK\r\nX-A: b: c\r\n\r\n{}").unwrap();
        assert_eq!(answer.headers, [("x-a".to_owned(), "b: c".to_owned())]);
        assert_eq!(answer.body, b"{}");
        let refused =
            read(b"HTTP/1.1 409 Conflict\r\n\r\n{\"reason\":\"it is there\"}").unwrap_err();
        assert_eq!(refused.to_string(), "it is there (HTTP 409)");
        let silent = read(b"HTTP/1.1 500 X\r\n\r\n").unwrap_err();
        assert_eq!(silent.to_string(), "refused without a reason (HTTP 500)");
        for cut in [&b"HTTP/1.1 200 OK\r\n"[..], b"", b"\r\n\r\n", b"SSH-2.0\r\n\r\n"] {
            assert!(read(cut).is_err(), "{cut:?}");
        }
    }
}
