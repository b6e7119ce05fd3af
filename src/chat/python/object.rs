//! Python's containers as objects of the engine.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, State, Value};

use super::value::{Bound, Dict, Namespace, Sequence, SequenceKind};
use super::{methods, text};

impl Object for Sequence {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        // A `Seq` would support subscripts.
        if self.has_subscripts() { ObjectRepr::Seq } else { ObjectRepr::Plain }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items().get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.kind {
            SequenceKind::Generator => Enumerator::Values(self.rest().to_vec()),
            _ => Enumerator::Seq(self.items().len()),
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        (self.kind != SequenceKind::Generator).then_some(self.items().len())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.kind == SequenceKind::Generator || !self.items().is_empty()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::render_unbounded(&Value::from_dyn_object(self.clone()), f)
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.iter().map(|(key, _)| key.clone()).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::render_unbounded(&Value::from_dyn_object(self.clone()), f)
    }
}

impl Object for Namespace {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::render_unbounded(&Value::from_dyn_object(self.clone()), f)
    }
}

impl Object for Bound {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        methods::call(state, &self.receiver, &self.name, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::render_unbounded(&Value::from_dyn_object(self.clone()), f)
    }
}
