//! What `grpc_1_0` adds to `_pb2.py`: stubs and servicers as in `_pb2_grpc.py`, and those of the
//! beta API that grpcio had before 1.0.
//!
//! All of it stands in a `try`, since messages are of use where there is no grpcio.

use std::fmt::Write as _;

use buffa_codegen::generated::descriptor::FileDescriptorProto;

use super::index::Index;
use super::names::{attribute, docstring, is_keyword, string};
use super::service::{Method, Service, Types, render, services};
use crate::descriptor::name;

pub(crate) fn block(index: &Index<'_>, file: &FileDescriptorProto) -> String {
    let types = Types { index, own: Some(name(file)) };
    let mut body = String::from(HEAD);
    for service in &services(file) {
        body.push_str("\n\n");
        body.push_str(&render(service, &types));
        // Beta never could: its servicers are plain classes whose methods `def` defines.
        if service.methods.iter().any(|method| is_keyword(method.name)) {
            continue;
        }
        body.push_str("\n\n");
        servicer(service, &mut body);
        stub(service, &mut body);
        create_server(service, &types, &mut body);
        create_stub(service, &types, &mut body);
    }
    let mut out = String::from("try:\n");
    for line in body.lines() {
        let _ = writeln!(out, "{}", format!("    {line}").trim_end());
    }
    out.push_str("except ImportError:\n    pass\n");
    out
}

fn servicer(service: &Service<'_>, out: &mut String) {
    let _ = writeln!(out, "class Beta{}Servicer:", service.name);
    let otherwise = format!("Deprecated: use {}Servicer.", service.name);
    out.push_str(&docstring(&service.comment, &otherwise, "    "));
    for method in &service.methods {
        let _ = writeln!(out, "\n    def {}(self, {}, context):", method.name, method.request());
        out.push_str(&docstring(&method.comment, &format!("Handles {}.", method.path), "        "));
        let _ = writeln!(out, "        context.code(beta_interfaces.StatusCode.UNIMPLEMENTED)");
    }
    out.push_str("\n\n");
}

fn stub(service: &Service<'_>, out: &mut String) {
    let _ = writeln!(out, "class Beta{}Stub:", service.name);
    let otherwise = format!("Deprecated: use {}Stub.", service.name);
    out.push_str(&docstring(&service.comment, &otherwise, "    "));
    for method in &service.methods {
        let _ = writeln!(
            out,
            "\n    def {}(self, {}, timeout, metadata=None, with_call=False, \
             protocol_options=None):",
            method.name,
            method.request()
        );
        out.push_str(&docstring(&method.comment, &format!("Calls {}.", method.path), "        "));
        let _ = writeln!(out, "        raise NotImplementedError()");
        if !method.response_streams {
            let _ = writeln!(out, "\n    {}.future = None", method.name);
        }
    }
    out.push_str("\n\n");
}

fn create_server(service: &Service<'_>, types: &Types<'_>, out: &mut String) {
    let _ = writeln!(
        out,
        "def beta_create_{}_server(servicer, pool=None, pool_size=None, default_timeout=None, \
         maximum_timeout=None):",
        service.name
    );
    let _ =
        writeln!(out, "    \"\"\"Deprecated: use add_{}Servicer_to_server.\"\"\"", service.name);
    by_method("request_deserializers", service, out, |method| {
        format!("{}.FromString", types.class(method.input))
    });
    by_method("response_serializers", service, out, |method| {
        format!("{}.SerializeToString", types.class(method.output))
    });
    by_method("method_implementations", service, out, |method| {
        format!("face_utilities.{}_inline({})", method.kind, attribute("servicer", method.name))
    });
    let _ = writeln!(
        out,
        "    server_options = beta_implementations.server_options(\n        \
         request_deserializers=request_deserializers,\n        \
         response_serializers=response_serializers,\n        \
         thread_pool=pool,\n        thread_pool_size=pool_size,\n        \
         default_timeout=default_timeout,\n        maximum_timeout=maximum_timeout,\n    )"
    );
    let _ = writeln!(
        out,
        "    return beta_implementations.server(method_implementations, options=server_options)"
    );
    out.push_str("\n\n");
}

fn create_stub(service: &Service<'_>, types: &Types<'_>, out: &mut String) {
    let _ = writeln!(
        out,
        "def beta_create_{}_stub(channel, host=None, metadata_transformer=None, pool=None, \
         pool_size=None):",
        service.name
    );
    let _ = writeln!(out, "    \"\"\"Deprecated: use {}Stub.\"\"\"", service.name);
    by_method("request_serializers", service, out, |method| {
        format!("{}.SerializeToString", types.class(method.input))
    });
    by_method("response_deserializers", service, out, |method| {
        format!("{}.FromString", types.class(method.output))
    });
    let _ = writeln!(out, "    cardinalities = {{");
    for method in &service.methods {
        let kind = method.kind.to_ascii_uppercase();
        let _ = writeln!(out, "        {}: cardinality.Cardinality.{kind},", string(method.name));
    }
    let _ = writeln!(out, "    }}");
    let _ = writeln!(
        out,
        "    stub_options = beta_implementations.stub_options(\n        \
         host=host,\n        metadata_transformer=metadata_transformer,\n        \
         request_serializers=request_serializers,\n        \
         response_deserializers=response_deserializers,\n        \
         thread_pool=pool,\n        thread_pool_size=pool_size,\n    )"
    );
    let _ = writeln!(
        out,
        "    return beta_implementations.dynamic_stub(channel, {}, cardinalities, \
         options=stub_options)",
        string(&service.full_name)
    );
}

/// A dictionary with an entry for each method.
fn by_method(
    name: &str,
    service: &Service<'_>,
    out: &mut String,
    value: impl Fn(&Method<'_>) -> String,
) {
    let _ = writeln!(out, "    {name} = {{");
    for method in &service.methods {
        let _ = writeln!(
            out,
            "        ({}, {}): {},",
            string(&service.full_name),
            string(method.name),
            value(method)
        );
    }
    let _ = writeln!(out, "    }}");
}

const HEAD: &str = "\
# Deprecated: the module whose name ends in _pb2_grpc has the stubs and servicers.
import grpc
from grpc.beta import implementations as beta_implementations
from grpc.beta import interfaces as beta_interfaces
from grpc.framework.common import cardinality
from grpc.framework.interfaces.face import utilities as face_utilities

_REGISTERED = (
    {'_registered_method': True}
    if hasattr(grpc.Server, 'add_registered_method_handlers')
    else {}
)
";
