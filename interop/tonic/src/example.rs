//! `example.TestService` and the answers it has for each caller.

use crate::tutorial::test_service_server::TestService;
use crate::tutorial::{Request, Result as Answer};

pub struct Example;

#[tonic::async_trait]
impl TestService for Example {
    async fn method(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Answer>, tonic::Status> {
        let (result1, result2) = match request.get_ref().request1.as_str() {
            "java-request1" => both("res1-java-client->rust-server"),
            "py-request1" => both("res1-py-client->rust-server"),
            "rust-request1" => both("res1-rust-client->rust-server"),
            "go-request1" => both("res1-go-client->rust-server"),
            "node-request1" => both("res1-node-client->rust-server"),
            _ => ("f1".to_owned(), "fn1".to_owned()),
        };
        Ok(tonic::Response::new(Answer { result1, result2 }))
    }
}

fn both(text: &str) -> (String, String) {
    (text.to_owned(), text.to_owned())
}
