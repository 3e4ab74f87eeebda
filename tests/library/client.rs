//! A little client that speaks to a service without a socket, as its transports' requests.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use sockhop::{Body, Service};

/// One SockJS session over polls.
pub(crate) struct Poller {
    service: Service,
    session: String,
    query: String,
}

/// Longer than anything that is meant to happen takes.
const PATIENCE: Duration = Duration::from_secs(60);

impl Poller {
    pub(crate) fn new(service: &Service, session: &str) -> Self {
        Self { service: service.clone(), session: session.to_owned(), query: String::new() }
    }

    /// The same session, as a client that reaches another node.
    pub(crate) fn at(&self, service: &Service) -> Self {
        Self::new(service, &self.session)
    }

    /// The same session, with a query in each URL.
    pub(crate) fn with_query(&self, query: &str) -> Self {
        Self { query: format!("?{query}"), ..Self::new(&self.service, &self.session) }
    }

    fn path(&self, endpoint: &str) -> String {
        format!("{}/000/{}/{endpoint}{}", self.service.prefix(), self.session, self.query)
    }

    /// One poll's frame, without its line feed.
    pub(crate) async fn poll(&self) -> String {
        self.poll_as(None).await
    }

    /// One poll, as a balancer names it.
    pub(crate) async fn poll_as(&self, request_id: Option<&str>) -> String {
        let mut request = Request::post(self.path("xhr"));
        if let Some(id) = request_id {
            request = request.header("x-request-id", id);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = answered(self.service.respond(request)).await.expect("written");
        assert_eq!(response.status(), StatusCode::OK);
        text(response).await.trim_end_matches('\n').to_owned()
    }

    /// The streaming response of a receiver request.
    pub(crate) async fn stream(&self) -> Response<Body> {
        let request = Request::post(self.path("xhr_streaming")).body(Empty::<bytes::Bytes>::new()).unwrap();
        answered(self.service.respond(request)).await.expect("written")
    }

    /// Sends messages; the answer's status.
    pub(crate) async fn send(&self, messages: &[&str]) -> StatusCode {
        self.send_as(messages, None).await
    }

    /// Sends, as a balancer names it.
    pub(crate) async fn send_as(&self, messages: &[&str], request_id: Option<&str>) -> StatusCode {
        let body = serde_json::to_vec(messages).unwrap();
        let mut request = Request::post(self.path("xhr_send"));
        if let Some(id) = request_id {
            request = request.header("x-request-id", id);
        }
        let request = request.body(Full::new(bytes::Bytes::from(body))).unwrap();
        answered(self.service.respond(request)).await.expect("written").status()
    }
}

/// The next chunk of a streaming response, or `None` at its end.
pub(crate) async fn chunk(stream: &mut Response<Body>) -> Option<String> {
    let frame = answered(stream.body_mut().frame()).await?.expect("not cut");
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

pub(crate) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// What resolves in time.
pub(crate) async fn answered<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("an answer within a minute")
}
