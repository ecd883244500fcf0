//! What programs of a job are told of the instance's services: the artifact and cache service that clients of hosted
//! actions speak to, and where the job can have its identity proved.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Run;
use crate::sandbox::JobDirs;

/// Loaded before a JavaScript action. The published clients of artifacts and caches refuse every server whose name is not
/// GitHub's own, in a function `isGhes` that looks at `GITHUB_SERVER_URL`; this answers that one question, and nobody else's.
const PRELOAD: &str = "'use strict';
const real = process.env;
const asks = /\\bisGhes\\b/;
process.env = new Proxy(real, {
  get(target, name) {
    if (name === 'GITHUB_SERVER_URL') {
      const trace = {};
      Error.captureStackTrace(trace);
      if (asks.test(String(trace.stack).split('\\n').slice(2, 3).join())) return 'https://github.com';
    }
    return target[name];
  },
});
";

impl Run<'_> {
    /// Adds what actions (not scripts) are told.
    pub(super) fn announce_services(&self, env: &mut BTreeMap<String, String>) {
        let Some(services) = &self.spec.services else { return };
        for (name, value) in [
            ("ACTIONS_RUNTIME_URL", services.url.as_str()),
            ("ACTIONS_RESULTS_URL", &services.url),
            ("ACTIONS_CACHE_URL", &services.url),
            ("ACTIONS_RUNTIME_TOKEN", &services.token),
            ("ACTIONS_CACHE_SERVICE_V2", "true"),
        ] {
            env.insert(name.into(), value.to_owned());
        }
        self.announce_identity(env);
    }

    /// Adds where to ask for an identity, if the job may have one.
    pub(super) fn announce_identity(&self, env: &mut BTreeMap<String, String>) {
        if let Some(services) = &self.spec.services
            && let Some(url) = &services.id_token_url
        {
            env.insert("ACTIONS_ID_TOKEN_REQUEST_URL".into(), url.clone());
            env.insert("ACTIONS_ID_TOKEN_REQUEST_TOKEN".into(), services.token.clone());
        }
    }

    /// The file that Node loads before an action; none where the job has no services.
    pub(super) fn preload(&self, dirs: &JobDirs) -> std::io::Result<Option<PathBuf>> {
        match &self.spec.services {
            Some(_) => dirs.engine_file("services.cjs", PRELOAD.as_bytes(), 0o644).map(Some),
            None => Ok(None),
        }
    }
}
