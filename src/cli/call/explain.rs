//! `--explain-tools`.

use super::{
    super::{exit::CliError, output},
    Args, ask,
    dialect_arg::wanted,
    input::conversation,
    profile, template,
};
use edgecall::{
    Kind,
    call::{Request, RequestFields},
    chat::Conversation,
    dialect::{self, Wanted},
    schema::{Status, notation::Notation},
    tools::explain,
};

/// Prints how each keyword is handled. Tools with an unusable schema are listed too.
pub(super) fn explain_tools(args: &mut Args) -> anyhow::Result<()> {
    let mut profile = profile::read(args)?;
    let (with_messages, fields) = match &args.messages {
        Some(_) => conversation(args, &profile).map(|(conversation, fields)| (conversation.tools, fields))?,
        None => (None, RequestFields::default()),
    };
    profile::give_way(&mut profile, args, with_messages.is_some(), &fields);
    args.adopt_key_order(&profile);
    let tools = ask::tools(args, with_messages, &fields, &profile)?;
    let wanted = wanted(args.dialect.as_ref())?;
    let model = template::vocabulary(args)?;
    let conversation = Conversation::default();
    let request = tools.as_ref().map(|tools| Request::new(&conversation, Some(tools)));
    let explanation = match (&tools, ask::schema_value(args, &fields)?) {
        (Some(tools), _) => {
            let own = model.as_ref().zip(request.as_ref());
            let own = own.and_then(|((vocabulary, template), request)| {
                template.tool_format(vocabulary, request, &wanted).ok()?
            });
            let notation = match own {
                Some(format) => format.dialect.notation()?,
                None => notation(&wanted)?,
            };
            explain::explain_in(tools, args.key_order(), &notation)
        }
        (None, Some(schema)) => explain::explain_answer(&schema, args.key_order()),
        (None, None) => {
            return Err(CliError::usage("there is nothing to explain; give --tools or --json-schema"));
        }
    };
    output::emit(&explanation, output::Format::from_flag(args.json))?;
    if let (Some((vocabulary, template)), Some(request)) = (&model, &request) {
        template::note_lost(template, vocabulary, request, (&wanted, None))?;
    }
    match explanation.status() {
        Status::Refused => Err(CliError::with_kind(
            Kind::Data,
            "not every schema can be used; the notes on `refused` say what to change",
        )),
        _ => Ok(()),
    }
}

/// The notation of the arguments in a dialect that was named; JSON in that of a model that is not known.
fn notation(wanted: &Wanted) -> anyhow::Result<Notation> {
    Ok(match wanted {
        Wanted::Given(dialect) => dialect.notation()?,
        Wanted::Named(name) => match dialect::named(name) {
            Some(dialect) => dialect.notation()?,
            None => Notation::default(),
        },
        _ => Notation::default(),
    })
}
