//! Which tokens show who somebody is, and which do not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sockhop::stomp::{Stomp, Tokens};
use sockhop_stomp::{Command, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::tls::{Certificates, behind_tls};
use crate::world::{Place, World};

pub(crate) const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token of this user that is good for an hour, with further claims.
pub(crate) fn token(user: &str, claims: &Value) -> String {
    signed(&Header::default(), &EncodingKey::from_secret(SECRET), user, claims)
}

fn signed(header: &Header, key: &EncodingKey, user: &str, claims: &Value) -> String {
    let mut all = json!({ "sub": user, "exp": now() + 3600 });
    for (name, value) in claims.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    encode(header, &all, key).unwrap()
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap()
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_pem(include_bytes!("keys/ec.pem")).unwrap()
}

fn named(algorithm: Algorithm, id: &str) -> Header {
    Header { kid: Some(id.to_owned()), ..Header::new(algorithm) }
}

pub(crate) async fn a_token_may_be_in_any_of_its_places(place: Place) {
    let stomp = || {
        let tokens = Tokens::new().secret(SECRET).unwrap().query("access_token").cookie("session");
        Stomp::new().tokens(tokens).service("/ws")
    };
    let world = World::new(place, stomp).await;
    let token = token("ann", &json!({}));
    for (header, value) in [
        ("Authorization", format!("Bearer {token}")),
        ("authorization", format!("bearer {token}")),
        ("passcode", token.clone()),
    ] {
        let mut client = world.client().await;
        let connected = client.connect(&[(header, value.as_str())]).await;
        assert_eq!(connected.headers.get("user-name"), Some("ann"), "{header}");
    }
    for (query, cookie) in [
        (format!("a=b&access_token={token}"), String::new()),
        (String::new(), format!("other=x; session={token}; more=y")),
    ] {
        let mut client = world.client_with(&query, &cookie).await;
        assert_eq!(client.connect(&[]).await.headers.get("user-name"), Some("ann"));
    }
    let mut client = world.client_with("access_tokens=x", "sessions=x").await;
    let connect = Frame::new(Command::Connect).with("accept-version", "1.2");
    let (message, body) = client.refused(connect).await;
    assert_eq!(message, "authentication failed");
    assert!(body.contains("A token is needed"), "{body}");
}

pub(crate) async fn each_algorithm_is_verified_with_its_key(place: Place) {
    let stomp = || {
        let tokens = Tokens::new()
            .secret(SECRET)
            .unwrap()
            .public_key(include_bytes!("keys/rsa.pub.pem"))
            .unwrap()
            .public_key(include_bytes!("keys/ec.pub.pem"))
            .unwrap();
        Stomp::new().tokens(tokens).service("/ws")
    };
    let world = World::new(place, stomp).await;
    use Algorithm::*;
    for algorithm in [HS256, HS384, HS512, RS256, RS384, RS512, PS256, ES256] {
        let key = match algorithm {
            HS256 | HS384 | HS512 => EncodingKey::from_secret(SECRET),
            ES256 => ec(),
            _ => rsa(),
        };
        let token = signed(&Header::new(algorithm), &key, "ann", &json!({}));
        let mut client = world.client().await;
        let connected = client.connect(&[("passcode", token.as_str())]).await;
        assert_eq!(connected.headers.get("user-name"), Some("ann"), "{algorithm:?}");
    }
}

pub(crate) async fn tokens_that_show_nobody_are_refused(place: Place) {
    let stomp = || {
        let tokens = Tokens::new()
            .secret(SECRET)
            .unwrap()
            .public_key(include_bytes!("keys/rsa.pub.pem"))
            .unwrap()
            .issuer("us")
            .audience("pages");
        Stomp::new().tokens(tokens.leeway(Duration::from_secs(10))).anonymous(true).service("/ws")
    };
    let world = World::new(place, stomp).await;
    let good = json!({ "iss": "us", "aud": ["pages", "apps"] });
    let mut client = world.client().await;
    client.connect(&[("passcode", token("ann", &good).as_str())]).await;
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token("ann", &claims)
    };
    let signed_with = |algorithm, key: &EncodingKey| signed(&Header::new(algorithm), key, "ann", &good);
    let unsigned = {
        // {"alg":"none"} and {"sub":"ann"}
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.".to_owned()
    };
    let (signed_part, signature) = {
        let good = token("ann", &good);
        let (head, signature) =
            good.rsplit_once('.').map(|(head, signature)| (head.to_owned(), signature.to_owned())).unwrap();
        (head, signature)
    };
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed_part}.{other}{}", &signature[1..]);
    // The public key as if it were a secret.
    let confused = signed_with(Algorithm::HS256, &EncodingKey::from_secret(include_bytes!("keys/rsa.pub.pem")));
    for (token, reason) in [
        ("guest".to_owned(), "malformed"),
        (unsigned, "algorithm"),
        (forged, "signature"),
        (confused, "signature"),
        (
            signed_with(Algorithm::HS256, &EncodingKey::from_secret(b"another secret of thirty-two bytes")),
            "signature",
        ),
        (signed_with(Algorithm::ES256, &ec()), "key is not known"),
        (with("exp", json!(now() - 11)), "expired"),
        (with("nbf", json!(now() + 3600)), "not valid yet"),
        (with("iss", json!("them")), "issuer"),
        (with("aud", json!("apps")), "audience"),
        (token("ann", &json!({ "iss": "us" })), "no claim aud"),
        (with("exp", Value::Null), "claim exp"),
        (with("sub", json!("")), "claim sub"),
        (with("sub", json!(["ann"])), "malformed"),
        (with("long", json!("x".repeat(9000))), "longer than 8 KiB"),
    ] {
        let mut client = world.client().await;
        let connect = Frame::new(Command::Connect).with("accept-version", "1.2").with("passcode", token.as_str());
        let (message, body) = client.refused(connect).await;
        assert_eq!(message, "authentication failed", "{token}");
        assert!(body.contains(reason), "{reason}: {body}");
        assert!(!body.contains("ann"), "{body}");
    }
}

