//! A service inside an axum app, beside its other routes.
//!
//! An address as argument is listened on.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use sockhop::services::Echo;
use sockhop::{Node, RemoteAddr, Service};

/// Tells sockhop the client's address.
async fn remote_address(
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(RemoteAddr(address));
    next.run(request).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8081").parse()?;
    let node = Node::new();
    let echo = Service::builder("/echo", Echo).build(&node);
    let app = Router::new()
        .route("/hello", get(|| async { "hello from axum\n" }))
        // SockJS matches raw paths itself, so it takes everything below its prefix as it came.
        .route_service("/echo", echo.clone())
        .route_service("/echo/{*rest}", echo.clone())
        .route_service("/echo/", echo)
        .layer(from_fn(remote_address));
    let listener = tokio::net::TcpListener::bind(address).await?;
    #[allow(clippy::print_stdout, reason = "a program that says where it listens")]
    {
        println!("listening on http://{}/echo", listener.local_addr()?);
    }
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
