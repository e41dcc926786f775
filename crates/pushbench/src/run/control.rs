//! Requests for the server's statistics.

use std::time::Duration;

use anyhow::Context;
use loadgen::Target;
use wire::ServerStats;

const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Reads the statistics over one kept-alive connection.
#[derive(Clone)]
pub(crate) struct Control {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Control {
    pub(crate) fn new(target: &Target) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_MAX)
            .build()
            .context("cannot create an HTTP client")?;
        Ok(Self { client, url: format!("http://{}/stats", target.first().http), token: target.token.clone() })
    }

    pub(crate) async fn usage(&self) -> anyhow::Result<ServerStats> {
        let request = self.client.get(&self.url);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.with_context(|| format!("no answer from {}", self.url))?;
        let response = response.error_for_status().context("the server has no statistics")?;
        response.json().await.context("cannot read the server's statistics")
    }
}
