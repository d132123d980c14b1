//! The values of fields whose names are reserved: read, and left out.

use super::{MAX_DEPTH, Names, Parsed, Parser};
use crate::lexer::Kind;

impl<N: Names> Parser<'_, N> {
    /// The value of a field that is reserved.
    pub(super) fn skip_value(&mut self) -> Parsed {
        if self.try_consume(":") && !self.looking_at("{") && !self.looking_at("<") {
            return self.skip_scalar();
        }
        self.skip_message()
    }

    fn skip_message(&mut self) -> Parsed {
        if self.depth >= MAX_DEPTH {
            return Err(self.note("Message is too deep.".to_owned()));
        }
        self.depth += 1;
        let close = self.open_sign()?;
        while !self.looking_at(">") && !self.looking_at("}") {
            match self.looking_at("[") {
                true => drop(self.bracketed()?),
                false => drop(self.identifier()?),
            }
            self.skip_value()?;
            let _ = self.try_consume(";") || self.try_consume(",");
        }
        self.depth -= 1;
        self.consume(close)
    }

    fn skip_scalar(&mut self) -> Parsed {
        if self.lexer.current.kind == Kind::String {
            self.string()?;
            return Ok(());
        }
        if self.try_consume("[") {
            if self.depth >= MAX_DEPTH {
                return Err(self.note("Message is too deep.".to_owned()));
            }
            self.depth += 1;
            while !self.try_consume("]") {
                match self.looking_at("{") || self.looking_at("<") {
                    true => self.skip_message()?,
                    false => self.skip_scalar()?,
                }
                if !self.looking_at("]") {
                    self.consume(",")?;
                }
            }
            self.depth -= 1;
            return Ok(());
        }
        self.try_consume("-");
        match self.lexer.current.kind {
            Kind::Integer | Kind::Float | Kind::Identifier => {
                self.lexer.next();
                Ok(())
            }
            _ => {
                let text = self.text();
                self.fail(format!("Cannot skip field value, unexpected token: {text}"))
            }
        }
    }
}
