//! The interop cases, ferrpc against itself. (Against real peers: `cargo xtask interop`.)

use ferrpc::Channel;
use ferrpc::server::Server;
use ferrpc_testing::interop::client::{CASES, Peer};
use ferrpc_testing::interop::server::{Example, Test};
use ferrpc_testing::interop::{MESSAGE_LIMIT, testing, tutorial};

async fn server() -> (Server, Channel) {
    let server = Server::builder()
        .max_receive_message(MESSAGE_LIMIT)
        .add_service(testing::TestServiceServer::new(Test))
        .add_service(tutorial::TestServiceServer::new(Example))
        .bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let channel = Channel::builder(server.addresses()[0].to_string())
        .max_receive_message(MESSAGE_LIMIT)
        .connect_lazy()
        .expect("the address is a target");
    (server, channel)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_passes() {
    let (server, channel) = server().await;
    let peer = Peer::new(channel);
    for case in CASES {
        if let Err(failure) = peer.run(case).await {
            panic!("{case}: {failure}");
        }
    }
    server.shutdown(None).await;
}

#[tokio::test]
async fn each_caller_gets_its_own_answer() {
    let (server, channel) = server().await;
    let client = tutorial::TestServiceClient::new(channel);
    for (caller, expect) in [
        ("py", ["res1-py-client->rust-server"; 2]),
        ("node", ["res1-node-client->rust-server"; 2]),
        ("cobol", ["f1", "fn1"]),
    ] {
        let request = tutorial::Request {
            request1: format!("{caller}-request1"),
            request2: format!("{caller}-request2"),
            ..Default::default()
        };
        let result = client.method(request).await.expect("it is answered").into_inner();
        assert_eq!([result.result1.as_str(), &result.result2], expect);
    }
    server.shutdown(None).await;
}
