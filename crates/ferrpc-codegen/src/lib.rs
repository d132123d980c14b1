//! `.proto` files to Rust for ferrpc, with no `protoc` installed; and to Python, by [`protoc::main`],
//! which is protoc's command line.
//!
//! In `build.rs`:
//!
//! ```no_run
//! fn main() -> Result<(), ferrpc_codegen::Error> {
//!     ferrpc_codegen::compile_protos(&["protos/example.proto"], &["protos"])
//! }
//! ```
//!
//! and in the crate, for a file that says `package example;`:
//!
//! ```text
//! pub mod example {
//!     ferrpc::include_proto!("example");
//! }
//! ```
//!
//! The crate needs `ferrpc` and the message library as dependencies: `buffa` (and `buffa-types`
//! where well-known types are used), or `prost` (and `prost-types`).
//!
//! ```text
//! .proto files --ferrpc-compiler--> descriptor set --+-- buffa or prost --> messages --+
//!                                                    |                                 +--> a file a package
//!                                                    +-- this crate ------> services --+
//! ```
//!
//! # What is generated
//!
//! For `service Greeter` in `package example`, beside the messages:
//!
//! | item | what it is |
//! |---|---|
//! | `Greeter` | the trait to implement; methods are written `async fn` |
//! | `GreeterServer<T>` | an implementation made ready for a server: `Server::builder().add_service(...)` |
//! | `GreeterClient` | a client on a `Channel`; clones cheaply |
//! | `greeter_methods` | a `Method` for each method, for calls without the client |
//! | `GREETER_DESCRIPTOR` | name, methods and descriptors, for instance for reflection |
//! | `FILE_DESCRIPTOR_SET` | the serialised descriptors of the package's services |
//!
//! [`Builder`] has the options, and says what those of tonic-build and prost-build are here. Messages
//! whose names would be no Rust, or the same as others', get names by rule (docs/protoc.md).
//!
//! Where a message of the package already has one of these names, the service's item gets `Rpc`
//! between (`GreeterRpcServer`). Methods whose names are keywords are raw (`r#type`), a method
//! `New` is `new_`, and of two methods that differ in case only the second ends in `_2`.
//!
//! # Packages that use each other
//!
//! Messages refer to those of other packages by relative paths, so the modules must be nested as
//! the packages are: `package shop.cart` goes to `mod shop { pub mod cart { ... } }`. The file
//! `ferrpc_protos.rs` holds that tree for everything that was compiled:
//! `ferrpc::include_proto!("ferrpc_protos");`.
//!
//! # What this crate refuses to do
//!
//! It reads nothing but the given files and their imports, and writes all of its files or none. It
//! runs no program, but for the plugins that a command line of protoc names.

mod builder;
mod comments;
mod descriptor;
mod error;
mod layout;
mod messages;
mod names;
mod output;
pub mod protoc;
mod python;
mod service;
mod source;

use std::path::Path;

pub use builder::{Builder, Messages};
pub use error::Error;
pub use output::GeneratedFile;

/// Compiles `.proto` files with the default options and writes the result to `OUT_DIR`.
///
/// `protos` are paths of files, each under one of the directories `includes`, where imports are
/// looked for as well. For use in `build.rs`; says to cargo when to run it again. See [`Builder`]
/// for options.
pub fn compile_protos(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<(), Error> {
    Builder::new().compile(protos, includes)
}

/// Generates from a serialised `FileDescriptorSet` with the default options; touches no file.
///
/// Returns the path, relative to the output directory, and the content of each file. All files of
/// the set are generated, except those whose types live in another crate. See
/// [`Builder::generate`] for options.
pub fn generate(descriptor_set: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let files = Builder::new().generate(descriptor_set)?;
    Ok(files.into_iter().map(|file| (file.path, file.content)).collect())
}

/// Reads `.proto` files and everything they import into a serialised `FileDescriptorSet` with
/// comments.
pub fn descriptor_set(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<Vec<u8>, Error> {
    Ok(source::read(protos, includes)?.descriptor_set)
}
