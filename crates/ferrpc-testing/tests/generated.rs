//! Generated code against the crate it is made for: that it compiles, whatever the names and the
//! message library, and that all kinds of calls arrive where they should.

use buffa_types::google::protobuf::{Empty, StringValue};
use ferrpc::server::{ResponseStream, Routes, Server};
use ferrpc::{Channel, Code, Request, Response, Status, Streaming};
use futures_util::stream;

/// By buffa.
mod by_buffa {
    ferrpc::include_proto!("buffa/ferrpc_protos");
}

/// By prost.
mod by_prost {
    ferrpc::include_proto!("prost/ferrpc_protos");
}

/// By buffa, with all options.
mod tuned_by_buffa {
    ferrpc::include_proto!("tuned/buffa/all");
}

/// By prost, with all options.
mod tuned_by_prost {
    ferrpc::include_proto!("tuned/prost/all");
}

/// What a client of `tuned` is for serde, which an attribute says.
#[derive(serde::Serialize)]
pub(crate) struct Named;

impl From<tuned_by_buffa::tuned::TunerClient> for Named {
    fn from(_: tuned_by_buffa::tuned::TunerClient) -> Self {
        Self
    }
}

impl From<tuned_by_prost::tuned::TunerClient> for Named {
    fn from(_: tuned_by_prost::tuned::TunerClient) -> Self {
        Self
    }
}

use by_buffa::shop::Money;
use by_buffa::shop::cart::item::Part;
use by_buffa::shop::cart::{CART_DESCRIPTOR, Cart, CartClient, CartServer, Item};

struct Shop;

impl Cart for Shop {
    async fn add(&self, request: Request<Item>) -> Result<Response<Money>, Status> {
        Ok(Response::new(request.into_inner().price.into_option().unwrap_or_default()))
    }

    async fn watch(&self, _: Request<Empty>) -> Result<Response<ResponseStream<Money>>, Status> {
        let prices = [1, 2, 3].map(|units| Ok(Money { units, ..Default::default() }));
        Ok(Response::new(Box::pin(stream::iter(prices))))
    }

    async fn add_all(
        &self,
        request: Request<Streaming<Item>>,
    ) -> Result<Response<StringValue>, Status> {
        let mut names = String::new();
        let mut items = request.into_inner();
        while let Some(item) = items.message().await? {
            names.push_str(&item.name);
        }
        Ok(Response::new(StringValue { value: names, ..Default::default() }))
    }

    async fn exchange(
        &self,
        request: Request<Streaming<Item>>,
    ) -> Result<Response<ResponseStream<Part>>, Status> {
        let parts = stream::try_unfold(request.into_inner(), |mut items| async {
            let Some(item) = items.message().await? else { return Ok(None) };
            let number = i32::try_from(item.parts.len()).unwrap_or(i32::MAX);
            Ok(Some((Part { number, ..Default::default() }, items)))
        });
        Ok(Response::new(Box::pin(parts)))
    }

    async fn clear(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::new(Code::PermissionDenied, "not yours"))
    }
}

struct Pinger;

