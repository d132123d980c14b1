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
