//! `--encode` and `--decode`: messages between text and bytes.

use buffa::Message;
use buffa_codegen::generated::descriptor::FileDescriptorSet;
use protox::prost_reflect::prost::Message as _;
use protox::prost_reflect::text_format::FormatOptions;
use protox::prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use super::check;
use super::compile::Compiled;
use super::report::Failure;

pub(super) fn encode(
    compiled: &Compiled,
    type_name: &str,
    text: &[u8],
) -> Result<Vec<u8>, Failure> {
    let descriptor = descriptor(compiled, type_name)?;
    let text =
        std::str::from_utf8(text).map_err(|_| Failure::message("input: The text is not UTF-8."))?;
    let message = DynamicMessage::parse_text_format(descriptor, text).map_err(|error| {
        // Its `Debug` form has the place in front.
        let _ = &error;
        Failure::message(format!("input:{error}\nFailed to parse input."))
    })?;
    Ok(message.encode_to_vec())
}

pub(super) fn decode(
    compiled: &Compiled,
    type_name: &str,
    bytes: &[u8],
) -> Result<String, Failure> {
    let descriptor = descriptor(compiled, type_name)?;
    let message = DynamicMessage::decode(descriptor, bytes)
        .map_err(|_| Failure::message("Failed to parse input."))?;
    let options = FormatOptions::new().pretty(true).skip_unknown_fields(false);
    let mut text = message.to_text_format_with_options(&options);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn descriptor(compiled: &Compiled, type_name: &str) -> Result<MessageDescriptor, Failure> {
    for file in &compiled.files {
        check::readable(file).map_err(Failure::message)?;
    }
    let set = FileDescriptorSet { file: compiled.files.clone(), ..Default::default() };
    let pool = DescriptorPool::decode(set.encode_to_vec().as_slice())
        .map_err(|error| Failure::message(error.to_string()))?;
    pool.get_message_by_name(type_name)
        .ok_or_else(|| Failure::message(format!("Type not defined: {type_name}")))
}
