//! `example.TestService` and the answers it has for each caller.

use crate::tutorial::test_service_server::TestService;
use crate::tutorial::{Request, Result as Answer};

pub struct Example;

impl Example {
    pub fn answer(request: &Request) -> Answer {
        let (result1, result2) = match request.request1.as_str() {
            "java-request1" => both("res1-java-client->rust-server"),
            "py-request1" => both("res1-py-client->rust-server"),
            "rust-request1" => both("res1-rust-client->rust-server"),
            "go-request1" => both("res1-go-client->rust-server"),
            "node-request1" => both("res1-node-client->rust-server"),
            _ => ("f1".to_owned(), "fn1".to_owned()),
        };
        Answer { result1, result2 }
    }
}

#[tonic::async_trait]
impl TestService for Example {
    async fn method(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Answer>, tonic::Status> {
        Ok(tonic::Response::new(Self::answer(request.get_ref())))
    }
}

fn both(text: &str) -> (String, String) {
    (text.to_owned(), text.to_owned())
}
