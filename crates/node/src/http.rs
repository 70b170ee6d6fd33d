//! The HTTP door: is it alive, and its counters.
//!
//! Owns:     `/healthz` and `/metrics` (Prometheus text format).
//! Promises: needs no login, and shows nothing of any row.
//! Never:    changes anything.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use std::fmt::Write;
use std::sync::Arc;
use tokio::net::TcpListener;
use weald_aggregator::information_schema::ServerFacts;
use weald_aggregator::server::Server;

pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let app = Router::new().route("/healthz", get(|| async { "ok\n" })).route("/metrics", get(move || std::future::ready(metrics(&server))));
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the HTTP door closed");
    }
}

fn metrics(server: &Server) -> impl IntoResponse + use<> {
    let mut out = String::new();
    for (name, value) in server.global_status() {
        if let Ok(n) = value.parse::<f64>() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "weald_{} {n}", name.to_ascii_lowercase());
        }
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], out)
}
