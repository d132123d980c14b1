//! `--print_free_field_numbers`.

use std::fmt::Write as _;

use buffa_codegen::generated::descriptor::DescriptorProto;
use buffa_codegen::generated::descriptor::field_descriptor_proto::Type;

use super::compile::Compiled;
use crate::descriptor::package;

pub(super) fn text(compiled: &Compiled) -> String {
    let mut out = String::new();
    for file in compiled.input_files() {
        for message in &file.message_type {
            print(package(file), message, &mut out);
        }
    }
    out
}

/// A message after those nested in it. What groups use counts for their message as well.
fn print(scope: &str, message: &DescriptorProto, out: &mut String) {
    let own = message.name.as_deref().unwrap_or_default();
    let full = if scope.is_empty() { own.to_owned() } else { format!("{scope}.{own}") };
    for nested in &message.nested_type {
        print(&full, nested, out);
    }
    let mut used: Vec<(i32, i32)> = Vec::new();
    collect(message, &full, &mut used);
    used.sort_unstable();
    let mut line = format!("{full:<35} free:");
    let mut next = 1;
    for (start, end) in used {
        if next < start {
            let _ = match start - next {
                1 => write!(line, " {next}"),
                _ => write!(line, " {next}-{}", start - 1),
            };
        }
        next = next.max(end);
    }
    if next <= MAX_NUMBER {
        let _ = write!(line, " {next}-INF");
    }
    let _ = writeln!(out, "{line}");
}

/// Ranges whose end is not part of them.
fn collect(message: &DescriptorProto, full: &str, used: &mut Vec<(i32, i32)>) {
    let numbers = message.field.iter().filter_map(|field| field.number);
    used.extend(numbers.map(|number| (number, number.saturating_add(1))));
    let range = |start: Option<i32>, end: Option<i32>| Some((start?, end?));
    used.extend(message.extension_range.iter().filter_map(|it| range(it.start, it.end)));
    used.extend(message.reserved_range.iter().filter_map(|it| range(it.start, it.end)));
    for nested in message.nested_type.iter().filter(|nested| is_group(message, full, nested)) {
        let own = nested.name.as_deref().unwrap_or_default();
        collect(nested, &format!("{full}.{own}"), used);
    }
}

fn is_group(message: &DescriptorProto, full: &str, nested: &DescriptorProto) -> bool {
    let own = format!(".{full}.{}", nested.name.as_deref().unwrap_or_default());
    message.field.iter().any(|field| {
        field.r#type == Some(Type::TYPE_GROUP) && field.type_name.as_deref() == Some(&own)
    })
}

/// The largest field number there is: 29 bits.
const MAX_NUMBER: i32 = (1 << 29) - 1;
