//! Live views as server-sent events: a snapshot at once, another after each change, `end` when it is over.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use kernel::Result;
use serde::Serialize;

use crate::app::App;

/// Streams snapshots of one thing. `load` gives the snapshot and whether it is final; it is called again after each wake
/// of a topic that `wanted` accepts, and every few seconds besides, so that a lost wake only costs time.
pub fn snapshots<T, L, F>(
    app: App,
    name: &'static str,
    wanted: impl Fn(&str) -> bool + Send + Sync + 'static,
    load: L,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + Send + 'static>
where
    T: Serialize + Send + 'static,
    L: Fn(App) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(T, bool)>> + Send + 'static,
{
    enum State {
        Open { last: String },
        Ending,
        Closed,
    }
    let waiter = app.db().wake().subscribe();
    let start = (app, waiter, wanted, load, State::Open { last: String::new() });
    let stream = futures::stream::unfold(start, move |(app, mut waiter, wanted, load, state)| async move {
        let mut last = match state {
            State::Open { last } => last,
            State::Ending => {
                let event = Event::default().event("end").data("{}");
                return Some((Ok(event), (app, waiter, wanted, load, State::Closed)));
            }
            State::Closed => return None,
        };
        let mut first = last.is_empty();
        loop {
            if !first {
                waiter.wait(Duration::from_secs(5), &wanted).await;
            }
            first = false;
            match load(app.clone()).await {
                Ok((value, end)) => {
                    let text = serde_json::to_string(&value).unwrap_or_default();
                    if text != last || end {
                        last.clone_from(&text);
                        let event = Event::default().event(name).data(text);
                        let state = if end { State::Ending } else { State::Open { last } };
                        return Some((Ok(event), (app, waiter, wanted, load, state)));
                    }
                }
                Err(error) => {
                    let body = serde_json::to_string(&crate::problem::body_of(&error)).unwrap_or_default();
                    let event = Event::default().event("problem").data(body);
                    return Some((Ok(event), (app, waiter, wanted, load, State::Closed)));
                }
            }
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
