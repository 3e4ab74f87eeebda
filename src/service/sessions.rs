//! The session layer, as the transports of a service see it.

use std::sync::Arc;

use sockhop_transports::{
    Attached, ClientRequest, CloseReason, MessageIn, Sessions, Texts, Transport, Unavailable,
};

use super::ServiceState;
use crate::id::{RequestId, SessionKey};
use crate::node::NodeInner;
use crate::registry::Kind;
use crate::request::RequestInfo;
use crate::session::{self, AnySocket, Held, KeptSocket, LocalSocket, Malformed, Named, Presence, Wanted};
use crate::store::{Begin, First, Origin, SessionRef};

/// The session layer behind a service's transports.
pub(super) struct ServiceSessions {
    pub(super) node: Arc<NodeInner>,
    pub(super) service: Arc<ServiceState>,
}

impl ServiceSessions {
    fn origin(&self, request: &ClientRequest<'_>, can_resume: bool) -> Origin {
        let service = &self.service;
        let window = service.resume.filter(|_| can_resume);
        Origin {
            service: Arc::clone(&service.name),
            request: RequestInfo::new(
                request.transport,
                &service.name,
                request.head,
                request.remote,
                &service.kept_headers,
            )
            .with_cookie(request.head, service.kept_cookie.as_deref()),
            disconnect_delay: window.unwrap_or(service.disconnect_delay),
        }
    }

    /// The session that a request is about.
    fn named(&self, request: &ClientRequest<'_>) -> Result<Named, Malformed> {
        match self.service.resume {
            Some(_) => Named::parse(&self.service.name, request.session),
            None => Ok(Named::plain(&self.service.name, request.session)),
        }
    }
}

/// By what a request and its repeats are known.
///
/// Where sessions can be resumed, that is first what the stock client itself puts into each URL: browsers repeat requests
/// whose connection broke before an answer, and a balancer takes these for new ones.
fn request_id(request: &ClientRequest<'_>, named: &Named) -> Option<RequestId> {
    let by_client = || request.head.uri.query().and_then(of_client).map(RequestId::of);
    let by_balancer = || request.request_id.map(RequestId::of);
    if named.attempt.is_some() { by_client().or_else(by_balancer) } else { by_balancer() }
}

/// The parameter by which sockjs-client makes each URL another: the time, or the random name of a callback.
fn of_client(query: &str) -> Option<&str> {
    let is_time = |value: &str| value.len() >= 10 && value.bytes().all(|byte| byte.is_ascii_digit());
    query.split('&').find(|parameter| match parameter.split_once('=') {
        Some(("t", value)) => is_time(value),
        Some(("c", value)) => value.starts_with("_jp."),
        Some(("i", value)) => value.len() == 9 && value.starts_with('a'),
        _ => false,
    })
}

/// Whether a transport carries one frame a response: its first is `o`, and nothing else.
fn is_poll(transport: Transport) -> bool {
    matches!(transport, Transport::Xhr | Transport::Jsonp)
}

impl Sessions for ServiceSessions {
    type Receiver = Held;
    type Socket = AnySocket;

    async fn attach(&self, request: ClientRequest<'_>) -> Attached<Held> {
        let Ok(named) = self.named(&request) else { return Attached::Refused(CloseReason::MALFORMED) };
        if named.attempt.is_some() && request.transport == Transport::Eventsource {
            // It opens its next receiver after a cut as after a proper end, so nothing says what has arrived.
            return Attached::NotOffered;
        }
        let presence = Presence::enter(&self.node, named.key, Kind::Response);
        let wanted = Wanted {
            named,
            request: request_id(&request, &named),
            first: if is_poll(request.transport) { First::Released } else { First::Held },
            origin: &|| self.origin(&request, named.attempt.is_some()),
        };
        session::attach(&self.node, &self.service, presence, wanted).await
    }

    async fn message_in(&self, request: ClientRequest<'_>, messages: Texts) -> MessageIn {
        let Ok(named) = self.named(&request) else { return MessageIn::Unknown };
        let begin = Begin {
            key: named.key,
            node: self.node.id,
            request: request_id(&request, &named),
            attempt: named.number(),
            count: u32::try_from(messages.len()).unwrap_or(u32::MAX),
            rate: self.service.max_messages_per_second,
        };
        session::hand_in(&self.node, &self.service, begin, messages).await
    }

    fn connect(&self, request: ClientRequest<'_>) -> Result<AnySocket, Unavailable> {
        let (node, service) = (&self.node, &self.service);
        if service.resume.is_some() {
            let named = self.named(&request);
            // An ordinary id is no identity of a WebSocket: two may have the same.
            if !matches!(named, Ok(Named { attempt: None, .. })) {
                let origin = self.origin(&request, true);
                return Ok(AnySocket::Kept(Box::new(KeptSocket::open(node, service, named, origin))));
            }
        }
        if !node.has_room() {
            return Err(session::FULL);
        }
        node.socket_opened();
        let origin = self.origin(&request, false);
        let session = SessionRef { key: SessionKey::random(), life: rand::random() };
        Ok(AnySocket::Local(LocalSocket::open(Arc::clone(node), Arc::clone(service), origin, session)))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.node.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stock_client_puts_into_each_url_names_the_request() {
        for (query, name) in [
            ("t=1766780000000", "t=1766780000000"),
            ("a=b&t=1766780000000", "t=1766780000000"),
            ("c=_jp.abcdefg", "c=_jp.abcdefg"),
            ("i=abcdefghi", "i=abcdefghi"),
        ] {
            assert_eq!(of_client(query), Some(name));
        }
        for query in ["", "t", "t=", "t=1", "t=1766780000000x", "c=callback", "i=0", "x=1766780000000"] {
            assert_eq!(of_client(query), None, "{query}");
        }
    }
}
