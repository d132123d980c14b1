//! Services and their methods.

use super::file::index;
use super::{Parsed, Parser};
use crate::ast::{Method, Options, Service};
use crate::source_info::At;

impl Parser<'_> {
    pub(super) fn service(&mut self, service: &mut Service, at: At) -> Parsed {
        self.consume("service")?;
        let name = self.open(at, &[1]);
        service.name = self.identifier("Expected service name.")?;
        self.close(name);
        self.end_of_declaration("{", at)?;
        while !self.try_consume_end("}") {
            if self.at_end() {
                return self.fail("Reached end of input in service definition (missing '}').");
            }
            if self.service_statement(service, at).is_err() {
                self.skip_statement();
            }
        }
        Ok(())
    }

    fn service_statement(&mut self, service: &mut Service, at: At) -> Parsed {
        if self.try_consume_end(";") {
            Ok(())
        } else if self.looking_at("option") {
            let location = self.open(at, &[3]);
            let result = self.option_statement(&mut service.options, location);
            self.close(location);
            result
        } else {
            let location = self.open(at, &[2, index(&service.methods)]);
            let mut method = Method::default();
            let result = self.method(&mut method, location);
            service.methods.push(method);
            self.close(location);
            result
        }
    }

    fn method(&mut self, method: &mut Method, at: At) -> Parsed {
        self.consume("rpc")?;
        let name = self.open(at, &[1]);
        method.name = self.identifier("Expected method name.")?;
        self.close(name);
        self.consume("(")?;
        (method.client_streaming, method.input) = self.method_type(at, 5, 2)?;
        self.consume(")")?;
        self.consume("returns")?;
        self.consume("(")?;
        (method.server_streaming, method.output) = self.method_type(at, 6, 3)?;
        self.consume(")")?;
        match self.looking_at("{") {
            true => self.method_options(&mut method.options, at),
            false => self.end_of_declaration(";", at),
        }
    }

    fn method_type(&mut self, at: At, stream: i32, own: i32) -> Parsed<(bool, String)> {
        let streaming = self.looking_at("stream");
        if streaming {
            let location = self.open(at, &[stream]);
            self.consume("stream")?;
            self.close(location);
        }
        let location = self.open(at, &[own]);
        let name = self.type_name()?;
        self.close(location);
        Ok((streaming, name))
    }

    /// Braces make options, even if there is nothing in them.
    fn method_options(&mut self, options: &mut Option<Box<Options>>, at: At) -> Parsed {
        options.get_or_insert_default();
        self.end_of_declaration("{", at)?;
        while !self.try_consume_end("}") {
            if self.at_end() {
                return self.fail("Reached end of input in method options (missing '}').");
            }
            if self.try_consume_end(";") {
                continue;
            }
            let location = self.open(at, &[4]);
            if self.option_statement(options, location).is_err() {
                self.skip_statement();
            }
            self.close(location);
        }
        Ok(())
    }
}
