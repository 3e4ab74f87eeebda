//! The SockJS 0.3.x protocol, endpoint by endpoint.

mod buffering;
mod caching;
mod connections;
mod cookies;
mod cors;
mod eventsource;
mod greeting;
mod htmlfile;
mod http10;
mod iframe;
mod info;
mod jsonp;
mod jsonp_send;
mod lost_receivers;
mod methods;
mod polling;
mod request_bodies;
mod routing;
mod sending;
mod services;
mod streaming;
mod timers;
mod unicode;
mod websocket;
mod websocket_handshake;
mod xhr_streaming;
