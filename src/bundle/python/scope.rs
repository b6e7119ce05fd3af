//! Names of a file: what each is bound to, by Python's rules of scopes.

use super::{
    Problem,
    node::{field, line, parts, shown, text},
};
use std::collections::{BTreeMap, BTreeSet};
use tree_sitter::Node;

/// Methods that change a list or a dict.
const MUTATORS: &[&str] = &[
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "clear",
    "update",
    "setdefault",
    "sort",
    "reverse",
    "popitem",
];

/// Most attributes and subscripts in a row that are followed.
const MAX_CHAIN: usize = 64;

/// Index of a scope; 0 is the module.
pub(super) type ScopeId = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Module,
    Class,
    Function,
}

#[derive(Debug)]
struct Scope {
    kind: Kind,
    parent: Option<ScopeId>,
    /// Names that belong to the module.
    globals: BTreeSet<String>,
}

/// A place that gives a name its value.
#[derive(Clone, Debug)]
struct Binding<'t> {
    line: usize,
    /// The expression and the scope in which it stands; else the reason why there is none.
    value: Result<(Node<'t>, ScopeId), &'static str>,
}

/// A place that changes the value of a name.
#[derive(Debug)]
struct Mutation {
    scope: ScopeId,
    name: String,
    line: usize,
}

