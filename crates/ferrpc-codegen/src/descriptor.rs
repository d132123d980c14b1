//! A descriptor set, and the services in it as the generators want them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use buffa::Message;
use buffa_codegen::generated::descriptor::method_options::IdempotencyLevel;
use buffa_codegen::generated::descriptor::source_code_info::Location;
use buffa_codegen::generated::descriptor::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

use crate::Error;
use crate::comments::doc_lines;

/// A descriptor set whose files refer to each other completely.
pub(crate) struct Descriptors {
    pub(crate) files: Vec<FileDescriptorProto>,
}

pub(crate) struct Service {
    /// As written in the `.proto` file.
    pub(crate) name: String,
    /// With its package.
    pub(crate) full_name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) deprecated: bool,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) deprecated: bool,
    /// Fully qualified, without the leading dot.
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) kind: Kind,
    pub(crate) idempotency: Idempotency,
}

/// Which sides stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ClientStreaming,
    ServerStreaming,
    Bidirectional,
}

/// What the method's `idempotency_level` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idempotency {
    Unknown,
    NoSideEffects,
    Idempotent,
}

impl Descriptors {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        // The input is the user's own schema, so the limit is that for tools, not for peers.
        let options = buffa_codegen::tooling_decode_options().map_err(Error::descriptors)?;
        let set: FileDescriptorSet =
            options.decode_from_slice(bytes).map_err(Error::descriptors)?;
        let known: BTreeSet<_> = set.file.iter().map(name).collect();
        for file in &set.file {
            if let Some(missing) = file.dependency.iter().find(|n| !known.contains(n.as_str())) {
                return Err(Error::descriptors(format!(
                    "{} imports {missing}, which is not in the set; make it with its imports \
                     (protoc: --include_imports)",
                    name(file)
                )));
            }
        }
        Ok(Self { files: set.file })
    }

    /// Removes the comments of what one of the paths matches.
    pub(crate) fn remove_comments(&mut self, paths: &[String]) {
        if paths.is_empty() {
            return;
        }
        for file in &mut self.files {
            let Some(mut info) = file.source_code_info.take() else { continue };
            for location in &mut info.location {
                let name = element(file, &location.path);
                if paths.iter().any(|path| crate::builder::matches(path, &name)) {
                    location.leading_comments = None;
                    location.trailing_comments = None;
                    location.leading_detached_comments.clear();
                }
            }
            file.source_code_info = buffa::MessageField::some(info);
        }
    }

    /// The files of each package, in the set's order.
    pub(crate) fn packages<'a>(
        &'a self,
        wanted: &BTreeSet<&str>,
    ) -> BTreeMap<&'a str, Vec<&'a FileDescriptorProto>> {
        let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in self.files.iter().filter(|file| wanted.contains(name(file))) {
            packages.entry(package(file)).or_default().push(file);
        }
        packages
    }

    /// The given files and all that they import, serialised without comments.
    pub(crate) fn encode_closure(&self, roots: &[&FileDescriptorProto]) -> Vec<u8> {
        let by_name: HashMap<_, _> = self.files.iter().map(|file| (name(file), file)).collect();
        let mut wanted = BTreeSet::new();
        let mut open: Vec<_> = roots.iter().map(|file| name(file)).collect();
        while let Some(next) = open.pop() {
            if wanted.insert(next)
                && let Some(file) = by_name.get(next)
            {
                open.extend(file.dependency.iter().map(String::as_str));
            }
        }
        let file = self
            .files
            .iter()
            .filter(|file| wanted.contains(name(file)))
            .map(|file| {
                let mut file = file.clone();
                file.source_code_info = Default::default();
                file
            })
            .collect();
        FileDescriptorSet { file, ..Default::default() }.encode_to_vec()
    }
}

/// The full name of what a path of source info leads to, as far as it has names.
fn element(file: &FileDescriptorProto, path: &[i32]) -> String {
    let mut names: Vec<&str> = vec![package(file)];
    let mut own: Vec<&str> = Vec::new();
    let index = |at: usize| path.get(at).and_then(|it| usize::try_from(*it).ok());
    let mut message = None;
    match (path.first(), index(1)) {
        (Some(4), Some(at)) => message = file.message_type.get(at),
        (Some(5), Some(at)) => {
            let defined = file.enum_type.get(at);
            own.extend(defined.and_then(|it| it.name.as_deref()));
            let value = index(3).filter(|_| path.get(2) == Some(&2));
            own.extend(value.and_then(|at| defined?.value.get(at)?.name.as_deref()));
        }
        (Some(6), Some(at)) => {
            let service = file.service.get(at);
            own.extend(service.and_then(|it| it.name.as_deref()));
            let method = index(3).filter(|_| path.get(2) == Some(&2));
            own.extend(method.and_then(|at| service?.method.get(at)?.name.as_deref()));
        }
        (Some(7), Some(at)) => {
            own.extend(file.extension.get(at).and_then(|it| it.name.as_deref()));
        }
        _ => {}
    }
    let mut at = 2;
    while let Some(current) = message {
        own.extend(current.name.as_deref());
        message = None;
        match (path.get(at), index(at + 1)) {
            (Some(2), Some(field)) => {
                own.extend(current.field.get(field).and_then(|it| it.name.as_deref()));
            }
            (Some(3), Some(nested)) => message = current.nested_type.get(nested),
            (Some(4), Some(defined)) => {
                let defined = current.enum_type.get(defined);
                own.extend(defined.and_then(|it| it.name.as_deref()));
                let value = index(at + 3).filter(|_| path.get(at + 2) == Some(&2));
                own.extend(value.and_then(|at| defined?.value.get(at)?.name.as_deref()));
            }
            (Some(8), Some(oneof)) => {
                own.extend(current.oneof_decl.get(oneof).and_then(|it| it.name.as_deref()));
            }
            _ => {}
        }
        at += 2;
    }
    names.retain(|name| !name.is_empty());
    names.extend(own);
    names.join(".")
}

