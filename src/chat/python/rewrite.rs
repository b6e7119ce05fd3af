//! Rewrites a parsed template to Python semantics.
//!
//! Operators, subscripts, attributes, slices, container literals, loops and assignments to namespaces become
//! calls of the functions below; the rest of the tree is unchanged. The functions' names contain a blank, so
//! that templates can neither call nor shadow them. Plain text becomes an expression, too, because only
//! expressions pass through the formatter that counts the output.

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, Spanned, Stmt};

use super::operators::comparison;

pub(super) const ADD: &str = "py add";
pub(super) const ATTRIBUTE: &str = "py attribute";
pub(super) const CHAIN: &str = "py chain";
pub(super) const CONCAT: &str = "py concat";
pub(super) const ITEM: &str = "py item";
pub(super) const LIST: &str = "py list";
pub(super) const LOOP: &str = "py loop";
pub(super) const LOOP_ARGUMENTS: &str = "py loop arguments";
pub(super) const MAP: &str = "py map";
pub(super) const MUL: &str = "py mul";
pub(super) const NO_TEMPLATES: &str = "py no templates";
pub(super) const REM: &str = "py rem";
pub(super) const SET_ATTRIBUTE: &str = "py set attribute";
pub(super) const SLICE: &str = "py slice";
pub(super) const TUPLE: &str = "py tuple";

/// Variable that temporarily holds the text of `{% set namespace.name %}...{% endset %}`.
const BLOCK_TEXT: &str = "py block text";

/// An unsupported construct, with its line.
pub(crate) struct RewriteError {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl RewriteError {
    fn new(span: Span, reason: impl Into<String>) -> RewriteError {
        RewriteError { line: span.start_line.into(), reason: reason.into() }
    }
}

/// Rewrites the template.
///
/// # Errors
/// Statements that `transformers` does not support either, and a few rare forms; with the line.
pub(crate) fn rewrite<'a>(template: &Stmt<'a>) -> Result<Stmt<'a>, RewriteError> {
    let Stmt::Template(template) = template else {
        return Err(RewriteError { line: 1, reason: "not a template".into() });
    };
    let children = body(&template.children)?;
    Ok(Stmt::Template(Spanned::new(ast::Template { children }, template.span())))
}

fn body<'a>(stmts: &[Stmt<'a>]) -> Result<Vec<Stmt<'a>>, RewriteError> {
    let mut out = Vec::with_capacity(stmts.len());
    for stmt in stmts {
        statement(stmt, &mut out)?;
    }
    Ok(out)
}

fn statement<'a>(stmt: &Stmt<'a>, out: &mut Vec<Stmt<'a>>) -> Result<(), RewriteError> {
    out.push(match stmt {
        Stmt::Template(s) => return Err(RewriteError::new(s.span(), "a template inside a template")),
        Stmt::EmitRaw(s) => emit(constant(s.raw, s.span()), s.span()),
        Stmt::EmitExpr(s) => emit(expr(&s.expr), s.span()),
        Stmt::ForLoop(s) => for_loop(s)?,
        Stmt::IfCond(s) => Stmt::IfCond(Spanned::new(
            ast::IfCond {
                expr: expr(&s.expr),
                true_body: body(&s.true_body)?,
                false_body: body(&s.false_body)?,
            },
            s.span(),
        )),
        Stmt::WithBlock(s) => with_block(s)?,
        Stmt::Set(s) => match &s.target {
            Expr::GetAttr(place) => emit(set_attribute(place, expr(&s.expr)), s.span()),
            place => {
                Stmt::Set(Spanned::new(ast::Set { target: target(place)?, expr: expr(&s.expr) }, s.span()))
            }
        },
        Stmt::SetBlock(s) => return set_block(s, out),
        Stmt::FilterBlock(s) => {
            refuse_jumps(&s.body, s.span(), "filter")?;
            let filter = expr(&s.filter);
            let body = scope(&s.body, s.span())?;
            Stmt::FilterBlock(Spanned::new(
                ast::FilterBlock { filter, filter_span: s.filter_span, body },
                s.span(),
            ))
        }
        Stmt::Block(s) => {
            refuse_jumps(&s.body, s.span(), "block")?;
            let body = body(&s.body)?;
            Stmt::Block(Spanned::new(ast::Block { name: s.name, required: s.required, body }, s.span()))
        }
        Stmt::Macro(s) => Stmt::Macro(declaration(s)?),
        Stmt::CallBlock(s) => Stmt::CallBlock(Spanned::new(
            ast::CallBlock {
                call: Spanned::new(
                    ast::Call { expr: callee(&s.call.expr), args: arguments(&s.call.args) },
                    s.call.span(),
                ),
                call_expr_span: s.call_expr_span,
                macro_decl: declaration(&s.macro_decl)?,
            },
            s.span(),
        )),
        Stmt::Continue(s) => Stmt::Continue(Spanned::new(ast::Continue, s.span())),
        Stmt::Break(s) => Stmt::Break(Spanned::new(ast::Break, s.span())),
        Stmt::Import(s) => no_templates(s.span(), "import"),
        Stmt::FromImport(s) => no_templates(s.span(), "from"),
        Stmt::Extends(s) => no_templates(s.span(), "extends"),
        Stmt::Include(s) => no_templates(s.span(), "include"),
        Stmt::AutoEscape(s) => {
            return Err(RewriteError::new(s.span(), "the tag `autoescape` is not supported"));
        }
        Stmt::Do(s) => return Err(RewriteError::new(s.span(), "unknown tag `do`")),
    });
    Ok(())
}

