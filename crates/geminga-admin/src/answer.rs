//! What a request is answered with.

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Serialize;

use crate::pieces::{Body, Pieces};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Status and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    kind: Option<&'static str>,
    body: Bytes,
    /// What makes the body instead, piece by piece.
    pieces: Option<Box<dyn Pieces>>,
    allow: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    const fn with(status: StatusCode, kind: Option<&'static str>, body: Bytes) -> Self {
        Self { status, kind, body, pieces: None, allow: None, headers: Vec::new() }
    }

    /// 204: done.
    pub(crate) const fn done() -> Self {
        Self::with(StatusCode::NO_CONTENT, None, Bytes::new())
    }

    /// 200 with JSON.
    pub(crate) fn json<T: Serialize>(value: &T) -> Self {
        Self::json_with(StatusCode::OK, value)
    }

    /// JSON with a status.
    pub(crate) fn json_with<T: Serialize>(status: StatusCode, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::with(status, Some(JSON), body.into()),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let body = Bytes::from_static(br#"{"reason":"answer could not be encoded"}"#);
                Self::with(status, Some(JSON), body)
            }
        }
    }

    /// 200 with text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::with(StatusCode::OK, Some(TEXT), Bytes::from(text.into()))
    }

    /// 200 with metrics.
    pub(crate) fn metrics(pieces: impl Pieces + 'static) -> Self {
        let pieces: Option<Box<dyn Pieces>> = Some(Box::new(pieces));
        Self { pieces, ..Self::with(StatusCode::OK, Some(PROMETHEUS), Bytes::new()) }
    }

    /// 200 with JSON that is made piece by piece.
    pub(crate) fn large_json(pieces: impl Pieces + 'static) -> Self {
        let pieces: Option<Box<dyn Pieces>> = Some(Box::new(pieces));
        Self { pieces, ..Self::with(StatusCode::OK, Some(JSON), Bytes::new()) }
    }

    /// What makes the body, if it is made piece by piece.
    pub(crate) fn take_pieces(&mut self) -> Option<Box<dyn Pieces>> {
        self.pieces.take()
    }

    /// 200 with bytes, and what is to be known of them.
    pub(crate) fn bytes(body: Bytes, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { headers, ..Self::with(StatusCode::OK, Some(BYTES), body) }
    }

    /// Whether there are headers that tell of the body.
    pub(crate) const fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Names the methods that would have been accepted.
    pub(crate) fn allowing(self, methods: &[&str]) -> Self {
        Self { allow: Some(methods.join(", ")), ..self }
    }
}

impl From<Answer> for Response<Body> {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(Body::Whole(answer.body));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        if let Some(kind) = answer.kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(allow) = answer.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        for (name, value) in answer.headers {
            headers.append(name, value);
        }
        response
    }
}
