//! The accept loop: a hyper http1 connection per socket with a warp filter as its service.

use std::convert::Infallible;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use warp::reply::Response;

/// Serves every connection of `listener` with `service`, which is a warp filter made into a service.
///
/// # Errors
/// When accepting fails. What goes wrong on one connection ends that connection alone.
pub(crate) async fn run<S>(listener: TcpListener, service: S) -> anyhow::Result<()>
where
    S: tower_service::Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service.clone()))
            .with_upgrades();
        tokio::spawn(connection);
    }
}
