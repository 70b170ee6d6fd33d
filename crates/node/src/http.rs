//! The HTTP door: is it alive, and its counters.
//!
//! Owns:     `/healthz` and `/metrics`.
//! Promises: open from the start, before recovery; needs no login, and shows nothing of any row.
//! Never:    changes anything.

use crate::health::Health;
use crate::metrics;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(crate) async fn serve(listener: TcpListener, health: Arc<Health>) {
    let of_metrics = health.clone();
    let healthz = move || {
        let (well, text) = health.report();
        std::future::ready((if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text))
    };
    let metrics = move || std::future::ready(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::exposition(&of_metrics)));
    let app = Router::new().route("/healthz", get(healthz)).route("/metrics", get(metrics));
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the HTTP door closed");
    }
}
