//! The client of a service.

use proc_macro2::TokenStream;
use quote::quote;

use super::{MethodScope, Scope, docs};
use crate::Error;
use crate::builder::for_service;
use crate::descriptor::Kind;
use crate::names::identifier;

pub(super) fn tokens(
    scope: &Scope<'_>,
    methods: &[MethodScope<'_>],
) -> Result<Vec<TokenStream>, Error> {
    let given = for_service(&scope.options.attributes.clients, &scope.service.full_name)?;
    let client = identifier(&scope.names.client);
    let mut lines = scope.service.docs.clone();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!("A client of `{}`; clones share the channel.", scope.service.full_name));
    let docs = docs(lines);
    let deprecated = scope.deprecated();
    let methods = methods.iter().map(|method| call(scope, method));
    Ok(vec![
        quote! {
            #docs
            #deprecated
            #given
            #[derive(::core::clone::Clone, ::core::fmt::Debug)]
            pub struct #client {
                channel: ::ferrpc::Channel,
            }
        },
        quote! {
            impl #client {
                /// A client that calls through `channel`.
                pub const fn new(channel: ::ferrpc::Channel) -> Self {
                    Self { channel }
                }

                #(#methods)*
            }
        },
        quote! {
            impl ::core::convert::From<::ferrpc::Channel> for #client {
                fn from(channel: ::ferrpc::Channel) -> Self {
                    Self::new(channel)
                }
            }
        },
        quote! {
            impl ::core::convert::AsRef<::ferrpc::Channel> for #client {
                fn as_ref(&self) -> &::ferrpc::Channel {
                    &self.channel
                }
            }
        },
    ])
}

fn call(scope: &Scope<'_>, method: &MethodScope<'_>) -> TokenStream {
    let MethodScope { name, static_name, input, output, .. } = method;
    let module = identifier(&scope.names.methods_module);
    let kind = method.kind_name();
    let one = quote!(impl ::core::convert::Into<::ferrpc::Request<#input>>);
    let many = quote!(impl ::ferrpc::IntoStreamingRequest<Message = #input>);
    let streaming = quote!(::ferrpc::Streaming<#output>);
    let (request, convert, response) = match method.method.kind {
        Kind::Unary => (one, quote!(into), quote!(::ferrpc::Response<#output>)),
        Kind::ServerStreaming => (one, quote!(into), quote!(::ferrpc::Response<#streaming>)),
        Kind::ClientStreaming => {
            (many, quote!(into_streaming_request), quote!(::ferrpc::Response<#output>))
        }
        // Ready at once: a server may want messages before it begins to answer.
        Kind::Bidirectional => (many, quote!(into_streaming_request), streaming),
    };
    let docs = method.docs(&format!("Calls `{}`.", scope.path_of(method.method)));
    let deprecated = method.deprecated();
    quote! {
        #docs
        #deprecated
        pub async fn #name(
            &self,
            request: #request,
        ) -> ::core::result::Result<#response, ::ferrpc::Status> {
            self.channel.#kind(&#module::#static_name, request.#convert()).await
        }
    }
}
