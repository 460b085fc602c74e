//! A request, taken apart: its route, the parts of its path, its query, its body.
//!
//! Parts of the path arrive percent-encoded once, names of subscriptions once or twice, and may hold
//! anything, slashes too; `+` is a space as Java's `URLEncoder` writes it. Bodies are taken leniently:
//! clients send nothing, `null`, `{}` or quotes around a number where Pulsar does not mind.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use geminga_types::{Domain, NamespaceName, TopicName};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    body::{Body as _, Incoming},
    header::{ACCEPT_ENCODING, HeaderValue},
};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::{failure::Failure, route::Route};

/// A request to one route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    parts: Vec<String>,
    query: BTreeMap<String, Vec<String>>,
    listener: Option<String>,
    takes_gzip: bool,
    body: Bytes,
}

const LISTENER_HEADER: &str = "X-Pulsar-ListenerName";

impl Request {
    /// Finds the route and reads the body.
    pub(crate) async fn read(
        request: hyper::Request<Incoming>,
        body_bytes_max: usize,
    ) -> Result<(Route, Self), Failure> {
        let (head, body) = request.into_parts();
        let (route, parts) = Route::find(head.method.as_str(), head.uri.path())?;
        let parts = parts.into_iter().map(decode).collect::<Result<Vec<String>, Failure>>()?;
        let query = parse_query(head.uri.query().unwrap_or_default())?;
        let listener = head.headers.get(LISTENER_HEADER).and_then(|value| value.to_str().ok());
        let listener = listener.map(ToOwned::to_owned);
        let takes_gzip = head.headers.get_all(ACCEPT_ENCODING).iter().any(has_gzip);
        // What is announced as too large need not come first.
        if body.size_hint().lower() > body_bytes_max as u64 {
            return Err(Failure::BodyTooLarge(body_bytes_max));
        }
        let body = match Limited::new(body, body_bytes_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Failure::BodyTooLarge(body_bytes_max));
            }
            Err(error) => return Err(Failure::InvalidBody(format!("body was cut off: {error}"))),
        };
        Ok((route, Self { parts, query, listener, takes_gzip, body }))
    }

    /// A variable part of the path, counted from 0; the table guarantees that it is there.
    pub(crate) fn part(&self, index: usize) -> &str {
        self.parts.get(index).map_or("", String::as_str)
    }

    /// The part that is a subscription's name. Pulsar's brokers decode it twice, and some clients encode
    /// it twice.
    pub(crate) fn subscription(&self, index: usize) -> Cow<'_, str> {
        let part = self.part(index);
        percent_decode_str(part).decode_utf8().unwrap_or(Cow::Borrowed(part))
    }

    /// `{tenant}/{namespace}`, the first two parts.
    pub(crate) fn namespace(&self) -> Result<NamespaceName, Failure> {
        Ok(NamespaceName::new(self.part(0), self.part(1))?)
    }

    /// The first part.
    pub(crate) fn domain(&self) -> Domain {
        match self.part(0) {
            "non-persistent" => Domain::NonPersistent,
            _ => Domain::Persistent,
        }
    }

    /// `{domain}/{tenant}/{namespace}`, the first three parts.
    pub(crate) fn domain_and_namespace(&self) -> Result<(Domain, NamespaceName), Failure> {
        Ok((self.domain(), NamespaceName::new(self.part(1), self.part(2))?))
    }

    /// `{domain}/{tenant}/{namespace}/{topic}`, the first four parts.
    pub(crate) fn topic(&self) -> Result<TopicName, Failure> {
        let (domain, namespace) = self.domain_and_namespace()?;
        Ok(TopicName::new(domain, namespace, self.part(3))?)
    }

    /// The last of several ways to name a listener, as Pulsar takes them.
    pub(crate) fn listener(&self) -> Option<&str> {
        let in_query = self.query("listenerName");
        in_query.or(self.listener.as_deref()).filter(|name| !name.is_empty())
    }

    /// Whether the answer may be compressed with gzip.
    pub(crate) const fn takes_gzip(&self) -> bool {
        self.takes_gzip
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.last().map(String::as_str)
    }

    /// Each value of a parameter that may be given more than once.
    pub(crate) fn queries(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.get(name).into_iter().flatten().map(String::as_str)
    }

    /// A parameter that is on or off; off when it is not there.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The JSON body; `None` for an empty one and for `null`. A number or a boolean may be in quotes,
    /// as Pulsar's brokers take it and the Go library sends it.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        if self.body.trim_ascii().is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).or_else(|error| {
            let invalid = format!("Request body is not valid: {error}");
            self.in_quotes().ok_or(Failure::InvalidBody(invalid)).map(Some)
        })
    }

    /// The number or the boolean that is the whole body, in quotes.
    fn in_quotes<T: DeserializeOwned>(&self) -> Option<T> {
        let text: String = serde_json::from_slice(&self.body).ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        (value.is_boolean() || value.is_number()).then(|| serde_json::from_value(value).ok())?
    }

    /// A text, be it in quotes or, as some clients send it, without.
    pub(crate) fn text(&self) -> String {
        let plain = || String::from_utf8_lossy(&self.body).trim().to_owned();
        self.json::<String>().ok().flatten().unwrap_or_else(plain)
    }

    /// The JSON body, where `{}` too is the same as none.
    pub(crate) fn json_or_empty<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let is_empty =
            matches!(self.json(), Ok(Some(serde_json::Value::Object(o))) if o.is_empty());
        if is_empty { Ok(None) } else { self.json() }
    }

    /// A number of partitions: `4`, `"4"`, or `{"partitions": 4, "properties": {…}}`.
    pub(crate) fn partitions(&self) -> Result<PartitionCount, Failure> {
        let text = std::str::from_utf8(&self.body).unwrap_or_default().trim();
        let given = match serde_json::from_str::<GivenCount>(text) {
            Ok(given) => given,
            Err(_) => GivenCount::Text(text.to_owned()),
        };
        let (count, properties) = match given {
            GivenCount::Number(count) => (Some(count), None),
            GivenCount::Text(text) => (text.trim().parse().ok(), None),
            GivenCount::Full { partitions, properties } => (Some(partitions), properties),
        };
        let invalid = |what: &str| {
            Failure::InvalidCount(format!("Number of partitions should be more than 0, got {what}"))
        };
        match count {
            None => Err(Failure::InvalidBody(format!("not a number of partitions: {text:?}"))),
            Some(count) if count <= 0 => Err(invalid(&count.to_string())),
            Some(count) => {
                let count = u32::try_from(count).map_err(|_| invalid(&count.to_string()))?;
                Ok(PartitionCount { count, properties })
            }
        }
    }
}

