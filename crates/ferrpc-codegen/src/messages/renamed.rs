//! Names of messages, enums, oneofs and fields that a message library cannot turn into Rust names,
//! or turns into the same one as another's: they get others before it sees them.
//!
//! - buffa, which keeps names: a keyword, and a message in lower case that has types within it, is
//!   written in camel case (`while` is `While`, `Self` is `Self_`), and of two messages whose modules
//!   would be the same (`FooBar`, `Foo_Bar`) the second ends in 2. A oneof that would be `Self` is
//!   `self_oneof`.
//! - prost, which writes types in camel case and fields in snake case: of two that come to the same
//!   name the second ends in 2.
//!
//! Full names of messages, which type URLs have, are put back into what was generated.

use std::collections::{HashMap, HashSet};

use buffa_codegen::generated::descriptor::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};
use heck::{ToSnakeCase, ToUpperCamelCase};

use crate::builder::Messages;
use crate::descriptor::{name, package};

/// Descriptors with names that give Rust.
pub(crate) struct Renamed {
    pub(crate) files: Vec<FileDescriptorProto>,
    /// New full names by the old ones.
    new: HashMap<String, String>,
}

impl Renamed {
    /// Looks at the files that are generated; all others keep their names.
    pub(crate) fn new(
        library: Messages,
        files: &[FileDescriptorProto],
        generated: &HashSet<&str>,
    ) -> Self {
        let mut renamed = Self { files: files.to_vec(), new: HashMap::new() };
        let mut taken: HashMap<String, Scope> = HashMap::new();
        for file in renamed.files.iter_mut().filter(|file| generated.contains(name(file))) {
            let package = package(file).to_owned();
            let scope = taken.entry(package.clone()).or_insert_with(|| Scope::new(library));
            let mut new = HashMap::new();
            types(library, scope, &package, &package, file, &mut new);
            renamed.new.extend(new);
        }
        if !renamed.new.is_empty() {
            let Self { files, new } = &mut renamed;
            files.iter_mut().for_each(|file| references(file, new));
        }
        renamed
    }

    /// The name that the library knows a type by.
    pub(crate) fn name<'a>(&'a self, full_name: &'a str) -> &'a str {
        self.new.get(full_name).map_or(full_name, String::as_str)
    }

    /// The name that the type has in the `.proto` file.
    #[cfg(feature = "prost")]
    pub(crate) fn original<'a>(&'a self, new_name: &'a str) -> &'a str {
        let mut all = self.new.iter();
        all.find(|(_, new)| *new == new_name).map_or(new_name, |(old, _)| old)
    }

    /// Puts full names back into string literals.
    pub(crate) fn restore(&self, source: &mut String) {
        for (old, new) in &self.new {
            for before in ['"', '/'] {
                let wrong = format!("{before}{new}\"");
                if source.contains(&wrong) {
                    *source = source.replace(&wrong, &format!("{before}{old}\""));
                }
            }
        }
    }
}

/// What has messages and enums.
trait Types {
    fn types(&mut self) -> (&mut [DescriptorProto], &mut [EnumDescriptorProto]);
}

impl Types for FileDescriptorProto {
    fn types(&mut self) -> (&mut [DescriptorProto], &mut [EnumDescriptorProto]) {
        (&mut self.message_type, &mut self.enum_type)
    }
}

impl Types for DescriptorProto {
    fn types(&mut self) -> (&mut [DescriptorProto], &mut [EnumDescriptorProto]) {
        (&mut self.nested_type, &mut self.enum_type)
    }
}

/// Names the types in a file or a message; `old` and `own` are its full name before and now.
fn types(
    library: Messages,
    scope: &mut Scope,
    old: &str,
    own: &str,
    of: &mut impl Types,
    new: &mut HashMap<String, String>,
) {
    let join = |scope: &str, name: &str| match scope {
        "" => name.to_owned(),
        scope => format!("{scope}.{name}"),
    };
    let (messages, enums) = of.types();
    let all = messages.iter().map(|it| &it.name).chain(enums.iter().map(|it| &it.name));
    let originals: HashSet<String> = all.flatten().cloned().collect();
    let mut note = |before: String, after: String| {
        if before != after {
            new.insert(before, after);
        }
    };
    let mut inner = Vec::new();
    for message in messages {
        let before = message.name.clone().unwrap_or_default();
        let inside = !message.nested_type.is_empty()
            || !message.enum_type.is_empty()
            || !message.oneof_decl.is_empty();
        let after = scope.choose(&before, Some(inside), &originals);
        let names = (join(old, &before), join(own, &after));
        note(names.0.clone(), names.1.clone());
        message.name = Some(after);
        inner.push((message, names));
    }
    for defined in enums {
        let before = defined.name.clone().unwrap_or_default();
        let after = scope.choose(&before, None, &originals);
        note(join(old, &before), join(own, &after));
        defined.name = Some(after);
    }
    for (message, (old, own)) in inner {
        members(library, message);
        types(library, &mut Scope::new(library), &old, &own, message, new);
    }
}