fn for_loop<'a>(s: &Spanned<ast::ForLoop<'a>>) -> Result<Stmt<'a>, RewriteError> {
    Ok(Stmt::ForLoop(Spanned::new(
        ast::ForLoop {
            target: target(&s.target)?,
            iter: call(LOOP, vec![expr(&s.iter)], s.iter.span()),
            filter_expr: s.filter_expr.as_ref().map(expr),
            recursive: s.recursive,
            body: body(&s.body)?,
            else_body: if jumps(&s.else_body) { body(&s.else_body)? } else { scope(&s.else_body, s.span())? },
        },
        s.span(),
    )))
}

fn with_block<'a>(s: &Spanned<ast::WithBlock<'a>>) -> Result<Stmt<'a>, RewriteError> {
    refuse_jumps(&s.body, s.span(), "with")?;
    // All at once, since the values must not see the names before them in the tag.
    let items = s.assignments.iter().map(|(name, _)| target(name)).collect::<Result<Vec<_>, _>>()?;
    let values = s.assignments.iter().map(|(_, value)| expr(value)).collect();
    let assignments = if items.is_empty() {
        Vec::new()
    } else {
        vec![(Expr::List(Spanned::new(ast::List { items }, s.span())), call(TUPLE, values, s.span()))]
    };
    Ok(Stmt::WithBlock(Spanned::new(ast::WithBlock { assignments, body: body(&s.body)? }, s.span())))
}

fn set_block<'a>(s: &Spanned<ast::SetBlock<'a>>, out: &mut Vec<Stmt<'a>>) -> Result<(), RewriteError> {
    let (name, after) = match &s.target {
        Expr::GetAttr(place) => {
            let text = variable(BLOCK_TEXT, s.span());
            (variable(BLOCK_TEXT, s.span()), Some(emit(set_attribute(place, text), s.span())))
        }
        place => (target(place)?, None),
    };
    refuse_jumps(&s.body, s.span(), "set")?;
    let filter = s.filter.as_ref().map(expr);
    out.push(Stmt::SetBlock(Spanned::new(
        ast::SetBlock { target: name, filter, body: scope(&s.body, s.span())? },
        s.span(),
    )));
    out.extend(after);
    Ok(())
}

/// A tag that fails when it is executed; templates that never reach it still render.
fn no_templates<'a>(span: Span, tag: &'static str) -> Stmt<'a> {
    emit(call(NO_TEMPLATES, vec![constant(tag, span)], span), span)
}

/// Statements in a scope of their own for assignments.
fn scope<'a>(stmts: &[Stmt<'a>], span: Span) -> Result<Vec<Stmt<'a>>, RewriteError> {
    if stmts.is_empty() {
        return Ok(Vec::new());
    }
    let inner = ast::WithBlock { assignments: Vec::new(), body: body(stmts)? };
    Ok(vec![Stmt::WithBlock(Spanned::new(inner, span))])
}

/// True if the statements contain a `break` or `continue` of the enclosing loop.
fn jumps(stmts: &[Stmt<'_>]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Break(_) | Stmt::Continue(_) => true,
        Stmt::IfCond(s) => jumps(&s.true_body) || jumps(&s.false_body),
        Stmt::ForLoop(s) => jumps(&s.else_body),
        Stmt::WithBlock(s) => jumps(&s.body),
        _ => false,
    })
}

