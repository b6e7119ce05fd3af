//! The call of the model in a client, its system message, tools and settings.

use super::{
    Problem,
    constant::Constants,
    node::{field, line, parts, text},
    scope::{Names, ScopeId},
    string, tree,
};
use crate::{bundle::Wanted, json};
use serde_json::Value;
use tree_sitter::Node;

/// Names of constants that hold the system prompt, where no message has one.
const PROMPTS: &[&str] = &["SYSTEM_PROMPT", "SYSTEM_MESSAGE", "SYSTEM"];
/// Names of constants for files in which nothing calls the model.
const CONSTANTS: &[(&str, &str)] = &[
    ("TOOLS", "tools"),
    ("TOOL_CHOICE", "tool_choice"),
    ("TEMPERATURE", "temperature"),
    ("MAX_TOKENS", "max_tokens"),
];
/// Most calls and messages that are compared.
const MAX_COMPARED: usize = 100;

/// Settings that a client sends besides the conversation.
#[derive(Debug, Default, PartialEq)]
pub(in crate::bundle) struct Client {
    /// The system message.
    pub(in crate::bundle) system: Option<String>,
    /// The other arguments of the call by name, with their lines.
    pub(in crate::bundle) arguments: Vec<(String, Value, usize)>,
    /// Arguments that were not read and are not needed.
    pub(in crate::bundle) warnings: Vec<Problem>,
}

impl Client {
    /// The arguments without their lines, sorted.
    fn by_name(&self) -> Vec<(&str, &Value)> {
        let mut arguments: Vec<_> =
            self.arguments.iter().map(|(name, value, _)| (name.as_str(), value)).collect();
        arguments.sort_by_key(|(name, _)| *name);
        arguments
    }
}

/// Reads the client with this source text.
///
/// # Errors
/// A file that is not Python; a system prompt or tools that are no constants; a file without any of them.
pub(in crate::bundle) fn read(source: &str, wanted: Wanted) -> Result<Client, Problem> {
    // The lines of a text end in line feeds, whatever they end in in the file, as Python reads it.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let tree = tree::parse(&source)?;
    let names = Names::read(tree.root_node(), &source);
    let constants = Constants::new(&names, &source);
    let reader = Reader { constants: &constants, names: &names, source: &source, wanted };
    let system = if wanted.system { reader.system()? } else { None };
    let mut client = match reader.call()? {
        Some(client) => client,
        None => reader.named_constants()?,
    };
    client.system = system;
    if wanted == Wanted::ALL && client.system.is_none() && client.arguments.is_empty() {
        let text =
            "calls no model (`client.chat.completions.create(...)`), and has no system prompt and no tools";
        return Err(Problem { line: 1, text: text.into() });
    }
    reader.warn(&mut client);
    Ok(client)
}

/// An argument of a call by name, and the scope of its value.
struct Argument<'t> {
    name: String,
    value: Node<'t>,
    scope: ScopeId,
}

struct Reader<'t, 's> {
    constants: &'s Constants<'t, 's>,
    names: &'s Names<'t>,
    source: &'s str,
    wanted: Wanted,
}

