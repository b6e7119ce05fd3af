//! A server's model among those that are compared.

use super::network;
use crate::cli::exit::Failure;
use edgecall::{
    Error,
    benchmark::{
        Dataset, Mode,
        endpoint::{Endpoint, Prompts, Template, identify},
        row::Role,
        run::{Contender, Settings},
    },
    http::Client,
};
use std::path::PathBuf;

/// The arguments that name a server's model.
#[derive(clap::Args)]
#[command(next_help_heading = "Servers")]
pub struct Args {
    /// Let this server's model answer our prompts, too; a key is taken from EDGECALL_API_KEY
    #[arg(long, value_name = "URL", requires = "endpoint_model", conflicts_with = "endpoint_chat")]
    endpoint: Option<String>,

    /// Let this server's model answer, and the server write the prompts
    #[arg(long, value_name = "URL", requires = "endpoint_model")]
    endpoint_chat: Option<String>,

    /// Ask the server for this model
    #[arg(long, value_name = "NAME")]
    endpoint_model: Option<String>,

    /// Compare the others with the server's model
    #[arg(long, requires = "endpoint", conflicts_with_all = ["reference", "endpoint_chat"])]
    endpoint_reference: bool,

    /// Write its prompts with this template, or a GGUF file's [default: the reference's]
    #[arg(long, value_name = "FILE", requires = "endpoint", conflicts_with = "endpoint_chat")]
    chat_template: Option<PathBuf>,
}

/// A server that answered, and what it is to be asked.
pub struct Connected {
    client: Client,
    model: String,
    server: String,
    /// None where the server writes the prompts.
    template: Option<Template>,
    role: Role,
}

impl Args {
    /// Whether others are compared with the server's model.
    pub fn is_reference(&self) -> bool {
        self.endpoint_reference
    }

    fn url(&self) -> Option<&str> {
        self.endpoint.as_deref().or(self.endpoint_chat.as_deref())
    }

    /// The modes that are run, `named` where some were: a server answers freely, and is compared with what does too.
    ///
    /// # Errors
    /// Modes that no row of the server could be paired in.
    pub fn modes(&self, named: &[Mode], has_models: bool) -> anyhow::Result<Vec<Mode>> {
        let mut modes = match (named, self.url()) {
            ([], None) => vec![Mode::Any],
            ([], Some(_)) => vec![Mode::Free],
            (named, _) => named.to_vec(),
        };
        modes.sort_unstable();
        modes.dedup();
        if self.url().is_some() && has_models && !modes.contains(&Mode::Free) {
            return Err(Failure::usage(
                "a server answers freely, and none of --mode does; add free, as in --mode free,any",
            ));
        }
        Ok(modes)
    }

    /// Asks the server who it is, before anything takes time.
    ///
    /// # Errors
    /// A server that cannot be reached; no template to write prompts with.
    pub fn connect(&self, network: &network::Args, has_models: bool) -> anyhow::Result<Option<Connected>> {
        let Some(url) = self.url() else { return Ok(None) };
        let template = match &self.chat_template {
            Some(path) => Some(Template::open(path)?),
            None if self.endpoint.is_some() && !has_models => {
                return Err(Failure::usage(
                    "there is no chat template to write prompts with; name the model's with --chat-template FILE, where \
                     FILE is Jinja or a GGUF file, or let the server write them with --endpoint-chat",
                ));
            }
            None => None,
        };
        let client = network.client(url, &["EDGECALL_API_KEY"])?;
        let model = self.endpoint_model.clone().expect("clap asks for it");
        let server = identify(&client, &model).map_err(Error::from)?;
        // Alone it is what there is to look at; rows of files may meet it later.
        let role = if self.endpoint_reference { Role::Reference } else { Role::Candidate };
        Ok(Some(Connected { client, model, server, template, role }))
    }

    /// Takes the reference's template where none was named.
    ///
    /// # Errors
    /// A model without one.
    pub fn complete(
        &self,
        connected: &mut Option<Connected>,
        reference: Option<&Contender>,
    ) -> anyhow::Result<()> {
        if let (Some(connected), Some(_), Some(contender)) = (connected, &self.endpoint, reference)
            && connected.template.is_none()
        {
            connected.template = Some(Template::of(contender.model.vocabulary(), &contender.path)?);
        }
        Ok(())
    }
}

impl Connected {
    /// What is asked for the cases.
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
            max_tokens: settings.max_tokens,
            primary: settings.primary.clone(),
            margin: settings.margin,
        }
    }
}