/// Refuses jumps out of a scope: the engine would leave it open and then mistake it for the loop's.
fn refuse_jumps(stmts: &[Stmt<'_>], span: Span, tag: &str) -> Result<(), RewriteError> {
    if jumps(stmts) {
        return Err(RewriteError::new(
            span,
            format!("a `break` or `continue` out of `{tag}` is not supported"),
        ));
    }
    Ok(())
}

/// A macro. Its defaults become the first statements of its body, where they can use earlier arguments.
fn declaration<'a>(s: &Spanned<ast::Macro<'a>>) -> Result<Spanned<ast::Macro<'a>>, RewriteError> {
    refuse_jumps(&s.body, s.span(), "macro")?;
    let args = s.args.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    let first_default = s.args.len().saturating_sub(s.defaults.len());
    let mut stmts = Vec::new();
    for (arg, default) in s.args.iter().skip(first_default).zip(&s.defaults) {
        let Expr::Var(name) = arg else { continue };
        let given = variable(name.id, name.span());
        let missing = ast::Test { name: "undefined", expr: given, args: Vec::new() };
        let set = ast::Set { target: variable(name.id, name.span()), expr: expr(default) };
        stmts.push(Stmt::IfCond(Spanned::new(
            ast::IfCond {
                expr: Expr::Test(Spanned::new(missing, name.span())),
                true_body: vec![Stmt::Set(Spanned::new(set, name.span()))],
                false_body: Vec::new(),
            },
            name.span(),
        )));
    }
    stmts.extend(body(&s.body)?);
    Ok(Spanned::new(ast::Macro { name: s.name, args, defaults: Vec::new(), body: stmts }, s.span()))
}

/// An assignment target: a name, or names in parentheses.
fn target<'a>(place: &Expr<'a>) -> Result<Expr<'a>, RewriteError> {
    match place {
        Expr::Var(s) => Ok(variable(s.id, s.span())),
        Expr::List(s) => {
            let items = s.items.iter().map(target).collect::<Result<_, _>>()?;
            Ok(Expr::List(Spanned::new(ast::List { items }, s.span())))
        }
        other => Err(RewriteError::new(
            other.span(),
            "assigning to an attribute is supported only by itself: `set namespace.name = value`",
        )),
    }
}

fn expr<'a>(e: &Expr<'a>) -> Expr<'a> {
    match e {
        Expr::Var(s) => variable(s.id, s.span()),
        Expr::Const(s) => Expr::Const(Spanned::new(ast::Const { value: s.value.clone() }, s.span())),
        Expr::Slice(s) => {
            let bound = |e: &Option<Expr<'a>>| e.as_ref().map_or_else(|| constant((), s.span()), expr);
            call(SLICE, vec![expr(&s.expr), bound(&s.start), bound(&s.stop), bound(&s.step)], s.span())
        }
        Expr::UnaryOp(s) => {
            let not = matches!(s.op, ast::UnaryOpKind::Not);
            let op = if not { ast::UnaryOpKind::Not } else { ast::UnaryOpKind::Neg };
            Expr::UnaryOp(Spanned::new(ast::UnaryOp { op, expr: expr(&s.expr) }, s.span()))
        }
        Expr::BinOp(s) => binary(s),
        Expr::Compare(s) => {
            let mut args = Vec::new();
            let mut left = Some(expr(&s.expr));
            for step in &s.ops {
                args.push(constant(comparison(step.op), s.span()));
                args.extend(left.take());
                args.push(expr(&step.expr));
            }
            call(CHAIN, args, s.span())
        }
        Expr::IfExpr(s) => Expr::IfExpr(Spanned::new(
            ast::IfExpr {
                test_expr: expr(&s.test_expr),
                true_expr: expr(&s.true_expr),
                false_expr: s.false_expr.as_ref().map(expr),
            },
            s.span(),
        )),
        Expr::Filter(s) => Expr::Filter(Spanned::new(
            ast::Filter { name: s.name, expr: s.expr.as_ref().map(expr), args: arguments(&s.args) },
            s.span(),
        )),
        Expr::Test(s) => Expr::Test(Spanned::new(
            ast::Test { name: s.name, expr: expr(&s.expr), args: arguments(&s.args) },
            s.span(),
        )),
        Expr::GetAttr(s) => {
            let mut args = vec![expr(&s.expr), constant(s.name, s.span())];
            args.extend(description(&s.expr).map(|text| constant(text, s.span())));
            call(ATTRIBUTE, args, s.span())
        }
        Expr::GetItem(s) => {
            let mut args = vec![expr(&s.expr), expr(&s.subscript_expr)];
            args.extend(description(&s.expr).map(|text| constant(text, s.span())));
            call(ITEM, args, s.span())
        }
        Expr::Call(s) => {
            let args = match &s.expr {
                Expr::GetAttr(method) if matches!(method.name, "changed" | "cycle") => {
                    loop_arguments(&s.args, s.span())
                }
                _ => arguments(&s.args),
            };
            Expr::Call(Spanned::new(ast::Call { expr: callee(&s.expr), args }, s.span()))
        }
        Expr::List(s) => call(LIST, s.items.iter().map(expr).collect(), s.span()),
        Expr::Tuple(s) => call(TUPLE, s.items.iter().map(expr).collect(), s.span()),
        Expr::Map(s) => {
            let pairs = s.keys.iter().zip(&s.values).flat_map(|(key, value)| [expr(key), expr(value)]);
            call(MAP, pairs.collect(), s.span())
        }
    }
}

