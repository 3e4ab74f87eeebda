//! The HTTP API: what backends send and read, at one node, two or three.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use sockhop::api::Api;
use sockhop::stomp::{Queues, Stomp, Tokens};
use sockhop::store::Retention;
use sockhop::{Node, ServiceBuilder};
use sockhop_stomp::{Command, Frame};

use crate::tokens::{SECRET, token};
use crate::world::{Place, World, subscribe};

const SHOP: &str = "shop-key-0123456789";
pub(crate) const READER: &str = "reader-key-0123456789";
pub(crate) const ADMIN: &str = "admin-key-0123456789";

fn service() -> ServiceBuilder {
    Stomp::new().tokens(Tokens::new().secret(SECRET).unwrap()).anonymous(true).service("/ws")
}

fn api(node: &Node) -> Api {
    let keys =
        [format!("shop publish,read {SHOP}"), format!("reader read {READER}"), format!("admin manage {ADMIN}")];
    let api = Api::builder("/api").body_limit(100_000);
    keys.iter().fold(api, |api, key| api.key(key.parse().unwrap())).build(node)
}

/// An answer: status, headers, and what the body says.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: http::HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    /// Status, the end of the problem's type, and the field that it names.
    pub(crate) fn problem(&self) -> (u16, &str, &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.json);
        assert_eq!(self.json["status"], self.status);
        assert!(self.json["title"].is_string() && self.json["detail"].is_string());
        let kind = self.json["type"].as_str().unwrap().strip_prefix("urn:sockhop:problem:").unwrap();
        (self.status, kind, self.json["field"].as_str().unwrap_or_default())
    }
}

pub(crate) async fn ask(node: &Node, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
    let response = api(node).respond(request.body(Full::new(body.into())).unwrap()).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.headers["cache-control"], "no-store");
    assert!(!head.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    let json = serde_json::from_slice(&body).unwrap();
    Answer { status: head.status.as_u16(), headers: head.headers, json }
}

pub(crate) fn request(method: &str, path: &str, key: &str) -> http::request::Builder {
    let request = http::Request::builder().method(method).uri(format!("/api/v1/{path}"));
    request.header("authorization", format!("Bearer {key}")).header("content-type", "application/json")
}

async fn post(node: &Node, path: &str, body: &Value) -> Answer {
    ask(node, request("POST", path, SHOP), body.to_string()).await
}

async fn get(node: &Node, path: &str) -> Answer {
    ask(node, request("GET", path, READER), "").await
}

/// The nodes at which is published and read.
fn ends(world: &World) -> (&Node, &Node) {
    (&world.nodes[0], world.nodes.last().unwrap())
}

pub(crate) async fn a_backend_publishes_and_reads_at_another_node_what_subscribers_get(place: Place) {
    let world = World::new(place, service).await;
    let (here, there) = ends(&world);
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/a").await;
    let html = "<script>alert(1)</script>\0\n";
    let message = json!({
        "destination": "/topic/a", "body": html, "headers": { "note": "<b>:\\", "destination": "/topic/b" }
    });
    let sent = post(here, "publish", &message).await;
    assert_eq!((sent.status, &sent.json["repeated"]), (200, &json!(false)), "{}", sent.json);
    let frame = client.expect(Command::Message).await;
    assert_eq!((frame.body.as_str(), frame.headers.get("note")), (html, Some("<b>:\\")));
    assert_eq!(frame.headers.get("destination"), Some("/topic/a"));
    assert_eq!(frame.headers.get("message-id"), sent.json["messageId"].as_str());
    let page = get(there, "history?destination=%2Ftopic%2Fa").await;
    let read = &page.json["messages"][0];
    assert_eq!((page.status, &read["id"], &read["body"]), (200, &sent.json["messageId"], &json!(html)));
    assert_eq!(read["headers"], json!({ "note": "<b>:\\" }));
    assert_eq!(page.headers["content-type"], "application/json");
    humantime::parse_rfc3339(read["at"].as_str().unwrap()).unwrap();
}