/// Whether an `Accept-Encoding` takes gzip: `gzip`, `gzip;q=0.5`, `*`, but not `gzip;q=0`.
fn has_gzip(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let weight = |name: &str| {
        value.split(',').find_map(|item| {
            let (found, parameters) = item.split_once(';').unwrap_or((item, ""));
            let is_it = found.trim().eq_ignore_ascii_case(name);
            let weight = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f64>);
            is_it.then(|| weight.unwrap_or(0.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| 0.0 < weight)
}

/// A number of partitions, and the topic's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionCount {
    pub(crate) count: u32,
    pub(crate) properties: Option<BTreeMap<String, String>>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum GivenCount {
    Number(i64),
    Text(String),
    Full { partitions: i64, properties: Option<BTreeMap<String, String>> },
}

fn parse_query(query: &str) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut parsed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parsed.entry(decode(name)?).or_default().push(decode(value)?);
    }
    Ok(parsed)
}

fn decode(text: &str) -> Result<String, Failure> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    let invalid = |_| Failure::InvalidParameter(format!("{text:?} does not encode UTF-8 text"));
    Ok(decoded.map_err(invalid)?.into_owned())
}

#[cfg(test)]
impl Request {
    pub(crate) fn with_body(body: &str) -> Self {
        Self { body: Bytes::from(body.to_owned()), ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