/// The callee of a call. `value.name(...)` is unchanged: the engine asks [`super::methods::call`] for methods.
fn callee<'a>(e: &Expr<'a>) -> Expr<'a> {
    match e {
        Expr::GetAttr(s) => {
            Expr::GetAttr(Spanned::new(ast::GetAttr { expr: expr(&s.expr), name: s.name }, s.span()))
        }
        other => expr(other),
    }
}

fn binary<'a>(s: &Spanned<ast::BinOp<'a>>) -> Expr<'a> {
    let (left, right) = (expr(&s.left), expr(&s.right));
    let operator = match s.op {
        BinOpKind::Add => return call(ADD, vec![left, right], s.span()),
        BinOpKind::Mul => return call(MUL, vec![left, right], s.span()),
        BinOpKind::Rem => return call(REM, vec![left, right], s.span()),
        BinOpKind::Concat => return call(CONCAT, vec![left, right], s.span()),
        BinOpKind::Eq => CompareOpKind::Eq,
        BinOpKind::Ne => CompareOpKind::Ne,
        BinOpKind::Lt => CompareOpKind::Lt,
        BinOpKind::Lte => CompareOpKind::Lte,
        BinOpKind::Gt => CompareOpKind::Gt,
        BinOpKind::Gte => CompareOpKind::Gte,
        BinOpKind::In => CompareOpKind::In,
        op => return Expr::BinOp(Spanned::new(ast::BinOp { op, left, right }, s.span())),
    };
    call(CHAIN, vec![constant(comparison(operator), s.span()), left, right], s.span())
}

fn arguments<'a>(args: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
    args.iter()
        .map(|arg| match arg {
            CallArg::Pos(e) => CallArg::Pos(expr(e)),
            CallArg::Kwarg(name, e) => CallArg::Kwarg(name, expr(e)),
            CallArg::PosSplat(e) => CallArg::PosSplat(expr(e)),
            CallArg::KwargSplat(e) => CallArg::KwargSplat(expr(e)),
        })
        .collect()
}

/// Arguments of `loop.changed` and `loop.cycle`. The engine compares the former whatever that takes, and divides by the
/// number of the latter, so that a function looks at the positional ones first.
fn loop_arguments<'a>(args: &[CallArg<'a>], span: Span) -> Vec<CallArg<'a>> {
    let is_positional = |arg: &CallArg<'a>| matches!(arg, CallArg::Pos(_) | CallArg::PosSplat(_));
    let (positional, named): (Vec<_>, Vec<_>) = arguments(args).into_iter().partition(is_positional);
    let checked = ast::Call { expr: variable(LOOP_ARGUMENTS, span), args: positional };
    let mut args = vec![CallArg::PosSplat(Expr::Call(Spanned::new(checked, span)))];
    args.extend(named);
    args
}

fn set_attribute<'a>(place: &Spanned<ast::GetAttr<'a>>, value: Expr<'a>) -> Expr<'a> {
    call(SET_ATTRIBUTE, vec![expr(&place.expr), constant(place.name, place.span()), value], place.span())
}

fn emit<'a>(expr: Expr<'a>, span: Span) -> Stmt<'a> {
    Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr }, span))
}

fn variable<'a>(id: &'a str, span: Span) -> Expr<'a> {
    Expr::Var(Spanned::new(ast::Var { id }, span))
}

fn constant<'a>(value: impl Into<Value>, span: Span) -> Expr<'a> {
    Expr::Const(Spanned::new(ast::Const { value: value.into() }, span))
}

fn call<'a>(function: &'static str, args: Vec<Expr<'a>>, span: Span) -> Expr<'a> {
    let args = args.into_iter().map(CallArg::Pos).collect();
    Expr::Call(Spanned::new(ast::Call { expr: variable(function, span), args }, span))
}

/// The text for `e` in error messages, such as `message.tool_calls[0]`.
fn description(e: &Expr<'_>) -> Option<String> {
    match e {
        Expr::Var(s) => Some(s.id.to_owned()),
        Expr::GetAttr(s) => Some(format!("{}.{}", description(&s.expr)?, s.name)),
        Expr::GetItem(s) => {
            let base = description(&s.expr)?;
            Some(match &s.subscript_expr {
                Expr::Const(key) => format!("{base}[{:?}]", key.value),
                _ => format!("{base}[...]"),
            })
        }
        _ => None,
    }
}
