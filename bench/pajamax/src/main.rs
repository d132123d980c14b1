//! pajamax in the bench: unary calls only, a thread for each connection.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use pajamax::Config;
use pajamax::status::{Code, Status};

mod tutorial {
    include!(concat!(env!("OUT_DIR"), "/example.rs"));
}

#[allow(dead_code, reason = "pajamax has no streams, but their messages are there")]
mod testing {
    include!(concat!(env!("OUT_DIR"), "/grpc.testing.rs"));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [flag, address] = arguments.as_slice() else { usage() };
    if flag != "--listen" {
        usage();
    }
    let mut address: SocketAddr = address.parse()?;
    if address.port() == 0 {
        // pajamax does not tell which port it got: one that is free is found first.
        address = TcpListener::bind(address)?.local_addr()?;
    }
    thread::spawn(move || {
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        println!("listening on {address}");
    });
    Config::new()
        // More than any shape has; the default, 100, would refuse some.
        .max_concurrent_connections(10_000)
        .add_service(tutorial::TestServiceServer::new(Example))
        .add_service(testing::TestServiceServer::new(Test))
        .serve(address)?;
    Ok(())
}

fn usage() -> ! {
    eprintln!("usage: server --listen ADDRESS:PORT");
    std::process::exit(2);
}

struct Example;

impl tutorial::TestService for Example {
    fn method(&self, request: tutorial::Request) -> pajamax::Response<tutorial::Answer> {
        let caller = request.request1.strip_suffix("-request1");
        let (result1, result2) = match caller.filter(|caller| CALLERS.contains(caller)) {
            Some(caller) => {
                let both = format!("res1-{caller}-client->rust-server");
                (both.clone(), both)
            }
            None => ("f1".to_owned(), "fn1".to_owned()),
        };
        Ok(tutorial::Answer { result1, result2 })
    }
}

struct Test;

impl testing::TestService for Test {
    fn empty_call(&self, _: testing::Empty) -> pajamax::Response<testing::Empty> {
        Ok(testing::Empty {})
    }

    fn unary_call(
        &self,
        request: testing::SimpleRequest,
    ) -> pajamax::Response<testing::SimpleResponse> {
        let size = usize::try_from(request.response_size).map_err(|_| Status {
            code: Code::InvalidArgument,
            message: "negative size".to_owned(),
        })?;
        let payload = testing::Payload { body: vec![0; size], ..Default::default() };
        Ok(testing::SimpleResponse { payload: Some(payload), ..Default::default() })
    }

    fn cacheable_unary_call(
        &self,
        request: testing::SimpleRequest,
    ) -> pajamax::Response<testing::SimpleResponse> {
        self.unary_call(request)
    }

    fn unimplemented_call(&self, _: testing::Empty) -> pajamax::Response<testing::Empty> {
        Err(Status { code: Code::Unimplemented, message: "not offered".to_owned() })
    }
}

/// The languages that callers are written in.
const CALLERS: [&str; 5] = ["java", "py", "rust", "go", "node"];