/// Names the oneofs and fields of a message.
fn members(library: Messages, message: &mut DescriptorProto) {
    match library {
        Messages::Buffa => {
            let mut taken = HashSet::new();
            for oneof in &mut message.oneof_decl {
                let before = oneof.name.clone().unwrap_or_default();
                let key = |name: &str| name.to_upper_camel_case();
                let first = if key(&before) == "Self" { format!("{before}_oneof") } else { before };
                oneof.name = Some(numbered(&first, |name| taken.insert(key(name))));
            }
        }
        #[cfg(feature = "prost")]
        Messages::Prost => {
            let mut taken = HashSet::new();
            let oneofs = message.oneof_decl.iter_mut().map(|it| &mut it.name);
            let fields = message.field.iter_mut().map(|it| &mut it.name);
            for it in fields.chain(oneofs) {
                let before = it.clone().unwrap_or_default();
                *it = Some(numbered(&before, |name| taken.insert(name.to_snake_case())));
            }
        }
    }
}

/// The Rust names that a package or a message has taken.
struct Scope {
    library: Messages,
    taken: HashSet<String>,
}

impl Scope {
    fn new(library: Messages) -> Self {
        Self { library, taken: HashSet::new() }
    }

    /// Chooses a name; of messages it is known whether there is something in their modules.
    fn choose(
        &mut self,
        before: &str,
        module: Option<bool>,
        originals: &HashSet<String>,
    ) -> String {
        let own_module = module == Some(true) && before == before.to_snake_case();
        let first = match self.library {
            Messages::Buffa if own_module || is_keyword(before) => {
                match before.to_upper_camel_case() {
                    camel if is_keyword(&camel) => format!("{camel}_"),
                    camel => camel,
                }
            }
            _ => before.to_owned(),
        };
        numbered(&first, |name| {
            let mut keys = vec![match self.library {
                Messages::Buffa => name.to_owned(),
                #[cfg(feature = "prost")]
                Messages::Prost => name.to_upper_camel_case(),
            }];
            if module.is_some() {
                keys.push(format!("mod {}", name.to_snake_case()));
            }
            let free = (name == before || !originals.contains(name))
                && keys.iter().all(|key| !self.taken.contains(key));
            if free {
                self.taken.extend(keys);
            }
            free
        })
    }
}

/// `name`, or `name2` and so on until one is taken.
fn numbered(name: &str, mut take: impl FnMut(&str) -> bool) -> String {
    if take(name) {
        return name.to_owned();
    }
    let mut numbers = 2_u32..;
    loop {
        let number = numbers.next().unwrap_or(u32::MAX);
        let next = format!("{name}{number}");
        if take(&next) {
            return next;
        }
    }
}

/// Whether Rust takes the name for no type, raw or not.
fn is_keyword(name: &str) -> bool {
    syn::parse_str::<syn::Ident>(name).is_err()
}

fn references(file: &mut FileDescriptorProto, new: &HashMap<String, String>) {
    let rename = |name: &mut Option<String>| {
        let found = name.as_deref().and_then(|name| new.get(name.strip_prefix('.')?));
        if let Some(found) = found {
            *name = Some(format!(".{found}"));
        }
    };
    let fields = |fields: &mut [FieldDescriptorProto]| {
        for field in fields {
            rename(&mut field.type_name);
            rename(&mut field.extendee);
        }
    };
    fields(&mut file.extension);
    for method in file.service.iter_mut().flat_map(|service| &mut service.method) {
        rename(&mut method.input_type);
        rename(&mut method.output_type);
    }
    let mut open: Vec<&mut DescriptorProto> = file.message_type.iter_mut().collect();
    while let Some(message) = open.pop() {
        fields(&mut message.field);
        fields(&mut message.extension);
        open.extend(&mut message.nested_type);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> DescriptorProto {
        DescriptorProto { name: Some(name.to_owned()), ..Default::default() }
    }

    fn renamed(library: Messages, names: &[&str]) -> Vec<String> {
        let file = FileDescriptorProto {
            name: Some("a.proto".to_owned()),
            package: Some("a".to_owned()),
            message_type: names.iter().map(|name| message(name)).collect(),
            ..Default::default()
        };
        let renamed = Renamed::new(library, &[file], &HashSet::from(["a.proto"]));
        let mut text = "\"a.B\"".to_owned();
        renamed.restore(&mut text);
        names.iter().map(|name| renamed.name(&format!("a.{name}")).to_owned()).collect()
    }

    #[test]
    fn names_by_buffa() {
        let check = |names: &[&str], expect: &[&str]| {
            assert_eq!(renamed(Messages::Buffa, names), expect);
        };
        check(&["FooBar", "Foo_Bar", "foo_bar"], &["a.FooBar", "a.Foo_Bar2", "a.foo_bar3"]);
        check(&["FooBar", "Foo_Bar", "Foo_Bar2"], &["a.FooBar", "a.Foo_Bar3", "a.Foo_Bar2"]);
        check(&["while", "Self", "self"], &["a.While", "a.Self_", "a.Self_2"]);
        check(&["while", "While", "plain"], &["a.While2", "a.While", "a.plain"]);
    }

    #[test]
    #[cfg(feature = "prost")]
    fn names_by_prost() {
        let names = renamed(Messages::Prost, &["FooBar", "Foo_Bar", "HTTPProxy", "HttpProxy"]);
        assert_eq!(names, ["a.FooBar", "a.Foo_Bar2", "a.HTTPProxy", "a.HttpProxy2"]);
    }
}
