//! A service as a warp filter and as a tower service.

use sockhop::services::Echo;
use sockhop::{Node, Origins, Service};
use tower_service::Service as _;
use warp::Filter;

use crate::client::text;

#[tokio::test]
async fn a_filter_leaves_other_paths_to_other_filters() {
    let node = Node::new();
    let echo = Service::builder("/echo", Echo).build(&node);
    let chat = Service::builder("/chat", Echo).build(&node);
    let routes = echo.filter().or(warp::path("hello").map(|| "hello")).or(chat.filter());
    for (path, status, body) in [
        ("/echo", 200, "Welcome to SockJS!\n"),
        ("/echo/", 200, "Welcome to SockJS!\n"),
        ("/chat/", 200, "Welcome to SockJS!\n"),
        ("/echo/nothing", 404, "Page not found."),
        ("/hello", 200, "hello"),
        ("/echoes", 404, ""),
    ] {
        let answer = warp::test::request().path(path).reply(&routes).await;
        assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (status, body.as_bytes()), "{path}");
    }
}

#[tokio::test]
async fn a_session_lives_behind_a_filter() {
    let routes = Service::builder("/echo", Echo).build(&Node::new()).filter();
    let post = |path: &str| warp::test::request().method("POST").path(path);
    assert_eq!(post("/echo/0/s/xhr?t=1").reply(&routes).await.body(), "o\n");
    assert_eq!(post("/echo/0/s/xhr_send").body("[\"x\"]").reply(&routes).await.status(), 204);
    assert_eq!(post("/echo/1/s/xhr").reply(&routes).await.body(), "a[\"x\"]\n");
    let jsonp = warp::test::request().path("/echo/0/t/jsonp?c=cb").reply(&routes).await;
    assert_eq!(jsonp.body(), "/**/cb(\"o\");\r\n");
}

#[tokio::test]
async fn a_tower_service_answers_the_same() {
    let mut echo = Service::builder("", Echo).build(&Node::new());
    for (path, status, body) in [("/", 200, "Welcome to SockJS!\n"), ("/a", 404, "Page not found.")] {
        let request = http::Request::get(path).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        let Ok(answer) = echo.call(request).await;
        assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (status, body));
    }
}

#[tokio::test]
async fn refused_origins_are_told_and_get_no_cors() {
    let origins = Origins::Only(vec!["https://app.example.com".to_owned()]);
    let routes = Service::builder("/echo", Echo).origins(origins).build(&Node::new()).filter();
    for (origin, status) in [("https://app.example.com", 200), ("https://evil.example", 403)] {
        let answer = warp::test::request().path("/echo/info").header("origin", origin).reply(&routes).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), status == 200);
    }
    let frame = warp::test::request().path("/echo/iframe.html").reply(&routes).await;
    assert_eq!(frame.headers()["content-security-policy"], "frame-ancestors 'self' https://app.example.com");
}
