//! Options that put attributes on what is generated.

use proc_macro2::TokenStream;
use syn::parse::Parser as _;

use super::Builder;
use crate::Error;

/// Attributes by Protobuf path, in the order they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) types: Vec<(String, String)>,
    pub(crate) messages: Vec<(String, String)>,
    pub(crate) enums: Vec<(String, String)>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) servers: Vec<(String, String)>,
    pub(crate) clients: Vec<(String, String)>,
    pub(crate) traits: Vec<(String, String)>,
}

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident => $list:ident;)*) => {
        /// Attributes. A path is that of a package or of something in it, with a dot in front; it
        /// matches what is within that, too. `"."` matches all.
        impl Builder {$(
            $(#[$doc])*
            #[must_use]
            pub fn $name(
                mut self,
                path: impl Into<String>,
                attribute: impl Into<String>,
            ) -> Self {
                self.options.attributes.$list.push((path.into(), attribute.into()));
                self
            }
        )*}
    };
}

options! {
    /// An attribute for messages, enums and the enums of oneofs, for instance
    /// `(".example", "#[derive(Hash)]")`.
    type_attribute => types;
    /// An attribute for messages.
    message_attribute => messages;
    /// An attribute for enums.
    enum_attribute => enums;
    /// An attribute for fields.
    field_attribute => fields;
    /// An attribute for the structs that make servers of services.
    server_attribute => servers;
    /// An attribute for the clients of services.
    client_attribute => clients;
    /// An attribute for the traits of services.
    trait_attribute => traits;
}

/// The attributes in the list for the service with the full name.
pub(crate) fn for_service(list: &[(String, String)], service: &str) -> Result<TokenStream, Error> {
    let mut tokens = TokenStream::new();
    for (path, attribute) in list.iter().filter(|(path, _)| matches(path, service)) {
        let parsed = syn::Attribute::parse_outer.parse_str(attribute).map_err(|error| {
            Error::option(format!("the attribute `{attribute}` for \"{path}\" is none: {error}"))
        })?;
        tokens.extend(parsed.iter().map(|attribute| quote::quote!(#attribute)));
    }
    Ok(tokens)
}

/// Whether a path is that of an element or of something around it. Without a dot in front it may
/// be the end of its name.
pub(crate) fn matches(path: &str, full_name: &str) -> bool {
    match path.strip_prefix('.') {
        Some("") => true,
        Some(path) => full_name
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        None => {
            full_name.strip_suffix(path).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_what_is_within() {
        for path in [".", ".a", ".a.B", ".a.B.c", "B.c", "c", "a.B.c"] {
            assert!(matches(path, "a.B.c"), "{path}");
        }
        for path in [".a.Bc", ".a.b", ".B", "B", ".a.B.c.d", "C"] {
            assert!(!matches(path, "a.B.c"), "{path}");
        }
    }

    #[test]
    fn what_is_no_attribute_is_refused() {
        let list = [(".".to_owned(), "derive(Hash)".to_owned())];
        let error = for_service(&list, "a.S").expect_err("it has no sign").to_string();
        assert!(error.contains("derive(Hash)"), "{error}");
    }
}
