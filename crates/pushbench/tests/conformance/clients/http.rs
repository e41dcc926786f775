//! Shared by the clients on HTTP: requests with reqwest, posts and refusals.

use wire::Ack;

use super::{ClientOptions, Refused, json};
use crate::test_server::TestServer;

/// Sends requests to one room.
pub(crate) struct Poster {
    web: reqwest::Client,
    read_url: String,
    post_url: String,
    options: ClientOptions,
    ordinal: u64,
}

impl Poster {
    pub(super) fn new(server: &TestServer, options: &ClientOptions) -> Self {
        let mut builder = reqwest::Client::builder().no_proxy();
        if options.close_each {
            builder = builder.pool_max_idle_per_host(0);
        }
        let [read_url, post_url] = server
            .next_nodes()
            .map(|node| format!("http://{}/rooms/{}/{}", node.http, options.room, options.transport));
        Self { web: builder.build().unwrap(), read_url, post_url, options: options.clone(), ordinal: 0 }
    }

    /// A read request with this query.
    pub(super) async fn get(&self, query: &str) -> reqwest::Result<reqwest::Response> {
        let mut request = self.web.get(format!("{}?{query}", self.read_url));
        if self.options.close_each {
            request = request.header("connection", "close");
        }
        if let (true, wire::StartAt::After(seq)) = (self.options.resumes_in_header(), self.options.start) {
            request = request.header("last-event-id", seq.to_string());
        }
        request.send().await
    }

    pub(crate) async fn post(&mut self, text: &str) -> Result<Ack, Refused> {
        self.ordinal += 1;
        let mut request = self.web.post(&self.post_url).body(json::post(self.options.author, self.ordinal, text));
        if let Some(token) = &self.options.token {
            request = request.bearer_auth(token);
        }
        if self.options.close_each {
            request = request.header("connection", "close");
        }
        let answer = request.send().await.unwrap();
        if answer.status() != 200 {
            return Err(read_refusal(answer).await);
        }
        let ack: Ack = answer.json().await.unwrap();
        assert_eq!(ack.ordinal, self.ordinal);
        Ok(ack)
    }
}

pub(crate) async fn read_refusal(answer: reqwest::Response) -> Refused {
    let status = Some(answer.status().as_u16());
    let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let error_body = json::error_body(&answer.bytes().await.unwrap());
    Refused { status, retry_after, error_body }
}