/// The names of a file, and the nodes that a reader of clients looks at.
#[derive(Debug, Default)]
pub(super) struct Names<'t> {
    scopes: Vec<Scope>,
    bindings: BTreeMap<(ScopeId, String), Vec<Binding<'t>>>,
    classes: BTreeMap<(ScopeId, String), ScopeId>,
    mutations: Vec<Mutation>,
    /// Every call.
    pub(super) calls: Vec<(Node<'t>, ScopeId)>,
    /// Every dict that is written out.
    pub(super) dicts: Vec<(Node<'t>, ScopeId)>,
}

impl<'t> Names<'t> {
    /// Reads the names of the file with this tree, from front to back.
    pub(super) fn read(root: Node<'t>, source: &str) -> Names<'t> {
        let mut names = Names::default();
        let module = names.open(Kind::Module, None);
        let mut stack = vec![(root, module)];
        while let Some((node, scope)) = stack.pop() {
            let inside = names.visit(node, scope, source);
            let mut cursor = node.walk();
            let children: Vec<Node<'t>> = node.named_children(&mut cursor).collect();
            let body = field(node, "body");
            let parameters = field(node, "parameters");
            for child in children.into_iter().rev() {
                let is_inside = Some(child) == body || Some(child) == parameters;
                stack.push((child, if is_inside { inside } else { scope }));
            }
        }
        names
    }

    fn open(&mut self, kind: Kind, parent: Option<ScopeId>) -> ScopeId {
        self.scopes.push(Scope { kind, parent, globals: BTreeSet::new() });
        self.scopes.len() - 1
    }

    /// Takes in one node; returns the scope of its body.
    fn visit(&mut self, node: Node<'t>, scope: ScopeId, source: &str) -> ScopeId {
        match node.kind() {
            "function_definition" | "lambda" | "class_definition" => {
                return self.definition(node, scope, source);
            }
            "assignment" => {
                if let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) {
                    self.assign(left, final_value(right), scope, source);
                }
            }
            "augmented_assignment" => self.other(field(node, "left"), scope, source, "is extended"),
            "named_expression" => {
                self.other(field(node, "name"), scope, source, "is assigned within an expression")
            }
            "for_statement" | "for_in_clause" => {
                self.other(field(node, "left"), scope, source, "is the variable of a loop")
            }
            "delete_statement" => {
                parts(node).into_iter().for_each(|part| self.other(Some(part), scope, source, "is deleted"))
            }
            "as_pattern_target" => parts(node)
                .into_iter()
                .for_each(|part| self.other(Some(part), scope, source, "is bound by `as`")),
            "global_statement" => {
                let names = parts(node).into_iter().map(|name| text(name, source).to_owned());
                self.scopes[scope].globals.extend(names);
            }
            "import_statement" | "import_from_statement" => self.import(node, scope, source),
            "parameters" | "lambda_parameters" => {
                parts(node).into_iter().for_each(|part| self.parameter(part, scope, source));
            }
            "dictionary" => self.dicts.push((node, scope)),
            "call" => {
                self.calls.push((node, scope));
                self.method(node, scope, source);
            }
            _ => {}
        }
        scope
    }

    fn definition(&mut self, node: Node<'t>, scope: ScopeId, source: &str) -> ScopeId {
        let kind = if node.kind() == "class_definition" { Kind::Class } else { Kind::Function };
        let inside = self.open(kind, Some(scope));
        if let Some(name) = field(node, "name") {
            let reason = if kind == Kind::Class { "is a class" } else { "is a function" };
            self.other(Some(name), scope, source, reason);
            if kind == Kind::Class {
                self.classes.insert((scope, text(name, source).to_owned()), inside);
            }
        }
        inside
    }

    fn assign(&mut self, left: Node<'t>, right: Node<'t>, scope: ScopeId, source: &str) {
        match left.kind() {
            "identifier" => {
                let value = Ok((right, scope));
                self.bind(self.owner(text(left, source), scope), left, text(left, source), value);
            }
            "attribute" => match self.own_attribute(left, scope, source) {
                Some((class, name)) => self.bind(class, left, name, Ok((right, scope))),
                None => self.mutate(left, scope, source),
            },
            _ => self.other(Some(left), scope, source, "is assigned together with others"),
        }
    }

    /// Takes in names whose value is no expression of its own.
    fn other(&mut self, target: Option<Node<'t>>, scope: ScopeId, source: &str, reason: &'static str) {
        let Some(target) = target else { return };
        match target.kind() {
            "identifier" => {
                let name = text(target, source);
                self.bind(self.owner(name, scope), target, name, Err(reason));
            }
            "attribute" | "subscript" => match self.own_attribute(target, scope, source) {
                Some((class, name)) => self.bind(class, target, name, Err(reason)),
                None => self.mutate(target, scope, source),
            },
            "pattern_list" | "tuple_pattern" | "list_pattern" | "expression_list" | "list_splat_pattern" => {
                parts(target).into_iter().for_each(|part| self.other(Some(part), scope, source, reason));
            }
            _ => {}
        }
    }

    fn import(&mut self, node: Node<'t>, scope: ScopeId, source: &str) {
        let mut cursor = node.walk();
        let imported: Vec<Node<'t>> = node.children_by_field_name("name", &mut cursor).collect();
        for name in imported {
            // `import a.b` binds `a`.
            let bound = field(name, "alias").or_else(|| name.named_child(0)).unwrap_or(name);
            let bound_text = text(bound, source);
            self.bind(scope, bound, bound_text, Err("is imported from another file"));
        }
    }

    fn parameter(&mut self, node: Node<'t>, scope: ScopeId, source: &str) {
        let name = match node.kind() {
            "identifier" => Some(node),
            _ => field(node, "name").or_else(|| node.named_child(0)),
        };
        self.other(name.filter(|name| name.kind() == "identifier"), scope, source, "is a parameter");
    }

    fn method(&mut self, call: Node<'t>, scope: ScopeId, source: &str) {
        let Some(function) = field(call, "function").filter(|function| function.kind() == "attribute") else {
            return;
        };
        let is_mutator =
            field(function, "attribute").is_some_and(|name| MUTATORS.contains(&text(name, source)));
        if let Some(object) = field(function, "object").filter(|_| is_mutator) {
            self.mutate(object, scope, source);
        }
    }

    /// Takes in that the value at the root of `target` is changed.
    fn mutate(&mut self, target: Node<'t>, scope: ScopeId, source: &str) {
        let mut root = target;
        for _ in 0..MAX_CHAIN {
            if let Some((class, name)) = self.own_attribute(root, scope, source) {
                self.mutations.push(Mutation { scope: class, name: name.to_owned(), line: line(target) });
                return;
            }
            let next = match root.kind() {
                "attribute" => field(root, "object"),
                "subscript" => field(root, "value"),
                "call" => field(root, "function"),
                _ => break,
            };
            let Some(next) = next else { return };
            root = next;
        }
        if root.kind() == "identifier" {
            self.mutations.push(Mutation { scope, name: text(root, source).to_owned(), line: line(target) });
        }
    }

    /// The class and the name of `self.NAME` or `cls.NAME`.
    fn own_attribute<'s>(
        &self,
        node: Node<'t>,
        scope: ScopeId,
        source: &'s str,
    ) -> Option<(ScopeId, &'s str)> {
        if node.kind() != "attribute" {
            return None;
        }
        field(node, "object").filter(|object| ["self", "cls"].contains(&text(*object, source)))?;
        let name = field(node, "attribute")?;
        let mut class = scope;
        while self.scopes[class].kind != Kind::Class {
            class = self.scopes[class].parent?;
        }
        Some((class, text(name, source)))
    }

    fn owner(&self, name: &str, scope: ScopeId) -> ScopeId {
        if self.scopes[scope].globals.contains(name) { 0 } else { scope }
    }

    fn bind(
        &mut self,
        scope: ScopeId,
        node: Node<'t>,
        name: &str,
        value: Result<(Node<'t>, ScopeId), &'static str>,
    ) {
        self.bindings.entry((scope, name.to_owned())).or_default().push(Binding { line: line(node), value });
    }

    /// The scope that `name` belongs to where it is used in `scope`.
    fn scope_of(&self, name: &str, scope: ScopeId) -> Option<ScopeId> {
        let mut at = self.owner(name, scope);
        loop {
            // The names of a class are not seen in its methods.
            let is_seen = at == scope || self.scopes[at].kind != Kind::Class;
            if is_seen && self.bindings.contains_key(&(at, name.to_owned())) {
                return Some(at);
            }
            at = self.scopes[at].parent?;
        }
    }

    /// True if the file gives `name` a value other than an import.
    pub(super) fn is_bound(&self, name: &str, scope: ScopeId) -> bool {
        let Some(scope) = self.scope_of(name, scope) else { return false };
        let bindings = self.bindings.get(&(scope, name.to_owned())).map_or(&[][..], Vec::as_slice);
        bindings.iter().any(|binding| binding.value != Err("is imported from another file"))
    }

    /// Names of the module with a value, in order.
    pub(super) fn module_names(&self) -> impl Iterator<Item = &str> {
        self.bindings
            .iter()
            .filter(|((scope, _), bindings)| {
                *scope == 0 && bindings.iter().any(|binding| binding.value.is_ok())
            })
            .map(|((_, name), _)| name.as_str())
    }

    /// The expression that `name` stands for in `scope`, and the scope of it; `user` is the node that uses it.
    ///
    /// # Errors
    /// A name without exactly one value that stays as it is.
    pub(super) fn value(
        &self,
        name: &str,
        scope: ScopeId,
        user: Node<'_>,
    ) -> Result<(Node<'t>, ScopeId), Problem> {
        match self.scope_of(name, scope) {
            Some(owner) => self.only(name, owner, line(user)),
            None => Err(Problem::at(user, format!("uses `{name}`, which the file does not define"))),
        }
    }

    /// The same for a name of the module.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub(super) fn module_value(&self, name: &str) -> Result<(Node<'t>, ScopeId), Problem> {
        let first = self.bindings.get(&(0, name.to_owned())).and_then(|bindings| bindings.first());
        self.only(name, 0, first.map_or(1, |binding| binding.line))
    }

    /// The same for an attribute: `self.NAME`, `cls.NAME` or `CLASS.NAME`.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub(super) fn attribute(
        &self,
        node: Node<'t>,
        scope: ScopeId,
        source: &str,
    ) -> Result<(Node<'t>, ScopeId), Problem> {
        let shown = shown(node, source);
        let unknown = || Problem::at(node, format!("uses `{}`, which is no constant of the file", shown));
        let (class, name) = match self.own_attribute(node, scope, source) {
            Some(found) => found,
            None => {
                let object = field(node, "object").filter(|object| object.kind() == "identifier");
                let class = object.map(|object| text(object, source)).and_then(|class| {
                    let owner = self.scope_of(class, scope)?;
                    self.classes.get(&(owner, class.to_owned())).copied()
                });
                let name = field(node, "attribute").map(|name| text(name, source));
                class.zip(name).ok_or_else(unknown)?
            }
        };
        match self.bindings.contains_key(&(class, name.to_owned())) {
            true => self.only(name, class, line(node)),
            false => Err(unknown()),
        }
    }

    fn only(&self, name: &str, owner: ScopeId, user: usize) -> Result<(Node<'t>, ScopeId), Problem> {
        let bindings = self.bindings.get(&(owner, name.to_owned())).map_or(&[][..], Vec::as_slice);
        let problem = |text: String| Problem { line: user, text: format!("uses `{name}`, which {text}") };
        let at = |line: usize, what: &str| {
            problem(format!("{what} (line {line}), so that its value is only known when the file runs"))
        };
        if let [first, second, ..] = bindings {
            let (first, second) = (first.line, second.line);
            return Err(problem(format!(
                "has more than one value (lines {first} and {second}); leave one of them"
            )));
        }
        let Some(binding) = bindings.first() else {
            return Err(problem("the file does not define".into()));
        };
        let value = binding.value.map_err(|reason| at(binding.line, reason))?;
        let is_changed = |mutation: &&Mutation| {
            mutation.name == name
                && (mutation.scope == owner || self.scope_of(name, mutation.scope) == Some(owner))
        };
        match self.mutations.iter().find(is_changed) {
            Some(mutation) => Err(at(mutation.line, "is changed later")),
            None => Ok(value),
        }
    }
}

/// The value of `A = B = value`.
fn final_value(mut right: Node<'_>) -> Node<'_> {
    while right.kind() == "assignment" {
        match field(right, "right") {
            Some(next) => right = next,
            None => break,
        }
    }
    right
}
