//! What is generated for a service: methods, descriptor, server, client.

mod client;
mod methods;
mod server;

use proc_macro2::TokenStream;
use quote::quote;

use crate::Error;
use crate::builder::Options;
use crate::descriptor::{Kind, Method, Service};
use crate::messages::TypePaths;
use crate::names::{ServiceNames, identifier};

/// Everything that the generators look at.
pub(crate) struct Scope<'a> {
    pub(crate) options: &'a Options,
    pub(crate) package: &'a str,
    pub(crate) service: &'a Service,
    pub(crate) names: &'a ServiceNames,
    pub(crate) paths: &'a TypePaths,
}

/// A method with everything that depends on its names and types worked out.
struct MethodScope<'a> {
    method: &'a Method,
    name: proc_macro2::Ident,
    /// In the module of the methods.
    static_name: proc_macro2::Ident,
    /// At the root of the package's module.
    input: TokenStream,
    output: TokenStream,
}

impl Scope<'_> {
    /// The items, each of which is independent of what the module has imported or defined:
    /// messages may be called `Result`, `Option` or `Send`, so every path is a full one.
    pub(crate) fn tokens(&self) -> Result<Vec<TokenStream>, Error> {
        let methods = self.methods()?;
        let mut items = Vec::new();
        if self.options.server {
            items.extend(server::tokens(self, &methods)?);
        }
        if self.options.client {
            items.extend(client::tokens(self, &methods)?);
        }
        items.extend(methods::tokens(self, &methods)?);
        Ok(items)
    }

    fn methods(&self) -> Result<Vec<MethodScope<'_>>, Error> {
        let methods = self.service.methods.iter().enumerate();
        methods
            .map(|(index, method)| {
                Ok(MethodScope {
                    method,
                    name: identifier(&self.names.methods[index]),
                    static_name: identifier(&self.names.method_static(index)),
                    input: path_tokens(self.paths.at_root(self.package, &method.input)?)?,
                    output: path_tokens(self.paths.at_root(self.package, &method.output)?)?,
                })
            })
            .collect()
    }

    /// `/package.Service/Method`.
    fn path_of(&self, method: &Method) -> String {
        format!("/{}/{}", self.service.full_name, method.name)
    }

    fn deprecated(&self) -> TokenStream {
        deprecated(self.service.deprecated)
    }
}

impl MethodScope<'_> {
    /// The name of the constructor of `Method`, of the function of `Routes` and of `Channel`.
    fn kind_name(&self) -> proc_macro2::Ident {
        identifier(match self.method.kind {
            Kind::Unary => "unary",
            Kind::ClientStreaming => "client_streaming",
            Kind::ServerStreaming => "server_streaming",
            Kind::Bidirectional => "bidirectional",
        })
    }

    /// The comment of the `.proto` file, or what can be said without one.
    fn docs(&self, otherwise: &str) -> TokenStream {
        if self.method.docs.is_empty() { docs([otherwise]) } else { docs(&self.method.docs) }
    }

    fn deprecated(&self) -> TokenStream {
        deprecated(self.method.deprecated)
    }
}

/// Documentation of the given lines.
fn docs(lines: impl IntoIterator<Item = impl AsRef<str>>) -> TokenStream {
    let lines = lines.into_iter().map(|line| match line.as_ref() {
        "" => String::new(),
        line => format!(" {line}"),
    });
    quote!(#(#[doc = #lines])*)
}

fn deprecated(yes: bool) -> TokenStream {
    if yes { quote!(#[deprecated]) } else { TokenStream::new() }
}

/// A path that a message library gave. buffa's do not escape keywords, prost's do, and prost's
/// may be a type that is no path, such as `()`.
fn path_tokens(path: &str) -> Result<TokenStream, Error> {
    let plain = |part: &str| {
        let mut characters = part.chars();
        characters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && characters.all(|c| c.is_alphanumeric() || c == '_')
    };
    if path.trim_start_matches("::").split("::").all(plain) {
        return Ok(buffa_codegen::idents::rust_path_to_tokens(path));
    }
    path.parse().map_err(|_| Error::messages(format!("\"{path}\" is not a Rust type")))
}