impl<'t> Reader<'t, '_> {
    /// The system message: the content of the only message with that role, else the constant named like it.
    fn system(&self) -> Result<Option<String>, Problem> {
        let mut found: Option<(String, usize)> = None;
        for (content, scope) in self.messages(&["system", "developer"]).into_iter().take(MAX_COMPARED) {
            let text = self.content(content, scope)?;
            match &found {
                Some((first, at)) if *first != text => {
                    let problem =
                        format!("is another system message than that on line {at}; leave one of them");
                    return Err(Problem::at(content, problem));
                }
                _ => found = Some((text, line(content))),
            }
        }
        if let Some((text, _)) = found {
            return Ok(Some(text));
        }
        let Some((name, value, scope)) = self.module_constant(PROMPTS)? else { return Ok(None) };
        match self.constants.value(value, scope)? {
            value if json::string_text(&value).is_some() => Ok(json::string_text(&value).map(str::to_owned)),
            _ => Err(Problem::at(value, format!("makes `{name}` something else than a string"))),
        }
    }

    /// The contents of the messages with one of these roles that are written out.
    fn messages(&self, roles: &[&str]) -> Vec<(Node<'t>, ScopeId)> {
        let in_dict = self.names.dicts.iter().filter_map(|(dict, scope)| {
            let value = |name: &str| {
                let is_key = |pair: &Node<'t>| {
                    field(*pair, "key").and_then(|key| self.constants.literal(key)).as_deref() == Some(name)
                };
                parts(*dict)
                    .into_iter()
                    .filter(|part| part.kind() == "pair")
                    .find(is_key)
                    .and_then(|pair| field(pair, "value"))
            };
            let role = value("role").and_then(|role| self.constants.literal(role))?;
            roles.contains(&role.as_str()).then(|| value("content"))?.map(|content| (content, *scope))
        });
        let in_call = self.names.calls.iter().filter_map(|(call, scope)| {
            let is_dict =
                field(*call, "function").is_some_and(|function| text(function, self.source) == "dict");
            let arguments = keywords(field(*call, "arguments").filter(|_| is_dict)?, self.source);
            let value =
                |name: &str| arguments.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
            let role = value("role").and_then(|role| self.constants.literal(role))?;
            roles.contains(&role.as_str()).then(|| value("content"))?.map(|content| (content, *scope))
        });
        in_dict.chain(in_call).collect()
    }

    /// The text of a message's content.
    fn content(&self, node: Node<'t>, scope: ScopeId) -> Result<String, Problem> {
        let value = self.constants.value(node, scope)?;
        let parts = value.as_array().map(Vec::as_slice);
        let text = match parts {
            Some([part]) => part.get("text").and_then(json::string_text),
            _ => json::string_text(&value),
        };
        text.map(str::to_owned)
            .ok_or_else(|| Problem::at(node, "is the content of a system message, and no text"))
    }

    /// Arguments of the call of the model; of several calls those with tools count, and they must be equal.
    fn call(&self) -> Result<Option<Client>, Problem> {
        let mut found: Vec<(Client, usize)> = Vec::new();
        for (call, scope) in &self.names.calls {
            if found.len() < MAX_COMPARED && self.is_chat(*call) {
                found.push((self.evaluated(self.arguments(*call, *scope)?)?, line(*call)));
            }
        }
        let has_tools = |(client, _): &(Client, usize)| {
            client.arguments.iter().any(|(name, value, _)| name == "tools" && !value.is_null())
        };
        if found.iter().any(has_tools) {
            found.retain(has_tools);
        }
        let mut found = found.into_iter();
        let Some((first, at)) = found.next() else { return Ok(None) };
        match found.find(|(other, _)| other.by_name() != first.by_name()) {
            Some((_, line)) => {
                let text = format!(
                    "calls the model with other tools or settings than the call on line {at}; leave one of the calls"
                );
                Err(Problem { line, text })
            }
            None => Ok(Some(first)),
        }
    }

    /// True for a call like `client.chat.completions.create(...)`.
    fn is_chat(&self, call: Node<'t>) -> bool {
        let Some(function) = field(call, "function") else { return false };
        // Only the last two names are looked at: before them may stand a chain as long as the file.
        let last = field(function, "attribute").map(|name| text(name, self.source));
        let object = field(function, "object").map(|object| field(object, "attribute").unwrap_or(object));
        let object =
            object.filter(|object| object.kind() == "identifier").map(|name| text(name, self.source));
        if let (Some("completions"), Some("create" | "parse")) | (Some("ChatCompletion"), Some("create")) =
            (object, last)
        {
            return true;
        }
        let arguments = field(call, "arguments").map(|list| keywords(list, self.source)).unwrap_or_default();
        ["model", "messages"].iter().all(|name| arguments.iter().any(|(found, _)| found == name))
    }

    /// The arguments of a call by name, with those of `**` dicts that are written out.
    fn arguments(&self, call: Node<'t>, scope: ScopeId) -> Result<Vec<Argument<'t>>, Problem> {
        let Some(list) = field(call, "arguments") else { return Ok(Vec::new()) };
        let mut arguments: Vec<Argument<'t>> = keywords(list, self.source)
            .into_iter()
            .map(|(name, value)| Argument { name: name.to_owned(), value, scope })
            .collect();
        for splat in parts(list).into_iter().filter(|part| part.kind() == "dictionary_splat") {
            let Some(mut dict) = parts(splat).first().copied() else { continue };
            let mut inner = scope;
            if dict.kind() == "identifier" {
                (dict, inner) = self.names.value(text(dict, self.source), scope, dict)?;
            }
            if dict.kind() != "dictionary" {
                return Err(Problem::at(splat, "passes arguments that are no dict written out in the file"));
            }
            for pair in parts(dict) {
                let key = field(pair, "key").and_then(|key| self.constants.literal(key));
                let (Some(name), Some(value)) = (key, field(pair, "value")) else {
                    return Err(Problem::at(pair, "passes an argument whose name is no string written out"));
                };
                arguments.push(Argument { name, value, scope: inner });
            }
        }
        Ok(arguments)
    }

    /// The values of the arguments. Tools must be constants; other settings that are none are left out with a warning.
    fn evaluated(&self, arguments: Vec<Argument<'t>>) -> Result<Client, Problem> {
        let mut client = Client::default();
        for Argument { name, value, scope } in arguments {
            let is_tools = ["tools", "functions"].contains(&name.as_str());
            if ["model", "messages", "input", "stream"].contains(&name.as_str())
                || (is_tools && !self.wanted.tools)
            {
                continue;
            }
            match self.constants.value(value, scope) {
                Ok(found) => client.arguments.push((name, found, line(value))),
                Err(problem) if is_tools => return Err(problem),
                Err(problem) => {
                    let text = format!("`{name}` {}; it was left out", problem.text);
                    client.warnings.push(Problem { line: line(value), text });
                }
            }
        }
        Ok(client)
    }

    /// Takes over the constants that are named like settings, in a file in which nothing calls the model.
    fn named_constants(&self) -> Result<Client, Problem> {
        let mut client = Client::default();
        for (constant, name) in CONSTANTS.iter().filter(|(_, name)| self.wanted.tools || *name != "tools") {
            if let Some((_, value, scope)) = self.module_constant(&[constant])? {
                client.arguments.push(((*name).to_owned(), self.constants.value(value, scope)?, line(value)));
            }
        }
        Ok(client)
    }

    /// The module's constant with the first of these names, in capitals or not.
    fn module_constant(&self, names: &[&str]) -> Result<Option<(String, Node<'t>, ScopeId)>, Problem> {
        for wanted in names {
            let found =
                self.names.module_names().find(|name| name.eq_ignore_ascii_case(wanted)).map(str::to_owned);
            if let Some(name) = found {
                let (value, scope) = self.names.module_value(&name)?;
                return Ok(Some((name, value, scope)));
            }
        }
        Ok(None)
    }

    /// Adds what a reader of the profile should know.
    fn warn(&self, client: &mut Client) {
        for line in self.constants.empty_fields() {
            let text = "has an f-string with an empty field `{}`, which Python refuses; it was read as the text `{}`";
            client.warnings.push(Problem { line, text: text.into() });
        }
        let wraps = |(content, _): &&(Node<'t>, ScopeId)| match content.kind() {
            "string" => string::has_fields(*content, self.source),
            "concatenated_string" => {
                parts(*content).into_iter().any(|part| string::has_fields(part, self.source))
            }
            kind => kind == "binary_operator",
        };
        if let Some((content, _)) = self.messages(&["user"]).iter().find(wraps) {
            let text = "puts text around the words of the user, which a profile does not keep: put it into the prompt of each call";
            client.warnings.push(Problem::at(*content, text));
        }
    }
}

/// The arguments of a call that are given by name.
fn keywords<'t, 's>(list: Node<'t>, source: &'s str) -> Vec<(&'s str, Node<'t>)> {
    let given = parts(list).into_iter().filter(|part| part.kind() == "keyword_argument");
    given.filter_map(|part| Some((text(field(part, "name")?, source), field(part, "value")?))).collect()
}