/// The name of a file: its path below an include directory.
pub(crate) fn name(file: &FileDescriptorProto) -> &str {
    file.name.as_deref().unwrap_or_default()
}

/// The package of a file; empty if it has none.
pub(crate) fn package(file: &FileDescriptorProto) -> &str {
    file.package.as_deref().unwrap_or_default()
}

/// The services of a file, in its order.
pub(crate) fn services(file: &FileDescriptorProto) -> Result<Vec<Service>, Error> {
    let comments = Comments::of(file);
    file.service
        .iter()
        .enumerate()
        .map(|(index, service)| read_service(file, service, index, &comments))
        .collect()
}

fn read_service(
    file: &FileDescriptorProto,
    service: &ServiceDescriptorProto,
    index: usize,
    comments: &Comments<'_>,
) -> Result<Service, Error> {
    let service_name = required(file, "a service", service.name.as_deref())?;
    let methods = service
        .method
        .iter()
        .enumerate()
        .map(|(at, method)| {
            read_method(file, method, comments.at(&[FILE_SERVICE, index, SERVICE_METHOD, at]))
        })
        .collect::<Result<_, _>>()?;
    let full_name = match package(file) {
        "" => service_name.to_owned(),
        package => format!("{package}.{service_name}"),
    };
    Ok(Service {
        name: service_name.to_owned(),
        full_name,
        docs: comments.at(&[FILE_SERVICE, index]),
        deprecated: service.options.deprecated.unwrap_or(false)
            || file.options.deprecated.unwrap_or(false),
        methods,
    })
}

fn read_method(
    file: &FileDescriptorProto,
    method: &MethodDescriptorProto,
    docs: Vec<String>,
) -> Result<Method, Error> {
    let method_name = required(file, "a method", method.name.as_deref())?;
    let type_of = |which: Option<&str>| {
        let name = required(file, &format!("a type of method {method_name}"), which)?;
        // Only a set that was never resolved has names without the dot.
        name.strip_prefix('.').map(str::to_owned).ok_or_else(|| {
            Error::descriptors(format!("{}: the type {name} is not resolved", self::name(file)))
        })
    };
    let streams =
        (method.client_streaming.unwrap_or(false), method.server_streaming.unwrap_or(false));
    Ok(Method {
        name: method_name.to_owned(),
        docs,
        deprecated: method.options.deprecated.unwrap_or(false),
        input: type_of(method.input_type.as_deref())?,
        output: type_of(method.output_type.as_deref())?,
        kind: match streams {
            (false, false) => Kind::Unary,
            (true, false) => Kind::ClientStreaming,
            (false, true) => Kind::ServerStreaming,
            (true, true) => Kind::Bidirectional,
        },
        idempotency: match method.options.idempotency_level {
            Some(IdempotencyLevel::NO_SIDE_EFFECTS) => Idempotency::NoSideEffects,
            Some(IdempotencyLevel::IDEMPOTENT) => Idempotency::Idempotent,
            _ => Idempotency::Unknown,
        },
    })
}

fn required<'a>(
    file: &FileDescriptorProto,
    what: &str,
    value: Option<&'a str>,
) -> Result<&'a str, Error> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::descriptors(format!("{}: {what} has no name", name(file))))
}

/// The comments of a file by the path of what they describe.
pub(crate) struct Comments<'a> {
    by_path: HashMap<&'a [i32], &'a Location>,
}

impl<'a> Comments<'a> {
    pub(crate) fn of(file: &'a FileDescriptorProto) -> Self {
        let by_path = file
            .source_code_info
            .location
            .iter()
            .filter(|location| {
                location.leading_comments.is_some()
                    || location.trailing_comments.is_some()
                    || !location.leading_detached_comments.is_empty()
            })
            .map(|location| (location.path.as_slice(), location))
            .collect();
        Self { by_path }
    }

    fn at(&self, path: &[usize]) -> Vec<String> {
        self.location(path)
            .and_then(|it| it.leading_comments.as_deref().or(it.trailing_comments.as_deref()))
            .map_or_else(Vec::new, doc_lines)
    }

    /// All comments of an element as they were written, between their signs: detached ones, each
    /// a paragraph, then the leading and the trailing one. Empty if there is none.
    pub(crate) fn all(&self, path: &[usize]) -> String {
        let Some(location) = self.location(path) else { return String::new() };
        let detached = location.leading_detached_comments.iter().map(|it| format!("{it}\n"));
        let own = [&location.leading_comments, &location.trailing_comments];
        detached.chain(own.into_iter().flatten().cloned()).collect()
    }

    fn location(&self, path: &[usize]) -> Option<&'a Location> {
        let path: Vec<i32> =
            path.iter().map(|&part| i32::try_from(part).unwrap_or(i32::MAX)).collect();
        self.by_path.get(path.as_slice()).copied()
    }
}

/// Field numbers in descriptor.proto: `FileDescriptorProto.service`.
pub(crate) const FILE_SERVICE: usize = 6;
/// `ServiceDescriptorProto.method`.
pub(crate) const SERVICE_METHOD: usize = 2;
