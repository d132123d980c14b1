//! Options that only one of the message libraries has.

use super::{Builder, Messages, Options};
use crate::Error;

/// What prost alone can do.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProstOptions {
    pub(crate) skip_debug: Vec<String>,
    pub(crate) type_names: bool,
    pub(crate) type_name_domains: Vec<(String, String)>,
    pub(crate) retain_enum_prefix: bool,
    pub(crate) prost_path: Option<String>,
    pub(crate) prost_types_path: Option<String>,
}

impl Builder {
    /// Whether messages and enums implement `serde`'s traits by the JSON mapping of Protobuf; by
    /// default they do not. The crate then needs `serde`, and `buffa` with its feature `json`. For
    /// prost there is the crate `pbjson-build`.
    #[must_use]
    pub fn json(mut self, yes: bool) -> Self {
        self.options.json = yes;
        self
    }

    /// prost: does not derive `Debug` for the types that a Protobuf path matches.
    #[must_use]
    pub fn skip_debug(mut self, path: impl Into<String>) -> Self {
        self.options.prost.skip_debug.push(path.into());
        self
    }

    /// prost: implements `prost::Name`. buffa's messages know their names always.
    #[must_use]
    pub fn enable_type_names(mut self) -> Self {
        self.options.prost.type_names = true;
        self
    }

    /// prost: what stands before the names of the types that a Protobuf path matches in type URLs.
    #[must_use]
    pub fn type_name_domain(mut self, path: impl Into<String>, domain: impl Into<String>) -> Self {
        self.options.prost.type_name_domains.push((path.into(), domain.into()));
        self
    }

    /// prost: keeps the name of an enum in the names of its values. buffa keeps them always.
    #[must_use]
    pub fn retain_enum_prefix(mut self) -> Self {
        self.options.prost.retain_enum_prefix = true;
        self
    }

    /// prost: where the crate `prost` is; by default `::prost`.
    #[must_use]
    pub fn prost_path(mut self, path: impl Into<String>) -> Self {
        self.options.prost.prost_path = Some(path.into());
        self
    }

    /// prost: where the crate `prost-types` is; by default `::prost_types`.
    #[must_use]
    pub fn prost_types_path(mut self, path: impl Into<String>) -> Self {
        self.options.prost.prost_types_path = Some(path.into());
        self
    }
}

impl Options {
    /// What the chosen library cannot do is an error, rather than without effect.
    pub(super) fn check_libraries(&self) -> Result<(), Error> {
        let prost = &self.prost;
        let (library, lacking) = match self.messages {
            Messages::Buffa => (
                "buffa",
                vec![
                    ("skip_debug", !prost.skip_debug.is_empty()),
                    ("type_name_domain", !prost.type_name_domains.is_empty()),
                    ("prost_path", prost.prost_path.is_some()),
                    ("prost_types_path", prost.prost_types_path.is_some()),
                ],
            ),
            #[cfg(feature = "prost")]
            Messages::Prost => ("prost", vec![("views", self.views), ("json", self.json)]),
        };
        match lacking.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Error::option(format!(
                "{library} has nothing for Builder::{option}; leave it out, or take the other \
                 library"
            ))),
        }
    }
}