pub(crate) async fn a_backend_reaches_all_sessions_of_a_user(place: Place) {
    let world = World::new(place, service).await;
    let (here, there) = ends(&world);
    let name = "ann/@x é";
    let mut ann = world.connected(&[("passcode", &token(name, &json!({})))]).await;
    ann.subscribe("0", "/user/queue/x").await;
    let path = "users/ann%2F@x%20%C3%A9/publish";
    assert_eq!(post(here, path, &json!({ "destination": "/queue/x", "body": "1" })).await.status, 200);
    let full = json!({ "destination": "/user/ann%2F@x é/queue/x", "body": "2", "id": "2" });
    assert_eq!(post(there, "publish", &full).await.status, 200);
    assert_eq!([ann.message().await.2, ann.message().await.2], ["1", "2"]);
    let page = get(here, "history?destination=/user/ann%252F@x+%C3%A9/queue/x&limit=1").await;
    assert_eq!((&page.json["messages"][0]["body"], &page.json["more"]), (&json!("2"), &json!(false)));
    for destination in ["/app/x", "queue/x", "/queue/", "/topic/*", ""] {
        let refused = post(here, path, &json!({ "destination": destination, "body": "" })).await;
        assert_eq!(refused.problem(), (404, "unknown-destination", "destination"), "{destination}");
    }
}

pub(crate) async fn a_replayed_id_is_answered_alike_and_sent_once(place: Place) {
    replays(&World::new(place, service).await, "/topic/a").await;
}

pub(crate) async fn a_replayed_id_to_a_queue_is_answered_alike_and_sent_once(place: Place) {
    replays(&World::new(place, service).await, "/queue/a").await;
    let each = World::with(place, service, |node| node.queues(Queues::Each)).await;
    replays(&each, "/queue/a").await;
}

async fn replays(world: &World, destination: &str) {
    let mut client = world.connected(&[]).await;
    client.subscribe("0", destination).await;
    let mut first = None;
    for (round, node) in world.nodes.iter().cycle().take(4).enumerate() {
        let with_key = request("POST", "publish", SHOP).header("idempotency-key", "id-1");
        let body = json!({ "destination": destination, "body": "once" });
        let answer = match round % 2 {
            0 => ask(node, with_key, body.to_string()).await,
            _ => post(node, "publish", &json!({ "destination": destination, "body": "once", "id": "id-1" })).await,
        };
        assert_eq!((answer.status, &answer.json["repeated"]), (200, &json!(round > 0)));
        let first = first.get_or_insert(answer.json["messageId"].clone());
        assert_eq!(answer.json["messageId"], *first);
    }
    let (here, _) = ends(world);
    let other = post(here, "publish", &json!({ "destination": destination, "body": "other", "id": "id-1" })).await;
    assert_eq!(other.problem(), (409, "id-conflict", ""));
    assert_eq!(Some(&other.json["messageId"]), first.as_ref());
    let two = request("POST", "publish", SHOP).header("idempotency-key", "a");
    let two = ask(here, two, json!({ "destination": destination, "body": "", "id": "b" }).to_string()).await;
    assert_eq!(two.problem(), (409, "two-ids", "id"));
    post(here, "publish", &json!({ "destination": destination, "body": "last" })).await;
    assert_eq!([client.message().await.2, client.message().await.2], ["once", "last"]);
}

