//! What the examples share: the code that the build script generated.

/// The tutorial's service: `example.TestService`.
pub mod example {
    ferrpc::include_proto!("example");
}

/// The README's sample, so that it keeps compiling.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The same for the page about service configs.
#[cfg(doctest)]
#[doc = include_str!("../../docs/service-config.md")]
struct ServiceConfig;
