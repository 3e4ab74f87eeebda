//! The opening handshake of a WebSocket: RFC 6455, section 4.2.

use headers::{Connection, HeaderMapExt, SecWebsocketAccept, SecWebsocketKey, SecWebsocketVersion, Upgrade};
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::service::failure;

/// The `Sec-WebSocket-Accept` of a valid handshake.
///
/// # Errors
/// The answer to a request that is none: 400, or 426 where the version is another.
pub(crate) fn accept(request: &HeaderMap) -> Result<SecWebsocketAccept, Box<Response<Body>>> {
    let refuse = |text| Box::new(failure(StatusCode::BAD_REQUEST, text, HeaderMap::new()));
    let upgrade = request
        .get(UPGRADE)
        .is_some_and(|upgrade| upgrade.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"));
    if !upgrade {
        return Err(refuse("Not a valid websocket request"));
    }
    if !request.typed_get::<Connection>().is_some_and(|connection| connection.contains("upgrade")) {
        return Err(refuse("\"Connection\" must be \"Upgrade\"."));
    }
    if !request.contains_key(SEC_WEBSOCKET_VERSION) {
        // Drafts before the RFC, such as hixie-76, have none.
        return Err(refuse("\"Sec-WebSocket-Version\" is missing."));
    }
    if request.typed_get::<SecWebsocketVersion>() != Some(SecWebsocketVersion::V13) {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let text = "Only WebSocket version 13 is spoken here.";
        return Err(Box::new(failure(StatusCode::UPGRADE_REQUIRED, text, headers)));
    }
    let key = request.get(SEC_WEBSOCKET_KEY).filter(|key| is_nonce(key.as_bytes()));
    match key.and_then(|_| request.typed_get::<SecWebsocketKey>()) {
        Some(key) => Ok(key.into()),
        None => Err(refuse("\"Sec-WebSocket-Key\" is missing or invalid.")),
    }
}

/// Sixteen bytes in base64.
fn is_nonce(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key.split_at_checked(22), Some((digits, b"==")) if digits.iter().all(digit))
}

/// The first of the subprotocols that are `spoken` here among those that the client offers.
pub(crate) fn subprotocol<'a>(request: &HeaderMap, spoken: &'a [HeaderValue]) -> Option<&'a HeaderValue> {
    let offered = request.get_all(SEC_WEBSOCKET_PROTOCOL);
    let names = || offered.iter().flat_map(|names| names.as_bytes().split(|byte| *byte == b','));
    let is_offered = |spoken: &&HeaderValue| names().any(|name| name.trim_ascii() == spoken.as_bytes());
    spoken.iter().find(is_offered)
}

/// The 101 answer.
pub(crate) fn switching(accept: SecWebsocketAccept, subprotocol: Option<&HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.typed_insert(Upgrade::websocket());
    headers.typed_insert(accept);
    if let Some(subprotocol) = subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="),
    ];

    fn with(changed: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers: HeaderMap =
            VALID.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        for (name, value) in changed {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_accept_header_is_the_hash_of_the_key() {
        let response = switching(accept(&with(&[])).unwrap(), None);
        assert_eq!(response.headers()["sec-websocket-accept"], "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
        assert_eq!(response.status(), 101);
    }

    #[test]
    fn the_preferred_of_the_offered_subprotocols_is_chosen() {
        let spoken = ["v12.stomp", "v11.stomp"].map(HeaderValue::from_static);
        for (offered, chosen) in [
            ("v11.stomp", Some("v11.stomp")),
            ("v10.stomp, v11.stomp,v12.stomp", Some("v12.stomp")),
            ("v1.stomp", None),
            ("", None),
        ] {
            let found = subprotocol(&with(&[("sec-websocket-protocol", offered)]), &spoken);
            assert_eq!(found.map(|name| name.to_str().unwrap()), chosen, "{offered}");
        }
        assert_eq!(subprotocol(&with(&[]), &spoken), None);
        assert_eq!(subprotocol(&with(&[("sec-websocket-protocol", "chat")]), &[]), None);
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (changed, status) in [
            (("upgrade", "h2c"), 400),
            (("connection", "close"), 400),
            (("sec-websocket-version", "8"), 426),
            (("sec-websocket-version", "x"), 426),
            (("sec-websocket-key", ""), 400),
            (("sec-websocket-key", "c2hvcnQ="), 400),
            (("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhX!w=="), 400),
        ] {
            assert_eq!(accept(&with(&[changed])).unwrap_err().status(), status, "{changed:?}");
        }
        for missing in ["sec-websocket-key", "sec-websocket-version"] {
            let mut without = with(&[]);
            without.remove(missing);
            assert_eq!(accept(&without).unwrap_err().status(), 400, "{missing}");
        }
        assert_eq!(accept(&HeaderMap::new()).unwrap_err().status(), 400);
    }
}