impl by_prost::Pinger for Pinger {
    async fn ping(
        &self,
        request: Request<by_prost::Ping>,
    ) -> Result<Response<by_prost::Ping>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

async fn server(routes: impl Into<Routes>) -> (Server, Channel) {
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await;
    let server = server.expect("a free port");
    let channel = Channel::builder(server.addresses()[0].to_string()).connect_lazy();
    (server, channel.expect("the address is a target"))
}

fn item(name: &str) -> Item {
    let price = Money { units: 7, ..Default::default() };
    let parts = vec![Part::default(); name.len()];
    Item { name: name.to_owned(), price: price.into(), parts, ..Default::default() }
}

#[tokio::test]
async fn all_four_kinds_of_calls_by_buffa() -> Result<(), Status> {
    let (server, channel) = server(CartServer::new(Shop)).await;
    let cart = CartClient::new(channel);

    assert_eq!(cart.add(item("tea")).await?.into_inner().units, 7);

    let mut prices = cart.watch(Empty::default()).await?.into_inner();
    for units in [1, 2, 3] {
        assert_eq!(prices.message().await?.map(|price| price.units), Some(units));
    }
    assert_eq!(prices.message().await?, None);

    let items = stream::iter(["a", "b", "c"].map(item));
    assert_eq!(cart.add_all(Request::new(items)).await?.into_inner().value, "abc");

    let items = stream::iter(["", "x", "xyz"].map(item));
    let mut parts = cart.exchange(items).await?;
    for number in [0, 1, 3] {
        assert_eq!(parts.message().await?.map(|part| part.number), Some(number));
    }
    assert_eq!(parts.message().await?, None);

    #[expect(deprecated, reason = "that it still works is the point")]
    let error = cart.clear(Empty::default()).await.expect_err("it is refused");
    assert_eq!((error.code(), error.message()), (Code::PermissionDenied, "not yours"));

    server.shutdown(None).await;
    Ok(())
}

#[tokio::test]
async fn a_call_by_prost_without_a_package() -> Result<(), Status> {
    let (server, channel) = server(by_prost::PingerServer::new(Pinger)).await;
    let pinger = by_prost::PingerClient::new(channel.clone());
    assert_eq!(pinger.ping(by_prost::Ping {}).await?.into_inner(), by_prost::Ping {});
    // The same method without its client.
    let answer = channel.unary(&by_prost::pinger_methods::PING, by_prost::Ping {}.into()).await?;
    assert_eq!(answer.into_inner(), by_prost::Ping {});
    server.shutdown(None).await;
    Ok(())
}

#[test]
fn descriptors_say_what_a_service_consists_of() {
    use buffa::Message;
    use buffa_descriptor::generated::descriptor::FileDescriptorSet;

    assert_eq!(CART_DESCRIPTOR.name, "shop.cart.Cart");
    let names: Vec<_> = CART_DESCRIPTOR.methods.iter().map(|method| method.name).collect();
    assert_eq!(names, ["Add", "Watch", "AddAll", "Exchange", "Clear"]);
    let set = FileDescriptorSet::decode_from_slice(CART_DESCRIPTOR.file_descriptor_set);
    let set = set.expect("the descriptors can be read");
    let files: Vec<_> = set.file.iter().filter_map(|file| file.name.as_deref()).collect();
    assert_eq!(
        files,
        [
            "google/protobuf/empty.proto",
            "google/protobuf/wrappers.proto",
            "google/protobuf/timestamp.proto",
            "shop/types.proto",
            "shop/cart/items.proto",
            "shop/cart/cart.proto",
        ]
    );
}

/// What each option makes of a type is seen by what the compiler takes, and at run time.
#[test]
fn options_act_by_both_libraries() {
    use std::collections::BTreeMap;

    use prost::Name as _;

    let blob = bytes::Bytes::from_static(b"b");
    let counts = BTreeMap::from([("b".to_owned(), 1), ("a".to_owned(), 2)]);
    let by_buffa = tuned_by_buffa::tuned::Plain {
        blob: blob.clone(),
        counts: counts.iter().map(|(key, value)| (key.as_str().into(), *value)).collect(),
        ..Default::default()
    };
    let other = Box::new(tuned_by_prost::tuned::Plain::default());
    let by_prost = tuned_by_prost::tuned::Plain {
        blob,
        counts,
        choice: Some(tuned_by_prost::tuned::plain::Choice::Other(other)),
        at: Some(tuned_by_prost::google::protobuf::Timestamp { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    assert_eq!(by_prost.counts.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(by_buffa.counts.keys().collect::<Vec<_>>(), ["a", "b"]);
    // Attributes of serde: of messages and of fields.
    let keys = |json: serde_json::Value| {
        let object = json.as_object().cloned().unwrap_or_default();
        ["KIND", "after", "BLOB"].map(|key| object.contains_key(key))
    };
    assert_eq!(keys(serde_json::to_value(&by_prost).expect("it can")), [true, true, false]);
    assert_eq!(tuned_by_prost::tuned::Plain::type_url(), "types.example.com/tuned.Plain");
    // Attributes of enums, and names of values.
    assert!(tuned_by_prost::tuned::Kind::KindNone < tuned_by_prost::tuned::Kind::KindSome);
    assert!(tuned_by_buffa::tuned::Kind::KIND_NONE < tuned_by_buffa::tuned::Kind::KIND_SOME);
}

/// The second call of a build script added to the first one's modules, under a name that was given.
#[test]
fn calls_of_one_build_script_share_modules() {
    assert_eq!(tuned_by_buffa::PINGER_DESCRIPTOR.name, "Pinger");
    assert_eq!(tuned_by_prost::PINGER_DESCRIPTOR.name, "Pinger");
    let set = include_bytes!(concat!(env!("OUT_DIR"), "/tuned_buffa.bin"));
    assert!(set.windows(10).any(|it| it == b"no_package"), "the last call wrote it");
}

/// Files of editions come to the same bytes by both libraries.
#[test]
fn editions_by_both_libraries() {
    use buffa::Message as _;
    use prost::Message as _;

    use by_buffa::editions::kinds as b;
    use by_prost::editions::kinds as p;

    let by_prost = p::Kinds {
        explicit: Some(0),
        implicit: 0,
        required: 0,
        packed: vec![1, 2],
        expanded: vec![3, 4],
        plain: Some(p::kinds::Inner { a: Some(5) }),
        delimited: Some(p::kinds::Inner { a: Some(6) }),
        delimited_list: vec![p::kinds::Inner { a: None }; 2],
        closed: Some(1),
        choice: Some(p::kinds::Choice::Right(p::kinds::Inner { a: Some(7) })),
        by_name: [("k".to_owned(), p::kinds::Inner { a: Some(8) })].into(),
        text: None,
    };
    assert_eq!(by_prost.text(), "none");
    let bytes = by_prost.encode_to_vec();
    assert_eq!(
        bytes[..28],
        *b"\x08\0\x18\0\x22\x02\x01\x02\x28\x03\x28\x04\x32\x02\x08\x05\x3b\x08\x06\x3c\x43\x44\x43\x44\x48\x01\x5b\x08"
    );
    let by_buffa = b::Kinds::decode_from_slice(&bytes).expect("it is the same message");
    assert_eq!(by_buffa.explicit, Some(0));
    assert_eq!(by_buffa.encode_to_vec(), bytes);
    assert_eq!(p::Kinds::decode(bytes.as_slice()).expect("and back"), by_prost);
}

/// Names that would be none in Rust, or the same as others', are others; on the wire they are not.
#[test]
fn names_that_clash_are_told_apart() {
    use by_buffa::clashes as b;
    use by_prost::clashes as p;

    let methods = |descriptor: &ferrpc::ServiceDescriptor| -> Vec<&'static str> {
        descriptor.methods.iter().map(|method| method.path).collect()
    };
    let expect = ["/clashes.Clashes/Get", "/clashes.Clashes/get"];
    assert_eq!(methods(&b::CLASHES_DESCRIPTOR), expect);
    assert_eq!(methods(&p::CLASHES_DESCRIPTOR), expect);
    let by_buffa = b::Foo_Bar2 {
        inner: b::FooBar { a: 1, ..Default::default() }.into(),
        ..Default::default()
    };
    let by_prost = p::FooBar2 { inner: Some(p::FooBar { a: 1 }), ..Default::default() };
    assert_eq!(buffa::Message::encode_to_vec(&by_buffa), prost::Message::encode_to_vec(&by_prost));
}
