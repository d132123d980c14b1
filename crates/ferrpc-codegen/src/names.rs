//! Rust names for what the services define, kept clear of the messages' names.

use std::collections::BTreeSet;

use buffa_codegen::generated::descriptor::FileDescriptorProto;
use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};

use crate::descriptor::Service;

/// The names of a service's items.
pub(crate) struct ServiceNames {
    pub(crate) service: String,
    pub(crate) server: String,
    pub(crate) client: String,
    pub(crate) methods_module: String,
    pub(crate) descriptor: String,
    /// The type parameter of the server, which must not hide the trait.
    pub(crate) parameter: &'static str,
    /// A Rust name for each method, in order; keywords are not escaped.
    pub(crate) methods: Vec<String>,
}

/// The names that a package has taken.
pub(crate) struct Taken {
    names: BTreeSet<String>,
}

impl Taken {
    /// What the messages of a package define at its root, whichever library makes them, and the
    /// packages below it.
    pub(crate) fn by_messages(
        package: &str,
        files: &[&FileDescriptorProto],
        all: &[FileDescriptorProto],
    ) -> Self {
        let mut names = BTreeSet::from([FILE_DESCRIPTOR_SET.to_owned()]);
        let messages = files.iter().flat_map(|file| &file.message_type);
        for name in messages.filter_map(|message| message.name.as_deref()) {
            let camel = name.to_upper_camel_case();
            names.extend(VIEWS.iter().map(|suffix| format!("{name}{suffix}")));
            names.extend([name.to_owned(), camel, name.to_snake_case()]);
        }
        let enums = files.iter().flat_map(|file| &file.enum_type);
        for name in enums.filter_map(|item| item.name.as_deref()) {
            names.extend([name.to_owned(), name.to_upper_camel_case()]);
        }
        let prefix = if package.is_empty() { String::new() } else { format!("{package}.") };
        for below in all.iter().filter_map(|file| file.package.as_deref()) {
            let first = below.strip_prefix(&prefix).and_then(|rest| rest.split('.').next());
            names.extend(first.map(str::to_owned));
        }
        Self { names }
    }

    /// Names for a service; they are taken then.
    pub(crate) fn name(&mut self, service: &Service) -> ServiceNames {
        let base = type_name(&service.name);
        let free = |infix: &str| {
            let names = [
                format!("{base}{infix}"),
                format!("{base}{infix}Server"),
                format!("{base}{infix}Client"),
            ];
            names.iter().all(|name| !self.names.contains(name)).then_some(names)
        };
        let [trait_name, server, client] = free("")
            .or_else(|| free("Rpc"))
            .or_else(|| (2..1000).find_map(|number| free(&format!("Rpc{number}"))))
            .unwrap_or_else(|| [base.clone(), format!("{base}Server"), format!("{base}Client")]);
        let snake = trait_name.to_snake_case();
        let names = ServiceNames {
            methods_module: self.unused(format!("{snake}_methods")),
            descriptor: self.unused(format!("{}_DESCRIPTOR", snake.to_shouty_snake_case())),
            parameter: if trait_name == "T" { "S" } else { "T" },
            methods: method_names(service),
            service: trait_name,
            server,
            client,
        };
        for name in [&names.service, &names.server, &names.client] {
            self.names.insert(name.clone());
        }
        names
    }

    fn unused(&mut self, name: String) -> String {
        unused(&mut self.names, name)
    }
}

impl ServiceNames {
    /// The name of the static that describes a method.
    pub(crate) fn method_static(&self, index: usize) -> String {
        // Upper case is never a keyword; what kept two methods apart still does.
        self.methods[index].to_uppercase()
    }
}

fn method_names(service: &Service) -> Vec<String> {
    // The client's own function.
    let mut taken = BTreeSet::from(["new".to_owned()]);
    let name = |method: &str| {
        let snake = method.to_snake_case();
        if snake.is_empty() { method.to_owned() } else { snake }
    };
    service
        .methods
        .iter()
        .map(|method| match name(&method.name) {
            new if new == "new" => unused(&mut taken, "new_".to_owned()),
            name => unused(&mut taken, name),
        })
        .collect()
}

/// `name`, or `name_2` and so on if it is taken; then it is taken.
fn unused(taken: &mut BTreeSet<String>, name: String) -> String {
    let mut free = name.clone();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}_{number}");
        number += 1;
    }
    free
}

/// A name written as a type's stays as it is: `HTTPProxy` is nobody's `HttpProxy`.
fn type_name(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains('_') {
        return name.to_owned();
    }
    match name.to_upper_camel_case() {
        camel if camel.is_empty() => name.to_owned(),
        camel => camel,
    }
}

/// An identifier for a name, escaped where it is a keyword.
pub(crate) fn identifier(name: &str) -> proc_macro2::Ident {
    buffa_codegen::idents::make_field_ident(name)
}

/// The static that holds a package's descriptors.
pub(crate) const FILE_DESCRIPTOR_SET: &str = "FILE_DESCRIPTOR_SET";

/// What buffa appends to a message's name for the types it re-exports beside it.
const VIEWS: [&str; 3] = ["View", "LazyView", "OwnedView"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{Idempotency, Kind, Method};

    fn service(name: &str, methods: &[&str]) -> Service {
        let method = |name: &&str| Method {
            name: (*name).to_owned(),
            docs: Vec::new(),
            deprecated: false,
            input: "a.Q".to_owned(),
            output: "a.S".to_owned(),
            kind: Kind::Unary,
            idempotency: Idempotency::Unknown,
        };
        Service {
            name: name.to_owned(),
            full_name: format!("a.{name}"),
            docs: Vec::new(),
            deprecated: false,
            methods: methods.iter().map(method).collect(),
        }
    }

    #[track_caller]
    fn check_methods(methods: &[&str], expect: &[&str]) {
        assert_eq!(method_names(&service("S", methods)), expect);
    }

    #[test]
    fn methods_are_snake_case_and_distinct() {
        check_methods(&["GetHTTPInfo", "method"], &["get_http_info", "method"]);
        check_methods(&["getFoo", "GetFoo"], &["get_foo", "get_foo_2"]);
        check_methods(&["New", "Type", "self"], &["new_", "type", "self"]);
    }

    #[test]
    fn a_message_in_the_way_gets_the_service_another_name() {
        let mut taken = Taken { names: BTreeSet::from(["GameServer".to_owned()]) };
        let names = taken.name(&service("Game", &[]));
        assert_eq!(names.service, "GameRpc");
        assert_eq!(names.server, "GameRpcServer");
        assert_eq!(names.methods_module, "game_rpc_methods");
        assert_eq!(names.descriptor, "GAME_RPC_DESCRIPTOR");
    }

    #[test]
    fn the_type_parameter_hides_no_trait() {
        let mut taken = Taken { names: BTreeSet::new() };
        assert_eq!(taken.name(&service("T", &[])).parameter, "S");
        assert_eq!(taken.name(&service("S", &[])).parameter, "T");
    }

    #[test]
    fn keywords_are_escaped() {
        assert_eq!(identifier("type").to_string(), "r#type");
        assert_eq!(identifier("self").to_string(), "self_");
        assert_eq!(identifier("plain").to_string(), "plain");
    }
}
