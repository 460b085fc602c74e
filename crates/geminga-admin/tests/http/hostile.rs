//! What nobody should send.

use std::time::Duration;

use geminga_admin::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{parse, with_options, with_server};

#[test]
fn unknown_paths_and_methods_have_a_reason() {
    with_server(async |server| {
        for path in ["/", "/admin", "/admin/v2", "/admin/v3/tenants", "/%2e%2e/%2e%2e/etc/passwd"] {
            server.get(path).await.is(404);
        }
        for path in ["/admin/v2/persistent/public", "/admin/v2/sometimes/public/default"] {
            server.get(path).await.is(404);
        }
        let refused = server.send("PATCH", "/admin/v2/tenants/public", "", "").await.is(405);
        assert!(refused.head.contains("allow: delete, get, post, put"), "{refused:?}");
        server.get("/admin/v2/persistent/public/default/%ff/stats").await.is(412);
        server.get("/admin/v2/persistent/pub%20lic/default").await.is(412);
    });
}

#[test]
fn garbage_harms_nobody() {
    with_server(async |server| {
        let (mut random, mut garbage) = (0x2545_f491_4f6c_dd1d_u64, Vec::new());
        for size in [1_usize, 7, 100, 5_000, 70_000] {
            garbage.clear();
            for _ in 0..size {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                garbage.push(random.to_be_bytes()[0]);
            }
            garbage.extend_from_slice(b"\r\n\r\n");
            let answer = server.raw(&garbage).await;
            assert!(parse(&answer).is_none_or(|answer| 400 <= answer.status), "{size}");
        }
        let pulsar_connect =
            b"\x00\x00\x00\x10\x00\x00\x00\x0c\x08\x02\x12\x08\x0a\x04test\x20\x0c";
        server.raw(&[pulsar_connect.as_slice(), b"\r\n\r\n"].concat()).await;
        server.raw(b"GET / HTTP/9.9\r\n\r\n").await;
        server.raw(b"GET /metrics HTTP/1.1\r\nContent-Length: -5\r\n\r\n").await;
        server.get("/admin/v2/brokers/health").await.is(200);
    });
}

#[test]
fn a_large_body_or_head_is_refused() {
    let options = Options { body_bytes_max: 1_000, head_bytes_max: 8 << 10, ..Options::default() };
    with_options(options, async |server| {
        let body = format!("\"{}\"", "x".repeat(2_000));
        server.put("/admin/v2/tenants/big", &body).await.is(413);
        let chunked = "PUT /admin/v2/tenants/big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";
        let chunk = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2_000));
        let answer = server.raw(format!("{chunked}{chunk}").as_bytes()).await;
        assert_eq!(parse(&answer).unwrap().status, 413);
        // What is announced as too large is refused before it comes.
        let claim = "PUT /admin/v2/tenants/big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                     Content-Length: 9999999999\r\n\r\n";
        assert_eq!(parse(&server.raw(claim.as_bytes()).await).unwrap().status, 413);
        let head = format!("X-Large: {}\r\n", "x".repeat(20_000));
        let answer = server.raw(format!("GET /metrics HTTP/1.1\r\n{head}\r\n").as_bytes()).await;
        assert!(parse(&answer).is_none_or(|answer| 400 <= answer.status));
        server.get("/admin/v2/tenants/big").await.is(404);
    });
}

#[test]
fn who_says_nothing_is_dropped() {
    let options = Options { head_timeout: Duration::from_millis(50), ..Options::default() };
    with_options(options, async |server| {
        for beginning in ["", "GET /metrics HTT", "GET /metrics HTTP/1.1\r\nHost: h\r\n"] {
            let answer = server.raw(beginning.as_bytes()).await;
            assert!(parse(&answer).is_none_or(|answer| answer.status == 408), "{beginning}");
        }
        server.get("/status.html").await.is(200);
    });
}

#[test]
fn who_never_finishes_a_body_is_told_so() {
    let options = Options { request_timeout: Duration::from_millis(50), ..Options::default() };
    with_options(options, async |server| {
        let answer = server
            .raw(b"PUT /admin/v2/tenants/slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{")
            .await;
        assert_eq!(parse(&answer).unwrap().status, 503);
        server.get("/admin/v2/tenants/slow").await.is(404);
    });
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let options = Options { connections_max: 2, ..Options::default() };
    with_options(options, async |server| {
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = server.connect().await;
            stream.write_all(b"GET /status.html HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            held.push(stream);
        }
        let refused = server.raw(b"GET /status.html HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(refused.is_empty(), "{}", String::from_utf8_lossy(&refused));
        drop(held);
        // The slots are free once the server has seen the connections close.
        for _ in 0..1_000 {
            let request = b"GET /status.html HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
            if parse(&server.raw(request).await).is_some_and(|answer| answer.status == 200) {
                return;
            }
        }
        panic!("the slots never came back");
    });
}

#[test]
fn a_connection_serves_many_requests() {
    with_server(async |server| {
        let mut stream = server.connect().await;
        for index in 0..20 {
            let last = if index == 19 { "Connection: close\r\n" } else { "" };
            let request = format!("GET /status.html HTTP/1.1\r\nHost: h\r\n{last}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
        }
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 20);
    });
}
