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
    header::{CONTENT_ENCODING, DATE, HeaderValue, VARY},
    http::Extensions,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Options,
    failure::Failure,
    handlers, header_case,
    pieces::{self, Body},
    request::Request,
    route::Route,
};

/// How long to wait after a failed accept: mostly the process has no file descriptor left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How many answers of many pieces are made at a time: each holds a row for every topic.
const LARGE_ANSWERS_MAX: usize = 4;
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
    let large_answers = Arc::new(Semaphore::new(LARGE_ANSWERS_MAX));
    let door = Door { broker, options, exact_names, tasks, large_answers };
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
            let limit = door.options.connections_max;
            tracing::warn!(%peer, limit, "HTTP connection refused: maxHttpServerConnections");
            continue;
        };
        let peer = Peer { address: peer, _slot: slot };
        door.tasks.spawn(converse(door.clone(), stream, peer, shutdown.clone()));
    }
}

/// Who is connected, and its share of the connection limit.
struct Peer {
    address: SocketAddr,
    _slot: OwnedSemaphorePermit,
}

/// What all conversations share.
#[derive(Clone)]
struct Door {
    broker: Broker,
    options: Arc<Options>,
    exact_names: Arc<Extensions>,
    tasks: TaskTracker,
    large_answers: Arc<Semaphore>,
}

async fn converse(door: Door, stream: Stream, peer: Peer, shutdown: CancellationToken) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let door = door.clone();
        async move {
            let mut response = door.respond(request).await;
            response.headers_mut().insert(DATE, date(door.broker.env()));
            Ok::<_, Infallible>(response)
        }
    });
    let options = Arc::clone(&door.options);
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

impl Door {
    async fn respond(&self, request: hyper::Request<Incoming>) -> Response<Body> {
        let options = Arc::clone(&self.options);
        let work = async {
            let (route, request) = Request::read(request, options.body_bytes_max).await?;
            tracing::debug!(?route, permission = ?route.permission(), "admin request");
            let slot = self.slot(route).await;
            let answer = handlers::handle(route, &self.broker, &request, &options).await?;
            Ok((answer, request.takes_gzip(), slot))
        };
        let answered = match tokio::time::timeout(options.request_timeout, work).await {
            Ok(answered) => answered,
            Err(_) => Err(Failure::TimedOut(options.request_timeout)),
        };
        let (mut answer, takes_gzip, slot) =
            answered.unwrap_or_else(|failure: Failure| (failure.answer(), false, None));
        let (pieces, wants_exact_names) = (answer.take_pieces(), answer.has_headers());
        let mut response = Response::from(answer);
        if wants_exact_names {
            response.extensions_mut().clone_from(&self.exact_names);
        }
        if let (Some(pieces), Some(slot)) = (pieces, slot) {
            let (sender, body) = pieces::channel();
            self.tasks.spawn(pieces::make(pieces, takes_gzip, sender, slot));
            *response.body_mut() = body;
            let headers = response.headers_mut();
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            if takes_gzip {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        response
    }

    /// The right to make an answer of many pieces, for routes that have such.
    async fn slot(&self, route: Route) -> Option<OwnedSemaphorePermit> {
        if !route.is_large() {
            return None;
        }
        Arc::clone(&self.large_answers).acquire_owned().await.ok()
    }
}
