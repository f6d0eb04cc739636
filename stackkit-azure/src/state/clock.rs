//! `Clocked`: a client that notes with each answer what time it is by the store's clock. Locks end by that clock.

use std::time::SystemTime;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// The moment at which an answer was sent, by the store's clock, in whole seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent(pub(super) SystemTime);

/// Makes clients that note it.
#[derive(Debug, Default)]
pub(super) struct Clocked;

impl HttpConnector for Clocked {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Clock(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Clock(HttpClient);

#[async_trait]
impl HttpService for Clock {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut answer = self.0.execute(request).await?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        if let Some(sent) = date.and_then(|date| httpdate::parse_http_date(date).ok()) {
            answer.extensions_mut().insert(Sent(sent));
        }
        Ok(answer)
    }
}
