//! Connections, one by one: how many there are, and how long each may take.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{Uri, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    select,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};

use super::{Limits, slow::Impatient};
use crate::api::ApiError;

/// Connections beyond the limit that hear why, at once.
const REFUSED: usize = 64;

/// Most headers of a request.
const HEADERS: usize = 100;

/// What somebody hears for whom there is no connection left.
fn full() -> String {
    let body = ApiError::unavailable("too many connections are open: try again", 1).openai().to_string();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Takes connections until `stopped`.
pub async fn accept(listener: TcpListener, router: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let refused = Arc::new(Semaphore::new(REFUSED));
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No descriptor is left, or the client is gone already: neither ends the server.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    sleep(Duration::from_millis(50)).await;
                }
                continue;
            }
        };
        match room.clone().try_acquire_owned() {
            Ok(place) => {
                let (router, stopped) = (router.clone(), stopped.clone());
                tokio::spawn(async move {
                    serve(stream, router, limits, stopped).await;
                    drop(place);
                });
            }
            // Beyond these, a closed connection has to say it.
            Err(_) => {
                if let Ok(place) = refused.clone().try_acquire_owned() {
                    refuse(stream, place);
                }
            }
        }
    }
}

/// Says that there is no room, and waits a little until the client is gone: closing a connection with unread bytes would take
/// back what was said.
fn refuse(mut stream: TcpStream, place: OwnedSemaphorePermit) {
    tokio::spawn(async move {
        let _ = timeout(Duration::from_secs(1), async {
            stream.write_all(full().as_bytes()).await?;
            stream.shutdown().await?;
            while stream.read(&mut [0; 4096]).await? > 0 {}
            io::Result::Ok(())
        })
        .await;
        drop(place);
    });
}

async fn serve(stream: TcpStream, router: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    // Tokens are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Impatient::new(stream, limits.write_time));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let request = with_single_slashes(request.map(Body::new));
        hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_time);
    // A read may fill the buffer to twice this before anybody counts.
    builder.max_buf_size(limits.headers / 2).max_headers(HEADERS);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut told = *stopped.borrow();
    if told {
        connection.as_mut().graceful_shutdown();
    }
    loop {
        select! {
            // What a client did wrong is its own affair.
            _ = connection.as_mut() => return,
            changed = stopped.changed(), if !told => {
                told = true;
                if changed.is_ok() {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Base addresses often end with a slash, and clients then write two: `/v1//models`.
fn with_single_slashes(mut request: Request) -> Request {
    let uri = request.uri();
    if !uri.path().contains("//") {
        return request;
    }
    let mut path = String::with_capacity(uri.path().len());
    for letter in uri.path().chars() {
        if letter != '/' || !path.ends_with('/') {
            path.push(letter);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}