/// A set of keys behind HTTP, which the other process may change.
async fn serve(keys: Arc<std::sync::Mutex<String>>, asked: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            asked.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let body = keys.lock().unwrap().clone();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    });
    address
}

/// A set of keys, as JSON.
fn set(keys: &[(&EncodingKey, Algorithm, &str)]) -> String {
    let mut all = vec![json!({ "kty": "future", "kid": "unknown kinds are passed over" })];
    for (key, algorithm, id) in keys {
        let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
        jwk.common.key_id = Some((*id).to_owned());
        all.push(serde_json::to_value(jwk).unwrap());
    }
    json!({ "keys": all }).to_string()
}

pub(crate) async fn keys_of_a_set_are_found_by_name_and_read_again(place: Place) {
    let keys = Arc::new(std::sync::Mutex::new(set(&[(&rsa(), Algorithm::RS256, "one")])));
    let asked = Arc::new(AtomicUsize::new(0));
    let url = format!("http://{}/keys.json", serve(Arc::clone(&keys), Arc::clone(&asked)).await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, set(&[(&rsa(), Algorithm::RS256, "one"), (&ec(), Algorithm::ES256, "two")])).unwrap();
    let by_url =
        World::new(place, || Stomp::new().tokens(Tokens::new().jwks_url(&url).unwrap()).service("/ws")).await;
    let by_file =
        World::new(place, || Stomp::new().tokens(Tokens::new().jwks_file(&file).unwrap()).service("/ws")).await;
    let one = signed(&named(Algorithm::RS256, "one"), &rsa(), "ann", &json!({}));
    let two = signed(&named(Algorithm::ES256, "two"), &ec(), "bob", &json!({}));
    for (world, token) in [(&by_url, &one), (&by_url, &one), (&by_file, &one), (&by_file, &two)] {
        let mut client = world.client().await;
        assert!(client.connect(&[("passcode", token)]).await.headers.get("user-name").is_some());
    }
    let nodes = by_url.nodes.len();
    assert!(asked.load(Ordering::Relaxed) <= nodes, "once a node at most");
    let mut client = by_url.client().await;
    let connect = Frame::new(Command::Connect).with("accept-version", "1.2").with("passcode", two.as_str());
    let (_, body) = client.refused(connect).await;
    assert!(body.contains("key is not known"), "{body}");
    for wrong in ["ftp://x/keys", "keys.json", "http://"] {
        assert!(Tokens::new().jwks_url(wrong).is_err(), "{wrong}");
    }
    assert!(Tokens::new().jwks_file(folder.path().join("none")).is_err());
    assert!(Tokens::new().secret(b"short").is_err());
    assert!(Tokens::new().public_key(b"no key").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_behind_https_are_those_of_a_server_that_is_vouched_for_and_may_be_rotated() {
    let keys = Arc::new(std::sync::Mutex::new(set(&[(&rsa(), Algorithm::RS256, "one")])));
    let server = serve(Arc::clone(&keys), Arc::default()).await;
    let certificates = Certificates::make();
    let url = format!("https://localhost:{}/keys.json", behind_tls(server, &certificates));
    let authority = |certificates: &Certificates| std::fs::read(certificates.path("ca.pem")).unwrap();
    let trusting = |authority: &[u8]| {
        let tokens = Tokens::new().jwks_url(&url).unwrap().jwks_authorities(authority).unwrap();
        Stomp::new().tokens(tokens.jwks_pause(Duration::ZERO)).service("/ws")
    };
    let world = World::new(Place::MemorySocket, || trusting(&authority(&certificates))).await;
    let one = signed(&named(Algorithm::RS256, "one"), &rsa(), "ann", &json!({}));
    let two = signed(&named(Algorithm::ES256, "two"), &ec(), "bob", &json!({}));
    let refused = async |world: &World, token: &str| {
        let mut client = world.client().await;
        let connect = Frame::new(Command::Connect).with("accept-version", "1.2").with("passcode", token);
        client.refused(connect).await.1
    };
    world.connected(&[("passcode", &one)]).await;
    let unknown = refused(&world, &two).await;
    assert!(unknown.contains("key is not known"), "{unknown}");
    *keys.lock().unwrap() = set(&[(&ec(), Algorithm::ES256, "two")]);
    world.connected(&[("passcode", &two)]).await;
    let gone = refused(&world, &one).await;
    assert!(gone.contains("key is not known"), "{gone}");
    let other = authority(&Certificates::make());
    let world = World::new(Place::MemorySocket, || trusting(&other)).await;
    let untrusted = refused(&world, &two).await;
    assert!(untrusted.contains("cannot be read now"), "{untrusted}");
    assert!(Tokens::new().jwks_url(&url).unwrap().jwks_authorities(b"no certificates").is_err());
    assert!(Tokens::new().jwks_authorities(&other).is_err(), "there is nothing to read");
}
