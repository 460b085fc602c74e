//! Header names as Pulsar writes them, for clients that compare them letter by letter.
//!
//! Names of headers have no case, and hyper writes them in small letters; it keeps another case only of names
//! that it has read itself. So it is given a request to read, once, and what it noted of that goes with
//! the answers.

use std::{convert::Infallible, sync::Mutex};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, Response, body::Incoming, http::Extensions, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

/// Pulsar's Java client 4.0 looks for the properties of a message under this name exactly.
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Pulsar-PROPERTY: x\r\n\r\n";
/// Enough for the request, and for an answer that nobody reads.
const PIPE_BYTES: usize = 1 << 10;

/// What hyper is to be told with an answer, so that it keeps these names.
pub(crate) async fn exact_names() -> Extensions {
    let (mut ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let noted = Mutex::new(Extensions::new());
    let service = service_fn(|request: Request<Incoming>| {
        if let Ok(mut noted) = noted.lock() {
            *noted = request.extensions().clone();
        }
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let conversation = http1::Builder::new()
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(theirs), service);
    let asking = async {
        _ = ours.write_all(REQUEST).await;
        ours // Kept until the answer is written.
    };
    _ = futures_util::future::join(asking, conversation).await;
    noted.into_inner().unwrap_or_default()
}
