//! Answers as they grow: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, header},
    response::Response,
};
use hyper::body::Frame as BodyFrame;
use tokio::time::{Instant, Sleep, sleep};

use super::respond::typed;
use crate::api::{Asked, Frame, Served, Update};

/// The events of an answer. A client that is gone drops it, and with it its place in the engine.
struct Events {
    served: Arc<Served>,
    asked: Asked,
    ready: VecDeque<Bytes>,
    /// Nothing comes behind what is ready.
    over: bool,
    ping: Duration,
    silence: Pin<Box<Sleep>>,
}

/// An answer of which nothing is known yet; what goes wrong from here on is an event.
pub fn events(served: Arc<Served>, mut asked: Asked, ping: Duration) -> Response {
    let begin = asked.protocol.begin(&served);
    let ready = begin.into_iter().map(text).collect();
    let silence = Box::pin(sleep(ping));
    let body = Body::new(Events { served, asked, ready, over: false, ping, silence });
    let mut response = typed("text/event-stream; charset=utf-8", body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies would gather events.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// JSON has no line breaks, so that each event is one line of data.
fn text(frame: Frame) -> Bytes {
    match frame.event {
        Some(event) => format!("event: {event}\ndata: {}\n\n", frame.data).into(),
        None => format!("data: {}\n\n", frame.data).into(),
    }
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                this.silence.as_mut().reset(Instant::now() + this.ping);
                return Poll::Ready(Some(Ok(BodyFrame::data(bytes))));
            }
            if this.over {
                return Poll::Ready(None);
            }
            // Nothing is lost where this future is dropped.
            let update = pin!(this.asked.answers.next(&this.served)).poll(context);
            let frames = match update {
                Poll::Ready(Some(Update::Failed(error))) => {
                    this.over = true;
                    this.asked.protocol.failed(&error)
                }
                Poll::Ready(Some(update)) => this.asked.protocol.update(update, &this.served),
                Poll::Ready(None) => {
                    this.over = true;
                    this.asked.protocol.end(&this.served)
                }
                Poll::Pending => {
                    if this.silence.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    this.ready.push_back(Bytes::from_static(b": ping\n\n"));
                    continue;
                }
            };
            this.ready.extend(frames.into_iter().map(text));
        }
    }
}
