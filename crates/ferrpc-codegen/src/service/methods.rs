//! The methods of a service as values, and its descriptor.

use proc_macro2::TokenStream;
use quote::quote;

use super::{MethodScope, Scope, docs, path_tokens};
use crate::Error;
use crate::builder::Messages;
use crate::descriptor::{Idempotency, Kind};
use crate::names::{FILE_DESCRIPTOR_SET, identifier};

pub(super) fn tokens(
    scope: &Scope<'_>,
    methods: &[MethodScope<'_>],
) -> Result<Vec<TokenStream>, Error> {
    let mut items = Vec::new();
    if !methods.is_empty() {
        items.push(module(scope, methods)?);
    }
    items.push(descriptor(scope, methods));
    Ok(items)
}

fn module(scope: &Scope<'_>, methods: &[MethodScope<'_>]) -> Result<TokenStream, Error> {
    let module = identifier(&scope.names.methods_module);
    let codec = match scope.options.messages {
        Messages::Buffa => quote!(::ferrpc::codec::buffa()),
        #[cfg(feature = "prost")]
        Messages::Prost => quote!(::ferrpc::codec::prost()),
    };
    let statics = methods
        .iter()
        .map(|method| {
            let paths = scope.paths;
            let input = path_tokens(&paths.in_module(scope.package, &method.method.input)?)?;
            let output = path_tokens(&paths.in_module(scope.package, &method.method.output)?)?;
            let (name, kind) = (&method.static_name, method.kind_name());
            let path = scope.path_of(method.method);
            let docs = docs([format!("`{path}`{}.", promise(method.method.idempotency))]);
            let deprecated = method.deprecated();
            Ok(quote! {
                #docs
                #deprecated
                pub static #name: ::ferrpc::Method<#input, #output> =
                    ::ferrpc::Method::#kind(#path, #codec, #codec);
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let docs = docs([format!(
        "The methods of `{}`, for calls without its client.",
        scope.service.full_name
    )]);
    Ok(quote! {
        #docs
        pub mod #module {
            #(#statics)*
        }
    })
}

fn descriptor(scope: &Scope<'_>, methods: &[MethodScope<'_>]) -> TokenStream {
    let name = identifier(&scope.names.descriptor);
    let full_name = &scope.service.full_name;
    let methods = methods.iter().map(|method| {
        let (name, path) = (&method.method.name, scope.path_of(method.method));
        let cardinality = identifier(match method.method.kind {
            Kind::Unary => "Unary",
            Kind::ClientStreaming => "ClientStreaming",
            Kind::ServerStreaming => "ServerStreaming",
            Kind::Bidirectional => "Bidirectional",
        });
        quote! {
            ::ferrpc::MethodDescriptor {
                name: #name,
                path: #path,
                cardinality: ::ferrpc::Cardinality::#cardinality,
            }
        }
    });
    let set = if scope.options.descriptors {
        let set = identifier(FILE_DESCRIPTOR_SET);
        quote!(#set)
    } else {
        quote!(&[])
    };
    let docs = docs([format!("What `{full_name}` consists of.")]);
    quote! {
        #docs
        pub static #name: ::ferrpc::ServiceDescriptor = ::ferrpc::ServiceDescriptor {
            name: #full_name,
            methods: &[#(#methods),*],
            file_descriptor_set: #set,
        };
    }
}

fn promise(idempotency: Idempotency) -> &'static str {
    match idempotency {
        Idempotency::Unknown => "",
        Idempotency::NoSideEffects => "; has no side effects",
        Idempotency::Idempotent => "; idempotent",
    }
}