pub(crate) async fn a_full_queue_is_told_and_takes_the_same_id_once_there_is_room(place: Place) {
    let few = Retention { entries: 2, ..Retention::default() };
    let world = World::keeping(place, few, service).await;
    let (here, there) = ends(&world);
    let message =
        |number: usize| json!({ "destination": "/queue/a", "body": number.to_string(), "id": number.to_string() });
    let first = post(here, "publish", &message(1)).await;
    let both = json!({ "messages": [message(1), message(2), message(3)] });
    let refused = post(there, "publish/batch", &both).await;
    assert_eq!(refused.status, 200);
    for result in refused.json["results"].as_array().unwrap() {
        assert_eq!(
            (&result["problem"]["status"], &result["messageId"]),
            (&json!(429), &Value::Null),
            "all or none"
        );
    }
    post(here, "publish", &message(4)).await;
    assert_eq!(post(there, "publish", &message(2)).await.problem(), (429, "queue-full", ""));
    let again = post(there, "publish", &message(1)).await;
    assert_eq!((&again.json["messageId"], &again.json["repeated"]), (&first.json["messageId"], &json!(true)));
    let mut client = world.connected(&[]).await;
    client.frame(subscribe("0", "/queue/a").with("ack", "client")).await;
    client.message().await;
    let last = client.expect(Command::Message).await;
    client.receipted(Frame::new(Command::Ack).with("id", last.headers.get("ack").unwrap())).await;
    let taken = post(here, "publish/batch", &both).await;
    let repeated: Vec<_> =
        taken.json["results"].as_array().unwrap().iter().map(|result| &result["repeated"]).collect();
    assert_eq!(repeated, [true, false, false], "{}", taken.json);
    assert_eq!([client.message().await.2, client.message().await.2], ["2", "3"]);
}

