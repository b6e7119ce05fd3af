//! Names of servers, looked up on a thread.

use std::{io, thread};
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{self, DefaultResolver, ResolvedSocketAddrs},
        transport::NextTimeout,
    },
};

/// The usual resolver, which starts a thread for each name and panics if the system starts none; this one asks first.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    usual: DefaultResolver,
}

impl resolver::Resolver for Resolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let no_thread = |cause: io::Error| {
            let message = format!("no thread can be started to look up the address ({cause})");
            Error::Io(io::Error::new(cause.kind(), message))
        };
        let probe = thread::Builder::new().spawn(|| ()).map_err(no_thread)?;
        let _ = probe.join();
        self.usual.resolve(uri, config, timeout)
    }
}
