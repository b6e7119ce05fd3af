//! A served model among those to compare.

use super::{network, warn};
use crate::cli::exit::CliError;
use edgecall::{
    bench::{
        Dataset, Mode,
        row::Role,
        run::{
            LoadedModel, Settings,
            endpoint::{Endpoint, Prompts, Template, identify},
        },
    },
    http::Client,
};
use std::path::Path;

/// The arguments for a served model.
#[derive(clap::Args)]
#[command(next_help_heading = "Servers")]
pub struct Args {
    /// Also run a model on this server, with prompts that edgecall renders (/v1/completions); the key is in
    /// EDGECALL_API_KEY, else OPENAI_API_KEY
    #[arg(long, value_name = "URL", requires = "endpoint_model", conflicts_with = "endpoint_chat")]
    endpoint: Option<String>,

    /// Also run a model on this server, which renders the prompts itself (/v1/chat/completions)
    #[arg(long, value_name = "URL", requires = "endpoint_model")]
    endpoint_chat: Option<String>,

    /// Name of the model on the server
    #[arg(long, value_name = "NAME")]
    endpoint_model: Option<String>,

    /// Use the server's model as the reference that the others are compared with
    #[arg(long, requires = "endpoint", conflicts_with_all = ["reference", "endpoint_chat"])]
    endpoint_reference: bool,
}

/// A server that answered [`identify`], with the model to ask.
pub struct Connected {
    client: Client,
    model: String,
    server: String,
    /// `None` if the server renders the prompts.
    template: Option<Template>,
    role: Role,
}

impl Args {
    /// True if the served model is the reference.
    pub fn is_reference(&self) -> bool {
        self.endpoint_reference
    }

    fn url(&self) -> Option<&str> {
        self.endpoint.as_deref().or(self.endpoint_chat.as_deref())
    }

    /// Decoding modes to run: those in `named`, or a default. A server decodes freely, so it can only be compared in
    /// that mode.
    ///
    /// # Errors
    /// Modes without `free` although a server takes part.
    pub fn modes(&self, named: &[Mode], has_models: bool) -> anyhow::Result<Vec<Mode>> {
        let mut modes = match (named, self.url()) {
            ([], None) => vec![Mode::Any],
            ([], Some(_)) => vec![Mode::Free],
            (named, _) => named.to_vec(),
        };
        modes.sort_unstable();
        modes.dedup();
        if self.url().is_some() && has_models && !modes.contains(&Mode::Free) {
            return Err(CliError::usage(
                "a server answers freely, and none of --mode does; add free, as in --mode free,any",
            ));
        }
        Ok(modes)
    }

    /// True if a server takes part.
    pub fn is_asked(&self) -> bool {
        self.url().is_some()
    }

    /// Asks the server to identify itself, before any slow step. The file `chat_template` has the template of its prompts.
    ///
    /// # Errors
    /// A server that cannot be reached; no chat template for the prompts, or one although the server has its own.
    pub fn connect(
        &self,
        network: &network::Args,
        has_models: bool,
        chat_template: Option<&Path>,
    ) -> anyhow::Result<Option<Connected>> {
        let Some(url) = self.url() else { return Ok(None) };
        if self.endpoint_chat.is_some() && chat_template.is_some() {
            return Err(CliError::usage(
                "with --endpoint-chat the server writes the prompts; leave out --chat-template, or take --endpoint",
            ));
        }
        let template = match chat_template {
            Some(path) => Some(Template::open(path)?),
            None if self.endpoint.is_some() && !has_models => {
                return Err(CliError::usage(
                    "there is no chat template to write prompts with; name the model's with --chat-template FILE, where \
                     FILE is Jinja or a GGUF file, or let the server write them with --endpoint-chat",
                ));
            }
            None => None,
        };
        let client = network.client(url, &["EDGECALL_API_KEY"])?;
        let model = self.endpoint_model.clone().expect("clap asks for it");
        let server = identify(&client, &model)?;
        // Without local models it is a candidate, since its rows may be merged with others later.
        let role = if self.endpoint_reference { Role::Reference } else { Role::Candidate };
        Ok(Some(Connected { client, model, server, template, role }))
    }

    /// Uses the reference's chat template if none was given.
    ///
    /// # Errors
    /// A model without a chat template.
    pub fn complete(
        &self,
        connected: &mut Option<Connected>,
        reference: Option<&LoadedModel>,
    ) -> anyhow::Result<()> {
        if let (Some(connected), Some(_), Some(loaded)) = (connected, &self.endpoint, reference)
            && connected.template.is_none()
        {
            connected.template = Some(Template::from_vocabulary(loaded.model.vocabulary(), &loaded.path)?);
        }
        Ok(())
    }
}

/// Warns, once, of content that the server reads as special tokens.
///
/// # Errors
/// A prompt that cannot be rendered, or a server that does not answer.
pub fn warn_of_special_tokens(endpoint: &Endpoint<'_>, test: &Path) -> anyhow::Result<()> {
    let misread = endpoint.misread()?;
    if let Some(first) = misread.first() {
        let (test, line, calls) = (test.display(), first.line, misread.len());
        let calls = if calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
        warn(&format!(
            "{test}: messages before {calls} spell special tokens such as <|im_end|> (the first: line {line}, {}); the \
             server reads them as such, and local models as text",
            first.place()
        ));
    }
    Ok(())
}

impl Connected {
    /// The served model with the cases to run.
    pub fn endpoint<'s>(
        &'s self,
        dataset: &'s Dataset,
        cases: Vec<usize>,
        settings: &Settings,
    ) -> Endpoint<'s> {
        Endpoint {
            client: &self.client,
            model: self.model.clone(),
            server: self.server.clone(),
            prompts: self.template.as_ref().map_or(Prompts::Servers, Prompts::Ours),
            dataset,
            cases,
            role: self.role,
            settings: settings.clone(),
        }
    }
}
