//! The trait that a server implements, and what makes routes of an implementation.

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
    let mut items = vec![server_trait(scope, methods)?];
    items.extend(server(scope)?);
    items.push(routes(scope, methods));
    Ok(items)
}

fn server_trait(scope: &Scope<'_>, methods: &[MethodScope<'_>]) -> Result<TokenStream, Error> {
    let given = for_service(&scope.options.attributes.traits, &scope.service.full_name)?;
    let name = identifier(&scope.names.service);
    let mut lines = scope.service.docs.clone();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!(
        "What serves `{}`, given to a server as [`{}`]. Write the methods as `async fn`.",
        scope.service.full_name, scope.names.server
    ));
    let docs = docs(lines);
    let deprecated = scope.deprecated();
    let methods = methods.iter().map(|method| trait_method(scope, method));
    Ok(quote! {
        #docs
        #deprecated
        #given
        pub trait #name: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#methods)*
        }
    })
}

fn trait_method(scope: &Scope<'_>, method: &MethodScope<'_>) -> TokenStream {
    let MethodScope { name, input, output, .. } = method;
    let (request, response) = match method.method.kind {
        Kind::Unary => (quote!(#input), quote!(#output)),
        Kind::ClientStreaming => (quote!(::ferrpc::Streaming<#input>), quote!(#output)),
        Kind::ServerStreaming => {
            (quote!(#input), quote!(::ferrpc::server::ResponseStream<#output>))
        }
        Kind::Bidirectional => {
            (quote!(::ferrpc::Streaming<#input>), quote!(::ferrpc::server::ResponseStream<#output>))
        }
    };
    let docs = method.docs(&format!("Answers `{}`.", scope.path_of(method.method)));
    let deprecated = method.deprecated();
    let body = if scope.options.default_methods {
        let message = format!("{} is not implemented", scope.path_of(method.method));
        quote! {
            {
                let _ = request;
                ::core::future::ready(::core::result::Result::Err(::ferrpc::Status::new(
                    ::ferrpc::Code::Unimplemented,
                    #message,
                )))
            }
        }
    } else {
        quote!(;)
    };
    quote! {
        #docs
        #deprecated
        fn #name(
            &self,
            request: ::ferrpc::Request<#request>,
        ) -> impl ::core::future::Future<
            Output = ::core::result::Result<::ferrpc::Response<#response>, ::ferrpc::Status>,
        > + ::core::marker::Send
        #body
    }
}

fn server(scope: &Scope<'_>) -> Result<[TokenStream; 4], Error> {
    let given = for_service(&scope.options.attributes.servers, &scope.service.full_name)?;
    let (server, service) = (identifier(&scope.names.server), identifier(&scope.names.service));
    let t = identifier(scope.names.parameter);
    let name = &scope.names.server;
    let deprecated = scope.deprecated();
    let struct_docs = docs([
        format!("An implementation of [`{}`], ready for a server.", scope.names.service),
        String::new(),
        "Clones share it.".to_owned(),
    ]);
    Ok([
        quote! {
            #struct_docs
            #deprecated
            #given
            pub struct #server<#t> {
                service: ::std::sync::Arc<#t>,
            }
        },
        quote! {
            impl<#t: #service> #server<#t> {
                /// Makes an implementation ready for a server.
                pub fn new(service: #t) -> Self {
                    Self::from_arc(::std::sync::Arc::new(service))
                }

                /// The same for an implementation that is used elsewhere, too.
                pub const fn from_arc(service: ::std::sync::Arc<#t>) -> Self {
                    Self { service }
                }
            }
        },
        quote! {
            impl<#t> ::core::clone::Clone for #server<#t> {
                fn clone(&self) -> Self {
                    Self { service: ::std::sync::Arc::clone(&self.service) }
                }
            }
        },
        quote! {
            impl<#t> ::core::fmt::Debug for #server<#t> {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct(#name).finish_non_exhaustive()
                }
            }
        },
    ])
}

fn routes(scope: &Scope<'_>, methods: &[MethodScope<'_>]) -> TokenStream {
    let (server, service) = (identifier(&scope.names.server), identifier(&scope.names.service));
    let t = identifier(scope.names.parameter);
    let descriptor = identifier(&scope.names.descriptor);
    let module = identifier(&scope.names.methods_module);
    let added = methods.iter().map(|method| {
        let MethodScope { name, static_name, .. } = method;
        let kind = method.kind_name();
        quote! {
            let shared = ::std::sync::Arc::clone(&server.service);
            routes.#kind(#module::#static_name.clone(), move |request| {
                let service = ::std::sync::Arc::clone(&shared);
                async move { <#t as #service>::#name(&service, request).await }
            });
        }
    });
    let body = if methods.is_empty() {
        quote! {
            let _ = server;
            ::ferrpc::server::Routes::new(#descriptor.name)
        }
    } else {
        quote! {
            let mut routes = ::ferrpc::server::Routes::new(#descriptor.name);
            #(#added)*
            routes
        }
    };
    quote! {
        impl<#t: #service> ::core::convert::From<#server<#t>> for ::ferrpc::server::Routes {
            fn from(server: #server<#t>) -> Self {
                #body
            }
        }
    }
}
