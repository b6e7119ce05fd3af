//! Calls in a text.

use super::{
    Arguments, Dialect, NameForm, Piece,
    body::{self, Body, no_call},
    head::{self, Head},
};
use crate::{
    json,
    schema::{
        KeyOrder,
        notation::{KeyTypes, Notation, Reading, Transcoder},
    },
    tools::{Error, ToolCall, ToolSet},
};
use std::sync::Arc;

impl Dialect {
    /// Parses the single call in `text`, as it was written or with other blanks.
    ///
    /// # Errors
    /// [`Error::NoCall`] if there is none, or more than one.
    pub fn read_call(&self, text: &str) -> Result<ToolCall, Error> {
        self.read_call_with(text, None)
    }

    /// Parses the single call in `text`, as [`read_call`](Self::read_call) does; where the format does not tell the types of values,
    /// the schemas of `tools` do.
    ///
    /// # Errors
    /// As [`read_call`](Self::read_call).
    pub fn read_call_with(&self, text: &str, tools: Option<&ToolSet>) -> Result<ToolCall, Error> {
        let has_name_in_json = self.first.contains(&Piece::Name(NameForm::Json));
        match &self.arguments {
            Arguments::Json(_) => match self.parse_strict(text) {
                Some(call) => Ok(call),
                None if has_name_in_json => self.parse_object(text),
                None => self.parse_named(text.trim()),
            },
            Arguments::Members(_) => self.parse_members(text, tools),
        }
    }

    /// A call with JSON arguments, written as the format writes it.
    fn parse_strict(&self, text: &str) -> Option<ToolCall> {
        let (name, rest) = self.name_and_rest(text.as_bytes()).ok()?;
        let (arguments, rest) = rest.split_at(json::nested_length(rest)?);
        let behind = head::strip(&self.last, &name, rest)?;
        let ends = behind.iter().all(u8::is_ascii_whitespace);
        ends.then(|| ToolCall::from_text(name, std::str::from_utf8(arguments).ok()?).ok())?
    }

    /// A call whose name is in the same JSON object as its arguments, perhaps with other blanks or an id.
    fn parse_object(&self, text: &str) -> Result<ToolCall, Error> {
        let [before, after] = self.heads()?.first[0].around("", 0);
        let last = head::text(&self.last, "", 0);
        let open = before.find('{').map_or(&*before, |at| before[..at].trim_end_matches('[')).trim();
        let close = last.trim_start_matches(['}', ']']).trim();
        let key = after.rsplit('"').nth(1).unwrap_or("arguments");
        let (said, rest) = text.split_once(open).ok_or_else(|| no_call(format!("there is no {open}")))?;
        let (body, behind) = match close {
            "" => (rest, ""),
            close => rest.rsplit_once(close).ok_or_else(|| no_call(format!("the {close} is missing")))?,
        };
        if !open.is_empty() && behind.contains(open) {
            return Err(no_call("there is more than one"));
        }
        if !before.contains("[{") {
            return body::parse(body, key);
        }
        if !said.trim().is_empty() {
            return Err(no_call(format!("there is text before {open}")));
        }
        let list: Vec<Body<'_>> = serde_json::from_str(body)
            .map_err(|error| no_call(format!("behind {open} stands no list of calls ({error})")))?;
        match <[Body<'_>; 1]>::try_from(list) {
            Ok([body]) => body.call(key),
            Err(list) => Err(no_call(format!("its list holds {}", list.len()))),
        }
    }

    /// A call whose arguments are written key by key.
    fn parse_members(&self, text: &str, tools: Option<&ToolSet>) -> Result<ToolCall, Error> {
        let (name, rest) = self.name_and_rest(text.as_bytes())?;
        let notation = self.notation()?;
        let Notation::Members(members) = &notation else {
            return Err(no_call("its arguments are not members"));
        };
        let types = match tools.and_then(|tools| tools.get(&name)) {
            Some(tool) => tool.compiled_in(KeyOrder::Any, &notation)?.key_types.clone(),
            None => Arc::new(KeyTypes::any()),
        };
        let reading = Reading { members: members.clone(), types };
        let Some((arguments, length)) = Transcoder::whole(&reading, rest) else {
            return Err(no_call("its arguments are not complete, or not in the format"));
        };
        match head::strip(&self.last, &name, &rest[length..]) {
            Some(rest) if rest.iter().all(u8::is_ascii_whitespace) => ToolCall::from_text(name, &arguments),
            _ => Err(no_call("something else follows its arguments")),
        }
    }

    /// The name of the call that `text` starts with, and the text from its arguments on.
    fn name_and_rest<'t>(&self, text: &'t [u8]) -> Result<(String, &'t [u8]), Error> {
        let heads = self.heads()?.first;
        let open = self.opening().unwrap_or_default();
        let missing = || no_call(format!("there is no {open}"));
        let found = heads.iter().find_map(|head| Some((head.clone(), head.strip_before(text)?)));
        let behind_text = || {
            let mut heads = heads.iter().cloned().map(Head::behind_text);
            heads.find_map(|head| head.strip_before(text.trim_ascii_start()).map(|rest| (head, rest)))
        };
        let (head, rest) = found.or_else(behind_text).ok_or_else(missing)?;
        match head.split(rest) {
            Some((name, Some(arguments))) => Ok((name, arguments)),
            _ => Err(no_call("the text around its name does not end")),
        }
    }

    /// A call whose name stands before its arguments, a JSON object.
    fn parse_named(&self, text: &str) -> Result<ToolCall, Error> {
        let last = head::text(&self.last, "", 0);
        let (name, arguments) = self.name_and_rest(text.as_bytes())?;
        let arguments = String::from_utf8_lossy(arguments);
        let arguments =
            arguments.strip_suffix(&*last).ok_or_else(|| no_call(format!("the {last} is missing")))?;
        ToolCall::from_text(name, arguments)
    }
}