pub(crate) async fn a_batch_is_sent_in_order_with_an_outcome_for_each(place: Place) {
    let world = World::new(place, service).await;
    let (here, there) = ends(&world);
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/a").await;
    let messages: Vec<_> =
        (0..50).map(|number| json!({ "destination": "/topic/a", "body": number.to_string() })).collect();
    let mut all = messages.clone();
    all.insert(10, json!({ "destination": "/nowhere", "body": "" }));
    all.insert(20, json!({ "destination": "/queue/b", "body": "", "id": "own" }));
    let body = json!({ "messages": all }).to_string();
    for round in 0..2 {
        let keyed = request("POST", "publish/batch", SHOP).header("idempotency-key", "batch-7");
        let answer = ask(if round == 0 { here } else { there }, keyed, body.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        let results = answer.json["results"].as_array().unwrap();
        assert_eq!(results.len(), 52);
        assert_eq!(results[10]["problem"]["status"], 404);
        for (index, result) in results.iter().enumerate().filter(|(index, _)| *index != 10) {
            assert_eq!(result["repeated"], json!(round > 0), "{index}: {result}");
        }
        let own = post(there, "publish", &json!({ "destination": "/queue/b", "body": "", "id": "own" })).await;
        assert_eq!((&own.json["messageId"], &own.json["repeated"]), (&results[20]["messageId"], &json!(true)));
    }
    for number in 0..50 {
        assert_eq!(client.message().await.2, number.to_string());
    }
    let wrong = json!({ "messages": [messages[0], { "destination": "/topic/a" }] });
    assert_eq!(post(here, "publish/batch", &wrong).await.problem(), (400, "invalid-request", "messages[1].body"));
    let barrier = post(here, "publish", &json!({ "destination": "/topic/a", "body": "last" })).await;
    assert_eq!((barrier.status, client.message().await.2), (200, "last".to_owned()));
}

pub(crate) async fn pages_of_the_api_lead_both_ways_and_tell_what_is_gone(place: Place) {
    let keep = Retention { entries: 20, ..Retention::default() };
    let world = World::keeping(place, keep, service).await;
    let (here, there) = ends(&world);
    let batch = |from: usize, to: usize| {
        let messages: Vec<_> =
            (from..to).map(|number| json!({ "destination": "/topic/a", "body": number.to_string() })).collect();
        json!({ "messages": messages })
    };
    let bodies = |page: &Answer| -> Vec<usize> {
        let messages = page.json["messages"].as_array().unwrap_or_else(|| panic!("{}", page.json));
        messages.iter().map(|message| message["body"].as_str().unwrap().parse().unwrap()).collect()
    };
    for number in 0..10 {
        post(here, "publish/batch", &batch(number, number + 1)).await;
    }
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut page = get(there, "history?destination=/topic/a&limit=3").await;
    let mut back = bodies(&page);
    let newest = text(&page.json["next"]);
    while !page.json["previous"].is_null() {
        let before = text(&page.json["previous"]);
        page = get(there, &format!("history?destination=/topic/a&limit=3&before={before}")).await;
        back.splice(0..0, bodies(&page));
    }
    assert!(back.into_iter().eq(0..10));
    let oldest = text(&page.json["next"]);
    let forth = get(here, &format!("history?destination=/topic/a&after={oldest}")).await;
    assert_eq!((bodies(&forth), &forth.json["more"]), ((1..10).collect(), &json!(false)));
    let early = get(here, "history?destination=/topic/a&from=oldest&limit=1").await;
    assert_eq!((bodies(&early), &early.json["more"]), (vec![0], &json!(true)));
    for number in 10..40 {
        post(here, "publish/batch", &batch(number, number + 1)).await;
    }
    let gone = get(there, &format!("history?destination=/topic/a&after={oldest}")).await;
    assert_eq!(gone.problem(), (410, "gone", "after"));
    let kept = get(there, "history?destination=/topic/a&from=oldest&limit=1").await;
    assert_eq!((bodies(&kept), &kept.json["truncated"]), (vec![20], &json!(true)));
    assert_eq!(gone.json["oldest"], kept.json["messages"][0]["id"]);
    let gone = get(there, &format!("history?destination=/topic/a&before={newest}")).await;
    assert_eq!(gone.problem(), (410, "gone", "before"));
    let empty = get(there, "history?destination=/topic/none").await;
    assert_eq!(
        (bodies(&empty).len(), &empty.json["next"], &empty.json["previous"]),
        (0, &Value::Null, &Value::Null)
    );
}

pub(crate) async fn who_shows_no_key_or_a_wrong_one_is_refused_before_all_else(place: Place) {
    let world = World::new(place, service).await;
    let (node, _) = ends(&world);
    let bare = || http::Request::post("/api/v1/publish").header("content-type", "application/json");
    let body = json!({ "destination": "/topic/a", "body": "x" }).to_string();
    for value in ["", "Bearer", "Bearer ", "Basic c2hvcDprZXk=", SHOP] {
        for request in [bare(), bare().header("authorization", value)] {
            let refused = ask(node, request, "no JSON at all").await;
            assert_eq!(refused.problem(), (401, "no-key", ""), "{value}");
            assert_eq!(refused.headers["www-authenticate"], "Bearer");
        }
    }
    for key in ["wrong", "shop", &SHOP[1..], &format!("{SHOP}x"), &SHOP.to_uppercase(), &"x".repeat(10_000)] {
        let refused = ask(node, request("POST", "publish", key), body.clone()).await;
        assert_eq!(refused.problem(), (403, "forbidden", ""), "{key}");
        assert!(!refused.json.to_string().contains(key));
    }
    for path in ["publish", "publish/batch", "users/a/publish"] {
        let refused = ask(node, request("POST", path, READER), body.clone()).await;
        assert_eq!(refused.problem(), (403, "forbidden", ""));
        assert!(refused.json["detail"].as_str().unwrap().contains("publish"));
    }
    let lower = bare().header("authorization", format!("bearer  {SHOP} "));
    assert_eq!(ask(node, lower, body).await.status, 200);
    let history = http::Request::get("/api/v1/history?destination=/topic/a");
    assert_eq!(ask(node, history, "").await.problem(), (401, "no-key", ""));
}

pub(crate) async fn requests_that_are_wrong_are_told_where(place: Place) {
    let world = World::new(place, service).await;
    let (node, _) = ends(&world);
    let publish = |body: String| ask(node, request("POST", "publish", SHOP), body);
    let long = "x".repeat(256);
    for (body, field) in [
        ("{", ""),
        ("", ""),
        ("[]", ""),
        (r#"["/topic/a",""]"#, ""),
        ("<html>", ""),
        (r#"{"body":""}"#, "destination"),
        (r#"{"destination":"/topic/a"}"#, "body"),
        (r#"{"destination":7,"body":""}"#, "destination"),
        (r#"{"destination":"/topic/a","body":{}}"#, "body"),
        (r#"{"destination":"/topic/a","body":"\ud800"}"#, "body"),
        (r#"{"destination":"/topic/a","body":"","boby":""}"#, "boby"),
        (r#"{"destination":"/topic/a","body":"","body":""}"#, "body"),
        (r#"{"destination":"/topic/a","body":"","headers":[]}"#, "headers"),
        (r#"{"destination":"/topic/a","body":"","headers":{"a":1}}"#, "headers"),
        (r#"{"destination":"/topic/a","body":"","headers":{"":"1"}}"#, "headers"),
        (r#"{"destination":"/topic/a","body":"","id":""}"#, "id"),
        (r#"{"destination":"/topic/a","body":"","id":7}"#, "id"),
        (&format!(r#"{{"destination":"/topic/a","body":"","id":"{long}"}}"#), "id"),
        (&format!(r#"{{"destination":"/topic/a","body":"","headers":{{"{long}":""}}}}"#), "headers"),
    ] {
        let refused = publish(body.to_owned()).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.json);
        let (_, kind, named) = refused.problem();
        let named = named.split('.').next().unwrap();
        assert_eq!((kind, named), ("invalid-request", field), "{body}: {}", refused.json);
    }
    let headers: serde_json::Map<_, _> = (0..65).map(|number| (number.to_string(), json!(""))).collect();
    let many = json!({ "destination": "/topic/a", "body": "", "headers": headers });
    assert_eq!(publish(many.to_string()).await.problem(), (400, "invalid-request", "headers"));
    let large = json!({ "destination": "/topic/a", "body": "x".repeat(100_000) });
    assert_eq!(publish(large.to_string()).await.problem(), (413, "too-large", ""));
    for count in [0, 1001] {
        let messages = vec![json!({ "destination": "/topic/a", "body": "" }); count];
        let refused = post(node, "publish/batch", &json!({ "messages": messages })).await;
        assert_eq!(refused.problem(), (400, "invalid-request", "messages"), "{count}");
    }
    let form = http::Request::post("/api/v1/publish").header("authorization", format!("Bearer {SHOP}"));
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(ask(node, form, "{}").await.problem(), (415, "no-json", ""));
    for key in ["", "a b", "é", &long] {
        let keyed = request("POST", "publish", SHOP).header("idempotency-key", key);
        let refused = ask(node, keyed, r#"{"destination":"/topic/a","body":""}"#).await;
        assert_eq!(refused.problem(), (400, "invalid-request", "Idempotency-Key"), "{key}");
    }
    let long = format!("/topic/{}", "x".repeat(249));
    for destination in ["", "/", "/topic", "/topic/", "/app/x", "/session/0/queue/x", "/topic/*", "/user/a", &long]
    {
        let refused = post(node, "publish", &json!({ "destination": destination, "body": "" })).await;
        assert_eq!(refused.problem(), (404, "unknown-destination", "destination"), "{destination}");
        let refused = get(node, &format!("history?destination={destination}")).await;
        assert_eq!(refused.problem(), (404, "unknown-destination", "destination"), "{destination}");
    }
    for path in ["", "publis", "publish/", "publish/batch/", "users//publish", "history/", "v1/history"] {
        assert_eq!(post(node, path, &json!({})).await.problem(), (404, "unknown-path", ""), "{path}");
    }
    for (method, path, allow) in
        [("GET", "publish", "POST"), ("OPTIONS", "publish/batch", "POST"), ("DELETE", "history", "GET, HEAD")]
    {
        let refused = ask(node, request(method, path, SHOP), "").await;
        assert_eq!(refused.problem(), (405, "method-not-allowed", ""));
        assert_eq!(refused.headers["allow"], allow);
    }
}

pub(crate) async fn cursors_that_are_forged_or_foreign_are_refused(place: Place) {
    let world = World::new(place, service).await;
    let (here, there) = ends(&world);
    for destination in ["/topic/a", "/topic/b"] {
        post(here, "publish", &json!({ "destination": destination, "body": "secret" })).await;
    }
    let page = get(here, "history?destination=/topic/a").await;
    let cursor = page.json["next"].as_str().unwrap();
    let forged = format!("{}{}", &cursor[..43], if cursor.ends_with('0') { '1' } else { '0' });
    for side in ["before", "after"] {
        for (destination, cursor) in
            [("/topic/b", cursor), ("/topic/a", forged.as_str()), ("/topic/a", &"0".repeat(44))]
        {
            let refused = get(there, &format!("history?destination={destination}&{side}={cursor}")).await;
            assert_eq!(refused.problem(), (404, "unknown-cursor", side));
        }
        for cursor in ["", "0", &cursor[1..], &format!("{cursor}0"), "../../topic/b", "%00", &"f".repeat(9000)] {
            let refused = get(there, &format!("history?destination=/topic/a&{side}={cursor}")).await;
            assert_eq!(refused.problem(), (400, "invalid-request", side), "{cursor}");
        }
    }
    for (query, field) in [
        ("", "destination"),
        ("limit=5", "destination"),
        ("destination=/topic/a&limit=0", "limit"),
        ("destination=/topic/a&limit=1001", "limit"),
        ("destination=/topic/a&limit=+5", "limit"),
        ("destination=/topic/a&limit=five", "limit"),
        ("destination=/topic/a&limit=", "limit"),
        ("destination=/topic/a&from=middle", "from"),
        ("destination=/topic/a&destination=/topic/b", "destination"),
        ("destination=/topic/a&befor=0", "befor"),
        ("destination=/topic/a%ff", "destination"),
        (&format!("destination=/topic/a&before={cursor}&after={cursor}"), "after"),
        (&format!("destination=/topic/a&before={cursor}&from=newest"), "from"),
        (&format!("destination=/topic/a&after={cursor}&from=oldest"), "from"),
    ] {
        let refused = get(there, &format!("history?{query}")).await;
        assert_eq!(refused.problem(), (400, "invalid-request", field), "{query}");
    }
}

pub(crate) async fn the_document_describes_each_path_and_is_everybodys(place: Place) {
    let world = World::new(place, service).await;
    let (node, _) = ends(&world);
    let document = ask(node, http::Request::get("/api/v1/openapi.json"), "").await;
    assert_eq!((document.status, &document.json["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(document.json["servers"][0]["url"], "/api/v1");
    for (path, item) in document.json["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.trim_start_matches('/').replace("{user}", "ann");
            let asked = ask(
                node,
                http::Request::builder().method(&*method.to_uppercase()).uri(format!("/api/v1/{path}")),
                "",
            );
            assert_eq!(asked.await.status, if path == "openapi.json" { 200 } else { 401 }, "{method} {path}");
        }
    }
}

pub(crate) async fn rules_of_clients_are_not_those_of_the_api(place: Place) {
    let only = || Stomp::new().rules(["subscribe /topic/** anyone".parse().unwrap()]).service("/ws");
    let world = World::new(place, only).await;
    let (here, _) = ends(&world);
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/a").await;
    assert_eq!(post(here, "publish", &json!({ "destination": "/topic/a", "body": "x" })).await.status, 200);
    assert_eq!(client.message().await.2, "x");
    let send = Frame::new(sockhop_stomp::Command::Send).with("destination", "/topic/a");
    assert_eq!(client.refused(send).await.0, "forbidden");
}
