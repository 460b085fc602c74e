//! Accepts connections and runs one HTTP/1.1 conversation on each.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use geminga_broker::Broker;
use geminga_env::{
    Env,
    net::{Listener, Stream},
};
use hyper::{
    Response,
    body::Incoming,
    header::{DATE, HeaderValue},
    http::Extensions,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Options, answer::Answer, failure::Failure, handlers, header_case, request::Request};

/// How long to wait after a failed accept: mostly the process has no file descriptor left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// What hyper demands of a read buffer.
const HEAD_BYTES_MIN: usize = 8 << 10;

/// Serves until `shutdown`, then lets requests in progress finish within
/// [`Options::drain_timeout`]. Connections run on `tasks`.
pub async fn serve(
    broker: Broker,
    mut listener: Box<dyn Listener>,
    options: Arc<Options>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let exact_names = Arc::new(header_case::exact_names().await);
    let slots = Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS)));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting an HTTP connection failed");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            let limit = options.connections_max;
            tracing::warn!(%peer, limit, "HTTP connection refused: maxHttpServerConnections");
            continue;
        };
        let peer = Peer { address: peer, _slot: slot };
        let (broker, options) = (broker.clone(), Arc::clone(&options));
        let exact_names = Arc::clone(&exact_names);
        tasks.spawn(converse(broker, stream, peer, options, exact_names, shutdown.clone()));
    }
}

/// Who is connected, and its share of the connection limit.
struct Peer {
    address: SocketAddr,
    _slot: OwnedSemaphorePermit,
}

async fn converse(
    broker: Broker,
    stream: Stream,
    peer: Peer,
    options: Arc<Options>,
    exact_names: Arc<Extensions>,
    shutdown: CancellationToken,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (broker, options) = (broker.clone(), Arc::clone(&options));
        let exact_names = Arc::clone(&exact_names);
        async move {
            let answer = respond(&broker, request, &options).await;
            let wants_exact_names = answer.has_headers();
            let mut response = Response::from(answer);
            if wants_exact_names {
                response.extensions_mut().clone_from(&exact_names);
            }
            response.headers_mut().insert(DATE, date(broker.env()));
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .header_read_timeout(options.head_timeout)
        .max_buf_size(options.head_bytes_max.max(HEAD_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(options.drain_timeout, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    let peer = peer.address;
    match ended {
        Ok(()) => {}
        Err(error) if error.is_parse() => {
            tracing::warn!(%peer, %error, "HTTP connection closed: what came is no request");
        }
        Err(error) => tracing::debug!(%peer, %error, "HTTP connection ended"),
    }
}

/// The time of an answer, from `env`'s clock and not hyper's.
fn date(env: &Env) -> HeaderValue {
    let now = UNIX_EPOCH + Duration::from_millis(env.clock.wall().0);
    HeaderValue::try_from(httpdate::fmt_http_date(now)).expect("a date is plain ASCII")
}

async fn respond(broker: &Broker, request: hyper::Request<Incoming>, options: &Options) -> Answer {
    let work = async {
        let (route, request) = Request::read(request, options.body_bytes_max).await?;
        tracing::debug!(?route, permission = ?route.permission(), "admin request");
        handlers::handle(route, broker, &request, options).await
    };
    let answer = match tokio::time::timeout(options.request_timeout, work).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::TimedOut(options.request_timeout)),
    };
    answer.unwrap_or_else(|failure| failure.answer())
}
